/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache of nodes and its lists, and the epochs of readers: the lowest part of the map.  Stands
 * on map-private alone.
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

/* Enters the epoch of the reader's shard, whose lock (or the map's, outside any shard's) is held;
 * what is returned is for map_lookup_end(). */
guint epoch_enter(Map *map, MapShard *shard);

guint epoch_enter_locked(Map *map);

void list_push(Map *map, NodeList *list, MapNode *node);

void list_remove(Map *map, NodeList *list, MapNode *node);

MapNode *node_find_locked(Map *map, guint level, guint64 index);

/* A new node in the hash, not in any list; evicts clean ones.  Its data is a copy of `data`; NULL
 * for one that is being read.  NULL: out of memory. */
MapNode *node_new_locked(Map *map, guint level, guint64 index, NodeState state,
			 const FormatNode *data);

void node_unhash_locked(Map *map, MapNode *node);

/* Takes a clean, dirty or frozen node out of the map (a frozen one lives on detached). */
void node_uncache_locked(Map *map, MapNode *node);

void node_evict_locked(Map *map);
