/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Path resolution.  Each component is opened by itself (O_PATH, O_NOFOLLOW) in the directory before
 * it.  The target of a symbolic link is put in front of the rest of the path.  The directories
 * passed stay open, so ".." returns to the directory that the walk came from, and never leaves the
 * sysroot, even if directories are moved or replaced meanwhile.
 *
 * openat2() with RESOLVE_IN_ROOT does the same since Linux 5.6.  Half of the supported platforms
 * have older kernels and need this code in any case, so it is the only way.
 */
#include "common/machine/sysroot.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"

#define DEPTH_MAX 64
#define LINKS_MAX 40

struct Sysroot {
	char *directory;
	int fd;
};

typedef struct {
	int directories[DEPTH_MAX]; /* the directories passed; [0] is the sysroot's, borrowed */
	guint depth;
	char *rest; /* of the path, not resolved yet */
	guint links;
	int file;		 /* what the path leads to, if not a directory (O_PATH); or -1 */
	char name[NAME_MAX + 1]; /* of that file in the last directory */
} Walk;

Sysroot *sysroot_open(const char *directory, GError **error)
{
	autofd fd = fd_open(directory, O_PATH | O_DIRECTORY, 0);
	Sysroot *sysroot;

	if (fd < 0 || faccessat(fd, ".", R_OK | X_OK, 0)) {
		error_set_errno(error, errno, "open the root directory %s", directory);
		return NULL;
	}
	sysroot = g_new0(Sysroot, 1);
	sysroot->directory = g_strdup(directory);
	sysroot->fd = autofd_steal(&fd);
	return sysroot;
}

void sysroot_close(Sysroot *sysroot)
{
	if (!sysroot)
		return;
	close(sysroot->fd);
	g_free(sysroot->directory);
	g_free(sysroot);
}

const char *sysroot_directory(const Sysroot *sysroot)
{
	return sysroot->directory;
}

/* ---- the walk */

static void walk_back_to(Walk *walk, guint depth)
{
	for (; walk->depth > depth; walk->depth--)
		close(walk->directories[walk->depth]);
}

static void walk_clear(Walk *walk)
{
	walk_back_to(walk, 0);
	if (walk->file >= 0)
		close(walk->file);
	g_free(walk->rest);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Walk, walk_clear)

/* Takes the next component off the rest of the path; FALSE if none is left.  `ret_name` is "" for a
 * component longer than NAME_MAX. */
static gboolean walk_next(Walk *walk, char ret_name[NAME_MAX + 1])
{
	const char *start = walk->rest + strspn(walk->rest, "/");
	gsize length = strcspn(start, "/");
	char *rest;

	if (!length)
		return FALSE;
	g_strlcpy(ret_name, length > NAME_MAX ? "" : start, length > NAME_MAX ? 1 : length + 1);
	rest = g_strdup(start + length);
	g_free(walk->rest);
	walk->rest = rest;
	return TRUE;
}

static int walk_link(Walk *walk, int link)
{
	char target[PATH_MAX];
	ssize_t length = readlinkat(link, "", target, sizeof target - 1);
	char *rest;

	if (length <= 0)
		return length ? errno : ENOENT;
	if (++walk->links > LINKS_MAX)
		return ELOOP;
	target[length] = '\0';
	if (*target == '/')
		walk_back_to(walk, 0);
	rest = g_strconcat(target, "/", walk->rest, NULL);
	g_free(walk->rest);
	walk->rest = rest;
	return 0;
}

static gboolean walk_is_at_end(const Walk *walk)
{
	return !walk->rest[strspn(walk->rest, "/")];
}

