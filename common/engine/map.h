/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map: from block to (slot, checksum, birth), a radix tree of 4 KiB nodes that is never
 * overwritten in place.  A leaf covers as many blocks as a node has pointers (P, by the map's
 * NodeLayout), an inner node as many nodes; "node (level, index)" is the one that covers blocks
 * [index * P^(level+1), (index+1) * P^(level+1)).
 *
 * Nodes are read when they are needed, verified by the checksum in their parent, and kept in a
 * cache of bounded size.  Inner nodes are kept twice: where one does not verify, the other is used
 * and the first written anew.  A change makes the nodes from the root to the leaf *dirty*: each
 * gets its next slot at once, and its parent's pointer names it; the checksum there follows when
 * the node is written by a checkpoint.  Dirty nodes stay in memory until then.
 *
 *     clean --change--> dirty --map_freeze--> frozen --map_write_frozen--> clean
 *       ^                                        |
 *       |                                 change: a dirty copy
 *
 * A pointer that is *dead* was discarded without looking at what is below: it reads as a hole, and
 * map_reclaim() frees what is below little by little, as part of ordinary checkpoints.  It marks
 * only what is clean on disk: dirty and frozen nodes are taken apart at once.
 *
 * Several maps may stand over the same slots, each with its own nodes; a slot is referred to by one
 * of them.  They have one lock, are frozen at one instant, and thawed together.
 *
 * Threading: one lock (slots_lists_lock), never held over I/O, and below it a lock for each shard
 * of the node cache: a lookup in a leaf that is in memory takes that alone.  A change holds the
 * map's lock from map_change_begin() (or map_zero_begin()) to map_change_end(), and the caller
 * appends the journal record in between, so that the journal, the map and the allocator's lists
 * change in one order and a freeze cuts all three at one point.  Below it: the shards', the
 * journal's and the allocator's locks.
 *
 * Readers: between map_lookup() and map_lookup_end() the slots that were looked up keep their
 * content: map_drain() waits for such readers before a checkpoint frees what it replaced.
 *
 * Memory: the limit of map_set_limit(), which dirty and frozen nodes may exceed by what is under
 * way; callers keep them below three quarters of it by map_pressure().
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"
#include "common/engine/slots.h"

typedef struct Map Map;

/* An empty map, or the one at sb's root.  `sb` gives geometry, root, counts and dead interval;
 * `layout` is that of its nodes.  `read_only`: a damaged copy of a node is left as it is. */
Map *map_new(Backing *backing, Slots *slots, const Seal *seal, NodeLayout layout,
	     const Superblock *sb, gboolean read_only, GError **error);
void map_free(Map *map);

NodeLayout map_layout(const Map *map);

/* The first block behind those of the leaf that `block` is in. */
guint64 map_leaf_end(const Map *map, guint64 block);

/* How many nodes it may hold (256 at least); may change at any time. */
void map_set_limit(Map *map, guint64 nodes);

/* What is changed from now on is born in this generation. */
void map_set_generation(Map *map, guint64 generation);

/* While the journal is replayed, changes may use what is kept for zeroing: they did before. */
void map_set_replaying(Map *map, gboolean replaying);

/* Looks up `n` blocks (at most FORMAT_RECORD_BLOCKS_MAX) at one instant; holes have slot 0.
 * 0 (then *ret_epoch is for map_lookup_end), -EAGAIN (nowait), -EBADMSG (a node is damaged),
 * -EIO, -ENOMEM. */
int map_lookup(Map *map, guint64 first, guint n, MapEntry *entries, gboolean nowait,
	       guint *ret_epoch);
void map_lookup_end(Map *map, guint epoch);

/* Prepares a change of `n` blocks (as above).  After 0 the lock is held, and nothing that follows
 * can fail.  -ENOSPC, -EAGAIN and the errors of map_lookup; then the lock is not held. */
int map_change_begin(Map *map, guint64 first, guint n, gboolean nowait);

