/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that makes checkpoints (checkpoint.h) in the background: when the journal is half
 * full, when much was replaced or written, when the volume is idle, when asked.  In between it
 * frees what was discarded and gives unused space back to the file system.  Requests that ask for
 * more than it gets done wait for it here.
 *
 * Threading: any thread, but for checkpointer_free().
 */
#pragma once

#include "common/engine/engine.h"

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
 * 0; -ETIMEDOUT: it goes on; -ENOSPC of a checkpoint that met a full backing: the next that does
 * not brings the size along; or why it stays as it is. */
int checkpointer_resize(Checkpointer *checkpointer, guint64 size, guint seconds);

/* For a request that met a full backing: frees a part of what was discarded, and makes a
 * checkpoint.  Waits 25 s at most.  0, -ETIMEDOUT, or why the checkpoint failed. */
int checkpointer_make_room(Checkpointer *checkpointer);

/* Before a change of so many bytes, while the map is under pressure: waits for the change's turn,
 * and while the map is crowded, 25 s at most.  0, -ENOSPC (it is crowded, and checkpoints meet a
 * full backing), -ETIMEDOUT, -ESHUTDOWN. */
int checkpointer_throttle(Checkpointer *checkpointer, guint64 bytes);

/* Has the thread run `call` between checkpoints, and waits for its end: what it looks at of pages
 * and superblocks is not written meanwhile. */
typedef void (*CheckpointerCall)(Engine *engine, gpointer data);
void checkpointer_call(Checkpointer *checkpointer, CheckpointerCall call, gpointer data);

/* Asks that what was discarded is freed and given back; a ticket to wait for that with, for
 * `seconds` at most. */
guint64 checkpointer_settle(Checkpointer *checkpointer);
gboolean checkpointer_settled(Checkpointer *checkpointer, guint64 ticket, guint seconds);

guint64 checkpointer_count(Checkpointer *checkpointer);

/* Tells the thread that requests change the volume, so that it is not idle. */
void checkpointer_note_change(Checkpointer *checkpointer);

/* Tells the thread that somebody flushed: a load that flushes after every few writes is given
 * space that was written before (slots_warm_up). */
void checkpointer_note_flush(Checkpointer *checkpointer);
