/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one command asks of a volume, and its execution: expresses SCSI's forms (one block of data
 * for a whole range; data to compare and data to write in one vector) in terms of volume.h.
 */
#pragma once

#include "common/service/metrics.h"
#include "common/engine/volume.h"

typedef enum {
	REQUEST_NOTHING, /* nothing to do; completes with success */
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_FLUSH,
	REQUEST_ZERO,
	REQUEST_WRITE_SAME,	   /* the data is one block, written to the whole range */
	REQUEST_COMPARE_AND_WRITE, /* the data is `length` bytes to compare, then as many to write
				    */
	REQUEST_VERIFY,		   /* reads and drops the data */
	REQUEST_COMPARE,	   /* with the data; -EILSEQ as for COMPARE AND WRITE */
	REQUEST_COMPARE_SAME,	   /* the data is one block, compared with every block */
	REQUEST_WRITE_AND_VERIFY,  /* writes, flushes, reads back and compares */
	REQUEST_OR,		   /* ORs the data into the volume, 1 MiB at a time */
	REQUEST_CALL,		   /* runs `call`; the data is its parameters or its answer */
	REQUEST_SANITIZE,	   /* carried out by the device, not by request_execute() */
} RequestKind;

typedef struct Request Request;

typedef struct {
	const char *name;
	MetricsKind metrics;
	gboolean answers; /* the data is data-in (the answer), not data-out */
	int (*run)(const Request *request, Volume *volume, gint64 deadline, guint64 *ret_position);
} RequestCall;

struct Request {
	RequestKind kind;
	gboolean durable; /* the caller of request_execute() must flush before it answers */
	const struct iovec *iov;
	gsize count;
	guint64 offset;	    /* bytes */
	guint64 length;	    /* bytes */
	guint32 block_size; /* of the device */
	const RequestCall *call;
	guint64 bytes; /* how much of the volume a call changes */
	gpointer data; /* for `call` */
};

/* The request's name in messages. */
const char *request_name(const Request *request);

/* Whether the request reads the volume rather than changes it. */
gboolean request_reads(const Request *request);

/* Whether the request's data is data-in (the answer) rather than data-out. */
gboolean request_returns_data(const Request *request);

/* What the request counts as, and how many bytes of the volume it reads (or verifies), writes or
 * discards, whatever the length of the command's data. */
MetricsKind request_metrics_kind(const Request *request);
guint64 request_bytes(const Request *request);

/* Carries the request out.  The result and *ret_position are those of volume.h.
 *
 * Takes as long as the volume's backing does.  A request of several steps (WRITE SAME of data other
 * than zeros, comparing) starts no step after `deadline` (g_get_monotonic_time()) and returns
 * -ETIMEDOUT; it may be repeated. */
int request_execute(const Request *request, Volume *volume, gint64 deadline, guint64 *ret_position);
