/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walking the map of a volume in use, from its first block to its last, to verify it.  Holes and
 * dead subtrees are skipped without being read.
 *
 * Threading: as map.h.  The map may change between two calls.
 */
#pragma once

#include "common/engine/map.h"

/* Looks for the first leaf that ends behind *block.  1: if the leaf begins behind *block, *block is
 * its first block now.  0: there is none.  A negative errno: the nodes over [*block, *ret_end)
 * cannot be read (-EBADMSG: they are damaged), or memory is exhausted. */
int map_next_leaf(Map *map, guint64 *block, guint64 *ret_end);

/* If block `block` is below a null, zero or dead pointer of an inner node, or of the map: *ret_n
 * blocks from there on are, and *ret_entry tells, as in map_lookup(), how they read.  Otherwise
 * *ret_n is 0.  0 or a negative errno. */
int map_hole(Map *map, guint64 block, MapEntry *ret_entry, guint64 *ret_n);

typedef struct {
	guint64 copies;	  /* read and verified */
	guint64 repaired; /* copies that were damaged, and rewritten */
	guint64 lost;	  /* nodes that neither the backing nor the cache has intact */
} MapNodeCount;

/* Reads and verifies every copy of node (level, index) in the backing, and adds to *count.  With
 * `repair`, a damaged copy is rewritten from the other copy, or from the cache.  A node that does
 * not exist, and one that a checkpoint will write elsewhere, is not counted.  0 or a negative
 * errno; damage is not an error. */
int map_verify_node(Map *map, guint level, guint64 index, gboolean repair, MapNodeCount *count);
