/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Freeing what snapshots gave up, step by step, as part of ordinary checkpoints:
 *
 *   the dying walk   frees what is below a snapshot's dead pointers, and its own
 *   the deletion     frees what a snapshot in state deleting has alone: goes down its tree beside
 *                    that of its one child, snapshot or head, and stops where both are the same
 *
 * Both go through trees that do not change, from the first block to the last.  A step is one leaf,
 * or all of a subtree that is skipped.  It frees blocks of that leaf, and the nodes of the path
 * that end there, and moves the cursor, in one critical section; the superblock has the cursor, so
 * that a crash goes on there.  Nothing is allocated but a page of the table at the end.
 *
 * One snapshot at a time is in each walk.  Dying walks come first: a deletion compares trees that
 * have nothing dying (R5).  A snapshot that is a branch point waits (R4).
 *
 * What is below a node that is lost in all its copies stays in use for ever; check reports it.
 *
 * Threading: the checkpoint thread, while no checkpoint is being made.
 */
#pragma once

#include "common/engine/snapshots.h"

typedef struct SnapshotWalk SnapshotWalk;

/* `snapshots` and `map` outlive the result.  `name`: of the volume, for messages. */
SnapshotWalk *snapshot_walk_new(Snapshots *snapshots, Map *map, const char *name);
void snapshot_walk_free(SnapshotWalk *walk); /* NULL is allowed */

/* Makes one step.  1: there may be more; 0: there is nothing to do now; or a negative errno, after
 * which a later call tries again. */
int snapshot_walk_step(SnapshotWalk *walk);

/* Bytes that the walk has read since it began: two nodes for each that it had to look at. */
guint64 snapshot_walk_bytes(const SnapshotWalk *walk);
