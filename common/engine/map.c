/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookup and change.  A function that must read a node drops the lock to do so, and its caller then
 * begins anew.  Every decision is therefore made on nodes in memory, under one hold of the lock.
 */
#include "common/base/bounds.h"
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-path.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-pressure.h"
#include "common/engine/map-stash.h"
#include "common/engine/waits.h"

#include <errno.h>

static void list_free(NodeList *list)
{
	for (MapNode *node = list->head, *next; node; node = next) {
		next = node->next;
		g_free(node);
	}
}

Map *map_new(Backing *backing, Slots *slots, const Seal *seal, NodeLayout layout,
	     const Superblock *sb, gboolean read_only, GError **error)
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
	map->seal = seal;
	map->blocks = blocks_covering(sb->size);
	map->levels = sb->levels;
	map->state = (MapState){.root = sb->map_root,
				.data_slots = sb->data_slots,
				.node_slots = sb->node_slots,
				.head_data = sb->head_data,
				.head_nodes = sb->head_nodes,
				.head_written = sb->head_written,
				.dead_first = sb->dead_first,
				.dead_end = sb->dead_end,
				.bound = sb->head_bound,
				.written_bound = sb->head_written_bound,
				.voids = sb->head_voids,
				.base_blocks = sb->base_blocks};
	map->has_base = map->state.has_base = (sb->incompatible & FORMAT_INCOMPATIBLE_BASE) != 0;
	map->lineage.parent = map->lineage.threshold = sb->head_parent;
	map->lineage.floor = sb->head_void;
	map->lock = slots_lists_lock(slots);
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
	for (guint i = 0; i < MAP_SHARDS; i++)
		lock_clear(&map->shards[i].shard.lock);
	g_cond_clear(&map->loaded);
	g_cond_clear(&map->drained);
	g_free(map->buckets);
	g_free(map);
}

void map_set_limit(Map *map, guint64 nodes)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);

	map->limit = nodes;
	node_evict_locked(map);
	pressure_update_locked(map);
}

NodeLayout map_layout(const Map *map)
{
	return map->layout;
}

guint64 map_leaf_end(const Map *map, guint64 block)
{
	return (node_parent(map->layout, block) + 1) << map->layout.shift;
}

/* How many of blocks [first, first + n) are in the leaf over block `first`. */
static guint leaf_share(const Map *map, guint64 first, guint n)
{
	guint left = node_pointers(map->layout) - node_place(map->layout, first);

	return MIN(n, left);
}

void map_set_generation(Map *map, guint64 generation)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);

	map->generation = generation;
}

void map_set_replaying(Map *map, gboolean replaying)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);

	map->replaying = replaying;
}

/* Whether the map has a zero or dead pointer over the leaf, of which there is no node. */
static gboolean leaf_is_zero_locked(Map *map, guint64 leaf)
{
	for (guint level = 0;; level++, leaf = node_parent(map->layout, leaf)) {
		MapNode *parent =
			level < map->levels - 1
				? node_find_locked(map, level + 1, node_parent(map->layout, leaf))
				: NULL;
		MapEntry entry;

		if (level < map->levels - 1 && (!parent || parent->state == NODE_LOADING))
			continue;
		entry = pointer_get_locked(map, level, leaf);
		return entry.zero || entry.dead;
	}
}

/* Tells which holes read as zeros. */
static void holes_resolve(const Map *map, guint64 first, guint n, MapEntry *entries, gboolean zero)
{
	guint64 end = map_base_blocks(map);

	for (guint i = 0; i < n; i++)
		if (!entries[i].slot && (zero || first + i >= end))
			entries[i].zero = TRUE;
}

/* Copies the entries of blocks [first, first + n), which are in one leaf. */
static int lookup_leaf_unlocking(Map *map, guint64 first, guint n, MapEntry *entries,
				 gboolean nowait)
{
	guint at = node_place(map->layout, first);
	MapNode *leaf;
	int r = node_get_unlocking(map, 0, node_parent(map->layout, first), nowait, &leaf);

	if (r == MAP_HOLE) {
		memset(entries, 0, n * sizeof *entries);
		if (map->has_base)
			holes_resolve(map, first, n, entries,
				      leaf_is_zero_locked(map, node_parent(map->layout, first)));
		return 0;
	}
	if (r)
		return r;
	map->hits++;
	entries_get(map->layout, &leaf->data, at, n, entries);
	if (map->has_base)
		holes_resolve(map, first, n, entries, FALSE);
	return 0;
}

