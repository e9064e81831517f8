/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half of the control socket, against a server whose answers the test chooses.
 */
#include "common/service/control-call.h"
#include "common/service/control.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/service/control-address.h"
#include "tests/harness.h"

#define NAME "default:db"

static Config config;

/* Serves one connection: reads a line, sends `answer` and hangs up.  NULL: sends nothing. */
typedef struct {
	int listener;
	const char *answer;
	GString *request;
	GThread *thread;
} Responder;

static void responder_receive(Responder *responder, int fd)
{
	char c;

	while (recv(fd, &c, 1, 0) == 1 && c != '\n')
		g_string_append_c(responder->request, c);
}

static gpointer responder_run(gpointer data)
{
	Responder *responder = data;
	autofd fd = accept(responder->listener, NULL, NULL);
	const char *answer = responder->answer;
	char c;

	responder_receive(responder, fd);
	for (gsize left = answer ? strlen(answer) : 0; left;) {
		ssize_t n = send(fd, answer, left, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		answer += n;
		left -= (gsize)n;
	}
	if (!answer) /* until the client gives up */
		while (recv(fd, &c, 1, 0) > 0)
			;
	return NULL;
}

static void responder_start(Responder *responder, const char *answer)
{
	autofd directory = control_directory_make(&config, NULL);
	struct sockaddr_un address;

	*responder = (Responder){.answer = answer, .request = g_string_new(NULL)};
	responder->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	control_address(directory, NAME, &address);
	CHECK_INT(bind(responder->listener, (struct sockaddr *)&address, sizeof address), 0);
	CHECK_INT(listen(responder->listener, 1), 0);
	responder->thread = g_thread_new("responder", responder_run, responder);
}

static void responder_end(Responder *responder)
{
	g_autofree char *path = g_build_filename(config.run_directory, "control", NAME, NULL);

	g_thread_join(responder->thread);
	close(responder->listener);
	g_string_free(responder->request, TRUE);
	CHECK_INT(unlink(path), 0);
}

static Json *call(guint seconds, GError **error)
{
	g_autoptr(Json) request = json_object_new_object();

	json_add_text(request, "command", "stats");
	return control_call(&config, NAME, request, seconds, error);
}

static void test_answer(const void *data)
{
	g_autoptr(Json) answer = NULL, sent = NULL;
	g_autoptr(GError) error = NULL;
	Responder responder;

	(void)data;
	responder_start(&responder, "{\"version\": 1, \"ok\": true, \"data\": {\"size\": 7}}\n");
	answer = call(10, &error);
	CHECK_NO_ERROR(error);
	CHECK_INT(json_get_number(answer, "size"), 7);
	sent = json_tokener_parse(responder.request->str);
	CHECK_STR(json_get_text(sent, "command"), "stats");
	CHECK_INT(json_get_number(sent, "version"), CONTROL_VERSION);
	responder_end(&responder);
}

static void test_bad_answers(const void *data)
{
	static const struct {
		const char *answer;
		int code;
		const char *message;
	} rows[] = {
		{"{\"ok\": false, \"error\": \"no command 'stats'\"}\n", STORAGEOS_ERROR_INVALID,
		 "no command 'stats'"},
		{"{\"ok\": true}\n", STORAGEOS_ERROR_INVALID, NULL},
		{"{\"ok\": false, \"data\": {}}\n", STORAGEOS_ERROR_INVALID, NULL},
		{"{\"ok\": 1, \"data\": {}}\n", STORAGEOS_ERROR_INVALID, NULL},
		{"[]\n", STORAGEOS_ERROR_INVALID, NULL},
		{"\n", STORAGEOS_ERROR_CORRUPT, "not JSON"},
		{"{\n", STORAGEOS_ERROR_CORRUPT, "not JSON"},
		{"", STORAGEOS_ERROR_IO, "receive"},
		{"{\"ok\": true, \"data\": {}}", STORAGEOS_ERROR_IO, "receive"}, /* cut off */
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;
		Responder responder;

		test_row("'%s'", rows[i].answer);
		responder_start(&responder, rows[i].answer);
		CHECK(!call(10, &error));
		CHECK_ERROR(error, rows[i].code, rows[i].message);
		responder_end(&responder);
	}
}

static void test_endless_answer(const void *data)
{
	g_autofree char *answer = g_strnfill((gsize)5 << 20, 'x');
	g_autoptr(GError) error = NULL;
	Responder responder;

	(void)data;
	responder_start(&responder, answer);
	CHECK(!call(30, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "longer than 4 MiB");
	responder_end(&responder);
}

static void test_silent_server(const void *data)
{
	gint64 begun = g_get_monotonic_time();
	g_autoptr(GError) error = NULL;
	Responder responder;

	(void)data;
	responder_start(&responder, NULL);
	CHECK(!call(1, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, "wait for an answer");
	CHECK(g_get_monotonic_time() - begun >= G_USEC_PER_SEC);
	responder_end(&responder);
}

static void test_nobody(const void *data)
{
	g_autofree char *path = g_build_filename(config.run_directory, "control", NAME, NULL);
	g_autofree char *directory = g_path_get_dirname(path);
	g_autoptr(GError) none = NULL, file = NULL;

	(void)data;
	CHECK(!call(10, &none));
	CHECK_ERROR(none, STORAGEOS_ERROR_NOT_FOUND, NULL);
	test_row("a file in the socket's place");
	CHECK_INT(g_mkdir_with_parents(directory, 0700), 0);
	CHECK(g_file_set_contents(path, "", 0, NULL));
	CHECK(!call(10, &file));
	CHECK_ERROR(file, STORAGEOS_ERROR_INVALID, path);
	CHECK_INT(unlink(path), 0);
}

int main(int argc, char **argv)
{
	config.run_directory = test_path(".run");
	test_add("without a server the call says so", test_nobody, NULL);
	test_add("a call sends its version and returns the data", test_answer, NULL);
	test_add("a refusal, nonsense and a cut answer are errors", test_bad_answers, NULL);
	test_add("an answer without an end is given up", test_endless_answer, NULL);
	test_add("a silent server is given up in time", test_silent_server, NULL);
	return test_run(argc, argv);
}
