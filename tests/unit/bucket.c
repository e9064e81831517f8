/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promises of bucket.h, on a clock of the test's own.
 */
#include "common/service/bucket.h"
#include "common/base/units.h"
#include "tests/harness.h"

#define S G_TIME_SPAN_SECOND
#define BEGUN (1000 * S)

static Bucket bucket_of(guint64 rate, guint64 burst)
{
	Bucket bucket = {0};

	bucket_set(&bucket, rate, burst, BEGUN);
	return bucket;
}

/* Requests of n units, one after the other, for `duration`; each is let go `late` microseconds
 * after its time at most.  Returns the units that went on. */
static guint64 run_for(Bucket *bucket, guint64 n, gint64 from, gint64 duration, gint64 late,
		       TestRandom *random)
{
	gint64 now = from;
	guint64 gone = 0;

	while (now < from + duration) {
		gint64 wait = bucket_wait(bucket, 0, now);

		if (wait) {
			now += wait + (late ? (gint64)test_random_below(random, late) : 0);
			continue;
		}
		bucket_take(bucket, n, now);
		gone += n;
	}
	return gone;
}

static const struct {
	guint64 rate, burst, n;
} rates[] = {
	{30, 3, 1},
	{1000, 100, 1},
	{1000, 10, 1},
	{12345, 1235, 1},
	{1000000, 100000, 1},
	{MIB, MIB / 10, 4096},
	{MIB, MIB / 100, MIB},
	{100 * MIB, 10 * MIB, 65536},
	{GIB * 1024, GIB * 100, MIB},
};

/* Within a ten-thousandth, and what may go at once. */
static void test_rate(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	const gint64 lates[] = {0, 5000};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rates) * G_N_ELEMENTS(lates); i++) {
		guint row = i / G_N_ELEMENTS(lates);
		gint64 late = lates[i % G_N_ELEMENTS(lates)];
		guint64 seconds = rates[row].rate > GIB ? 2 : 20;
		guint64 wanted = rates[row].rate * seconds, n = rates[row].n, gone;
		Bucket bucket = bucket_of(rates[row].rate, rates[row].burst);

		test_row("row %u, late %d us", row, (int)late);
		gone = run_for(&bucket, n, BEGUN, (gint64)seconds * S, late, &random);
		CHECK(gone <= wanted + rates[row].burst + n);
		CHECK(gone + n + rates[row].rate * (guint64)late / S >= wanted - wanted / 10000);
	}
}

static void test_burst(const void *data)
{
	Bucket bucket = bucket_of(1000, 100);

	(void)data;
	for (guint i = 0; i < 100; i++) {
		CHECK_INT(bucket_wait(&bucket, 0, BEGUN), 0);
		bucket_take(&bucket, 1, BEGUN);
	}
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN), 1000);
	CHECK_INT(bucket_wait(&bucket, 5, BEGUN), 6000);
	CHECK(bucket_wait(&bucket, 0, BEGUN + 999) > 0);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN + 1000), 0);
	bucket_return(&bucket, 3);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN), 0);
	CHECK_INT(bucket_wait(&bucket, 3, BEGUN), 1000);
	bucket_return(&bucket, 1000); /* no more than all */
	CHECK_INT(bucket_wait(&bucket, 100, BEGUN), 1000);
	/* An hour later there is no more credit than that. */
	for (guint i = 0; i < 100; i++)
		bucket_take(&bucket, 1, BEGUN + 3600 * S);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN + 3600 * S), 1000);
}

/* Goes on at once, and the next ones wait for it; for a very large one, BUCKET_DEBT seconds. */
static void test_large(const void *data)
{
	Bucket bucket = bucket_of(MIB, MIB / 8);

	(void)data;
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN), 0);
	bucket_take(&bucket, 2 * MIB, BEGUN);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN), 2 * S - S / 8 + 1); /* and a byte */
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN + S), S - S / 8 + 1);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN + 2 * S), 0);
	bucket_take(&bucket, 1024 * GIB, BEGUN + 2 * S);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN + 2 * S), BUCKET_DEBT * S + 1);
}

