/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Importing an image: a new volume with its content, or an existing one that is written over.
 *
 * Threading: single-threaded; interrupt_hold() must have been called.
 */
#pragma once

#include "cli/cli.h"
#include "cli/places.h"
#include "cli/transfer.h"

typedef struct {
	const Config *config;
	const Places *places; /* of the volume, locked */
	const char *path;     /* NULL or "-": standard input, for raw images only */
	const char *format;   /* "raw", or one of qemu's */
	guint64 size;	      /* of a new volume, at least; 0: the image's */
	guint32 block_size;   /* of a new volume: its logical blocks */
	gboolean force;	      /* write over a volume that is there */
	gboolean other_files; /* the image may name other files */
	gboolean verify;
	gboolean dry; /* only the checks */
	TransferProgress *progress;
	/* Set: */
	guint64 image_size, volume_size;
	char *undo; /* the snapshot of what the volume held; NULL: it is new */
} ImageImport;

/* The volume gets the image's size, in whole logical blocks, and 1 MiB at least.  One that is there
 * must be as large, and the rest of it is zeros then.  TRUE: all of it is durable.  FALSE: there is
 * no volume, or it holds what it held.  EXISTS: there is one, without `force`.  INVALID: the image
 * is too large, or names other files; CORRUPT: it is damaged; UNSUPPORTED: qemu is not installed.
 */
gboolean image_import(ImageImport *import, GError **error);
