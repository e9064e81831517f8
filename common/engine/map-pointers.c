/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/map-pointers.h"
#include "common/engine/map-nodes.h"

MapEntry pointer_get_locked(Map *map, guint level, guint64 index)
{
	MapNode *parent;

	if (level == map->levels - 1)
		return map->root;
	parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
	return entry_at(map->layout, &parent->data, node_place(map->layout, index));
}

void pointer_set_locked(Map *map, guint level, guint64 index, const MapEntry *entry)
{
	MapNode *parent;

	if (level == map->levels - 1) {
		map->root = *entry;
		return;
	}
	parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
	entry_put(map->layout, &parent->data, node_place(map->layout, index), entry);
}
