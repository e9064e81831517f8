/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator: which slots of the backing are in use, in memory and on disk.
 *
 * In memory there is one bit for each slot of each group that was ever used.  A set bit means
 * "not to be given out": in use, pending-free, or on its way into the map.  What is on disk is
 * another thing: exactly what the map of one checkpoint refers to.  It is computed from the page
 * before and from two lists of changes, *gained* and *retired*, which the map keeps up to date in
 * the same critical section in which it changes (I5):
 *
 *     free --slots_alloc--> taken --slots_gain--> in the map --slots_retire--> pending-free
 *       ^                     |                                                  |
 *       +--slots_give_back----+          the checkpoint without it is durable    |
 *       +------------------------------------------------------slots_thaw--------+
 *
 * slots_freeze() sets the lists aside for one checkpoint, slots_write_bitmaps() writes the pages
 * from them, slots_thaw() makes the retired slots free once that checkpoint is durable and no
 * reader can still look at them.
 *
 * Slots are handed out in words of 64.  A word is *warm* if its slots were written before, so that
 * the file system below has space for them; warm slots go first, because a flush after a write to
 * fresh space costs twice as much.  slots_trim() gives warm, wholly free words back to the file
 * system and makes them cold.
 *
 * Threading: every function may be called from any thread, except that the caller orders
 * slots_gain, slots_retire, slots_reserve, slots_freeze and slots_thaw among each other (the map's
 * lock), and that only one thread calls write_bitmaps, switch, thaw and trim.
 *
 * Memory: one bit a slot and two for each 64, and the lists: at most the slots changed between two
 * checkpoints.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"

typedef struct Slots Slots;

/* `read_only`: what is taken is taken in memory alone. */
Slots *slots_new(Backing *backing, guint64 groups_offset, const Seal *seal, gboolean read_only,
		 GError **error);
void slots_free(Slots *slots);

/* Reads the pages of all groups as of the superblock's checkpoint.  A page that a later one left
 * half done is noted, and overwritten by the next checkpoint; a damaged copy is written anew. */
gboolean slots_load(Slots *slots, const Superblock *sb, GError **error);

/* Takes `n` slots (at most FORMAT_RECORD_BLOCKS_MAX) in as few runs as free space allows; `runs`
 * has room for `n`.  Grows the backing where need be.  0, -ENOSPC, -ENOMEM, -EIO. */
int slots_alloc(Slots *slots, guint32 n, SlotRun *runs, guint *ret_n_runs);

/* The same where the backing is known to have space below, or -ENOSPC: for a full disk, on which
 * others would be tried in vain. */
int slots_alloc_written(Slots *slots, guint32 n, SlotRun *runs, guint *ret_n_runs);

/* Takes up to 64 neighbouring slots (at least 1) for nodes, which the file system below has space
 * for, so that a checkpoint never meets a full disk.  `hint`: a slot to try first, or 0. */
int slots_alloc_nodes(Slots *slots, guint64 hint, SlotRun *ret_run);

/* The same for inner nodes: each slot of the run comes with the one FORMAT_COPY_DISTANCE behind it.
 * -ENOSPC also where slots are free, but no two so far from each other. */
int slots_alloc_pairs(Slots *slots, SlotRun *ret_run);

/* Takes that slot and its copy's, if there are such, and both are free. */
gboolean slots_take_pair(Slots *slots, guint64 slot);

/* Gives back such a run, with the copies. */
void slots_give_back_pairs(Slots *slots, const SlotRun *run);

/* Takes slots that a journal record names, while it is replayed.  -EUCLEAN if one is taken. */
int slots_take(Slots *slots, const SlotRun *run);

/* Returns slots that never got into the map.  `full`: writing them met a full disk, so they are
 * not warm after all. */
void slots_give_back(Slots *slots, const SlotRun *runs, guint n_runs, gboolean full);

/* Orders what changes the lists: the lock of every map over these slots. */
Lock *slots_lists_lock(Slots *slots);

/* Makes room in the lists for so many entries each, so that gain and retire cannot fail.
 * 0 or -ENOMEM. */
int slots_reserve(Slots *slots, gsize entries);
void slots_gain(Slots *slots, guint64 slot, guint32 count);
void slots_retire(Slots *slots, guint64 slot, guint32 count);

/* Sets the lists aside for the checkpoint that begins now. */
void slots_freeze(Slots *slots);

/* Writes the pages that the frozen lists change, with that generation, into their other homes.
 * May be called again after an error.  0 or a negative errno; -EUCLEAN: the lists contradict the
 * pages (an invariant broke). */
int slots_write_bitmaps(Slots *slots, guint64 generation);

/* The checkpoint is durable: its pages count. */
void slots_switch(Slots *slots);

/* And what it retired is free: a part of it, so that the caller's lock is not held for long.  TRUE:
 * there is more. */
gboolean slots_thaw(Slots *slots);

/* Gives warm, wholly free words back to the backing until at most `keep` bytes of them are left
 * warm, `limit` bytes at most in this call.  Returns how many bytes were given back. */
guint64 slots_trim(Slots *slots, guint64 keep, guint64 limit);

/* Writes zeros to 4 MiB of cold space, which is warm then: for a load that flushes after each small
 * write, done ahead and in the background.  0, -ENOSPC (no cold word in the groups that there are,
 * or no space below), or a negative errno. */
int slots_warm_up(Slots *slots);
guint64 slots_warm_bytes(Slots *slots);

/* The slots of one group, a bit for each that its bitmap speaks of. */
typedef struct {
	guint64 words[FORMAT_BITMAP_BITS / 64];
} SlotBits;

/* Leaves nothing but zeros in a group's slots, free or not.  What is in `kept` keeps its space; of
 * the rest it goes back to the backing where that can be.  By the thread that trims, while nobody
 * else takes slots.  Behind the last group there is what the backing has there.  1; 0: the backing
 * ends before; or a negative errno. */
int slots_erase(Slots *slots, guint64 group, const SlotBits *kept);

/* Groups that there are, and that have a page once the checkpoint that runs is durable. */
guint64 slots_groups(Slots *slots);
guint64 slots_frozen_groups(const Slots *slots);

/* Of the pages of the checkpoint that runs, once they are written. */
guint64 slots_frozen_digest(const Slots *slots);

/* Damaged copies of pages that were written anew. */
guint64 slots_mended(const Slots *slots);

/* Reads both copies of the page that counts for a group that the checkpoint knows and verifies
 * them; with `repair`, a damaged one is written anew.  By the thread that writes pages.  How many
 * of them are damaged (2: the page is lost), *ret_repaired of them not any more; or a negative
 * errno. */
int slots_verify_page(Slots *slots, guint64 group, guint64 checkpoint, gboolean repair,
		      guint *ret_repaired);

/* Pending-free; and what was retired, and gained, since the last slots_freeze().  Ordered as
 * slots_retire is. */
guint64 slots_pending_bytes(Slots *slots);
guint64 slots_retired_bytes(Slots *slots);
guint64 slots_gained_bytes(Slots *slots);

/* Where a slot's bytes begin in the backing. */
guint64 slots_offset(const Slots *slots, guint64 slot);
