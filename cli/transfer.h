/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What export and import share: the file at the other end, the format, and the line that shows how
 * far a transfer is.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "common/stream/stream-format.h"

typedef enum {
	TRANSFER_STREAM,
	TRANSFER_RBD,
	TRANSFER_RAW,
	TRANSFER_QEMU, /* one of those that medium_qemu_knows() */
} TransferFormat;

/* "stream" (also NULL), "rbd-diff", "raw", "qcow2" and so on.  FALSE: the error has been printed.
 */
gboolean transfer_format_parse(const char *verb, const char *text, TransferFormat *ret_format);

/* The format of a file by its magic number: "qcow2" or "stream", also if it cannot be read, or NULL
 * for standard input.  A raw image has no magic number, and may begin with another's: it is never
 * guessed. */
const char *transfer_format_detect(const char *path);

/* Opens what is written: NULL or "-" is standard output, which must not be a terminal; a file must
 * be new; an existing block device is written over if `device`.  -1 with *error. */
int transfer_open_output(const char *path, gboolean device, GError **error);

/* Makes it durable, if it is a file.  `good`: what was written is whole; a new file that is not is
 * removed.  Closes the descriptor.  FALSE with *error only if `good`. */
gboolean transfer_close_output(int fd, const char *path, gboolean good, GError **error);

/* Opens what is read: NULL or "-" is standard input, which must not be a terminal.  -1 with
 * *error. */
int transfer_open_input(const char *path, GError **error);

/* Shows on a terminal how far a transfer is. */
typedef struct {
	const char *what;    /* "export default/db@monday" */
	guint64 bytes;	     /* of data at most; 0: unknown */
	gint64 begun, shown; /* set by transfer_show() */
	guint64 data;	     /* bytes until now */
} TransferProgress;

void transfer_show(gpointer progress, const StreamTotals *totals);
