/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-space.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/service/pool-store.h"

/* What the files of the directory take: volumes, and those that are being made. */
static gboolean files_measure(const char *directory, guint64 *ret_bytes, GError **error)
{
	int fd = fd_open(directory, O_RDONLY | O_DIRECTORY, 0);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	guint64 blocks = 0;
	struct stat st;

	if (!dir) {
		error_set_errno(error, errno, "measure %s", directory);
		if (fd >= 0)
			close(fd);
		return FALSE;
	}
	while ((entry = readdir(dir)))
		if (!fstatat(fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) && S_ISREG(st.st_mode))
			blocks += (guint64)st.st_blocks;
	closedir(dir);
	*ret_bytes = blocks * 512;
	return TRUE;
}

static gboolean quota_apply(const ConfigPool *pool, PoolSpace *space, GError **error)
{
	guint64 taken;

	if (!files_measure(pool->path, &taken, error))
		return FALSE;
	space->left = (gint64)pool->quota - (gint64)taken;
	space->size = min_u64(space->size, pool->quota);
	space->free = min_u64(space->free, (guint64)max_i64(space->left, 0));
	return TRUE;
}

gboolean pool_space_read(const ConfigPool *pool, PoolSpace *ret_space, GError **error)
{
	PoolSpace space = {.left = G_MAXINT64};
	struct statvfs fs;

	if (pool->ceph) {
		if (!pool_store_space(pool, &space.size, &space.free, error))
			return FALSE;
	} else {
		if (statvfs(pool->path, &fs))
			return error_set_errno(error, errno, "measure %s", pool->path);
		space.size = (guint64)fs.f_blocks * fs.f_frsize;
		space.free = (guint64)fs.f_bavail * fs.f_frsize;
		if (pool->quota && !quota_apply(pool, &space, error))
			return FALSE;
	}
	*ret_space = space;
	return TRUE;
}

guint pool_space_percent(guint64 size, guint64 free)
{
	guint64 taken = size - MIN(free, size);

	return size ? (guint)((double)taken / (double)size * 100) : 0;
}
