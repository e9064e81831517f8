/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/map-path.h"
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-stash.h"

#include <errno.h>

/* I6: the slot that a node had is not overwritten: the last checkpoint may refer to it. */
void node_replace_locked(Map *map, MapNode *node)
{
	MapEntry entry = {.birth = map->generation};
	guint level = key_level(node->key);
	guint64 index = key_index(node->key);
	MapEntry old = pointer_get_locked(map, level, index);

	if (!CHECKED(map->backing, old.slot == node->slot, "I5: its parent names a node's slot"))
		return;
	if (old.slot)
		node_pointer_drop_locked(map, level, index, &old);
	map->state.node_slots += node_copies(level);
	map->state.head_nodes += node_copies(level);
	entry.slot = node->slot = stash_take_locked(map, level ? STASH_INNER : STASH_LEAVES);
	node_gain_locked(map, level, node->slot);
	pointer_set_locked(map, level, index, &entry);
	node->state = NODE_DIRTY;
	list_push(map, &map->dirty, node);
}

/* I6: the frozen node stays as it is for the checkpoint; the map continues with a dirty copy. */
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

/* Makes a node where there is none: what it covers reads as before. */
static int node_create_locked(Map *map, guint level, guint64 index)
{
	MapEntry above = pointer_get_locked(map, level, index);
	FormatNode data = {0};
	MapNode *node;

	for (guint i = 0; above.zero && i < node_pointers(map->layout); i++) {
		MapEntry entry =
			map_zero_entry(map, node_child_first(map, level, index, i), above.birth);

		entry_put(map->layout, &data, i, &entry);
	}
	node = node_new_locked(map, level, index, NODE_DIRTY, &data);
	if (!node)
		return -ENOMEM;
	node_replace_locked(map, node);
	return 0;
}

/* Whether nothing is mapped in the node, and one pointer can stand for it: *ret_entry.  In a linked
 * clone a part of it may be the base's, and the other part zeros: then it stays. */
static gboolean node_is_empty(const Map *map, const MapNode *node, MapEntry *ret_entry)
{
	guint level = key_level(node->key);
	guint64 index = key_index(node->key);
	gboolean base = FALSE, zeros = FALSE;

	for (guint i = 0; i < node_pointers(map->layout); i++) {
		if (!map_pointer_is_hole(map, &node->data, i))
			return FALSE;
		if (node_child_first(map, level, index, i) >= map->state.base_blocks)
			continue;
		if (entry_at_is_null(map->layout, &node->data, i))
			base = TRUE;
		else
			zeros = TRUE;
	}
	*ret_entry = zeros ? map_zero_entry(map, node_first(map, level, index), map->generation)
			   : (MapEntry){0};
	return !base || !zeros;
}

/* Room in the lists was reserved. */
void node_prune_locked(Map *map, MapNode *node)
{
	MapEntry hole;

	while (node && node->state == NODE_DIRTY && node_is_empty(map, node, &hole)) {
		guint level = key_level(node->key);
		guint64 index = key_index(node->key);
		MapEntry entry = pointer_get_locked(map, level, index);

		node_pointer_drop_locked(map, level, index, &entry);
		pointer_set_locked(map, level, index, &hole);
		node_uncache_locked(map, node);
		node = level == map->levels - 1
			       ? NULL
			       : node_find_locked(map, level + 1, node_parent(map->layout, index));
	}
}

/* Frees a dead leaf and its blocks.  Room in the lists was reserved. */
static void dead_leaf_free_locked(Map *map, guint64 index, const MapEntry *entry,
				  const FormatNode *data)
{
	MapEntry hole = map_zero_entry(map, node_first(map, 0, index), entry->birth);

	for (guint i = 0; data && i < node_pointers(map->layout); i++) {
		MapEntry below = entry_at(map->layout, data, i);

		if (below.slot)
			block_pointer_drop_locked(map, index, &below);
	}
	node_pointer_drop_locked(map, 0, index, entry);
	pointer_set_locked(map, 0, index, &hole);
}

/* What becomes of a pointer to node (level, index) when the dead node above it is taken apart: it
 * died with that node, unless a snapshot shares what is below it, or it was dead already. */
static MapEntry dead_child_locked(Map *map, guint level, guint64 index, const MapEntry *entry,
				  guint64 death)
{
	MapEntry child = *entry;

	if (!child.slot || entry_is_void(map, &child))
		return map_zero_entry(map, node_first(map, level, index), death);
	if (child.dead)
		return child;
	if (child.birth <= map_threshold(map, level, index)) {
		map->state.bound = TRUE;
		return map_zero_entry(map, node_first(map, level, index), death);
	}
	child.dead = TRUE;
	child.birth = death;
	return child;
}

/* Turns a dead inner node into a dirty node whose pointers are dead. */
static int dead_inner_open_locked(Map *map, guint level, guint64 index, const MapEntry *entry,
				  const FormatNode *data)
{
	FormatNode dead = {0};
	MapNode *node;

	for (guint i = 0; i < node_pointers(map->layout); i++) {
		MapEntry e = data ? entry_at(map->layout, data, i) : (MapEntry){0};

		e = dead_child_locked(map, level - 1, (index << map->layout.shift) + i, &e,
				      entry->birth);
		entry_put(map->layout, &dead, i, &e);
	}
	node = node_new_locked(map, level, index, NODE_DIRTY, &dead);
	if (!node)
		return -ENOMEM;
	node->slot = entry->slot;
	node_replace_locked(map, node);
	return MAP_RESTART;
}

