/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a block device holds, in libblkid's judgement, for messages only: whether a device is empty
 * is decided by its bytes (pool_volume_create()).
 */
#pragma once

#include <glib.h>

/* "a file system (ext4)", "a GPT partition table"; NULL where libblkid knows no name for it, or the
 * device cannot be read.  Free the result. */
char *device_content_describe(const char *path);

/* The type of the file system on a device ("ext4"); NULL where there is none, or libblkid cannot
 * tell.  Free the result. */
char *device_content_file_system(const char *path);
