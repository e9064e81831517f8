/* SPDX-License-Identifier: Apache-2.0 */
/*
 * In which blocks two maps differ that nobody changes: those of two snapshots of a volume.
 *
 * Births tell: whatever a snapshot has that was born after its ancestor was made is new, and
 * everything else is the ancestor's.  So the walk reads the nodes that changed, and nothing below
 * the others; of the ancestor it reads the nodes at the same places, and only where the new ones
 * have holes.
 *
 * Of a linked clone, what is the base's is visited where `from` does not have it from the base,
 * too.
 *
 * Threading: any; a walk takes 70 KiB of stack, and nothing of the node cache.
 */
#pragma once

#include "common/engine/map.h"

typedef struct {
	guint64 first, n;	 /* blocks */
	const MapEntry *entries; /* what each is now: at most FORMAT_POINTERS_MAX; NULL: all read as
				  * zeros, or the base, and n may be of any size */
	gboolean base;		 /* entries are NULL: the base's */
} MapDiffRun;

/* Called in the order of blocks.  0: go on.  Anything else ends the walk, which returns it. */
typedef int (*MapDiffVisit)(gpointer data, const MapDiffRun *run);

/* Visits, from block `first` on, every block of `to` that may differ from the same block of `from`.
 *
 *   since  from      `from` is
 *   0      NULL      an empty volume: what `to` maps is visited
 *   > 0    NULL      an ancestor of `to` of that generation, a bookmark: it has no map any more, so
 *                    that all holes of changed nodes are visited
 *   > 0    not NULL  an ancestor of `to` of that generation
 *   0      not NULL  any other map over the same slots
 *
 * Blocks behind the end of `from` are holes of it.  0, what `visit` returned, or a negative errno
 * with *ret_block in the blocks below the node that cannot be read (-EBADMSG: it is damaged). */
int map_diff(Map *to, Map *from, guint64 since, guint64 first, MapDiffVisit visit, gpointer data,
	     guint64 *ret_block);
