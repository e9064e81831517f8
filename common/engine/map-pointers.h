/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pointers: getting and setting pointers to nodes, and dropping pointers to nodes and blocks.
 * Stands on map-nodes.
 *
 * I5: every pointer that the map drops goes through one of the two drop functions, and only
 * map_keeps() decides whether the slot is retired.
 */
#pragma once

#include "common/engine/map-private.h"

/* The pointer to node (level, index): the root, or a node whose parent is in memory (to set:
 * dirty).  A void pointer is got as map_zero_entry(). */
MapEntry pointer_get_locked(Map *map, guint level, guint64 index);
void pointer_set_locked(Map *map, guint level, guint64 index, const MapEntry *entry);

/* Adds a new node's slots to the list of gained slots.  Room in the lists was reserved. */
static inline void node_gain_locked(Map *map, guint level, guint64 slot)
{
	slots_gain(map->slots, slot, 1);
	if (level)
		slots_gain(map->slots, slot + FORMAT_COPY_DISTANCE, 1);
}

/* Retires a node's slots.  map_thaw() puts a pair back into the stash if that is low. */
void node_retire_locked(Map *map, guint level, guint64 slot);

/* The map drops a pointer of leaf `leaf` to a block.  Room in the lists was reserved. */
void block_pointer_drop_locked(Map *map, guint64 leaf, const MapEntry *entry);

/* The map drops the pointer to node (level, index).  Room in the lists was reserved. */
void node_pointer_drop_locked(Map *map, guint level, guint64 index, const MapEntry *entry);
