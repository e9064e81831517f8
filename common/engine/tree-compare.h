/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a snapshot has and one of its descendants, a snapshot or the head, has not: goes down both
 * trees beside each other, and stops where both are the same.  For whoever frees it
 * (snapshot-walk.h), or counts it (snapshot-usage.h).
 *
 * One comparison is of one leaf, or of all of a subtree that is skipped.  A walk over all blocks
 * reads each node that the snapshot has alone, and the other tree's beside it, once.
 *
 * Threading: the checkpoint thread, while no checkpoint is being made; or any one thread, if nobody
 * changes the volume.  The slots of both trees keep their content meanwhile.
 */
#pragma once

#include "common/engine/tree-walk.h"

/* A node on the way from the root to the leaf. */
typedef struct {
	guint level;
	guint64 slot;
	guint64 end; /* the first block behind it, not cut off */
} ComparedNode;

/* Valid until the lock is dropped, or the next comparison. */
typedef struct {
	ComparedNode nodes[FORMAT_LEVELS_MAX]; /* that the snapshot has alone, from the root on */
	guint n_nodes;
	guint64 end;		  /* the first block behind what was looked at, not cut off */
	guint64 threshold;	  /* what was born up to it is an ancestor's, too */
	const FormatNode *leaf;	  /* of the snapshot; NULL: it has no block alone */
	const FormatNode *beside; /* of the other; NULL: it has none */
	gboolean damaged;	  /* a node over the place is lost; `end` is behind it */
	guint level;		  /* damaged: which node */
	guint64 index;		  /* the same */
} Comparison;

typedef struct TreeCompare TreeCompare;

/* NULL: no memory (48 KiB).  `map`: the head's. */
TreeCompare *tree_compare_new(Map *map);
void tree_compare_free(TreeCompare *compare); /* NULL is allowed */

/* Chooses the trees.  `beside` NULL: the head's; of a root that is null, there is no other.  What
 * is known of the same tree from before is used again. */
void tree_compare_set(TreeCompare *compare, const MapEntry *root, guint levels,
		      const MapEntry *beside, guint beside_levels);

/* Looks at the leaf over `cursor`, with the map's lock held.  0; TREE_AGAIN: the lock was
 * dropped to read a node; or a negative errno. */
int tree_compare_unlocking(TreeCompare *compare, guint64 threshold, guint64 cursor,
			   Comparison *ret_comparison);

/* Whether the snapshot has block `i` of the leaf alone, and then which it is. */
gboolean comparison_has_alone(const Comparison *comparison, NodeLayout layout, guint i,
			      MapEntry *ret_entry);

/* Bytes that were read since it was made, those of the head left out. */
guint64 tree_compare_bytes(const TreeCompare *compare);