/* Puts the payload into the map: the runs hold `n` slots in order, one checksum each. */
void map_change_write(Map *map, guint64 first, guint n, const SlotRun *runs, const guint32 *crcs);
void map_change_end(Map *map);

/* One step of making blocks a hole: blocks [first, first + n).  The rest is map_zero_apply()'s. */
typedef struct {
	guint64 first, n;
	gboolean whole;	      /* pointers to nodes die; else pointers in one leaf become null */
	guint level;	      /* whole: nodes (level, index) to (level, index + count - 1) */
	guint64 index, count; /* whole */
} MapZeroStep;

/* Prepares the next step of making [*first, end) a hole.  1: the lock is held, the caller may apply
 * *ret_step before it calls map_change_end(), and *first is behind the step.  0: nothing is mapped
 * there any more; or a negative errno; then the lock is not held.  Uses what is kept for zeroing
 * where the backing is full. */
int map_zero_begin(Map *map, guint64 *first, guint64 end, MapZeroStep *ret_step);
void map_zero_apply(Map *map, const MapZeroStep *step);

/* Frees a little of what dead pointers are over.  1: there may be more; 0: none is left; or a
 * negative errno. */
int map_reclaim(Map *map);

/* Erases what is in a group's slots (slots_erase).  `maps` are all `n_maps` maps over the same
 * slots: -EBUSY if any has something mapped, or discarded and not free yet.  By the thread that
 * freezes, while nothing is changed. */
int map_erase(Map *const *maps, guint n_maps, guint64 group);

/* Fills up the slots that are kept for nodes; `sb` says where they were.  0 or -errno. */
int map_fill_reserve(Map *map, const Superblock *sb);

/* Makes it cover a volume of so many bytes, from the next freeze on, by the thread that freezes and
 * while nothing is frozen; levels follow.  0; -ENOTEMPTY: something is mapped, or was discarded and
 * is not free yet, behind the new end; -ENOSPC, -ENOMEM, -EBADMSG, -EIO: all stays as it is. */
int map_resize(Map *map, guint64 size);

/* A checkpoint's steps, by one thread.  A checkpoint has all maps over the same slots: `maps` are
 * these, and map_write_frozen(), map_frozen_state() and map_drain() are called for each.
 *
 * map_freeze() calls `cut` with the lock held, at the instant that divides what belongs to the
 * checkpoint from what does not; what is changed later is born in generation `next`. */
void map_freeze(Map *const *maps, guint n_maps, guint64 next, void (*cut)(gpointer data),
		gpointer data);

/* Writes the frozen nodes.  0 or -errno; after an error it may be called again. */
int map_write_frozen(Map *map);

/* Root, counts, dead interval and reserve as of the freeze, once the nodes are written. */
void map_frozen_state(Map *map, Superblock *sb);

/* Waits for readers that began before the call. */
void map_drain(Map *map);

/* The checkpoint is durable, and every map was drained: what they replaced is free. */
void map_thaw(Map *const *maps, guint n_maps);

typedef struct {
	guint64 nodes, dirty, hits, misses;
	guint64 data_slots, node_slots;
	guint64 pending_bytes, retired_bytes;
	gboolean reclaimable; /* dead pointers may be left */
	guint64 mended;	      /* damaged copies of nodes written anew, since open */
} MapInfo;

void map_get_info(Map *map, MapInfo *ret_info);

/* Time for a checkpoint: dirty nodes take three eighths of the limit, 64 MiB were written or
 * 256 MiB replaced since the last. */
gboolean map_wants_checkpoint(Map *map);
/* How near dirty and frozen nodes are to three quarters of the limit, or what was written since the
 * last freeze to 256 MiB: 0 (well below) to 100 (changes must wait for the checkpoint), in percent
 * of the last quarter of the way, or from 64 MiB on.  In between they should slow down. */
guint map_pressure(Map *map);
/* How much a change of so many bytes adds to it, about: of 100, and more than 0. */
double map_cost(Map *map, guint64 bytes);
/* Something changed since the last freeze that only a checkpoint makes permanent. */
gboolean map_is_changed(Map *map);
