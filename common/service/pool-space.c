/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-space.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "common/base/error.h"
#include "common/service/pool-store.h"

gboolean pool_space_read(const ConfigPool *pool, PoolSpace *ret_space, GError **error)
{
	struct statvfs fs;

	if (pool->ceph)
		return pool_store_space(pool, &ret_space->size, &ret_space->free, error);
	if (statvfs(pool->path, &fs))
		return error_set_errno(error, errno, "measure %s", pool->path);
	*ret_space = (PoolSpace){.size = (guint64)fs.f_blocks * fs.f_frsize,
				 .free = (guint64)fs.f_bavail * fs.f_frsize};
	return TRUE;
}

guint pool_space_percent(guint64 size, guint64 free)
{
	guint64 taken = size - MIN(free, size);

	return size ? (guint)((double)taken / (double)size * 100) : 0;
}
