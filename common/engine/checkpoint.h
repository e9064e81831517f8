/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: a durable root from which everything up to its generation reads (I6).
 *
 *     freeze    at one instant, divides the map, the allocator's lists and the journal into what
 *               the checkpoint contains and what comes after it; requests go on
 *     write     writes the frozen nodes bottom-up, then the bitmap pages that changed
 *     flush     makes these durable, and every payload before the journal's cut
 *     switch    writes the new superblock over the older copy and flushes, then over the other copy
 *               and flushes
 *     release   moves the journal's tail up; frees the replaced slots when the readers that may
 *               have looked them up are done
 *
 * An error before the switch leaves the previous checkpoint in force (I6).  After -ENOSPC and
 * -ENOMEM the frozen state stays, and the next attempt continues with it.  Any other error, and any
 * failed flush, makes the volume FAILED.  A volume that has FAILED switches no superblock.
 *
 * Replaced slots are reused, and the journal's tail moves, only after both superblocks are durable:
 * until then damage to either superblock loses nothing (I6).
 *
 * A checkpoint also changes the volume's size.  Requests may use a larger size once both
 * superblocks are durable, so that the journal never names blocks that are behind the end by one of
 * the superblocks.  A smaller size holds for requests from before the freeze on, because the map no
 * longer covers the blocks behind it.
 *
 * A checkpoint may be a snapshot: its root is kept.  If it meets a full disk after the freeze, the
 * snapshot is given up, and deleted once the checkpoint is durable.  Not so if it is what was
 * received: then the checkpoint goes on when it can.
 *
 * A snapshot's instant need not wait for the disk.  The flush and the switch take a second and more
 * under load, and all that they need was set aside before: once a checkpoint is written, the next
 * freeze may come, one at most.  It belongs to the next checkpoint, which is written when this one
 * has released what it replaced.
 *
 * Threading: one thread at a time; while there is a Checkpointer (checkpointer.h), its thread, or
 * the thread that the checkpointer lets in.  During checkpoint_switch() alone, another thread may
 * call checkpoint_begin_snapshot(), if nothing is frozen.
 */
#pragma once

#include "common/engine/engine.h"

/* Begins a checkpoint, up to the freeze; first finishes an earlier one that -ENOSPC or -ENOMEM
 * interrupted.  `size` is the volume's new size, or 0 for no change.  Returns 0, or why no
 * checkpoint was begun.  After 0, and if `size` is not 0, *ret_resize is 0, or why the size stays
 * as it is. */
int checkpoint_begin(Engine *engine, guint64 size, int *ret_resize);

/* The same, and the checkpoint is a snapshot of the volume, with the identity of `wish` (name,
 * UUID, created, group, flags, state).  -EEXIST: the name or the UUID is taken; -ENOSPC: there is
 * no room for it.  After 0, *ret_generation is the snapshot's: what is changed from now on is not
 * in it. */
int checkpoint_begin_snapshot(Engine *engine, const Snapshot *wish, guint64 *ret_generation);

/* Finishes the checkpoint, in three steps: writes the frozen state, and describes it in the next
 * superblock; flushes and switches; releases what the checkpoint replaced.  `clean`: the volume is
 * being closed, and the journal has no record behind the cut.  After an error of one step, the next
 * must not be called. */
int checkpoint_write(Engine *engine, gboolean clean);
int checkpoint_switch(Engine *engine);
void checkpoint_release(Engine *engine);

/* All three. */
int checkpoint_finish(Engine *engine, gboolean clean);

/* Begins and finishes a checkpoint. */
int checkpoint_make(Engine *engine, gboolean clean);
