/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/workers.h"

#include "common/base/error.h"
#include "common/base/thread.h"

/* A thread that runs items. */
typedef struct Worker Worker;
struct Worker {
	GCond wake;
	gboolean woken;
	Worker *below; /* idle longer */
};

struct Workers {
	GMutex mutex; /* nothing is taken under it */
	GCond ended;
	WorkItem *head, *tail; /* first in, first out */
	Worker *idle;	       /* a stack */
	guint n_threads;       /* with those that are being started, and the reserve */
	guint max;
	gboolean stopping;
	const char *name;
	Workers *next_stranded; /* under the reserve's lock */
};

/* ---- items */

static void item_append_locked(Workers *workers, WorkItem *item)
{
	item->next = NULL;
	if (workers->tail)
		workers->tail->next = item;
	else
		workers->head = item;
	workers->tail = item;
}

static WorkItem *item_remove_first_locked(Workers *workers)
{
	WorkItem *item = workers->head;

	if (item)
		workers->head = item->next;
	if (!workers->head)
		workers->tail = NULL;
	return item;
}

/* ---- threads */

static void idle_remove_locked(Workers *workers, const Worker *worker)
{
	Worker **at = &workers->idle;

	while (*at != worker)
		at = &(*at)->below;
	*at = worker->below;
}

static Worker *idle_wake_locked(Workers *workers)
{
	Worker *worker = workers->idle;

	if (!worker)
		return NULL;
	workers->idle = worker->below;
	worker->woken = TRUE;
	g_cond_signal(&worker->wake);
	return worker;
}

/* FALSE: nobody has woken the worker until `end`. */
static gboolean worker_sleep_locked(Workers *workers, Worker *worker, gint64 end)
{
	worker->woken = FALSE;
	worker->below = workers->idle;
	workers->idle = worker;
	while (!worker->woken && g_cond_wait_until(&worker->wake, &workers->mutex, end))
		;
	if (!worker->woken)
		idle_remove_locked(workers, worker);
	return worker->woken;
}

/* The oldest item, off the queue; waits for one if the queue is empty.  NULL: the worker is to end,
 * with the queue empty.  The lock is dropped during the wait. */
static WorkItem *item_take_unlocking(Workers *workers, Worker *worker)
{
	gint64 end = 0;

	if (!workers->head)
		end = g_get_monotonic_time() + WORKERS_IDLE_SECONDS * G_USEC_PER_SEC;
	while (!workers->head && !workers->stopping && worker_sleep_locked(workers, worker, end))
		;
	return item_remove_first_locked(workers);
}

static void item_run_unlocking(Workers *workers, WorkItem *item)
{
	g_mutex_unlock(&workers->mutex);
	item->run(item);
	g_mutex_lock(&workers->mutex);
}

/* The thread must not touch the Workers once it has dropped the lock. */
static void thread_leave_locked(Workers *workers)
{
	if (!--workers->n_threads)
		g_cond_signal(&workers->ended);
}

static gpointer worker_main(gpointer data)
{
	Workers *workers = data;
	Worker self = {.woken = FALSE};
	WorkItem *item;

	g_cond_init(&self.wake);
	g_mutex_lock(&workers->mutex);
	while ((item = item_take_unlocking(workers, &self)))
		item_run_unlocking(workers, item);
	g_cond_clear(&self.wake);
	thread_leave_locked(workers);
	g_mutex_unlock(&workers->mutex);
	return NULL;
}

/* ---- the reserve
 *
 * Workers that have items and no thread are stranded, and the reserve counts as one of their
 * threads until their queue is empty. */

static struct {
	GMutex lock;
	GCond wake;
	guint users; /* Workers that exist */
	gboolean runs;
	Workers *stranded;
} reserve;

static void workers_run_all(Workers *workers)
{
	WorkItem *item;

	g_mutex_lock(&workers->mutex);
	while ((item = item_remove_first_locked(workers)))
		item_run_unlocking(workers, item);
	thread_leave_locked(workers);
	g_mutex_unlock(&workers->mutex);
}

static gpointer reserve_main(gpointer data)
{
	(void)data;
	g_mutex_lock(&reserve.lock);
	while (reserve.users) {
		Workers *workers = reserve.stranded;

		if (!workers) {
			g_cond_wait(&reserve.wake, &reserve.lock);
			continue;
		}
		reserve.stranded = workers->next_stranded;
		g_mutex_unlock(&reserve.lock);
		workers_run_all(workers);
		g_mutex_lock(&reserve.lock);
	}
	reserve.runs = FALSE;
	g_mutex_unlock(&reserve.lock);
	return NULL;
}

static gboolean reserve_join(GError **error)
{
	gboolean joined;

	g_mutex_lock(&reserve.lock);
	if (!reserve.runs)
		reserve.runs = thread_start_detached("storageos-spare", reserve_main, NULL, error);
	joined = reserve.runs;
	reserve.users += joined;
	g_mutex_unlock(&reserve.lock);
	return joined;
}

static void reserve_leave(void)
{
	g_mutex_lock(&reserve.lock);
	if (!--reserve.users)
		g_cond_signal(&reserve.wake);
	g_mutex_unlock(&reserve.lock);
}

static void reserve_ask(Workers *workers)
{
	g_mutex_lock(&reserve.lock);
	workers->next_stranded = reserve.stranded;
	reserve.stranded = workers;
	g_cond_signal(&reserve.wake);
	g_mutex_unlock(&reserve.lock);
}

/* Starts the thread that n_threads counts already.  If that fails and there is no other, the
 * reserve takes its place in the count. */
static void thread_add(Workers *workers)
{
	gboolean stranded;

	if (thread_start_detached(workers->name, worker_main, workers, NULL))
		return;
	g_mutex_lock(&workers->mutex);
	stranded = workers->n_threads == 1;
	if (!stranded)
		thread_leave_locked(workers);
	g_mutex_unlock(&workers->mutex);
	if (stranded)
		reserve_ask(workers);
}

/* ---- the whole */

Workers *workers_new(const char *name, guint threads, GError **error)
{
	Workers *workers = g_try_new0(Workers, 1);

	if (!workers) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "start workers: no memory");
		return NULL;
	}
	if (!reserve_join(error)) {
		g_prefix_error(error, "start workers: ");
		g_free(workers);
		return NULL;
	}
	g_mutex_init(&workers->mutex);
	g_cond_init(&workers->ended);
	workers->name = name;
	workers->max = MAX(threads, 1);
	return workers;
}

void workers_push(Workers *workers, WorkItem *item)
{
	gboolean start = FALSE;

	g_mutex_lock(&workers->mutex);
	item_append_locked(workers, item);
	if (!idle_wake_locked(workers) && workers->n_threads < workers->max) {
		workers->n_threads++;
		start = TRUE;
	}
	g_mutex_unlock(&workers->mutex);
	if (start)
		thread_add(workers);
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

gboolean workers_are_wanted(Workers *workers)
{
	gboolean wanted;

	g_mutex_lock(&workers->mutex);
	wanted = workers->head && !workers->idle && workers->n_threads >= workers->max;
	g_mutex_unlock(&workers->mutex);
	return wanted;
}

void workers_free(Workers *workers)
{
	if (!workers)
		return;
	g_mutex_lock(&workers->mutex);
	workers->stopping = TRUE;
	while (idle_wake_locked(workers))
		;
	while (workers->n_threads)
		g_cond_wait(&workers->ended, &workers->mutex);
	g_mutex_unlock(&workers->mutex);
	reserve_leave();
	g_cond_clear(&workers->ended);
	g_mutex_clear(&workers->mutex);
	g_free(workers);
}
