/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop devices, as losetup makes them.
 */
#pragma once

#include <glib.h>

/* A new one over the file, with direct I/O and the logical block size, partitions scanned; its path
 * ("/dev/loop3"), or NULL. */
char *loop_device_attach(const char *file, guint32 block_size, GError **error);

/* Has it take the size of its file, which the file's server has made `size`.  What uses the device
 * sees it at once. */
gboolean loop_device_grow(const char *device, const char *file, guint64 size, GError **error);

/* The one over `file`, or over what was that file before its file system went away: the device
 * `hint` (a path; may be NULL), if its file has that name and it still has this sequence (0: not
 * known).  NULL if there is none. */
char *loop_device_find(const char *file, const char *hint, guint64 sequence);

/* A number that the device gets anew each time it is set up; 0 before Linux 5.15. */
guint64 loop_device_sequence(const char *device);

/* The file that the loop device of that name ("loop3") is over, or NULL.  Free the result. */
char *loop_device_file(const char *name);

/* Detaches it and waits until it is free: BUSY where something still has it open.  `claim`, if not
 * -1, is a descriptor by which the caller has it exclusively (device-use.h); it is closed. */
gboolean loop_device_detach(const char *device, int claim, GError **error);
