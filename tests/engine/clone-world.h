/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A linked clone, its base, and what the clone must hold: one byte for each block, which stands for
 * a block full of that byte.
 */
#pragma once

#include "common/engine/volume-flatten.h"
#include "tests/engine/support.h"

#define WORLD_BLOCKS 78000u /* of the largest volume: three levels */
#define WORLD_SNAPSHOTS 3u

typedef struct {
	char name[16];
	guint8 *blocks;
	guint64 size;
} WorldSnapshot;

typedef struct World World;
struct World {
	World *below; /* whose snapshot "base" the volume is a clone of; NULL: it is no clone */
	Place *place;
	Volume *volume; /* NULL: it is closed */
	guint8 *blocks; /* WORLD_BLOCKS, those behind the end are 0 */
	guint64 size;	/* bytes */
	WorldSnapshot snapshots[WORLD_SNAPSHOTS];
	guint n_snapshots, named;
	gboolean linked;
	TestRandom *random;
};

/* A volume, or a linked clone of `below`, whose snapshot "base" there is; `below` is closed by the
 * caller before it frees the result.  NULL if a check failed. */
World *world_new(World *below, guint64 size, TestRandom *random);
void world_free(World *world);

/* Makes the snapshot "base", which clones begin with, and never goes. */
gboolean world_make_base(World *world);

Volume *world_open_base(const BaseIdentity *base, gpointer below, GError **error);
Volume *world_open_snapshot(World *world, const char *name, GError **error);
gboolean world_open(World *world);
/* Closes in order, or as a crash does, and checks the volume. */
gboolean world_close(World *world, gboolean crash);

/* Each carries one operation out on volume and model. */
void world_write(World *world);
void world_discard(World *world);
void world_resize(World *world);
void world_snapshot(World *world);
void world_delete(World *world);
void world_rollback(World *world);
void world_flatten(World *world, guint64 bytes);

/* The same with these blocks, and of this size. */
void world_write_range(World *world, guint64 first, guint64 n);
void world_discard_range(World *world, guint64 first, guint64 n);
void world_resize_to(World *world, guint64 blocks);

/* What map_diff() visits between two snapshots is all that differs, and its zeros are zeros. */
void world_diff(World *world);
void world_diff_between(World *world, guint from, guint to);

/* The volume, by extents and content, is what the model says; with its snapshots. */
gboolean world_verify(World *world);
