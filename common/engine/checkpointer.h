/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that makes checkpoints (checkpoint.h) in the background: when the journal is half
 * full, when the map asks for one (map_wants_checkpoint()), 2 s after the last change, and when a
 * caller asks.  Between checkpoints it frees discarded blocks and deleted snapshots, gives unused
 * space back to the file system, and tidies the volume while that is idle (tidy.h).  Requests that
 * outrun the thread wait for it here; no wait is longer than 25 s (I9).
 *
 * Threading: any thread may call any function, except that checkpointer_free() must be the last
 * call.
 */
#pragma once

#include "common/engine/engine.h"
#include "common/engine/tidy.h"

typedef struct Checkpointer Checkpointer;

/* Starts the thread.  `engine` outlives it. */
Checkpointer *checkpointer_new(Engine *engine, GError **error);

/* Stops and joins the thread; no further checkpoint is made.  NULL is allowed. */
void checkpointer_free(Checkpointer *checkpointer);

/* Wakes the thread, which makes a checkpoint if one is due.  Does not wait. */
void checkpointer_kick(Checkpointer *checkpointer);

/* For tests: while held, the thread frees nothing by itself, but when a caller settles. */
void checkpointer_hold(Checkpointer *checkpointer, gboolean hold);

/* Has a checkpoint made that begins after the call, and waits for its end.  0, or the checkpoint's
 * error. */
int checkpointer_run(Checkpointer *checkpointer);

/* Has a checkpoint made that gives the volume that size (map_resize()), and waits for its end,
 * `seconds` at most.  0; -ETIMEDOUT: the resize goes on; -ENOSPC: the checkpoint met a full
 * backing, and the next one that succeeds may bring the new size; or why the size stays as it is.
 */
int checkpointer_resize(Checkpointer *checkpointer, guint64 size, guint seconds);

/* Begins a checkpoint that is a snapshot (checkpoint_begin_snapshot()), which the thread finishes.
 * Does not wait for a running checkpoint's flush, and for its turn 25 s at most.  0; -ETIMEDOUT;
 * -ENOSPC; or why else there is no snapshot. */
int checkpointer_snapshot(Checkpointer *checkpointer, const Snapshot *wish,
			  guint64 *ret_generation);

/* Waits until that snapshot is durable, `seconds` at most.  0; -ETIMEDOUT; -ENOSPC: it was given
 * up or, if it is what was received, waits for space; -ENOENT: there is none; -ESHUTDOWN. */
int checkpointer_await(Checkpointer *checkpointer, guint64 generation, guint seconds);

/* For a request that met a full backing: has some discarded blocks freed and a checkpoint made, and
 * waits for its end, 25 s at most.  0, -ETIMEDOUT, or the checkpoint's error. */
int checkpointer_make_room(Checkpointer *checkpointer);

/* Called before `changes` changes of `bytes` bytes in all, at most THROTTLE_BYTES unless it is one:
 * waits for their turn (throttle.h), 25 s at most.  0; -ENOSPC: the map is crowded and the last
 * checkpoint met a full backing; -ETIMEDOUT; -ESHUTDOWN: the volume has FAILED. */
int checkpointer_throttle(Checkpointer *checkpointer, guint64 bytes, guint changes);

/* Has the thread run `call` between checkpoints, and waits until it has returned.  No checkpoint
 * writes bitmap pages or superblocks while `call` runs. */
typedef void (*CheckpointerCall)(Engine *engine, gpointer data);
void checkpointer_call(Checkpointer *checkpointer, CheckpointerCall call, gpointer data);

/* Asks the thread to free all discarded blocks, with `snapshots` also what deleted snapshots had,
 * and to give their space back to the file system.  Returns a ticket; checkpointer_settled() waits
 * for it, and for all before it, `seconds` at most, and returns whether it is done. */
guint64 checkpointer_settle(Checkpointer *checkpointer, gboolean snapshots);
gboolean checkpointer_settled(Checkpointer *checkpointer, guint64 ticket, guint seconds);

/* Tidies the whole volume at once, whatever has changed and however busy the volume is, and waits
 * for the end: for tests. */
void checkpointer_tidy(Checkpointer *checkpointer);

/* What a request read, for tidy_note_read(). */
void checkpointer_note_read(Checkpointer *checkpointer, guint64 first, guint n,
			    const MapEntry *entries);

void checkpointer_get_tidy_info(Checkpointer *checkpointer, TidyInfo *ret_info);

/* How many checkpoints the thread has completed. */
guint64 checkpointer_count(Checkpointer *checkpointer);

/* Tells the thread that a request changed the volume: it is not idle. */
void checkpointer_note_change(Checkpointer *checkpointer);

/* Tells the thread that a request flushed.  For a load that flushes after every few writes the
 * thread keeps space ready that was written before (slots_warm_up()). */
void checkpointer_note_flush(Checkpointer *checkpointer);