static int lookup_unlocking(Map *map, guint64 first, guint n, MapEntry *entries, gboolean nowait)
{
	while (n) {
		guint piece = leaf_share(map, first, n);
		int r = lookup_leaf_unlocking(map, first, piece, entries, nowait);

		if (r)
			return r;
		first += piece;
		entries += piece;
		n -= piece;
	}
	return 0;
}

/* Looks up blocks of one leaf that is in memory, with no lock but its shard's.  FALSE: the blocks
 * are in several leaves, or the leaf must be read. */
static gboolean lookup_quick(Map *map, guint64 first, guint n, MapEntry *entries, guint *ret_epoch)
{
	guint at = node_place(map->layout, first);
	guint64 index = node_parent(map->layout, first);
	MapShard *shard = map_shard(map, node_key(0, index));
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;
	MapNode *leaf;

	if (at + n > node_pointers(map->layout))
		return FALSE;
	locker = lock_hold(&shard->lock);
	leaf = node_find_locked(map, 0, index);
	if (!leaf || !leaf->readable)
		return FALSE;
	node_touch(leaf);
	shard->hits++;
	entries_get(map->layout, &leaf->data, at, n, entries);
	if (G_UNLIKELY(map->has_base))
		holes_resolve(map, first, n, entries, FALSE);
	*ret_epoch = epoch_enter(map, shard);
	return TRUE;
}

int map_lookup(Map *map, guint64 first, guint n, MapEntry *entries, gboolean nowait,
	       guint *ret_epoch)
{
	int r;

	if (lookup_quick(map, first, n, entries, ret_epoch))
		return 0;
	lock_take(map->lock);
	do
		r = lookup_unlocking(map, first, n, entries, nowait);
	while (r == MAP_RESTART);
	if (!r)
		*ret_epoch = epoch_enter_locked(map);
	lock_drop(map->lock);
	return r;
}

/* Begins anew until one attempt keeps the lock.  0, or a negative errno. */
static int change_prepare_unlocking(Map *map, guint64 first, guint n, gboolean nowait)
{
	MapChange change = {.first = first, .n = n, .nowait = nowait};
	guint64 turn;
	int r;

	do {
		turn = lock_turn(map->lock);
		r = leaves_make_dirty_unlocking(map, &change);
		if (!r)
			r = slots_reserve(map->slots, n);
	} while (r == MAP_RESTART);
	if (!r)
		lock_check_turn(map->lock, turn);
	return r;
}

int map_change_begin(Map *map, guint64 first, guint n, gboolean nowait)
{
	int r;

	waits_take(map->lock);
	r = change_prepare_unlocking(map, first, n, nowait);
	if (r)
		lock_drop(map->lock);
	return r;
}

int map_change_next(Map *map, guint64 first, guint n, gboolean nowait)
{
	pressure_update_locked(map);
	return change_prepare_unlocking(map, first, n, nowait);
}

gboolean map_change_matches(Map *map, guint64 first, guint n, const MapEntry *entries)
{
	for (guint i = 0; i < n; i++) {
		MapNode *leaf = node_find_locked(map, 0, node_parent(map->layout, first + i));
		MapEntry now;

		if (!CHECKED(map->backing, leaf && leaf->state == NODE_DIRTY,
			     "I4: map_change_begin made the leaf dirty"))
			return FALSE;
		now = entry_at(map->layout, &leaf->data, node_place(map->layout, first + i));
		if (now.slot != entries[i].slot || now.birth != entries[i].birth ||
		    now.crc != entries[i].crc)
			return FALSE;
	}
	return TRUE;
}

/* Writes the entries of `n` blocks that are in one leaf.  Slot number *used of **runs is the first
 * block's; both advance.  I5: the lists of gained and retired slots change with the leaf, under one
 * hold of the lock. */
