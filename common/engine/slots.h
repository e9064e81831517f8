/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator: which slots of the backing are in use, in memory and on disk.
 *
 * In memory there is one bit for each slot of each group.  A set bit means "must not be given out":
 * the slot is in use, pending-free, or on its way into the map.  The bitmap on disk is different:
 * it holds exactly the slots that one checkpoint refers to, by its map and its snapshots.  Each
 * checkpoint computes it from the bitmap before and from two lists of changes, *gained* and
 * *retired*, which the map updates in the same critical section as itself (I5):
 *
 *     free --slots_alloc--> taken --slots_gain--> in the map --slots_retire--> pending-free
 *       ^                     |                                                  |
 *       +--slots_give_back----+       the checkpoint without the slot is durable |
 *       +------------------------------------------------------slots_thaw--------+
 *
 * slots_freeze() sets the lists aside for one checkpoint, and slots_write_bitmaps() writes the
 * pages that they change.  slots_thaw() frees the retired slots; it must not be called until that
 * checkpoint is durable and no reader can still look at them (I6).  The next freeze may come as
 * soon as slots_write_bitmaps() has returned 0; the next pages, once the slots were thawed.
 *
 * Slots are handed out in words of 64.  A word is *cold* if, as far as is known, the file system
 * below has allocated no space for it, otherwise *warm*.  A flush after a write to unallocated
 * space takes twice as long, so small requests take warm slots, fragments first.  Large requests
 * (64 KiB and more) get neighbouring slots, cold ones too as long as the file stays within 1.25
 * times what is in use, or within a loan.  slots_trim() punches warm words that are wholly free,
 * which makes them cold.  slots.c states the whole policy.
 *
 * Threading: every function may be called from any thread, with two exceptions.  slots_gain,
 * slots_retire, slots_reserve, slots_freeze and slots_thaw must be serialized by the caller (by the
 * map's lock).  Only one thread may call slots_write_bitmaps, slots_switch, slots_thaw and
 * slots_trim.
 *
 * Memory (I7): one bit for each slot, three for each word, and 8 bytes for each run of slots that
 * changed since the last three freezes.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"

typedef struct Slots Slots;

/* `read_only`: slots are taken in memory only, and the backing does not grow. */
Slots *slots_new(Backing *backing, guint64 groups_offset, const Seal *seal, gboolean read_only,
		 GError **error);
void slots_free(Slots *slots);

/* Loads the bitmap pages of all groups as of the superblock's checkpoint.  A page of a later
 * checkpoint that never completed is noted, and the next checkpoint overwrites it.  A damaged copy
 * is rewritten, unless the allocator is read-only.  CORRUPT, IO, or no memory. */
gboolean slots_load(Slots *slots, const Superblock *sb, GError **error);

/* Takes `n` slots (at most FORMAT_RECORD_BLOCKS_MAX) in as few runs as the policy allows; `runs`
 * has room for `n`.  Grows the backing if necessary.  0, or -ENOSPC, -ENOMEM, -EIO, and nothing is
 * taken. */
int slots_alloc(Slots *slots, guint32 n, SlotRun *runs, guint *ret_n_runs);

/* The same, but only slots that are known to have space below them.  For a full disk, where a
 * write to any other slot would fail. */
int slots_alloc_written(Slots *slots, guint32 n, SlotRun *runs, guint *ret_n_runs);

/* Takes a run of 1 to 64 slots for nodes and makes sure that they have space below them, so that a
 * checkpoint never meets a full disk.  The search begins at slot `hint`; 0: no hint.  0, -ENOSPC,
 * -ENOMEM, -EIO. */
int slots_alloc_nodes(Slots *slots, guint64 hint, SlotRun *ret_run);

/* The same for inner nodes: with each slot of the run, the slot FORMAT_COPY_DISTANCE behind it is
 * taken as well.  -ENOSPC may mean that slots are free, but no two at this distance. */
int slots_alloc_pairs(Slots *slots, SlotRun *ret_run);

/* Takes this slot and the slot of its copy.  FALSE, and nothing is taken, if either is not free or
 * an inner node may not be there. */
gboolean slots_take_pair(Slots *slots, guint64 slot);

/* Gives back a run of slots_alloc_pairs() together with the slots of the copies. */
void slots_give_back_pairs(Slots *slots, const SlotRun *run);

/* Takes the slots of a journal record during replay.  -EUCLEAN if one of them is taken already. */
int slots_take(Slots *slots, const SlotRun *run);

/* From now on, large requests may take fresh space as long as at most so many bytes of the file are
 * free, whatever is in use; 0 at first.  Any thread. */
void slots_lend(Slots *slots, guint64 bytes);

/* Gives back slots that never got into the map.  `full`: writing them met a full disk, so they
 * have no space below them. */
void slots_give_back(Slots *slots, const SlotRun *runs, guint n_runs, gboolean full);

/* The lock of every map over these slots, which serializes changes of the lists. */
Lock *slots_lists_lock(Slots *slots);

/* Makes room in each list for `entries` more runs, so that slots_gain() and slots_retire() cannot
 * fail.  0 or -ENOMEM. */
int slots_reserve(Slots *slots, gsize entries);

/* The map refers to these slots now; it no longer does. */
void slots_gain(Slots *slots, guint64 slot, guint32 count);
void slots_retire(Slots *slots, guint64 slot, guint32 count);

/* Sets the lists aside for the checkpoint that begins now.  The pages of the one before, if there
 * is one, are written. */
void slots_freeze(Slots *slots);

/* Writes the pages that the frozen lists change, with that generation, into the homes that do not
 * count (I6).  May be called again after an error.  0 or a negative errno; -EUCLEAN: the lists
 * contradict the pages (I5 is broken). */
int slots_write_bitmaps(Slots *slots, guint64 generation);

/* The checkpoint is durable: its pages count from now on. */
void slots_switch(Slots *slots);

/* Frees slots that the durable checkpoint retired: up to 4096 runs in one call, so that the caller
 * does not hold its lock for long.  TRUE: there are more. */
gboolean slots_thaw(Slots *slots);

/* Punches warm words that are wholly free until at most `keep` bytes of free slots are warm, or
 * about `limit` bytes were punched.  Returns the number of bytes punched. */
guint64 slots_trim(Slots *slots, guint64 keep, guint64 limit);

/* Writes zeros to at most 4 MiB of cold words, which become warm: in the background, ahead of a
 * load that flushes after each small write.  0; -ENOSPC (no group has a cold word, or the disk is
 * full); or another negative errno. */
int slots_warm_up(Slots *slots);

/* ---- Space that is kept (slots-reserve.c); called by the thread that trims
 *
 * slots_keep(): from now on `n` slots, the first ones, keep the space below them, or get it; 0 at
 * first.  slots_keep_until(): the same until that time (monotonic microseconds); then again what
 * slots_keep() has said.
 *
 * slots_back_some() gives space to some that have none yet, at most a group's, and adds groups
 * where there are too few.  1: there are more; 0: all have space; -ENOSPC, -EOPNOTSUPP (the
 * file system cannot do that), or another negative errno: may be called again.
 *
 * Writes to slots that have it never meet a full disk, so slots_alloc_written() and, on a full
 * disk, slots_alloc_nodes() and slots_alloc_pairs() find them. */
void slots_keep(Slots *slots, guint64 n);
void slots_keep_until(Slots *slots, guint64 n, gint64 until);
int slots_back_some(Slots *slots);

/* To be called now and then: ends what is kept until a time that is over, and does what
 * slots_back_some() does, unless something is kept until a time that is not. */
int slots_tend_kept(Slots *slots);

/* Of a file, gives back the space behind the last group: of groups that were added to keep space,
 * and that no checkpoint has heard of.  After the recovery. */
void slots_trim_tail(Slots *slots);

/* How many slots of these have space by now.  Any thread. */
guint64 slots_kept_backed(Slots *slots);

/* Free slots that are warm, in bytes. */
guint64 slots_warm_bytes(Slots *slots);

/* ---- For the pass that tidies space (tidy.h): of one thread, except where it says otherwise */

typedef struct {
	guint64 loose; /* free slots of words that are partly in use */
	guint64 whole; /* free slots of wholly free words that are warm */
} SlotsSpace;

/* Any thread. */
void slots_get_space(Slots *slots, SlotsSpace *ret_space);

/* How many slots have space below them, as far as is known: those of all words that are not cold.
 * Any thread. */
guint64 slots_backed(Slots *slots);

/* Marks the words that are to be emptied, and no others: of the sparse ones those with the fewest
 * slots in use, `words` at most, until `max` slots in use are in them.  Returns how many slots that
 * are.  0 for `words` unmarks all. */
guint64 slots_mark_sparse(Slots *slots, guint64 max, guint64 words);

/* Sets each flag to whether the entry's slot is in a marked word. */
void slots_get_marked(Slots *slots, const MapEntry *entries, guint n, gboolean *ret_marked);

/* What is moved: whole stretches that were scattered, or single runs out of marked words. */
typedef enum { SLOTS_GATHER, SLOTS_EVICT } SlotsTidyKind;

/* Takes `n` slots, at most FORMAT_RECORD_BLOCKS_MAX, of words that were wholly free when this kind
 * took the first slot of them, so in few runs; `runs` has room for `n`.  Takes warm words first,
 * and a cold one only while slots_backed() stays within `limit`.  0, or -ENOSPC, -ENOMEM, -EIO, and
 * nothing is taken. */
int slots_alloc_tidy(Slots *slots, SlotsTidyKind kind, guint32 n, guint64 limit, SlotRun *runs,
		     guint *ret_n_runs);

/* There may be wholly free warm words again: slots_alloc_tidy() looks for them. */
void slots_begin_tidy(Slots *slots);

/* Slots gained and retired since the volume was opened.  Any thread. */
guint64 slots_turnover(const Slots *slots);

/* A set of slots of one group, one bit for each slot that the group's bitmap covers. */
typedef struct {
	guint64 words[FORMAT_BITMAP_BITS / 64];
} SlotBits;

/* Fills a group's slots with zeros, free or not.  Slots in `kept` keep the space below them; all
 * others are punched if the backing can do that, otherwise overwritten, as are those whose space is
 * kept.  `group` may lie behind the
 * last group: bytes that the backing has there are erased, too.  Called by the thread that trims,
 * while no other thread takes slots.  1; 0: the backing ends before this group; or a negative
 * errno. */
int slots_erase(Slots *slots, guint64 group, const SlotBits *kept);

/* In place of slots_load(), of an allocator that only tells where slots are: there are so many
 * groups, and nobody knows what is free. */
void slots_assume_groups(Slots *slots, guint64 groups);

/* The number of groups; and of groups that have a bitmap page once the checkpoint of the last
 * freeze is durable. */
guint64 slots_groups(Slots *slots);
guint64 slots_frozen_groups(const Slots *slots);

/* The digest of the running checkpoint's pages, after slots_write_bitmaps(). */
guint64 slots_frozen_digest(const Slots *slots);

/* The number of damaged page copies that slots_load() rewrote. */
guint64 slots_mended(const Slots *slots);

/* Reads and verifies both copies of the page that counts; the group must have one.  With `repair`,
 * a damaged copy is rewritten.  Called by the thread that writes pages.  Returns the number of
 * damaged copies found (2: the page is lost) and in *ret_repaired how many of them were rewritten;
 * or a negative errno. */
int slots_verify_page(Slots *slots, guint64 group, guint64 checkpoint, gboolean repair,
		      guint *ret_repaired);

/* Bytes pending-free; retired since the last slots_freeze(); gained since then.  Serialized by the
 * caller like slots_retire(). */
guint64 slots_pending_bytes(Slots *slots);
guint64 slots_retired_bytes(Slots *slots);
guint64 slots_gained_bytes(Slots *slots);

/* The offset of a slot's bytes in the backing. */
guint64 slots_offset(const Slots *slots, guint64 slot);
