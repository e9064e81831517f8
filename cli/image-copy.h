/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies the data of an image, and compares two images, with several threads.  What is a hole, or
 * zeros, in the source is not read, or not written.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "cli/medium.h"
#include "cli/transfer.h"

typedef struct {
	Medium *from;
	Medium *to; /* reads as zeros; where the source does, nothing is written */
	/* Called if `from` is a pipe, before bytes up to `size` are written, and at the end with
	 * all that came: makes `to` at least, or exactly, so large. */
	gboolean (*resize)(gpointer data, guint64 size, gboolean exactly, GError **error);
	gpointer data;
	gboolean verify;	    /* read back what was written */
	TransferProgress *progress; /* its `data`: bytes that were written */
} ImageCopy;

/* TRUE: all is written and flushed, and if `verify`, reads as it was written: each MiB has the
 * CRC32C that it had in memory.  CORRUPT: it has not. */
gboolean image_copy(ImageCopy *copy, GError **error);

typedef struct {
	guint64 first;	/* the first byte that differs */
	guint64 differ; /* how many do; 0: they are equal */
	guint64 read;	/* bytes that were read of each: where either has data */
} ImageDifference;

/* If one is longer than the other, what it has more must be zeros.  TRUE: both could be read. */
gboolean image_compare(Medium *a, Medium *b, TransferProgress *progress,
		       ImageDifference *ret_difference, GError **error);
