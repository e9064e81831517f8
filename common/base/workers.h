/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that run the items of a queue in order of arrival.  For a host whose dispatch thread must
 * not sleep.
 *
 * The threads come and go with the work: one is started when an item is queued and none is idle, up
 * to the given number; one that has been idle for WORKERS_IDLE_SECONDS ends.  The thread that
 * became idle last is woken first, so that no more of them stay than the load needs.
 *
 * The caller owns the items, which are linked into the queue; so queueing cannot fail.  Where the
 * system has no room for another thread, the items wait for those that run.  If none runs, one
 * thread that all Workers of the process have in reserve runs them; it is started with the first
 * Workers and ends after the last.
 *
 * Waking a thread costs more than a small item does.  So Workers that workers_allow_spinning() was
 * called for may keep one idle thread spinning for up to WORKERS_SPIN_US, for the next item.  This
 * happens only while items come alone and as fast, and never with one processor; at most half of
 * the processors are spent for it, by all Workers of the process together.
 *
 * Worker threads block all signals.  Each inherits from the thread that queues the item for which
 * it is started, and the reserve from the one that makes the first Workers.
 *
 * Threading: any thread may push and cancel items, also a worker thread.
 */
#pragma once

#include <glib.h>

#define WORKERS_IDLE_SECONDS 5
#define WORKERS_SPIN_US 50

typedef struct Workers Workers;
typedef struct WorkItem WorkItem;

struct WorkItem {
	void (*run)(WorkItem *item); /* may free the item, or push it again */
	WorkItem *next;		     /* belongs to the queue */
};

/* At most `threads` threads, named `name` (15 bytes).  NULL if there is no memory, or no thread for
 * the reserve. */
Workers *workers_new(const char *name, guint threads, GError **error);
void workers_push(Workers *workers, WorkItem *item);

/* To be called before the first item is queued. */
void workers_allow_spinning(Workers *workers);

/* Has a thread that spins run the item, at once.  FALSE: none does, and the item is not queued. */
gboolean workers_hand(Workers *workers, WorkItem *item);

/* For loops that wait for another thread: lets the processor rest for some cycles. */
static inline void workers_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* Removes an item from the queue.  FALSE if it is not queued: a thread runs it or has run it. */
gboolean workers_cancel(Workers *workers, WorkItem *item);

/* Takes items off the queue, at most `max`, for the calling thread to run: of the oldest, those
 * that fits() accepts; it is called once for each in order, under a lock.  Returns how many. */
typedef gboolean (*WorkersFit)(const WorkItem *item, gpointer data);
guint workers_take(Workers *workers, WorkersFit fits, gpointer data, WorkItem **items, guint max);

/* Runs the items that are queued, then ends the threads.  `workers` may be NULL. */
void workers_free(Workers *workers);
