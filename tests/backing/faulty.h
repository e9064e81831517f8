/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing for tests, in memory, which keeps apart what was flushed and what was only written,
 * counts its operations and does what hardware does on a bad day.
 *
 * Model: the *durable* image is what a loss of power leaves for certain.  Every write, grow and
 * punch since the last successful flush is kept in order in the *volatile* log; reads see both.
 * Each write lands whole, not at all, or torn: its head, its tail or any of its 512-byte sectors.
 * A write beyond a growth that did not land is lost.  After a flush that failed, what it should
 * have made durable is left to chance for good, whatever a later flush says; and so is what the
 * disk refuses between two flushes (backing_faulty_refuse), of which one flush alone is told.
 *
 * With a delay, the forms that must not wait answer -EAGAIN.
 *
 * Threading: as every backing; faults are set while no operation runs.
 */
#pragma once

#include "common/backing/backing.h"

typedef enum {
	FAULTY_READ = 1 << 0,
	FAULTY_WRITE = 1 << 1,
	FAULTY_FLUSH = 1 << 2,
	FAULTY_PUNCH = 1 << 3,
	FAULTY_GROW = 1 << 4,
	FAULTY_MODIFY = FAULTY_WRITE | FAULTY_FLUSH | FAULTY_PUNCH | FAULTY_GROW,
} FaultyKind;

/* `limit` as for backing_memory_new(). */
Backing *backing_faulty_new(guint64 limit);

/* Operations of these kinds that were begun so far. */
guint64 backing_faulty_count(Backing *backing, FaultyKind kinds);

/* From now on the operation number `after` (0: the very next) of these kinds fails with `err`
 * (positive errno), and so does every later one of them if `for_ever`.  If `torn`, the first of
 * them, where it is a write, may have done any number of its first sectors.  Replaces the fault
 * before; kinds 0 clears it. */
void backing_faulty_fail(Backing *backing, FaultyKind kinds, guint64 after, int err,
			 gboolean for_ever, gboolean torn);

/* The disk refuses what no flush has covered until now, as Linux finds out when it writes back:
 * reads still see it, and the next flush to end fails with `err` (positive errno), that one alone;
 * none where the writer's lock is taken before.  May be called while other threads write. */
void backing_faulty_refuse(Backing *backing, int err);

/* From now on the space below is used up after `bytes` more bytes of 4 KiB units that were never
 * written or were punched; punching gives back; G_MAXUINT64 lifts that. */
void backing_faulty_fill_up(Backing *backing, guint64 bytes);

/* Each operation of these kinds takes at least so long. */
void backing_faulty_delay(Backing *backing, FaultyKind kinds, guint microseconds);

/* What a loss of power now could leave: a new, independent faulty backing with all that was
 * flushed and, of each volatile write in turn, the part that `seed` decides: whole, nothing, or
 * torn.  Seed 0: nothing that was not flushed; seed G_MAXUINT64: everything (the death
 * of the process, not of the machine).  May be called while other threads write: the cut is taken
 * at one instant. */
Backing *backing_faulty_crash(Backing *backing, guint64 seed);

/* Changes one bit of the durable and the visible image, for tests of rot. */
void backing_faulty_flip(Backing *backing, guint64 offset, guint bit);
