/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is stacked on a disk: LVM, dm-crypt, multipath, md.
 */
#pragma once

#include <sys/types.h>

/* The first device that is stacked on this disk or partition, as its administrator knows it:
 * "/dev/mapper/vg-lv", "/dev/md0".  NULL if there is none.  Free the result. */
char *stacked_on(dev_t device);
