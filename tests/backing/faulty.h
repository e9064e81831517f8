/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing for tests, in memory, which keeps apart what was flushed and what was only written,
 * counts its operations and injects the faults of hardware.
 *
 * Model: the *durable* image is what a loss of power leaves for certain.  Every write, grow and
 * punch since the last successful flush is kept in order in the *volatile* log; reads see both.
 * Each write reaches the disk whole, not at all, or torn: its head, its tail or any of its 512-byte
 * sectors.  A write beyond a growth that did not reach the disk is lost.  After a failed flush,
 * what it should have made durable stays left to chance, whatever a later flush returns.  The same
 * holds for what the disk refuses between two flushes (backing_faulty_refuse), which is reported to
 * one flush only.
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

/* The number of operations of these kinds that were begun so far. */
guint64 backing_faulty_count(Backing *backing, FaultyKind kinds);

/* Operation number `after` from now on (0: the very next) of these kinds fails with `err` (positive
 * errno) and, if `for_ever`, so does every later operation of these kinds.  If `torn` and the first
 * of them is a write, any number of its first sectors may be written.  Replaces the previous fault;
 * kinds 0 clears it. */
void backing_faulty_fail(Backing *backing, FaultyKind kinds, guint64 after, int err,
			 gboolean for_ever, gboolean torn);

/* The disk refuses everything that no flush has covered until now, as Linux learns when it writes
 * back.  Reads still see this data, and only the next flush to end fails with `err` (positive
 * errno); none fails if the writer's lock is taken first.  May be called while other threads write.
 */
void backing_faulty_refuse(Backing *backing, int err);

/* The space below is used up after `bytes` more bytes of 4 KiB units that were never written or
 * were punched.  Punching gives space back; G_MAXUINT64 removes the limit. */
void backing_faulty_fill_up(Backing *backing, guint64 bytes);

/* Each operation of these kinds takes at least `microseconds`. */
void backing_faulty_delay(Backing *backing, FaultyKind kinds, guint microseconds);

/* A disk that a loss of power at this instant could leave: a new, independent faulty backing with
 * everything that was flushed and, of each volatile write in turn, the part that `seed` decides:
 * all of it, nothing, or a torn part.  Seed 0: nothing that was not flushed.  Seed G_MAXUINT64:
 * everything, as after the death of the process alone.  May be called while other threads write:
 * the cut is taken at one instant. */
Backing *backing_faulty_crash(Backing *backing, guint64 seed);

/* The seed for crash number i of several: nothing of it, everything, and then any part. */
#define FAULTY_CRASH_SEED(i, random) ((i) == 0 ? 0 : (i) == 1 ? G_MAXUINT64 : test_random(random))

/* Changes one bit of the durable and the visible image, for tests of rot. */
void backing_faulty_flip(Backing *backing, guint64 offset, guint bit);
