/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: every call that can fail is made to fail at every place, in the server and in
 * the client; and servers that answer wrongly or not at all.
 */
#include "common/service/control-call.h"
#include "common/service/control.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/service/control-address.h"
#include "common/base/error.h"
#include "tests/faults/inject.h"
#include "tests/harness.h"

#define NAME "default:db"

static Config config;

static Json *handle(gpointer data, const char *command, Json *request, GError **error)
{
	Json *answer = json_object_new_object();

	(void)data, (void)request, (void)error;
	json_add_text(answer, "said", command);
	return answer;
}

static Json *call(guint seconds, GError **error)
{
	g_autoptr(Json) request = json_object_new_object();

	json_add_text(request, "command", "echo");
	return control_call(&config, NAME, request, seconds, error);
}

static gboolean is_served(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) answer = call(10, &error);

	CHECK_NO_ERROR(error);
	return answer && CHECK_STR(json_get_text(answer, "said"), "echo");
}

/* Waits until the server answers; it tries to take its socket's name several times. */
static gboolean becomes_served(void)
{
	gint64 end = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
	g_autoptr(Json) answer = call(10, NULL);

	while (!answer && g_get_monotonic_time() < end) {
		g_usleep(20000);
		answer = call(10, NULL);
	}
	return answer && CHECK_STR(json_get_text(answer, "said"), "echo");
}

static gboolean is_there(void)
{
	g_autofree char *path = g_strdup_printf("%s/control/" NAME, config.run_directory);
	struct stat st;

	return !lstat(path, &st);
}

/* Whether the thread that all servers share runs. */
static gboolean has_doorman(void)
{
	g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
	gboolean has = FALSE;
	const char *task;

	while (tasks && !has && (task = g_dir_read_name(tasks))) {
		g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", task);
		g_autofree char *name = NULL;

		has = g_file_get_contents(path, &name, NULL, NULL) &&
		      g_str_has_prefix(name, "storageos-door");
	}
	return has;
}

/* ---- a server cannot begin */

static const Injection beginnings[] = {
	{"EIO", INJECT_OPEN | INJECT_SOCKET, EIO, FALSE},
	{"EMFILE, from there on", INJECT_OPEN, EMFILE, TRUE},
	{"a thread", INJECT_THREAD, EAGAIN, FALSE},
	{"memory", INJECT_MEMORY, ENOMEM, FALSE},
};

/* A server that fails to get its socket may get it later. */
static void test_begin(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(beginnings); i++) {
		guint refused = 0;
		guint64 point = 0, calls;

		do {
			g_autoptr(GError) error = NULL;
			Control *control;

			test_row("%s at call %u", beginnings[i].name, (guint)point);
			/* It ends a moment after the last server. */
			WAIT_WITHIN(10, !has_doorman());
			inject_begin(&beginnings[i], point);
			control = control_new(&config, NAME, handle, NULL, &error);
			calls = inject_end();
			CHECK_INT(control == NULL, error != NULL);
			if (error) {
				CHECK(error->domain == STORAGEOS_ERROR);
				CHECK_CONTAINS(error->message, "control socket");
				refused++;
			} else {
				CHECK(becomes_served());
			}
			control_free(control);
			CHECK(!is_there());
		} while (point++ < calls);
		CHECK(refused >= 1);
	}
}

/* ---- a server goes on */

static const Injection served[] = {
	{"EINTR", INJECT_RECEIVE | INJECT_SEND | INJECT_POLL, EINTR, FALSE},
	{"a part", INJECT_RECEIVE | INJECT_SEND, INJECT_SHORT, FALSE},
	{"EAGAIN", INJECT_RECEIVE | INJECT_SEND, EAGAIN, FALSE},
	{"ENOMEM", INJECT_POLL, ENOMEM, FALSE},
	{"ECONNRESET", INJECT_RECEIVE | INJECT_SEND, ECONNRESET, FALSE},
	{"EMFILE", INJECT_SOCKET, EMFILE, FALSE},
	{"memory", INJECT_MEMORY, ENOMEM, FALSE},
};

/* Counts the calls of client and server together; either of the two may meet the fault. */
static void test_serve(const void *data)
{
	Control *control = control_new(&config, NAME, handle, NULL, NULL);

	(void)data;
	REQUIRE(control);
	for (guint i = 0; i < G_N_ELEMENTS(served); i++) {
		const gboolean goes_on = i < 3;
		guint64 point = 0, calls;

		do {
			g_autoptr(GError) error = NULL;
			g_autoptr(Json) answer = NULL;

			test_row("%s at call %u", served[i].name, (guint)point);
			inject_begin(&served[i], point);
			answer = call(10, &error);
			calls = inject_end();
			CHECK_INT(answer == NULL, error != NULL);
			if (goes_on)
				CHECK_NO_ERROR(error);
			else if (error)
				CHECK_ERROR(error, error->code, NULL);
			CHECK(is_served());
		} while (point++ < calls);
	}
	control_free(control);
}

