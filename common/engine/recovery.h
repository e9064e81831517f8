/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening: from the newest superblock, its bitmaps and its journal to a map that holds a prefix of
 * what was acknowledged, with at least everything that was flushed (I1, I3).
 *
 * Records are walked in sequence.  Up to the last durable-mark a payload is known to be on disk and
 * is taken as it is: should it be damaged, reading it will say so.  Behind the mark each payload is
 * verified, and the first that is not whole ends the replay.  What counts from there, the ring's
 * records and the superblock are written once more and flushed: if a flush failed before, the
 * kernel may hold them as clean though they never reached the disk.  Before anything else is
 * written a new superblock puts a fence there: nothing behind it can come back, whatever is written
 * to its slots, and no generation is used twice.
 */
#pragma once

#include "common/engine/engine.h"

/* The engine has its backing (locked), name and read_only set and its superblock loaded.  After
 * TRUE its map and journal are ready for requests. */
gboolean recovery_run(Engine *engine, GError **error);
