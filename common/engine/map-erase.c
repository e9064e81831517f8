/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erasing the data that an empty map has left in free slots.  The only slots in use are then those
 * kept ready for nodes; they are zeroed as well, but keep their space.
 */
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-path.h"
#include "common/engine/map-pressure.h"

#include <errno.h>

/* Nothing is mapped, everything that was mapped is free, and no change waits for a checkpoint. */
static gboolean map_is_empty_locked(const Map *map)
{
	return !map->state.root.slot && !map->dirty.n && !map->frozen.n &&
	       !slots_pending_bytes(map->slots) && !slots_gained_bytes(map->slots);
}

static int root_prune_unlocking(Map *map)
{
	MapChange change = {.reserve = TRUE, .reclaim = TRUE};
	guint level = map->levels - 1;
	int r;

	if (!map->state.root.slot)
		return 0;
	r = path_make_dirty_unlocking(map, level, 0, &change);
	if (!r)
		r = slots_reserve(map->slots, 2 * FORMAT_LEVELS_MAX);
	if (!r)
		node_prune_locked(map, node_find_locked(map, level, 0));
	return r;
}

int map_prune_root(Map *map)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);
	int r;

	do
		r = root_prune_unlocking(map);
	while (r == MAP_RESTART);
	pressure_update_locked(map);
	return r;
}

static void slot_bits_keep(SlotBits *kept, guint64 group, guint64 slot)
{
	guint bit = (guint)slot_index(slot) - FORMAT_FIRST_INDEX;

	if (slot_group(slot) == group)
		kept->words[bit / 64] |= (guint64)1 << (bit % 64);
}

static void stashes_keep_locked(const Map *map, guint64 group, SlotBits *kept)
{
	for (StashKind kind = STASH_LEAVES; kind <= STASH_INNER; kind++) {
		const Stash *stash = &map->stashes[kind];

		for (guint i = 0; i < stash->n; i++) {
			guint64 slot = stash->slots[(stash->first + i) % MAP_STASH];

			slot_bits_keep(kept, group, slot);
			if (kind == STASH_INNER)
				slot_bits_keep(kept, group, slot + FORMAT_COPY_DISTANCE);
		}
	}
}

int map_erase(Map *const *maps, guint n_maps, guint64 group)
{
	SlotBits kept = {{0}};
	gboolean empty = TRUE;

	lock_take(maps[0]->lock);
	for (guint i = 0; i < n_maps; i++) {
		empty = empty && map_is_empty_locked(maps[i]);
		stashes_keep_locked(maps[i], group, &kept);
	}
	lock_drop(maps[0]->lock);
	return empty ? slots_erase(maps[0]->slots, group, &kept) : -EBUSY;
}
