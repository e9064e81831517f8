/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the calling thread has waited for the engine itself: for the end of a checkpoint (pacing,
 * room in the journal, free slots) and for the map's lock.  What it waits for the disk below, for a
 * range that another request holds, or for a processor, is not in it.
 *
 * It tells whether a slow request is the engine's fault: take the difference of waits_total()
 * around the request.
 *
 * Threading: each thread has its own.
 */
#pragma once

#include "common/base/lock.h"

/* Microseconds that the calling thread has waited so far. */
guint64 waits_total(void);

/* Counts the time since `start` (g_get_monotonic_time). */
void waits_add(gint64 start);

/* Takes the lock, and counts the time if somebody else holds it. */
static inline void waits_take(Lock *lock)
{
	gint64 start;

	if (lock_try(lock))
		return;
	start = g_get_monotonic_time();
	lock_take(lock);
	waits_add(start);
}
