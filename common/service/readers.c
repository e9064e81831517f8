/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/readers.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/backing/backing.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"

static char *readers_path(const char *run_directory, const char *uuid, guint64 generation)
{
	g_autofree char *name = g_strdup_printf("%s.%" G_GUINT64_FORMAT, uuid, generation);

	return g_build_filename(run_directory, "snapshots", name, NULL);
}

static gboolean make_directory(const char *run_directory)
{
	g_autofree char *path = g_build_filename(run_directory, "snapshots", NULL);

	return files_make_directory(run_directory, NULL) && (!mkdir(path, 0700) || errno == EEXIST);
}

static gboolean readers_refuse(const char *path, int how, GError **error)
{
	g_autofree char *holder = NULL;
	struct stat st;

	if (errno != EWOULDBLOCK)
		return error_set_errno(error, errno, "lock %s", path);
	if (how == LOCK_SH)
		return error_set(error, STORAGEOS_ERROR_BUSY, "the snapshot is being deleted");
	holder = stat(path, &st) ? NULL : backing_holder_of_stat(&st);
	return error_set(error, STORAGEOS_ERROR_BUSY,
			 "the snapshot is in use by %s; detach it first",
			 holder ? holder : "another process");
}

static int readers_lock(const char *run_directory, const char *uuid, guint64 generation, int how,
			GError **error)
{
	g_autofree char *path = readers_path(run_directory, uuid, generation);

	autofd fd = make_directory(run_directory)
			    ? fd_open(path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600)
			    : -1;

	if (fd >= 0 && !flock(fd, how | LOCK_NB))
		return autofd_steal(&fd);
	readers_refuse(path, how, error);
	return -1;
}

int readers_join(const char *run_directory, const char uuid[UUID_TEXT], guint64 generation,
		 GError **error)
{
	return readers_lock(run_directory, uuid, generation, LOCK_SH, error);
}

int readers_exclude(const char *run_directory, const char uuid[UUID_TEXT], guint64 generation,
		    GError **error)
{
	return readers_lock(run_directory, uuid, generation, LOCK_EX, error);
}

/* A reader that has opened the file meanwhile gets a lock that counts for nothing, looks at the
 * snapshot's record, and finds that there is none. */
void readers_forget(const char *run_directory, const char uuid[UUID_TEXT], guint64 generation)
{
	g_autofree char *path = readers_path(run_directory, uuid, generation);

	unlink(path);
}

/* `file` is of the volume, and somebody has locked it. */
static gboolean file_is_held(const char *directory, const char *file, GError **error)
{
	g_autofree char *path = g_build_filename(directory, file, NULL);
	g_autofree char *holder = NULL;
	struct stat st;

	autofd fd = fd_open(path, O_RDONLY | O_NOFOLLOW, 0);
	if (fd < 0 || !flock(fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
		return FALSE;
	holder = fstat(fd, &st) ? NULL : backing_holder_of_stat(&st);
	error_set(error, STORAGEOS_ERROR_BUSY,
		  "a snapshot of it is in use by %s (storageos status tells which)",
		  holder ? holder : "another process");
	return TRUE;
}

gboolean readers_check_none(const char *run_directory, const char uuid[UUID_TEXT], GError **error)
{
	g_autofree char *directory = g_build_filename(run_directory, "snapshots", NULL);
	g_autofree char *prefix = g_strconcat(uuid, ".", NULL);
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *file;

	while (dir && (file = g_dir_read_name(dir)))
		if (g_str_has_prefix(file, prefix) && file_is_held(directory, file, error))
			return FALSE;
	return TRUE;
}
