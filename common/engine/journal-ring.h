/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal as an open finds it: a copy of the ring, to be walked record by record (see
 * journal.h).  Nobody writes the ring meanwhile.
 */
#pragma once

#include "common/engine/journal.h"

typedef struct JournalRing JournalRing;

/* Reads the whole ring (64 KiB to 64 MiB of memory).  0, -ENOMEM, or why it cannot be read. */
int journal_ring_read(Backing *backing, const Superblock *sb, const Seal *seal,
		      JournalRing **ret_ring);
void journal_ring_free(JournalRing *ring);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JournalRing, journal_ring_free)

/* Every record before this sequence was on disk, by the durable-marks outside the ring; 0 if none
 * of them counts. */
guint64 journal_ring_durable(const JournalRing *ring);

/* Which of the marks outside the ring are damaged, a bit each: bit 0 ... the copies of the
 * durable-mark, bit FORMAT_MARKS the checkpoint's.  `settled`: nobody was writing them, so that
 * copies that differ are, too; what a crash leaves otherwise may. */
guint journal_ring_damaged_marks(JournalRing *ring, gboolean settled);

/* The same of a volume that is open; at worst a mark that cannot be read counts as none. */
guint journal_damaged_marks(Backing *backing, const Seal *seal, gboolean settled);

/* Writes these anew: as the newest of the copies, or as zeros, which say nothing.  0 or a negative
 * errno; durable with the next flush. */
int journal_ring_mend_marks(JournalRing *ring, Backing *backing, guint marks);

/* FALSE: this record, and what follows, does not count. */
typedef gboolean (*JournalVisit)(const Record *record, gpointer data);

/* Calls `visit` for each record anywhere in the ring that is whole and of a sequence behind
 * `after`, and not fenced off: what a walk that ended too early did not get to, in no order. */
void journal_ring_scan(const JournalRing *ring, guint64 after, JournalVisit visit, gpointer data);

/* Calls `visit` for each record from the superblock's place on, until one is not valid, is of an
 * older generation than the one before or than the fence asks, or is refused.  Returns where the
 * first that does not count would be.  *ret_damaged (may be NULL): a durable-mark, further on or in
 * another home, says that there were more, so that a record that was flushed is damaged. */
JournalPlace journal_ring_walk(const JournalRing *ring, JournalVisit visit, gpointer data,
			       gboolean *ret_damaged);
