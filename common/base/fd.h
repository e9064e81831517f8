/* SPDX-License-Identifier: Apache-2.0 */
/*
 * File descriptors of ours: never 0, 1 or 2, never inherited by a program that is started.
 *
 * A process may have its standard input, output or error closed, also one that we are only loaded
 * into. The kernel gives the lowest number that is free: a volume's file would be the standard
 * error then, and what anybody reports there would be written over its superblock.  So each
 * descriptor that is made in this tree is made by these functions, or goes through fd_above_stdio()
 * at once; functions that give out none of their own (g_dir_open(), g_file_get_contents(),
 * opendir()) only read.
 *
 * Threading: any.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* Opens /dev/null in place of those of 0, 1 and 2 that are closed, so that nothing else gets there:
 * reads find an end, and writes fail (EBADF), as they did before.  Never fails; it may find no
 * /dev/null. */
void fd_fill_stdio(void);

/* The same file under a number of 3 or more, close-on-exec; `fd` itself where that has one (and is
 * close-on-exec already).  -1 and errno where `fd` is -1, or there is no number left: it is closed
 * then. */
int fd_above_stdio(int fd);

/* As open(2) and openat(2), with O_CLOEXEC; what is closed of 0, 1 and 2 is filled first. */
int fd_open(const char *path, int flags, mode_t mode);
int fd_openat(int directory, const char *path, int flags, mode_t mode);

/* As pipe2(2) with O_CLOEXEC, and a pair of connected Unix stream sockets: 0, or -1 and errno. */
int fd_pipe(int ret_ends[2]);
int fd_socketpair(int ret_ends[2]);

/* Closes every descriptor from `first` on, whoever opened it: for a process that has just begun, or
 * a child between fork() and the end.  Only system calls. */
void fd_close_from(int first);
