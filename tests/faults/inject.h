/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes the calls to the C library and to GLib fail, by index: this program's definitions of them
 * take precedence, in what is linked into it and in what it loads.
 *
 * Counted are calls of the kinds that are asked for, of all threads, between inject_begin() and
 * inject_end().  What GLib allocates by its aborting functions is not: those abort by design, and
 * are for what is small.  What asks for durability is never carried out: nobody pulls the plug
 * here.
 *
 * One injection at a time for the process; begin and end in one thread.
 */
#pragma once

#include <glib.h>

typedef enum {
	INJECT_MEMORY = 1 << 0,	 /* g_try_*(), posix_memalign() of more than 64 KiB */
	INJECT_THREAD = 1 << 1,	 /* pthread_create(), which GLib and libfuse use */
	INJECT_OPEN = 1 << 2,	 /* what gives a descriptor: open, socket, eventfd, pipe */
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

#define INJECT_SHORT (-1) /* a transfer of a part, with success */

typedef struct {
	const char *name;
	InjectKind kinds;
	int err; /* errno, or INJECT_SHORT */
	gboolean for_ever;
} Injection;

/* The call number `point` (0: the next) of these kinds fails, and where it is for ever every later
 * one. */
void inject_begin(const Injection *injection, guint64 point);

/* Ends it.  How many calls of these kinds there were. */
guint64 inject_end(void);

/* Calls of this thread are neither counted nor made to fail meanwhile. */
void inject_suspend(gboolean suspended);

/* How many calls were made to fail since the program began. */
guint64 inject_total(void);
