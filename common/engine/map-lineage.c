/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map's part of snapshots: what it shares with them, and what their table and their walks need
 * of it.
 */
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-pressure.h"
#include "common/engine/map-stash.h"

#include <errno.h>

void map_set_lineage_locked(Map *map, const MapLineage *lineage)
{
	map->lineage = *lineage;
	map->keeps_pairs = map->keeps_pairs || lineage->floor;
}

const MapLineage *map_lineage_locked(const Map *map)
{
	return &map->lineage;
}

void map_share_locked(Map *map, guint64 generation, MapShare *ret_share)
{
	MapState *state = &map->state;
	gboolean dying = state->dead_first < state->dead_end;

	*ret_share = (MapShare){.levels = map->levels,
				.root = state->root,
				.dying_first = dying ? state->dead_first : 0,
				.dying_end = dying ? state->dead_end : 0,
				.referenced = state->head_data,
				.nodes = state->head_nodes,
				.written = state->head_written,
				.bound = state->bound || dying,
				.written_bound = state->written_bound,
				.base_blocks = state->base_blocks};
	/* What is dying is the snapshot's alone, but was counted here: nobody knows how much. */
	state->bound = state->bound || dying;
	state->voids = state->voids || dying;
	state->dead_first = state->dead_end = 0;
	state->head_written = 0;
	state->written_bound = FALSE;
	map->deaths++; /* a search for dead nodes that has dropped the lock begins anew */
	map->lineage =
		(MapLineage){.parent = generation, .floor = generation, .threshold = generation};
}

MapEntry map_frozen_root(Map *map)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);

	return map->frozen_state.root;
}

/* Every node is clean, or being read by nobody who matters. */
static void cache_drop_all_locked(Map *map)
{
	MapNode *next;

	for (guint i = 0; i < MAP_BUCKETS; i++)
		for (MapNode *node = map->buckets[i]; node; node = next) {
			next = node->hash_next;
			node_uncache_locked(map, node);
		}
}

gboolean map_replace_locked(Map *map, const MapShare *share)
{
	MapState *state = &map->state;

	if (map->dirty.n || map->frozen.n || state->dead_first < state->dead_end)
		return FALSE;
	cache_drop_all_locked(map);
	map->blocks = blocks_covering(share->size);
	map->levels = share->levels;
	state->root = share->root;
	state->head_data = share->referenced;
	state->head_nodes = share->nodes;
	state->head_written = 0;
	state->bound = share->bound;
	state->written_bound = FALSE;
	state->voids = TRUE;
	map_set_base_blocks_locked(map, share->base_blocks);
	return TRUE;
}

void map_set_base_blocks_locked(Map *map, guint64 blocks)
{
	__atomic_store_n(&map->state.base_blocks, blocks, __ATOMIC_RELAXED);
}

void map_drop_base_locked(Map *map)
{
	if (CHECKED(map->backing, !map->state.base_blocks, "I4: nothing is read from the base"))
		map->state.has_base = FALSE;
}

guint64 map_base_blocks(const Map *map)
{
	return __atomic_load_n(&map->state.base_blocks, __ATOMIC_RELAXED);
}

guint64 map_taken_over_locked(Map *map)
{
	guint64 blocks = map->taken_over;

	map->taken_over = 0;
	return blocks;
}

void map_add_written_locked(Map *map, guint64 blocks, gboolean bound)
{
	map->state.head_written += blocks;
	map->state.written_bound = map->state.written_bound || bound;
}

gboolean map_has_voids_locked(const Map *map)
{
	return map->state.voids;
}

gboolean map_is_dying_locked(const Map *map, guint64 first, guint64 end)
{
	return map->state.dead_first < map->state.dead_end && map->state.dead_first < end &&
	       first < map->state.dead_end;
}

Lock *map_lock(Map *map)
{
	return map->lock;
}

int map_reserve_locked(Map *map, gsize entries)
{
	return slots_reserve(map->slots, entries);
}

void map_return_block_locked(Map *map, guint64 slot)
{
	map->state.data_slots--;
	slots_retire(map->slots, slot, 1);
}

void map_return_node_locked(Map *map, guint level, guint64 slot)
{
	node_retire_locked(map, level, slot);
}

int map_keep_pairs_unlocking(Map *map, guint n)
{
	int r;

	map->keeps_pairs = TRUE;
	do
		r = stash_keep_unlocking(map, STASH_INNER, n);
	while (r == MAP_RESTART);
	return r ? r : slots_reserve(map->slots, 4 * (gsize)n);
}

guint64 map_take_pair_locked(Map *map)
{
	guint64 slot = stash_take_locked(map, STASH_INNER);

	map->state.node_slots += node_copies(1);
	node_gain_locked(map, 1, slot);
	return slot;
}

int map_pointer_unlocking(Map *map, guint level, guint64 index, MapEntry *ret_entry)
{
	MapNode *parent;
	int r = 0;

	*ret_entry = (MapEntry){0};
	if (level >= map->levels || node_first(map, level, index) >= map->blocks)
		return 0;
	if (level < map->levels - 1)
		r = node_get_unlocking(map, level + 1, node_parent(map->layout, index), FALSE,
				       &parent);
	if (!r)
		*ret_entry = pointer_get_locked(map, level, index);
	return r == MAP_HOLE ? 0 : r;
}

gboolean map_pointer_locked(Map *map, guint level, guint64 index, MapEntry *ret_entry)
{
	MapNode *parent;

	*ret_entry = (MapEntry){0};
	if (level >= map->levels || node_first(map, level, index) >= map->blocks)
		return TRUE;
	if (level < map->levels - 1) {
		parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
		if (!parent || parent->state == NODE_LOADING)
			return FALSE;
	}
	*ret_entry = pointer_get_locked(map, level, index);
	return TRUE;
}

void map_prefetch_nodes(Map *map, const guint64 *slots, guint n)
{
	for (guint i = 0; i < n; i++)
		backing_prefetch(map->backing, slots_offset(map->slots, slots[i]),
				 FORMAT_SLOT_SIZE);
}

int map_leaf_unlocking(Map *map, guint64 index, const FormatNode **ret_leaf)
{
	MapNode *leaf = NULL;
	int r = 0;

	if (index < node_parent(map->layout, map->blocks + node_pointers(map->layout) - 1))
		r = node_get_unlocking(map, 0, index, FALSE, &leaf);
	*ret_leaf = leaf ? &leaf->data : NULL;
	return r == MAP_HOLE ? 0 : r;
}

int map_read_node(Map *map, guint level, guint64 index, const MapEntry *entry, FormatNode *out)
{
	return node_read(map, level, index, entry, out);
}
