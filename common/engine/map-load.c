/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/map-load.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-pointers.h"

#include <errno.h>

/* I9: whether every pointer of a node from the disk names a slot that there can be. */
static gboolean node_is_sane(Map *map, guint level, const FormatNode *data)
{
	guint64 groups = slots_groups(map->slots);
	guint below = level ? level - 1 : 0;

	for (guint i = 0; i < node_pointers(map->layout); i++) {
		MapEntry e = entry_at(map->layout, data, i);

		if (!entry_at_is_null(map->layout, data, i) && !entry_is_sane(&e, below, groups))
			return FALSE;
	}
	return TRUE;
}

/* Reads one copy of a node.  I4: it counts only with the checksum that the parent has. */
static int copy_read(Map *map, guint level, guint64 index, const MapEntry *entry, guint copy,
		     FormatNode *out)
{
	guint64 offset = slots_offset(map->slots, entry->slot + copy * FORMAT_COPY_DISTANCE);

	/* Twice, because the damage may have been in the transfer. */
	for (guint attempt = 0; attempt < 2; attempt++) {
		int r = backing_pread(map->backing, out, sizeof *out, offset);

		if (r)
			return r == -ENXIO ? -EBADMSG : r;
		if (seal_node_fits(map->seal, level, index, out, entry->crc))
			return node_is_sane(map, level, out) ? 0 : -EBADMSG;
	}
	return -EBADMSG;
}

/* Rewrites the first copy, which is damaged, with `good`, the other copy. */
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
			      mended ? "; it was rewritten" : "");
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

/* Completes reading a node, with the lock held again.  r: the result of node_read().  MAP_RESTART,
 * or a negative errno. */
static int node_loaded_locked(Map *map, MapNode *node, int r)
{
	MapShard *shard = map_shard(map, node->key);

	map->loading--;
	g_cond_broadcast(&map->loaded);
	if (node->detached) { /* dropped from the cache meanwhile: what was read is void */
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
	if (key_level(node->key))
		node->unused = TRUE;
	else
		node_touch(node);
	list_push(map, &map->clean, node);
	return MAP_RESTART;
}

/* An inner node is wanted only where a node below it is not in memory, so one over a single leaf
 * that is in use must not stay in that leaf's place.  That it leads to the node for which it was
 * read is no use of it yet. */
static void node_use_locked(MapNode *node)
{
	if (node->unused)
		node->unused = FALSE;
	else
		node_touch(node);
}

/* Reads a node that is not in the cache, with the lock dropped.  MAP_RESTART, or a negative errno.
 *
 * The node is in the hash as LOADING, so that no other thread reads it as well.  I4: the slot keeps
 * its content until the reader's epoch is drained.  A thread that changes the pointer to the node
 * while the lock is dropped also takes the node out of the hash, which detaches it.  A node that is
 * not detached is therefore still the node of the tree. */
static int node_load_unlocking(Map *map, guint level, guint64 index, const MapEntry *entry)
{
	MapNode *node = node_new_locked(map, level, index, NODE_LOADING, NULL);
	guint epoch;
	int r;

	if (!node)
		return -ENOMEM;
	map->misses++;
	map->loading++;
	node->slot = entry->slot;
	epoch = epoch_enter_locked(map);
	lock_drop(map->lock);
	r = node_read(map, level, index, entry, &node->data);
	lock_take(map->lock);
	map_lookup_end(map, epoch);
	return node_loaded_locked(map, node, r);
}

/* Gets the pointer to a node from its parent, or from the map for the root.  0 with *ret_entry, or
 * what node_get_unlocking() returns. */
static int node_find_pointer_unlocking(Map *map, guint level, guint64 index, gboolean nowait,
				       MapEntry *ret_entry)
{
	MapNode *parent;
	int r = 0;

	if (level < map->levels - 1)
		r = node_get_unlocking(map, level + 1, node_parent(map->layout, index), nowait,
				       &parent);
	if (r)
		return r;
	*ret_entry = pointer_get_locked(map, level, index);
	return ret_entry->slot && !ret_entry->dead ? 0 : MAP_HOLE;
}

/* Looks upwards from the node to the first node that is in memory: a cached leaf needs no nodes
 * above it.  A call that reads a node returns MAP_RESTART, so the caller comes back with one node
 * more in memory. */
int node_get_unlocking(Map *map, guint level, guint64 index, gboolean nowait, MapNode **ret_node)
{
	MapNode *node = node_find_locked(map, level, index);
	MapEntry entry;
	int r;

	*ret_node = NULL;
	if (node && node->state != NODE_LOADING) {
		node_use_locked(node);
		*ret_node = node;
		return 0;
	}
	if (node && nowait)
		return -EAGAIN;
	if (node) {
		lock_wait(&map->loaded, map->lock);
		return MAP_RESTART;
	}
	r = node_find_pointer_unlocking(map, level, index, nowait, &entry);
	if (r)
		return r;
	return nowait ? -EAGAIN : node_load_unlocking(map, level, index, &entry);
}
