/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map: from block to (slot, checksum, birth), a radix tree of 4 KiB nodes.  No node is ever
 * overwritten in place.  A node has P pointers (NodeLayout): a leaf covers P blocks, an inner node
 * P nodes.  Node (level, index) covers blocks [index * P^(level+1), (index+1) * P^(level+1)).
 *
 * Nodes are read when they are needed, verified with the checksum in their parent, and kept in a
 * cache of bounded size.  An inner node is stored twice: if one copy does not verify, the other is
 * used, and the first is rewritten.  A change makes the nodes from the root to the leaf *dirty*:
 * each gets its next slot at once, and its parent's pointer names that slot.  A checkpoint writes
 * the node, and then puts its checksum into the pointer.  Dirty nodes stay in memory until then.
 *
 *     clean --change--> dirty --map_freeze--> frozen --map_write_frozen--> clean
 *       ^                                        |
 *       |                                 change: a dirty copy
 *
 * A *dead* pointer was discarded without reading the node that it leads to.  It reads as a hole;
 * map_reclaim() frees the nodes and blocks below step by step, as part of ordinary checkpoints.
 * Only a pointer to a node that is clean on disk can die; dirty and frozen nodes are taken apart at
 * once.
 *
 * The map of a linked clone has a base, whose content its holes are, before block
 * map_base_blocks().  There a *zero* pointer (MapEntry), at any level, is what is left where
 * something was discarded; it has no slot.  Elsewhere, and in other maps, null pointers are left.
 *
 * Several maps may use the same allocator (Slots), each with nodes of its own; one of them at most
 * refers to a slot, which snapshots may share (snapshots.h).  These maps
 * have one lock, are frozen at one instant, and are thawed together.
 *
 * Threading: one lock (slots_lists_lock), never held over I/O, and below it a lock for each shard
 * of the node cache: a lookup in a leaf that is in memory takes that alone.  A change holds the
 * map's lock from map_change_begin() (or map_zero_begin()) to map_change_end(), and the caller
 * appends the journal record in between, so that the journal, the map and the allocator's lists
 * change in one order and a freeze cuts all three at one point.  Below it: the shards', the
 * journal's and the allocator's locks.
 *
 * Readers: between map_lookup() and map_lookup_end(), the slots that were looked up keep their
 * content (I4): before a checkpoint frees replaced slots, map_drain() waits for such readers.
 *
 * Memory (I7): map_set_limit() limits the cache.  Only dirty and frozen nodes can exceed the limit,
 * by the nodes of changes that are under way: callers must slow down by map_pressure(), which keeps
 * dirty and frozen nodes below three quarters of the limit.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"
#include "common/engine/slots.h"

typedef struct Map Map;

/* Who shares what the map refers to (snapshots.h).  All zeros: nobody. */
typedef struct {
	guint64 parent;	   /* the snapshot that the map descends from */
	guint64 floor;	   /* dead pointers born up to here are void */
	guint64 threshold; /* T of nodes that end behind `cursor` ... */
	guint64 behind;	   /* ... and of all others */
	guint64 cursor;	   /* of the deletion of snapshot `threshold`; 0: it is not being deleted */
	guint64 before;	   /* that snapshot's parent */
} MapLineage;

/* T of a node that ends at `end`, not cut off at the volume's end; of a block: its leaf. */
static inline guint64 lineage_threshold(const MapLineage *lineage, guint64 end)
{
	return end <= lineage->cursor ? lineage->behind : lineage->threshold;
}

/* Opens the map of the superblock, of which geometry, root, counts and dead interval are used.  A
 * null root is an empty map.  `layout`: of its nodes.  `read_only`: damaged copies of nodes are not
 * rewritten. */
Map *map_new(Backing *backing, Slots *slots, const Seal *seal, NodeLayout layout,
	     const Superblock *sb, gboolean read_only, GError **error);
void map_free(Map *map);

NodeLayout map_layout(const Map *map);

/* The first block behind the leaf that covers `block`. */
guint64 map_leaf_end(const Map *map, guint64 block);

