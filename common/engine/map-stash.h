/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots that are kept ready for nodes, because a node gets its slot under the map's lock, and the
 * allocator may do I/O.  Stands on map-private alone.
 */
#pragma once

#include "common/engine/map-private.h"

/* Takes a slot for a node; the stash has one, as stash_check_unlocking() made sure. */
guint64 stash_take_locked(Map *map, StashKind kind);

/* Makes sure that the stashes suffice for one attempt at the change; may fetch slots.  On a full
 * backing, slots are fetched once for a change: then the slots that the stashes have must suffice.
 * 0, MAP_RESTART, -EAGAIN (nowait), -ENOSPC, or another negative errno. */
int stash_check_unlocking(Map *map, MapChange *change);

/* Makes sure that `n` slots can be taken, for something other than a change; they may come from the
 * slots that are kept for zeroing, but leave enough of them for one step.  0, MAP_RESTART, -ENOSPC,
 * or another negative errno. */
int stash_keep_unlocking(Map *map, StashKind kind, guint n);

/* Takes a pair of slots into the stash, if both are free and the stash is low. */
void stash_take_pair_locked(Map *map, guint64 slot);

/* Fills a stash up, with slots from `hint` on where they are free.  0 or a negative errno.  The
 * caller does not hold the lock. */
int stash_fill(Map *map, StashKind kind, guint64 hint);

/* Whether the stashes suffice for a change of one path.  `reserve`: the change may use the slots
 * that are kept for zeroing. */
gboolean stash_suffices_locked(const Map *map, gboolean reserve);
