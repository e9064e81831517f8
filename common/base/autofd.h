/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors that are closed at the end of their scope, like g_autoptr for memory:
 *
 *     autofd fd = fd_open(path, O_RDONLY, 0);
 *     if (fd < 0)
 *             return error_set_errno(error, errno, "open %s", path);
 *
 * Closing leaves errno unchanged, so that it can be read after the scope.
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

/* Returns the descriptor and leaves -1: the caller must close it from now on. */
static inline int autofd_steal(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}