/* How many nodes the cache may hold, at least 256, or 512 of a volume of more than 64 GiB.  May be
 * changed at any time. */
void map_set_limit(Map *map, guint64 nodes);

/* The birth of everything that is changed from now on. */
void map_set_generation(Map *map, guint64 generation);

/* While the journal is replayed, every change may use the slots that are kept for zeroing: the
 * change may have used them when it was made. */
void map_set_replaying(Map *map, gboolean replaying);

/* Looks up `n` blocks, at most FORMAT_RECORD_BLOCKS_MAX, at one instant.  The entry of a hole has
 * slot 0; in a linked clone `zero` tells whether the hole reads as zeros, or the base.  After 0,
 * the caller must pass *ret_epoch to map_lookup_end().  -EAGAIN (nowait), -EBADMSG (a node is
 * damaged), -EIO, -ENOMEM. */
int map_lookup(Map *map, guint64 first, guint n, MapEntry *entries, gboolean nowait,
	       guint *ret_epoch);

/* Whether what map_lookup() says of a block of a linked clone is that the base has it. */
static inline gboolean map_found_base(const MapEntry *entry)
{
	return !entry->slot && !entry->zero;
}
void map_lookup_end(Map *map, guint epoch);

/* Prepares a change of `n` blocks, at most FORMAT_RECORD_BLOCKS_MAX.  0: the lock is held until
 * map_change_end(), and map_change_write() cannot fail.  -ENOSPC, or an error of map_lookup(): the
 * lock is not held. */
int map_change_begin(Map *map, guint64 first, guint n, gboolean nowait);

/* The same for one more change, after map_change_write() and before map_change_end().  The lock is
 * held in either case; it may have been dropped meanwhile, so that the changes may belong to
 * different checkpoints. */
int map_change_next(Map *map, guint64 first, guint n, gboolean nowait);

/* Between map_change_begin() and map_change_end(), for blocks of that change: whether they still
 * have the entries that map_lookup() returned. */
gboolean map_change_matches(Map *map, guint64 first, guint n, const MapEntry *entries);

/* In place of map_change_write() and map_change_end(), for blocks of one leaf: changes nothing.  A
 * leaf that the change has made for blocks that a request discarded goes again. */
void map_change_cancel(Map *map, guint64 first);

/* Maps the blocks to the slots of the runs, which are `n` in all, with one checksum for each. */
void map_change_write(Map *map, guint64 first, guint n, const SlotRun *runs, const guint32 *crcs);
void map_change_end(Map *map);

/* One step of making a hole: blocks [first, first + n).  Only map_zero_apply() uses the other
 * fields. */
typedef struct {
	guint64 first, n;
	gboolean whole; /* pointers to nodes die; otherwise pointers of one leaf become null */
	guint level;	/* whole: nodes (level, index) to (level, index + count - 1) */
	guint64 index, count; /* whole */
} MapZeroStep;

/* Prepares the next step of making [*first, end) a hole, and sets *first behind the step.  1: the
 * lock is held until map_change_end(), and the caller may apply the step before.  0: nothing is
 * mapped in [*first, end).  0 or a negative errno: the lock is not held.  On a full backing, uses
 * the slots that are kept for zeroing. */
int map_zero_begin(Map *map, guint64 *first, guint64 end, MapZeroStep *ret_step);
void map_zero_apply(Map *map, const MapZeroStep *step);

/* Takes at most one dead node apart.  1: there may be more; 0: nothing is dead any more; or a
 * negative errno. */
int map_reclaim(Map *map);

/* Removes the root if nothing is below it but void pointers, which zeroing leaves where they are. 0
 * or a negative errno. */
int map_prune_root(Map *map);

/* Erases the content of a group's slots; results as slots_erase().  `maps` are all maps over these
 * slots.  -EBUSY: one of them has something mapped, or discarded and not freed yet.  Called by the
 * thread that freezes, while nothing is changed. */
