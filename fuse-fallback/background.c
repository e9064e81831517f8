/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parent and child share a pipe.  A zero byte means "ready", any other text is the line of an
 * error, and an end of file without either means that the child has died.
 */
#include "fuse-fallback/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/text.h"

static int report_fd = -1;

static gsize report_receive(int fd, char *report, gsize room)
{
	gsize used = 0;

	while (used < room) {
		ssize_t n = read(fd, report + used, room - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (gsize)n;
		if (report[0] == '\0')
			break;
	}
	return used;
}

G_GNUC_NORETURN static void wait_for_child(int fd, pid_t child)
{
	char report[2048];
	gsize used = report_receive(fd, report, sizeof report - 1);
	int status = 0;

	if (used > 0 && report[0] == '\0')
		_exit(EXIT_SUCCESS);
	report[used == sizeof report - 1 ? text_whole_length(report, used) : used] = '\0';
	waitpid(child, &status, 0);
	if (used > 0)
		fprintf(stderr, "%s\n", report);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "storageos-fuse: killed by signal %d before it could serve\n",
			WTERMSIG(status));
	else
		fprintf(stderr, "storageos-fuse: exited before it could serve\n");
	_exit(EXIT_FAILURE);
}

gboolean background_start(GError **error)
{
	int fds[2];
	pid_t child;

	if (fd_pipe(fds))
		return error_set_errno(error, errno, "pipe");
	child = fork();
	if (child < 0) {
		int err = errno;

		close(fds[0]);
		close(fds[1]);
		return error_set_errno(error, err, "fork");
	}
	if (child > 0) {
		close(fds[1]);
		wait_for_child(fds[0], child);
	}
	close(fds[0]);
	report_fd = fds[1];
	setsid();
	return TRUE;
}

/* FALSE if the parent is gone. */
static gboolean report_send(const void *data, gsize size)
{
	ssize_t n;

	do
		n = write(report_fd, data, size);
	while (n < 0 && errno == EINTR);
	close(report_fd);
	report_fd = -1;
	return n > 0;
}

gboolean background_ready(void)
{
	int null;

	if (report_fd < 0)
		return TRUE;
	null = fd_open("/dev/null", O_RDWR, 0);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null >= 0)
		close(null);
	return report_send("", 1);
}

gboolean background_fail(const char *line)
{
	if (report_fd < 0)
		return FALSE;
	report_send(line, strlen(line));
	return TRUE;
}
