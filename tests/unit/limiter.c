/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that wait for a volume's limits: how fast they go on, in which order, and what ends
 * their wait.
 */
#include "common/service/limiter.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "tests/harness.h"

#define ITEMS 400

typedef struct {
	Limiter limiter;
	LimiterItem items[ITEMS];
	gint held, gone; /* atomic */
	guint order[ITEMS];
	gint hang;   /* atomic: go() waits until this is FALSE */
	gint inside; /* atomic: threads in go() */
} Scene;

static void scene_go(gpointer data, LimiterItem *item)
{
	Scene *scene = data;

	g_atomic_int_inc(&scene->inside);
	while (g_atomic_int_get(&scene->hang))
		g_usleep(100);
	scene->order[g_atomic_int_get(&scene->gone)] = (guint)(item - scene->items);
	g_atomic_int_inc(&scene->gone);
	g_atomic_int_add(&scene->inside, -1);
}

static Scene *scene_new(void)
{
	Scene *scene = g_new0(Scene, 1);
	const LimiterOwner owner = {scene_go, scene};

	limiter_init(&scene->limiter, &owner);
	return scene;
}

static void scene_free(Scene *scene)
{
	limiter_clear(&scene->limiter);
	g_free(scene);
}

static void scene_set(Scene *scene, guint64 iops, guint64 burst)
{
	const Limits limits = {.limits[LIMITER_WRITE][LIMITER_IOPS] = {iops, burst}};
	g_autoptr(GError) error = NULL;

	CHECK(limiter_set(&scene->limiter, &limits, &error));
	CHECK_NO_ERROR(error);
}

static gint gone(Scene *scene)
{
	return g_atomic_int_get(&scene->gone);
}

/* Sends items from `first` on; returns how many of them were held. */
static guint scene_send(Scene *scene, guint first, guint n, guint64 bytes)
{
	guint held = 0;

	for (guint i = first; i < first + n; i++)
		held += limiter_holds(&scene->limiter, &scene->items[i], METRICS_WRITE, bytes);
	return held;
}

static LimiterStats stats_of(Scene *scene)
{
	LimiterStats stats;

	limiter_get_stats(&scene->limiter, LIMITER_WRITE, &stats);
	return stats;
}

static void test_none(const void *data)
{
	Scene *scene = scene_new();

	(void)data;
	CHECK(!limiter_limits(&scene->limiter, LIMITER_READ));
	CHECK(!limiter_limits(&scene->limiter, LIMITER_WRITE));
	CHECK(!limiter_is_full(&scene->limiter, LIMITER_WRITE));
	CHECK_UINT(scene_send(scene, 0, ITEMS, MIB), 0);
	scene_set(scene, 1000, 10);
	CHECK(!limiter_limits(&scene->limiter, LIMITER_READ));
	CHECK(limiter_limits(&scene->limiter, LIMITER_WRITE));
	scene_set(scene, 0, 0);
	CHECK(!limiter_limits(&scene->limiter, LIMITER_WRITE));
	scene_free(scene);
}

/* 20 at once and then 200 a second, in order. */
static void test_order(const void *data)
{
	Scene *scene = scene_new();
	gint64 begun, took;

	(void)data;
	scene_set(scene, 200, 20);
	begun = g_get_monotonic_time();
	CHECK_UINT(scene_send(scene, 0, 100, 512), 80);
	WAIT_WITHIN(10, gone(scene) == 80);
	took = g_get_monotonic_time() - begun;
	CHECK_INT(gone(scene), 80);
	CHECK(took >= 395000); /* 5 ms each */
	CHECK_WITHIN(begun, 0.5);
	for (guint i = 0; i < 80; i++)
		CHECK_UINT(scene->order[i], 20 + i);
	CHECK_UINT(stats_of(scene).waits, 80);
	CHECK_UINT(stats_of(scene).waiting, 0);
	CHECK(stats_of(scene).microseconds >= 80u * 150000); /* 200 ms in the mean */
	scene_free(scene);
}

