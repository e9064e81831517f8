/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pointers: reading and writing those to nodes, and dropping any.  Stands on map-nodes.
 *
 * Every pointer that the map drops goes through one of the two drop functions, which ask one
 * function, map_keeps(), whether what it led to becomes free.
 */
#pragma once

#include "common/engine/map-private.h"

/* The pointer to node (level, index), whose parent is in memory or which is the root. */
MapEntry pointer_get_locked(Map *map, guint level, guint64 index);
void pointer_set_locked(Map *map, guint level, guint64 index, const MapEntry *entry);

static inline void node_gain_locked(Map *map, guint level, guint64 slot)
{
	slots_gain(map->slots, slot, 1);
	if (level)
		slots_gain(map->slots, slot + FORMAT_COPY_DISTANCE, 1);
}

/* The map drops a pointer to a block, of leaf `leaf`.  Room in the lists was made. */
void block_pointer_drop_locked(Map *map, guint64 leaf, const MapEntry *entry);

/* The map drops the pointer to node (level, index).  Room in the lists was made. */
void node_pointer_drop_locked(Map *map, guint level, guint64 index, const MapEntry *entry);
