/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The test runs a bus of its own in place of the system's.  A service on it answers as tcmu-runner
 * would, or stays silent.
 */
#include "common/machine/runner-bus.h"

#include <fcntl.h>
#include <gio/gio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "tests/harness.h"

#define NAME "org.kernel.TCMUService1"
#define PATH "/org/kernel/TCMUService1"
#define INTERFACE "org.freedesktop.DBus.ObjectManager"
#define SLOW_SECONDS 2

/* ---- a bus */

typedef struct {
	pid_t pid;
	char *address;
} Bus;

static void be_bus(const char *address)
{
	int null = open("/dev/null", O_WRONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, STDERR_FILENO);
	execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nosyslog",
	       "--print-address=1", "--address", address, NULL);
	_exit(127);
}

/* FALSE, with the test skipped, if dbus-daemon is not installed. */
static gboolean bus_init(Bus *bus)
{
	g_autofree char *socket_path = test_path("bus");
	g_autofree char *address = g_strconcat("unix:path=", socket_path, NULL);
	char line[512] = "";
	int out[2];
	ssize_t n;

	CHECK_INT(pipe2(out, O_CLOEXEC), 0);
	bus->pid = fork();
	if (!bus->pid) {
		dup2(out[1], STDOUT_FILENO);
		be_bus(address);
	}
	close(out[1]);
	n = read(out[0], line, sizeof line - 1);
	close(out[0]);
	if (n <= 0)
		test_skip("dbus-daemon cannot be started (package dbus)");
	bus->address = g_strdup(g_strchomp(line));
	g_setenv("DBUS_SYSTEM_BUS_ADDRESS", bus->address, TRUE);
	return n > 0;
}

static void bus_clear(Bus *bus)
{
	if (bus->pid > 0) {
		kill(bus->pid, SIGKILL);
		waitpid(bus->pid, NULL, 0);
	}
	g_free(bus->address);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Bus, bus_clear)

/* ---- a service on the bus with the runner's name */

typedef enum {
	LISTS_OURS,
	LISTS_OTHERS,
	LISTS_NOTHING,
	REFUSES,
	IS_SLOW,
	LEAVES,
	IS_SILENT,
} Behaviour;

typedef struct {
	Behaviour behaviour;
	GDBusConnection *connection;
	GMainContext *context;
	GMainLoop *loop;
	GThread *thread;
} BusRunner;

static GVariant *objects(const char *const *paths)
{
	GVariantBuilder builder;

	g_variant_builder_init(&builder, G_VARIANT_TYPE("a{oa{sa{sv}}}"));
	for (guint i = 0; paths[i]; i++)
		g_variant_builder_add(&builder, "{o@a{sa{sv}}}", paths[i],
				      g_variant_new("a{sa{sv}}", NULL));
	return g_variant_new("(a{oa{sa{sv}}})", &builder);
}

static void on_call(GDBusConnection *connection, const char *sender G_GNUC_UNUSED,
		    const char *path G_GNUC_UNUSED, const char *interface G_GNUC_UNUSED,
		    const char *method G_GNUC_UNUSED, GVariant *parameters G_GNUC_UNUSED,
		    GDBusMethodInvocation *invocation, gpointer data)
{
	static const char *const ours[] = {PATH "/qcow", PATH "/" RUNNER_SUBTYPE, NULL};
	static const char *const others[] = {PATH "/qcow", PATH "/storageos2", NULL};
	static const char *const nothing[] = {NULL};

	switch (((BusRunner *)data)->behaviour) {
	case LISTS_OURS:
		g_dbus_method_invocation_return_value(invocation, objects(ours));
		break;
	case LISTS_OTHERS:
		g_dbus_method_invocation_return_value(invocation, objects(others));
		break;
	case LISTS_NOTHING:
		g_dbus_method_invocation_return_value(invocation, objects(nothing));
		break;
	case REFUSES:
		g_dbus_method_invocation_return_dbus_error(invocation, "org.x.No", "not today");
		break;
	case IS_SLOW:
		g_usleep(SLOW_SECONDS * G_USEC_PER_SEC);
		g_dbus_method_invocation_return_value(invocation, objects(ours));
		break;
	case LEAVES:
		g_dbus_connection_close(connection, NULL, NULL, NULL);
		g_object_unref(invocation);
		break;
	case IS_SILENT:
		g_object_unref(invocation);
		break;
	}
}