static void test_bytes(const void *data)
{
	const Limits limits = {.limits[LIMITER_WRITE][LIMITER_BYTES] = {4 * MIB, 0}};
	Scene *scene = scene_new();
	gint64 begun;

	(void)data;
	CHECK(limiter_set(&scene->limiter, &limits, NULL));
	begun = g_get_monotonic_time();
	CHECK_UINT(scene_send(scene, 0, 5, MIB), 4);
	WAIT_WITHIN(10, gone(scene) == 4);
	CHECK_INT(gone(scene), 4);
	CHECK(g_get_monotonic_time() - begun >= 900000); /* 4 MiB, less the burst of a tenth */
	CHECK_UINT(scene_send(scene, 10, 1, 0), 1);
	scene_free(scene);
}

/* Reads are not held up by writes that are. */
static void test_apart(const void *data)
{
	const Limits limits = {.limits[LIMITER_WRITE][LIMITER_IOPS] = {30, 1},
			       .limits[LIMITER_READ][LIMITER_IOPS] = {1000, 100}};
	Scene *scene = scene_new();

	(void)data;
	CHECK(limiter_set(&scene->limiter, &limits, NULL));
	CHECK_UINT(scene_send(scene, 0, 30, 0), 29);
	for (guint i = 100; i < 150; i++)
		CHECK(!limiter_holds(&scene->limiter, &scene->items[i], METRICS_READ, 0));
	scene_free(scene);
	scene = scene_new();
	scene_set(scene, 30, 1);
	for (guint i = 0; i < ITEMS; i++)
		CHECK(!limiter_holds(&scene->limiter, &scene->items[i], METRICS_READ, 0));
	scene_free(scene);
}

/* What waits obeys a limit that is raised, or removed. */
static void test_change(const void *data)
{
	Scene *scene = scene_new();
	gint64 begun;

	(void)data;
	scene_set(scene, 30, 1);
	CHECK_UINT(scene_send(scene, 0, 250, 0), 249);
	begun = g_get_monotonic_time();
	scene_set(scene, 1000, 100);
	WAIT_WITHIN(5, gone(scene) >= 200);
	CHECK(gone(scene) >= 200);
	CHECK(gone(scene) <= 101 + (gint)((g_get_monotonic_time() - begun) / 1000));
	scene_set(scene, 30, 1);
	CHECK_UINT(scene_send(scene, 250, 100, 0), 100);
	begun = g_get_monotonic_time();
	scene_set(scene, 0, 0);
	WAIT_WITHIN(1, gone(scene) == 349);
	CHECK_WITHIN(begun, 0.3);
	CHECK_INT(gone(scene), 349);
	scene_free(scene);
}

static void test_cancel(const void *data)
{
	Scene *scene = scene_new();

	(void)data;
	scene_set(scene, 30, 1);
	CHECK_UINT(scene_send(scene, 0, 10, 0), 9);
	CHECK(!limiter_cancel(&scene->limiter, &scene->items[0]));
	for (guint i = 9; i > 1; i--) {
		CHECK(limiter_cancel(&scene->limiter, &scene->items[i]));
		CHECK(!limiter_cancel(&scene->limiter, &scene->items[i]));
	}
	CHECK_UINT(stats_of(scene).waiting, 1);
	CHECK_UINT(scene_send(scene, 20, 1, 0), 1);
	WAIT_WITHIN(5, gone(scene) == 2);
	CHECK_UINT(scene->order[0], 1);
	CHECK_UINT(scene->order[1], 20);
	scene_free(scene);
}

