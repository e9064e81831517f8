/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/metrics.h"

#include "tests/harness.h"

#define THREADS 4
#define REQUESTS 20000u

static void test_buckets_cover(const void *data)
{
	(void)data;
	CHECK_UINT(metrics_bucket(0), 0);
	CHECK_UINT(metrics_bucket(1024), 0);
	CHECK_UINT(metrics_bucket(1025), 1);
	CHECK_UINT(metrics_bucket(G_MAXUINT64), METRICS_BUCKETS - 1);
	for (guint i = 1; i < METRICS_BUCKETS; i++) {
		guint64 limit = metrics_bucket_limit(i), before = metrics_bucket_limit(i - 1);

		test_row("bucket %u", i);
		CHECK(limit > before);
		CHECK((limit - before) * 8 <= limit); /* too high by an eighth at most */
		CHECK_UINT(metrics_bucket(limit), i);
		CHECK_UINT(metrics_bucket(before + 1), i);
	}
	CHECK_UINT(metrics_bucket_limit(METRICS_BUCKETS - 1), (guint64)1 << 36);
}

/* The format that other processes read: a bucket's number, and the bucket's upper limit. */
static void test_bucket_rows(const void *data)
{
	static const struct {
		guint64 nanoseconds;
		guint bucket;
		guint64 limit;
	} rows[] = {
		{1, 0, 1024},
		{1152, 1, 1152},
		{1153, 2, 1280},
		{2048, 8, 2048},
		{2049, 9, 2304},
		{1000000, 80, 1048576},
		{1000000000, 159, 1006632960},
		{68719476736, 208, 68719476736},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		test_row("%" G_GUINT64_FORMAT " ns", rows[i].nanoseconds);
		CHECK_UINT(metrics_bucket(rows[i].nanoseconds), rows[i].bucket);
		CHECK_UINT(metrics_bucket_limit(rows[i].bucket), rows[i].limit);
	}
}

/* Numbers of requests in buckets, and the percentiles that are reported for them. */
static void test_percentile_rows(const void *data)
{
	static const struct {
		guint64 counts[3]; /* in buckets 0, 8 and 16 */
		guint64 longest;
		double share;
		guint64 nanoseconds;
	} rows[] = {
		{{0, 0, 0}, 0, .5, 0},		{{1, 0, 0}, 900, .5, 900},
		{{1, 0, 0}, 1024, 1, 1024},	{{50, 50, 0}, 2000, .5, 1024},
		{{50, 50, 0}, 2000, .51, 2000}, {{98, 1, 1}, 4000, .99, 2048},
		{{98, 1, 1}, 4000, .999, 4000},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		static MetricsOperation operation;

		test_row("row %u", i);
		for (guint b = 0; b < 3; b++)
			operation.buckets[8 * b] = rows[i].counts[b];
		operation.longest = rows[i].longest;
		CHECK_UINT(metrics_percentile(&operation, rows[i].share), rows[i].nanoseconds);
	}
}

static void test_kind_names(const void *data)
{
	static const char *const names[] = {"read", "write", "discard", "compare_and_write",
					    "flush"};

	(void)data;
	CHECK_UINT(G_N_ELEMENTS(names), METRICS_KINDS);
	for (guint i = 0; i < METRICS_KINDS; i++)
		CHECK_STR(metrics_kind_name(i), names[i]);
}

/* Compares with the value at the percentile's place in the sorted list. */
static void test_percentiles(const void *data)
{
	static MetricsOperation operation;
	TestRandom random = test_random_new(test_seed());
	guint64 values[1000];
	static const double shares[] = {.01, .5, .95, .99, .999, 1};

	(void)data;
	CHECK_UINT(metrics_percentile(&operation, .5), 0);
	for (guint i = 0; i < 1000; i++) {
		guint64 v = 2000 + test_random_below(&random, (guint64)1 << (12 + i % 20));
		guint at = i;

		operation.buckets[metrics_bucket(v)]++;
		operation.longest = MAX(operation.longest, v);
		for (; at && values[at - 1] > v; at--)
			values[at] = values[at - 1];
		values[at] = v;
	}
	CHECK_UINT(metrics_count(&operation), 1000);
	for (guint i = 0; i < G_N_ELEMENTS(shares); i++) {
		guint64 truth = values[(guint)(shares[i] * 1000 + .5) - 1];
		guint64 got = metrics_percentile(&operation, shares[i]);

		test_row("share %g", shares[i]);
		CHECK(got >= truth);
		CHECK(got <= truth + truth / 7);
	}
	CHECK_UINT(metrics_percentile(&operation, 1), values[999]);
}

