/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short scripts of requests on a small volume, and the oracle that says what may be in the volume
 * after a script was cut short by a crash or by errors.
 *
 * Every write puts its own number into each of its sectors, so what a volume holds is described by
 * one number for each sector: 0 for zeros, 1 for what was there before, `2 + i` for step i.
 */
#pragma once

#include "common/base/units.h"
#include "tests/engine/support.h"

#define SCRIPT_VOLUME_SIZE (4 * MIB)
#define SCRIPT_JOURNAL_SIZE (1 * MIB)
#define SCRIPT_SECTORS (SCRIPT_VOLUME_SIZE / SECTOR_SIZE)
#define SCRIPT_STEPS_MAX 60

typedef enum { STEP_END, STEP_WRITE, STEP_ZERO, STEP_FLUSH, STEP_CHECKPOINT, STEP_REOPEN } StepKind;

typedef struct {
	StepKind kind;
	guint first, count; /* sectors */
} Step;

typedef struct {
	const char *name;
	Step steps[SCRIPT_STEPS_MAX]; /* up to STEP_END */
	gboolean from_wrap;	      /* begins where the journal's ring is about to wrap */
	gboolean from_crash;	      /* begins with records to be replayed */
	gboolean together;	      /* writes that follow each other are one batch */
} Script;

extern const Script scripts[];
extern const guint n_scripts;

/* A script of so many random steps. */
void script_random(Script *script, TestRandom *random, guint n);

/* What a volume holds. */
typedef struct {
	guint8 numbers[SCRIPT_SECTORS];
} Content;

/* Reads it all; checks that no sector is mixed or in the wrong place. */
gboolean content_read(Volume *volume, Content *ret_content);

/* A faulty backing with a volume in it that a script can start on, everything flushed, closed (or
 * abandoned where the script says so), and what the volume holds. */
Backing *script_prepare(const Script *script, Content *ret_content);

/* One run of a script. */
typedef struct {
	const Script *script;
	guint n_steps;
	Content before;
	int results[SCRIPT_STEPS_MAX]; /* of the steps that were begun */
	guint begun;
	guint acknowledged; /* steps before the first that failed */
	guint flushed;	    /* all that succeeded before this step is durable */
} Run;

void run_init(Run *run, const Script *script, const Content *before);

/* Runs the steps, to the first that fails or, with `go_on`, all of them.  *volume is NULL
 * afterwards if a step could not open it again. */
void run_steps(Run *run, Backing *backing, Volume **volume, gboolean go_on);

/* After a crash: the content is what the first p steps left, for a p from `low` to the steps that
 * were begun. */
gboolean run_check_prefix(const Run *run, guint low, const Content *content);

/* After errors: each sector holds what one of the steps left there that may be the last: any that
 * failed, and back to the last that succeeded before step `sure`. */
gboolean run_check_possible(const Run *run, guint sure, const Content *content);
