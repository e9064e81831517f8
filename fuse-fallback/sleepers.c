/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/sleepers.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/units.h"

#define KEPT_MAX ((gsize)64 * MIB)

/* Threads of each kind. */
#define THREADS 16

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

static void sleeper_run(WorkItem *item)
{
	Sleeper *sleeper = (Sleeper *)item; /* its first member */
	Sleepers *sleepers = sleeper->sleepers;
	gsize length = sleeper->length;

	sleeper->run(sleeper->task, sleeper->data);
	g_free(sleeper);
	if (length)
		data_release(sleepers, length);
}

static Sleeper *sleeper_new(gconstpointer task, gsize size, const guint8 *data, gsize length)
{
	Sleeper *sleeper = g_try_malloc(ROOM(sizeof *sleeper) + ROOM(size) + length);
	guint8 *at = (guint8 *)sleeper;

	if (!sleeper)
		return NULL;
	sleeper->task = at + ROOM(sizeof *sleeper);
	sleeper->data = at + ROOM(sizeof *sleeper) + ROOM(size);
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
	sleeper = sleeper_new(task, size, data, length);
	if (!sleeper) {
		if (length)
			data_release(sleepers, length);
		return FALSE;
	}
	sleeper->item.run = sleeper_run;
	sleeper->sleepers = sleepers;
	sleeper->run = run;
	workers_push(sleepers->workers[kind], &sleeper->item);
	return TRUE;
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

Sleepers *sleepers_new(guint takers, GError **error)
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
		sleepers->workers[i] = workers_new(names[i], THREADS, error);
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
	g_cond_clear(&sleepers->released);
	g_mutex_clear(&sleepers->lock);
	g_free(sleepers);
}
