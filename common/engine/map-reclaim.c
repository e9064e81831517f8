/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freeing the nodes and blocks below dead pointers, a node at a time, as part of ordinary
 * checkpoints.
 *
 * I5: [dead_first, dead_end) covers every block under a dead pointer of the map.  It grows where a
 * pointer dies (map-zero.c); only this file moves its start, and only over blocks that it has seen,
 * under one hold of the lock, to be under no dead pointer.
 */
#include "common/base/bounds.h"
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-path.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-pressure.h"

#include <errno.h>

/* In addition to the results of node_get_unlocking(). */
#define DEAD_FOUND 3
#define DEAD_NOT_HERE 0
#define RECLAIM_MORE 3

#define RECLAIM_LOOKS 4096 /* nodes to look at before map_reclaim() returns and drops the lock */

/* Moves the interval's start behind a damaged node, unless pointers died while the lock was
 * dropped: those may be before the node's end. */
static void dead_skip_locked(Map *map, guint level, guint64 index, guint64 deaths)
{
	if (map->deaths != deaths)
		return;
	logging_write_limited(&map->damaged, LOGGING_WARNING,
			      "%s: node %u/%" G_GUINT64_FORMAT
			      " is damaged; space discarded below it stays in use",
			      map->backing->name, level, index);
	map->state.dead_first = node_end(map, level, index);
}

/* Looks for a dead node over block dead_first, from the root down.  DEAD_FOUND: the result is node
 * (*ret_level, *ret_index).  DEAD_NOT_HERE: there is none, and the start of the interval was moved
 * behind the blocks that were looked at.  Or another result of node_get_unlocking().
 *
 * The path is walked under one hold of the lock: a call that drops it returns at once.  A null
 * pointer, or a leaf that is not dead, therefore proves that no dead pointer is over the blocks up
 * to that node's end.  Only damage is found with the lock dropped: see dead_skip_locked(). */
static int dead_find_unlocking(Map *map, guint *ret_level, guint64 *ret_index)
{
	guint64 deaths = map->deaths;

	for (guint level = map->levels - 1;; level--) {
		guint64 index = map->state.dead_first >> node_shift(map->layout, level);
		MapEntry entry = pointer_get_locked(map, level, index);
		MapNode *node;
		int r;

		if (entry.dead) {
			*ret_level = level;
			*ret_index = index;
			return DEAD_FOUND;
		}
		if (!entry.slot || level == 0) {
			map->state.dead_first = node_end(map, level, index);
			return DEAD_NOT_HERE;
		}
		r = node_get_unlocking(map, level, index, FALSE, &node);
		if (r == -EBADMSG)
			dead_skip_locked(map, level, index, deaths);
		if (r)
			return r == -EBADMSG ? DEAD_NOT_HERE : r;
	}
}

/* Looks for the first dead node of the interval.  DEAD_FOUND; DEAD_NOT_HERE: there is none, and the
 * interval is empty, or none among RECLAIM_LOOKS nodes; or a negative errno.  Begins anew after
 * MAP_RESTART. */
static int dead_search_unlocking(Map *map, guint *ret_level, guint64 *ret_index)
{
	int r = DEAD_NOT_HERE;

	for (guint looks = 0; map->state.dead_first < map->state.dead_end && looks < RECLAIM_LOOKS;
	     looks++) {
		r = dead_find_unlocking(map, ret_level, ret_index);
		if (r < 0 || r == DEAD_FOUND)
			return r;
	}
	if (map->state.dead_first >= map->state.dead_end)
		map->state.dead_first = map->state.dead_end = 0;
	return DEAD_NOT_HERE;
}

/* Removes dead node (level, index), which was taken apart, and the nodes above it if they are
 * empty. */
static void dead_prune_locked(Map *map, guint level, guint64 index)
{
	MapNode *node = node_find_locked(map, level, index);

	if (!node) /* it was a leaf */
		node = node_find_locked(map, level + 1, node_parent(map->layout, index));
	if (node && !slots_reserve(map->slots, 2 * FORMAT_LEVELS_MAX))
		node_prune_locked(map, node);
}

/* Takes the dead node (level, index) apart, and removes the nodes above it that become empty.  0,
 * MAP_RESTART, or a negative errno. */
static int dead_free_unlocking(Map *map, guint level, guint64 index, MapChange *change)
{
	guint64 above = node_parent(map->layout, index);
	int r = path_make_dirty_unlocking(map, level + 1, above, change);

	if (r)
		return r;
	r = dead_resolve_unlocking(map, level, index);
	if (r < 0)
		return r;
	dead_prune_locked(map, level, index);
	return 0;
}

/* RECLAIM_MORE: there may be more dead nodes; 0: none is left; MAP_RESTART; or a negative errno. */
static int reclaim_unlocking(Map *map, MapChange *change)
{
	guint level = 0;
	guint64 index = 0;
	int r = dead_search_unlocking(map, &level, &index);

	if (r == DEAD_FOUND)
		r = dead_free_unlocking(map, level, index, change);
	if (r)
		return r;
	return map->state.dead_first < map->state.dead_end ? RECLAIM_MORE : 0;
}

int map_reclaim(Map *map)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);
	MapChange change = {.reserve = TRUE, .reclaim = TRUE};
	int r;

	do
		r = reclaim_unlocking(map, &change);
	while (r == MAP_RESTART);
	pressure_update_locked(map);
	return r == RECLAIM_MORE ? 1 : r;
}
