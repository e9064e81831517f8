/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space below a range of a regular file, so that writes there need none; and how long a file may
 * be.
 *
 * Threading: any thread.
 */
#pragma once

#include <glib.h>

/* As BackingOps.allocate, of the file `fd`.  -EOPNOTSUPP where that would promise nothing: on
 * btrfs, which writes elsewhere than it has allocated, unless the file has the attribute `C`. */
int file_allocate_range(int fd, guint64 offset, guint64 length);

/* How many bytes of [offset, end) have space below, written or not, by the file's map of extents;
 * those of extents with one of these flags (FIEMAP_EXTENT_*) do not count.  FALSE: the file system
 * has no such map. */
gboolean file_count_mapped(int fd, guint64 offset, guint64 end, guint32 without,
			   guint64 *ret_mapped);

/* Whether a file of this size exceeds RLIMIT_FSIZE: the kernel would send SIGXFSZ, which ends the
 * process (I9). */
gboolean file_over_process_limit(guint64 size);