int map_erase(Map *const *maps, guint n_maps, guint64 group);

/* Fetches the slots that are kept ready for nodes, where possible those that `sb` names.  0 or a
 * negative errno. */
int map_fill_reserve(Map *map, const Superblock *sb);

/* Makes the map cover a volume of `size` bytes, with the number of levels for that size.  Called by
 * the thread that freezes, while nothing is frozen; the next checkpoint has the new size.
 * -ENOTEMPTY: behind the new end, something is mapped, or discarded and not freed yet.  After
 * -ENOTEMPTY, -ENOSPC, -ENOMEM, -EBADMSG and -EIO, the map has its old size. */
int map_resize(Map *map, guint64 size);

/* ---- For snapshots (snapshots.h).  Of the checkpoint thread; _locked: with slots_lists_lock()
 *
 * Pointers that the map drops are given back if they were born after T, and left to the snapshot
 * otherwise. */
void map_set_lineage_locked(Map *map, const MapLineage *lineage);
const MapLineage *map_lineage_locked(const Map *map);

/* What a snapshot keeps of the map. */
typedef struct {
	guint64 size; /* only for map_replace_locked(): of the volume, bytes */
	guint levels;
	MapEntry root; /* its checksum is not known before map_frozen_root() */
	guint64 dying_first, dying_end;
	guint64 referenced, nodes, written;
	gboolean bound;		/* `referenced` and `nodes` are upper bounds */
	gboolean written_bound; /* `written` is one */
	guint64 base_blocks;
} MapShare;

/* At the instant of a freeze (`cut` of map_freeze()): the map, which is going to be frozen, is
 * snapshot `generation`'s, too, from now on, and what is dying is that snapshot's alone. */
void map_share_locked(Map *map, guint64 generation, MapShare *ret_share);

/* The root of the frozen map, with its checksum.  Called once the frozen nodes are written. */
MapEntry map_frozen_root(Map *map);

/* Replaces the whole map by a snapshot's, whose slots it shares.  FALSE, and nothing was changed:
 * something was changed since the last checkpoint.  Nothing is frozen, and nobody uses the map. */
gboolean map_replace_locked(Map *map, const MapShare *share);

/* Up to which block the holes of a linked clone are its base's; it only sinks, but with
 * map_replace_locked().  Without the lock, any thread may ask. */
void map_set_base_blocks_locked(Map *map, guint64 blocks);
guint64 map_base_blocks(const Map *map);

/* Nulls zero pointers, from *block on, once map_base_blocks() is 0, and moves *block on.  1: there
 * may be more; 0: there are none in [*block at the first call, the end); or a negative errno.  Any
 * thread. */
int map_sweep_zeros(Map *map, guint64 *block);

/* From the next freeze on, the superblock names no base.  The map reads nothing from it, and has no
 * zero pointers. */
void map_drop_base_locked(Map *map);

/* How many blocks born after lineage.before, up to lineage.threshold, the map has given back behind
 * the cursor since the last call. */
guint64 map_taken_over_locked(Map *map);

/* The map descends from its parent's parent now: so many blocks more were born since; `bound`: at
 * most. */
void map_add_written_locked(Map *map, guint64 blocks, gboolean bound);

/* Whether there may be void pointers. */
gboolean map_has_voids_locked(const Map *map);

/* Whether [first, end) may have dead pointers of the map over it. */
gboolean map_is_dying_locked(const Map *map, guint64 first, guint64 end);

/* slots_lists_lock(), and slots_reserve(). */
Lock *map_lock(Map *map);
int map_reserve_locked(Map *map, gsize entries);

/* Gives back slots that only a snapshot referred to.  Room in the lists was reserved. */
void map_return_block_locked(Map *map, guint64 slot);
void map_return_node_locked(Map *map, guint level, guint64 slot);

/* Pairs of slots for the snapshot table.  map_keep_pairs_unlocking() makes sure that `n` can be
 * taken, from what is kept ready for inner nodes, and that there is room in the lists for `n` pairs
 * taken and returned; it may drop the lock meanwhile.  0, -ENOSPC, -ENOMEM or -EIO.
 * map_return_node_locked() returns a pair, as a node of level 1. */
