/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erasing the data that an empty map has left in free slots.  The only slots in use are then those
 * kept ready for nodes; they are zeroed as well, but keep their space.
 */
#include "common/engine/map-private.h"

#include <errno.h>

/* Nothing is mapped, everything that was mapped is free, and no change waits for a checkpoint. */
static gboolean map_is_empty_locked(const Map *map)
{
	return !map->state.root.slot && !map->dirty.n && !map->frozen.n &&
	       !slots_pending_bytes(map->slots) && !slots_gained_bytes(map->slots);
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
