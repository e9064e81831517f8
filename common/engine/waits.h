/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the calling thread has waited for the engine itself: for the end of a checkpoint
 * (pacing, room in the journal, free slots) and for the map's lock.  The time that a thread waits
 * for the backing, for a range of blocks that another request holds, or for a processor is not
 * counted.
 *
 * The difference of waits_total() after and before a request is the part of the request's latency
 * that the engine caused.
 *
 * Threading: each thread has a total of its own.
 */
#pragma once

#include "common/base/lock.h"

/* Microseconds that the calling thread has waited so far. */
guint64 waits_total(void);

/* Adds the time from `start` (g_get_monotonic_time) until now to the thread's total. */
void waits_add(gint64 start);

/* Takes the lock.  If another thread holds it, the wait is added to the total. */
static inline void waits_take(Lock *lock)
{
	gint64 start;

	if (lock_try(lock))
		return;
	start = g_get_monotonic_time();
	lock_take(lock);
	waits_add(start);
}