static void test_full(const void *data)
{
	const Limits both = {.limits[LIMITER_WRITE] = {{30, 1}, {2 * MIB, 0}}};
	Scene *scene = scene_new();

	(void)data;
	scene_set(scene, 30, 1);
	CHECK_UINT(scene_send(scene, 0, 257, 0), 256); /* what the lowest limit is there for */
	CHECK(!limiter_is_full(&scene->limiter, LIMITER_WRITE));
	CHECK_UINT(scene_send(scene, 257, 60, 0), 60);
	CHECK(limiter_is_full(&scene->limiter, LIMITER_WRITE));
	CHECK(!limiter_is_full(&scene->limiter, LIMITER_READ));
	CHECK_UINT(stats_of(scene).refused, 1);
	scene_set(scene, 100000, 1000); /* what has gone on is in nobody's way */
	WAIT_WITHIN(5, gone(scene) == 316);
	scene_set(scene, 30, 1);
	CHECK(!limiter_is_full(&scene->limiter, LIMITER_WRITE));
	scene_free(scene);
	scene = scene_new();
	CHECK(limiter_set(&scene->limiter, &both, NULL));
	scene_send(scene, 0, 150, 0); /* five seconds */
	CHECK(!limiter_is_full(&scene->limiter, LIMITER_WRITE));
	scene_send(scene, 150, 12, MIB); /* and six for the bytes */
	CHECK(limiter_is_full(&scene->limiter, LIMITER_WRITE));
	scene_free(scene);
}

/* limiter_clear() lets go at once what waits, and not before a call under way has ended. */
static gpointer clear_later(gpointer data)
{
	Scene *scene = data;

	limiter_clear(&scene->limiter);
	CHECK_INT(g_atomic_int_get(&scene->inside), 0);
	return NULL;
}

static void clear_with(guint n)
{
	Scene *scene = scene_new();
	GThread *thread;

	scene_set(scene, 30, 1);
	CHECK_UINT(scene_send(scene, 0, n, 0), n - 1);
	g_atomic_int_set(&scene->hang, TRUE);
	WAIT_WITHIN(5, g_atomic_int_get(&scene->inside));
	CHECK_INT(g_atomic_int_get(&scene->inside), 1);
	thread = g_thread_new("clear", clear_later, scene);
	g_usleep(50000);
	CHECK_INT(gone(scene), 0);
	g_atomic_int_set(&scene->hang, FALSE);
	g_thread_join(thread);
	CHECK_INT(gone(scene), (gint)n - 1);
	g_free(scene);
}

static void test_clear(const void *data)
{
	(void)data;
	clear_with(100);
	clear_with(2); /* the one whose call is under way */
}

/* A volume whose requests take long to be let go, or are many, keeps no other waiting. */
static void test_neighbour(const void *data)
{
	Scene *scenes[50];
	gint64 begun;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(scenes); i++) {
		scenes[i] = scene_new();
		scene_set(scenes[i], i ? 30 : 1000, i ? 1 : 10);
		scene_send(scenes[i], 0, i ? 250 : 0, 0);
	}
	begun = g_get_monotonic_time();
	CHECK_UINT(scene_send(scenes[0], 0, 310, 0), 300);
	WAIT_WITHIN(10, gone(scenes[0]) == 300);
	CHECK_INT(gone(scenes[0]), 300);
	CHECK_WITHIN(begun, 0.4);
	for (guint i = 0; i < G_N_ELEMENTS(scenes); i++)
		scene_free(scenes[i]);
}

/* ---- many threads */

#define SENDERS 8
#define SECONDS 2

typedef struct {
	LimiterItem item; /* first */
	GMutex lock;
	GCond cond;
	gboolean released;
} Waiter;

typedef struct {
	Limiter limiter;
	gint sent, ends; /* atomic */
} Crowd;

static void crowd_go(gpointer data, LimiterItem *item)
{
	Waiter *waiter = (Waiter *)item;

	(void)data;
	g_mutex_lock(&waiter->lock);
	waiter->released = TRUE;
	g_cond_signal(&waiter->cond);
	g_mutex_unlock(&waiter->lock);
}

