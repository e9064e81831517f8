/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading from and writing to pipes, sockets and files, whole or not at all.  Both sleep as long as
 * the other end does.
 *
 * Threading: one call for a descriptor at a time.
 */
#pragma once

#include <glib.h>
#include <sys/uio.h>

/* Reads until the buffer is full or the input ends.  Returns the number of bytes, or -1 with IO. */
gssize stream_read(int fd, void *buffer, gsize length, GError **error);

/* Writes all bytes; changes the array.  NO_SPACE or IO (the reader has gone: "Broken pipe"). */
gboolean stream_write(int fd, struct iovec *iov, guint n, GError **error);

/* The CRC32C of the bytes, for whoever compares what was written with what is read. */
guint32 stream_checksum(const void *bytes, gsize length);
