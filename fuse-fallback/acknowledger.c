/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/acknowledger.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/workers.h"

typedef struct Waiting Waiting;

/* The task follows. */
struct Waiting {
	Waiting *next;
	guint64 task[];
};

struct Acknowledger {
	Volume *volume;
	AcknowledgerDone done;
	gsize size; /* of a task */
	Workers *flusher;
	WorkItem item;

	GMutex lock;
	Waiting *waiting; /* not NULL: `item` is queued */
};

static Waiting *waiting_take(Acknowledger *acknowledger)
{
	Waiting *all;

	g_mutex_lock(&acknowledger->lock);
	all = acknowledger->waiting;
	acknowledger->waiting = NULL;
	g_mutex_unlock(&acknowledger->lock);
	return all;
}

static void flush_run(WorkItem *item)
{
	Acknowledger *acknowledger = (void *)((char *)item - G_STRUCT_OFFSET(Acknowledger, item));
	Waiting *waiting = waiting_take(acknowledger), *next;
	int result = volume_flush(acknowledger->volume);

	for (; waiting; waiting = next) {
		next = waiting->next;
		acknowledger->done(waiting->task, result);
		g_free(waiting);
	}
}

/* With no memory for a copy, the caller's task will do: done() may change it. */
static void flush_here(Acknowledger *acknowledger, gconstpointer task)
{
	acknowledger->done((gpointer)task, volume_flush(acknowledger->volume));
}

void acknowledger_add(Acknowledger *acknowledger, gconstpointer task)
{
	Waiting *waiting = g_try_malloc(sizeof *waiting + acknowledger->size);
	gboolean first;

	if (!waiting) {
		flush_here(acknowledger, task);
		return;
	}
	memcpy(waiting->task, task, acknowledger->size);
	g_mutex_lock(&acknowledger->lock);
	first = !acknowledger->waiting;
	waiting->next = acknowledger->waiting;
	acknowledger->waiting = waiting;
	g_mutex_unlock(&acknowledger->lock);
	if (first)
		workers_push(acknowledger->flusher, &acknowledger->item);
}

Acknowledger *acknowledger_new(Volume *volume, AcknowledgerDone done, gsize size, GError **error)
{
	Acknowledger *acknowledger = g_try_new0(Acknowledger, 1);

	if (!acknowledger) {
		error_set_errno(error, ENOMEM, "start threads");
		return NULL;
	}
	acknowledger->volume = volume;
	acknowledger->done = done;
	acknowledger->size = size;
	acknowledger->item.run = flush_run;
	g_mutex_init(&acknowledger->lock);
	acknowledger->flusher = workers_new("storageos-sync", 1, error);
	if (acknowledger->flusher)
		return acknowledger;
	acknowledger_free(acknowledger);
	return NULL;
}

void acknowledger_free(Acknowledger *acknowledger)
{
	if (!acknowledger)
		return;
	if (acknowledger->flusher)
		workers_free(acknowledger->flusher);
	g_mutex_clear(&acknowledger->lock);
	g_free(acknowledger);
}
