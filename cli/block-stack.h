/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk, its partitions, and what is stacked on these: device mapper (LVM, dm-crypt, multipath),
 * md.
 *
 * Reads only /sys: sends no request to a device.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct {
	char *sys;    /* its directory in /sys */
	char *path;   /* "/dev/sdb1", "/dev/mapper/vg-lv" */
	char *kernel; /* "/dev/dm-0": the name that the kernel shows */
	char *mapper; /* "vg-lv", of the device mapper; or NULL */
	dev_t number;
} BlockDevice;

/* Of BlockDevice *: the disk ("/dev/sdb") and all of them, each after those that are on it.  Free
 * with g_ptr_array_unref(). */
GPtrArray *block_stack(const char *disk);

/* The device number of the disk or partition with this directory in /sys; 0 if not known. */
dev_t block_number(const char *sys);
