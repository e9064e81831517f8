/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/map-stash.h"

#include <errno.h>

/* `reserve`: slots that only zeroing and reclaiming may take, so that space can be freed on a full
 * backing.  `low`: while the stash has fewer, more are fetched. */
static const struct {
	guint reserve, low;
} stash_limits[] = {
	[STASH_LEAVES] = {192, 256},
	[STASH_INNER] = {64, MAP_PAIRS_LOW},
};

/* Of each kind, what zeroing leaves while there are snapshots: for reclaiming, and for the pages of
 * the snapshot table, so that a snapshot can be deleted when zeroing can go on no more. */
#define STASH_DELETION 32u

/* The least number of slots of each kind that there must be for any change: twice what it takes to
 * make one path from the root dirty and to take apart one dead node on it. */
#define STASH_NEED (2 * FORMAT_LEVELS_MAX)

guint64 stash_take_locked(Map *map, StashKind kind)
{
	Stash *stash = &map->stashes[kind];
	guint64 slot = stash->slots[stash->first];

	if (!CHECKED(map->backing, stash->n > 0, "I5: stash_check saw to slots for this change"))
		return 0;
	stash->first = (stash->first + 1) % MAP_STASH;
	stash->n--;
	return slot;
}

#define STASH_RUN 64u /* most slots that are fetched at once */

static int stash_alloc(Map *map, StashKind kind, guint64 hint, SlotRun *run)
{
	return kind == STASH_INNER ? slots_alloc_pairs(map->slots, run)
				   : slots_alloc_nodes(map->slots, hint, run);
}

/* Drops the lock to fetch up to STASH_RUN slots.  MAP_RESTART, or a negative errno. */
static int stash_refill_unlocking(Map *map, StashKind kind, guint64 hint)
{
	Stash *stash = &map->stashes[kind];
	SlotRun run;
	int r;

	lock_drop(map->lock);
	r = stash_alloc(map, kind, hint, &run);
	lock_take(map->lock);
	if (r)
		return r;
	if (stash->n + run.count > MAP_STASH) { /* other threads refilled the stash meanwhile */
		if (kind == STASH_INNER)
			slots_give_back_pairs(map->slots, &run);
		else
			slots_give_back(map->slots, &run, 1, FALSE);
		return MAP_RESTART;
	}
	for (guint32 i = 0; i < run.count; i++)
		stash->slots[(stash->first + stash->n++) % MAP_STASH] = run.slot + i;
	return MAP_RESTART;
}

/* How many kinds of slots the map needs: a map of one level has no inner nodes. */
static guint stash_kinds(const Map *map)
{
	return map->levels > 1 || map->keeps_pairs ? STASH_INNER + 1 : STASH_LEAVES + 1;
}

/* The number of nodes of that level over blocks [first, first + n), n > 0. */
static guint nodes_over(const Map *map, guint level, guint64 first, guint n)
{
	guint shift = node_shift(map->layout, level);

	return (guint)(((first + n - 1) >> shift) - (first >> shift)) + 1;
}

/* The most slots of that kind that one attempt takes: one for each node over the blocks, or
 * STASH_NEED if that is more. */
static guint change_need(const Map *map, const MapChange *change, StashKind kind)
{
	guint need = 0;

	if (change->n && kind == STASH_LEAVES)
		need = nodes_over(map, 0, change->first, change->n);
	for (guint level = 1; change->n && kind == STASH_INNER && level < map->levels; level++)
		need += nodes_over(map, level, change->first, change->n);
	return MAX(need, STASH_NEED);
}

/* How many slots the stash must have: the most that the change takes, and the reserve, unless the
 * change may use it. */
static guint stash_enough(const Map *map, const MapChange *change, StashKind kind)
{
	guint kept = stash_limits[kind].reserve;

	if (change->reclaim || map->replaying)
		kept = 0;
	else if (change->reserve)
		kept = map->lineage.floor ? STASH_DELETION : 0;
	return change_need(map, change, kind) + kept;
}

gboolean stash_suffices_locked(const Map *map, gboolean reserve)
{
	const MapChange change = {.reserve = reserve, .reclaim = reserve};

	for (guint kind = 0; kind < stash_kinds(map); kind++)
		if (map->stashes[kind].n < stash_enough(map, &change, kind))
			return FALSE;
	return TRUE;
}

int stash_check_unlocking(Map *map, MapChange *change)
{
	for (StashKind kind = 0; kind < stash_kinds(map); kind++) {
		guint have = map->stashes[kind].n, enough = stash_enough(map, change, kind);
		int r;

		if (!CHECKED(map->backing, enough + STASH_RUN <= MAP_STASH,
			     "I7: the stash has room for what one change needs"))
			return -EIO;
		if (have >= stash_limits[kind].low && have >= enough)
			continue;
		if (change->nowait || change->full[kind]) {
			if (have >= enough)
				continue;
			return change->nowait ? -EAGAIN : -ENOSPC;
		}
		r = stash_refill_unlocking(map, kind, 0);
		if (r != -ENOSPC)
			return r;
		change->full[kind] = TRUE;
		return MAP_RESTART;
	}
	return 0;
}

int stash_keep_unlocking(Map *map, StashKind kind, guint n)
{
	int r;

	if (map->stashes[kind].n >= n + STASH_NEED)
		return 0;
	if (n + STASH_NEED > MAP_STASH - STASH_RUN)
		return -ENOSPC;
	r = stash_refill_unlocking(map, kind, 0);
	return r == -ENOSPC && map->stashes[kind].n >= n ? 0 : r;
}

void stash_take_pair_locked(Map *map, guint64 slot)
{
	Stash *stash = &map->stashes[STASH_INNER];

	if (stash->n < MAP_PAIRS_LOW && slots_take_pair(map->slots, slot))
		stash->slots[(stash->first + stash->n++) % MAP_STASH] = slot;
}

int stash_fill(Map *map, StashKind kind, guint64 hint)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);
	const Stash *stash = &map->stashes[kind];

	while (stash->n < stash_limits[kind].low) {
		int r = stash_refill_unlocking(map, kind, hint);

		if (r < 0)
			return r;
		hint = stash->slots[(stash->first + stash->n - 1) % MAP_STASH];
	}
	return 0;
}

int map_fill_reserve(Map *map, const Superblock *sb)
{
	int r;

	lock_take(map->lock);
	for (guint i = 0; i < FORMAT_RESERVE_PAIRS; i++)
		stash_take_pair_locked(map, sb->reserve_pairs[i]);
	lock_drop(map->lock);
	r = stash_fill(map, STASH_LEAVES, sb->reserve_slot);
	if (stash_kinds(map) > STASH_INNER && (!r || r == -ENOSPC))
		r = stash_fill(map, STASH_INNER, 0);
	return r;
}
