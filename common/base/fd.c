/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/autofd.h"

#define FIRST 3

/* Since Linux 5.9; the number is the same for every architecture. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

static gboolean fd_is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0 || errno != EBADF;
}

/* Not close-on-exec: programs that we start inherit these, and need them open as we do. */
void fd_fill_stdio(void)
{
	int saved = errno;

	while (!fd_is_open(0) || !fd_is_open(1) || !fd_is_open(2)) {
		int fd = open("/dev/null", O_RDONLY); /* gets the lowest free number */

		if (fd >= FIRST)
			close(fd); /* another thread filled the gap first */
		if (fd < 0)
			break;
	}
	errno = saved;
}

int fd_above_stdio(int fd)
{
	autofd low = fd;

	if (fd < 0 || fd >= FIRST)
		return autofd_steal(&low);
	return fcntl(fd, F_DUPFD_CLOEXEC, FIRST);
}

int fd_open(const char *path, int flags, mode_t mode)
{
	fd_fill_stdio();
	return fd_above_stdio(open(path, flags | O_CLOEXEC, mode));
}

int fd_openat(int directory, const char *path, int flags, mode_t mode)
{
	fd_fill_stdio();
	return fd_above_stdio(openat(directory, path, flags | O_CLOEXEC, mode));
}

static int both_above_stdio(const int ends[2], int ret_ends[2])
{
	autofd first = fd_above_stdio(ends[0]);
	autofd second = fd_above_stdio(ends[1]);

	if (first < 0 || second < 0)
		return -1;
	ret_ends[0] = autofd_steal(&first);
	ret_ends[1] = autofd_steal(&second);
	return 0;
}

int fd_pipe(int ret_ends[2])
{
	int ends[2];

	fd_fill_stdio();
	return pipe2(ends, O_CLOEXEC) ? -1 : both_above_stdio(ends, ret_ends);
}

int fd_socketpair(int ret_ends[2])
{
	int ends[2];

	fd_fill_stdio();
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)
		       ? -1
		       : both_above_stdio(ends, ret_ends);
}

/* Before Linux 5.9: closes every number up to the limit on open files. */
static void fd_close_each(int first)
{
	struct rlimit limit;
	rlim_t end = (rlim_t)1 << 20;

	if (!getrlimit(RLIMIT_NOFILE, &limit))
		end = MIN(limit.rlim_max, end);
	for (int fd = first; fd < (int)end; fd++)
		close(fd);
}

void fd_close_from(int first)
{
	if (syscall(SYS_close_range, (unsigned int)first, ~0U, 0U))
		fd_close_each(first);
}
