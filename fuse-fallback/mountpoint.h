/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory that the volume's file appears in.
 */
#pragma once

#include <glib.h>

#define MOUNTPOINT_TYPE "storageos" /* /proc/mounts shows fuse.storageos */

/* Makes sure that `path` is a directory that nothing is mounted on.  What a server of ours that
 * was killed left there ("Transport endpoint is not connected") is taken away first, and logged.
 * Errors: NOT_FOUND, INVALID (no directory), BUSY (something is mounted there and alive). */
gboolean mountpoint_prepare(const char *path, GError **error);

/* Takes a dead mount of ours away, if there is one; FALSE and errno where that failed. */
gboolean mountpoint_clear(const char *path);