int map_keep_pairs_unlocking(Map *map, guint n);
guint64 map_take_pair_locked(Map *map);

/* The pointer to node (level, index), null where the map has none; or its leaf.  0 and the lock was
 * kept; above 0: the lock was dropped, begin anew; or a negative errno. */
int map_pointer_unlocking(Map *map, guint level, guint64 index, MapEntry *ret_entry);
int map_leaf_unlocking(Map *map, guint64 index, const FormatNode **ret_leaf);

/* map_pointer_unlocking() if it needs no node that is not in memory; FALSE: it does. */
gboolean map_pointer_locked(Map *map, guint level, guint64 index, MapEntry *ret_entry);

/* Asks the disk for the nodes in these slots, which are going to be read.  Without the lock. */
void map_prefetch_nodes(Map *map, const guint64 *slots, guint n);

/* Reads a node that no map changes, without the lock: from either copy, verified, mended.  0 or a
 * negative errno.  Its slot must keep its content meanwhile. */
int map_read_node(Map *map, guint level, guint64 index, const MapEntry *entry, FormatNode *out);

/* The steps of a checkpoint, by one thread.  A checkpoint is of all maps over the same slots, which
 * are `maps`; map_write_frozen(), map_frozen_state() and map_drain() must be called for each.
 *
 * map_freeze() calls `cut` with the lock held, between the last change that belongs to the
 * checkpoint and the first that does not.  Later changes are born in generation `next`.  It may be
 * called by another thread, and for the next checkpoint already, once the nodes and the bitmap
 * pages of this one are written; the other steps for the next one follow map_thaw() of this one. */
void map_freeze(Map *const *maps, guint n_maps, guint64 next, void (*cut)(gpointer data),
		gpointer data);

/* Writes the frozen nodes.  0 or a negative errno; after an error it may be called again. */
int map_write_frozen(Map *map);

/* Puts root, counts, head's counts and dead interval as of the freeze into `sb`, and the slots that
 * are kept ready for nodes now.  Called once the frozen nodes are written. */
void map_frozen_state(Map *map, Superblock *sb);

/* Waits until all readers that began before the call have ended. */
void map_drain(Map *map);

/* Frees the slots that were retired before the freeze.  Called once the checkpoint is durable and
 * every map was drained. */
void map_thaw(Map *const *maps, guint n_maps);

/* Whether something other than the map refers to the block's slot too: the slot would stay in use
 * if the block were moved. */
gboolean map_shares_block(Map *map, guint64 block, const MapEntry *entry);

typedef struct {
	guint64 nodes, dirty, hits, misses;
	guint64 data_slots, node_slots; /* of all owners */
	guint64 head_data, head_nodes;	/* of this map, dead ones included */
	gboolean head_bound;		/* these are upper bounds */
	guint64 pending_bytes, retired_bytes;
	gboolean reclaimable; /* there may be dead pointers */
	guint64 mended;	      /* damaged copies of nodes rewritten since the map was opened */
} MapInfo;

void map_get_info(Map *map, MapInfo *ret_info);

/* Whether a checkpoint should begin: more than three eighths of the limit are dirty nodes, or since
 * the last freeze more than 64 MiB were written or 256 MiB retired. */
gboolean map_wants_checkpoint(Map *map);
/* 0: changes need not wait.  100: changes must wait for the checkpoint.  In between, changes should
 * slow down.  The larger of two percentages: of dirty and frozen nodes, on the way from 9/16 to 3/4
 * of the limit; and of bytes written since the last freeze, on the way from 64 to 256 MiB. */
guint map_pressure(Map *map);
/* About how much a change of that many bytes adds to map_pressure(); above 0. */
double map_cost(Map *map, guint64 bytes);
/* Whether something changed since the last freeze that the next checkpoint would write. */
gboolean map_is_changed(Map *map);
