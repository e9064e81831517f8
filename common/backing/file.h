/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing in a regular file or on a block device, through the page cache.
 *
 * The lock is flock(2) on the file itself; who holds it is looked up in /proc/locks.  A block
 * device is opened O_EXCL as well, so that nothing mounts it meanwhile, and cannot grow.
 */
#pragma once

#include <sys/stat.h>

#include "common/backing/backing.h"

typedef enum {
	BACKING_OPEN_READ_ONLY = 1 << 0,
	/* Makes a new, empty file (mode 0600), and fails with STORAGEOS_ERROR_EXISTS where there
	 * is one.  Not for a block device. */
	BACKING_OPEN_CREATE = 1 << 1,
} BackingOpenFlags;

/* NULL with *error set: NOT_FOUND, EXISTS, INVALID (neither file nor block device), IO.
 * Does not lock. */
Backing *backing_file_open(const char *path, BackingOpenFlags flags, GError **error);

/* Of the file or block device that stat() has told of. */
BackingPlace backing_place_of_stat(const struct stat *st);
