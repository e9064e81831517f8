/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scrub of what a linked clone has from its base, through the base as the clone has it open: the
 * blocks that the clone, or a snapshot of it, reads from there.  Nothing is rewritten; what the
 * base keeps twice is verified by a scrub of its own volume alone.
 *
 * Threading: the scrub's thread.  A base that hangs holds up that thread alone.
 */
#pragma once

#include "common/engine/volume-private.h"

typedef struct {
	guint64 block;	/* where the next step begins */
	gboolean more;	/* set by a step: there is more to do */
	guint64 blocks; /* read by a step */
	guint64 errors; /* of a step: lost blocks; or 1, for a lost node of the base */
	guint64 first;	/* of the step's piece, of which ... */
	guint n_lost;	/* ... these are lost, ... */
	guint16 lost[FORMAT_POINTERS_MAX]; /* ... counted from `first`, to the volume itself */
	guint8 buffer[FORMAT_POINTERS_MAX * FORMAT_SLOT_SIZE];
} ScrubBase;

/* Reads 1 MiB at most.  *scrub is all zeros at first.  0 or a negative errno, which no damage is.
 */
int scrub_base_step(Volume *volume, ScrubBase *scrub);
