/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backing/file-allocate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>

static gboolean always_copies(int fd)
{
	struct statfs fs;
	int flags = 0;

	return !fstatfs(fd, &fs) && fs.f_type == BTRFS_SUPER_MAGIC &&
	       (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & FS_NOCOW_FL));
}

static int allocate_whole(int fd, int mode, guint64 offset, guint64 length)
{
	while (fallocate(fd, mode, (off_t)offset, (off_t)length) < 0)
		if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
			return -ENOSPC;
		else if (errno == EOPNOTSUPP || errno == ENOSYS)
			return -EOPNOTSUPP;
		else if (errno != EINTR)
			return -EIO;
	return 0;
}

/* Extents that are shared with a reflink are copied: a write to them would need space. */
int file_allocate_range(int fd, guint64 offset, guint64 length)
{
	int r;

	if (always_copies(fd))
		return -EOPNOTSUPP;
	r = allocate_whole(fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
	return r && r != -EOPNOTSUPP ? r : allocate_whole(fd, FALLOC_FL_KEEP_SIZE, offset, length);
}

gboolean file_over_process_limit(guint64 size)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY &&
	       size > limit.rlim_cur;
}
