/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one command asks of a volume, and its execution: SCSI's forms (one block for a whole range,
 * data to compare and data to write in one vector) in terms of volume.h.
 */
#pragma once

#include "common/metrics.h"
#include "common/volume.h"

typedef enum {
	REQUEST_READ,
	REQUEST_WRITE,
	REQUEST_FLUSH,
	REQUEST_ZERO,
	REQUEST_UNMAP,		   /* the data is a checked parameter list of an UNMAP */
	REQUEST_WRITE_SAME,	   /* the data is one block, for all of the range */
	REQUEST_COMPARE_AND_WRITE, /* the data is `length` bytes to compare, then as many to write
				    */
} RequestKind;

typedef struct {
	RequestKind kind;
	gboolean durable; /* flush afterwards: left to the caller of request_execute() */
	const struct iovec *iov;
	gsize count;
	guint32 block_size; /* of the device */
	guint64 offset;	    /* bytes */
	guint64 length;	    /* bytes */
} Request;

/* For messages. */
const char *request_name(RequestKind kind);

/* Whether it is the volume's content that it asks for, rather than a change. */
gboolean request_reads(RequestKind kind);

/* What it counts as. */
MetricsKind request_metrics_kind(RequestKind kind);

/* Whether the data is the parameter list of an UNMAP: 8 bytes, and then as many descriptors of 16
 * bytes as they say. */
#define REQUEST_UNMAP_DESCRIPTORS 256
gboolean request_unmap_is_valid(const Request *request);

/* Carries it out; a result of volume.h, with *ret_position as told there.
 *
 * Takes as long as the volume's backing does.  Of those that take more steps than one (WRITE SAME
 * of data other than zeros) no step is begun after `deadline` (of g_get_monotonic_time()), and the
 * answer is then -EIO. */
int request_execute(const Request *request, Volume *volume, gint64 deadline, guint64 *ret_position);
