/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"

#define ROOM_FIRST ((gsize)16384)

/* Doubles the buffer, up to `max` + 1 bytes: a file that fills the last byte is too long.  The
 * buffer has one more byte for the zero byte at the end. */
static int buffer_grow(char **data, gsize *room, gsize max)
{
	gsize larger = *room ? 2 * *room : ROOM_FIRST;
	char *moved;

	if (*room > max)
		return EFBIG;
	if (larger > max)
		larger = max + 1;
	moved = g_try_realloc(*data, larger + 1);
	if (!moved)
		return ENOMEM;
	*data = moved;
	*room = larger;
	return 0;
}

int files_read_to_end(int fd, gsize max, char **ret_data, gsize *ret_length)
{
	g_autofree char *data = NULL;
	gsize room = 0, length = 0;
	ssize_t n;

	do {
		int err = length == room ? buffer_grow(&data, &room, max) : 0;

		if (err)
			return err;
		n = read(fd, data + length, room - length);
		if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0)
			length += (gsize)n;
	} while (n);
	if (length > max)
		return EFBIG;
	data[length] = '\0';
	*ret_data = g_steal_pointer(&data);
	*ret_length = length;
	return 0;
}

static gboolean not_a_small_file(const char *path, gsize max, GError **error)
{
	return error_set(error, STORAGEOS_ERROR_INVALID,
			 "%s is not a regular file of %" G_GSIZE_FORMAT " bytes at most", path,
			 max);
}

static gboolean text_check(const char *path, const char *data, gsize length, GError **error)
{
	return strlen(data) == length || error_set(error, STORAGEOS_ERROR_CORRUPT,
						   "%s is not text: byte %" G_GSIZE_FORMAT
						   " is zero (left by a crash of its file system?)",
						   path, strlen(data));
}

/* Reads exactly as many bytes as the file had at the start.  Fails if its size changed meanwhile,
 * so that a file that is being written is not read in part. */
static gboolean file_read_regular(int fd, const char *path, gsize max, char **ret_data,
				  gsize *ret_length, GError **error)
{
	struct stat st;
	int err = fstat(fd, &st) ? errno : 0;

	if (!err && (!S_ISREG(st.st_mode) || (guint64)st.st_size > max))
		return not_a_small_file(path, max, error);
	if (!err)
		err = files_read_to_end(fd, (gsize)st.st_size, ret_data, ret_length);
	if (err == EFBIG || (!err && *ret_length < (gsize)st.st_size))
		return error_set(error, STORAGEOS_ERROR_IO, "%s changed while it was read", path);
	return !err || error_set_errno(error, err, "read %s", path);
}

char *files_read(const char *path, gsize max, gsize *ret_length, GError **error)
{
	/* O_NONBLOCK: opening a pipe must not wait for its other end. */
	autofd fd = fd_open(path, O_RDONLY | O_NONBLOCK, 0);
	g_autofree char *data = NULL;
	gsize length = 0;

	if (fd < 0) {
		error_set_errno(error, errno, "open %s", path);
		return NULL;
	}
	if (!file_read_regular(fd, path, max, &data, &length, error) ||
	    !text_check(path, data, length, error))
		return NULL;
	if (ret_length)
		*ret_length = length;
	return g_steal_pointer(&data);
}

char *files_read_kernel(const char *path, gsize *ret_length)
{
	autofd fd = fd_open(path, O_RDONLY, 0);
	char *data = NULL;
	gsize length;

	if (fd < 0 || files_read_to_end(fd, FILES_KERNEL_MAX, &data, &length))
		return NULL;
	if (ret_length)
		*ret_length = length;
	return data;
}

char *files_get_attribute(const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	char *text = files_read_kernel(path, NULL);

	return text ? g_strchomp(text) : NULL;
}

/* Returns 0 or an errno value. */
static int descriptor_flush(int fd)
{
	while (fsync(fd))
		if (errno != EINTR)
			return errno;
	return 0;
}

static int file_write_all(int fd, const char *data, gsize length)
{
	while (length) {
		ssize_t n = write(fd, data, length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		data += n;
		length -= (gsize)n;
	}
	return descriptor_flush(fd);
}

/* Gives the new file the mode and owner of the file that it replaces, as far as we may. */
static void file_take_over_mode(int fd, const char *path)
{
	struct stat st;

	if (lstat(path, &st) || !S_ISREG(st.st_mode))
		return;
	if (fchown(fd, st.st_uid, st.st_gid) == 0)
		fchmod(fd, st.st_mode & 07777);
}

static gboolean file_publish(const char *temporary, const char *path, FilesWrite how,
			     GError **error)
{
	if (how == FILES_NEW)
		return files_publish(temporary, path, error);
	if (rename(temporary, path))
		return error_set_errno(error, errno, "rename %s to %s", temporary, path);
	return files_sync_parent(path, error);
}

gboolean files_write(const char *path, const char *data, gsize length, mode_t mode, FilesWrite how,
		     GError **error)
{
	/* Whatever a kill leaves is no name of a volume: '~' is in none (names.h). */
	g_autofree char *temporary = g_strconcat(path, ".~XXXXXX", NULL);
	autofd fd = fd_above_stdio(g_mkstemp_full(temporary, O_WRONLY | O_CLOEXEC, (int)mode));
	int err;

	if (fd < 0)
		return error_set_errno(error, errno, "create %s", temporary);
	if (how == FILES_REPLACE)
		file_take_over_mode(fd, path);
	err = file_write_all(fd, data, length);
	if (err)
		error_set_errno(error, err, "write %s", temporary);
	if (err || !file_publish(temporary, path, how, error)) {
		unlink(temporary);
		return FALSE;
	}
	return TRUE;
}

int files_rename(const char *from, const char *to)
{
	int err = renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) ? errno : 0;

	/* Where the file system lacks RENAME_NOREPLACE: link() does not replace a file either. */
	if (err == EINVAL || err == ENOSYS) {
		err = link(from, to) ? errno : 0;
		if (!err)
			unlink(from);
	}
	return err;
}

