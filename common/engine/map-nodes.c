/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node cache: a hash of nodes by (level, index), so that a leaf is found without a walk from
 * the root, and a clock over the clean ones.  A node that is being read stands in the hash as
 * LOADING, and whoever else wants it waits; if it is dropped meanwhile it is detached, and its
 * reader throws away what it read.
 */
#include "common/engine/map-private.h"

#include <errno.h>

static guint64 key_hash(guint64 key)
{
	return (key * 0x9e3779b97f4a7c15u) >> 51;
}

static MapNode **key_bucket(Map *map, guint64 key)
{
	return &map->buckets[key_hash(key)];
}

MapShard *map_shard(Map *map, guint64 key)
{
	return &map->shards[key_hash(key) % MAP_SHARDS].shard;
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

/* map_drain() says what it waits for before it looks at the readers, and sleeps with the shard's
 * lock: so either it sees that this was the last one, or it is woken. */
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

void list_push(NodeList *list, MapNode *node)
{
	node->next = NULL;
	node->prev = list->tail;
	if (list->tail)
		list->tail->next = node;
	else
		list->head = node;
	list->tail = node;
	list->n++;
}

void list_remove(NodeList *list, MapNode *node)
{
	if (node->prev)
		node->prev->next = node->next;
	else
		list->head = node->next;
	if (node->next)
		node->next->prev = node->prev;
	else
		list->tail = node->prev;
	list->n--;
}

static void list_free(NodeList *list)
{
	for (MapNode *node = list->head, *next; node; node = next) {
		next = node->next;
		g_free(node);
	}
}

Map *map_new(Backing *backing, Slots *slots, NodeLayout layout, const Superblock *sb,
	     gboolean read_only, GError **error)
{
	Map *map = g_try_new0(Map, 1);

	if (map)
		map->buckets = g_try_new0(MapNode *, MAP_BUCKETS);
	if (!map || !map->buckets) {
		g_free(map);
		error_set_errno(error, ENOMEM, "%s: map", backing->name);
		return NULL;
	}
	map->backing = backing;
	map->slots = slots;
	map->layout = layout;
	map->read_only = read_only;
	map->seed = sb->seed;
	map->blocks = blocks_covering(sb->size);
	map->levels = sb->levels;
	map->root = sb->map_root;
	map->data_slots = sb->data_slots;
	map->node_slots = sb->node_slots;
	map->dead_first = sb->dead_first;
	map->dead_end = sb->dead_end;
	map->limit = 256;
	lock_init(&map->lock, LOCK_MAP);
	for (guint i = 0; i < MAP_SHARDS; i++)
		lock_init(&map->shards[i].shard.lock, LOCK_SHARD);
	g_cond_init(&map->loaded);
	g_cond_init(&map->drained);
	return map;
}

void map_free(Map *map)
{
	if (!map)
		return;
	list_free(&map->clean);
	list_free(&map->dirty);
	list_free(&map->frozen);
	lock_clear(&map->lock);
	for (guint i = 0; i < MAP_SHARDS; i++)
		lock_clear(&map->shards[i].shard.lock);
	g_cond_clear(&map->loaded);
	g_cond_clear(&map->drained);
	g_free(map->buckets);
	g_free(map);
}

void map_set_limit(Map *map, guint64 nodes)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock);

	map->limit = MAX(nodes, 256);
	node_evict_locked(map);
	pressure_update_locked(map);
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
		list_remove(&map->clean, node);
		g_free(node);
		break;
	case NODE_DIRTY:
		list_remove(&map->dirty, node);
		g_free(node);
		break;
	case NODE_FROZEN:  /* the checkpoint's */
	case NODE_LOADING: /* its reader's */
		break;
	}
}

/* A few stay even where dirty nodes take all that is allowed (after a replay, on a full backing):
 * a lookup over two leaves would else throw out the one to load the other, for ever. */
