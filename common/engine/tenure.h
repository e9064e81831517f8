/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One writer across machines (I8): who has a shared backing (backing_is_shared()) open for writing.
 * The lock of a backing ends at the machine.  So the backing itself says who has it, in two blocks
 * (format.h): the *tenure* names machine and process, and is written once, when the backing is
 * taken; the *pulse* is written every 5 s, with another random number each time, for as long as it
 * is held.  Whose tenure is in the backing, has it; a pulse that comes late, from a machine that
 * stood still meanwhile, changes nothing.
 *
 * Taking it:
 *   1. Read both blocks.  Never taken, or given back: go on with 3.  Of this boot of this machine,
 *      over the same device: the process has died, since the caller holds the device exclusively
 *      (O_EXCL, backing_lock()): go on with 3.
 *   2. Watch the blocks for two intervals and a second.  They change: their writer lives; BUSY, "in
 *      use by HOST (process N)".  What cannot be decoded, as a later version's, is watched, too.
 *   3. Write an own tenure, flush, and read it back after a second: another machine that does the
 *      same at this moment has written over it by then, and only the last one finds its own.
 * Whoever has it looks at the tenure with each pulse; another's: it is lost.
 *
 * Only changes are looked at, never the clock of another machine.
 *
 * What it does not do: it fences nobody.  A machine that stands still for longer than two intervals
 * (a virtual machine that is paused, a disk that hangs) loses the backing to another that asks for
 * it, notices when it looks again, within an interval, and may have written until then; and what
 * its page cache still holds is written by its kernel even later.  So it finds mistakes: one disk
 * configured on two machines.  Fencing is what cluster managers do (docs/operations.md, "Two
 * machines").
 *
 * Costs, while the backing is open for writing: a thread that sleeps, and every interval a read of
 * 8 KiB and a write of 4 KiB.  The checkpoint thread could not do it: a checkpoint's flush may take
 * longer than another machine would wait.
 *
 * Threading: tenure_end() is the last call; the others may come from any thread.
 */
#pragma once

#include "common/backing/backing.h"

#define TENURE_INTERVAL_MS 5000
#define TENURE_SETTLE_MS 1000

typedef struct Tenure Tenure;

typedef enum {
	/* Where step 2 is needed: AWAITED at once, with nothing written. */
	TENURE_HASTY = 1 << 0,
} TenureFlags;

/* Takes the backing, whose writer's lock the caller has.  Lasts a second, and 11 s more where
 * somebody had it and did not give it back.  Reads see what other machines have written until then.
 * *ret_tenure is NULL where the backing is not shared, or too small for a volume.  Errors: BUSY,
 * AWAITED, IO.  The backing must outlive the tenure. */
gboolean tenure_take(Backing *backing, TenureFlags flags, Tenure **ret_tenure, GError **error);

/* Locks the backing on this machine, and takes it, unless it is not for `writing` (I8).  To take it
 * is to write, so not before `load` has seen that there is a volume; others may have changed that
 * until it is taken, so `load` is called again then. */
typedef gboolean (*TenureLoad)(gpointer data, GError **error);
gboolean tenure_lock(Backing *backing, gboolean writing, TenureFlags flags, TenureLoad load,
		     gpointer data, Tenure **ret_tenure, GError **error);

/* Another machine has taken the backing: `by` says which, such as "gw1 (process 123)".  Called once
 * at most, by the tenure's thread or by tenure_on_loss().  Nothing may be written any more; the
 * backing is condemned when the call by the thread returns. */
typedef void (*TenureLoss)(gpointer data, const char *by);

/* Has the loss told from now on, also if it came before.  Without this the backing is just
 * condemned. */
void tenure_on_loss(Tenure *tenure, TenureLoss loss, gpointer data);

/* Ends the tenure and waits for its thread.  With `give_back` it says so in the pulse, so that the
 * next one does not wait; without, as after the death of the process.  What the caller has written
 * must be durable before.  NULL is allowed. */
void tenure_end(Tenure *tenure, gboolean give_back);

/* Who has the backing, or has died with it: "gw1 (process 123)"; NULL: nobody, or it is not shared,
 * or cannot be read.  Neither locks, writes nor waits.  Free the result. */
char *tenure_describe(Backing *backing);

/* For tests: other times for those who take a backing from now on. */
void tenure_set_times(guint interval_ms, guint settle_ms);
