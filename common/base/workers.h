/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that take work off a queue, in order of arrival.  For a host whose dispatch thread must
 * not sleep.
 *
 * Items are the caller's memory, linked into the queue, so that queueing cannot fail.  Worker
 * threads have all signals blocked.  workers_push() may be called from any thread, a worker's own
 * included; workers_free() runs what is queued, then joins.
 */
#pragma once

#include <glib.h>

typedef struct Workers Workers;
typedef struct WorkItem WorkItem;

struct WorkItem {
	void (*run)(WorkItem *item); /* may free or push the item */
	WorkItem *next;		     /* the queue's */
};

/* NULL if not even one thread could be made. */
Workers *workers_new(const char *name, guint threads, GError **error);
void workers_push(Workers *workers, WorkItem *item);

/* Takes it off the queue again.  FALSE: it is not there, a thread has it. */
gboolean workers_cancel(Workers *workers, WorkItem *item);

void workers_free(Workers *workers);
