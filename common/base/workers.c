/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/workers.h"

#include "common/base/error.h"
#include "common/base/thread.h"

#define THREADS_MAX 256

struct Workers {
	GMutex mutex;
	GCond wake;
	WorkItem *head, *tail; /* first in, first out */
	guint idle;	       /* threads that wait for `wake` */
	gboolean stopping;
	guint n_threads;
	GThread *threads[THREADS_MAX];
};

/* Takes the oldest item off the queue, and waits for one if it is empty.  NULL once the workers are
 * stopping and the queue is empty. */
static WorkItem *item_take_locked(Workers *workers)
{
	WorkItem *item;

	while (!workers->head && !workers->stopping) {
		workers->idle++;
		g_cond_wait(&workers->wake, &workers->mutex);
		workers->idle--;
	}
	item = workers->head;
	if (!item)
		return NULL;
	workers->head = item->next;
	if (!workers->head)
		workers->tail = NULL;
	return item;
}

static gpointer worker_main(gpointer data)
{
	Workers *workers = data;
	WorkItem *item;

	g_mutex_lock(&workers->mutex);
	while ((item = item_take_locked(workers))) {
		g_mutex_unlock(&workers->mutex);
		item->run(item);
		g_mutex_lock(&workers->mutex);
	}
	g_mutex_unlock(&workers->mutex);
	return NULL;
}

static void workers_start_threads(Workers *workers, const char *name, guint threads, GError **error)
{
	while (workers->n_threads < threads) {
		GThread *thread = thread_start(name, worker_main, workers, error);

		if (!thread)
			break;
		workers->threads[workers->n_threads++] = thread;
	}
}

Workers *workers_new(const char *name, guint threads, GError **error)
{
	g_autoptr(GError) failure = NULL;
	Workers *workers = g_try_new0(Workers, 1);

	if (!workers) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "start workers: no memory");
		return NULL;
	}
	g_mutex_init(&workers->mutex);
	g_cond_init(&workers->wake);
	workers_start_threads(workers, name, CLAMP(threads, 1, THREADS_MAX), &failure);
	if (workers->n_threads)
		return workers;
	error_set(error, STORAGEOS_ERROR_IO, "start workers: %s", failure->message);
	workers_free(workers);
	return NULL;
}

void workers_push(Workers *workers, WorkItem *item)
{
	gboolean wake;

	item->next = NULL;
	g_mutex_lock(&workers->mutex);
	if (workers->tail)
		workers->tail->next = item;
	else
		workers->head = item;
	workers->tail = item;
	wake = workers->idle > 0;
	g_mutex_unlock(&workers->mutex);
	if (wake)
		g_cond_signal(&workers->wake);
}

gboolean workers_cancel(Workers *workers, WorkItem *item)
{
	WorkItem *before = NULL, *at;

	g_mutex_lock(&workers->mutex);
	for (at = workers->head; at && at != item; at = at->next)
		before = at;
	if (at) {
		*(before ? &before->next : &workers->head) = item->next;
		if (workers->tail == item)
			workers->tail = before;
	}
	g_mutex_unlock(&workers->mutex);
	return at != NULL;
}

void workers_free(Workers *workers)
{
	if (!workers)
		return;
	g_mutex_lock(&workers->mutex);
	workers->stopping = TRUE;
	g_cond_broadcast(&workers->wake);
	g_mutex_unlock(&workers->mutex);
	for (guint i = 0; i < workers->n_threads; i++)
		g_thread_join(workers->threads[i]);
	g_cond_clear(&workers->wake);
	g_mutex_clear(&workers->mutex);
	g_free(workers);
}