static const GDBusInterfaceVTable vtable = {.method_call = on_call};

static GVariant *call_bus(BusRunner *runner, const char *method, GVariant *parameters)
{
	g_autoptr(GError) error = NULL;
	GVariant *answer = g_dbus_connection_call_sync(
		runner->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
		"org.freedesktop.DBus", method, parameters, NULL, G_DBUS_CALL_FLAGS_NONE, -1, NULL,
		&error);

	CHECK_NO_ERROR(error);
	return answer;
}

static gpointer run_loop(gpointer data)
{
	BusRunner *runner = data;

	g_main_context_push_thread_default(runner->context);
	g_main_loop_run(runner->loop);
	g_main_context_pop_thread_default(runner->context);
	return NULL;
}

static void export(BusRunner *runner)
{
	GDBusNodeInfo *node = g_dbus_node_info_new_for_xml(
		"<node><interface name='" INTERFACE "'><method name='GetManagedObjects'>"
		"<arg type='a{oa{sa{sv}}}' direction='out'/></method></interface></node>",
		NULL);

	CHECK(g_dbus_connection_register_object(runner->connection, PATH, node->interfaces[0],
						&vtable, runner, NULL, NULL) > 0);
	g_dbus_node_info_unref(node);
}

static void runner_init(BusRunner *runner, const Bus *bus, Behaviour behaviour)
{
	g_autoptr(GVariant) owned = NULL;

	*runner = (BusRunner){.behaviour = behaviour};
	runner->context = g_main_context_new();
	runner->loop = g_main_loop_new(runner->context, FALSE);
	g_main_context_push_thread_default(runner->context);
	runner->connection = g_dbus_connection_new_for_address_sync(
		bus->address,
		G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT |
			G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
		NULL, NULL, NULL);
	export(runner);
	owned = call_bus(runner, "RequestName", g_variant_new("(su)", NAME, 0));
	g_main_context_pop_thread_default(runner->context);
	runner->thread = g_thread_new("runner", run_loop, runner);
}

static void runner_clear(BusRunner *runner)
{
	if (!runner->thread)
		return;
	g_main_loop_quit(runner->loop);
	g_thread_join(runner->thread);
	g_dbus_connection_close_sync(runner->connection, NULL, NULL);
	g_object_unref(runner->connection);
	g_main_loop_unref(runner->loop);
	g_main_context_unref(runner->context);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(BusRunner, runner_clear)

/* ---- answers */

static RunnerPatience within(guint seconds)
{
	return (RunnerPatience){.seconds = seconds};
}

static void test_answers(const void *data)
{
	static const struct {
		const char *name;
		Behaviour behaviour;
		gboolean answers, subtype;
		const char *problem;
	} rows[] = {
		{"it has our plugin", LISTS_OURS, TRUE, TRUE, NULL},
		{"it has others", LISTS_OTHERS, TRUE, FALSE, NULL},
		{"it has none", LISTS_NOTHING, TRUE, FALSE, NULL},
		{"it refuses", REFUSES, FALSE, FALSE, "not today"},
		{"it is slow", IS_SLOW, TRUE, TRUE, NULL},
		{"it is silent", IS_SILENT, FALSE, FALSE, "no answer within 1 s"},
	};
	g_auto(Bus) bus = {0};

	(void)data;
	if (!bus_init(&bus))
		return;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_auto(BusRunner) runner = {0};
		g_auto(RunnerBusStatus) status = {0};

		test_row("%s", rows[i].name);
		runner_init(&runner, &bus, rows[i].behaviour);
		runner_bus_status_query(within(rows[i].behaviour == IS_SILENT ? 1 : 30), &status);
		CHECK(status.bus && status.running);
		CHECK_UINT(status.pid, (guint64)getpid());
		CHECK_INT(status.answers, rows[i].answers);
		CHECK_INT(status.subtype, rows[i].subtype);
		if (rows[i].problem)
			CHECK_CONTAINS(status.problem, rows[i].problem);
		else
			CHECK_STR(status.problem, NULL);
	}
}

typedef struct {
	guint calls, last, max; /* `max`: seconds after which the caller gives up */
	GThread *thread;
} Waiting;

