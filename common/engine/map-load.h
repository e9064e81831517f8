/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading nodes: from one of their copies, verified, into the cache.  Stands on map-pointers and
 * map-nodes.
 */
#pragma once

#include "common/engine/map-private.h"

/* Gets the node, reading it if need be.  0 with *ret_node, which is NULL where the tree has none
 * (a hole). */
int node_get_unlocking(Map *map, guint level, guint64 index, gboolean nowait,
		       MapNode **ret_node) G_GNUC_WARN_UNUSED_RESULT;

/* Reads and verifies a node's 4 KiB, from its copy where need be, and then writes the other anew;
 * no lock, but its slots cannot be given to others meanwhile. */
int node_read(Map *map, guint level, guint64 index, const MapEntry *entry, FormatNode *out);
