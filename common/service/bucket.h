/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A leaky bucket: how fast units (requests, bytes) may go on.  This is the Generic Cell Rate
 * Algorithm of ITU-T I.371, Annex A, in its form "continuous-state leaky bucket", with the level in
 * units instead of time; QEMU's throttling and Ceph's do the same.  Arithmetic alone: the caller
 * has the clock and the lock.
 *
 *     level(t)   = max(0, level - rate * (t - the time of that level))
 *     may go on:   level <= burst - 1
 *     then:        level = min(level + n, burst + BUCKET_DEBT * rate)
 *
 * So from time a to time b at most rate * (b - a) + burst units go on, and the rest of the last
 * request: a request may go on whatever its own size, and those behind it wait for what it took.
 * However large it was, it alone keeps none of them for more than BUCKET_DEBT seconds.
 *
 * A bucket in which nothing waits fills up with credit, `burst` at most; so whoever comes late,
 * because a disk or a processor kept it, has lost nothing.
 *
 * Times are of one monotonic clock, in microseconds.  A bucket of rate 0 lets everything go on.
 */
#pragma once

#include <glib.h>

#define BUCKET_DEBT 5 /* s */

typedef struct {
	guint64 rate;  /* units a second; 0: no limit */
	guint64 burst; /* units, at least 1 */
	double level;  /* units */
	gint64 at;     /* the time of that level */
} Bucket;

/* From now on the rate is this one.  What has gone on stays in the level. */
void bucket_set(Bucket *bucket, guint64 rate, guint64 burst, gint64 now);

/* How long until the first of those that wait may go on, if all of `ahead` units go before it,
 * microseconds; 0: now. */
gint64 bucket_wait(const Bucket *bucket, guint64 ahead, gint64 now);

/* A request of n units goes on; it does not after all. */
void bucket_take(Bucket *bucket, guint64 n, gint64 now);
void bucket_return(Bucket *bucket, guint64 n);
