/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node cache: a hash of nodes by (level, index), so that a leaf is found without a walk from
 * the root, and a clock over the clean nodes.  A node that is being read is in the hash as LOADING;
 * other threads that need it wait.  If it is taken out of the hash meanwhile, its reader discards
 * what was read.
 */
#include "common/engine/map-nodes.h"

#include <errno.h>

static guint64 key_hash(guint64 key)
{
	return (key * 0x9e3779b97f4a7c15u) >> 51;
}

static MapNode **key_bucket(Map *map, guint64 key)
{
	return &map->buckets[key_hash(key)];
}

guint map_shard_number(guint64 key)
{
	return (guint)(key_hash(key) % MAP_SHARDS);
}

MapShard *map_shard(Map *map, guint64 key)
{
	return &map->shards[map_shard_number(key)].shard;
}

guint epoch_enter(Map *map, MapShard *shard)
{
	guint number = (guint)((MapShardPadded *)shard - map->shards);

	g_atomic_int_inc(&shard->readers[shard->epoch]);
	return number << 1 | shard->epoch;
}

guint epoch_enter_locked(Map *map)
{
	MapShard *shard = &map->shards[0].shard;
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&shard->lock);

	return epoch_enter(map, shard);
}

/* map_drain() sets `draining` before it reads the number of readers, and sleeps with the shard's
 * lock.  So either map_drain() sees that this reader has ended, or this reader sees `draining` and
 * wakes map_drain(). */
void map_lookup_end(Map *map, guint epoch)
{
	MapShard *shard = &map->shards[epoch >> 1].shard;
	gint side = (gint)(epoch & 1);

	if (!g_atomic_int_dec_and_test(&shard->readers[side]) ||
	    g_atomic_int_get(&shard->draining) != 1 + side)
		return;
	lock_take(&shard->lock);
	g_cond_signal(&map->drained);
	lock_drop(&shard->lock);
}

G_STATIC_ASSERT(MAP_BUCKETS == 1u << (64 - 51));
G_STATIC_ASSERT(MAP_SHARDS <= 32); /* a bit each, in map_change_write() */

void list_push(Map *map, NodeList *list, MapNode *node)
{
	if (!CHECKED(map->backing, !node->prev && !node->next && list->head != node,
		     "I7: a node is in one list at most"))
		return;
	node->next = NULL;
	node->prev = list->tail;
	if (list->tail)
		list->tail->next = node;
	else
		list->head = node;
	list->tail = node;
	list->n++;
}

void list_remove(Map *map, NodeList *list, MapNode *node)
{
	if (!CHECKED(map->backing,
		     list->n > 0 && (node->prev ? node->prev->next : list->head) == node &&
			     (node->next ? node->next->prev : list->tail) == node,
		     "I7: a node is taken out of the list that it is in"))
		return;
	if (node->prev)
		node->prev->next = node->next;
	else
		list->head = node->next;
	if (node->next)
		node->next->prev = node->prev;
	else
		list->tail = node->prev;
	node->prev = node->next = NULL;
	list->n--;
}

MapNode *node_find_locked(Map *map, guint level, guint64 index)
{
	guint64 key = node_key(level, index);
	MapNode *node = *key_bucket(map, key);

	while (node && node->key != key)
		node = node->hash_next;
	return node;
}

void node_unhash_locked(Map *map, MapNode *node)
{
	MapNode **at = key_bucket(map, node->key);
	MapShard *shard = map_shard(map, node->key);

	lock_take(&shard->lock);
	while (*at != node)
		at = &(*at)->hash_next;
	*at = node->hash_next;
	lock_drop(&shard->lock);
	node->detached = TRUE;
}

void node_uncache_locked(Map *map, MapNode *node)
{
	node_unhash_locked(map, node);
	switch (node->state) {
	case NODE_CLEAN:
		list_remove(map, &map->clean, node);
		g_free(node);
		break;
	case NODE_DIRTY:
		list_remove(map, &map->dirty, node);
		g_free(node);
		break;
	case NODE_FROZEN:  /* the checkpoint's */
	case NODE_LOADING: /* its reader's */
		break;
	}
}

/* I7: evicts clean nodes while the cache holds map_limit() nodes or more.  MAP_CLEAN_MIN clean
 * nodes stay even if dirty nodes take the whole limit (after a replay, on a full backing):
 * otherwise a lookup over two leaves might evict one to load the other, for ever. */
void node_evict_locked(Map *map)
{
	guint64 pinned = map->dirty.n + map->frozen.n + map->loading;

	while (map->clean.n > MAP_CLEAN_MIN && map->clean.n + pinned >= map_limit(map)) {
		MapNode *node = map->clean.head;

		if (__atomic_exchange_n(&node->referenced, FALSE, __ATOMIC_RELAXED)) {
			/* a second chance */
			list_remove(map, &map->clean, node);
			list_push(map, &map->clean, node);
		} else {
			node_uncache_locked(map, node);
		}
	}
}

MapNode *node_new_locked(Map *map, guint level, guint64 index, NodeState state,
			 const FormatNode *data)
{
	MapNode *node;
	MapNode **at = key_bucket(map, node_key(level, index));
	MapShard *shard;

	node_evict_locked(map);
	node = g_try_malloc(sizeof *node);
	if (!node)
		return NULL;
	memset(node, 0, G_STRUCT_OFFSET(MapNode, data));
	node->key = node_key(level, index);
	node->state = state;
	node->readable = data != NULL;
	if (data)
		node->data = *data;
	shard = map_shard(map, node->key);
	lock_take(&shard->lock);
	node->hash_next = *at;
	*at = node;
	lock_drop(&shard->lock);
	return node;
}
