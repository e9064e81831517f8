/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root directory, looked at from outside: that of the running system, of a mounted image, of the
 * host below a container, of a test.
 *
 * Names are resolved as a process that lives in the root would see them: a symbolic link, absolute
 * or not, and ".." never lead out of it, whoever made the tree.  Nothing in it is written, executed
 * or waited for; what is neither a regular file nor a directory is never opened.
 *
 * In NULL instead of a Sysroot there is nothing.
 *
 * Threading: a Sysroot is constant; its functions may be called by many threads.
 */
#pragma once

#include <glib.h>
#include <sys/stat.h>

typedef struct Sysroot Sysroot;

/* NULL with an error where `directory` is none, or may not be read. */
Sysroot *sysroot_open(const char *directory, GError **error);
void sysroot_close(Sysroot *sysroot);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sysroot, sysroot_close)

/* As it was given to sysroot_open(). */
const char *sysroot_directory(const Sysroot *sysroot);

/* What `path`, links followed, is; FALSE if there is nothing, or no way to it. */
gboolean sysroot_stat(const Sysroot *sysroot, const char *path, struct stat *ret_stat);
gboolean sysroot_has_file(const Sysroot *sysroot, const char *path);
gboolean sysroot_has_directory(const Sysroot *sysroot, const char *path);

/* The content of a regular file of at most `max` bytes, with a zero byte behind it; *ret_length may
 * be NULL.  NULL with NOT_FOUND, INVALID (no regular file, too long) or IO. */
char *sysroot_read(const Sysroot *sysroot, const char *path, gsize max, gsize *ret_length,
		   GError **error);

/* The names in a directory, sorted, without "." and ".."; those behind the first SYSROOT_NAMES_MAX
 * are left out.  Empty if it cannot be read.  Free with g_ptr_array_unref(). */
#define SYSROOT_NAMES_MAX 20000
GPtrArray *sysroot_list(const Sysroot *sysroot, const char *path);
