/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps over a backing in memory, for the tests of the map.  A scene has one allocator and up to two
 * maps over it, each with a model of its content, and makes checkpoints of all of them.
 *
 * After every checkpoint, the bitmaps are compared with the slots to which the maps refer (I5).
 */
#pragma once

#include "common/engine/map-scan.h"
#include "common/engine/map.h"
#include "tests/backing/faulty.h"
#include "tests/harness.h"

#define SCENE_BLOCKS 1024u /* a map's first blocks, which have a model and may be written */

/* 4 pointers in a node, so that a few blocks need a tree of five levels. */
#define SCENE_SMALL ((NodeLayout){.shift = 2, .size = sizeof(FormatPointer)})

typedef struct {
	Map *map;
	Superblock sb; /* of the newest checkpoint */
	guint64 slots[SCENE_BLOCKS];
	guint32 crcs[SCENE_BLOCKS];
} SceneMap;

typedef struct Scene Scene;

struct Scene {
	Backing *backing;
	Slots *slots;
	Seal seal;
	NodeLayout layout;
	guint n_maps;
	SceneMap maps[2];
	guint64 generation;
	guint32 next_crc;
	void (*on_read)(Scene *scene); /* of scene_on_read(), until it was called */
};

/* `limit`: the backing's largest size in bytes; 0: no limit. */
Scene *scene_new(NodeLayout layout, guint n_maps, guint64 limit);
void scene_free(Scene *scene);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

/* Writes blocks [first, first + n) with new contents.  0, or the map's error. */
int scene_write(Scene *scene, guint m, guint64 first, guint n);

/* Makes blocks [first, end) holes. */
int scene_zero(Scene *scene, guint m, guint64 first, guint64 end);

/* Compares the map's entry of every block with the model. */
void scene_compare(Scene *scene, guint m);

/* The steps of a checkpoint: scene_freeze(), then scene_finish(). */
void scene_freeze(Scene *scene);
void scene_finish(Scene *scene);
void scene_checkpoint(Scene *scene);

/* Makes a checkpoint, and opens every map again with an empty cache. */
void scene_reopen(Scene *scene);

/* Frees everything below dead pointers. */
void scene_reclaim(Scene *scene, guint m);

/* The next read of the backing calls `action` first, once: what other threads may do while the map
 * has dropped its lock to read a node. */
void scene_on_read(Scene *scene, void (*action)(Scene *scene));

/* Flips a bit in one of the copies of node (level, 0) over block 0, as of the newest checkpoint. */
void scene_damage(Scene *scene, guint m, guint level, guint copy);
