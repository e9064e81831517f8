/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who uses a block device: mounts and swap on it or on its partitions, devices stacked on it
 * (device mapper, md), and processes that have it open.  Processes of udev do not count.
 */
#pragma once

#include <glib.h>

/* The first use found, for a message ("/dev/sdb is mounted on /mnt"); NULL if there is none.  Sends
 * no request to the device, so it works if the device's server is dead.  Free the result. */
char *device_use_find(const char *device);

/* Opens the device with O_EXCL, which keeps others from mounting it or claiming it until the
 * descriptor is closed.  -1 with BUSY and what uses the device, or with another error if it cannot
 * be opened within 30 s. */
int device_use_claim(const char *device, GError **error);
