/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content of a snapshot, or what changed since another, read and verified, for whatever writes
 * it down.
 *
 * Blocks are read in windows of 64 MiB: within a window in the order of their slots, as the disk
 * delivers them fastest, or, if the writer asks for that, in the order of blocks.
 *
 * Threading: one thread at a time; reads with several (volume-gather.h).
 */
#pragma once

#include "common/engine/volume.h"
#include "common/stream/stream-format.h"

/* Each returns FALSE with *error to end the whole. */
typedef struct {
	/* Data: at most STREAM_DATA_MAX bytes in all. */
	gboolean (*data)(gpointer sink, const StreamRange *ranges, guint n, GError **error);
	gboolean (*zero)(gpointer sink, guint64 offset, guint64 length, GError **error);
	/* Everything before block `next` was given to the two others.  NULL is allowed. */
	gboolean (*reached)(gpointer sink, guint64 next, GError **error);
} StreamSink;

typedef struct {
	Volume *to;    /* an open snapshot; with `head`, a volume that nobody writes to */
	Volume *from;  /* another of the same volume; NULL: none, or a bookmark */
	guint64 since; /* the generation of `from`, or of a bookmark, if it is an ancestor; or 0 */
	guint64 first; /* block to begin at */
	gboolean head; /* all of a volume, as it is read: `from`, `since` are not set */
	gboolean in_order;  /* in the order of blocks */
	guint64 mark_bytes; /* of data between two marks of a stream; 0: 256 MiB */
} StreamSource;

/* Gives the sink what map_diff() says of these two.  CORRUPT: a block or node is damaged; the
 * message says where.  IO, NO_SPACE (memory), and the errors of the sink. */
gboolean stream_source_run(const StreamSource *source, const StreamSink *ops, gpointer sink,
			   GError **error);

/* Visits the same ranges, joined, in the order of blocks, without reading data; `bytes` of the
 * range is NULL. */
typedef gboolean (*StreamRangeVisit)(gpointer data, const StreamRange *range, gboolean zeros,
				     GError **error);
gboolean stream_source_list(const StreamSource *source, StreamRangeVisit visit, gpointer data,
			    GError **error);
