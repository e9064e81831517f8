/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a volume: builds the map from the newest superblock, its bitmaps and the journal's
 * records.  The map then holds a prefix of the acknowledged writes, with at least all that was
 * flushed (I1, I3).
 *
 * Records are replayed in sequence.  The payload of a record before the last durable-mark was
 * flushed and is not verified: if it is damaged, reads of it will fail (I4).  The payload of a
 * record behind the mark is verified; the first one that is not whole ends the replay.
 *
 * Recovery then writes the verified payload, the records and the superblock again and flushes:
 * after a flush that failed, the kernel may take pages for clean that never reached the disk.
 * Before it writes anything else it stores a superblock with a fence at the end of the replay.
 * Records behind the fence can never count again, whatever is written to their slots, and no
 * generation is used twice.
 */
#pragma once

#include "common/engine/engine.h"

/* Requires that the engine's backing is locked, its name and read_only are set, its superblock is
 * loaded, and engine_init() was called.  After TRUE its map and journal are ready for requests. */
gboolean recovery_run(Engine *engine, GError **error);
