/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors that close themselves at the end of their scope, as g_autoptr does for memory:
 *
 *     autofd fd = fd_open(path, O_RDONLY, 0);
 *     if (fd < 0)
 *             return error_set_errno(error, errno, "open %s", path);
 *
 * errno is as it was, so that it may still be looked at behind the scope.
 */
#pragma once

#include <errno.h>
#include <unistd.h>

static inline void autofd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}

#define autofd __attribute__((cleanup(autofd_close))) int

/* The descriptor, which is the caller's from now on. */
static inline int autofd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}
