/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume with snapshots, and a shadow copy of each and of the head.  Each function checks that
 * what it does succeeds.
 */
#pragma once

#include "common/base/units.h"
#include "common/engine/volume-snapshots.h"
#include "tests/harness.h"

#define SIZE (2 * GIB) /* a map of three levels */
#define PLACES 96u     /* blocks that are written */
#define SHADOWS 12u    /* snapshots at a time */

typedef struct {
	char name[64];
	guint64 generation;
	guint64 size;
	guint8 values[PLACES]; /* 0: a hole, or zeros */
} Shadow;

typedef struct {
	Backing *backing;
	Volume *volume;
	TestRandom random;
	Shadow head;
	Shadow shadows[SHADOWS];
	guint n;
	guint names;
	guint8 next;
} World;

/* Block of place i: in a few leaves of each of some nodes of level 1. */
guint64 place_block(guint i);

/* `limit`: of the backing, as of backing_faulty_new(). */
World *world_new(guint64 limit);
void world_free(World *world);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(World, world_free)

/* Opens the volume, and closes it. */
Volume *world_open(World *world);
void world_close(World *world);

void world_write(World *world, guint place);
void world_write_all(World *world);
void world_discard(World *world, guint64 first, guint64 end); /* blocks */

/* Nothing happens if there are SHADOWS already. */
void world_snapshot(World *world, const char *name);
void world_delete(World *world, const char *name, VolumeSnapshotDeleteFlags flags);
void world_rollback(World *world, const char *name);
void world_settle(World *world);

/* Closes the volume, or lets its process die; has check, and snapshot-proof.h, prove what is on the
 * disk, and compares it with the shadows; and opens the volume again. */
gboolean world_prove(World *world, gboolean die);
