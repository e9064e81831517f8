/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that freezes file systems, and thaws them whatever happens: when it is told, when its
 * parent dies, or FS_WATCHDOG_SECONDS after the first one was frozen.
 *
 * Freezing may wait for a disk as long as the disk likes.  A process of its own does that, so that
 * the watchdog can thaw what is frozen already.
 *
 * A mount point may have been unmounted since it was looked up, and the directory then is one of
 * another file system, of the root perhaps.  So the descriptor that is frozen is asked for its
 * device.
 *
 * Threading: the parent must have one thread.  The children only make system calls.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

#define FS_WATCHDOG_SECONDS 10
#define FS_WATCHDOG_MAX 64u /* file systems */

typedef struct {
	const char *directory;
	dev_t device; /* that the file system must be on */
} FsWatched;

typedef enum {
	FS_WATCHDOG_FROZEN,    /* all are frozen */
	FS_WATCHDOG_MOVED,     /* `index` is no longer of this device */
	FS_WATCHDOG_PROTECTED, /* `index` holds the protected path `protected` */
	FS_WATCHDOG_REFUSED,   /* `index`: `error` */
	FS_WATCHDOG_LATE,   /* all were thawed because the time was up, or cannot be frozen in it */
	FS_WATCHDOG_THAWED, /* all were frozen until now */
} FsWatchdogState;

typedef struct {
	FsWatchdogState state;
	guint index, protected;
	int error; /* errno */
} FsWatchdogReport;

typedef struct {
	const FsWatched *watched;
	guint n;
	const char *const
		*protected; /* paths whose file systems are never frozen; NULL-terminated */
} FsWatchdogOrder;

/* Must be called in a child process.  Freezes, reports to `socket` (FROZEN or a failure, after
 * which nothing is frozen), waits there for a byte or the end of the connection, thaws, and reports
 * THAWED or LATE.  Does not return. */
void fs_watchdog_main(const FsWatchdogOrder *order, int socket) G_GNUC_NORETURN;

/* Thaws them all, for a watchdog that was killed.  0, or an errno value. */
int fs_watchdog_thaw(const FsWatchdogOrder *order);
