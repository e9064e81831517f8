/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The format in which Ceph's `rbd export-diff` and `rbd import-diff` exchange what changed in an
 * image (Ceph: doc/dev/rbd-diff.rst).  Writes version 1, which is what `rbd import-diff` reads;
 * reads versions 1 and 2.
 *
 * The format has no checksums, names snapshots without UUIDs, and cannot be resumed: it is for
 * moves to and from Ceph only.  Whatever is damaged in it without being out of bounds goes
 * unnoticed.
 *
 * Threading: one thread at a time for a descriptor.
 */
#pragma once

#include "common/stream/stream-format.h"

typedef struct {
	char *from; /* name of the snapshot that the receiver must have; NULL: none, all is there */
	char *to;   /* name of the snapshot that the receiver gets; NULL: none */
	guint64 size; /* bytes */
} StreamRbdHead;

void stream_rbd_head_clear(StreamRbdHead *head);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StreamRbdHead, stream_rbd_head_clear)

/* ---- writing: the head, ranges, the end.  NO_SPACE or IO. */

gboolean stream_rbd_write_head(int fd, const StreamRbdHead *head, GError **error);
gboolean stream_rbd_write_range(int fd, const StreamRange *range, GError **error);
gboolean stream_rbd_write_end(int fd, GError **error);

/* ---- reading: takes 1 MiB of memory */

typedef struct StreamRbdReader StreamRbdReader;

/* The descriptor stays the caller's.  NULL if memory is short. */
StreamRbdReader *stream_rbd_reader_new(int fd);
void stream_rbd_reader_free(StreamRbdReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StreamRbdReader, stream_rbd_reader_free)

/* Must be called first.  INVALID (no such file, or of a size that no volume has), CORRUPT, IO. */
gboolean stream_rbd_reader_begin(StreamRbdReader *reader, StreamRbdHead *ret_head, GError **error);

/* The next range, within the size; of data at most STREAM_DATA_MAX bytes, which are valid until the
 * next call.  At the end, its length is 0.  INVALID: a range is not of whole sectors. */
gboolean stream_rbd_reader_next(StreamRbdReader *reader, StreamRange *ret_range, GError **error);
