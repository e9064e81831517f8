/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backing in a regular file or on a block device, through the page cache.
 *
 * The lock (I8) is flock(2) on the file itself; its holder is looked up in /proc/locks.  A block
 * device is opened with O_EXCL as well, so that nobody mounts it meanwhile.  It cannot grow.
 */
#pragma once

#include "common/backing/backing.h"

/* As backing_open().  INVALID: neither a regular file nor a block device. */
Backing *backing_file_open(const char *path, BackingOpenFlags flags, GError **error);
