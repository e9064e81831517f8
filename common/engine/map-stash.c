/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/map-stash.h"

#include <errno.h>

/* What only zeroing may take, so that space can always be freed; and when more is fetched. */
static const struct {
	guint reserve, low;
} stash_limits[] = {
	[STASH_LEAVES] = {192, 256},
	[STASH_INNER] = {64, MAP_PAIRS_LOW},
};

#define STASH_NEED (2 * FORMAT_LEVELS_MAX) /* of each kind for one change, at most */

guint64 stash_take_locked(Map *map, StashKind kind)
{
	Stash *stash = &map->stashes[kind];
	guint64 slot = stash->slots[stash->first];

	stash->first = (stash->first + 1) % MAP_STASH;
	stash->n--;
	return slot;
}

static int stash_alloc(Map *map, StashKind kind, guint64 hint, SlotRun *run)
{
	return kind == STASH_INNER ? slots_alloc_pairs(map->slots, run)
				   : slots_alloc_nodes(map->slots, hint, run);
}

/* Never 0. */
static int stash_refill_unlocking(Map *map, StashKind kind, guint64 hint)
{
	Stash *stash = &map->stashes[kind];
	SlotRun run;
	int r;

	lock_drop(&map->lock);
	r = stash_alloc(map, kind, hint, &run);
	lock_take(&map->lock);
	if (r)
		return r;
	if (stash->n + run.count > MAP_STASH) { /* others refilled as well */
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

/* A map of one level has no inner nodes. */
static guint stash_kinds(const Map *map)
{
	return map->levels > 1 ? STASH_INNER + 1 : STASH_LEAVES + 1;
}

static gboolean stash_kind_suffices_locked(const Map *map, StashKind kind, gboolean reserve)
{
	guint kept = reserve || map->replaying ? 0 : stash_limits[kind].reserve;

	return map->stashes[kind].n >= STASH_NEED + kept;
}

gboolean stash_suffices_locked(const Map *map, gboolean reserve)
{
	for (guint kind = 0; kind < stash_kinds(map); kind++)
		if (!stash_kind_suffices_locked(map, kind, reserve))
			return FALSE;
	return TRUE;
}

int stash_check_unlocking(Map *map, MapChange *change)
{
	for (StashKind kind = 0; kind < stash_kinds(map); kind++) {
		int r;

		if (map->stashes[kind].n >= stash_limits[kind].low)
			continue;
		if (change->nowait || change->full[kind]) {
			if (stash_kind_suffices_locked(map, kind, change->reserve))
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

void stash_take_pair_locked(Map *map, guint64 slot)
{
	Stash *stash = &map->stashes[STASH_INNER];

	if (stash->n < MAP_PAIRS_LOW && slots_take_pair(map->slots, slot))
		stash->slots[(stash->first + stash->n++) % MAP_STASH] = slot;
}

int stash_fill(Map *map, StashKind kind, guint64 hint)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock);
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

	lock_take(&map->lock);
	for (guint i = 0; i < FORMAT_RESERVE_PAIRS; i++)
		stash_take_pair_locked(map, sb->reserve_pairs[i]);
	lock_drop(&map->lock);
	r = stash_fill(map, STASH_LEAVES, sb->reserve_slot);
	if (map->levels > 1 && (!r || r == -ENOSPC))
		r = stash_fill(map, STASH_INNER, 0);
	return r;
}
