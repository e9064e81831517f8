/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Maps over the memory of the process, for the tests of the map: a scene has one allocator and up
 * to two maps over it, each with a model of what it holds, and makes checkpoints of all of it.
 *
 * After every checkpoint, what the bitmaps say is compared with what the maps refer to (I5).
 */
#pragma once

#include "common/engine/map-scan.h"
#include "common/engine/map.h"
#include "tests/backing/faulty.h"
#include "tests/harness.h"

#define SCENE_BLOCKS 1024u /* of a map's model: the first of the map, and all that is written */

/* 4 pointers a node, so that a few blocks take a tree of five levels. */
#define SCENE_SMALL ((NodeLayout){.shift = 2, .size = sizeof(FormatPointer)})

typedef struct {
	Map *map;
	Superblock sb; /* of the newest checkpoint */
	guint64 slots[SCENE_BLOCKS];
	guint32 crcs[SCENE_BLOCKS];
} SceneMap;

typedef struct {
	Backing *backing;
	Slots *slots;
	Seal seal;
	NodeLayout layout;
	guint n_maps;
	SceneMap maps[2];
	guint64 generation;
	guint32 next_crc;
} Scene;

/* `limit`: bytes that the backing may have; 0: any. */
Scene *scene_new(NodeLayout layout, guint n_maps, guint64 limit);
void scene_free(Scene *scene);

G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

/* Writes blocks [first, first + n) with new contents.  0 or what the map says. */
int scene_write(Scene *scene, guint m, guint64 first, guint n);

/* Makes blocks [first, end) holes. */
int scene_zero(Scene *scene, guint m, guint64 first, guint64 end);

/* Compares what the map says of every block with the model. */
void scene_compare(Scene *scene, guint m);

/* The steps of a checkpoint: scene_freeze(), then scene_finish(). */
void scene_freeze(Scene *scene);
void scene_finish(Scene *scene);
void scene_checkpoint(Scene *scene);

/* A checkpoint, then every map is made anew, with nothing in its cache. */
void scene_reopen(Scene *scene);

/* Frees all that is dead. */
void scene_reclaim(Scene *scene, guint m);

/* Flips a bit in one of the copies of node (level, 0) over block 0, as of the newest checkpoint. */
void scene_damage(Scene *scene, guint m, guint level, guint copy);
