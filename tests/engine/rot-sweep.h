/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sweep: many cases of damage to the same volume (rot-scene.h), and what is required after
 * each.
 *
 *     sweep = sweep_begin(...)
 *     for each case
 *         if (sweep_takes(&sweep)) { sweep_name(); damage sweep.copy; sweep_judge(); }
 *     sweep_end(&sweep)
 *
 * A case that takes longer than a minute ends the program.
 */
#pragma once

#include "tests/engine/rot-scene.h"

typedef struct {
	const Scene *scene;
	Backing *copy; /* to be renewed and damaged for each case */
	TestRandom random;
	guint64 of, met;       /* number of cases; those that came up so far */
	guint64 stride;	       /* one case in so many is taken */
	guint64 part, n_parts; /* 0 ... n_parts - 1 */
	guint64 cases, used, noticed, refused, lost;
} RotSweep;

/* About `sample` of `of` cases are taken, unless $STORAGEOS_ROT says otherwise. */
RotSweep sweep_begin(const Scene *scene, guint64 of, guint64 sample);

/* Whether the next case must be run; FALSE once a case failed. */
gboolean sweep_takes(RotSweep *sweep);

/* Describes the case, for messages. */
void sweep_name(RotSweep *sweep, const char *format, ...) G_GNUC_PRINTF(2, 3);

typedef enum {
	SWEEP_READ,  /* check, and an open for reading */
	SWEEP_WRITE, /* then it is opened for writing, read, written, read again, closed, and read
		      */
	SWEEP_MEND,  /* then it is repaired instead, and read */
	SWEEP_SCRUB, /* then it is opened for writing and scrubbed instead, and read */
} SweepUse;

/* Whatever is done with the copy, after each step every read returns the right data, or an error
 * that names the block, which check must list, of the volume and of each snapshot that has it. */
void sweep_judge(RotSweep *sweep, SweepUse use);

/* Prints how many cases there were. */
void sweep_end(RotSweep *sweep);
