/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freeing what dead pointers are over.
 */
#include "common/base/bounds.h"
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-path.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-pressure.h"

#include <errno.h>

#define ZERO_FOUND 2
#define ZERO_SKIPPED 0
#define RECLAIM_MORE 2
#define RECLAIM_LOOKS 4096 /* before the lock is let go */

/* The interval's start moves over a node that cannot be read, unless pointers died meanwhile: they
 * may be before its end. */
static void dead_skip_locked(Map *map, guint level, guint64 index, guint64 deaths)
{
	if (map->deaths != deaths)
		return;
	logging_write_limited(&map->damaged, LOGGING_WARNING,
			      "%s: node %u/%" G_GUINT64_FORMAT
			      " is damaged; space discarded below it stays in use",
			      map->backing->name, level, index);
	map->dead_first = node_end(map, level, index);
}

/* Moves the interval's start to the next dead pointer, whose place it returns with ZERO_FOUND.
 * ZERO_SKIPPED: look again. */
static int dead_find_unlocking(Map *map, guint *ret_level, guint64 *ret_index)
{
	guint64 deaths = map->deaths;

	for (guint level = map->levels - 1;; level--) {
		guint64 index = map->dead_first >> node_shift(map->layout, level);
		MapEntry entry = pointer_get_locked(map, level, index);
		MapNode *node;
		int r;

		if (entry.dead) {
			*ret_level = level;
			*ret_index = index;
			return ZERO_FOUND;
		}
		if (!entry.slot || level == 0) {
			map->dead_first = node_end(map, level, index);
			return ZERO_SKIPPED;
		}
		r = node_get_unlocking(map, level, index, FALSE, &node);
		if (r == -EBADMSG)
			dead_skip_locked(map, level, index, deaths);
		if (r)
			return r == -EBADMSG ? ZERO_SKIPPED : r;
	}
}

/* RECLAIM_MORE: something may be left; 0: nothing is. */
static int reclaim_unlocking(Map *map, MapChange *change)
{
	guint level = 0, looks = 0;
	guint64 index = 0;
	MapNode *parent;
	int r = ZERO_SKIPPED;

	while (map->dead_first < map->dead_end && r != ZERO_FOUND && looks++ < RECLAIM_LOOKS) {
		r = dead_find_unlocking(map, &level, &index);
		if (r < 0)
			return r;
	}
	if (map->dead_first >= map->dead_end) {
		map->dead_first = map->dead_end = 0;
		return 0;
	}
	if (r != ZERO_FOUND)
		return RECLAIM_MORE;
	r = path_make_dirty_unlocking(map, level + 1, node_parent(map->layout, index), change);
	if (r)
		return r;
	r = dead_resolve_unlocking(map, level, index);
	if (r < 0)
		return r;
	parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
	if (parent && !slots_reserve(map->slots, 2 * FORMAT_LEVELS_MAX))
		node_prune_locked(map, parent);
	return RECLAIM_MORE;
}

int map_reclaim(Map *map)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);
	MapChange change = {.reserve = TRUE};
	int r;

	do
		r = reclaim_unlocking(map, &change);
	while (r == MAP_RESTART);
	pressure_update_locked(map);
	return r == RECLAIM_MORE ? 1 : r;
}
