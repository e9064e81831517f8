/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lookup and change.  Whatever has to read drops the lock and starts over, so that all that is
 * decided under the lock is decided on what is in memory.
 */
#include "common/base/bounds.h"
#include "common/engine/map-private.h"
#include "common/engine/waits.h"

#include <errno.h>

NodeLayout map_layout(const Map *map)
{
	return map->layout;
}

guint64 map_leaf_end(const Map *map, guint64 block)
{
	return (node_parent(map->layout, block) + 1) << map->layout.shift;
}

/* How many of blocks [first, first + n) are in the leaf of the first. */
static guint leaf_share(const Map *map, guint64 first, guint n)
{
	return MIN(n, node_pointers(map->layout) - node_place(map->layout, first));
}

void map_set_generation(Map *map, guint64 generation)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock);

	map->generation = generation;
}

void map_set_replaying(Map *map, gboolean replaying)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock);

	map->replaying = replaying;
}

/* Copies what one leaf says of blocks [first, first + n). */
static int lookup_leaf_unlocking(Map *map, guint64 first, guint n, MapEntry *entries,
				 gboolean nowait)
{
	guint at = node_place(map->layout, first);
	MapNode *leaf;
	int r = node_get_unlocking(map, 0, node_parent(map->layout, first), nowait, &leaf);

	if (r)
		return r;
	if (!leaf) {
		memset(entries, 0, n * sizeof *entries);
		return 0;
	}
	map->hits++;
	entries_get(map->layout, &leaf->data, at, n, entries);
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

/* Blocks of one leaf that is in memory: needs its shard alone. */
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
	*ret_epoch = epoch_enter(map, shard);
	return TRUE;
}

int map_lookup(Map *map, guint64 first, guint n, MapEntry *entries, gboolean nowait,
	       guint *ret_epoch)
{
	int r;

	if (lookup_quick(map, first, n, entries, ret_epoch))
		return 0;
	lock_take(&map->lock);
	do
		r = lookup_unlocking(map, first, n, entries, nowait);
	while (r == MAP_RESTART);
	if (!r)
		*ret_epoch = epoch_enter_locked(map);
	lock_drop(&map->lock);
	return r;
}

/* What only zeroing may take, so that space can always be freed; and when more is fetched. */
static const struct {
	guint reserve, low;
} stash_limits[] = {
	[STASH_LEAVES] = {192, 256},
	[STASH_INNER] = {64, MAP_PAIRS_LOW},
};

#define STASH_NEED (2 * FORMAT_LEVELS_MAX) /* of each kind for one change, at most */

static guint64 stash_take_locked(Map *map, StashKind kind)
{
	Stash *stash = &map->stashes[kind];
	guint64 slot = stash->slots[stash->first];

	stash->first = (stash->first + 1) % MAP_STASH;
	stash->n--;
	return slot;
}

static int stash_alloc(Map *map, StashKind kind, guint64 hint, SlotRun *run)
{
	return kind == STASH_INNER ? slots_alloc_pairs(map->slots, run)
				   : slots_alloc_nodes(map->slots, hint, run);
}

/* Never 0. */
static int stash_refill_unlocking(Map *map, StashKind kind, guint64 hint)
{
	Stash *stash = &map->stashes[kind];
	SlotRun run;
	int r;

	lock_drop(&map->lock);
	r = stash_alloc(map, kind, hint, &run);
	lock_take(&map->lock);
	if (r)
		return r;
	if (stash->n + run.count > MAP_STASH) { /* others refilled as well */
		if (kind == STASH_INNER)
			slots_give_back_pairs(map->slots, &run);
		else
			slots_give_back(map->slots, &run, 1, FALSE);
		return MAP_RESTART;
	}
	for (guint32 i = 0; i < run.count; i++)
		stash->slots[(stash->first + stash->n++) % MAP_STASH] = run.slot + i;
	return MAP_RESTART;
}

/* A map of one level has no inner nodes. */
static guint stash_kinds(const Map *map)
{
	return map->levels > 1 ? STASH_INNER + 1 : STASH_LEAVES + 1;
}

static gboolean stash_kind_suffices_locked(const Map *map, StashKind kind, gboolean reserve)
{
	guint kept = reserve || map->replaying ? 0 : stash_limits[kind].reserve;

	return map->stashes[kind].n >= STASH_NEED + kept;
}

gboolean stash_suffices_locked(const Map *map, gboolean reserve)
{
	for (guint kind = 0; kind < stash_kinds(map); kind++)
		if (!stash_kind_suffices_locked(map, kind, reserve))
			return FALSE;
	return TRUE;
}

/* Sees to it that the stashes suffice for one attempt.  More is asked for once: on a full backing
 * what is there must do. */
