/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal: a ring of records of what changed since the last checkpoint.
 *
 * A record is *appended* in memory, which gives it its sequence number and its place; it is
 * *committed* when it and all records before it were written to the backing.  One thread writes
 * for all that are waiting (group commit), while others append.  Only what is committed may be
 * acknowledged (I2); it is durable after the backing's next flush.
 *
 * Positions are bytes that only grow; modulo the ring's size they are places in the ring.  The
 * ring is in use from the tail (where replay begins) to the head.
 *
 *     tail            written        head          tail + size
 *      |--- in the ring ---|-- staged --|-- reserved --|
 *
 * Room is reserved before the critical section in which a record is appended, so that appending
 * never waits and never fails.
 *
 * Threading: any number of threads.  journal_append() and journal_cut() are ordered by the map's
 * lock, so that records and the map change in one order; the journal's own lock is below it.
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

/* The ring is in use from `tail` on; the next record goes to `head`. */
void journal_start(Journal *journal, guint64 tail, JournalPlace head, guint64 generation);

/* Reserves room for a record of that length; waits for a checkpoint to release some, but not for
 * long: the caller knows how to find out why it takes so long.
 * 0, -EAGAIN (nowait, or none within 0.2 s), -ESHUTDOWN (the journal failed). */
int journal_reserve(Journal *journal, guint32 length, gboolean nowait);
void journal_unreserve(Journal *journal, guint32 length);

/* Stages a record, for which room was reserved; its sequence and generation are filled in here.
 * Returns the ticket to commit it with. */
guint64 journal_append(Journal *journal, Record *record);

/* Waits until the record of that ticket is written.  0, or -ESHUTDOWN if it cannot be. */
int journal_commit(Journal *journal, guint64 ticket);

/* Every record before this sequence is written. */
guint64 journal_written(Journal *journal);

/* Notes in the ring, if there is room, and in the mark's other homes that every record before the
 * sequence is on disk.  By one thread at a time. */
void journal_mark_durable(Journal *journal, guint64 sequence);

/* Writes the last mark once more to its other homes, if that failed. */
void journal_mark_again(Journal *journal);

/* Notes, away from the superblocks, that one of `generation` - 1 is on disk, whose replay begins at
 * this sequence.  By the thread that makes checkpoints. */
void journal_mark_checkpoint(Journal *journal, guint64 sequence, guint64 generation);

/* Records carry that generation from now on; returns where the first of them goes. */
JournalPlace journal_cut(Journal *journal, guint64 generation);

/* A checkpoint made everything before `tail` needless. */
void journal_release(Journal *journal, guint64 tail);

/* Ends every wait: nothing is written any more. */
void journal_fail(Journal *journal);

guint64 journal_used(Journal *journal);

/* More than half of the ring is in use. */
gboolean journal_wants_checkpoint(Journal *journal);
