/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System calls on file systems and devices that may never return, made in a child process.  If the
 * child hangs in the kernel for ever, this process, its locks and its output are not affected.
 *
 * Threading: single-threaded, because these functions fork; threads of libraries must hold no
 * locks.
 */
#pragma once

#include <glib.h>

/* Calls `function` in a child; it must write its answer, a text, to `fd`.  Returns the answer, or
 * NULL if it is not complete within `seconds`.  Free the result. */
typedef void (*BoundedQuestion)(gconstpointer data, int fd);
char *bounded_ask(BoundedQuestion function, gconstpointer data, guint seconds);

/* The same with each of `n` data, in as many children at once, which have `seconds` together.  The
 * answers are to be freed. */
void bounded_ask_all(BoundedQuestion function, const gconstpointer *data, guint n, guint seconds,
		     char **ret_answers);

/* As open(2) with O_CLOEXEC; -1 with ETIMEDOUT if it takes longer than `seconds`. */
int bounded_open(const char *path, int flags, guint seconds);

/* Flushes a block device.  Returns 0 or an errno value: ETIMEDOUT if the device has completed no
 * request for `stall` seconds, EINPROGRESS if the flush still runs after `total` seconds, EINTR if
 * a signal has arrived (interrupt.h). */
int bounded_flush(const char *device, guint stall, guint total);
