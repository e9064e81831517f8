/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/control-call.h"
#include "common/service/control.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/service/control-address.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "tests/harness.h"

#define NAME "default:db"
#define PATIENCE 5000 /* milliseconds for an answer */

static Config config;
static gint64 ahead; /* atomic, microseconds */

/* Replaces the clock of this program; a test may put it forward. */
gint64 g_get_monotonic_time(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000 +
	       __atomic_load_n(&ahead, __ATOMIC_SEQ_CST);
}

static Json *handle(gpointer data, const char *command, Json *request, GError **error)
{
	(void)request;
	if (!strcmp(command, "echo")) {
		Json *answer = json_object_new_object();

		json_add_text(answer, "said", data);
		return answer;
	}
	if (!strcmp(command, "much")) { /* more than a socket's buffer */
		g_autofree char *text = g_strnfill(900000, 'm');
		Json *answer = json_object_new_object();

		json_add_text(answer, "said", text);
		return answer;
	}
	error_set(error, STORAGEOS_ERROR_UNSUPPORTED, "no command '%s'", command);
	return NULL;
}

static Control *start_saying(const char *what)
{
	g_autoptr(GError) error = NULL;
	Control *control = control_new(&config, NAME, handle, (gpointer)what, &error);

	CHECK_NO_ERROR(error);
	return control;
}

static Control *start(void)
{
	return start_saying("hello");
}

static Json *call(const char *command, GError **error)
{
	g_autoptr(Json) request = json_object_new_object();

	json_add_text(request, "command", command);
	return control_call(&config, NAME, request, 5, error);
}

static int connect_raw(void)
{
	autofd directory = control_directory_open(&config);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	control_address(directory, NAME, &address);
	if (!CHECK(!connect(fd, (struct sockaddr *)&address, sizeof address)))
		test_note("connect: %s", g_strerror(errno));
	return fd;
}

/* Receives one line.  NULL if the server has hung up. */
static char *receive(int fd)
{
	GString *line = g_string_new(NULL);
	struct pollfd p = {fd, POLLIN, 0};
	char c;

	while (poll(&p, 1, PATIENCE) > 0 && recv(fd, &c, 1, 0) == 1) {
		if (c == '\n')
			return g_string_free(line, FALSE);
		g_string_append_c(line, c);
	}
	g_string_free(line, TRUE);
	return NULL;
}

static gboolean is_served(void)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) answer = call("echo", &error);

	CHECK_NO_ERROR(error);
	return answer && CHECK_STR(json_get_text(answer, "said"), "hello");
}

