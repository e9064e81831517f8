/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the map of a volume that is in use, from its first block to its last, for who verifies
 * it: what is a hole or dead costs nothing.
 *
 * Threading: as map.h; what was looked at may have changed by the time of the next call.
 */
#pragma once

#include "common/engine/map.h"

/* Moves *block on to the first leaf, from there on, that holds anything: the start of it, or *block
 * itself inside it.  1: it is there; 0: there is none any more.  A negative errno: the nodes over
 * [*block, *ret_end) cannot be read (-EBADMSG: they are damaged), or there is no memory. */
int map_next_leaf(Map *map, guint64 *block, guint64 *ret_end);

typedef struct {
	guint64 copies;	  /* read and verified */
	guint64 repaired; /* of them, damaged and written anew */
	guint64 lost;	  /* nodes of which nothing is whole */
} MapNodeCount;

/* Reads every copy of node (level, index) from the backing and verifies it; with `repair`, one that
 * is damaged is written anew from the other, or from what the cache has of it.  A node that a
 * checkpoint is going to write elsewhere, and one that is not there, counts as nothing.  Adds to
 * *count.  0 or a negative errno (not for damage). */
int map_verify_node(Map *map, guint level, guint64 index, gboolean repair, MapNodeCount *count);
