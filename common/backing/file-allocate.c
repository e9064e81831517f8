/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backing/file-allocate.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/vfs.h>

#include "common/base/bounds.h"

#define EXTENTS 32u

gboolean file_count_mapped(int fd, guint64 offset, guint64 end, guint32 without,
			   guint64 *ret_mapped)
{
	union {
		struct fiemap map;
		guint8 room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
	} answer = {.room = {0}}; /* valgrind does not know what the kernel fills in */
	guint64 mapped = 0;

	while (offset < end) {
		answer.map = (struct fiemap){
			.fm_start = offset, .fm_length = end - offset, .fm_extent_count = EXTENTS};
		if (ioctl(fd, FS_IOC_FIEMAP, &answer.map))
			return FALSE;
		for (guint i = 0; i < answer.map.fm_mapped_extents; i++) {
			const struct fiemap_extent *extent = &answer.map.fm_extents[i];
			guint64 first = max_u64(extent->fe_logical, offset);
			guint64 last = min_u64(extent->fe_logical + extent->fe_length, end);

			if (last > first && !(extent->fe_flags & without))
				mapped += last - first;
			offset = max_u64(offset, last);
		}
		if (answer.map.fm_mapped_extents < EXTENTS)
			break;
	}
	*ret_mapped = mapped;
	return TRUE;
}

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

/* Extents that are shared with a reflink are copied: a write to them would need space.  On a full
 * disk, xfs refuses also what has its space already. */
int file_allocate_range(int fd, guint64 offset, guint64 length)
{
	guint64 mapped;
	int r;

	if (always_copies(fd))
		return -EOPNOTSUPP;
	if (file_count_mapped(fd, offset, offset + length, FIEMAP_EXTENT_SHARED, &mapped) &&
	    mapped == length)
		return 0;
	r = allocate_whole(fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
	return r && r != -EOPNOTSUPP ? r : allocate_whole(fd, FALLOC_FL_KEEP_SIZE, offset, length);
}

gboolean file_over_process_limit(guint64 size)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_FSIZE, &limit) && limit.rlim_cur != RLIM_INFINITY &&
	       size > limit.rlim_cur;
}
