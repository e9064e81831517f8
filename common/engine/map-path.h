/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making the nodes from the root to a leaf dirty, and what lies dead in the way apart.  Stands on
 * map-load and map-stash.
 */
#pragma once

#include "common/engine/map-private.h"

/* Makes every node from the root to (level, index) dirty, making those that are missing. */
int path_make_dirty_unlocking(Map *map, guint level, guint64 index,
			      MapChange *change) G_GNUC_WARN_UNUSED_RESULT;

/* The same for every leaf over the change's blocks. */
int leaves_make_dirty_unlocking(Map *map, MapChange *change) G_GNUC_WARN_UNUSED_RESULT;

/* Takes apart the dead node (level, index), whose parent is dirty: a leaf is freed, of an inner
 * node a dirty one with dead pointers is left.  Never 0. */
int dead_resolve_unlocking(Map *map, guint level, guint64 index) G_GNUC_WARN_UNUSED_RESULT;

/* Removes a dirty node that has become empty, and its parents that become so. */
void node_prune_locked(Map *map, MapNode *node);

/* Gives a node that is in no list its next slot, from the stash, and makes it dirty; the slot that
 * it had is retired.  Room in the lists was made. */
void node_replace_locked(Map *map, MapNode *node);
