/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sweep: many cases of damage to the same volume (rot-scene.h), and what each is held to.
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
	Backing *copy; /* to be renewed, and damaged, for each case */
	TestRandom random;
	guint64 of, met;       /* cases that there are, and that were come across */
	guint64 stride;	       /* one in so many is taken */
	guint64 part, n_parts; /* 0 ... n_parts - 1 */
	guint64 cases, used, noticed, refused, lost;
} RotSweep;

/* Of `of` cases about `sample` are taken, unless $STORAGEOS_ROT asks for something else. */
RotSweep sweep_begin(const Scene *scene, guint64 of, guint64 sample);

/* Whether the next case is to be run; none is once one failed. */
gboolean sweep_takes(RotSweep *sweep);

/* What the case is, for messages. */
void sweep_name(RotSweep *sweep, const char *format, ...) G_GNUC_PRINTF(2, 3);

typedef enum {
	SWEEP_READ,  /* check, and an open for reading */
	SWEEP_WRITE, /* then it is opened for writing, read, written, read again, closed, and read
		      */
	SWEEP_MEND,  /* then it is repaired instead, and read */
} SweepUse;

/* What is read of the copy is right, or an error that names the place and that check lists; and so
 * after every step, whatever is done with it. */
void sweep_judge(RotSweep *sweep, SweepUse use);

/* Says how many there were. */
void sweep_end(RotSweep *sweep);
