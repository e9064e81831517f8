/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system that the kernel sees: a directory with one file, which is the volume.
 *
 *     /          mode 0500
 *     /NAME      mode 0600, the volume's size
 *
 * The file can be read, written, synced, and holes punched or ranges zeroed in it, at any offset;
 * its size is the volume's, which may grow.  At its end it behaves as a disk does: reads end there,
 * a write is cut there and fails with ENOSPC where nothing is left of it.  Truncating it is refused
 * (EPERM; EFBIG to make it longer) but to the size that it has, which is how the kernel is told of
 * a new one; permissions and owner are fixed, times are not kept.
 *
 * Every open file uses direct I/O (the kernel keeps no page of it), writes in parallel.  Closing
 * makes nothing durable; fsync does.
 *
 * All operations run in any number of libfuse's threads at once, and those do not wait: not for a
 * checkpoint, nor for the disk.  However long writes, discards or flushes take, reads are answered,
 * as far as the disk answers them, up to where writes that wait have 64 MiB (sleepers.h).
 */
#pragma once

#include "common/base/logging.h"
#include "common/service/metrics.h"
#include "common/engine/volume.h"
#include "fuse-fallback/libfuse.h"
#include "fuse-fallback/sleepers.h"

typedef struct {
	Volume *volume;
	char *name;	   /* of the file */
	const char *label; /* of the volume, for messages */
	Metrics metrics;
	LoggingLimit failures;
	Sleepers *sleepers;	      /* do what waits */
	void (*ready)(gpointer data); /* called once, when the kernel is first answered */
	gpointer ready_data;
	gint users;	/* that have the file open; atomic */
	gint64 started; /* seconds; what the times of both are */
} Filesystem;

/* For fuse_session_new(), with a Filesystem as its user data. */
extern const struct fuse_lowlevel_ops filesystem_ops;
