/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/map-pointers.h"
#include "common/engine/map-nodes.h"

MapEntry pointer_get_locked(Map *map, guint level, guint64 index)
{
	MapNode *parent;
	MapEntry entry;

	if (level == map->levels - 1)
		return map->state.root;
	parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
	if (!CHECKED(map->backing, parent && parent->state != NODE_LOADING,
		     "I4: the parent is in memory"))
		return (MapEntry){0};
	entry = entry_at(map->layout, &parent->data, node_place(map->layout, index));
	return entry_is_void(map, &entry)
		       ? map_zero_entry(map, node_first(map, level, index), entry.birth)
		       : entry;
}

void pointer_set_locked(Map *map, guint level, guint64 index, const MapEntry *entry)
{
	MapNode *parent;

	if (level == map->levels - 1) {
		map->state.root = *entry;
		return;
	}
	parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
	if (!CHECKED(map->backing, parent && parent->state == NODE_DIRTY,
		     "I6: only a dirty parent is changed"))
		return;
	entry_put(map->layout, &parent->data, node_place(map->layout, index), entry);
}

/* Whether the slot of a dropped pointer stays in use, because a snapshot refers to it as well.
 * (level, index) is the node that the pointer led to or, for a block, the leaf that the pointer was
 * in; `birth` is the pointer's. */
static gboolean map_keeps(const Map *map, guint level, guint64 index, guint64 birth)
{
	/* `threshold` is the larger of the two. */
	return birth <= map->lineage.threshold && birth <= map_threshold(map, level, index);
}

gboolean map_shares_block(Map *map, guint64 block, const MapEntry *entry)
{
	return map_keeps(map, 0, node_parent(map->layout, block), entry->birth);
}

void block_pointer_drop_locked(Map *map, guint64 leaf, const MapEntry *entry)
{
	const MapLineage *lineage = &map->lineage;

	map->state.head_data--;
	map->state.head_written -= entry->birth > lineage->parent;
	if (map_keeps(map, 0, leaf, entry->birth))
		return;
	map->state.data_slots--;
	slots_retire(map->slots, entry->slot, 1);
	if (entry->birth <= lineage->threshold && entry->birth > lineage->before)
		map->taken_over++;
}

void node_retire_locked(Map *map, guint level, guint64 slot)
{
	map->state.node_slots -= node_copies(level);
	slots_retire(map->slots, slot, 1);
	if (!level)
		return;
	slots_retire(map->slots, slot + FORMAT_COPY_DISTANCE, 1);
	if (map->retired_pairs.n < MAP_PAIRS_LOW)
		map->retired_pairs.slots[map->retired_pairs.n++] = slot;
}

void node_pointer_drop_locked(Map *map, guint level, guint64 index, const MapEntry *entry)
{
	map->state.head_nodes -= node_copies(level);
	if (!map_keeps(map, level, index, entry->birth))
		node_retire_locked(map, level, entry->slot);
}
