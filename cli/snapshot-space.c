/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/snapshot-space.h"

#include <sys/stat.h>

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/pool-space.h"

#define LEAST_SHARE 100 /* of the file system, or ... */
#define LEAST_MOST GIB	/* ... this, if it is less */

void snapshot_space_clear(SnapshotSpace *space)
{
	g_free(space->path);
}

/* What the volume's file has allocated and does not use.  The space of deleted snapshots comes here
 * first; the server gives it back later, or keeps up to 1 GiB of it for what is written next. */
static guint64 reserve_of(const SnapshotVolume *volume, const char *path)
{
	guint64 used = (guint64)json_get_number(volume->list, "data") +
		       (guint64)json_get_number(volume->list, "metadata");
	struct stat st;
	guint64 allocated = stat(path, &st) ? 0 : (guint64)st.st_blocks * 512;

	return allocated > used ? allocated - used : 0;
}

gboolean snapshot_space_get(const SnapshotVolume *volume, SnapshotSpace *ret_space)
{
	g_autofree char *path = pool_volume_place(volume->config, volume->name);
	const ConfigPool *pool =
		volume->name->pool ? config_find_pool(volume->config, volume->name->pool) : NULL;
	PoolSpace space;

	if (!path || !pool || pool->ceph || !pool_space_read(pool, &space, NULL))
		return FALSE;
	*ret_space =
		(SnapshotSpace){.room = space.free + reserve_of(volume, path), .whole = space.size};
	ret_space->path = g_steal_pointer(&path);
	return TRUE;
}

gboolean snapshot_space_suffices(const SnapshotVolume *volume, GError **error)
{
	g_auto(SnapshotSpace) space = {0};
	g_autofree char *room = NULL;

	if (!snapshot_space_get(volume, &space) ||
	    space.room >= min_u64(space.whole / LEAST_SHARE, LEAST_MOST))
		return TRUE;
	room = size_format(space.room);
	return error_set(error, STORAGEOS_ERROR_NO_SPACE,
			 "%s: only %s of the file system of %s are free, and a snapshot keeps all "
			 "that is overwritten from then on: delete snapshots, or grow the file "
			 "system",
			 volume->text, room, space.path);
}
