/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/map-scan.h"
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-pointers.h"

#include <errno.h>

/* The first pointer from number `from` on that leads to something; node_pointers() if there
 * is none. */
static guint node_next_pointer(NodeLayout layout, const FormatNode *data, guint from)
{
	for (; from < node_pointers(layout); from++) {
		MapEntry entry = entry_at(layout, data, from);

		if (entry.slot && !entry.dead)
			break;
	}
	return from;
}

/* Looks at node (level, index) over *block; drops the lock to read it.  1: the node has a pointer
 * on the way to *block.  0: *block was moved to the next pointer, or the lock was dropped: begin
 * anew.  Or a negative errno. */
static int scan_step_down_unlocking(Map *map, guint level, guint64 *block, guint64 *ret_end)
{
	NodeLayout layout = map->layout;
	guint shift = node_shift(layout, level), below = shift - layout.shift;
	guint64 index = *block >> shift, child = *block >> below;
	MapNode *node;
	guint at;
	int r = node_get_unlocking(map, level, index, FALSE, &node);

	*ret_end = (index + 1) << shift;
	if (r && r != MAP_HOLE)
		return r == MAP_RESTART ? 0 : r;
	at = node ? node_next_pointer(layout, &node->data, node_place(layout, child))
		  : node_pointers(layout);
	if (at == node_place(layout, child))
		return 1;
	*block = ((index << layout.shift) + at) << below;
	return 0;
}

/* Goes down to the leaf over *block.  Returns what map_next_leaf() does; -EAGAIN: begin anew. */
static int scan_go_down_unlocking(Map *map, guint64 *block, guint64 *ret_end)
{
	for (guint level = map->levels - 1; level > 0; level--) {
		int r = scan_step_down_unlocking(map, level, block, ret_end);

		if (r <= 0)
			return r ? r : -EAGAIN;
	}
	return map->levels > 1 || (map->state.root.slot && !map->state.root.dead);
}

int map_next_leaf(Map *map, guint64 *block, guint64 *ret_end)
{
	int r = -EAGAIN;

	lock_take(map->lock);
	while (r == -EAGAIN)
		r = *block < map->blocks ? scan_go_down_unlocking(map, block, ret_end) : 0;
	lock_drop(map->lock);
	return r;
}

/* MAP_RESTART, or what map_hole() returns. */
static int hole_look_unlocking(Map *map, guint64 block, MapEntry *ret_entry, guint64 *ret_n)
{
	for (guint level = map->levels - 1;; level--) {
		guint64 index = block >> node_shift(map->layout, level);
		MapEntry entry = pointer_get_locked(map, level, index);
		MapNode *node;
		int r;

		if (!entry.slot || entry.dead) {
			*ret_entry = (MapEntry){.zero = entry.zero || entry.dead};
			*ret_n = node_end(map, level, index) - block;
			return 0;
		}
		if (!level)
			return 0;
		r = node_get_unlocking(map, level, index, FALSE, &node);
		if (r)
			return r;
	}
}

int map_hole(Map *map, guint64 block, MapEntry *ret_entry, guint64 *ret_n)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);
	int r;

	*ret_n = 0;
	do
		r = hole_look_unlocking(map, block, ret_entry, ret_n);
	while (r == MAP_RESTART);
	return r;
}

/* ---- verifying a node */

typedef struct {
	Map *map;
	guint level;
	guint64 index;
	MapEntry entry;
	FormatNode whole; /* the intact node */
	gboolean known;	  /* `whole` is valid */
} Verifying;

static gboolean verifying_matches(const Verifying *v, const FormatNode *node)
{
	return seal_node_fits(v->map->seal, v->level, v->index, node, v->entry.crc);
}

static gboolean verifying_read_copy(Verifying *v, guint64 slot)
{
	FormatNode node;

	if (backing_pread(v->map->backing, &node, sizeof node, slots_offset(v->map->slots, slot)) ||
	    !verifying_matches(v, &node))
		return FALSE;
	v->whole = node;
	v->known = TRUE;
	return TRUE;
}

/* Takes the node from the cache, if the cache has what should be on the disk. */
static void verifying_use_cache(Verifying *v)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(v->map->lock);
	MapNode *node = node_find_locked(v->map, v->level, v->index);

	if (!node || node->state != NODE_CLEAN || node->slot != v->entry.slot)
		return;
	v->whole = node->data;
	v->known = verifying_matches(v, &v->whole);
}

/* Finds the node's pointer.  1: v->entry is valid, and a reader's epoch was entered.  0: there is
 * no such node, or a checkpoint will write it elsewhere.  Or a negative errno. */
static int verifying_find_place(Verifying *v, guint *ret_epoch)
{
	Map *map = v->map;
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);
	MapNode *node;
	int r = 0;

	if (v->level < map->levels - 1)
		do
			r = node_get_unlocking(map, v->level + 1,
					       node_parent(map->layout, v->index), FALSE, &node);
		while (r == MAP_RESTART);
	if (r) /* -EBADMSG: the parent is damaged, and is counted when it is verified itself */
		return r == MAP_HOLE || r == -EBADMSG ? 0 : r;
	v->entry = pointer_get_locked(map, v->level, v->index);
	node = node_find_locked(map, v->level, v->index);
	if (!v->entry.slot || v->entry.dead ||
	    (node && (node->state == NODE_DIRTY || node->state == NODE_FROZEN)))
		return 0;
	*ret_epoch = epoch_enter_locked(map);
	return 1;
}

/* I4: the node's slots keep their content meanwhile, because a reader's epoch was entered. */
static void verifying_read_copies(Verifying *v, gboolean repair, MapNodeCount *count)
{
	guint n = v->level ? 2 : 1, damaged = 0;

	for (guint i = 0; i < n; i++)
		damaged |= (guint)!verifying_read_copy(v, v->entry.slot + i * FORMAT_COPY_DISTANCE)
			   << i;
	count->copies += n;
	if (damaged && !v->known)
		verifying_use_cache(v);
	count->lost += !v->known;
	for (guint i = 0; v->known && repair && i < n; i++)
		if (damaged >> i & 1 &&
		    !backing_pwrite(
			    v->map->backing, &v->whole, sizeof v->whole,
			    slots_offset(v->map->slots, v->entry.slot + i * FORMAT_COPY_DISTANCE)))
			count->repaired++;
}

int map_verify_node(Map *map, guint level, guint64 index, gboolean repair, MapNodeCount *count)
{
	Verifying v = {.map = map, .level = level, .index = index};
	guint epoch = 0;
	int r = verifying_find_place(&v, &epoch);

	if (r <= 0)
		return r;
	verifying_read_copies(&v, repair, count);
	map_lookup_end(map, epoch);
	return 0;
}
