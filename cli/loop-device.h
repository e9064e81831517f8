/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loop devices: what losetup does, without running it.
 */
#pragma once

#include <glib.h>

/* Sets up a loop device over a file, with direct I/O, this logical block size, and partition
 * scanning.  Returns its path ("/dev/loop3"), or NULL.  Free the result. */
char *loop_device_attach(const char *file, guint32 block_size, gboolean read_only, GError **error);

/* Grows the device to `size`, the new size of its file.  Users of the device see the new size at
 * once. */
gboolean loop_device_grow(const char *device, const char *file, guint64 size, GError **error);

/* The path of the device over `file`, or NULL.  If the file system of `file` was unmounted, the
 * kernel shows another path; then the device `hint` (may be NULL) is meant, if its file has the
 * same name and its sequence number is still `sequence` (0: not known).  Free the result. */
char *loop_device_find(const char *file, const char *hint, guint64 sequence);

/* A number that changes each time the device is set up (diskseq); 0 before Linux 5.15. */
guint64 loop_device_sequence(const char *device);

/* The path of the file below the loop device of this name ("loop3"), or NULL.  Free the result. */
char *loop_device_file(const char *name);

/* Detaches the device and waits until it is free; BUSY if it is still open elsewhere after 10 s.
 * Closes `claim`, the caller's exclusive descriptor of the device (device-use.h), or -1. */
gboolean loop_device_detach(const char *device, int claim, GError **error);
