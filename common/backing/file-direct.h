/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Access to a block device past the page cache.  Addresses, lengths and offsets are multiples of
 * 4096.
 */
#pragma once

#include <glib.h>

/* A second descriptor of the device that `fd` has open, for reading and writing as `fd` is; `path`
 * leads to it.  -1 with *error: IO, or BUSY where the path leads to another device by now. */
int file_direct_open(const char *path, int fd, GError **error);

/* 0, or -EIO. */
int file_direct_read(int direct, void *data, gsize length, guint64 offset);
int file_direct_write(int direct, const void *data, gsize length, guint64 offset);