static gpointer crowd_send(gpointer data)
{
	Crowd *crowd = data;
	Waiter waiter = {.released = FALSE};

	g_mutex_init(&waiter.lock);
	g_cond_init(&waiter.cond);
	while (!g_atomic_int_get(&crowd->ends)) {
		waiter.released = FALSE;
		if (limiter_holds(&crowd->limiter, &waiter.item, METRICS_READ, 4096)) {
			g_mutex_lock(&waiter.lock);
			while (!waiter.released)
				g_cond_wait(&waiter.cond, &waiter.lock);
			g_mutex_unlock(&waiter.lock);
		}
		g_atomic_int_inc(&crowd->sent);
	}
	g_cond_clear(&waiter.cond);
	g_mutex_clear(&waiter.lock);
	return NULL;
}

/* Each of many threads sends one request after the other, while another changes the burst. */
static void test_threads(const void *data)
{
	Crowd *crowd = g_new0(Crowd, 1);
	const LimiterOwner owner = {crowd_go, crowd};
	Limits limits = {.limits[LIMITER_READ][LIMITER_IOPS] = {2000, 20}};
	gint64 begun = g_get_monotonic_time(), end = begun + SECONDS * G_USEC_PER_SEC;
	GThread *threads[SENDERS];
	double seconds;

	(void)data;
	limiter_init(&crowd->limiter, &owner);
	CHECK(limiter_set(&crowd->limiter, &limits, NULL));
	for (guint i = 0; i < SENDERS; i++)
		threads[i] = g_thread_new("send", crowd_send, crowd);
	for (guint i = 0; g_get_monotonic_time() < end; i++) {
		limits.limits[LIMITER_READ][LIMITER_IOPS].burst = 20 + i % 100;
		CHECK(limiter_set(&crowd->limiter, &limits, NULL));
		g_usleep(1000);
	}
	seconds = (double)(g_get_monotonic_time() - begun) / G_USEC_PER_SEC;
	CHECK(g_atomic_int_get(&crowd->sent) <= (gint)(2000 * seconds) + 120 + 2 * SENDERS);
	CHECK(g_atomic_int_get(&crowd->sent) >= (gint)(1800 * seconds / test_time_factor()));
	g_atomic_int_set(&crowd->ends, TRUE);
	limiter_clear(&crowd->limiter); /* those that come afterwards go on */
	for (guint i = 0; i < SENDERS; i++)
		g_thread_join(threads[i]);
	g_free(crowd);
}

/* ---- what is refused */

static const struct {
	Limit iops, bytes;
	const char *message;
} invalid[] = {
	{{29, 0}, {0, 0}, "invalid write_iops 29 (at least 30, so that 256 requests that wait"},
	{{0, 0}, {MIB - 1, 0}, "invalid write_bytes 1048575 (at least 1048576, so that 10 MiB"},
	{{100000001, 0}, {0, 0}, "invalid write_iops 100000001 (at most 100000000)"},
};

/* A discard is a request, of no bytes; a flush is none. */
static void test_kinds(const void *data)
{
	const Limits limits = {.limits[LIMITER_WRITE] = {{30, 10}, {MIB, 0}}};
	Scene *scene = scene_new();

	(void)data;
	CHECK(limiter_set(&scene->limiter, &limits, NULL));
	for (guint i = 0; i < 10; i++)
		CHECK(!limiter_holds(&scene->limiter, &scene->items[i], METRICS_DISCARD, GIB));
	CHECK(limiter_holds(&scene->limiter, &scene->items[10], METRICS_DISCARD, GIB));
	CHECK(limiter_holds(&scene->limiter, &scene->items[11], METRICS_COMPARE_AND_WRITE, MIB));
	CHECK(!limiter_holds(&scene->limiter, &scene->items[12], METRICS_FLUSH, 0));
	CHECK(!limiter_holds(&scene->limiter, &scene->items[12], METRICS_UNCOUNTED, 0));
	CHECK(limiter_holds(&scene->limiter, &scene->items[12], METRICS_DISCARD, 0));
	WAIT_WITHIN(5, gone(scene) == 2);
	CHECK_INT(gone(scene), 2);
	g_usleep(100000);
	CHECK_INT(gone(scene), 2); /* the discard waits for the bytes */
	scene_free(scene);
}

