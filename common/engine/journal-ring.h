/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal as an open finds it: a copy in memory of the ring and of the marks outside it, to be
 * walked record by record (journal.h).  The caller holds the backing's lock, so that nobody writes
 * the ring meanwhile.
 */
#pragma once

#include "common/engine/journal.h"

typedef struct JournalRing JournalRing;

/* Reads the whole ring, which takes 64 KiB to 64 MiB of memory, and the marks.  `seal` must outlive
 * the ring.  0; -ENOMEM; or why the ring cannot be read.  A mark that cannot be read is taken for
 * a missing one. */
int journal_ring_read(Backing *backing, const Superblock *sb, const Seal *seal,
		      JournalRing **ret_ring);
void journal_ring_free(JournalRing *ring);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JournalRing, journal_ring_free)

/* The highest sequence that a durable-mark outside the ring names: every record before it was on
 * disk.  0 if no such mark counts. */
guint64 journal_ring_durable(const JournalRing *ring);

/* Which marks outside the ring are damaged: bits 0 to FORMAT_MARKS - 1 are the copies of the
 * durable-mark, bit FORMAT_MARKS is the checkpoint's mark.  With `settled`, a valid copy that
 * differs from the newest counts as damaged: nobody was writing the copies.  Without it such a copy
 * is what a crash leaves. */
guint journal_ring_damaged_marks(JournalRing *ring, gboolean settled);

/* The same for an open volume, from marks that are read now. */
guint journal_damaged_marks(Backing *backing, const Seal *seal, gboolean settled);

/* Rewrites the marks whose bits are set in `marks`: a copy of the durable-mark from the newest
 * valid copy if there is one, any other mark as zeros, which are no mark.  0 or a negative errno.
 * Durable after the next flush. */
int journal_ring_mend_marks(JournalRing *ring, Backing *backing, guint marks);

/* Returns FALSE to end the walk or scan: neither this record nor a later one counts. */
typedef gboolean (*JournalVisit)(const Record *record, gpointer data);

/* Calls `visit` for each valid record anywhere in the ring whose sequence is higher than `after`
 * and which is not fenced off, in the order of their places.  This finds records that a walk that
 * ended too early did not reach. */
void journal_ring_scan(const JournalRing *ring, guint64 after, JournalVisit visit, gpointer data);

/* Calls `visit` for each record, in sequence, from the superblock's place on.  The walk ends at the
 * first record that is not valid, has a lower generation than the record before, is fenced off, or
 * for which `visit` returns FALSE.  Returns the place of that record.  *ret_damaged (may be NULL)
 * tells whether a durable-mark, further on in the ring or outside it, covers that record: then it
 * was flushed and is damaged (I1). */
JournalPlace journal_ring_walk(const JournalRing *ring, JournalVisit visit, gpointer data,
			       gboolean *ret_damaged);
