/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a client sends to a control socket, each line is answered with one line of JSON, and the
 * next client is served. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/service/control-address.h"
#include "common/service/control.h"
#include "tests/fuzz/fuzz.h"

#define NAME "fuzz"

static Config config;

static Json *handle(gpointer data, const char *command, Json *request, GError **error)
{
	Json *answer = json_object_new_object();

	(void)data, (void)request, (void)error;
	json_add_text(answer, "command", command);
	return answer;
}

static Control *server(void)
{
	static Control *control;

	if (control)
		return control;
	config.run_directory =
		g_strdup_printf("%s/storageos-fuzz-run.%d", g_get_tmp_dir(), (int)getpid());
	control = control_new(&config, NAME, handle, NULL, NULL);
	fuzz_assert(control);
	return control;
}

static int connect_to_it(void)
{
	autofd directory = control_directory_open(&config);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;

	control_address(directory, NAME, &address);
	fuzz_assert(!connect(fd, (struct sockaddr *)&address, sizeof address));
	return fd;
}

/* Receives until the server hangs up, and returns the number of lines.  The fuzzer's alarm may
 * interrupt calls. */
static guint receive_all(int fd)
{
	char piece[4096];
	guint lines = 0;
	ssize_t n;

	while ((n = recv(fd, piece, sizeof piece, 0)) > 0 || (n < 0 && errno == EINTR))
		for (ssize_t i = 0; i < n; i++)
			lines += piece[i] == '\n';
	return lines;
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	guint lines = 0, answers;

	size = MIN(size, CONTROL_REQUEST_MAX - 1);
	server();
	for (gsize i = 0; i < size; i++)
		lines += data[i] == '\n';
	autofd fd = connect_to_it();
	fuzz_assert(send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size);
	shutdown(fd, SHUT_WR);
	answers = receive_all(fd);
	fuzz_assert(answers == lines);
	return 0;
}
