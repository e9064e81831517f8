/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: a ring of records that describe the changes since the last checkpoint.
 *
 * A record is *appended* in memory, which gives it a sequence number and a place in the ring.  It
 * is *committed* once it and all records before it are written to the backing.  One thread writes
 * the records of all threads that wait (group commit); meanwhile others append.  A change may be
 * acknowledged only when its record is committed (I2).  It is durable after the next flush of the
 * backing (I1).
 *
 * Positions count bytes and only grow; position modulo the ring's size is the place in the ring.
 * The ring is in use from the tail, where replay begins, to the head.
 *
 *     tail            written        head          tail + size
 *      |--- in the ring ---|-- staged --|-- reserved --|
 *
 * Room for a record is reserved before the critical section that appends it, so that appending
 * never waits and never fails.
 *
 * Threading: any number of threads.  The caller of journal_append() or journal_cut() holds the
 * map's lock, so that records and changes of the map have the same order (I3).  The journal's own
 * lock comes after the map's in the lock order.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"

typedef struct Journal Journal;

typedef struct {
	guint64 position;
	guint64 sequence;
} JournalPlace;

Journal *journal_new(Backing *backing, guint64 size, const Seal *seal, GError **error);
void journal_free(Journal *journal);

/* Begins to use the ring: it is in use from `tail` on, and the next record goes to `head`. */
void journal_start(Journal *journal, guint64 tail, JournalPlace head, guint64 generation);

/* Reserves room for a record of `length` bytes.  Waits 0.2 s at most for a checkpoint to release
 * room (I9); the caller then finds out whether a checkpoint is coming, and tries again.  0;
 * -EAGAIN: no room within 0.2 s or, with `nowait`, at once; -ESHUTDOWN: the journal failed. */
int journal_reserve(Journal *journal, guint32 length, gboolean nowait);
void journal_unreserve(Journal *journal, guint32 length);

/* Appends a record, for which the caller has reserved room, and fills in its sequence and
 * generation.  Returns the ticket for journal_commit(). */
guint64 journal_append(Journal *journal, Record *record);

/* Waits until the record with that ticket is committed (I2).  0, or -ESHUTDOWN: the journal failed
 * before. */
int journal_commit(Journal *journal, guint64 ticket);

/* The sequence of the first record that is not committed. */
guint64 journal_written(Journal *journal);

/* Writes a durable-mark: every record before `sequence` is on disk.  The mark goes into the ring,
 * and a copy to the end of the next block, which goes to the disk together with the record's block
 * and survives its loss.  Nowhere if the ring has no room.  The two marks outside the ring follow
 * at once if they are a quarter of a second old, if more than a block of records was written since
 * the last mark, or if the ring has no room for the copy; else they are left to
 * journal_settle_marks().  One caller at a time. */
void journal_mark_durable(Journal *journal, guint64 sequence);

/* Whether a flush is expected after the next record: few records came between the last two marks,
 * and no more of them since.  Then records go to the disk at once (backing_hasten()), and so may
 * their payload. */
gboolean journal_expects_flush(Journal *journal);

/* Writes the two marks outside the ring, if they are older than the last durable-mark.  A write
 * that fails is tried once more, since this may be the last call before the volume is closed, and
 * by the next call. */
void journal_settle_marks(Journal *journal);

/* Writes the checkpoint's mark: a superblock of generation `generation` - 1 is on disk, and its
 * replay begins at `sequence`.  Called by the thread that makes checkpoints. */
void journal_mark_checkpoint(Journal *journal, guint64 sequence, guint64 generation);

/* From now on records carry `generation`.  Returns where the first of them goes. */
JournalPlace journal_cut(Journal *journal, guint64 generation);

/* Moves the tail up to `tail`: a durable checkpoint contains the records before it. */
void journal_release(Journal *journal, guint64 tail);

/* Ends every wait with -ESHUTDOWN; from now on no record is committed. */
void journal_fail(Journal *journal);

/* Bytes of the ring that are in use. */
guint64 journal_used(Journal *journal);

/* Whether more than half of the ring is in use. */
gboolean journal_wants_checkpoint(Journal *journal);