void node_evict_locked(Map *map)
{
	guint64 pinned = map->dirty.n + map->frozen.n + map->loading;

	while (map->clean.n > MAP_CLEAN_MIN && map->clean.n + pinned >= map->limit) {
		MapNode *node = map->clean.head;

		if (__atomic_exchange_n(&node->referenced, FALSE, __ATOMIC_RELAXED)) {
			/* a second chance */
			list_remove(&map->clean, node);
			list_push(&map->clean, node);
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

MapEntry pointer_get_locked(Map *map, guint level, guint64 index)
{
	MapNode *parent;

	if (level == map->levels - 1)
		return map->root;
	parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
	return entry_at(map->layout, &parent->data, node_place(map->layout, index));
}

void pointer_set_locked(Map *map, guint level, guint64 index, const MapEntry *entry)
{
	MapNode *parent;

	if (level == map->levels - 1) {
		map->root = *entry;
		return;
	}
	parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
	entry_put(map->layout, &parent->data, node_place(map->layout, index), entry);
}

/* What a node from the disk says is bounded before it is used. */
static gboolean node_is_sane(Map *map, guint level, const FormatNode *data)
{
	guint64 groups = slots_groups(map->slots);
	guint below = level ? level - 1 : 0;

	for (guint i = 0; i < node_pointers(map->layout); i++) {
		MapEntry e = entry_at(map->layout, data, i);

		if (!entry_at_is_null(map->layout, data, i) &&
		    !node_slot_is_usable(below, e.slot, groups))
			return FALSE;
	}
	return TRUE;
}

/* One of the copies of a node. */
static int copy_read(Map *map, guint level, guint64 index, const MapEntry *entry, guint copy,
		     FormatNode *out)
{
	guint32 start = codec_seed(map->seed, place_of_node(level, index));
	guint64 offset = slots_offset(map->slots, entry->slot + copy * FORMAT_COPY_DISTANCE);

	/* Once more, as the disk may have had a bad moment. */
	for (guint attempt = 0; attempt < 2; attempt++) {
		int r = backing_pread(map->backing, out, sizeof *out, offset);

		if (r)
			return r == -ENXIO ? -EBADMSG : r;
		if (crc32c(start, out, sizeof *out) == entry->crc)
			return node_is_sane(map, level, out) ? 0 : -EBADMSG;
	}
	return -EBADMSG;
}

/* The first copy is damaged; `good` is what the other says. */
static void node_mend(Map *map, guint level, guint64 index, const MapEntry *entry,
		      const FormatNode *good)
{
	gboolean mended = !map->read_only && !backing_pwrite(map->backing, good, sizeof *good,
							     slots_offset(map->slots, entry->slot));

	if (mended)
		__atomic_fetch_add(&map->mended, 1, __ATOMIC_RELAXED);
	logging_write_limited(&map->damaged, LOGGING_WARNING,
			      "%s: node %u/%" G_GUINT64_FORMAT " (slot %" G_GUINT64_FORMAT
			      ") is damaged; its copy is used%s",
			      map->backing->name, level, index, entry->slot,
			      mended ? ", and it was written anew" : "");
}

int node_read(Map *map, guint level, guint64 index, const MapEntry *entry, FormatNode *out)
{
	int r = copy_read(map, level, index, entry, 0, out);

	if ((r != -EBADMSG && r != -EIO) || level == 0)
		return r;
	if (copy_read(map, level, index, entry, 1, out))
		return r;
	node_mend(map, level, index, entry, out);
	return 0;
}

/* Reads a node that its parent points to and that is not in the cache. */
static int node_load_unlocking(Map *map, guint level, guint64 index, const MapEntry *entry)
{
	MapNode *node = node_new_locked(map, level, index, NODE_LOADING, NULL);
	MapShard *shard = map_shard(map, node_key(level, index));
	guint epoch;
	int r;

	if (!node)
		return -ENOMEM;
	map->misses++;
	map->loading++;
	node->slot = entry->slot;
	epoch = epoch_enter_locked(map);
	lock_drop(&map->lock);
	r = node_read(map, level, index, entry, &node->data);
	lock_take(&map->lock);
	map_lookup_end(map, epoch);
	map->loading--;
	g_cond_broadcast(&map->loaded);
	if (node->detached) { /* dropped meanwhile: whatever was read is void */
		g_free(node);
		return MAP_RESTART;
	}
	if (r) {
		node_unhash_locked(map, node);
		g_free(node);
		return r;
	}
	lock_take(&shard->lock);
	node->readable = TRUE;
	lock_drop(&shard->lock);
	node->state = NODE_CLEAN;
	node_touch(node);
	list_push(&map->clean, node);
	return MAP_RESTART;
}

int node_get_unlocking(Map *map, guint level, guint64 index, gboolean nowait, MapNode **ret_node)
{
	MapNode *node = node_find_locked(map, level, index);
	MapEntry entry;

	*ret_node = NULL;
	if (node && node->state != NODE_LOADING) {
		node_touch(node);
		*ret_node = node;
		return 0;
	}
	if (node && nowait)
		return -EAGAIN;
	if (node) {
		lock_wait(&map->loaded, &map->lock);
		return MAP_RESTART;
	}
	if (level < map->levels - 1) {
		MapNode *parent;
		int r = node_get_unlocking(map, level + 1, node_parent(map->layout, index), nowait,
					   &parent);

		if (r || !parent)
			return r;
	}
	entry = pointer_get_locked(map, level, index);
	if (!entry.slot || entry.dead)
		return 0;
	if (nowait)
		return -EAGAIN;
	return node_load_unlocking(map, level, index, &entry);
}
