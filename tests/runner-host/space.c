/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/runner-host/space.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

gint no_space;

__attribute__((visibility("default"))) int ftruncate(int fd, off_t size);

int ftruncate(int fd, off_t size)
{
	if (g_atomic_int_get(&no_space)) {
		errno = ENOSPC;
		return -1;
	}
	return (int)syscall(SYS_ftruncate, fd, size);
}
