/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for requests that have to wait, since the threads that take requests from the kernel must
 * not.
 *
 * Reads, changes and flushes have threads of their own, so that one kind does not delay another: a
 * write may wait 25 s for a checkpoint while reads go on.  A request that is handed over is copied.
 * Copies of write data take at most 64 MiB; whoever would hand over more waits for room.  Up to 16
 * MiB are kept for the next copies, until a thread has been idle for WORKERS_IDLE_SECONDS.
 *
 * A request that should not have to wait may be tried in the thread that took it.  Although the
 * engine promises not to wait, the file system below may: it may be frozen, or write dirty pages
 * first.  So a write that is tried must be between sleepers_try_write() and sleepers_end_write(),
 * which keep at least one thread that takes requests out of such writes.
 *
 * Threading: any.
 */
#pragma once

#include "common/base/workers.h"

typedef struct Sleepers Sleepers;

typedef enum {
	SLEEPERS_READ,
	SLEEPERS_CHANGE, /* writes, discards */
	SLEEPERS_FLUSH,
	SLEEPERS_KINDS,
} SleepersKind;

#define SLEEPERS_THREADS 16 /* of each kind, at most, for a disk of this machine */

/* `takers` is how many threads take requests, at least 2; `threads` how many of each kind carry
 * them out, at most. */
Sleepers *sleepers_new(guint takers, guint threads, GError **error);

/* Carries out what is queued, then ends the threads.  NULL is allowed. */
void sleepers_free(Sleepers *sleepers);

/* Makes a thread of that kind call run(task, data) with copies of `task` (`size` bytes) and `data`
 * (`length` bytes).  FALSE if there is no memory for the copies; then nothing was done. */
typedef void (*SleepersRun)(gpointer task, const guint8 *data);
gboolean sleepers_hand_over(Sleepers *sleepers, SleepersKind kind, SleepersRun run,
			    gconstpointer task, gsize size, const guint8 *data, gsize length);

/* Makes a thread of that kind run the item, which is the caller's. */
void sleepers_push(Sleepers *sleepers, SleepersKind kind, WorkItem *item);

/* Whether the calling thread, which takes requests, may write now.  If TRUE, the caller must call
 * sleepers_end_write() after the write. */
gboolean sleepers_try_write(Sleepers *sleepers);
void sleepers_end_write(Sleepers *sleepers);
