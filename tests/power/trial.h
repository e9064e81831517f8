/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trying disks: what a cut of a recording left is checked (I5, I6), opened, which recovers it, read
 * and compared with the history (I1, I3, I4).  In a share of them the volume goes on: it is
 * written, flushed, closed, checked and opened again.  In a share of them the power is cut again:
 * during that recovery, or in what followed.
 *
 * A disk that was tried is not tried again, unless something else must be in it now.
 *
 * How a disk is named, so that it can be made again:
 *
 *     NAME:CUT:CHOICE[:CUT:CHOICE]...@HASH
 *
 * The hash is that of its content.  The name says how the recording is made (the test program's
 * matter), each further pair where that disk's own recovery was cut.
 *
 * Threading: a Trials is for any number of threads; a recording for one at a time.
 */
#pragma once

#include "tests/harness.h"
#include "tests/power/history.h"

typedef struct Trials Trials;

/* Takes the options from the command line of a test program, whose other words stay:
 *
 *     --disks N     goes on, with other random numbers, until so many distinct disks were tried
 *     --jobs N      threads (2)
 *     --keep-going  does not stop at the fifth disk that fails
 *     --replay DISK makes one disk again; its name is the result, else NULL
 *
 * Also sets up logging and memory for this kind of test. */
const char *trials_parse(int *argc, char **argv);

/* `program` is for the line to replay a disk with; `disks`: what is enough unless it was asked for,
 * 0: once through all that is tried. */
Trials *trials_new(const char *program, guint64 disks);
void trials_free(Trials *trials);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Trials, trials_free)

/* TRUE when there were enough disks, or failures. */
gboolean trials_enough(Trials *trials);

/* Whether to go once more through all that is tried; `round`: how often that was done. */
gboolean trials_go_on(Trials *trials, guint64 round);

/* TRUE as soon as a disk failed. */
gboolean trials_failed(Trials *trials);

/* Runs `work` in as many threads as there should be. */
void trials_work(Trials *trials, GThreadFunc work, gpointer data);

/* Prints what was tried, as a diagnostic, and checks that it was not less than `least` distinct
 * disks, or as many as were asked for. */
void trials_report(Trials *trials, guint64 least);

/* A recording that ended, to be cut. */
typedef struct {
	const char *name;
	Disk *disk;
	History *history;
	guint depth; /* power cuts before it */
} Recording;

/* Tries the disk that a choice makes at the cut that the cutter went to. */
void trial_run(Trials *trials, const Recording *recording, Cutter *cutter, guint64 cut,
	       guint64 choice);

/* Goes to a cut and tries disks of all kinds there: where few entries are not flushed all their
 * subsets, else a random one, and at every second cut one by chance. */
void trial_cut(Trials *trials, const Recording *recording, Cutter *cutter, guint64 cut,
	       guint64 random);

/* The same at `to` and at a sample of the cuts in [from, to), or at all of them if --disks is
 * given. */
void trial_sweep(Trials *trials, const Recording *recording, guint64 from, guint64 to,
		 guint64 seed);

/* Makes one disk again, and tries it: `path` is ":CUT:CHOICE...@HASH", of which the hash may be
 * missing.  FALSE, and it was not tried, if its content has another hash, unless `anyway`. */
gboolean trial_replay(Trials *trials, const Recording *recording, const char *path,
		      gboolean anyway);
