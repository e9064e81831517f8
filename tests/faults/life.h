/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a small volume with every kind of operation that can fail: the volume is formatted,
 * opened, grown and shrunk, changed in every way, read, flushed, checkpointed, abandoned as by a
 * crash, recovered, discarded, closed.  Also the oracle for a life in which something failed.
 *
 * Each step writes its number into its sectors.  For each sector the oracle keeps the set of steps
 * that may have written it last: a step that succeeds replaces the set by itself, a step that fails
 * is added to the set.  A second set has the steps that a loss of power may leave; a flush reduces
 * it to the first.
 */
#pragma once

#include "common/base/units.h"
#include "tests/engine/support.h"

/* The volume's largest size. */
#define LIFE_SIZE (3 * MIB + 4 * BLOCK_SIZE)
#define LIFE_SECTORS (LIFE_SIZE / SECTOR_SIZE)

/* The volume's backing: `faulty`, or else the file at `path`. */
typedef struct {
	Backing *faulty;
	const char *path;
} LifeGround;

/* What the faults may lead to. */
typedef struct {
	int result;	/* the negative errno with which requests may fail; 0: none may fail */
	int code;	/* error code of a format, an open or a close that fails */
	gboolean reads; /* reads may fail, too */
	gboolean fails; /* the volume may become FAILED */
	gboolean quick; /* no step takes longer than a second */
} LifeRules;

typedef struct Life Life;

Life *life_new(const LifeGround *ground, const LifeRules *rules);

/* Carries out all steps while faults strike, and checks the result of each.  Ends early if the
 * volume cannot be opened at the second attempt. */
void life_run(Life *life);

/* To be called afterwards, without faults: checks that the volume is whole, holds only what the
 * oracle allows, and works; and the same of the disk that a loss of power at the end of the life
 * would have left. */
void life_check(Life *life);

/* Whether some step took longer than a second. */
gboolean life_was_slow(const Life *life);

void life_free(Life *life);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Life, life_free)