static void test_request(const void *data)
{
	static Metrics metrics;
	const MetricsOperation *write = &metrics.operations[METRICS_WRITE];
	gint64 one, two;

	(void)data;
	/* As if both had arrived 20 ms ago. */
	one = metrics_begin(&metrics) - 20000000;
	two = metrics_begin(&metrics) - 20000000;
	CHECK_UINT(metrics.in_flight, 2);
	metrics_end(&metrics, METRICS_WRITE, one, 4096, FALSE);
	metrics_end(&metrics, METRICS_WRITE, two, 8192, TRUE);
	CHECK_UINT(metrics.in_flight, 0);
	CHECK_UINT(metrics_count(write), 2);
	CHECK_UINT(write->errors, 1);
	CHECK_UINT(write->bytes, 4096); /* a failed request has moved no bytes */
	CHECK(write->longest >= 20000000);
	CHECK(write->nanoseconds >= 40000000);
	CHECK(metrics_percentile(write, .5) >= 20000000);
	CHECK_UINT(metrics_count(&metrics.operations[METRICS_READ]), 0);
}

static gpointer many_requests(gpointer data)
{
	for (guint i = 0; i < REQUESTS; i++)
		metrics_end(data, METRICS_READ, metrics_begin(data), 512, FALSE);
	return NULL;
}

static void test_threads(const void *data)
{
	static Metrics metrics;
	GThread *threads[THREADS];

	(void)data;
	for (guint i = 0; i < THREADS; i++)
		threads[i] = g_thread_new("requests", many_requests, &metrics);
	/* A reader beside the threads, which sleeps because valgrind runs one thread at a time. */
	while (metrics_count(&metrics.operations[METRICS_READ]) < REQUESTS)
		g_usleep(50);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	CHECK_UINT(metrics_count(&metrics.operations[METRICS_READ]), THREADS * REQUESTS);
	CHECK_UINT(metrics.operations[METRICS_READ].bytes, 512 * THREADS * REQUESTS);
	CHECK_UINT(metrics.in_flight, 0);
}

static void test_json(const void *data)
{
	static MetricsOperation operation = {
		.bytes = 12, .errors = 3, .nanoseconds = 40000, .longest = 30000};
	MetricsOperation got, since;
	g_autoptr(Json) object = NULL;

	(void)data;
	operation.buckets[0] = 5;
	operation.buckets[METRICS_BUCKETS - 1] = 7;
	object = metrics_to_json(&operation);
	CHECK_INT(json_get_number(object, "count"), 12);
	CHECK_INT(json_get_number(json_get_object(object, "latency_ns"), "mean"), 40000 / 12);
	metrics_from_json(object, &got);
	CHECK_MEM(&got, &operation, sizeof got);
	since = metrics_since(&got, &operation);
	CHECK_UINT(metrics_count(&since), 0);
}

static void test_json_nonsense(const void *data)
{
	static const char *const texts[] = {
		"{}",
		"{\"latency_ns\": 3}",
		"{\"latency_ns\": {\"histogram\": {}}}",
		"{\"latency_ns\": {\"histogram\": [1, [], [-1, -1], [\"a\", 1], [1, [2]], null]}}",
		"{\"bytes\": \"many\", \"errors\": null}",
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(Json) object = json_tokener_parse(texts[i]);
		MetricsOperation got;

		test_row("%s", texts[i]);
		REQUIRE(object);
		metrics_from_json(object, &got);
		CHECK(metrics_count(&got) <= 1);
		CHECK_UINT(got.bytes, 0);
	}
}

int main(int argc, char **argv)
{
	test_add("buckets cover all latencies, each within an eighth", test_buckets_cover, NULL);
	test_add("a latency's bucket, row by row", test_bucket_rows, NULL);
	test_add("a percentile, row by row", test_percentile_rows, NULL);
	test_add("the operations' names in JSON", test_kind_names, NULL);
	test_add("percentiles are those of the sorted list", test_percentiles, NULL);
	test_add("a request is counted when it ends", test_request, NULL);
	test_add("threads count together and lose nothing", test_threads, NULL);
	test_add("to JSON and back", test_json, NULL);
	test_add("invalid JSON counts nothing", test_json_nonsense, NULL);
	return test_run(argc, argv);
}
