/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that run the items of a queue in order of arrival.  For a host whose dispatch thread must
 * not sleep.
 *
 * The caller owns the items, which are linked into the queue; so queueing cannot fail.  Worker
 * threads block all signals.
 *
 * Threading: any thread may push and cancel items, also a worker thread.
 */
#pragma once

#include <glib.h>

typedef struct Workers Workers;
typedef struct WorkItem WorkItem;

struct WorkItem {
	void (*run)(WorkItem *item); /* may free the item, or push it again */
	WorkItem *next;		     /* belongs to the queue */
};

/* Starts `threads` threads, or as many as the system allows; NULL if not even one. */
Workers *workers_new(const char *name, guint threads, GError **error);
void workers_push(Workers *workers, WorkItem *item);

/* Removes an item from the queue.  FALSE if it is not queued: a thread runs it or has run it. */
gboolean workers_cancel(Workers *workers, WorkItem *item);

/* Runs the items that are queued, then ends the threads.  `workers` may be NULL. */
void workers_free(Workers *workers);