static void leaf_write(Map *map, guint64 first, guint n, const SlotRun **runs, guint32 *used,
		       const guint32 *crcs)
{
	MapNode *leaf = node_find_locked(map, 0, node_parent(map->layout, first));

	if (!CHECKED(map->backing, leaf && leaf->state == NODE_DIRTY,
		     "I4: map_change_begin made the leaf dirty"))
		return;
	for (guint i = 0; i < n; i++) {
		guint at = node_place(map->layout, first + i);
		MapEntry old = entry_at(map->layout, &leaf->data, at);
		MapEntry entry = {
			.slot = (*runs)->slot + *used, .crc = crcs[i], .birth = map->generation};

		if (old.slot)
			block_pointer_drop_locked(map, key_index(leaf->key), &old);
		map->state.data_slots++;
		map->state.head_data++;
		map->state.head_written++;
		entry_put(map->layout, &leaf->data, at, &entry);
		if (++*used == (*runs)->count) {
			slots_gain(map->slots, (*runs)->slot, (*runs)->count);
			(*runs)++;
			*used = 0;
		}
	}
}

/* A bit for each shard that has a leaf over blocks [first, first + n). */
static guint32 shards_over(Map *map, guint64 first, guint n)
{
	guint64 last = node_parent(map->layout, first + n - 1);
	guint32 shards = 0;

	for (guint64 leaf = node_parent(map->layout, first); leaf <= last; leaf++)
		shards |= (guint32)1 << map_shard_number(node_key(0, leaf));
	return shards;
}

/* Takes the locks in the order of their addresses, as lock.h requires. */
static void shards_take(Map *map, guint32 shards)
{
	for (; shards; shards &= shards - 1)
		lock_take(&map->shards[__builtin_ctz(shards)].shard.lock);
}

static void shards_drop(Map *map, guint32 shards)
{
	for (; shards; shards &= shards - 1)
		lock_drop(&map->shards[__builtin_ctz(shards)].shard.lock);
}

void map_change_write(Map *map, guint64 first, guint n, const SlotRun *runs, const guint32 *crcs)
{
	guint32 shards = shards_over(map, first, n), used = 0;

	/* I3: all shards are locked, so that no reader sees a part of the write. */
	shards_take(map, shards);
	while (n) {
		guint piece = leaf_share(map, first, n);

		leaf_write(map, first, piece, &runs, &used, crcs);
		first += piece;
		crcs += piece;
		n -= piece;
	}
	shards_drop(map, shards);
}

void map_change_end(Map *map)
{
	pressure_update_locked(map);
	lock_drop(map->lock);
}

void map_change_cancel(Map *map, guint64 first)
{
	MapNode *leaf = node_find_locked(map, 0, node_parent(map->layout, first));

	if (leaf && !slots_reserve(map->slots, 2 * FORMAT_LEVELS_MAX))
		node_prune_locked(map, leaf);
	map_change_end(map);
}

gboolean map_is_changed(Map *map)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);

	return map->dirty.n > 0 || slots_retired_bytes(map->slots) > 0;
}

void map_get_info(Map *map, MapInfo *ret_info)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);

	guint64 hits = map->hits;

	for (guint i = 0; i < MAP_SHARDS; i++) {
		MapShard *shard = &map->shards[i].shard;

		lock_take(&shard->lock);
		hits += shard->hits;
		lock_drop(&shard->lock);
	}
	*ret_info = (MapInfo){
		.nodes = map->clean.n + map->dirty.n + map->frozen.n,
		.dirty = map->dirty.n + map->frozen.n,
		.hits = hits,
		.misses = map->misses,
		.data_slots = map->state.data_slots,
		.node_slots = map->state.node_slots,
		.head_data = map->state.head_data,
		.head_nodes = map->state.head_nodes,
		.head_bound = map->state.bound,
		.pending_bytes = slots_pending_bytes(map->slots),
		.retired_bytes = slots_retired_bytes(map->slots),
		.reclaimable = map->state.dead_first < map->state.dead_end,
		.mended = __atomic_load_n(&map->mended, __ATOMIC_RELAXED),
	};
}
