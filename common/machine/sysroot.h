/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The root directory of a system: the running one, a mounted image, the host of a container, or a
 * test's.
 *
 * Paths are resolved as for a process whose root this is: symbolic links, absolute or relative, and
 * ".." never lead out of it.  The tree is not trusted.  Nothing in it is written or executed, and
 * only regular files and directories are read, so nothing can make the reader wait.
 *
 * A NULL Sysroot is an empty one.
 *
 * Threading: a Sysroot never changes; any number of threads may use it at once.
 */
#pragma once

#include <glib.h>
#include <sys/stat.h>

typedef struct Sysroot Sysroot;

/* NULL with an error if `directory` is not a directory or cannot be read. */
Sysroot *sysroot_open(const char *directory, GError **error);
void sysroot_close(Sysroot *sysroot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sysroot, sysroot_close)

/* The path that was given to sysroot_open(). */
const char *sysroot_directory(const Sysroot *sysroot);

/* As stat(2); FALSE if the path does not exist or cannot be reached. */
gboolean sysroot_stat(const Sysroot *sysroot, const char *path, struct stat *ret_stat);
gboolean sysroot_has_file(const Sysroot *sysroot, const char *path);
gboolean sysroot_has_directory(const Sysroot *sysroot, const char *path);

/* The content of a regular file of at most `max` bytes, followed by a zero byte.  NULL with
 * NOT_FOUND, INVALID (not a regular file, or too long) or IO.  `ret_length` may be NULL.  Free the
 * result. */
char *sysroot_read(const Sysroot *sysroot, const char *path, gsize max, gsize *ret_length,
		   GError **error);

/* The names in a directory, sorted, without "." and "..".  No more than SYSROOT_NAMES_MAX names are
 * read.  Empty if the directory cannot be read.  Free with g_ptr_array_unref(). */
#define SYSROOT_NAMES_MAX 20000
GPtrArray *sysroot_list(const Sysroot *sysroot, const char *path);
