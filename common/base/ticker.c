/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/ticker.h"

#include "common/base/error.h"
#include "common/base/thread.h"

static GMutex lock;
static GCond wake;	    /* the first ticker is set, or the last one is gone */
static GCond ended;	    /* a call has ended */
static guint users;	    /* tickers that were added */
static gboolean runs;	    /* the thread */
static Ticker *due, *batch; /* those that are set; those of them that are called in this second */
static Ticker *called;

static void due_add_locked(Ticker *ticker)
{
	if (!due)
		g_cond_signal(&wake);
	ticker->next = due;
	due = ticker;
}

static void list_remove(Ticker **list, const Ticker *ticker)
{
	while (*list && *list != ticker)
		list = &(*list)->next;
	if (*list)
		*list = ticker->next;
}

static gboolean ticker_mark(Ticker *ticker)
{
	return !g_atomic_int_get(&ticker->set) &&
	       g_atomic_int_compare_and_exchange(&ticker->set, FALSE, TRUE);
}

/* If the ticker is set while the call runs, it is called again. */
static void ticker_call_unlocking(Ticker *ticker)
{
	gboolean again;

	called = ticker;
	g_atomic_int_set(&ticker->set, FALSE);
	g_mutex_unlock(&lock);
	again = ticker->run(ticker);
	g_mutex_lock(&lock);
	if (again && ticker_mark(ticker))
		due_add_locked(ticker);
	called = NULL;
	g_cond_broadcast(&ended);
}

static void wait_a_second_unlocking(void)
{
	gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC;

	while (users && g_cond_wait_until(&wake, &lock, end))
		;
}

static gpointer ticker_main(gpointer data)
{
	(void)data;
	g_mutex_lock(&lock);
	while (users) {
		if (!due) {
			g_cond_wait(&wake, &lock);
			continue;
		}
		wait_a_second_unlocking();
		batch = due;
		due = NULL;
		while (batch) {
			Ticker *ticker = batch;

			batch = ticker->next;
			ticker_call_unlocking(ticker);
		}
	}
	runs = FALSE;
	g_mutex_unlock(&lock);
	return NULL;
}

gboolean ticker_add(Ticker *ticker, GError **error)
{
	gboolean added;

	ticker->set = FALSE;
	g_mutex_lock(&lock);
	if (!runs)
		runs = thread_start_detached("storageos-tick", ticker_main, NULL, error);
	added = runs;
	users += added;
	g_mutex_unlock(&lock);
	return added;
}

void ticker_set(Ticker *ticker)
{
	if (!ticker_mark(ticker))
		return;
	g_mutex_lock(&lock);
	due_add_locked(ticker);
	g_mutex_unlock(&lock);
}

void ticker_remove(Ticker *ticker)
{
	g_mutex_lock(&lock);
	while (called == ticker)
		g_cond_wait(&ended, &lock);
	list_remove(&due, ticker);
	list_remove(&batch, ticker);
	if (!--users)
		g_cond_signal(&wake);
	g_mutex_unlock(&lock);
}
