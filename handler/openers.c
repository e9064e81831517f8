/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/openers.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/thread.h"

/* An open waits for the disk more than for a processor. */
#define THREADS_MIN 4
#define THREADS_MAX 16

struct Openers {
	Workers *workers;
	char *group;
	guint users;
	Openers *next;
};

static GMutex lock;
static Openers *all;

static Openers *openers_find_locked(const char *group)
{
	Openers *openers = all;

	while (openers && strcmp(openers->group, group) != 0)
		openers = openers->next;
	return openers;
}

static void openers_free(Openers *openers)
{
	workers_free(openers->workers);
	g_free(openers->group);
	g_free(openers);
}

static Openers *openers_new_locked(const char *group, GError **error)
{
	guint processors = thread_processors();
	Openers *openers = g_try_new0(Openers, 1);

	if (!openers) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
		return NULL;
	}
	openers->group = g_strdup(group);
	openers->workers = workers_new("storageos-open",
				       CLAMP(2 * processors, THREADS_MIN, THREADS_MAX), error);
	if (!openers->workers) {
		openers_free(openers);
		return NULL;
	}
	openers->next = all;
	all = openers;
	return openers;
}

Openers *openers_get(const char *group, GError **error)
{
	Openers *openers;

	g_mutex_lock(&lock);
	openers = openers_find_locked(group);
	if (!openers)
		openers = openers_new_locked(group, error);
	if (openers)
		openers->users++;
	g_mutex_unlock(&lock);
	return openers;
}

Workers *openers_workers(Openers *openers)
{
	return openers->workers;
}

void openers_leave(Openers *openers)
{
	Openers **at = &all;
	gboolean last;

	if (!openers)
		return;
	g_mutex_lock(&lock);
	last = !--openers->users;
	while (last && *at != openers)
		at = &(*at)->next;
	if (last)
		*at = openers->next;
	g_mutex_unlock(&lock);
	if (last)
		openers_free(openers);
}
