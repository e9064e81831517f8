/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trying disks: what a cut of a recording left is checked (I5, I6), opened, which recovers it, read
 * and compared with the history (I1, I3, I4).  In a share of them the volume goes on: it is
 * written, flushed, closed, checked and opened again.  In a share of them the power is cut again:
 * during that recovery, or in what followed.
 *
 * A disk is not tried twice, unless its required content differs.
 *
 * The name of a disk, from which it can be made again:
 *
 *     NAME:CUT:CHOICE[:CUT:CHOICE]...@HASH
 *
 * HASH is the hash of the disk's content.  NAME tells the test program how to make the recording.
 * Each further pair says where the recovery of the disk before it was cut.
 *
 * Threading: a Trials is for any number of threads; a recording for one at a time.
 */
#pragma once

#include "tests/harness.h"
#include "tests/power/history.h"

typedef struct Trials Trials;

/* Takes the options from the command line of a test program, whose other words stay:
 *
 *     --disks N     continues with other random numbers until N distinct disks were tried
 *     --jobs N      threads (2)
 *     --keep-going  does not stop at the fifth disk that fails
 *     --replay DISK makes one disk again; its name is the result, else NULL
 *
 * Also sets up logging and memory for this kind of test. */
const char *trials_parse(int *argc, char **argv);

/* `program` appears in the line that replays a disk.  `disks` is the number of disks to try unless
 * the command line has one; 0: one pass. */
Trials *trials_new(const char *program, guint64 disks);
void trials_free(Trials *trials);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trials, trials_free)

/* TRUE when enough disks were tried or have failed. */
gboolean trials_enough(Trials *trials);

/* Whether to make another pass; `round`: the number of passes so far. */
gboolean trials_go_on(Trials *trials, guint64 round);

/* TRUE as soon as a disk failed. */
gboolean trials_failed(Trials *trials);

/* Runs `work` in as many threads as requested. */
void trials_work(Trials *trials, GThreadFunc work, gpointer data);

/* Prints what was tried, as a diagnostic.  Checks that at least `least` distinct disks were tried,
 * or as many as the command line requested. */
void trials_report(Trials *trials, guint64 least);

/* A recording that ended, to be cut. */
typedef struct {
	const char *name;
	Disk *disk;
	History *history;
	guint depth; /* power cuts before it */
} Recording;

/* Tries the disk of a choice at the cutter's present cut. */
void trial_run(Trials *trials, const Recording *recording, Cutter *cutter, guint64 cut,
	       guint64 choice);

/* Goes to a cut and tries disks of all kinds there: all subsets of the unflushed entries if these
 * are few, otherwise a random subset, and at every second cut a disk with random tearing. */
void trial_cut(Trials *trials, const Recording *recording, Cutter *cutter, guint64 cut,
	       guint64 random);

/* Calls trial_cut() at `to` and at a sample of the cuts in [from, to), or at all of them with
 * --disks. */
void trial_sweep(Trials *trials, const Recording *recording, guint64 from, guint64 to,
		 guint64 seed);

/* Makes one disk again, and tries it: `path` is ":CUT:CHOICE...@HASH", of which the hash may be
 * missing.  FALSE, and it was not tried, if its content has another hash, unless `anyway`. */
gboolean trial_replay(Trials *trials, const Recording *recording, const char *path,
		      gboolean anyway);
