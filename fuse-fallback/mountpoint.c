/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/base/logging.h"

/* The type of the topmost file system mounted on `path` (the last line in the table), or NULL. */
static char *mounted_type(const char *path)
{
	g_autofree char *type = NULL;
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent *entry;

	if (!mounts)
		return NULL;
	while ((entry = getmntent(mounts)))
		if (g_str_equal(entry->mnt_dir, path)) {
			g_free(type);
			type = g_strdup(entry->mnt_type);
		}
	endmntent(mounts);
	return g_steal_pointer(&type);
}

/* Every use of a mount whose server has died fails with these errors, except what the kernel
 * answers from its attribute cache: hence AT_STATX_FORCE_SYNC. */
static gboolean is_dead(const char *path)
{
	struct statx st;

	return statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC, STATX_TYPE, &st) &&
	       (errno == ENOTCONN || errno == ECONNABORTED);
}

gboolean mountpoint_clear(const char *path)
{
	while (is_dead(path)) {
		g_autofree char *type = mounted_type(path);

		if (g_strcmp0(type, "fuse." MOUNTPOINT_TYPE) != 0) {
			errno = EBUSY;
			return FALSE;
		}
		/* Lazily: a loop device may still hold the file. */
		if (umount2(path, MNT_DETACH))
			return FALSE;
		log_info("unmounted %s, left by a server that was killed", path);
	}
	return TRUE;
}

gboolean mountpoint_prepare(const char *path, GError **error)
{
	g_autofree char *type = NULL;
	struct stat st;

	if (!mountpoint_clear(path))
		return error_set_errno(error, errno, "unmount the dead mount on %s", path);
	if (stat(path, &st))
		return error_set_errno(error, errno, "mount point %s", path);
	if (!S_ISDIR(st.st_mode))
		return error_set(error, STORAGEOS_ERROR_INVALID, "mount point %s: not a directory",
				 path);
	type = mounted_type(path);
	if (type)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "mount point %s: a file system (%s) is mounted there already",
				 path, type);
	return TRUE;
}