/* The client waits until the server has a descriptor, and the server does not spin. */
static void test_no_descriptor(const void *data)
{
	static const Injection none = {"EMFILE", INJECT_SOCKET, EMFILE, TRUE};
	Control *control = control_new(&config, NAME, handle, NULL, NULL);
	autofd directory = control_directory_open(&config);
	autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	(void)data;
	REQUIRE(control);
	control_address(directory, NAME, &address);
	inject_begin(&none, 0);
	CHECK(!syscall(SYS_connect, fd, &address, sizeof address));
	g_usleep(400000); /* a server that spins would make far more than 20 calls in this time */
	CHECK(inject_end() < 20);
	CHECK(is_served());
	control_free(control);
}

/* ---- servers that misbehave */

typedef struct {
	const char *answer; /* NULL: no answer, and the connection stays open */
	gsize times;
	int code;
	const char *problem;
} Odd;

static const Odd odds[] = {
	{"", 0, STORAGEOS_ERROR_IO, "receive"},
	{"half an answer", 1, STORAGEOS_ERROR_IO, "receive"},
	{"no JSON\n", 1, STORAGEOS_ERROR_CORRUPT, "not JSON"},
	{"null\n", 1, STORAGEOS_ERROR_CORRUPT, "not JSON"},
	{"{}\n", 1, STORAGEOS_ERROR_INVALID, "without `ok` and `data`"},
	{"[]\n", 1, STORAGEOS_ERROR_INVALID, "without `ok` and `data`"},
	{"{\"ok\": true}\n", 1, STORAGEOS_ERROR_INVALID, "without `ok` and `data`"},
	{"{\"ok\": false, \"data\": {}, \"error\": \"no\"}\n", 1, STORAGEOS_ERROR_INVALID, "no"},
	{"0123456789abcdef", (1 << 18) + 300, STORAGEOS_ERROR_CORRUPT, "longer than 4 MiB"},
	{NULL, 0, STORAGEOS_ERROR_IO, "wait for an answer"},
};

typedef struct {
	int listener;
	const Odd *odd;
	int kept; /* the connection of a server that never answers */
} OddServer;

static gpointer answer_once(gpointer data)
{
	OddServer *server = data;
	int fd = accept(server->listener, NULL, NULL);
	char request[4096];

	CHECK(recv(fd, request, sizeof request, 0) > 0);
	for (gsize i = 0; i < server->odd->times; i++)
		if (send(fd, server->odd->answer, strlen(server->odd->answer), MSG_NOSIGNAL) < 0)
			break;
	if (server->odd->answer)
		close(fd);
	else
		server->kept = fd;
	return NULL;
}

static int listen_there(void)
{
	autofd directory = control_directory_make(&config, NULL);
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	control_address(directory, NAME, &address);
	unlinkat(directory, NAME, 0);
	CHECK(!bind(fd, (struct sockaddr *)&address, sizeof address));
	CHECK(!listen(fd, 0));
	return fd;
}

static void test_odd_servers(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(odds); i++) {
		autofd listener = listen_there();
		OddServer server = {listener, &odds[i], -1};
		g_autoptr(GError) error = NULL;
		GThread *thread;

		test_row("%s", odds[i].answer ? odds[i].answer : "silence");
		thread = g_thread_new("odd", answer_once, &server);
		CHECK(!call(odds[i].answer ? 30 : 1, &error));
		CHECK_ERROR(error, odds[i].code, odds[i].problem);
		g_thread_join(thread);
		if (server.kept >= 0)
			close(server.kept);
	}
}

/* The server accepts no connections, and its backlog is full. */
static void test_full_queue(const void *data)
{
	autofd listener G_GNUC_UNUSED = listen_there();
	autofd directory = control_directory_open(&config);
	struct sockaddr_un address;
	g_autoptr(GError) error = NULL;
	int waiting[4];
	guint n = 0;

	(void)data;
	control_address(directory, NAME, &address);
	do
		waiting[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	while (!connect(waiting[n++], (struct sockaddr *)&address, sizeof address) &&
	       n < G_N_ELEMENTS(waiting));
	CHECK(!call(1, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "connect");
	while (n)
		close(waiting[--n]);
}

int main(int argc, char **argv)
{
	config.run_directory = test_path("run");
	test_add("a server that cannot begin says so and leaves nothing", test_begin, NULL);
	test_add("a call that fails spoils one answer at most", test_serve, NULL);
	test_add("a server without a descriptor for a client waits for one", test_no_descriptor,
		 NULL);
	test_add("a server that answers wrongly is an error", test_odd_servers, NULL);
	test_add("a client waits for a server that accepts nothing only as long as asked",
		 test_full_queue, NULL);
	return test_run(argc, argv);
}
