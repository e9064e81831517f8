/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes a stream to a descriptor, frame by frame.  Keeps 64 KiB of ranges; copies no data.
 *
 * The caller writes BEGIN first, then data and zeros in any order between two marks, then END.
 * Every function that writes fails with NO_SPACE or IO; the stream is then cut, and no further
 * call may follow.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "common/stream/stream-format.h"

typedef struct StreamWriter StreamWriter;

/* The descriptor stays the caller's.  NULL if memory is short. */
StreamWriter *stream_writer_new(int fd);
void stream_writer_free(StreamWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StreamWriter, stream_writer_free)

gboolean stream_writer_begin(StreamWriter *writer, const StreamBegin *begin, GError **error);

/* One DATA of 1 to STREAM_RANGES_MAX ranges and STREAM_DATA_MAX bytes at most. */
gboolean stream_writer_data(StreamWriter *writer, const StreamRange *ranges, guint n,
			    GError **error);

/* The range reads as zeros.  Joins neighbours; written with the next mark at the latest. */
gboolean stream_writer_zero(StreamWriter *writer, guint64 offset, guint64 length, GError **error);

/* Everything before block `next` was written. */
gboolean stream_writer_mark(StreamWriter *writer, guint64 next, GError **error);

/* Everything was; `next` is the end of the volume, in blocks. */
gboolean stream_writer_end(StreamWriter *writer, guint64 next, GError **error);
