/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holes.  Making one costs by the nodes that it touches: a pointer to a whole subtree that is clean
 * on disk is only marked dead.  What is below is freed later by map_reclaim(), which walks the
 * interval of blocks that dead pointers may be over; that interval is part of the superblock, so
 * that a crash does not lose track of it.  Nothing of it needs the journal: dead and freed read
 * alike.
 */
#include "common/base/bounds.h"
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-path.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-stash.h"
#include "common/engine/waits.h"

#include <errno.h>

#define ZERO_FOUND 2
#define ZERO_SKIPPED 0

static gboolean node_is_pinned(const MapNode *node)
{
	return node && (node->state == NODE_DIRTY || node->state == NODE_FROZEN);
}

/* The nodes side by side, under one dirty parent, that can be declared dead together. */
static int zero_whole_unlocking(Map *map, guint level, guint64 index, guint64 *first, guint64 end,
				MapChange *change)
{
	guint64 parent = node_parent(map->layout, index), next = index + 1;
	int r = path_make_dirty_unlocking(map, level + 1, parent, change);

	if (r)
		return r;
	while (node_parent(map->layout, next) == parent && node_first(map, level, next) < end &&
	       node_end(map, level, next) <= end &&
	       !node_is_pinned(node_find_locked(map, level, next)))
		next++;
	map->step = (ZeroStep){level, TRUE, index, next - index};
	*first = node_end(map, level, next - 1);
	return ZERO_FOUND;
}

static int zero_in_leaf_unlocking(Map *map, guint64 index, guint64 *first, guint64 end,
				  MapChange *change)
{
	guint64 stop = min_u64(end, node_end(map, 0, index));
	gboolean mapped = FALSE;
	MapNode *leaf;
	int r = node_get_unlocking(map, 0, index, FALSE, &leaf);

	if (r)
		return r;
	for (guint64 block = *first; leaf && block < stop && !mapped; block++)
		mapped =
			!entry_at_is_null(map->layout, &leaf->data, node_place(map->layout, block));
	if (!mapped) {
		*first = stop;
		return ZERO_SKIPPED;
	}
	r = path_make_dirty_unlocking(map, 0, index, change);
	if (!r)
		r = slots_reserve(map->slots, node_pointers(map->layout) + 2 * FORMAT_LEVELS_MAX);
	if (r)
		return r;
	map->step = (ZeroStep){0, FALSE, *first, stop - *first};
	*first = stop;
	return ZERO_FOUND;
}

/* Looks from the root down for something to do at *first. */
static int zero_look_unlocking(Map *map, guint64 *first, guint64 end, MapChange *change)
{
	for (guint level = map->levels - 1;; level--) {
		guint64 index = *first >> node_shift(map->layout, level);
		MapEntry entry = pointer_get_locked(map, level, index);
		MapNode *node = node_find_locked(map, level, index);
		int r;

		if (!entry.slot || entry.dead) {
			*first = min_u64(end, node_end(map, level, index));
			return ZERO_SKIPPED;
		}
		if (level < map->levels - 1 && *first == node_first(map, level, index) &&
		    node_end(map, level, index) <= end && !node_is_pinned(node))
			return zero_whole_unlocking(map, level, index, first, end, change);
		if (level == 0)
			return zero_in_leaf_unlocking(map, index, first, end, change);
		r = node_get_unlocking(map, level, index, FALSE, &node);
		if (r)
			return r;
	}
}

int map_zero_begin(Map *map, guint64 *first, guint64 end, guint64 *ret_first, guint64 *ret_n)
{
	MapChange change = {.reserve = TRUE};
	guint64 from = *first, turn = 0;
	int r = ZERO_SKIPPED;

	waits_take(map->lock);
	while (*first < end && (r == ZERO_SKIPPED || r == MAP_RESTART)) {
		turn = lock_turn(map->lock);
		from = *first;
		r = zero_look_unlocking(map, first, end, &change);
	}
	if (r != ZERO_FOUND) {
		lock_drop(map->lock);
		return r;
	}
	lock_check_turn(map->lock, turn);
	*ret_first = from;
	*ret_n = *first - from;
	return 1;
}

/* Nodes of that level at or below the step's. */
static guint64 nodes_below(const Map *map, const ZeroStep *step, guint level)
{
	return step->count << (map->layout.shift * (step->level - level));
}

/* Drops what is cached of them by looking each one up. */
static void cache_drop_each_locked(Map *map, const ZeroStep *step)
{
	for (guint level = 0; level <= step->level; level++) {
		guint64 first = step->first << (map->layout.shift * (step->level - level));

		for (guint64 i = 0; i < nodes_below(map, step, level); i++) {
			MapNode *node = node_find_locked(map, level, first + i);

			if (node)
				node_uncache_locked(map, node);
		}
	}
}

/* The same by looking at everything that is cached. */
static void cache_drop_matching_locked(Map *map, const ZeroStep *step)
{
	MapNode *next;

	for (guint i = 0; i < MAP_BUCKETS; i++)
		for (MapNode *node = map->buckets[i]; node; node = next) {
			guint l = key_level(node->key);

			next = node->hash_next;
			if (l <= step->level &&
			    (key_index(node->key) >> (map->layout.shift * (step->level - l))) -
					    step->first <
				    step->count)
				node_uncache_locked(map, node);
		}
}

/* Takes dying nodes, and what is cached below them, out of the cache; nothing of it is pinned. */
static void cache_drop_below_locked(Map *map, const ZeroStep *step)
{
	if (nodes_below(map, step, 0) < MAP_BUCKETS)
		cache_drop_each_locked(map, step);
	else
		cache_drop_matching_locked(map, step);
}

static void zero_whole_apply(Map *map, const ZeroStep *step)
{
	cache_drop_below_locked(map, step);
	for (guint64 index = step->first; index < step->first + step->count; index++) {
		MapEntry entry = pointer_get_locked(map, step->level, index);

		if (!entry.slot || entry.dead)
			continue;
		entry.dead = TRUE;
		pointer_set_locked(map, step->level, index, &entry);
	}
	map->deaths++;
	if (map->dead_first == map->dead_end)
		map->dead_first = G_MAXUINT64;
	map->dead_first = min_u64(map->dead_first, node_first(map, step->level, step->first));
	map->dead_end =
		max_u64(map->dead_end, node_end(map, step->level, step->first + step->count - 1));
}

static void zero_leaf_apply(Map *map, const ZeroStep *step)
{
	const MapEntry hole = {0};
	MapNode *leaf = node_find_locked(map, 0, node_parent(map->layout, step->first));
	MapShard *shard = map_shard(map, leaf->key);

	lock_take(&shard->lock);
	for (guint64 block = step->first; block < step->first + step->count; block++) {
		guint at = node_place(map->layout, block);
		MapEntry entry = entry_at(map->layout, &leaf->data, at);

		if (!entry.slot)
			continue;
		block_pointer_drop_locked(map, key_index(leaf->key), &entry);
		entry_put(map->layout, &leaf->data, at, &hole);
	}
	lock_drop(&shard->lock);
	node_prune_locked(map, leaf);
}

void map_zero_apply(Map *map)
{
	if (map->step.whole)
		zero_whole_apply(map, &map->step);
	else
		zero_leaf_apply(map, &map->step);
}
