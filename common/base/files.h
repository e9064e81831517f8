/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files, read and written whole: configuration, markers, run-time state.
 *
 * A write is atomic, and durable once it has returned TRUE: it writes a temporary file in the same
 * directory, calls fsync(), renames the file, and calls fsync() on the directory.  A kill may leave
 * that file, whose name has a '~' and so is no volume's.  Reads are bounded, so that a huge file
 * cannot use up the memory of the host process (tcmu-runner).
 *
 * Threading: any.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#define FILES_TEXT_MAX ((gsize)1 << 20)

/* The text of a regular file of at most `max` bytes, followed by a zero byte.  NULL with NOT_FOUND,
 * INVALID (not a regular file, or too long), CORRUPT (it contains a zero byte, as after a crash of
 * its file system) or IO.  `ret_length` may be NULL.  Free the result. */
char *files_read(const char *path, gsize max, gsize *ret_length, GError **error);

/* The content of a file that the kernel generates (in /proc, /sys, configfs), followed by a zero
 * byte.  NULL if it cannot be read or has more than FILES_KERNEL_MAX bytes.  `ret_length` may be
 * NULL.  Free the result. */
#define FILES_KERNEL_MAX ((gsize)16 << 20)
char *files_read_kernel(const char *path, gsize *ret_length);

/* The value of such a file: its text without trailing white space, or NULL.  Free the result. */
char *files_get_attribute(const char *directory, const char *name);

/* Reads from the descriptor's offset to the end of the file; the data is followed by a zero byte.
 * Returns 0 or an errno value: EFBIG if there are more than `max` bytes.  Free *ret_data. */
int files_read_to_end(int fd, gsize max, char **ret_data, gsize *ret_length);

typedef enum {
	FILES_REPLACE, /* replaces a file of that name; keeps its mode and owner */
	FILES_NEW,     /* fails with EXISTS if the name is taken */
} FilesWrite;

/* Writes a file as described above.  `mode` applies to a new file. */
gboolean files_write(const char *path, const char *data, gsize length, mode_t mode, FilesWrite how,
		     GError **error);

/* Sets a value that the kernel shows as a file (in /sys, in configfs), in one write.  FALSE with
 * errno if the kernel refuses. */
gboolean files_set_attribute(const char *directory, const char *name, const char *value);

/* Renames a file within its directory, and makes the change durable.  Fails with EXISTS if the new
 * name is taken. */
gboolean files_publish(const char *temporary, const char *path, GError **error);

/* Renames a file, also to another directory, unless the new name is taken.  Returns 0 or an errno
 * value: EEXIST; EXDEV, if the new name is on another file system.  Where the file system cannot
 * rename without replacing, a crash may leave the file with both names.  Not durable until both
 * directories are flushed (files_sync_parent()). */
int files_rename(const char *from, const char *to);

/* Makes a path absolute and removes ".", "..", double and trailing slashes.  A relative path starts
 * at `directory` (NULL: the working directory).  Looks at the text only.  Free the result. */
char *files_absolute(const char *path, const char *directory);

/* As realpath(3), but the path or the end of it need not exist: the part that exists is resolved.
 * Free the result. */
char *files_real_path(const char *path);

/* Calls fsync() on the directory that contains `path`, so that files created, renamed or removed in
 * it are durable. */
gboolean files_sync_parent(const char *path, GError **error);

/* Makes a directory and its missing parents with mode 0755, and makes them durable. */
gboolean files_make_directory(const char *path, GError **error);

/* The topmost directory that files_make_directory() would make: `path` or one of its parents.  NULL
 * if `path` exists.  Free the result. */
char *files_first_missing(const char *path);

/* Takes an exclusive flock() on the directory or file `path`, which keeps other processes out.  If
 * nothing has this name, an empty file is made, which stays.  Returns the descriptor: closing it
 * drops the lock.  -1 with BUSY if the lock is not free within `seconds`. */
int files_lock(const char *path, guint seconds, GError **error);
