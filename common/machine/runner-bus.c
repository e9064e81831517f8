/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/runner-bus.h"

#include <gio/gio.h>
#include <string.h>

#include "common/base/thread.h"

#define RUNNER_NAME "org.kernel.TCMUService1"
#define RUNNER_PATH "/org/kernel/TCMUService1"
#define SUBTYPE_PATH RUNNER_PATH "/" RUNNER_SUBTYPE

/* Cancels the calls at `end`.  GDBus has no timeout for connecting, but it can be cancelled. */
typedef struct {
	GCancellable *cancellable;
	GThread *thread;
	GMutex lock;
	GCond ended;
	gboolean done;
	gint64 end;
} Watchdog;

static gpointer watchdog_run(gpointer data)
{
	Watchdog *dog = data;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&dog->lock);

	while (!dog->done)
		if (!g_cond_wait_until(&dog->ended, &dog->lock, dog->end))
			break;
	if (!dog->done)
		g_cancellable_cancel(dog->cancellable);
	return NULL;
}

/* Clear it in either case.  FALSE with *error: no thread can be started. */
static gboolean watchdog_init(Watchdog *dog, guint seconds, GError **error)
{
	dog->cancellable = g_cancellable_new();
	dog->done = FALSE;
	dog->end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
	g_mutex_init(&dog->lock);
	g_cond_init(&dog->ended);
	dog->thread = thread_start("watchdog", watchdog_run, dog, error);
	return dog->thread != NULL;
}

static void watchdog_clear(Watchdog *dog)
{
	g_mutex_lock(&dog->lock);
	dog->done = TRUE;
	g_cond_signal(&dog->ended);
	g_mutex_unlock(&dog->lock);
	if (dog->thread)
		g_thread_join(dog->thread);
	g_object_unref(dog->cancellable);
	g_mutex_clear(&dog->lock);
	g_cond_clear(&dog->ended);
}

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
			 GCancellable *cancellable)
{
	return g_dbus_connection_call_sync(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
					   "org.freedesktop.DBus", method,
					   g_variant_new("(s)", RUNNER_NAME), G_VARIANT_TYPE(type),
					   G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, cancellable, NULL);
}

static void runner_find_owner(GDBusConnection *bus, GCancellable *cancellable,
			      RunnerBusStatus *status)
{
	g_autoptr(GVariant) owned = bus_ask(bus, "NameHasOwner", "(b)", cancellable);
	g_autoptr(GVariant) pid = NULL;

	if (owned)
		g_variant_get(owned, "(b)", &status->running);
	if (!status->running)
		return;
	pid = bus_ask(bus, "GetConnectionUnixProcessID", "(u)", cancellable);
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
		G_DBUS_CALL_FLAGS_NO_AUTO_START, -1, cancellable, error);

	status->answers = answer != NULL;
	status->subtype = answer && answer_lists_subtype(answer);
}

static void runner_query(GCancellable *cancellable, RunnerBusStatus *status, GError **error)
{
	g_autoptr(GDBusConnection) bus = bus_connect(cancellable, error);

	if (!bus)
		return;
	status->bus = TRUE;
	g_dbus_connection_set_exit_on_close(bus, FALSE);
	runner_find_owner(bus, cancellable, status);
	if (status->running)
		runner_ask(bus, cancellable, status, error);
	g_dbus_connection_close_sync(bus, cancellable, NULL);
}

void runner_bus_status_query(guint seconds, RunnerBusStatus *ret_status)
{
	g_autoptr(GError) error = NULL;
	RunnerBusStatus status = {0};
	Watchdog dog;

	if (watchdog_init(&dog, seconds, &error))
		runner_query(dog.cancellable, &status, &error);
	if (g_cancellable_is_cancelled(dog.cancellable))
		status.problem = g_strdup_printf("no answer within %u s", seconds);
	else if (error)
		status.problem = g_strdup(error->message);
	watchdog_clear(&dog);
	*ret_status = status;
}

void runner_bus_status_clear(RunnerBusStatus *status)
{
	g_clear_pointer(&status->problem, g_free);
}