/* For those who cannot wait. */
static void test_passes(const void *data)
{
	Scene *scene = scene_new();

	(void)data;
	scene_set(scene, 30, 3);
	for (guint i = 0; i < 3; i++)
		CHECK(limiter_passes(&scene->limiter, METRICS_WRITE, 0));
	CHECK(!limiter_passes(&scene->limiter, METRICS_WRITE, 0));
	limiter_return(&scene->limiter, METRICS_WRITE, 0);
	CHECK(limiter_passes(&scene->limiter, METRICS_WRITE, 0));
	CHECK(limiter_passes(&scene->limiter, METRICS_READ, 0));
	CHECK(limiter_passes(&scene->limiter, METRICS_FLUSH, 0));
	CHECK_UINT(scene_send(scene, 0, 5, 0), 5);
	scene_free(scene);
}

/* A burst outside the bounds is brought into them. */
static void test_bursts(const void *data)
{
	Scene *scene = scene_new();
	g_autoptr(Json) json = NULL;

	(void)data;
	scene_set(scene, 1000, 9);
	json = limiter_to_json(&scene->limiter);
	CHECK_INT(json_get_number(json_get_object(json, "write"), "iops_burst"), 10);
	json_object_put(g_steal_pointer(&json));
	scene_set(scene, 1000, 3600001);
	json = limiter_to_json(&scene->limiter);
	CHECK_INT(json_get_number(json_get_object(json, "write"), "iops"), 1000);
	CHECK_INT(json_get_number(json_get_object(json, "write"), "iops_burst"), 3600000);
	CHECK(!json_get_typed(json_get_object(json, "read"), "iops", json_type_int));
	scene_free(scene);
}

static void test_invalid(const void *data)
{
	Scene *scene = scene_new();
	Limits now;

	(void)data;
	scene_set(scene, 100, 10);
	for (guint i = 0; i < G_N_ELEMENTS(invalid); i++) {
		const Limits limits = {
			.limits[LIMITER_WRITE] = {invalid[i].iops, invalid[i].bytes}};
		g_autoptr(GError) error = NULL;

		test_row("row %u", i);
		CHECK(!limiter_set(&scene->limiter, &limits, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, invalid[i].message);
	}
	limiter_get(&scene->limiter, &now);
	CHECK_UINT(now.limits[LIMITER_WRITE][LIMITER_IOPS].rate, 100);
	limiter_clear(&scene->limiter);
	CHECK(!limiter_set(&scene->limiter, &now, NULL));
	g_free(scene);
}

int main(int argc, char **argv)
{
	test_add("without a limit nothing waits", test_none, NULL);
	test_add("requests go on in order, as fast as the limit says", test_order, NULL);
	test_add("bytes are limited, too", test_bytes, NULL);
	test_add("reads do not wait behind writes", test_apart, NULL);
	test_add("what waits obeys a changed limit", test_change, NULL);
	test_add("a request that is cancelled does not go on", test_cancel, NULL);
	test_add("a queue of more than ten seconds is full", test_full, NULL);
	test_add("the end lets all go, and waits for calls under way", test_clear, NULL);
	test_add("a volume at its limits keeps no other waiting", test_neighbour, NULL);
	test_add("many threads together get the rate", test_threads, NULL);
	test_add("discards count as requests, and flushes as nothing", test_kinds, NULL);
	test_add("a request that cannot wait passes, or not", test_passes, NULL);
	test_add("a burst stays in its bounds", test_bursts, NULL);
	test_add("invalid limits are refused, and the old ones stay", test_invalid, NULL);
	return test_run(argc, argv);
}
