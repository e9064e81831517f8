/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/space.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/fd.h"

static gboolean block_device_space(const char *path, guint64 used, ScsiSpace *ret_space)
{
	autofd fd = fd_open(path, O_RDONLY, 0);
	off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);

	if (size < 0)
		return FALSE;
	*ret_space =
		(ScsiSpace){.available = (guint64)size - MIN(used, (guint64)size), .used = used};
	return TRUE;
}

gboolean space_get(const char *path, guint64 used, ScsiSpace *ret_space)
{
	struct statvfs fs;
	struct stat st;

	if (stat(path, &st))
		return FALSE;
	if (S_ISBLK(st.st_mode))
		return block_device_space(path, used, ret_space);
	if (statvfs(path, &fs))
		return FALSE;
	*ret_space = (ScsiSpace){.available = (guint64)fs.f_bavail * fs.f_frsize, .used = used};
	return TRUE;
}
