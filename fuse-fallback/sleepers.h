/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads for what has to wait: the ones that take requests from the kernel must not.
 *
 * Each kind of work has threads of its own, so that what one kind waits for does not hold up
 * another: writes may wait 25 s for a checkpoint while reads go on.  What is handed over is copied;
 * of the data of writes 64 MiB at most are kept at once.  Whoever would hand over more waits for
 * room.
 *
 * What should not wait may be tried where the request arrived.  That the engine promises not to is
 * not all: below it is a file system, which may be frozen, or may want what is dirty written first.
 * So such a write begins with sleepers_try_write(), which never has all threads that take requests
 * in one.
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

/* `takers` is how many threads take requests, two at least. */
Sleepers *sleepers_new(guint takers, GError **error);

/* Runs what is queued, then ends.  NULL is allowed. */
void sleepers_free(Sleepers *sleepers);

/* Has run(task, data) called by a thread of that kind, with copies of both.  FALSE where there is
 * no memory for them: nothing was done. */
typedef void (*SleepersRun)(gpointer task, const guint8 *data);
gboolean sleepers_hand_over(Sleepers *sleepers, SleepersKind kind, SleepersRun run,
			    gconstpointer task, gsize size, const guint8 *data, gsize length);

/* Whether a thread that takes requests may write now.  If TRUE, sleepers_end_write() follows. */
gboolean sleepers_try_write(Sleepers *sleepers);
void sleepers_end_write(Sleepers *sleepers);
