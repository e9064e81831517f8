/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses a block device: mounts and swap on it or on its partitions, devices stacked on it
 * (device mapper, md), processes that have it open, but udev's, which only look.
 */
#pragma once

#include <glib.h>

/* What uses it, for a message ("mounted on /mnt"), or NULL.  Sends it no request, so that it may
 * be asked of one whose server is dead. */
char *device_use_find(const char *device);

/* Opens it so that nobody can begin to use it (O_EXCL), until the descriptor is closed.  -1 with
 * BUSY and who uses it, or IO where it does not open, or not within 30 s. */
int device_use_claim(const char *device, GError **error);
