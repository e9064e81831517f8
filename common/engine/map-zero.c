/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making holes.  The cost of a hole depends on the nodes that are touched, not on its size: a
 * pointer to a subtree whose root is clean on disk is only marked dead.  map_reclaim() frees the
 * subtree later.  It walks the interval of blocks that may be below dead pointers; the superblock
 * has that interval, so that it survives a crash (I5).  Reclaiming needs no journal record: dead
 * and freed blocks read alike.
 */
#include "common/base/bounds.h"
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-path.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-stash.h"
#include "common/engine/waits.h"

#include <errno.h>

#define ZERO_FOUND 3 /* in addition to the results of node_get_unlocking() */
#define ZERO_SKIPPED 0

static gboolean node_is_pinned(const MapNode *node)
{
	return node && (node->state == NODE_DIRTY || node->state == NODE_FROZEN);
}

/* Finds the neighbours of node (level, index) that can die with it: nodes with the same parent,
 * which is made dirty.  I5: only nodes that are clean on disk may die, because reclaiming reads
 * dead nodes from the disk. */
static int zero_whole_unlocking(Map *map, guint level, guint64 index, guint64 *first, guint64 end,
				MapChange *change, MapZeroStep *ret_step)
{
	guint64 parent = node_parent(map->layout, index), next = index + 1;
	int r = path_make_dirty_unlocking(map, level + 1, parent, change);

	if (!r)
		r = slots_reserve(map->slots, 2 * FORMAT_LEVELS_MAX);
	if (r)
		return r;
	while (node_parent(map->layout, next) == parent && node_first(map, level, next) < end &&
	       node_end(map, level, next) <= end && !node_is_crossed(map, level, next) &&
	       !node_is_pinned(node_find_locked(map, level, next)))
		next++;
	*ret_step = (MapZeroStep){.first = *first,
				  .n = node_end(map, level, next - 1) - *first,
				  .whole = TRUE,
				  .level = level,
				  .index = index,
				  .count = next - index};
	return ZERO_FOUND;
}

static int zero_in_leaf_unlocking(Map *map, guint64 index, guint64 *first, guint64 end,
				  MapChange *change, MapZeroStep *ret_step)
{
	guint64 stop = min_u64(end, node_end(map, 0, index));
	gboolean mapped = FALSE;
	MapEntry entry = {0};
	MapNode *leaf;
	int r = node_get_unlocking(map, 0, index, FALSE, &leaf);

	if (r && r != MAP_HOLE)
		return r;
	for (guint64 block = *first; block < stop && !mapped; block++) {
		if (leaf)
			entry = entry_at(map->layout, &leaf->data, node_place(map->layout, block));
		mapped = entry.slot || map_entry_is_base(map, &entry, block);
	}
	if (!mapped) {
		*first = stop;
		return ZERO_SKIPPED;
	}
	r = path_make_dirty_unlocking(map, 0, index, change);
	if (!r)
		r = slots_reserve(map->slots, node_pointers(map->layout) + 2 * FORMAT_LEVELS_MAX);
	if (r)
		return r;
	*ret_step = (MapZeroStep){.first = *first, .n = stop - *first};
	return ZERO_FOUND;
}

/* Looks for the step that begins at *first, from the root down: the highest node that begins at
 * *first, ends at or before `end` and is not dirty or frozen dies whole, unless the deletion of a
 * snapshot is inside it (R6); otherwise, a part of one leaf becomes null.  What is the base's
 * counts as mapped: the nodes on the path to a part of it are made.  ZERO_FOUND: *ret_step is the
 * step. ZERO_SKIPPED: nothing is mapped at *first, which was moved behind the hole; the lock was
 * kept.  Or another result of node_get_unlocking(), and what reads read was not changed. */
static int zero_look_unlocking(Map *map, guint64 *first, guint64 end, MapChange *change,
			       MapZeroStep *ret_step)
{
	for (guint level = map->levels - 1;; level--) {
		guint64 index = *first >> node_shift(map->layout, level);
		MapEntry entry = pointer_get_locked(map, level, index);
		MapNode *node = node_find_locked(map, level, index);
		int r;

		gboolean base = *first < map->state.base_blocks &&
				map_entry_is_base(map, &entry, node_first(map, level, index));

		if ((!entry.slot && !base) || entry.dead) {
			*first = min_u64(end, node_end(map, level, index));
			return ZERO_SKIPPED;
		}
		if (level < map->levels - 1 && *first == node_first(map, level, index) &&
		    node_end(map, level, index) <= end && !node_is_pinned(node) &&
		    !node_is_crossed(map, level, index))
			return zero_whole_unlocking(map, level, index, first, end, change,
						    ret_step);
		if (level == 0)
			return zero_in_leaf_unlocking(map, index, first, end, change, ret_step);
		/* Not MAP_HOLE: the pointer was read above, under the same hold of the lock. */
		r = base ? path_make_dirty_unlocking(map, level, index, change)
			 : node_get_unlocking(map, level, index, FALSE, &node);
		if (r)
			return r;
	}
}

