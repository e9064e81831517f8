/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the requests of one volume amount to: how many, of how many bytes, how long they took, how
 * many there are at once.
 *
 * A front end calls metrics_begin() when a request reaches it and metrics_end() when it answers:
 * the time counted is what the device's user waits for, less the kernel's part of it.
 *
 * Latencies go into a histogram of 8 buckets for each power of two of nanoseconds, so that a
 * percentile is at most an eighth too high: after HdrHistogram, with one significant digit.  What
 * took less than 1 us is in the first bucket, what took more than 68 s in the last.
 *
 * Threading: any, without locks; nothing allocates.  A reader sees each counter as it is at some
 * moment, not all at the same.  Counters start at 0 and never go back.
 */
#pragma once

#include "common/base/json.h"

typedef enum {
	METRICS_READ,
	METRICS_WRITE,
	METRICS_DISCARD, /* and what writes zeros without sending them */
	METRICS_COMPARE_AND_WRITE,
	METRICS_FLUSH,
	METRICS_UNCOUNTED, /* what asks about a volume: only of those in flight */
} MetricsKind;
#define METRICS_KINDS (METRICS_FLUSH + 1)

#define METRICS_BUCKETS 209

typedef struct {
	guint64 bytes;
	guint64 errors;	     /* of those that are counted below */
	guint64 nanoseconds; /* of all of them together */
	guint64 longest;     /* nanoseconds */
	guint64 buckets[METRICS_BUCKETS];
} MetricsOperation;

typedef struct {
	MetricsOperation operations[METRICS_KINDS];
	guint64 in_flight; /* begun and not ended */
} Metrics;

/* "read", "write", "discard", "compare_and_write", "flush". */
const char *metrics_kind_name(MetricsKind kind);

/* Returns what metrics_end() wants as `begun`. */
gint64 metrics_begin(Metrics *metrics);
void metrics_end(Metrics *metrics, MetricsKind kind, gint64 begun, guint64 bytes, gboolean failed);

/* The bucket for a latency, and the longest latency that belongs there. */
guint metrics_bucket(guint64 nanoseconds);
guint64 metrics_bucket_limit(guint bucket);

guint64 metrics_count(const MetricsOperation *operation);

/* The latency that `share` (0 to 1) of the requests did not exceed, nanoseconds; 0 without any. */
guint64 metrics_percentile(const MetricsOperation *operation, double share);

/* What happened after `earlier` and until `later`; of the longest nothing is known but that. */
MetricsOperation metrics_since(const MetricsOperation *later, const MetricsOperation *earlier);

/* {"count": .., "errors": .., "bytes": .., "latency_ns": {"total", "mean", "max", "p50", "p95",
 * "p99", "p999", "histogram": [[limit, count], ...]}}; only buckets that hold something. */
Json *metrics_to_json(const MetricsOperation *operation);

/* The other way round, from another process: what makes no sense there is left out. */
void metrics_from_json(Json *object, MetricsOperation *ret_operation);
