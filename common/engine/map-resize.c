/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More blocks, or fewer.  A node's level and index do not depend on the number of levels, so all
 * nodes stay as they are.  To add a level, a new root gets the old one as its first child.  To
 * remove a level, the root is replaced by its first child, which must be its only one.
 */
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-path.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-pressure.h"
#include "common/engine/map-stash.h"

#include <errno.h>

/* Looks for pointers to anything behind block `last`, in the nodes over `last`.  0: there are none,
 * and these nodes are in memory.  -ENOTEMPTY, MAP_RESTART, or another negative errno. */
static int map_ends_at_unlocking(Map *map, guint64 last)
{
	for (guint level = map->levels; level-- > 0;) {
		guint64 index = last >> node_shift(map->layout, level);
		guint64 child = last >> (node_shift(map->layout, level) - map->layout.shift);
		MapNode *node;
		int r = node_get_unlocking(map, level, index, FALSE, &node);

		if (r)
			return r == MAP_HOLE ? 0 : r;
		for (guint i = node_place(map->layout, child) + 1; i < node_pointers(map->layout);
		     i++)
			if (!map_pointer_is_hole(map, &node->data, i))
				return -ENOTEMPTY;
	}
	return 0;
}

/* Removes roots until `levels` levels are left.  These roots are in memory, and room in the lists
 * was reserved. */
static void roots_remove_locked(Map *map, guint levels)
{
	for (; map->levels > levels; map->levels--) {
		guint level = map->levels - 1;
		MapNode *node = node_find_locked(map, level, 0);

		if (!map->state.root.slot)
			continue;
		node_pointer_drop_locked(map, level, 0, &map->state.root);
		map->state.root = pointer_get_locked(map, level - 1, 0);
		node_uncache_locked(map, node);
	}
}

/* Adds a level.  The stash suffices, and room in the lists was reserved. */
static int root_add_locked(Map *map)
{
	const MapEntry hole = {0};
	FormatNode data = {0};
	MapNode *node;

	if (map->state.root.slot) {
		entry_put(map->layout, &data, 0, &map->state.root);
		node = node_new_locked(map, map->levels, 0, NODE_DIRTY, &data);
		if (!node)
			return -ENOMEM;
		map->state.root = hole;
		map->levels++;
		node_replace_locked(map, node);
	} else {
		map->levels++;
	}
	return 0;
}

static int roots_add_locked(Map *map, guint levels)
{
	guint before = map->levels;
	int r = 0;

	while (map->levels < levels && !r)
		r = root_add_locked(map);
	if (r)
		roots_remove_locked(map, before);
	return r;
}

static int map_grow_locked(Map *map, guint levels)
{
	guint before = map->levels;
	gboolean suffices;
	int r;

	map->levels = levels;
	suffices = stash_suffices_locked(map, FALSE);
	map->levels = before;
	if (!suffices)
		return -ENOSPC;
	r = slots_reserve(map->slots, 4 * FORMAT_LEVELS_MAX);
	return r ? r : roots_add_locked(map, levels);
}

/* Called only by the one thread that changes the number of levels.  The stash for inner nodes is
 * filled first, because a map of one level has none. */
static int map_grow(Map *map, guint64 blocks, guint levels)
{
	int r = levels == map->levels ? 0 : stash_fill(map, STASH_INNER, 0);

	if (r && r != -ENOSPC)
		return r;
	lock_take(map->lock);
	r = levels == map->levels ? 0 : map_grow_locked(map, levels);
	if (!r)
		map->blocks = blocks;
	lock_drop(map->lock);
	return r;
}

static int map_shrink(Map *map, guint64 blocks, guint levels)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);
	guint64 turn;
	int r;

	do {
		turn = lock_turn(map->lock);
		r = map_ends_at_unlocking(map, blocks - 1);
	} while (r == MAP_RESTART);
	if (!r && map->state.dead_first < map->state.dead_end)
		r = -ENOTEMPTY;
	if (!r)
		r = slots_reserve(map->slots, 2 * FORMAT_LEVELS_MAX);
	if (r)
		return r;
	lock_check_turn(map->lock, turn);
	roots_remove_locked(map, levels);
	map->blocks = blocks;
	/* If the map grows again, the base's content must not come back. */
	map_set_base_blocks_locked(map, min_u64(map->state.base_blocks, blocks));
	return 0;
}

int map_resize(Map *map, guint64 size)
{
	guint64 blocks = blocks_covering(size);
	guint levels = codec_levels(map->layout, size);
	int r = blocks < map->blocks ? map_shrink(map, blocks, levels)
				     : map_grow(map, blocks, levels);

	lock_take(map->lock);
	pressure_update_locked(map);
	lock_drop(map->lock);
	return r;
}
