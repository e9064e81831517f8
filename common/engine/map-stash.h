/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots that are kept ready for nodes.  Stands on map-private alone.
 */
#pragma once

#include "common/engine/map-private.h"

guint64 stash_take_locked(Map *map, StashKind kind);

/* Sees to it that the stashes suffice for one attempt.  More is asked for once: on a full backing
 * what is there must do. */
int stash_check_unlocking(Map *map, MapChange *change);

/* Puts a pair into the stash, if it is free and the stash is low. */
void stash_take_pair_locked(Map *map, guint64 slot);

/* Fills one up, from `hint` on: 0, or a negative errno.  The lock is not held. */
int stash_fill(Map *map, StashKind kind, guint64 hint);

/* Whether the stashes suffice for one change, with what is kept for zeroing or without. */
gboolean stash_suffices_locked(const Map *map, gboolean reserve);
