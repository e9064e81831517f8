/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/control-call.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/service/control-address.h"
#include "common/service/control.h"
#include "common/base/error.h"
#include "common/base/fd.h"

#define ANSWER_MAX ((gsize)4 << 20) /* 4096 snapshots, each with some 500 bytes */

/* The time until `deadline` as poll() takes it, milliseconds. */
static int time_left(gint64 deadline)
{
	gint64 left = deadline - g_get_monotonic_time();

	return left > 0 ? (int)(left / 1000) + 1 : 0;
}

static gboolean socket_wait(int fd, short events, gint64 deadline, GError **error)
{
	struct pollfd p = {fd, events, 0};
	int n;

	do
		n = poll(&p, 1, time_left(deadline));
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return TRUE;
	return error_set_errno(error, n ? errno : ETIMEDOUT, "wait for an answer");
}

static gboolean is_socket(int directory, const char *name)
{
	struct stat st;

	return fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) || S_ISSOCK(st.st_mode);
}

/* Sets the error for a socket that nobody answers.  Returns -1. */
static int refuse_nobody(const Config *config, int directory, const char *name, GError **error)
{
	if (directory < 0 || is_socket(directory, name))
		error_set(error, STORAGEOS_ERROR_NOT_FOUND, "nobody serves it");
	else
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "%s/control/%s is a file and not the server's socket (remove it; the "
			  "server makes its socket anew)",
			  config->run_directory, name);
	return -1;
}

static int server_connect(const Config *config, const char *name, gint64 deadline, GError **error)
{
	autofd directory = control_directory_open(config);
	int err = directory < 0 ? errno : 0;
	autofd fd = fd_above_stdio(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
	struct sockaddr_un address;

	if (fd < 0) {
		error_set_errno(error, errno, "socket");
		return -1;
	}
	control_address(directory, name, &address);
	while (err || connect(fd, (struct sockaddr *)&address, sizeof address)) {
		if (err)
			errno = err;
		if (errno == ENOENT || errno == ECONNREFUSED)
			return refuse_nobody(config, directory, name, error);
		if (err || (errno != EINTR && (errno != EAGAIN || !time_left(deadline)))) {
			error_set_errno(error, errno, "connect to its server");
			return -1;
		}
		g_usleep(10000); /* the server's backlog is full */
	}
	return autofd_steal(&fd);
}

static gboolean socket_send(int fd, const char *text, gint64 deadline, GError **error)
{
	gsize left = strlen(text);

	while (left) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

		if (n >= 0) {
			text += n;
			left -= (gsize)n;
		} else if (errno == EAGAIN) {
			if (!socket_wait(fd, POLLOUT, deadline, error))
				return FALSE;
		} else if (errno != EINTR) {
			return error_set_errno(error, errno, "send");
		}
	}
	return TRUE;
}

/* Receives one line, of at most ANSWER_MAX bytes. */
static GString *socket_receive_line(int fd, gint64 deadline, GError **error)
{
	g_autoptr(GString) line = g_string_new(NULL);
	char piece[4096];

	while (!line->len || line->str[line->len - 1] != '\n') {
		ssize_t n = recv(fd, piece, sizeof piece, 0);

		if (n > 0) {
			g_string_append_len(line, piece, n);
		} else if (n < 0 && errno == EAGAIN) {
			if (!socket_wait(fd, POLLIN, deadline, error))
				return NULL;
		} else if (n == 0 || errno != EINTR) {
			error_set_errno(error, n ? errno : ECONNRESET, "receive");
			return NULL;
		}
		if (line->len > ANSWER_MAX) {
			error_set(error, STORAGEOS_ERROR_CORRUPT,
				  "the answer is longer than 4 MiB");
			return NULL;
		}
	}
	return g_steal_pointer(&line);
}

static Json *request_exchange(int fd, Json *request, gint64 deadline, GError **error)
{
	g_autofree char *text = g_strconcat(
		json_object_to_json_string_ext(request, JSON_C_TO_STRING_PLAIN), "\n", NULL);
	g_autoptr(GString) line = NULL;
	Json *answer;

	if (!socket_send(fd, text, deadline, error))
		return NULL;
	line = socket_receive_line(fd, deadline, error);
	if (!line)
		return NULL;
	answer = json_tokener_parse(line->str);
	if (!answer)
		error_set(error, STORAGEOS_ERROR_CORRUPT, "the answer is not JSON");
	return answer;
}

Json *control_call(const Config *config, const char *name, Json *request, guint seconds,
		   GError **error)
{
	gint64 deadline = g_get_monotonic_time() + (gint64)seconds * G_USEC_PER_SEC;
	g_autoptr(Json) answer = NULL;
	const char *problem;
	Json *data;

	autofd fd = server_connect(config, name, deadline, error);
	if (fd < 0)
		return NULL;
	json_add_number(request, "version", CONTROL_VERSION);
	answer = request_exchange(fd, request, deadline, error);
	if (!answer)
		return NULL;
	data = json_get_object(answer, "data");
	problem = json_get_text(answer, "error");
	if (data && json_get_flag(answer, "ok"))
		return json_object_get(data);
	error_set(error, STORAGEOS_ERROR_INVALID, "%s",
		  problem ? problem : "the server sent an answer without `ok` and `data`");
	return NULL;
}
