/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lowest part of the map: the cache of nodes, its lists, and the epochs of readers.  Stands on
 * map-private alone.
 */
#pragma once

#include "common/engine/map-private.h"

static inline void node_touch(MapNode *node)
{
	if (!__atomic_load_n(&node->referenced, __ATOMIC_RELAXED))
		__atomic_store_n(&node->referenced, TRUE, __ATOMIC_RELAXED);
}

/* The shard that a key is in. */
guint map_shard_number(guint64 key);
MapShard *map_shard(Map *map, guint64 key);

/* Enters the present epoch of a shard, whose lock is held.  The caller must pass the result to
 * map_lookup_end(). */
guint epoch_enter(Map *map, MapShard *shard);

/* The same with the map's lock held, and no shard's. */
guint epoch_enter_locked(Map *map);

/* Adds a node that is in no list at the end. */
void list_push(Map *map, NodeList *list, MapNode *node);

void list_remove(Map *map, NodeList *list, MapNode *node);

/* The node of the hash, in any state; NULL: there is none. */
MapNode *node_find_locked(Map *map, guint level, guint64 index);

/* Adds a new node to the hash, and to no list; evicts clean nodes to make room.  The node's bytes
 * are a copy of `data`; `data` NULL: they will be read.  Returns NULL if memory is exhausted. */
MapNode *node_new_locked(Map *map, guint level, guint64 index, NodeState state,
			 const FormatNode *data);

/* Takes a node out of the hash, and detaches it. */
void node_unhash_locked(Map *map, MapNode *node);

/* Takes a node out of the hash.  A clean or dirty node is freed.  A frozen or loading node is
 * detached: its checkpoint or its reader frees it. */
void node_uncache_locked(Map *map, MapNode *node);

/* Frees clean nodes until the cache is within its limit. */
void node_evict_locked(Map *map);