/* Moves on to the entry `name` of the last directory. */
static int walk_into(Walk *walk, const char *name)
{
	autofd fd = fd_openat(walk->directories[walk->depth], name, O_PATH | O_NOFOLLOW, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return errno;
	if (S_ISLNK(st.st_mode))
		return walk_link(walk, fd);
	if (S_ISDIR(st.st_mode)) {
		if (walk->depth + 1 == DEPTH_MAX)
			return ENAMETOOLONG;
		walk->directories[++walk->depth] = autofd_steal(&fd);
		return 0;
	}
	if (!walk_is_at_end(walk))
		return ENOTDIR;
	g_strlcpy(walk->name, name, sizeof walk->name);
	walk->file = autofd_steal(&fd);
	return 0;
}

static int walk_step(Walk *walk, const char *name)
{
	if (!*name)
		return ENAMETOOLONG;
	if (!strcmp(name, "."))
		return 0;
	if (!strcmp(name, "..")) {
		walk_back_to(walk, walk->depth ? walk->depth - 1 : 0);
		return 0;
	}
	return walk_into(walk, name);
}

/* Returns 0 or an errno value.  The caller must clear the walk in either case. */
static int walk_to(const Sysroot *sysroot, const char *path, Walk *walk)
{
	char name[NAME_MAX + 1];
	int err = 0;

	memset(walk, 0, sizeof *walk);
	walk->directories[0] = sysroot ? sysroot->fd : -1;
	walk->file = -1;
	walk->rest = g_strdup(path);
	while (!err && walk_next(walk, name))
		err = walk_step(walk, name);
	return err;
}

/* ---- looking and reading */

gboolean sysroot_stat(const Sysroot *sysroot, const char *path, struct stat *ret_stat)
{
	g_auto(Walk) walk;

	if (walk_to(sysroot, path, &walk))
		return FALSE;
	return !fstat(walk.file >= 0 ? walk.file : walk.directories[walk.depth], ret_stat);
}

gboolean sysroot_has_file(const Sysroot *sysroot, const char *path)
{
	struct stat st;

	return sysroot_stat(sysroot, path, &st) && S_ISREG(st.st_mode);
}

gboolean sysroot_has_directory(const Sysroot *sysroot, const char *path)
{
	struct stat st;

	return sysroot_stat(sysroot, path, &st) && S_ISDIR(st.st_mode);
}

/* Opens the regular file that the walk ended at.  Fails if another file has taken its place; a
 * device or pipe put there meanwhile is closed again at once, and O_NONBLOCK keeps us from waiting
 * for it. */
static int walk_open_file(const Walk *walk)
{
	struct stat seen, opened;
	autofd fd = -1;

	if (walk->file < 0 || fstat(walk->file, &seen) || !S_ISREG(seen.st_mode)) {
		errno = EINVAL;
		return -1;
	}
	fd = fd_openat(walk->directories[walk->depth], walk->name,
		       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0);
	if (fd < 0 || fstat(fd, &opened))
		return -1;
	if (opened.st_ino != seen.st_ino || opened.st_dev != seen.st_dev) {
		errno = EAGAIN;
		return -1;
	}
	return autofd_steal(&fd);
}

static char *read_fail(const char *path, gsize max, int err, GError **error)
{
	if (err == EINVAL || err == EFBIG)
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "%s is not a regular file of %" G_GSIZE_FORMAT " bytes at most", path,
			  max);
	else
		error_set_errno(error, err, "read %s", path);
	return NULL;
}

char *sysroot_read(const Sysroot *sysroot, const char *path, gsize max, gsize *ret_length,
		   GError **error)
{
	g_auto(Walk) walk;
	int err = walk_to(sysroot, path, &walk);
	char *data = NULL;
	gsize length = 0;
	autofd fd = -1;

	if (err)
		return read_fail(path, max, err, error);
	fd = walk_open_file(&walk);
	err = fd < 0 ? errno : files_read_to_end(fd, max, &data, &length);
	if (err)
		return read_fail(path, max, err, error);
	if (ret_length)
		*ret_length = length;
	return data;
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *sysroot_list(const Sysroot *sysroot, const char *path)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	g_auto(Walk) walk;
	struct dirent *entry;
	DIR *directory;
	int fd;

	if (walk_to(sysroot, path, &walk) || walk.file >= 0)
		return names;
	fd = fd_openat(walk.directories[walk.depth], ".", O_RDONLY | O_DIRECTORY, 0);
	directory = fd < 0 ? NULL : fdopendir(fd);
	if (!directory) {
		if (fd >= 0)
			close(fd);
		return names;
	}
	while (names->len < SYSROOT_NAMES_MAX && (entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			g_ptr_array_add(names, g_strdup(entry->d_name));
	closedir(directory);
	g_ptr_array_sort(names, compare_names);
	return names;
}
