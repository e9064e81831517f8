/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short scripts of requests to a small volume, and the oracle that says what the volume may hold
 * after a crash or an error interrupted a script.
 *
 * Every write fills its sectors with its own number, so one number for each sector describes the
 * content of a volume: 0 for zeros, 1 for the data before the script, `2 + i` for step i.
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
	gboolean from_crash;	      /* begins with a journal to replay */
	gboolean together;	      /* writes that follow each other are one batch */
} Script;

extern const Script scripts[];
extern const guint n_scripts;

/* A script of `n` random steps. */
void script_random(Script *script, TestRandom *random, guint n);

/* The content of a volume. */
typedef struct {
	guint8 numbers[SCRIPT_SECTORS];
} Content;

/* Reads the whole volume.  Checks that no sector is mixed or in the wrong place. */
gboolean content_read(Volume *volume, Content *ret_content);

/* A faulty backing with the volume with which the script starts: flushed, and closed or, with
 * `from_crash`, abandoned.  Also returns its content. */
Backing *script_prepare(const Script *script, Content *ret_content);

/* One run of a script. */
typedef struct {
	const Script *script;
	guint n_steps;
	Content before;
	int results[SCRIPT_STEPS_MAX]; /* of the steps that began */
	guint begun;
	guint acknowledged; /* steps before the first that failed */
	guint flushed;	    /* every step before this one that succeeded is durable */
} Run;

void run_init(Run *run, const Script *script, const Content *before);

/* Runs the steps up to the first that fails or, with `go_on`, all of them.  *volume is NULL
 * afterwards if a step could not open it again. */
void run_steps(Run *run, Backing *backing, Volume **volume, gboolean go_on);

/* After a crash: the content must be what the first p steps left, with p from `low` to the
 * number of steps that began. */
gboolean run_check_prefix(const Run *run, guint low, const Content *content);

/* After errors: each sector must hold what one of these steps left there: the last one that
 * succeeded before step `sure`, or any later or failed step. */
gboolean run_check_possible(const Run *run, guint sure, const Content *content);
