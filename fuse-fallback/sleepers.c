/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/sleepers.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/large.h"
#include "common/base/units.h"

#define KEPT_MAX ((gsize)64 * MIB)

/* Copies of more than SPARE_LEAST bytes, and up to SPARE_MOST, are in memory that is kept for the
 * next ones: memory of megabytes that is allocated each time costs a page fault for each 4 KiB. */
#define SPARE_LEAST ((gsize)64 * KIB)
#define SPARE_MOST ((gsize)MIB)
#define SPARE_SIZE (SPARE_MOST + 4 * KIB)
#define SPARES_MAX 16u

typedef struct SleeperSpare SleeperSpare;

struct SleeperSpare {
	SleeperSpare *next;
};

struct Sleepers {
	Workers *workers[SLEEPERS_KINDS];
	gint writes, writes_max; /* writes by threads that take requests; `writes` is atomic */

	GMutex lock;
	GCond released;
	gsize kept; /* bytes of copied data */
};

/* A request that was handed over; the copies follow in the same allocation. */
typedef struct {
	WorkItem item;
	Sleepers *sleepers;
	SleepersRun run;
	gpointer task;
	guint8 *data;
	gsize length;
	gboolean spare; /* its memory is of SPARE_SIZE, by large_alloc() */
} Sleeper;

#define ROOM(size) (((size) + 15) & ~(gsize)15)

static void data_reserve(Sleepers *sleepers, gsize length)
{
	g_mutex_lock(&sleepers->lock);
	while (sleepers->kept && sleepers->kept + length > KEPT_MAX)
		g_cond_wait(&sleepers->released, &sleepers->lock);
	sleepers->kept += length;
	g_mutex_unlock(&sleepers->lock);
}

static void data_release(Sleepers *sleepers, gsize length)
{
	g_mutex_lock(&sleepers->lock);
	sleepers->kept -= length;
	g_cond_broadcast(&sleepers->released);
	g_mutex_unlock(&sleepers->lock);
}

/* ---- spare memory
 *
 * Of the process: a thread that ends may do so after its Sleepers. */

static struct {
	GMutex lock;
	SleeperSpare *first;
	guint n;
} spares;

static SleeperSpare *spare_take(void)
{
	SleeperSpare *spare;

	g_mutex_lock(&spares.lock);
	spare = spares.first;
	if (spare) {
		spares.first = spare->next;
		spares.n--;
	}
	g_mutex_unlock(&spares.lock);
	return spare ? spare : large_alloc(SPARE_SIZE);
}

static void spare_keep(gpointer memory)
{
	SleeperSpare *spare = memory;

	g_mutex_lock(&spares.lock);
	if (spares.n < SPARES_MAX) {
		spare->next = spares.first;
		spares.first = spare;
		spares.n++;
		spare = NULL;
	}
	g_mutex_unlock(&spares.lock);
	large_free(spare, SPARE_SIZE);
}

static void spares_free(void)
{
	SleeperSpare *spare, *next;

	g_mutex_lock(&spares.lock);
	spare = spares.first;
	spares.first = NULL;
	spares.n = 0;
	g_mutex_unlock(&spares.lock);
	for (; spare; spare = next) {
		next = spare->next;
		large_free(spare, SPARE_SIZE);
	}
}

/* There has been nothing to do for it for WORKERS_IDLE_SECONDS. */
static void thread_ends(gpointer data)
{
	(void)data;
	spares_free();
}

static void note_thread(void)
{
	static GPrivate ends = G_PRIVATE_INIT(thread_ends);

	g_private_set(&ends, &spares);
}

/* ---- requests that were handed over */

static void sleeper_free(Sleeper *sleeper)
{
	if (sleeper->spare)
		spare_keep(sleeper);
	else
		g_free(sleeper);
}

static void sleeper_run(WorkItem *item)
{
	Sleeper *sleeper = (Sleeper *)item; /* its first member */
	Sleepers *sleepers = sleeper->sleepers;
	gsize length = sleeper->length;

	note_thread();
	sleeper->run(sleeper->task, sleeper->data);
	sleeper_free(sleeper);
	if (length)
		data_release(sleepers, length);
}

static Sleeper *sleeper_new(Sleepers *sleepers, gconstpointer task, gsize size, const guint8 *data,
			    gsize length)
{
	gsize head = ROOM(sizeof(Sleeper)) + ROOM(size);
	gboolean spare = length > SPARE_LEAST && head + length <= SPARE_SIZE;
	Sleeper *sleeper = spare ? (gpointer)spare_take() : g_try_malloc(head + length);
	guint8 *at = (guint8 *)sleeper;

	if (!sleeper)
		return NULL;
	sleeper->sleepers = sleepers;
	sleeper->spare = spare;
	sleeper->task = at + ROOM(sizeof *sleeper);
	sleeper->data = at + head;
	sleeper->length = length;
	memcpy(sleeper->task, task, size);
	if (length)
		memcpy(sleeper->data, data, length);
	return sleeper;
}

gboolean sleepers_hand_over(Sleepers *sleepers, SleepersKind kind, SleepersRun run,
			    gconstpointer task, gsize size, const guint8 *data, gsize length)
{
	Sleeper *sleeper;

	if (length)
		data_reserve(sleepers, length);
	sleeper = sleeper_new(sleepers, task, size, data, length);
	if (!sleeper) {
		if (length)
			data_release(sleepers, length);
		return FALSE;
	}
	sleeper->item.run = sleeper_run;
	sleeper->run = run;
	workers_push(sleepers->workers[kind], &sleeper->item);
	return TRUE;
}

void sleepers_push(Sleepers *sleepers, SleepersKind kind, WorkItem *item)
{
	workers_push(sleepers->workers[kind], item);
}

gboolean sleepers_try_write(Sleepers *sleepers)
{
	if (g_atomic_int_add(&sleepers->writes, 1) < sleepers->writes_max)
		return TRUE;
	sleepers_end_write(sleepers);
	return FALSE;
}

void sleepers_end_write(Sleepers *sleepers)
{
	g_atomic_int_add(&sleepers->writes, -1);
}

Sleepers *sleepers_new(guint takers, guint threads, GError **error)
{
	static const char *const names[] = {"storageos-read", "storageos-write", "storageos-flush"};
	Sleepers *sleepers = g_try_new0(Sleepers, 1);

	if (!sleepers) {
		error_set_errno(error, ENOMEM, "start threads");
		return NULL;
	}
	sleepers->writes_max = (gint)takers - 1;
	g_mutex_init(&sleepers->lock);
	g_cond_init(&sleepers->released);
	for (guint i = 0; i < SLEEPERS_KINDS; i++) {
		sleepers->workers[i] = workers_new(names[i], threads, error);
		if (!sleepers->workers[i]) {
			sleepers_free(sleepers);
			return NULL;
		}
	}
	return sleepers;
}

void sleepers_free(Sleepers *sleepers)
{
	if (!sleepers)
		return;
	for (guint i = 0; i < SLEEPERS_KINDS; i++)
		workers_free(sleepers->workers[i]);
	spares_free();
	g_cond_clear(&sleepers->released);
	g_mutex_clear(&sleepers->lock);
	g_free(sleepers);
}
