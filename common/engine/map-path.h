/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copy-on-write: making the nodes from the root to a leaf dirty, and taking apart dead nodes on
 * that path.  Stands on map-load and map-stash.
 */
#pragma once

#include "common/engine/map-private.h"

/* Makes every node from the root to (level, index) dirty, and creates the missing ones. */
int path_make_dirty_unlocking(Map *map, guint level, guint64 index,
			      MapChange *change) G_GNUC_WARN_UNUSED_RESULT;

/* The same for every leaf over the change's blocks. */
int leaves_make_dirty_unlocking(Map *map, MapChange *change) G_GNUC_WARN_UNUSED_RESULT;

/* Takes apart the dead node (level, index), whose parent is dirty.  A leaf is freed with its
 * blocks.  An inner node becomes a dirty node whose pointers are dead.  MAP_RESTART, or a negative
 * errno. */
int dead_resolve_unlocking(Map *map, guint level, guint64 index) G_GNUC_WARN_UNUSED_RESULT;

/* Removes a dirty node if it is empty, and then its parents that become empty. */
void node_prune_locked(Map *map, MapNode *node);

/* Makes a node dirty that is in no list: gives it its next slot, from the stash, and retires its
 * present slot, if it has one.  Room in the lists was reserved. */
void node_replace_locked(Map *map, MapNode *node);
