/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading nodes: from one of their copies, verified, into the cache.  Stands on map-pointers and
 * map-nodes.
 */
#pragma once

#include "common/engine/map-private.h"

/* Gets node (level, index).  0: *ret_node is in memory and readable, and the lock was kept.
 * MAP_HOLE: there is none, and the lock was kept.  MAP_RESTART: the lock was dropped to read it, or
 * a node above it, or to wait for who does; the caller begins anew.  -EAGAIN (nowait): one of these
 * has to be read; the lock was kept.  Another negative errno: it cannot be read. */
int node_get_unlocking(Map *map, guint level, guint64 index, gboolean nowait,
		       MapNode **ret_node) G_GNUC_WARN_UNUSED_RESULT;

/* Reads and verifies a node's 4 KiB, from its copy where need be, and then writes the other anew;
 * no lock, but its slots cannot be given to others meanwhile. */
int node_read(Map *map, guint level, guint64 index, const MapEntry *entry, FormatNode *out);
