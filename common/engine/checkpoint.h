/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: a durable root from which everything up to its generation reads (I6).
 *
 *     freeze    one instant divides map, allocator's lists and journal; requests go on
 *     write     frozen nodes bottom-up, then the bitmap pages that changed
 *     flush     all of that, and every payload before the cut, is on disk
 *     switch    the other superblock names the new root; flush; so does the second; flush
 *     release   the journal's tail moves up; what was replaced is free, once no reader that
 *               could have looked it up is left
 *
 * An error before the switch leaves the previous checkpoint in force (I6).  After -ENOSPC and
 * -ENOMEM the frozen state stays, and the next attempt continues with it.  Any other error, and any
 * failed flush, makes the volume FAILED.  A volume that has FAILED switches no superblock. Replaced
 * slots are reused, and the journal's tail moves, only after both superblocks are on disk: until
 * then damage to either superblock loses nothing.
 *
 * The volume's size is part of it.  A larger one is for requests when both superblocks are durable:
 * the journal never names blocks that one of them does not know.  A smaller one is before the
 * freeze: the map knows no others any more.
 *
 * Threading: one thread at a time: the Checkpointer's (checkpointer.h) while there is one.
 */
#pragma once

#include "common/engine/engine.h"

/* Begins a checkpoint, up to the freeze; first finishes one that met a full backing.  `size` is the
 * volume's new size, or 0; *ret_resize is then 0 or why the size stays.  Returns 0, or why no
 * checkpoint was begun. */
int checkpoint_begin(Engine *engine, guint64 size, int *ret_resize);

/* Finishes the checkpoint: writes the frozen state and switches.  `clean`: the volume is being
 * closed, and the journal has no record behind the cut. */
int checkpoint_finish(Engine *engine, gboolean clean);

/* Begins and finishes a checkpoint. */
int checkpoint_make(Engine *engine, gboolean clean);
