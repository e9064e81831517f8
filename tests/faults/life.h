/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a small volume, with everything in it that can be made to fail: it is formatted,
 * opened, grown and shrunk, changed in every way, read, flushed, checkpointed, abandoned as by a
 * crash, recovered, discarded, closed.  And the oracle for a life in which something failed.
 *
 * Each step writes its number into its sectors.  For each sector the oracle keeps the set of steps
 * that may have been the last there: one that succeeded leaves only itself, one that failed adds
 * itself.  A second set is what a loss of power may leave: it shrinks when something is flushed.
 */
#pragma once

#include "common/base/units.h"
#include "tests/engine/support.h"

/* At its largest. */
#define LIFE_SIZE (3 * MIB + 4 * BLOCK_SIZE)
#define LIFE_SECTORS (LIFE_SIZE / SECTOR_SIZE)

/* Where it lives: a faulty backing, or else the file at `path`. */
typedef struct {
	Backing *faulty;
	const char *path;
} LifeGround;

/* What may come of the faults. */
typedef struct {
	int result;	/* what requests may fail with, negative; 0: none may */
	int code;	/* of the error of a format, an open or a close that fails */
	gboolean reads; /* reads may fail, too */
	gboolean fails; /* the volume may become FAILED */
	gboolean quick; /* no step takes longer than a second */
} LifeRules;

typedef struct Life Life;

Life *life_new(const LifeGround *ground, const LifeRules *rules);

/* Lives it, while faults strike; checks each step's result.  Where the volume cannot even be
 * opened at a second attempt, it ends early. */
void life_run(Life *life);

/* Afterwards, without faults: the volume is whole, holds what it may, and works; so is and does
 * what a loss of power at the end of the life would have left. */
void life_check(Life *life);

/* That some step took longer than a second. */
gboolean life_was_slow(const Life *life);

void life_free(Life *life);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Life, life_free)
