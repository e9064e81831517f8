/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading nodes into the cache, from either copy, verified.  Stands on map-pointers and map-nodes.
 */
#pragma once

#include "common/engine/map-private.h"

/* Gets node (level, index).
 *   0            *ret_node is in memory and readable; the lock was kept.
 *   MAP_HOLE     the tree has no such node, or it is dead; the lock was kept.
 *   MAP_RESTART  the lock was dropped to read this node or one above it, or to wait for a thread
 * that reads it; the caller must begin anew. -EAGAIN      nowait: a node must be read; the lock was
 * kept. other errno  the node, or one above it, cannot be read. */
int node_get_unlocking(Map *map, guint level, guint64 index, gboolean nowait,
		       MapNode **ret_node) G_GNUC_WARN_UNUSED_RESULT;

/* Reads and verifies the node that `entry` points to.  If the first copy of an inner node is
 * damaged, reads the second and rewrites the first.  Without the lock; the caller is in a reader's
 * epoch, so that the slots keep their content. */
int node_read(Map *map, guint level, guint64 index, const MapEntry *entry, FormatNode *out);
