/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bounded.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/interrupt.h"
#include "common/base/fd.h"
#include "common/base/files.h"

#define ANSWER_MAX ((gsize)1 << 24)

typedef struct {
	pid_t pid;
	int fd; /* our end of the socket pair */
} BoundedChild;

/* Forks a child that answers through a socket.  Returns as fork() does.  In the child,
 * ret_child->fd is the socket, and no other descriptor of ours is open. */
static pid_t bounded_child_begin(BoundedChild *ret_child)
{
	int ends[2];
	pid_t pid;

	if (fd_socketpair(ends))
		return -1;
	pid = fork();
	if (pid) {
		close(ends[1]);
		if (pid < 0)
			close(ends[0]);
		*ret_child = (BoundedChild){pid, ends[0]};
		return pid;
	}
	signal(SIGPIPE, SIG_IGN);
	dup2(ends[1], 3);
	fd_close_from(4);
	for (int fd = 0; fd < 3; fd++)
		close(fd);
	fd_fill_stdio();
	*ret_child = (BoundedChild){0, 3};
	return 0;
}

/* Kills the child without waiting for it: a child that hangs in the kernel may never end. */
static void bounded_child_end(const BoundedChild *child)
{
	close(child->fd);
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, WNOHANG);
}

static gboolean answer_wait_until(int fd, gint64 deadline)
{
	gint64 left = deadline - g_get_monotonic_time();
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	int n;

	do
		n = poll(&poll_fd, 1, left > 0 ? (int)(left / 1000) + 1 : 0);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/* ---- answers as text */

/* Returns as fork() does. */
static pid_t question_begin(BoundedQuestion function, gconstpointer data, BoundedChild *ret_child)
{
	pid_t pid = bounded_child_begin(ret_child);

	if (!pid) {
		function(data, ret_child->fd);
		_exit(0);
	}
	return pid;
}

/* The answer; NULL if it is not complete at the deadline.  The child is gone, or killed. */
static char *question_end(const BoundedChild *child, gint64 deadline)
{
	g_autoptr(GString) answer = g_string_new(NULL);
	char piece[4096];
	ssize_t n = -1;

	while (answer->len < ANSWER_MAX && answer_wait_until(child->fd, deadline) &&
	       (n = recv(child->fd, piece, sizeof piece, 0)) > 0)
		g_string_append_len(answer, piece, n);
	if (n) {
		bounded_child_end(child);
		return NULL;
	}
	waitpid(child->pid, NULL, 0);
	close(child->fd);
	return g_string_free(g_steal_pointer(&answer), FALSE);
}

char *bounded_ask(BoundedQuestion function, gconstpointer data, guint seconds)
{
	char *answer;

	bounded_ask_all(function, &data, 1, seconds, &answer);
	return answer;
}

/* A child whose turn comes later waits in its write() until then. */
void bounded_ask_all(BoundedQuestion function, const gconstpointer *data, guint n, guint seconds,
		     char **ret_answers)
{
	gint64 deadline = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
	g_autofree BoundedChild *children = g_new0(BoundedChild, n);
	g_autofree gboolean *begun = g_new0(gboolean, n);

	for (guint i = 0; i < n; i++)
		begun[i] = question_begin(function, data[i], &children[i]) > 0;
	for (guint i = 0; i < n; i++)
		ret_answers[i] = begun[i] ? question_end(&children[i], deadline) : NULL;
}

/* ---- opening */

typedef union {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
} Ancillary;

static void opened_send(int socket, const char *path, int flags)
{
	int fd = fd_open(path, flags, 0), err = fd < 0 ? errno : 0;
	struct iovec iov = {&err, sizeof err};
	Ancillary ancillary = {0};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (!err) {
		message.msg_control = &ancillary;
		message.msg_controllen = sizeof ancillary.room;
		ancillary.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof fd),
						    .cmsg_level = SOL_SOCKET,
						    .cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof fd);
	}
	sendmsg(socket, &message, MSG_NOSIGNAL);
}

static int opened_receive(int socket)
{
	int fd = -1, err = EIO;
	struct iovec iov = {&err, sizeof err};
	Ancillary ancillary = {0};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = &ancillary,
				 .msg_controllen = sizeof ancillary.room};

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof err)
		err = EIO;
	else if (!err && message.msg_controllen >= CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(&ancillary.header), sizeof fd);
	errno = err;
	return fd_above_stdio(fd);
}

int bounded_open(const char *path, int flags, guint seconds)
{
	gint64 deadline = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
	BoundedChild child;
	pid_t pid = bounded_child_begin(&child);
	int fd = -1, err;

	if (pid < 0)
		return -1;
	if (!pid) {
		opened_send(child.fd, path, flags);
		_exit(0);
	}
	if (!answer_wait_until(child.fd, deadline)) {
		bounded_child_end(&child);
		errno = ETIMEDOUT;
		return -1;
	}
	fd = opened_receive(child.fd);
	err = errno;
	/* The child has the same open file, so it must have ended before we use it alone. */
	waitpid(pid, NULL, 0);
	close(child.fd);
	errno = err;
	return fd;
}

/* ---- flushing */

static void flush_in_child(gconstpointer data, int fd)
{
	int device = fd_open(data, O_RDONLY, 0);
	int err = device < 0 || fsync(device) ? errno : 0;

	dprintf(fd, "%d", err);
}

/* The number of requests that the device has completed; it grows while the device answers. */
static guint64 device_completed(const char *device)
{
	g_autofree char *name = g_path_get_basename(device);
	g_autofree char *path = g_build_filename("/sys/block", name, "stat", NULL);
	g_autofree char *text = files_read_kernel(path, NULL);
	guint64 reads = 0, writes = 0, discards = 0, flushes = 0;

	if (!text)
		return 0;
	/* Flushes are counted since Linux 5.5. */
	sscanf(text,
	       "%" G_GUINT64_FORMAT " %*u %*u %*u %" G_GUINT64_FORMAT
	       " %*u %*u %*u %*u %*u %*u %" G_GUINT64_FORMAT " %*u %*u %*u %" G_GUINT64_FORMAT,
	       &reads, &writes, &discards, &flushes);
	return reads + writes + discards + flushes;
}

static int flush_read_result(int fd)
{
	char text[16] = "";

	return recv(fd, text, sizeof text - 1, 0) > 0 ? (int)g_ascii_strtoll(text, NULL, 10) : EIO;
}

static int flush_watch(int fd, const char *device, guint stall, guint total)
{
	gint64 begun = g_get_monotonic_time(), moved = begun, now = begun;
	guint64 last = device_completed(device);

	while (!answer_wait_until(fd, now + G_USEC_PER_SEC / 2)) {
		guint64 count = device_completed(device);

		now = g_get_monotonic_time();
		if (count != last)
			moved = now;
		last = count;
		if (now - moved > stall * G_USEC_PER_SEC)
			return ETIMEDOUT;
		if (!interrupt_check(NULL))
			return EINTR;
		if (now - begun > total * G_USEC_PER_SEC)
			return EINPROGRESS;
	}
	return flush_read_result(fd);
}

int bounded_flush(const char *device, guint stall, guint total)
{
	BoundedChild child;
	pid_t pid = bounded_child_begin(&child);
	int result;

	if (pid < 0)
		return errno;
	if (!pid) {
		flush_in_child(device, child.fd);
		_exit(0);
	}
	result = flush_watch(child.fd, device, stall, total);
	bounded_child_end(&child);
	return result;
}
