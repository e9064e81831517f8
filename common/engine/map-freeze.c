/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map's part of a checkpoint.  Dirty nodes are frozen at one instant and written level by
 * level, leaves first, because a node holds its children's checksums.  The checksum of a written
 * node goes into its frozen parent; if the parent was copied for a change meanwhile, and the copy
 * still points to the same slot, the checksum goes into the copy as well.
 *
 * I6: frozen nodes do not change, apart from these checksums, and they are written to slots that no
 * earlier checkpoint refers to.
 */
#include "common/engine/map-nodes.h"
#include "common/engine/map-stash.h"
#include "common/engine/map-pressure.h"

#include <errno.h>
#include <stdlib.h>

#define BATCH 64 /* nodes in one write */

static void nodes_freeze_locked(Map *map)
{
	if (!CHECKED(map->backing, !map->frozen.n,
		     "I6: the nodes of the freeze before are written"))
		return;
	map->frozen = map->dirty;
	map->dirty = (NodeList){0};
	for (MapNode *node = map->frozen.head; node; node = node->next) {
		guint level = key_level(node->key);

		node->state = NODE_FROZEN;
		node->parent =
			level == map->levels - 1
				? NULL
				: node_find_locked(map, level + 1,
						   node_parent(map->layout, key_index(node->key)));
	}
	map->frozen_retired_pairs = map->retired_pairs;
	map->retired_pairs.n = 0;
}

void map_freeze(Map *const *maps, guint n_maps, guint64 next, void (*cut)(gpointer data),
		gpointer data)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(maps[0]->lock);

	for (guint i = 0; i < n_maps; i++) {
		nodes_freeze_locked(maps[i]);
		maps[i]->generation = next;
	}
	/* I5, I6: nodes, lists of slots and journal are cut under one hold of the lock. */
	slots_freeze(maps[0]->slots);
	cut(data);
	for (guint i = 0; i < n_maps; i++) {
		maps[i]->frozen_state = maps[i]->state;
		pressure_update_locked(maps[i]);
	}
}

/* Puts the checksum into pointer `at` of a parent, if the pointer still names that slot. */
static void pointer_checksum(NodeLayout layout, FormatNode *parent, guint at, guint64 slot,
			     guint32 crc)
{
	MapEntry entry = entry_at(layout, parent, at);

	if (entry.slot != slot)
		return;
	entry.crc = crc;
	entry_put(layout, parent, at, &entry);
}

/* Puts the checksum of a written node into every pointer to it. */
static void node_publish_locked(Map *map, MapNode *node, guint32 crc)
{
	guint level = key_level(node->key);
	guint64 index = key_index(node->key);
	guint at = node_place(map->layout, index);
	MapNode *now;

	if (!node->parent) {
		map->frozen_state.root.crc = crc;
		if (map->state.root.slot == node->slot)
			map->state.root.crc = crc;
		return;
	}
	pointer_checksum(map->layout, &node->parent->data, at, node->slot, crc);
	now = node_find_locked(map, level + 1, node_parent(map->layout, index));
	if (now && now != node->parent)
		pointer_checksum(map->layout, &now->data, at, node->slot, crc);
}

/* The node was written, and its parents have its checksum: it is clean now.  A detached node is not
 * the map's any more, and is freed. */
static void node_thaw_locked(Map *map, MapNode *node)
{
	list_remove(map, &map->frozen, node);
	if (node->detached) {
		g_free(node);
		return;
	}
	node->state = NODE_CLEAN;
	node_touch(node);
	list_push(map, &map->clean, node);
}

/* Writes `n` nodes of one level, whose slots are consecutive, in one operation for each copy. */
static int frozen_write_batch(Map *map, MapNode **nodes, guint n)
{
	struct iovec iov[BATCH];
	guint32 crc[BATCH];
	int r = 0;

	for (guint i = 0; i < n; i++) {
		crc[i] = seal_node(map->seal, key_level(nodes[i]->key), key_index(nodes[i]->key),
				   &nodes[i]->data);
		iov[i] = (struct iovec){&nodes[i]->data, FORMAT_SLOT_SIZE};
	}
	for (guint copy = 0; copy < node_copies(key_level(nodes[0]->key)) && !r; copy++)
		r = backing_pwritev(
			map->backing, iov, (int)n,
			slots_offset(map->slots, nodes[0]->slot + copy * FORMAT_COPY_DISTANCE),
			BACKING_WAIT);
	if (r)
		return r;
	lock_take(map->lock);
	for (guint i = 0; i < n; i++) {
		node_publish_locked(map, nodes[i], crc[i]);
		node_thaw_locked(map, nodes[i]);
	}
	node_evict_locked(map);
	pressure_update_locked(map);
	lock_drop(map->lock);
	return 0;
}

