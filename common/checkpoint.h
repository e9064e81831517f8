/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: a durable root from which everything up to its generation reads (I6).
 *
 *     freeze    one instant divides map, allocator's lists and journal; requests go on
 *     write     frozen nodes bottom-up, then the bitmap pages that changed
 *     flush     all of that, and every payload before the cut, is on disk
 *     switch    the other superblock names the new root; flush
 *     release   the journal's tail moves up; what was replaced is free, once no reader that
 *               could have looked it up is left
 *
 * An error before the switch leaves the checkpoint before in force.  -ENOSPC and -ENOMEM leave the
 * frozen state as it is, and the next attempt goes on with it; anything else, and any failed
 * flush, makes the volume FAILED.
 *
 * The volume's size is part of it.  A larger one is for requests when the superblock is durable: the
 * journal never names blocks that the superblock before it does not know.  A smaller one is before the
 * freeze: the map knows no others any more.
 *
 * A Checkpointer is the thread that makes them in the background: when the journal is half full,
 * when much was replaced or written, when the volume is idle, when asked.  In between it frees
 * what was discarded and gives unused space back to the file system.
 */
#pragma once

#include "common/engine.h"

typedef struct Checkpointer Checkpointer;

/* Starts the thread.  `engine` outlives it. */
Checkpointer *checkpointer_new(Engine *engine, GError **error);

/* Stops and joins the thread; no further checkpoint is made.  NULL is allowed. */
void checkpointer_free(Checkpointer *checkpointer);

/* Asks for a checkpoint without waiting. */
void checkpointer_kick(Checkpointer *checkpointer);

/* Makes one that begins after the call, and waits for it: 0, or why it failed. */
int checkpointer_run(Checkpointer *checkpointer);

/* Makes one with which the volume gets that size (map_resize), and waits for it, `seconds` at most.
 * 0; -ETIMEDOUT: it goes on; -ENOSPC of a checkpoint that met a full backing: the next that does not
 * brings the size along; or why it stays as it is. */
int checkpointer_resize(Checkpointer *checkpointer, guint64 size, guint seconds);

/* For a request that met a full backing: frees a part of what was discarded, and makes a
 * checkpoint.  Waits 25 s at most.  0, -ETIMEDOUT, or why the checkpoint failed. */
int checkpointer_make_room(Checkpointer *checkpointer);

/* Before a change of so many bytes, while the map is under pressure: waits for the change's turn, and
 * while the map is crowded, 25 s at most.  0, -ENOSPC (it is crowded, and checkpoints meet a full
 * backing), -ETIMEDOUT, -ESHUTDOWN. */
int checkpointer_throttle(Checkpointer *checkpointer, guint64 bytes);

/* Has the thread run `call` between checkpoints, and waits for its end: what it looks at of pages and
 * superblocks is not written meanwhile.  By one thread at a time, and before checkpointer_free(). */
typedef void (*CheckpointerCall)(Engine *engine, gpointer data);
void checkpointer_call(Checkpointer *checkpointer, CheckpointerCall call, gpointer data);

/* Asks that what was discarded is freed and given back; a ticket to wait for that with, for `seconds`
 * at most. */
guint64 checkpointer_settle(Checkpointer *checkpointer);
gboolean checkpointer_settled(Checkpointer *checkpointer, guint64 ticket, guint seconds);

guint64 checkpointer_count(Checkpointer *checkpointer);

/* Tells the thread that requests change the volume, so that it is not idle. */
void checkpointer_note_change(Checkpointer *checkpointer);

/* Tells the thread that somebody flushed: a load that flushes after every few writes is given
 * space that was written before (slots_warm_up). */
void checkpointer_note_flush(Checkpointer *checkpointer);

/* One checkpoint, by the caller's thread, while no Checkpointer runs.  `clean`: the volume is being
 * closed and nothing is in the journal behind it. */
int checkpoint_make(Engine *engine, gboolean clean);
