/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for the volume's limits (common/service/limiter.h).  They wait as copies, so
 * that no thread does; one of the sleepers' threads carries them out.
 *
 * The copies do not count among the 64 MiB of sleepers.h, for which threads that take requests
 * would have to wait, and reads with them.  They are as large as what the kernel sends without an
 * answer: 256 requests of 1 MiB at most, for all users of the file together.
 *
 * A request that waits is not interrupted.  The kernel asks for that at any signal that the program
 * gets, and the program would see EINTR, which no disk returns.
 *
 * Threading: any.
 */
#pragma once

#include "common/service/limiter.h"
#include "fuse-fallback/sleepers.h"

/* To be zeroed; `limiter` may be used from then on. */
typedef struct {
	Limiter limiter;
	/* Private. */
	Sleepers *sleepers;
	SleepersRun run;
	gsize size; /* of a task */
} Limited;

/* For tasks of `size` bytes. */
void limited_init(Limited *limited, Sleepers *sleepers, SleepersRun run, gsize size);

/* Has the sleepers carry out at once what waits.  No request may come any more. */
void limited_clear(Limited *limited);

/* What a request counts as, and the data that it needs. */
typedef struct {
	MetricsKind kind;
	guint64 bytes;
	SleepersKind by;
	const guint8 *data; /* or NULL */
	gsize length;	    /* of the data */
} LimitedRequest;

/* TRUE: the request waits; run() will be called with copies of task and data.  FALSE: it goes on
 * now; always where there is no limit, or no memory for the copies. */
gboolean limited_holds(Limited *limited, const LimitedRequest *request, gconstpointer task);
