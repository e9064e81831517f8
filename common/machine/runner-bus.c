/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/runner-bus.h"

#include <gio/gio.h>
#include <string.h>

#include "common/base/thread.h"

#define RUNNER_NAME "org.kernel.TCMUService1"
#define RUNNER_PATH "/org/kernel/TCMUService1"
#define SUBTYPE_PATH RUNNER_PATH "/" RUNNER_SUBTYPE

#define NO_TIMEOUT G_MAXINT /* of GDBus, whose default of 25 s may be less than the patience */
#define PAUSE_US 100000

static GDBusConnection *bus_connect(GCancellable *cancellable, GError **error)
{
	g_autofree char *address =
		g_dbus_address_get_for_bus_sync(G_BUS_TYPE_SYSTEM, cancellable, error);

	if (!address)
		return NULL;
	return g_dbus_connection_new_for_address_sync(
		address,
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
			G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
		NULL, cancellable, error);
}

static GVariant *bus_ask(GDBusConnection *bus, const char *method, const char *type,
			 GCancellable *cancellable, GError **error)
{
	return g_dbus_connection_call_sync(
		bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
		method, g_variant_new("(s)", RUNNER_NAME), G_VARIANT_TYPE(type),
		G_DBUS_CALL_FLAGS_NO_AUTO_START, NO_TIMEOUT, cancellable, error);
}

static void runner_find_owner(GDBusConnection *bus, GCancellable *cancellable,
			      RunnerBusStatus *status, GError **error)
{
	g_autoptr(GVariant) owned = bus_ask(bus, "NameHasOwner", "(b)", cancellable, error);
	g_autoptr(GVariant) pid = NULL;

	status->running = FALSE;
	status->pid = 0;
	if (owned)
		g_variant_get(owned, "(b)", &status->running);
	if (!status->running)
		return;
	pid = bus_ask(bus, "GetConnectionUnixProcessID", "(u)", cancellable, NULL);
	if (pid)
		g_variant_get(pid, "(u)", &status->pid);
}

static gboolean answer_lists_subtype(GVariant *answer)
{
	g_autoptr(GVariantIter) objects = NULL;
	const char *path;

	g_variant_get(answer, "(a{oa{sa{sv}}})", &objects);
	while (g_variant_iter_next(objects, "{&o@a{sa{sv}}}", &path, NULL))
		if (!strcmp(path, SUBTYPE_PATH))
			return TRUE;
	return FALSE;
}

static void runner_ask(GDBusConnection *bus, GCancellable *cancellable, RunnerBusStatus *status,
		       GError **error)
{
	g_autoptr(GVariant) answer = g_dbus_connection_call_sync(
		bus, RUNNER_NAME, RUNNER_PATH, "org.freedesktop.DBus.ObjectManager",
		"GetManagedObjects", NULL, G_VARIANT_TYPE("(a{oa{sa{sv}}})"),
		G_DBUS_CALL_FLAGS_NO_AUTO_START, NO_TIMEOUT, cancellable, error);

	status->answers = answer != NULL;
	status->subtype = answer && answer_lists_subtype(answer);
}

/* Whether the runner left the bus after it had been asked: it ended, or is being restarted. */
static gboolean runner_left(const GError *error)
{
	return g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NO_REPLY) ||
	       g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_NAME_HAS_NO_OWNER) ||
	       g_error_matches(error, G_DBUS_ERROR, G_DBUS_ERROR_SERVICE_UNKNOWN);
}

static void runner_query(GCancellable *cancellable, RunnerBusStatus *status, GError **error)
{
	g_autoptr(GDBusConnection) bus = bus_connect(cancellable, error);

	if (!bus)
		return;
	status->bus = TRUE;
	g_dbus_connection_set_exit_on_close(bus, FALSE);
	do {
		g_clear_error(error);
		runner_find_owner(bus, cancellable, status, error);
		if (status->running)
			runner_ask(bus, cancellable, status, error);
	} while (runner_left(*error));
	g_dbus_connection_close_sync(bus, cancellable, NULL);
}

/* ---- the query, in a thread: GDBus has no timeout for connecting, but it can be cancelled */

typedef struct {
	GCancellable *cancellable;
	GMutex lock;
	GCond ended;
	gboolean done; /* below the lock; what follows belongs to the thread until then */
	RunnerBusStatus status;
	GError *error;
} Query;

static gpointer query_run(gpointer data)
{
	Query *query = data;

	runner_query(query->cancellable, &query->status, &query->error);
	g_mutex_lock(&query->lock);
	query->done = TRUE;
	g_cond_signal(&query->ended);
	g_mutex_unlock(&query->lock);
	return NULL;
}

/* Waits for a moment if it is not. */
static gboolean query_is_done(Query *query, gint64 end)
{
	gint64 soon = g_get_monotonic_time() + PAUSE_US;
	gint64 pause = MIN(end, soon);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&query->lock);

	while (!query->done)
		if (!g_cond_wait_until(&query->ended, &query->lock, pause))
			break;
	return query->done;
}

/* Why it was cancelled; NULL if it was not. */
static char *query_await(Query *query, RunnerPatience patience)
{
	gint64 begun = g_get_monotonic_time();
	gint64 end = begun + patience.seconds * G_USEC_PER_SEC;
	gint64 now;

	while (!query_is_done(query, end)) {
		now = g_get_monotonic_time();
		if (now >= end)
			return g_strdup_printf("no answer within %u s", patience.seconds);
		if (patience.wait &&
		    !patience.wait((guint)((now - begun) / G_USEC_PER_SEC), patience.data))
			return g_strdup("interrupted");
	}
	return NULL;
}

void runner_bus_status_query(RunnerPatience patience, RunnerBusStatus *ret_status)
{
	Query query = {.cancellable = g_cancellable_new()};
	GThread *thread;
	char *problem = NULL;

	g_mutex_init(&query.lock);
	g_cond_init(&query.ended);
	thread = thread_start("runner-query", query_run, &query, &query.error);
	if (thread) {
		problem = query_await(&query, patience);
		if (problem)
			g_cancellable_cancel(query.cancellable);
		g_thread_join(thread);
	}
	if (query.status.answers)
		g_clear_pointer(&problem, g_free);
	else if (!problem && query.error)
		problem = g_strdup(query.error->message);
	query.status.problem = problem;
	g_clear_error(&query.error);
	g_object_unref(query.cancellable);
	g_cond_clear(&query.ended);
	g_mutex_clear(&query.lock);
	*ret_status = query.status;
}

void runner_bus_status_clear(RunnerBusStatus *status)
{
	g_clear_pointer(&status->problem, g_free);
}
