/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory in which the volume's file appears.
 */
#pragma once

#include <glib.h>

#define MOUNTPOINT_TYPE "storageos" /* /proc/mounts shows fuse.storageos */

/* Makes sure that `path` is a directory on which nothing is mounted.  A dead mount that a killed
 * server of ours has left ("Transport endpoint is not connected") is unmounted first, and logged.
 * Errors: NOT_FOUND, INVALID (not a directory), BUSY (another file system is mounted there). */
gboolean mountpoint_prepare(const char *path, GError **error);

/* Unmounts a dead mount of ours, if there is one.  FALSE with errno set if that failed. */
gboolean mountpoint_clear(const char *path);
