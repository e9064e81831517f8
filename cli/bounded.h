/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to file systems and devices that may never answer, asked in a child process: the kernel
 * may keep that for ever, but not us, our locks, or whoever waits for our output.
 *
 * Threading: none; the process has one thread, or those of libraries that hold no locks.
 */
#pragma once

#include <glib.h>

/* Calls `function` in a child, which writes its answer, text, to `fd`.  The answer, or NULL where
 * it was not complete within so many seconds.  Free the result. */
char *bounded_ask(void (*function)(gconstpointer data, int fd), gconstpointer data, guint seconds);

/* As open(2), close-on-exec; -1 with ETIMEDOUT where that takes longer. */
int bounded_open(const char *path, int flags, guint seconds);

/* Flushes a block device, for as long as that makes progress: it fails with ETIMEDOUT where the
 * device has completed nothing for `stall` seconds, and with EINPROGRESS after `total`.  0 or an
 * errno value. */
int bounded_flush(const char *device, guint stall, guint total);
