/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one command asks of a volume, and its execution: SCSI's forms (one block for a whole range,
 * data to compare and data to write in one vector) in terms of volume.h.
 */
#pragma once

#include "common/service/metrics.h"
#include "common/engine/volume.h"

typedef enum {
	REQUEST_NOTHING, /* done already, or nothing to do */
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_FLUSH,
	REQUEST_ZERO,
	REQUEST_WRITE_SAME,	   /* the data is one block, for all of the range */
	REQUEST_COMPARE_AND_WRITE, /* the data is `length` bytes to compare, then as many to write
				    */
	REQUEST_VERIFY,		   /* read and forgotten */
	REQUEST_COMPARE,	   /* with the data; -EILSEQ as for COMPARE AND WRITE */
	REQUEST_COMPARE_SAME,	   /* with the data: one block, for all of the range */
	REQUEST_WRITE_AND_VERIFY,  /* written, flushed and compared */
	REQUEST_OR,		   /* the data is or'ed to what is there, 1 MiB at a time */
	REQUEST_CALL,		   /* what `call` does, with the data as its parameters or answer */
	REQUEST_SANITIZE,	   /* the device's own */
} RequestKind;

typedef struct Request Request;

typedef struct {
	const char *name;
	MetricsKind metrics;
	gboolean answers; /* its data is the answer, rather than what was sent */
	int (*run)(const Request *request, Volume *volume, gint64 deadline, guint64 *ret_position);
} RequestCall;

struct Request {
	RequestKind kind;
	gboolean durable; /* flush afterwards: left to the caller of request_execute() */
	const struct iovec *iov;
	gsize count;
	guint64 offset;	    /* bytes */
	guint64 length;	    /* bytes */
	guint32 block_size; /* of the device */
	const RequestCall *call;
	guint64 bytes; /* of the volume, that a call changes */
	gpointer data; /* of the call's */
};

/* For messages. */
const char *request_name(const Request *request);

/* Whether it is the volume's content that it asks for, rather than a change. */
gboolean request_reads(const Request *request);

/* Whether its data is the answer, rather than what was sent. */
gboolean request_returns_data(const Request *request);

/* What it counts as, and how many bytes of the volume that are: what is read (verified, too),
 * written or discarded, whatever data comes with the command. */
MetricsKind request_metrics_kind(const Request *request);
guint64 request_bytes(const Request *request);

/* Carries it out; a result of volume.h, with *ret_position as told there.
 *
 * Takes as long as the volume's backing does.  Of those that take more steps than one (WRITE SAME
 * of data other than zeros, comparing) no step is begun after `deadline` (of
 * g_get_monotonic_time()), and the answer is then -ETIMEDOUT: they may be done again. */
int request_execute(const Request *request, Volume *volume, gint64 deadline, guint64 *ret_position);