static gboolean wait_on(guint passed, gpointer data)
{
	Waiting *waiting = data;

	CHECK(waiting->thread == g_thread_self() && passed >= waiting->last);
	waiting->calls++;
	waiting->last = passed;
	return passed < waiting->max;
}

static void test_wait(const void *data)
{
	Waiting waiting = {.max = 30, .thread = g_thread_self()};
	const RunnerPatience patience = {30, wait_on, &waiting};
	g_auto(Bus) bus = {0};
	g_auto(BusRunner) slow = {0}, silent = {0};
	g_auto(RunnerBusStatus) status = {0}, cut = {0};

	(void)data;
	if (!bus_init(&bus))
		return;
	runner_init(&slow, &bus, IS_SLOW);
	runner_bus_status_query(patience, &status);
	CHECK(status.answers && status.subtype);
	CHECK_STR(status.problem, NULL);
	CHECK(waiting.calls > 1 && waiting.last >= SLOW_SECONDS - 1);
	runner_clear(&slow);
	slow.thread = NULL;
	test_row("given up");
	waiting = (Waiting){.max = 1, .thread = g_thread_self()};
	runner_init(&silent, &bus, IS_SILENT);
	runner_bus_status_query(patience, &cut);
	CHECK(cut.running && !cut.answers);
	CHECK_STR(cut.problem, "interrupted");
	CHECK_UINT(waiting.last, 1);
}

/* As one that is being restarted: what was asked of it does not count. */
static void test_leaves(const void *data)
{
	g_auto(Bus) bus = {0};
	g_auto(BusRunner) runner = {0};
	g_auto(RunnerBusStatus) status = {0};

	(void)data;
	if (!bus_init(&bus))
		return;
	runner_init(&runner, &bus, LEAVES);
	runner_bus_status_query(within(30), &status);
	CHECK(status.bus && !status.running && !status.answers);
	CHECK_UINT(status.pid, 0);
	CHECK_STR(status.problem, NULL);
}

static void test_no_runner(const void *data)
{
	g_auto(Bus) bus = {0};
	g_auto(RunnerBusStatus) status = {0};

	(void)data;
	if (!bus_init(&bus))
		return;
	runner_bus_status_query(within(30), &status);
	CHECK(status.bus && !status.running && !status.answers && !status.subtype);
	CHECK_UINT(status.pid, 0);
	CHECK_STR(status.problem, NULL);
}

static void test_no_bus(const void *data)
{
	static const char *const addresses[] = {"unix:path=/nonexistent/bus", "nonsense"};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(addresses); i++) {
		g_auto(RunnerBusStatus) status = {0};

		test_row("%s", addresses[i]);
		g_setenv("DBUS_SYSTEM_BUS_ADDRESS", addresses[i], TRUE);
		runner_bus_status_query(within(30), &status);
		CHECK(!status.bus && !status.running && !status.answers);
		CHECK(status.problem != NULL);
	}
}

/* The bus accepts the connection, and sends nothing. */
static void test_silent_bus(const void *data)
{
	g_autofree char *path = test_path("silent");
	g_autofree char *address = g_strconcat("unix:path=", path, NULL);
	struct sockaddr_un there = {.sun_family = AF_UNIX};
	autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_auto(RunnerBusStatus) status = {0};
	gint64 begun = g_get_monotonic_time();

	(void)data;
	g_strlcpy(there.sun_path, path, sizeof there.sun_path);
	CHECK(!bind(fd, (struct sockaddr *)&there, sizeof there) && !listen(fd, 1));
	g_setenv("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
	runner_bus_status_query(within(1), &status);
	CHECK(!status.bus && !status.running);
	CHECK_STR(status.problem, "no answer within 1 s");
	CHECK_WITHIN(begun, 20);
}

int main(int argc, char **argv)
{
	test_add("a runner lists its handlers, refuses, or is silent", test_answers, NULL);
	test_add("the caller can watch the wait, and end it", test_wait, NULL);
	test_add("a runner that leaves the bus does not run", test_leaves, NULL);
	test_add("a bus without a runner", test_no_runner, NULL);
	test_add("no bus", test_no_bus, NULL);
	test_add("a silent bus does not delay for long", test_silent_bus, NULL);
	return test_run(argc, argv);
}