gboolean files_publish(const char *temporary, const char *path, GError **error)
{
	int err = files_rename(temporary, path);

	if (err == EEXIST)
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already", path);
	if (err)
		return error_set_errno(error, err, "rename %s to %s", temporary, path);
	return files_sync_parent(path, error);
}

gboolean files_set_attribute(const char *directory, const char *name, const char *value)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	autofd fd = fd_open(path, O_WRONLY, 0);

	return fd >= 0 && write(fd, value, strlen(value)) == (ssize_t)strlen(value);
}

gboolean files_sync_parent(const char *path, GError **error)
{
	g_autofree char *parent = g_path_get_dirname(path);
	autofd fd = fd_open(parent, O_RDONLY | O_DIRECTORY, 0);
	int err = fd < 0 ? errno : descriptor_flush(fd);

	return !err || error_set_errno(error, err, "flush directory %s", parent);
}

static gboolean directory_make(const char *path, GError **error)
{
	struct stat st;

	/* EEXIST: another process made it meanwhile; but a dangling link is an error. */
	if (mkdir(path, 0755) && (errno != EEXIST || stat(path, &st)))
		return error_set_errno(error, errno, "make directory %s", path);
	return files_sync_parent(path, error);
}

gboolean files_make_directory(const char *path, GError **error)
{
	struct stat st;

	for (;;) {
		g_autofree char *missing = files_first_missing(path);

		if (!missing)
			break;
		if (!directory_make(missing, error))
			return FALSE;
	}
	if (!stat(path, &st) && S_ISDIR(st.st_mode))
		return TRUE;
	return error_set_errno(error, ENOTDIR, "make directory %s", path);
}

char *files_first_missing(const char *path)
{
	g_autofree char *at = g_strdup(path), *missing = NULL;
	struct stat st;

	while (stat(at, &st) && errno == ENOENT) {
		char *parent = g_path_get_dirname(at);

		g_free(missing);
		missing = at;
		at = parent;
	}
	return g_steal_pointer(&missing);
}

char *files_real_path(const char *path)
{
	char *found = realpath(path, NULL);
	char *copy = g_strdup(found);
	g_autofree char *absolute = NULL, *base = NULL, *parent = NULL, *real_parent = NULL;

	free(found);
	if (copy)
		return copy;
	absolute = files_absolute(path, NULL);
	if (!strcmp(absolute, "/"))
		return g_steal_pointer(&absolute);
	base = g_path_get_basename(absolute);
	parent = g_path_get_dirname(absolute);
	real_parent = files_real_path(parent);
	return g_build_filename(real_parent, base, NULL);
}

int files_lock(const char *path, guint seconds, GError **error)
{
	gint64 end = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
	autofd fd = fd_open(path, O_RDONLY | O_NOFOLLOW, 0);

	if (fd < 0 && errno == ENOENT)
		fd = fd_open(path, O_RDONLY | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error_set_errno(error, errno, "open %s", path);
		return -1;
	}
	while (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK && errno != EINTR) {
			error_set_errno(error, errno, "lock %s", path);
			return -1;
		}
		if (g_get_monotonic_time() >= end) {
			error_set(error, STORAGEOS_ERROR_BUSY,
				  "%s has been locked by another process for more than %u s", path,
				  seconds);
			return -1;
		}
		g_usleep(20000);
	}
	return autofd_steal(&fd);
}

char *files_absolute(const char *path, const char *directory)
{
	g_autofree char *current = directory ? g_strdup(directory) : g_get_current_dir();
	g_autofree char *whole =
		*path == '/' ? g_strdup(path) : g_strconcat(current, "/", path, NULL);
	g_auto(GStrv) parts = g_strsplit(whole, "/", -1);
	g_autoptr(GString) result = g_string_new(NULL);

	for (char **part = parts; *part; part++) {
		const char *last = strrchr(result->str, '/');

		if (!strcmp(*part, ".."))
			g_string_truncate(result, last ? (gsize)(last - result->str) : 0);
		else if (**part && strcmp(*part, ".") != 0)
			g_string_append_printf(result, "/%s", *part);
	}
	return g_strdup(result->len ? result->str : "/");
}
