/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files, read and written whole: configuration, markers, run-time state.
 *
 * A write is all there or not there, and durable when it returned TRUE: a temporary file beside
 * it, fsync, a rename, fsync of the directory.  Reads are bounded, so that what somebody put there
 * cannot make a process of others (tcmu-runner) grow.
 *
 * Threading: any.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#define FILES_TEXT_MAX ((gsize)1 << 20)

/* The text in a regular file of at most `max` bytes, with a zero byte behind it.  NULL with
 * NOT_FOUND, INVALID (no regular file, or too long), CORRUPT (a zero byte in it, as a crash of its
 * file system leaves) or IO.  *ret_length may be NULL. */
char *files_read(const char *path, gsize max, gsize *ret_length, GError **error);

/* The content of a file that the kernel makes up when it is read (in /proc, /sys, configfs), with a
 * zero byte behind it; NULL where it cannot be read, or has more than FILES_KERNEL_MAX bytes.
 * *ret_length may be NULL. */
#define FILES_KERNEL_MAX ((gsize)16 << 20)
char *files_read_kernel(const char *path, gsize *ret_length);

/* One value of those: the text without the white space at its end, or NULL. */
char *files_get_attribute(const char *directory, const char *name);

/* What all of these read with: from the descriptor's offset to the end of the file, with a zero
 * byte behind it.  0, or an errno value: EFBIG for more than `max` bytes. */
int files_read_to_end(int fd, gsize max, char **ret_data, gsize *ret_length);

typedef enum {
	FILES_REPLACE, /* whatever has that name; keeps its mode and owner */
	FILES_NEW,     /* EXISTS where there is something of that name */
} FilesWrite;

/* Writes it under a temporary name, then gives it its name.  `mode` is that of a new file. */
gboolean files_write(const char *path, const char *data, gsize length, mode_t mode, FilesWrite how,
		     GError **error);

/* Gives what the kernel shows as a file (in /sys, in configfs) a value, in one write.  FALSE and
 * errno where the kernel refuses. */
gboolean files_set_attribute(const char *directory, const char *name, const char *value);

/* Renames a file where nothing has the new name yet (EXISTS otherwise) and makes that durable.
 * Both lie in the same directory. */
gboolean files_publish(const char *temporary, const char *path, GError **error);

/* `path` without "." and "..", double and trailing slashes, from `directory` (the working directory
 * if NULL) on if it is relative.  Looks at the text only; free the result. */
char *files_absolute(const char *path, const char *directory);

/* As the kernel shows paths: absolute, without symbolic links, as far as the path exists.  Free the
 * result. */
char *files_real_path(const char *path);

/* Makes what was created, renamed and removed in the directory that `path` lies in durable. */
gboolean files_sync_parent(const char *path, GError **error);

/* Makes a directory and its parents, mode 0755 for those that are new, and these durable. */
gboolean files_make_directory(const char *path, GError **error);

/* The first one of `path` and its parents that is not there, which files_make_directory() would
 * make; NULL: none.  Free the result. */
char *files_first_missing(const char *path);

/* An exclusive lock between processes by the directory or file `path` (a file is made if need be,
 * and stays); the descriptor to close, or -1: BUSY where it could not be had within `seconds`. */
int files_lock(const char *path, guint seconds, GError **error);