/* Whether the dead node can be taken apart as it was read: the pointer to it is the same as before
 * the lock was dropped, its parent is dirty, and the stashes suffice. */
static gboolean dead_unchanged_locked(Map *map, guint level, guint64 index, const MapEntry *was)
{
	MapNode *parent = node_find_locked(map, level + 1, node_parent(map->layout, index));
	MapEntry now;

	if (!parent || parent->state != NODE_DIRTY || !stash_suffices_locked(map, TRUE))
		return FALSE;
	now = pointer_get_locked(map, level, index);
	return now.dead && now.slot == was->slot;
}

/* Reads a dead node with the lock dropped.  The node is on disk as it was when it died: only clean
 * nodes die, and only dead_take_apart_locked() retires their slots.  What was read therefore counts
 * if the pointer is still dead and names the same slot.  I4: the slot keeps its content meanwhile,
 * because of the reader's epoch.  0, -EBADMSG (the node is damaged), MAP_RESTART, or another
 * negative errno. */
static int dead_read_unlocking(Map *map, guint level, guint64 index, const MapEntry *entry,
			       FormatNode *out)
{
	guint epoch = epoch_enter_locked(map);
	int r;

	lock_drop(map->lock);
	r = node_read(map, level, index, entry, out);
	lock_take(map->lock);
	map_lookup_end(map, epoch);
	return dead_unchanged_locked(map, level, index, entry) ? r : MAP_RESTART;
}

/* I5: if `data` is NULL, the node is damaged, and the slots below it stay in use for ever.  That is
 * a leak, which check reports; a slot that is in use is never freed. */
static int dead_take_apart_locked(Map *map, guint level, guint64 index, const MapEntry *entry,
				  const FormatNode *data)
{
	int r = slots_reserve(map->slots, node_pointers(map->layout) + 4 * FORMAT_LEVELS_MAX);

	if (r)
		return r;
	if (level > 0)
		return dead_inner_open_locked(map, level, index, entry, data);
	dead_leaf_free_locked(map, index, entry, data);
	return MAP_RESTART;
}

/* Reads the node with the lock dropped, then takes it apart under one hold of the lock.  Each call
 * that takes a node apart leaves one dead pointer less on the path to a block, so a caller that
 * begins anew ends. */
int dead_resolve_unlocking(Map *map, guint level, guint64 index)
{
	MapEntry entry = pointer_get_locked(map, level, index);
	FormatNode data;
	int r = dead_read_unlocking(map, level, index, &entry, &data);

	if (r && r != -EBADMSG)
		return r;
	if (r)
		logging_write_limited(&map->damaged, LOGGING_WARNING,
				      "%s: node %u/%" G_GUINT64_FORMAT
				      " of discarded blocks is damaged; the space below it stays "
				      "in use",
				      map->backing->name, level, index);
	return dead_take_apart_locked(map, level, index, &entry, r ? NULL : &data);
}

/* Makes a node dirty where the tree has none. */
static int hole_make_dirty_unlocking(Map *map, guint level, guint64 index, gboolean nowait)
{
	MapEntry entry = pointer_get_locked(map, level, index);

	if (entry.dead)
		return nowait ? -EAGAIN : dead_resolve_unlocking(map, level, index);
	return node_create_locked(map, level, index);
}

/* Makes one node dirty, whose parent is dirty. */
static int node_make_dirty_unlocking(Map *map, guint level, guint64 index, gboolean nowait)
{
	MapNode *node;
	int r = node_get_unlocking(map, level, index, nowait, &node), reserved;

	if (r && r != MAP_HOLE)
		return r;
	if (node && node->state == NODE_DIRTY)
		return 0;
	reserved = slots_reserve(map->slots, node_copies(level));
	if (reserved)
		return reserved;
	if (r == MAP_HOLE)
		return hole_make_dirty_unlocking(map, level, index, nowait);
	if (node->state == NODE_FROZEN)
		return node_copy_for_write_locked(map, node);
	list_remove(map, &map->clean, node);
	node_replace_locked(map, node);
	return 0;
}

static int path_walk_unlocking(Map *map, guint level, guint64 index, gboolean nowait)
{
	int r = 0;

	for (guint l = map->levels; l-- > level && !r;)
		r = node_make_dirty_unlocking(map, l, index >> (map->layout.shift * (l - level)),
					      nowait);
	return r;
}

int path_make_dirty_unlocking(Map *map, guint level, guint64 index, MapChange *change)
{
	int r = stash_check_unlocking(map, change);

	return r ? r : path_walk_unlocking(map, level, index, change->nowait);
}

int leaves_make_dirty_unlocking(Map *map, MapChange *change)
{
	guint64 last = node_parent(map->layout, change->first + change->n - 1);
	int r = stash_check_unlocking(map, change);

	for (guint64 leaf = node_parent(map->layout, change->first); leaf <= last && !r; leaf++)
		r = path_walk_unlocking(map, 0, leaf, change->nowait);
	return r;
}
