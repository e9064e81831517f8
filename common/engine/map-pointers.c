/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/map-pointers.h"
#include "common/engine/map-nodes.h"

MapEntry pointer_get_locked(Map *map, guint level, guint64 index)
{
	MapNode *parent;

	if (level == map->levels - 1)
		return map->root;
	parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
	if (!CHECKED(map->backing, parent && parent->state != NODE_LOADING,
		     "I4: the parent is in memory"))
		return (MapEntry){0};
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
	if (!CHECKED(map->backing, parent && parent->state == NODE_DIRTY,
		     "I6: only a dirty parent is changed"))
		return;
	entry_put(map->layout, &parent->data, node_place(map->layout, index), entry);
}

/* Whether the slot of a dropped pointer stays in use, because something other than the map refers
 * to it.  (level, index) is the node that the pointer led to or, for a block, the leaf that the
 * pointer was in; `birth` is the pointer's.  FALSE: in this version, only the map refers to its
 * slots. */
static gboolean map_keeps(const Map *map, guint level, guint64 index, guint64 birth)
{
	(void)map, (void)level, (void)index, (void)birth;
	return FALSE;
}

gboolean map_shares_block(Map *map, guint64 block, const MapEntry *entry)
{
	return map_keeps(map, 0, node_parent(map->layout, block), entry->birth);
}

void block_pointer_drop_locked(Map *map, guint64 leaf, const MapEntry *entry)
{
	map->data_slots--;
	if (!map_keeps(map, 0, leaf, entry->birth))
		slots_retire(map->slots, entry->slot, 1);
}

/* Retires a node's slots.  map_thaw() puts a pair back into the stash if that is low. */
static void node_retire_locked(Map *map, guint level, guint64 slot)
{
	slots_retire(map->slots, slot, 1);
	if (!level)
		return;
	slots_retire(map->slots, slot + FORMAT_COPY_DISTANCE, 1);
	if (map->retired_pairs.n < MAP_PAIRS_LOW)
		map->retired_pairs.slots[map->retired_pairs.n++] = slot;
}

void node_pointer_drop_locked(Map *map, guint level, guint64 index, const MapEntry *entry)
{
	map->node_slots -= node_copies(level);
	if (!map_keeps(map, level, index, entry->birth))
		node_retire_locked(map, level, entry->slot);
}
