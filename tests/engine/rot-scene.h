/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small volume with a life behind it, and the oracle that judges what is read of it once its
 * backing was damaged: right data or an error that names the place, never other data (I4).
 *
 * The map has three levels, and two nodes in the middle one; the journal went round its ring, and
 * wraps in what is replayed.  Blocks are written in a few places that are far from each other, no
 * more than it takes, as each costs 32768 flips; each write fills its blocks with its own number.
 * What is right is what one of the *states* says that may be found: the last, and where the journal
 * was not replayed yet, any from the last flush on, but the same for all blocks that can be read
 * (I3).
 */
#pragma once

#include "common/base/units.h"
#include "tests/engine/rot-image.h"
#include "tests/engine/support.h"

#define SCENE_SIZE (257 * MIB)
#define SCENE_JOURNAL (64 * KIB)
#define SCENE_LEAVES 3u
#define SCENE_BLOCKS 4u /* in each of these leaves */
#define SCENE_PLACES (SCENE_LEAVES * SCENE_BLOCKS)
#define SCENE_STATES 64u

typedef struct {
	const char *name;
	RotImage *image;			    /* owned */
	guint32 states[SCENE_STATES][SCENE_PLACES]; /* 0: reads as zeros */
	guint n_states;				    /* all from the last flush on */
} Scene;

/* After checkpoints and a close in order; `unclean`: opened once more, and changed, flushed,
 * changed, and then its process died. */
Scene *scene_new(const char *name, gboolean unclean);
void scene_free(Scene *scene); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

/* The block of the volume that a place is. */
guint64 scene_block(guint place);

/* What one reading found. */
typedef struct {
	guint64 allowed;	   /* a bit for each state that may be the one */
	guint errors;		   /* blocks that could not be read */
	guint8 lost[SCENE_PLACES]; /* of the places: could not be read */
} Sight;

/* How much is read; a leaf, a node, a block is read, and verified, whole or not at all. */
typedef enum {
	SCENE_FEW,   /* of each leaf that was ever written the places with their neighbours, and a
		      * block   of one other leaf in eight */
	SCENE_MOST,  /* those leaves whole, and a block of each other */
	SCENE_WHOLE, /* the volume */
} SceneExtent;

/* Reads that much, and checks it.  `news` (may be NULL): places that were written anew since, with
 * this number. */
Sight scene_read(const Scene *scene, Volume *volume, guint64 allowed, const guint32 *news,
		 SceneExtent extent);

/* Writes `number` to a place. */
int scene_write(Volume *volume, guint place, guint32 number);

static inline guint64 scene_all_states(const Scene *scene)
{
	return scene->n_states == 64 ? ~(guint64)0 : ((guint64)1 << scene->n_states) - 1;
}