static int stash_check_unlocking(Map *map, MapChange *change)
{
	for (StashKind kind = 0; kind < stash_kinds(map); kind++) {
		int r;

		if (map->stashes[kind].n >= stash_limits[kind].low)
			continue;
		if (change->nowait || change->full[kind]) {
			if (stash_kind_suffices_locked(map, kind, change->reserve))
				continue;
			return change->nowait ? -EAGAIN : -ENOSPC;
		}
		r = stash_refill_unlocking(map, kind, 0);
		if (r != -ENOSPC)
			return r;
		change->full[kind] = TRUE;
		return MAP_RESTART;
	}
	return 0;
}

void stash_take_pair_locked(Map *map, guint64 slot)
{
	Stash *stash = &map->stashes[STASH_INNER];

	if (stash->n < MAP_PAIRS_LOW && slots_take_pair(map->slots, slot))
		stash->slots[(stash->first + stash->n++) % MAP_STASH] = slot;
}

int stash_fill(Map *map, StashKind kind, guint64 hint)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock);
	const Stash *stash = &map->stashes[kind];

	while (stash->n < stash_limits[kind].low) {
		int r = stash_refill_unlocking(map, kind, hint);

		if (r < 0)
			return r;
		hint = stash->slots[(stash->first + stash->n - 1) % MAP_STASH];
	}
	return 0;
}

int map_fill_reserve(Map *map, const Superblock *sb)
{
	int r;

	lock_take(&map->lock);
	for (guint i = 0; i < FORMAT_RESERVE_PAIRS; i++)
		stash_take_pair_locked(map, sb->reserve_pairs[i]);
	lock_drop(&map->lock);
	r = stash_fill(map, STASH_LEAVES, sb->reserve_slot);
	if (map->levels > 1 && (!r || r == -ENOSPC))
		r = stash_fill(map, STASH_INNER, 0);
	return r;
}

void node_replace_locked(Map *map, MapNode *node)
{
	MapEntry entry = {.birth = map->generation};
	guint level = key_level(node->key);

	if (node->slot)
		node_retire_locked(map, level, node->slot);
	else
		map->node_slots += node_copies(level);
	entry.slot = node->slot = stash_take_locked(map, level ? STASH_INNER : STASH_LEAVES);
	node_gain_locked(map, level, node->slot);
	pointer_set_locked(map, key_level(node->key), key_index(node->key), &entry);
	node->state = NODE_DIRTY;
	list_push(&map->dirty, node);
}

/* A frozen node stays as it is for the checkpoint; the map goes on with a copy. */
static int node_copy_for_write_locked(Map *map, MapNode *frozen)
{
	MapNode *node;

	node = node_new_locked(map, key_level(frozen->key), key_index(frozen->key), NODE_DIRTY,
			       &frozen->data);
	if (!node)
		return -ENOMEM;
	node->slot = frozen->slot;
	node_unhash_locked(map, frozen);
	node_replace_locked(map, node);
	return 0;
}

static int node_create_locked(Map *map, guint level, guint64 index)
{
	static const FormatNode empty;
	MapNode *node = node_new_locked(map, level, index, NODE_DIRTY, &empty);

	if (!node)
		return -ENOMEM;
	node_replace_locked(map, node);
	return 0;
}

/* Makes one node dirty whose parent is. */
static int node_make_dirty_unlocking(Map *map, guint level, guint64 index, gboolean nowait)
{
	MapNode *node;
	MapEntry entry;
	int r = node_get_unlocking(map, level, index, nowait, &node);

	if (r)
		return r;
	if (node && node->state == NODE_DIRTY)
		return 0;
	r = slots_reserve(map->slots, node_copies(level));
	if (r)
		return r;
	if (node && node->state == NODE_FROZEN)
		return node_copy_for_write_locked(map, node);
	if (node) {
		list_remove(&map->clean, node);
		node_replace_locked(map, node);
		return 0;
	}
	entry = pointer_get_locked(map, level, index);
	if (entry.dead)
		return nowait ? -EAGAIN : dead_resolve_unlocking(map, level, index);
	return node_create_locked(map, level, index);
}

int path_make_dirty_unlocking(Map *map, guint level, guint64 index, MapChange *change)
{
	int r = stash_check_unlocking(map, change);

	for (guint l = map->levels; l-- > level && !r;)
		r = node_make_dirty_unlocking(map, l, index >> (map->layout.shift * (l - level)),
					      change->nowait);
	return r;
}

int map_change_begin(Map *map, guint64 first, guint n, gboolean nowait)
{
	guint64 leaf = node_parent(map->layout, first);
	guint64 last = node_parent(map->layout, first + n - 1), turn;
	MapChange change = {.nowait = nowait};
	int r;

	waits_take(&map->lock);
	do {
		turn = lock_turn(&map->lock);
		r = path_make_dirty_unlocking(map, 0, leaf, &change);
		if (!r && last != leaf)
			r = path_make_dirty_unlocking(map, 0, last, &change);
		if (!r)
			r = slots_reserve(map->slots, n);
	} while (r == MAP_RESTART);
	if (r)
		lock_drop(&map->lock);
	else
		lock_check_turn(&map->lock, turn);
	return r;
}