int map_zero_begin(Map *map, guint64 *first, guint64 end, MapZeroStep *ret_step)
{
	MapChange change = {.reserve = TRUE};
	guint64 turn = 0;
	int r = ZERO_SKIPPED;

	waits_take(map->lock);
	while (*first < end && (r == ZERO_SKIPPED || r == MAP_RESTART)) {
		turn = lock_turn(map->lock);
		r = zero_look_unlocking(map, first, end, &change, ret_step);
	}
	if (r != ZERO_FOUND) {
		lock_drop(map->lock);
		return r;
	}
	lock_check_turn(map->lock, turn);
	*first = ret_step->first + ret_step->n;
	return 1;
}

/* The number of nodes of that level among and below the nodes of the step. */
static guint64 nodes_below(const Map *map, const MapZeroStep *step, guint level)
{
	return step->count << (map->layout.shift * (step->level - level));
}

/* Takes these nodes out of the cache; looks each one up. */
static void cache_drop_each_locked(Map *map, const MapZeroStep *step)
{
	for (guint level = 0; level <= step->level; level++) {
		guint64 first = step->index << (map->layout.shift * (step->level - level));

		for (guint64 i = 0; i < nodes_below(map, step, level); i++) {
			MapNode *node = node_find_locked(map, level, first + i);

			if (node)
				node_uncache_locked(map, node);
		}
	}
}

/* The same; looks at every cached node. */
static void cache_drop_matching_locked(Map *map, const MapZeroStep *step)
{
	MapNode *next;

	for (guint i = 0; i < MAP_BUCKETS; i++)
		for (MapNode *node = map->buckets[i]; node; node = next) {
			guint l = key_level(node->key);

			next = node->hash_next;
			if (l <= step->level &&
			    (key_index(node->key) >> (map->layout.shift * (step->level - l))) -
					    step->index <
				    step->count)
				node_uncache_locked(map, node);
		}
}

/* Takes the dying nodes and all nodes below them out of the cache.  None of them is dirty or
 * frozen. */
static void cache_drop_below_locked(Map *map, const MapZeroStep *step)
{
	if (nodes_below(map, step, 0) < MAP_BUCKETS)
		cache_drop_each_locked(map, step);
	else
		cache_drop_matching_locked(map, step);
}

/* Makes node (level, index) a hole.  What a snapshot shares is left to it, for good; anything else
 * dies, and is freed later.  Returns whether the node died. */
static gboolean node_die_locked(Map *map, guint level, guint64 index)
{
	MapEntry entry = pointer_get_locked(map, level, index);
	guint64 first = node_first(map, level, index);
	gboolean dies = entry.slot && entry.birth > map_threshold(map, level, index);

	if (entry.dead || (!entry.slot && !map_entry_is_base(map, &entry, first)))
		return FALSE;
	if (dies) {
		entry.dead = TRUE;
		entry.birth = map->generation;
	} else {
		/* Nobody knows how much it was that a snapshot shares. */
		map->state.bound = map->state.bound || entry.slot;
		entry = map_zero_entry(map, first, map->generation);
	}
	pointer_set_locked(map, level, index, &entry);
	return dies;
}

static void note_death_locked(Map *map, const MapZeroStep *step)
{
	MapState *state = &map->state;

	map->deaths++;
	if (state->dead_first == state->dead_end)
		state->dead_first = G_MAXUINT64;
	state->dead_first = min_u64(state->dead_first, step->first);
	state->dead_end = max_u64(state->dead_end, step->first + step->n);
}

static void zero_whole_apply(Map *map, const MapZeroStep *step)
{
	gboolean died = FALSE;

	cache_drop_below_locked(map, step);
	for (guint64 index = step->index; index < step->index + step->count; index++)
		died |= node_die_locked(map, step->level, index);
	if (died)
		note_death_locked(map, step);
	else
		node_prune_locked(map, node_find_locked(map, step->level + 1,
							node_parent(map->layout, step->index)));
}

static void zero_leaf_apply(Map *map, const MapZeroStep *step)
{
	MapNode *leaf = node_find_locked(map, 0, node_parent(map->layout, step->first));
	MapShard *shard;

	if (!CHECKED(map->backing, leaf && leaf->state == NODE_DIRTY,
		     "I4: map_zero_begin made the leaf dirty"))
		return;
	shard = map_shard(map, leaf->key);
	lock_take(&shard->lock);
	for (guint64 block = step->first; block < step->first + step->n; block++) {
		guint at = node_place(map->layout, block);
		MapEntry entry = entry_at(map->layout, &leaf->data, at);

		if (!entry.slot && !map_entry_is_base(map, &entry, block))
			continue;
		if (entry.slot)
			block_pointer_drop_locked(map, key_index(leaf->key), &entry);
		entry = map_zero_entry(map, block, map->generation);
		entry_put(map->layout, &leaf->data, at, &entry);
	}
	lock_drop(&shard->lock);
	node_prune_locked(map, leaf);
}

void map_zero_apply(Map *map, const MapZeroStep *step)
{
	if (step->whole)
		zero_whole_apply(map, step);
	else
		zero_leaf_apply(map, step);
}
