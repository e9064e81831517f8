/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens file descriptors that are never 0, 1 or 2, and that started programs do not inherit.
 *
 * A process, even one that our plugin is loaded into, may have its standard input, output or error
 * closed.  The kernel assigns the lowest free number, so a volume's file could become standard
 * error, and a message written there would overwrite the volume's superblock.  Therefore every
 * descriptor in this tree is opened by these functions, or passed to fd_above_stdio() at once.
 * Library functions that open descriptors only to read (g_dir_open(), g_file_get_contents(),
 * opendir()) are exempt.
 *
 * Threading: any.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* Opens /dev/null, read-only, as each of 0, 1 and 2 that is closed, so that no other file gets that
 * number.  Reads then meet the end of file, and writes fail with EBADF as before.  Cannot fail; if
 * /dev/null cannot be opened, the number stays closed. */
void fd_fill_stdio(void);

/* Returns a descriptor of 3 or above for the same open file: `fd` itself if it is 3 or above (it
 * must be close-on-exec already); otherwise a close-on-exec duplicate, and `fd` is closed.  -1
 * with errno if `fd` is -1, or no number is free (`fd` is closed). */
int fd_above_stdio(int fd);

/* As open(2) and openat(2) with O_CLOEXEC, after fd_fill_stdio(). */
int fd_open(const char *path, int flags, mode_t mode);
int fd_openat(int directory, const char *path, int flags, mode_t mode);

/* As pipe2(2), and as socketpair(2) for Unix stream sockets, both with close-on-exec.  0, or -1
 * with errno. */
int fd_pipe(int ret_ends[2]);
int fd_socketpair(int ret_ends[2]);

/* Closes every descriptor from `first` on, whoever opened it.  For a process that has just started,
 * or a child after fork(): makes system calls only. */
void fd_close_from(int first);