/* Puts the blocks that are in one leaf into it; moves runs and crcs on. */
static void leaf_write(Map *map, guint64 first, guint n, const SlotRun **runs, guint32 *used,
		       const guint32 *crcs)
{
	MapNode *leaf = node_find_locked(map, 0, node_parent(map->layout, first));

	for (guint i = 0; i < n; i++) {
		guint at = node_place(map->layout, first + i);
		MapEntry old = entry_at(map->layout, &leaf->data, at);
		MapEntry entry = {
			.slot = (*runs)->slot + *used, .crc = crcs[i], .birth = map->generation};

		if (old.slot)
			slots_retire(map->slots, old.slot, 1);
		else
			map->data_slots++;
		entry_put(map->layout, &leaf->data, at, &entry);
		if (++*used == (*runs)->count) {
			slots_gain(map->slots, (*runs)->slot, (*runs)->count);
			(*runs)++;
			*used = 0;
		}
	}
}

void map_change_write(Map *map, guint64 first, guint n, const SlotRun *runs, const guint32 *crcs)
{
	guint64 last = first + n - 1;
	MapShard *a = map_shard(map, node_key(0, node_parent(map->layout, first)));
	MapShard *b = map_shard(map, node_key(0, node_parent(map->layout, last)));
	guint32 used = 0;

	/* Both at once, so that no reader sees half of a write over two leaves. */
	lock_take(&MIN(a, b)->lock);
	if (a != b)
		lock_take(&MAX(a, b)->lock);
	while (n) {
		guint piece = leaf_share(map, first, n);

		leaf_write(map, first, piece, &runs, &used, crcs);
		first += piece;
		crcs += piece;
		n -= piece;
	}
	if (a != b)
		lock_drop(&MAX(a, b)->lock);
	lock_drop(&MIN(a, b)->lock);
}

/* Payload that recovery would have to verify is bounded, so that an open after a crash is quick: to
 * what two intervals between freezes write. */
#define WANTS_BYTES (64 * MIB)
#define WANTS_RETIRED_BYTES (256 * MIB)
#define PRESSED_BYTES WANTS_BYTES
#define CROWDED_BYTES (256 * MIB)
#define NODES_OF_A_CHANGE 2

static guint64 crowded_nodes(const Map *map)
{
	return map->limit * 3 / 4;
}

static guint64 pressed_nodes(const Map *map)
{
	return crowded_nodes(map) * 3 / 4;
}

/* In percent of the way from `from` to `most`. */
static guint64 pressure_of(guint64 value, guint64 from, guint64 most)
{
	return value <= from ? 0 : MIN((value - from) * 100 / (most - from), 100);
}

static guint64 pressure_of_nodes(const Map *map)
{
	return pressure_of(map->dirty.n + map->frozen.n, pressed_nodes(map), crowded_nodes(map));
}

static guint64 pressure_of_bytes(const Map *map)
{
	return pressure_of(slots_gained_bytes(map->slots), PRESSED_BYTES, CROWDED_BYTES);
}

void pressure_update_locked(Map *map)
{
	g_atomic_int_set(&map->wants,
			 map->dirty.n > map->limit * 3 / 8 ||
				 slots_gained_bytes(map->slots) > WANTS_BYTES ||
				 slots_retired_bytes(map->slots) > WANTS_RETIRED_BYTES);
	g_atomic_int_set(&map->pressure,
			 (gint)max_u64(pressure_of_nodes(map), pressure_of_bytes(map)));
}

double map_cost(Map *map, guint64 bytes)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock);

	if (pressure_of_nodes(map) >= pressure_of_bytes(map))
		return 100.0 * NODES_OF_A_CHANGE /
		       (double)(crowded_nodes(map) - pressed_nodes(map));
	return 100.0 * (double)MAX(bytes, BLOCK_SIZE) / (CROWDED_BYTES - PRESSED_BYTES);
}

void map_change_end(Map *map)
{
	pressure_update_locked(map);
	lock_drop(&map->lock);
}

gboolean map_wants_checkpoint(Map *map)
{
	return g_atomic_int_get(&map->wants);
}

guint map_pressure(Map *map)
{
	return (guint)g_atomic_int_get(&map->pressure);
}

gboolean map_is_changed(Map *map)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock);

	return map->dirty.n > 0 || slots_retired_bytes(map->slots) > 0;
}

void map_get_info(Map *map, MapInfo *ret_info)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock);

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
		.data_slots = map->data_slots,
		.node_slots = map->node_slots,
		.pending_bytes = slots_pending_bytes(map->slots),
		.retired_bytes = slots_retired_bytes(map->slots),
		.reclaimable = map->dead_first < map->dead_end,
		.mended = __atomic_load_n(&map->mended, __ATOMIC_RELAXED),
	};
}
