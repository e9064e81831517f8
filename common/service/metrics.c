/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/metrics.h"
#include "common/base/bounds.h"

#include <string.h>
#include <time.h>

#define SUB_BITS 3 /* 8 buckets for a power of two */
#define SUBS (1u << SUB_BITS)
#define FIRST_BITS 10 /* the first bucket ends at 1024 ns */

static const char *const kind_names[METRICS_KINDS] = {
	[METRICS_READ] = "read",       [METRICS_WRITE] = "write",
	[METRICS_DISCARD] = "discard", [METRICS_COMPARE_AND_WRITE] = "compare_and_write",
	[METRICS_FLUSH] = "flush",
};

const char *metrics_kind_name(MetricsKind kind)
{
	return kind_names[kind];
}

static gint64 clock_nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (gint64)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void counter_add(guint64 *counter, guint64 n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static guint64 counter_get(const guint64 *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void counter_raise(guint64 *counter, guint64 n)
{
	guint64 old = counter_get(counter);

	while (n > old && !__atomic_compare_exchange_n(counter, &old, n, TRUE, __ATOMIC_RELAXED,
						       __ATOMIC_RELAXED))
		;
}

guint metrics_bucket(guint64 nanoseconds)
{
	guint bits, bucket;

	if (nanoseconds <= (guint64)1 << FIRST_BITS)
		return 0;
	nanoseconds--; /* a limit belongs to the bucket that ends with it */
	bits = 63 - (guint)__builtin_clzll(nanoseconds);
	bucket = 1 + (bits - FIRST_BITS) * SUBS +
		 (guint)((nanoseconds >> (bits - SUB_BITS)) & (SUBS - 1));
	return MIN(bucket, METRICS_BUCKETS - 1);
}

guint64 metrics_bucket_limit(guint bucket)
{
	guint bits, sub;

	if (!bucket)
		return (guint64)1 << FIRST_BITS;
	bits = FIRST_BITS + (bucket - 1) / SUBS;
	sub = (bucket - 1) % SUBS;
	return (guint64)(SUBS + sub + 1) << (bits - SUB_BITS);
}

gint64 metrics_begin(Metrics *metrics)
{
	counter_add(&metrics->in_flight, 1);
	return clock_nanoseconds();
}

void metrics_end(Metrics *metrics, MetricsKind kind, gint64 begun, guint64 bytes, gboolean failed)
{
	gint64 elapsed = clock_nanoseconds() - begun;
	guint64 nanoseconds = elapsed > 0 ? (guint64)elapsed : 0;
	MetricsOperation *operation;

	counter_add(&metrics->in_flight, (guint64)-1);
	if (kind == METRICS_UNCOUNTED)
		return;
	operation = &metrics->operations[kind];
	if (failed)
		counter_add(&operation->errors, 1);
	else
		counter_add(&operation->bytes, bytes);
	counter_add(&operation->nanoseconds, nanoseconds);
	counter_add(&operation->buckets[metrics_bucket(nanoseconds)], 1);
	counter_raise(&operation->longest, nanoseconds);
}

guint64 metrics_count(const MetricsOperation *operation)
{
	guint64 sum = 0;

	for (guint i = 0; i < METRICS_BUCKETS; i++)
		sum += counter_get(&operation->buckets[i]);
	return sum;
}

guint64 metrics_percentile(const MetricsOperation *operation, double share)
{
	double wanted = share * (double)metrics_count(operation);
	guint64 seen = 0, limit = 0, longest;

	for (guint i = 0; i < METRICS_BUCKETS && (double)seen < wanted; i++) {
		guint64 n = counter_get(&operation->buckets[i]);

		seen += n;
		if (n)
			limit = metrics_bucket_limit(i);
	}
	longest = counter_get(&operation->longest);
	return longest ? min_u64(limit, longest) : limit;
}

MetricsOperation metrics_since(const MetricsOperation *later, const MetricsOperation *earlier)
{
	MetricsOperation result = {
		.bytes = later->bytes - earlier->bytes,
		.errors = later->errors - earlier->errors,
		.nanoseconds = later->nanoseconds - earlier->nanoseconds,
	};

	for (guint i = 0; i < METRICS_BUCKETS; i++)
		result.buckets[i] = later->buckets[i] - earlier->buckets[i];
	return result;
}

static Json *histogram_to_json(const MetricsOperation *operation)
{
	Json *list = json_object_new_array();

	for (guint i = 0; i < METRICS_BUCKETS; i++) {
		guint64 n = counter_get(&operation->buckets[i]);
		Json *pair;

		if (!n)
			continue;
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_int64((gint64)metrics_bucket_limit(i)));
		json_object_array_add(pair, json_object_new_int64((gint64)n));
		json_object_array_add(list, pair);
	}
	return list;
}

Json *metrics_to_json(const MetricsOperation *operation)
{
	static const struct {
		const char *key;
		double share;
	} percentiles[] = {{"p50", .5}, {"p95", .95}, {"p99", .99}, {"p999", .999}};
	guint64 count = metrics_count(operation), total = counter_get(&operation->nanoseconds);
	Json *object = json_object_new_object(), *latency = json_object_new_object();

	json_add_number(object, "count", count);
	json_add_number(object, "errors", counter_get(&operation->errors));
	json_add_number(object, "bytes", counter_get(&operation->bytes));
	json_add_number(latency, "total", total);
	json_add_number(latency, "mean", count ? total / count : 0);
	json_add_number(latency, "max", counter_get(&operation->longest));
	for (guint i = 0; i < G_N_ELEMENTS(percentiles); i++)
		json_add_number(latency, percentiles[i].key,
				metrics_percentile(operation, percentiles[i].share));
	json_object_object_add(latency, "histogram", histogram_to_json(operation));
	json_object_object_add(object, "latency_ns", latency);
	return object;
}

static guint64 pair_member(Json *pair, guint i)
{
	Json *value = json_object_array_get_idx(pair, i);
	gint64 n = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;

	return n > 0 ? (guint64)n : 0;
}

static void histogram_from_json(Json *list, MetricsOperation *operation)
{
	for (gsize i = 0; i < json_object_array_length(list); i++) {
		Json *pair = json_object_array_get_idx(list, i);

		if (json_object_is_type(pair, json_type_array))
			operation->buckets[metrics_bucket(pair_member(pair, 0))] +=
				pair_member(pair, 1);
	}
}

void metrics_from_json(Json *object, MetricsOperation *ret_operation)
{
	Json *latency = json_get_object(object, "latency_ns");
	Json *list = json_get_list(latency, "histogram");

	memset(ret_operation, 0, sizeof *ret_operation);
	ret_operation->errors = (guint64)json_get_number(object, "errors");
	ret_operation->bytes = (guint64)json_get_number(object, "bytes");
	ret_operation->nanoseconds = (guint64)json_get_number(latency, "total");
	ret_operation->longest = (guint64)json_get_number(latency, "max");
	if (list)
		histogram_from_json(list, ret_operation);
}
