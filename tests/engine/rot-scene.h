/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small volume with a history, and the oracle that judges what is read after its backing was
 * damaged: the right data, or an error that names the block, and never other data (I4).
 *
 * The map has three levels, with two nodes in the middle level.  The journal has gone round its
 * ring, and the part to be replayed wraps.  Blocks are written in a few places that are far
 * apart, and no more than necessary, as each costs 32768 flips.  Each write fills its blocks with
 * its own number.  Data are right if they are those of one *state*: the last one or, where the
 * journal was not yet replayed, any state since the last flush, and the same state for all
 * blocks that can be read (I3).
 */
#pragma once

#include "common/base/units.h"
#include "tests/engine/rot-image.h"
#include "tests/engine/support.h"

#define SCENE_SIZE (257 * MIB)
#define SCENE_JOURNAL (64 * KIB)
#define SCENE_LEAVES 3u
#define SCENE_BLOCKS 4u /* blocks in each of these leaves */
#define SCENE_PLACES (SCENE_LEAVES * SCENE_BLOCKS)
#define SCENE_STATES 64u
#define SCENE_SNAPSHOTS 2u

typedef struct {
	const char *name;
	RotImage *image;			    /* owned */
	guint32 states[SCENE_STATES][SCENE_PLACES]; /* 0: reads as zeros */
	guint n_states;				    /* every state since the last flush */
	guint n_snapshots;			    /* called "s0", "s1", and what each has: */
	guint32 snapshots[SCENE_SNAPSHOTS][SCENE_PLACES];
} Scene;

typedef enum {
	SCENE_CLOSED, /* the volume has made checkpoints and was closed */
	SCENE_DIED,   /* then it was opened, changed, flushed and changed; and its process died */
	SCENE_SHARED, /* as CLOSED, with snapshots from two instants before */
	SCENE_KINDS,
} SceneKind;

Scene *scene_new(const char *name, SceneKind kind);
void scene_free(Scene *scene); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

/* The number of the block at a place. */
guint64 scene_block(guint place);

/* What one pass of reading found. */
typedef struct {
	guint64 allowed;	   /* a bit for each state that agrees with what was read */
	guint errors;		   /* blocks that could not be read */
	guint8 lost[SCENE_PLACES]; /* by place: it could not be read */
} Sight;

/* How much is read.  A leaf, node or block is read and verified as a whole or not at all. */
typedef enum {
	SCENE_FEW,   /* of each leaf that was ever written the places with their neighbours, and a
		      * block   of one other leaf in eight */
	SCENE_MOST,  /* those leaves whole, and a block of each other */
	SCENE_WHOLE, /* the volume */
} SceneExtent;

/* Reads and checks that much.  `news` (may be NULL): the places that were rewritten since, each
 * with its number. */
Sight scene_read(const Scene *scene, Volume *volume, guint64 allowed, const guint32 *news,
		 SceneExtent extent);

/* Opens snapshot number `i` and reads all of its places: each must be what the snapshot has, or an
 * error that names the block.  FALSE: it does not open. */
gboolean scene_read_snapshot(const Scene *scene, guint i, Backing *backing,
			     guint8 ret_lost[SCENE_PLACES]);

/* Writes `number` to a place. */
int scene_write(Volume *volume, guint place, guint32 number);

static inline guint64 scene_all_states(const Scene *scene)
{
	return scene->n_states == 64 ? ~(guint64)0 : ((guint64)1 << scene->n_states) - 1;
}
