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
 * Worker threads block all signals.  Each inherits from the thread that queues the item for which
 * it is started, and the reserve from the one that makes the first Workers.
 *
 * Threading: any thread may push and cancel items, also a worker thread.
 */
#pragma once

#include <glib.h>

#define WORKERS_IDLE_SECONDS 5

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

/* Removes an item from the queue.  FALSE if it is not queued: a thread runs it or has run it. */
gboolean workers_cancel(Workers *workers, WorkItem *item);

/* Whether items wait, and no thread is idle or can be started: then an item that goes on and on
 * lets them pass by pushing itself again. */
gboolean workers_are_wanted(Workers *workers);

/* Runs the items that are queued, then ends the threads.  `workers` may be NULL. */
void workers_free(Workers *workers);
