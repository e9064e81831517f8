/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pointers to nodes, and the slots behind them.  Stands on map-nodes.
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

static inline void node_retire_locked(Map *map, guint level, guint64 slot)
{
	slots_retire(map->slots, slot, 1);
	if (!level)
		return;
	slots_retire(map->slots, slot + FORMAT_COPY_DISTANCE, 1);
	if (map->retired_pairs.n < MAP_PAIRS_LOW)
		map->retired_pairs.slots[map->retired_pairs.n++] = slot;
}
