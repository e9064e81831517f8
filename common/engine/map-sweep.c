/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking the zero pointers out of the map of a linked clone that reads nothing from its base any
 * more.  They read as zeros, and so do null pointers now: nothing changes for anybody, and no
 * journal record is needed.
 */
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-path.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-pressure.h"

#define SWEEP_LOOKS 1024u /* pointers and leaves, before the lock is dropped */

static gboolean leaf_has_zeros(const Map *map, const MapNode *leaf)
{
	for (guint i = 0; i < node_pointers(map->layout); i++)
		if (entry_at(map->layout, &leaf->data, i).zero)
			return TRUE;
	return FALSE;
}

static void leaf_clear_zeros(Map *map, MapNode *leaf)
{
	const MapEntry null = {0};
	MapShard *shard = map_shard(map, leaf->key);

	lock_take(&shard->lock);
	for (guint i = 0; i < node_pointers(map->layout); i++)
		if (entry_at(map->layout, &leaf->data, i).zero)
			entry_put(map->layout, &leaf->data, i, &null);
	lock_drop(&shard->lock);
}

static int leaf_sweep_unlocking(Map *map, guint64 index, MapChange *change)
{
	MapNode *leaf;
	int r = node_get_unlocking(map, 0, index, FALSE, &leaf);

	if (r || !leaf_has_zeros(map, leaf))
		return r;
	r = path_make_dirty_unlocking(map, 0, index, change);
	if (!r)
		r = slots_reserve(map->slots, 2 * FORMAT_LEVELS_MAX);
	if (r)
		return r;
	leaf = node_find_locked(map, 0, index);
	leaf_clear_zeros(map, leaf);
	node_prune_locked(map, leaf);
	return 0;
}

/* Nulls the zero pointer to node (level, index). */
static int pointer_sweep_unlocking(Map *map, guint level, guint64 index, MapChange *change)
{
	const MapEntry null = {0};
	guint64 above = node_parent(map->layout, index);
	int r = 0;

	if (level < map->levels - 1) {
		r = path_make_dirty_unlocking(map, level + 1, above, change);
		if (!r)
			r = slots_reserve(map->slots, 2 * FORMAT_LEVELS_MAX);
	}
	if (r)
		return r;
	pointer_set_locked(map, level, index, &null);
	if (level < map->levels - 1)
		node_prune_locked(map, node_find_locked(map, level + 1, above));
	return 0;
}

/* Looks at the path to *block, and moves *block behind what was looked at. */
static int sweep_unlocking(Map *map, guint64 *block, MapChange *change)
{
	for (guint level = map->levels - 1;; level--) {
		guint64 index = *block >> node_shift(map->layout, level);
		MapEntry entry = pointer_get_locked(map, level, index);
		MapNode *node;
		int r = 0;

		if (entry.zero)
			r = pointer_sweep_unlocking(map, level, index, change);
		else if (level == 0 && entry.slot && !entry.dead)
			r = leaf_sweep_unlocking(map, index, change);
		else if (entry.slot && !entry.dead) {
			r = node_get_unlocking(map, level, index, FALSE, &node);
			if (r)
				return r;
			continue;
		}
		if (!r)
			*block = (index + 1) << node_shift(map->layout, level);
		return r;
	}
}

/* Goes to the end of what the root covers: behind the volume's end there may be zero pointers, too.
 */
int map_sweep_zeros(Map *map, guint64 *block)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);
	guint64 end = (guint64)1 << node_shift(map->layout, map->levels - 1);
	MapChange change = {.reserve = TRUE};
	int r = 0;

	for (guint i = 0; i < SWEEP_LOOKS && *block < end && (!r || r == MAP_RESTART); i++)
		r = sweep_unlocking(map, block, &change);
	pressure_update_locked(map);
	if (r && r != MAP_RESTART)
		return r;
	return *block < end;
}
