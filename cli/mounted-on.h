/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file systems that live on block devices: on the devices themselves, on their partitions, and
 * on what is stacked on these (device mapper, md).
 *
 * Sends no request to a device or a file system.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct {
	char *directory; /* where it is mounted, as this process can open it */
	char *device;	 /* "/dev/mapper/vg-lv" */
	dev_t number;	 /* of that device */
	GArray *of;	 /* of guint: indices of the devices that were asked for, on which it is */
} MountedOn;

/* One mount of each file system on these devices ("/dev/sdb"), of this mount namespace where there
 * is one.  Free with g_ptr_array_unref(). */
GPtrArray *mounted_on_devices(const GPtrArray *devices);
