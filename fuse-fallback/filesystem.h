/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system that the kernel sees: a directory with one file, which is the volume.
 *
 *     /          mode 0500
 *     /NAME      mode 0600, the volume's size; of a snapshot 0400, and it cannot be opened for
 *                writing (EROFS)
 *
 * The file can be read, written and synced, and ranges of it zeroed or punched out, at any offset.
 * lseek() finds its data and its holes, so that a copy of it stays sparse.  Its size is the
 * volume's, which may grow.  The end is like a disk's: a read ends there; a write is cut there, and
 * fails with ENOSPC if nothing of it is left.  Truncating the file is refused (EPERM, or EFBIG to
 * make it longer), except to its present size, by which the kernel learns of a new size.
 * Permissions and owner are fixed; times are not kept.
 *
 * Every open file uses direct I/O (the kernel caches none of its pages) and parallel writes.
 * Closing the file makes nothing durable; fsync does.  If the volume has no write cache, each write
 * and each range that is zeroed is durable when the call returns.
 *
 * Operations run in any number of libfuse's threads at once, and these do not wait: not for a
 * checkpoint, nor for the disk.  So reads are answered as fast as the disk allows, however long
 * writes, discards or flushes take, until the writes that wait hold 64 MiB (sleepers.h).
 */
#pragma once

#include "common/base/logging.h"
#include "common/service/metrics.h"
#include "common/engine/volume.h"
#include "fuse-fallback/acknowledger.h"
#include "fuse-fallback/combiner.h"
#include "fuse-fallback/libfuse.h"
#include "fuse-fallback/limited.h"
#include "fuse-fallback/sleepers.h"

typedef struct {
	Volume *volume;
	char *name;	   /* of the file */
	const char *label; /* of the volume, for messages */
	Metrics metrics;
	LoggingLimit failures;
	Sleepers *sleepers; /* carry out what has to wait */
	Limited limited;    /* what waits for the volume's limits */
	Combiner *combiner;
	Acknowledger *acknowledger;   /* NULL: the volume has a write cache */
	void (*ready)(gpointer data); /* called once, with the kernel's first request */
	gpointer ready_data;
	gint users;	/* how many have the file open; atomic */
	gint64 started; /* the times of file and directory, seconds since 1970 */
} Filesystem;

/* For fuse_session_new(), with a Filesystem as its user data. */
extern const struct fuse_lowlevel_ops filesystem_ops;

/* Starts the threads that the file system needs beside `takers`, those that take requests.
 * filesystem_stop() must be called in either case, once nobody takes requests. */
gboolean filesystem_start(Filesystem *fs, guint takers, GError **error);
void filesystem_stop(Filesystem *fs);
