/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scrub of what snapshots have and the volume has not: each node and block once, by the oldest
 * snapshot that has it.  Damaged copies of nodes are rewritten; what is lost is counted.
 *
 * Threading: scrub_snapshots_step() is for checkpointer_call().  The checkpoint thread alone frees
 * what a snapshot has, so that nothing changes during a step, which reads 1 MiB at most.
 */
#pragma once

#include "common/engine/engine.h"
#include "common/engine/map-scan.h"

typedef struct {
	guint64 generation, block; /* where the next step begins; 0: with the oldest snapshot */
	gboolean repair;
	gboolean more;	    /* set by a step: there is more to do */
	guint64 blocks;	    /* read by a step */
	MapNodeCount count; /* of a step; lost blocks count as `lost`, too */

	guint64 entered[FORMAT_LEVELS_MAX]; /* index of the node in `nodes`, plus 1; 0: none */
	FormatNode nodes[FORMAT_LEVELS_MAX], copy;
	guint8 buffer[FORMAT_POINTERS_MAX * FORMAT_SLOT_SIZE];
} ScrubSnapshots;

/* `data`: a ScrubSnapshots, all zeros at first but for `repair`. */
void scrub_snapshots_step(Engine *engine, gpointer data);
