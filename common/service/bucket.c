/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/bucket.h"

static double level_at(const Bucket *bucket, gint64 now)
{
	double elapsed = now > bucket->at ? (double)(now - bucket->at) / G_USEC_PER_SEC : 0;
	double level = bucket->level - (double)bucket->rate * elapsed;

	return MAX(level, 0);
}

static void level_set(Bucket *bucket, double level, gint64 now)
{
	double most = (double)bucket->burst + (double)bucket->rate * BUCKET_DEBT;

	bucket->level = MIN(level, most);
	bucket->at = now;
}

void bucket_set(Bucket *bucket, guint64 rate, guint64 burst, gint64 now)
{
	double level = bucket->rate ? level_at(bucket, now) : 0;

	bucket->rate = rate;
	bucket->burst = burst;
	level_set(bucket, level, now);
}

gint64 bucket_wait(const Bucket *bucket, guint64 ahead, gint64 now)
{
	double over, wait;
	gint64 whole;

	if (!bucket->rate)
		return 0;
	over = level_at(bucket, now) + (double)ahead + 1 - (double)bucket->burst;
	if (over <= 0)
		return 0;
	wait = over * G_USEC_PER_SEC / (double)bucket->rate;
	whole = (gint64)wait;
	return whole + ((double)whole < wait);
}

void bucket_take(Bucket *bucket, guint64 n, gint64 now)
{
	if (bucket->rate)
		level_set(bucket, level_at(bucket, now) + (double)n, now);
}

void bucket_return(Bucket *bucket, guint64 n)
{
	bucket->level = MAX(bucket->level - (double)n, 0);
}
