/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A root directory, looked at from outside: that of the running system, of a mounted image, of the
 * host below a container, of a test.
 *
 * Names are resolved as a process that lives in the root would see them: a symbolic link, absolute
 * or not, and ".." never lead out of it, whoever made the tree.  Nothing in it is written, executed
 * or waited for; what is neither a regular file nor a directory is never opened.
 *
 * In NULL instead of a Root there is nothing.
 *
 * Threading: a Root is constant; its functions may be called by many threads.
 */
#pragma once

#include <glib.h>
#include <sys/stat.h>

typedef struct Root Root;

/* NULL with an error where `directory` is none, or may not be read. */
Root *root_open(const char *directory, GError **error);
void root_close(Root *root);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Root, root_close)

/* As it was given to root_open(). */
const char *root_directory(const Root *root);

/* What `path`, links followed, is; FALSE if there is nothing, or no way to it. */
gboolean root_stat(const Root *root, const char *path, struct stat *ret_stat);
gboolean root_has_file(const Root *root, const char *path);
gboolean root_has_directory(const Root *root, const char *path);

/* The content of a regular file of at most `max` bytes, with a zero byte behind it; *ret_length may
 * be NULL.  NULL with NOT_FOUND, INVALID (no regular file, too long) or IO. */
char *root_read(const Root *root, const char *path, gsize max, gsize *ret_length, GError **error);

/* The names in a directory, sorted, without "." and ".."; those behind the first ROOT_NAMES_MAX are
 * left out.  Empty if it cannot be read.  Free with g_ptr_array_unref(). */
#define ROOT_NAMES_MAX 20000
GPtrArray *root_list(const Root *root, const char *path);