static void test_call(const void *data)
{
	Control *control = start();
	g_autoptr(GPtrArray) names = control_list(&config, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) much = NULL;

	(void)data;
	REQUIRE(control);
	CHECK(is_served());
	CHECK_UINT(names->len, 1);
	CHECK_STR(g_ptr_array_index(names, 0), NAME);
	CHECK(!call("sing", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "no command 'sing'");
	much = call("much", NULL);
	REQUIRE(much);
	CHECK_UINT(strlen(json_get_text(much, "said")), 900000);
	control_free(control);
}

static void test_nobody_there(const void *data)
{
	g_autoptr(GError) none = NULL, dead = NULL;
	g_autofree char *path = g_strdup_printf("%s/control/" NAME, config.run_directory);
	Control *control = start();
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct stat st;

	(void)data;
	REQUIRE(control);
	CHECK(!stat(path, &st));
	CHECK_UINT(st.st_mode & 07777, 0600);
	control_free(control);
	CHECK(stat(path, &st));
	CHECK(!call("echo", &none));
	CHECK_ERROR(none, STORAGEOS_ERROR_NOT_FOUND, "nobody serves");

	/* The socket's file as a killed server leaves it. */
	autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	g_strlcpy(address.sun_path, path, sizeof address.sun_path);
	CHECK(!bind(fd, (struct sockaddr *)&address, sizeof address));
	CHECK(!call("echo", &dead));
	CHECK_ERROR(dead, STORAGEOS_ERROR_NOT_FOUND, "nobody serves");
	control = start();
	REQUIRE(control);
	CHECK(is_served());
	control_free(control);
}

/* Whether the server whose "echo" says `what` answers within `seconds`; 0: now. */
static gboolean answers(const char *what, guint seconds)
{
	gint64 end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;

	do {
		g_autoptr(Json) answer = call("echo", NULL);

		if (answer && !g_strcmp0(json_get_text(answer, "said"), what))
			return TRUE;
		g_usleep(20000);
	} while (g_get_monotonic_time() < end);
	return FALSE;
}

/* The volume of the first server had the name before; its file was deleted, for example. */
static void test_second_server(const void *data)
{
	Control *first = start_saying("first"), *second = start_saying("second");

	(void)data;
	REQUIRE(first && second);
	CHECK(answers("second", 0));
	g_usleep(500000); /* the first server checks its name in this time */
	CHECK(answers("second", 0));
	control_free(first);
	CHECK(answers("second", 0));
	control_free(second);
	CHECK(!call("echo", NULL));
}

static void test_name_comes_back(const void *data)
{
	Control *first = start_saying("first"), *second = start_saying("second");
	g_autofree char *path = g_strdup_printf("%s/control/" NAME, config.run_directory);
	g_autofree char *directory = g_path_get_dirname(path);

	(void)data;
	REQUIRE(first && second);
	CHECK(answers("second", 0));
	control_free(second);
	CHECK(answers("first", 30));
	CHECK(!unlink(path));
	CHECK(answers("first", 30));
	CHECK(!unlink(path));
	CHECK(!rmdir(directory));
	CHECK(answers("first", 30));
	control_free(first);
	CHECK(access(path, F_OK));
}

/* The file is not the socket of a server that died. */
static void test_file_in_place(const void *data)
{
	g_autofree char *path = g_strdup_printf("%s/control/" NAME, config.run_directory);
	g_autofree char *text = NULL;
	Control *control = start_saying("hello");

	(void)data;
	REQUIRE(control);
	REQUIRE(g_file_set_contents(path, "somebody's", -1, NULL));
	g_usleep(5 * G_USEC_PER_SEC); /* the server tries to take its name in this time */
	CHECK(g_file_get_contents(path, &text, NULL, NULL));
	CHECK_STR(text, "somebody's");
	CHECK(!unlink(path));
	CHECK(answers("hello", 30));
	control_free(control);
}

static void test_not_at_first(const void *data)
{
	g_autofree char *path = g_strdup_printf("%s/control", config.run_directory);
	Control *control;

	(void)data;
	rmdir(path);
	REQUIRE(g_file_set_contents(path, "no directory", -1, NULL));
	control = start();
	REQUIRE(control);
	CHECK(!call("echo", NULL));
	CHECK(!unlink(path));
	CHECK(answers("hello", 30));
	control_free(control);
}

/* Each line is answered with one line, whatever it is, and the connection stays open. */
static void test_nonsense(const void *data)
{
	static const struct {
		const char *line, *answer;
	} rows[] = {
		{"", "JSON object"},
		{"hello", "JSON object"},
		{"[]", "JSON object"},
		{"{", "JSON object"},
		{"{}", "JSON object"},
		{"{\"command\": 3, \"version\": 1}", "JSON object"},
		{"{\"command\": \"echo\"}", "version 0"},
		{"{\"command\": \"echo\", \"version\": 2}", "version 2"},
		{"{\"command\": \"echo\", \"version\": \"1\"}", "version 0"},
		{"{\"command\": \"\", \"version\": 1}", "no command ''"},
		{"[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]", "JSON object"},
		{"{\"command\": \"echo\", \"version\": 1}", "hello"},
	};
	Control *control = start();

	(void)data;
	REQUIRE(control);
	autofd fd = connect_raw();
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *line = g_strconcat(rows[i].line, "\n", NULL);
		g_autofree char *answer = NULL;

		test_row("'%s'", rows[i].line);
		CHECK(send(fd, line, strlen(line), 0) == (ssize_t)strlen(line));
		answer = receive(fd);
		REQUIRE(answer);
		CHECK_CONTAINS(answer, rows[i].answer);
	}
	control_free(control);
}

static void test_in_pieces_and_together(const void *data)
{
	static const char request[] = "{\"command\": \"echo\", \"version\": 1}\n";
	Control *control = start();
	g_autofree char *three = g_strconcat(request, request, request, NULL);

	(void)data;
	REQUIRE(control);
	autofd fd = connect_raw();
	for (const char *c = request; *c; c++) {
		CHECK(send(fd, c, 1, 0) == 1);
		g_usleep(500);
	}
	CHECK(send(fd, three, strlen(three), 0) == (ssize_t)strlen(three));
	for (guint i = 0; i < 4; i++) {
		g_autofree char *answer = receive(fd);

		REQUIRE(answer);
		CHECK_CONTAINS(answer, "hello");
	}
	control_free(control);
}

static void test_too_long(const void *data)
{
	g_autofree char *text = g_strnfill(CONTROL_REQUEST_MAX, 'x');
	g_autofree char *answer = NULL, *after = NULL;
	Control *control = start();

	(void)data;
	REQUIRE(control);
	autofd fd = connect_raw();
	CHECK(send(fd, text, CONTROL_REQUEST_MAX, 0) == (ssize_t)CONTROL_REQUEST_MAX);
	answer = receive(fd);
	REQUIRE(answer);
	CHECK_CONTAINS(answer, "at most 4096 bytes");
	after = receive(fd);
	CHECK(!after); /* hung up */
	CHECK(is_served());
	control_free(control);
}

