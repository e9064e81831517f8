/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a snapshot, or what changed since another, to a descriptor: as a stream (stream-format.h),
 * for Ceph (stream-rbd.h), or as an image.
 *
 * All of them sleep as long as the reader of a pipe does.  Errors: those of stream_source_run(),
 * and NO_SPACE and IO of the descriptor.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "common/stream/stream-source.h"

/* A stream that begins as `begin` says; source->first must be begin->resume.  A mark follows
 * each 256 MiB and each 10 s. */
gboolean stream_send(const StreamSource *source, const StreamBegin *begin, int fd,
		     StreamProgress progress, gpointer data, GError **error);

/* A file of `rbd export-diff`; `from` and `to` are the names of snapshots, `from` may be NULL.
 * Sets source->in_order. */
gboolean stream_send_rbd(StreamSource *source, const char *from, const char *to, int fd,
			 StreamProgress progress, gpointer data, GError **error);

/* The bytes of the snapshot: source->since and source->from are 0 and NULL.  A regular file, which
 * must be empty, gets holes where the snapshot has them; on a block device, and in a pipe, zeros
 * are written.  Sets source->in_order. */
gboolean stream_send_raw(StreamSource *source, int fd, StreamProgress progress, gpointer data,
			 GError **error);
