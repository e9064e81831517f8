/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statistics of the requests of one volume: how many, how many bytes, how long they took, and how
 * many are in flight.
 *
 * A front end calls metrics_begin() when a request reaches it and metrics_end() when it answers.
 * The time in between is what the device's user waits, less the kernel's part.
 *
 * Latencies are counted in a histogram with 8 buckets for each power of two of nanoseconds, so that
 * a percentile is at most an eighth too high (as in HdrHistogram, with one significant digit).  The
 * first bucket holds everything up to 1024 ns, the last one everything above 64 s.
 *
 * Threading: any, without locks or allocations.  A reader gets each counter as of some moment, not
 * all counters as of the same one.  Counters start at 0 and never decrease.
 */
#pragma once

#include "common/base/json.h"

typedef enum {
	METRICS_READ,
	METRICS_WRITE,
	METRICS_DISCARD, /* includes writing zeros without data */
	METRICS_COMPARE_AND_WRITE,
	METRICS_FLUSH,
	METRICS_UNCOUNTED, /* queries: count as in flight only */
} MetricsKind;
#define METRICS_KINDS (METRICS_FLUSH + 1)

#define METRICS_BUCKETS 209

typedef struct {
	guint64 bytes;
	guint64 errors;	     /* how many of the requests failed */
	guint64 nanoseconds; /* the sum of all latencies */
	guint64 longest;     /* the longest latency, nanoseconds */
	guint64 buckets[METRICS_BUCKETS];
} MetricsOperation;

typedef struct {
	MetricsOperation operations[METRICS_KINDS];
	guint64 in_flight; /* requests begun and not ended */
} Metrics;

/* "read", "write", "discard", "compare_and_write", "flush". */
const char *metrics_kind_name(MetricsKind kind);

/* Returns the value for metrics_end()'s `begun`. */
gint64 metrics_begin(Metrics *metrics);
void metrics_end(Metrics *metrics, MetricsKind kind, gint64 begun, guint64 bytes, gboolean failed);

/* The bucket of a latency, and the longest latency in a bucket. */
guint metrics_bucket(guint64 nanoseconds);
guint64 metrics_bucket_limit(guint bucket);

guint64 metrics_count(const MetricsOperation *operation);

/* The latency that `share` (0 to 1) of the requests did not exceed, nanoseconds; 0 without
 * requests. */
guint64 metrics_percentile(const MetricsOperation *operation, double share);

/* What happened between `earlier` and `later`.  The longest latency of that time is unknown: 0. */
MetricsOperation metrics_since(const MetricsOperation *later, const MetricsOperation *earlier);

/* {"count": .., "errors": .., "bytes": .., "latency_ns": {"total", "mean", "max", "p50", "p95",
 * "p99", "p999", "histogram": [[limit, count], ...]}}, without empty buckets. */
Json *metrics_to_json(const MetricsOperation *operation);

/* The reverse, for JSON of another process: invalid parts of it are ignored. */
void metrics_from_json(Json *object, MetricsOperation *ret_operation);