/* Orders by level, then by slot. */
static int compare_nodes(const void *a, const void *b)
{
	const MapNode *x = *(MapNode *const *)a, *y = *(MapNode *const *)b;
	guint p = key_level(x->key), q = key_level(y->key);

	if (p != q)
		return p < q ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int frozen_write_sorted(Map *map, MapNode **nodes, guint64 n)
{
	guint64 i = 0;

	while (i < n) {
		guint count = 1;
		int r;

		while (i + count < n && count < BATCH &&
		       nodes[i + count]->slot == nodes[i]->slot + count &&
		       key_level(nodes[i + count]->key) == key_level(nodes[i]->key))
			count++;
		r = frozen_write_batch(map, nodes + i, count);
		if (r)
			return r;
		i += count;
	}
	return 0;
}

/* All frozen nodes are written: the next freeze may come. */
static void pairs_set_aside(Map *map)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);

	if (map->frozen_retired_pairs.n)
		map->leaving_pairs = map->frozen_retired_pairs;
	map->frozen_retired_pairs.n = 0;
}

int map_write_frozen(Map *map)
{
	g_autofree MapNode **nodes = NULL;
	guint64 n = 0;
	int r;

	lock_take(map->lock);
	nodes = g_try_new(MapNode *, MAX(map->frozen.n, 1));
	for (MapNode *node = map->frozen.head; node && nodes; node = node->next)
		nodes[n++] = node;
	lock_drop(map->lock);
	if (!nodes)
		return -ENOMEM;
	qsort(nodes, n, sizeof *nodes, compare_nodes);
	r = frozen_write_sorted(map, nodes, n);
	if (!r)
		pairs_set_aside(map);
	return r;
}

void map_frozen_state(Map *map, Superblock *sb)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);
	const Stash *leaves = &map->stashes[STASH_LEAVES], *inner = &map->stashes[STASH_INNER];
	const MapState *frozen = &map->frozen_state;

	sb->map_root = frozen->root;
	sb->data_slots = frozen->data_slots;
	sb->node_slots = frozen->node_slots;
	sb->head_data = frozen->head_data;
	sb->head_nodes = frozen->head_nodes;
	sb->head_written = frozen->head_written;
	sb->head_bound = frozen->bound;
	sb->head_written_bound = frozen->written_bound;
	sb->head_voids = frozen->voids;
	sb->base_blocks = frozen->base_blocks;
	if (!frozen->has_base) {
		sb->incompatible &= ~FORMAT_INCOMPATIBLE_BASE;
		sb->base = (BaseIdentity){.generation = 0};
	}
	sb->dead_first = frozen->dead_first;
	sb->dead_end = frozen->dead_end;
	if (leaves->n)
		sb->reserve_slot = leaves->slots[leaves->first];
	for (guint i = 0; i < FORMAT_RESERVE_PAIRS; i++)
		sb->reserve_pairs[i] =
			i < inner->n ? inner->slots[(inner->first + i) % MAP_STASH] : 0;
}

/* I4: a slot keeps its content while a reader may still read it.  Readers that begin from now on
 * are counted in the other epoch, and are not waited for. */
void map_drain(Map *map)
{
	for (guint i = 0; i < MAP_SHARDS; i++) {
		MapShard *shard = &map->shards[i].shard;
		guint before;

		lock_take(&shard->lock);
		before = shard->epoch;
		shard->epoch = !before;
		g_atomic_int_set(&shard->draining, 1 + (gint)before);
		while (g_atomic_int_get(&shard->readers[before]) > 0)
			lock_wait(&map->drained, &shard->lock);
		g_atomic_int_set(&shard->draining, 0);
		lock_drop(&shard->lock);
	}
}

/* Puts the pairs that inner nodes gave up before the freeze back into the stash, while that is
 * low. */
static void pairs_thaw_locked(Map *map)
{
	PairList *pairs = &map->leaving_pairs;

	for (guint i = 0; i < pairs->n; i++)
		stash_take_pair_locked(map, pairs->slots[i]);
	pairs->n = 0;
}

void map_thaw(Map *const *maps, guint n_maps)
{
	Lock *lock = maps[0]->lock;
	Slots *slots = maps[0]->slots;
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(lock);

	slots_switch(slots);
	while (slots_thaw(slots)) { /* requests may take the lock in between */
		lock_drop(lock);
		g_usleep(50);
		lock_take(lock);
	}
	for (guint i = 0; i < n_maps; i++)
		pairs_thaw_locked(maps[i]);
}