static void test_change(const void *data)
{
	Bucket bucket = bucket_of(1000, 100);

	(void)data;
	for (guint i = 0; i < 100; i++)
		bucket_take(&bucket, 1, BEGUN);
	bucket_set(&bucket, 1000, 50, BEGUN); /* what has gone on counts on */
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN), 51000);
	bucket_set(&bucket, 500, 50, BEGUN);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN), 102000);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN + S / 20), 52000);
	bucket_set(&bucket, 5000, 50, BEGUN + S / 20);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN + S / 20), 5200);
	bucket_set(&bucket, 0, 0, BEGUN + S / 20);
	CHECK_INT(bucket_wait(&bucket, 1000000, BEGUN + S / 20), 0);
	bucket_take(&bucket, 1000000, BEGUN + S / 20);
	bucket_set(&bucket, 100, 1, BEGUN + S); /* what went on without a limit does not count */
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN + S), 0);
	/* A much lower one does not keep anybody for longer than BUCKET_DEBT. */
	bucket_set(&bucket, 1000000, 100000, BEGUN + S);
	bucket_take(&bucket, 100000, BEGUN + S);
	bucket_set(&bucket, 30, 3, BEGUN + S);
	CHECK_INT(bucket_wait(&bucket, 0, BEGUN + S), BUCKET_DEBT * S + S / 30 + 1);
}

#define REQUESTS 300

/* From the first of some requests until the last goes on, no more than allowed has, in any part of
 * the time. */
static void check_every_part(const gint64 *times, const guint64 *sizes, guint64 rate, guint64 burst)
{
	for (guint i = 0; i < REQUESTS; i++) {
		guint64 sum = 0;

		for (guint j = i + 1; j < REQUESTS; j++) {
			double most = (double)rate * (double)(times[j] - times[i]) / S;

			sum += sizes[j - 1];
			if ((double)sum > most + (double)burst + 1)
				FAIL("requests %u to %u are %" G_GUINT64_FORMAT " units", i, j,
				     sum);
		}
	}
}

static void test_random_loads(const void *data)
{
	TestRandom random = test_random_new(test_seed());

	(void)data;
	for (guint round = 0; round < 200; round++) {
		guint64 rate =
			30 + test_random_below(&random, 1u << test_random_below(&random, 31));
		guint64 burst = rate / 100 + 1 + test_random_below(&random, rate);
		gint64 times[REQUESTS], now = BEGUN;
		guint64 sizes[REQUESTS];
		Bucket bucket = bucket_of(rate, burst);

		test_row("round %u: rate %" G_GUINT64_FORMAT ", burst %" G_GUINT64_FORMAT, round,
			 rate, burst);
		for (guint i = 0; i < REQUESTS; i++) {
			sizes[i] = 1 + test_random_below(&random, rate);
			now += (gint64)test_random_below(&random, 3) *
			       (gint64)test_random_below(&random, S / 2);
			now += bucket_wait(&bucket, 0, now);
			now += bucket_wait(&bucket, 0, now); /* rounding */
			CHECK_INT(bucket_wait(&bucket, 0, now), 0);
			bucket_take(&bucket, sizes[i], now);
			times[i] = now;
		}
		check_every_part(times, sizes, rate, burst);
	}
}

int main(int argc, char **argv)
{
	test_add("the rate is exact, however late requests are let go", test_rate, NULL);
	test_add("a burst goes on at once, and no more than that after an hour", test_burst, NULL);
	test_add("a request larger than the burst is made up for afterwards", test_large, NULL);
	test_add("a changed rate holds at once, for what went on before, too", test_change, NULL);
	test_add("at no time does more go on than the rate and the burst", test_random_loads, NULL);
	return test_run(argc, argv);
}
