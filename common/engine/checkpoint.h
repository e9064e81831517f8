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
 * An error before the switch leaves the checkpoint before in force.  -ENOSPC and -ENOMEM leave the
 * frozen state as it is, and the next attempt goes on with it; anything else, and any failed
 * flush, makes the volume FAILED.  One that has FAILED meanwhile switches no superblock.  What was
 * replaced is used anew, and the journal's tail moved, only when both superblocks are on disk:
 * damage to either is no loss at any time.
 *
 * The volume's size is part of it.  A larger one is for requests when both superblocks are durable:
 * the journal never names blocks that one of them does not know.  A smaller one is before the
 * freeze: the map knows no others any more.
 *
 * Threading: one thread at a time: the Checkpointer's (checkpointer.h) while there is one.
 */
#pragma once

#include "common/engine/engine.h"

/* Up to the freeze, after the end of one that met a full backing.  With `size` (0: none) the volume
 * gets that, and *ret_resize is 0 or why it does not.  0, or why none was begun. */
int checkpoint_begin(Engine *engine, guint64 size, int *ret_resize);

/* The rest of it: brings the frozen state to the disk.  `clean`: the volume is being closed, and
 * nothing is in the journal behind it. */
int checkpoint_finish(Engine *engine, gboolean clean);

/* Both. */
int checkpoint_make(Engine *engine, gboolean clean);
