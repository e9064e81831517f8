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
	guint n_busy;	       /* threads that run an item, or spin */
	guint max;
	guint spin_after;  /* see "spinning" */
	guint alone;	   /* items in a row during which no other came */
	gboolean crowded;  /* others came since a thread was idle last */
	gint64 idle_since; /* when a thread became idle last, us */
	gboolean quick;	   /* the item after that came soon */
	gint spinners_max; /* of the process; 0: no thread of these spins */
	WorkItem *handed;  /* atomic: see "spinning" */
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

/* ---- spinning
 *
 * `handed` is NULL while no thread spins, and &nobody while one does.  Whoever replaces &nobody by
 * an item has handed that to the thread; this takes no lock. */

/* So many items must have come alone before a thread spins: few after it spun with success, twice
 * as many each time that it spun in vain. */
#define SPIN_AFTER_LEAST 2
#define SPIN_AFTER_FIRST 8
#define SPIN_AFTER_MOST 64

#define SPIN_GAP 100   /* us: not for items that come later after the last one */
#define SPIN_ROUNDS 32 /* between two looks at the clock */

static WorkItem nobody;
static gint spinners; /* threads of the process that spin; atomic */

static gboolean spin_begin_locked(Workers *workers)
{
	if (!workers->quick || workers->alone < workers->spin_after || workers->n_busy)
		return FALSE;
	if (g_atomic_int_add(&spinners, 1) >= workers->spinners_max) {
		g_atomic_int_add(&spinners, -1);
		return FALSE;
	}
	workers->n_busy++;
	g_atomic_pointer_set(&workers->handed, &nobody);
	return TRUE;
}

static gboolean spin_round(Workers *workers)
{
	for (guint i = 0; i < SPIN_ROUNDS; i++) {
		if (g_atomic_pointer_get(&workers->handed) != &nobody)
			return TRUE;
		workers_relax();
	}
	return FALSE;
}

/* Waits for an item to be handed over.  NULL: none was. */
static WorkItem *spin_unlocking(Workers *workers)
{
	gint64 end = workers->idle_since + WORKERS_SPIN_US;
	WorkItem *item = NULL;

	g_mutex_unlock(&workers->mutex);
	while (!spin_round(workers) && g_get_monotonic_time() < end)
		;
	if (!g_atomic_pointer_compare_and_exchange(&workers->handed, &nobody, NULL)) {
		item = g_atomic_pointer_get(&workers->handed);
		g_atomic_pointer_set(&workers->handed, NULL);
	}
	g_atomic_int_add(&spinners, -1);
	g_mutex_lock(&workers->mutex);
	workers->n_busy--;
	if (item) {
		workers->spin_after = SPIN_AFTER_LEAST;
	} else {
		workers->spin_after = MIN(2 * workers->spin_after, SPIN_AFTER_MOST);
		workers->alone = 0;
	}
	return item;
}

gboolean workers_hand(Workers *workers, WorkItem *item)
{
	return g_atomic_pointer_compare_and_exchange(&workers->handed, &nobody, item);
}

void workers_allow_spinning(Workers *workers)
{
	workers->spinners_max = (gint)thread_processors() / 2;
	workers->spin_after = SPIN_AFTER_FIRST;
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

/* FALSE: nobody has woken the worker for WORKERS_IDLE_SECONDS. */
static gboolean worker_sleep_locked(Workers *workers, Worker *worker)
{
	gint64 end = workers->idle_since + WORKERS_IDLE_SECONDS * G_USEC_PER_SEC;

	worker->woken = FALSE;
	worker->below = workers->idle;
	workers->idle = worker;
	while (!worker->woken && g_cond_wait_until(&worker->wake, &workers->mutex, end))
		;
	if (!worker->woken)
		idle_remove_locked(workers, worker);
	workers->quick = g_get_monotonic_time() < workers->idle_since + SPIN_GAP;
	return worker->woken;
}

/* The oldest item, off the queue; waits for one if the queue is empty.  NULL: the worker is to end,
 * with the queue empty.  The lock is dropped during the wait. */
static WorkItem *item_take_unlocking(Workers *workers, Worker *worker)
{
	if (!workers->head)
		workers->idle_since = g_get_monotonic_time();
	while (!workers->head && !workers->stopping) {
		if (spin_begin_locked(workers)) {
			WorkItem *item = spin_unlocking(workers);

			if (item)
				return item;
		} else if (!worker_sleep_locked(workers, worker)) {
			break;
		}
	}
	return item_remove_first_locked(workers);
}

static void item_run_unlocking(Workers *workers, WorkItem *item)
{
	workers->n_busy++;
	g_mutex_unlock(&workers->mutex);
	item->run(item);
	g_mutex_lock(&workers->mutex);
	workers->n_busy--;
	if (!workers->n_busy && !workers->head) {
		workers->alone += !workers->crowded;
		workers->crowded = FALSE;
	}
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

	if (workers_hand(workers, item))
		return;
	g_mutex_lock(&workers->mutex);
	if (workers->n_busy || workers->head) {
		workers->crowded = TRUE;
		workers->alone = 0;
	}
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

guint workers_take(Workers *workers, WorkersFit fits, gpointer data, WorkItem **items, guint max)
{
	WorkItem **at = &workers->head, *before = NULL;
	guint n = 0;

	g_mutex_lock(&workers->mutex);
	while (*at && n < max) {
		if (fits(*at, data)) {
			items[n++] = *at;
			*at = (*at)->next;
		} else {
			before = *at;
			at = &before->next;
		}
	}
	if (!*at)
		workers->tail = before;
	g_mutex_unlock(&workers->mutex);
	return n;
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
