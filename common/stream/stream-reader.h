/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a stream from a descriptor, frame by frame, and believes none of it: a frame is returned
 * only after its checksums, its place in the stream and its content were checked.  Takes the memory
 * of one frame, 1 MiB + 64 KiB.
 *
 * Beyond what stream-format.h checks: BEGIN comes first and once; all ranges between two marks lie
 * between the blocks that these name; the totals of marks and END are those of what was read.  An
 * input that ends before END is CORRUPT: "cut off".  What follows END is not read.
 *
 * Threading: one thread at a time.
 */
#pragma once

#include "common/stream/stream-format.h"

typedef struct StreamReader StreamReader;

/* The descriptor stays the caller's.  NULL if memory is short. */
StreamReader *stream_reader_new(int fd);
void stream_reader_free(StreamReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StreamReader, stream_reader_free)

/* Must be called first. */
gboolean stream_reader_begin(StreamReader *reader, StreamBegin *ret_begin, GError **error);

typedef struct {
	StreamType type;     /* any but BEGIN */
	StreamRanges ranges; /* DATA, ZERO; valid until the next call */
	StreamTotals totals; /* MARK, END */
} StreamItem;

/* The next frame; none must be asked for after END, or after a failure.  Errors of the data say at
 * which frame, counted from 0. */
gboolean stream_reader_next(StreamReader *reader, StreamItem *ret_item, GError **error);
