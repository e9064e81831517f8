/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes calls to the C library and to GLib fail, by index.  The program's definitions of these
 * functions take precedence over the libraries', in all code that is linked into it or loaded.
 *
 * Between inject_begin() and inject_end(), calls of the requested kinds in all threads are counted.
 * GLib's aborting allocations are not: they abort by design, and are only used for small objects.
 * fsync() and fdatasync() do nothing, because these tests never cut the power.
 *
 * One injection at a time for the process; begin and end in one thread.
 */
#pragma once

#include <glib.h>

typedef enum {
	INJECT_MEMORY = 1 << 0,	 /* g_try_*(), posix_memalign() of more than 64 KiB */
	INJECT_THREAD = 1 << 1,	 /* pthread_create(), which GLib and libfuse use */
	INJECT_OPEN = 1 << 2,	 /* calls that make a descriptor: open, socket, eventfd, pipe */
	INJECT_READ = 1 << 3,	 /* pread, preadv2 */
	INJECT_WRITE = 1 << 4,	 /* pwrite, pwritev2 */
	INJECT_FLUSH = 1 << 5,	 /* fdatasync, fsync */
	INJECT_SPACE = 1 << 6,	 /* ftruncate, fallocate */
	INJECT_LOCK = 1 << 7,	 /* flock */
	INJECT_RECEIVE = 1 << 8, /* read, recv */
	INJECT_SEND = 1 << 9,	 /* write, send */
	INJECT_NAME = 1 << 10,	 /* rename, renameat2, link */
	INJECT_STAT = 1 << 11,	 /* fstat */
	INJECT_SOCKET = 1 << 12, /* bind, listen, connect, accept4, getsockopt, fchmod */
	INJECT_POLL = 1 << 13,	 /* poll */
} InjectKind;

#define INJECT_SHORT (-1) /* the call succeeds and transfers a part */

typedef struct {
	const char *name;
	InjectKind kinds;
	int err; /* errno, or INJECT_SHORT */
	gboolean for_ever;
} Injection;

/* Call number `point` (0: the next) of these kinds fails and, if for_ever, so does every later
 * call. */
void inject_begin(const Injection *injection, guint64 point);

/* Ends the injection.  Returns how many calls of these kinds were made. */
guint64 inject_end(void);

/* While suspended, this thread's calls are neither counted nor made to fail. */
void inject_suspend(gboolean suspended);

/* The number of calls that were made to fail since the program began. */
guint64 inject_total(void);