/* Clients that stay silent, do not read a large answer, or leave in the middle of a request. */
static void test_bad_clients(const void *data)
{
	static const char much[] = "{\"command\": \"much\", \"version\": 1}\n";
	Control *control = start();
	int fds[4 * CONTROL_CLIENTS];

	(void)data;
	REQUIRE(control);
	for (guint i = 0; i < G_N_ELEMENTS(fds); i++) {
		fds[i] = connect_raw();
		if (i % 3 == 1)
			CHECK(send(fds[i], much, strlen(much), MSG_NOSIGNAL) > 0);
		if (i % 3 == 2) {
			CHECK(send(fds[i], much, 5, MSG_NOSIGNAL) == 5);
			close(fds[i]);
			fds[i] = -1;
		}
	}
	CHECK(is_served());
	for (guint i = 0; i < G_N_ELEMENTS(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	CHECK(is_served());
	control_free(control);
}

/* Half a second before the limit nothing happens; at the limit, the server wakes up by itself. */
static void test_silent_client_is_cut_off(const void *data)
{
	const gint64 almost = CONTROL_SECONDS * G_USEC_PER_SEC - G_USEC_PER_SEC / 2;
	Control *control = start();
	struct pollfd p = {-1, POLLIN, 0};
	gint64 begun = g_get_monotonic_time();
	char c;

	(void)data;
	REQUIRE(control);
	autofd fd = connect_raw();
	CHECK(is_served()); /* so the server has seen the silent client, too */
	__atomic_add_fetch(&ahead, almost, __ATOMIC_SEQ_CST);
	CHECK(is_served()); /* makes the server read the clock */
	p.fd = fd;
	CHECK_INT(poll(&p, 1, (CONTROL_SECONDS - 2) * 1000), 1);
	CHECK_INT(recv(fd, &c, 1, 0), 0);
	CHECK(g_get_monotonic_time() - begun >= CONTROL_SECONDS * G_USEC_PER_SEC);
	control_free(control);
}

static gpointer call_often(gpointer data)
{
	guint *answered = data;

	for (guint i = 0; i < 50; i++) {
		g_autoptr(Json) answer = call("echo", NULL);

		*answered += answer != NULL;
	}
	return NULL;
}

static void test_many_callers(const void *data)
{
	Control *control = start();
	GThread *threads[6];
	guint answered[6] = {0};

	(void)data;
	REQUIRE(control);
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("caller", call_often, &answered[i]);
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++) {
		g_thread_join(threads[i]);
		CHECK_UINT(answered[i], 50);
	}
	control_free(control);
}

static void test_names(const void *data)
{
	g_autofree char *pool = g_strnfill(60, 'p');
	VolumeName one = {.pool = pool, .name = g_strnfill(62, 'a')},
		   two = {.pool = pool, .name = g_strnfill(63, 'a')};
	VolumeName device = {.name = (char *)"/dev/sdb"},
		   plain = {.pool = (char *)"default", .name = (char *)"db"};
	g_autofree char *a = control_name(&one), *b = control_name(&two);
	g_autofree char *c = control_name(&device), *d = control_name(&plain);

	(void)data;
	CHECK_STR(d, NAME);
	CHECK_STR(c, ":dev:sdb");
	CHECK(strcmp(a, b) != 0);
	CHECK(strlen(a) <= NAME_LENGTH_MAX && strlen(b) <= NAME_LENGTH_MAX);
	g_free(one.name);
	g_free(two.name);
}

int main(int argc, char **argv)
{
	config.run_directory = test_path("run");
	test_add("a command is carried out and answered", test_call, NULL);
	test_add("a socket exists as long as its server", test_nobody_there, NULL);
	test_add("the newest server of a name owns it", test_second_server, NULL);
	test_add("a name that was lost is taken again", test_name_comes_back, NULL);
	test_add("a file in the socket's place stays", test_file_in_place, NULL);
	test_add("a socket that cannot be made is made later", test_not_at_first, NULL);
	test_add("nonsense is answered with an error", test_nonsense, NULL);
	test_add("requests in pieces and together", test_in_pieces_and_together, NULL);
	test_add("a request without an end", test_too_long, NULL);
	test_add("bad clients keep nobody out", test_bad_clients, NULL);
	test_add("a silent client is cut off", test_silent_client_is_cut_off, NULL);
	test_add("many callers at once", test_many_callers, NULL);
	test_add("a socket's name is short and its own", test_names, NULL);
	return test_run(argc, argv);
}
