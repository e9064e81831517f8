/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests over FUSE that wait for limits: they are copies, and none is lost.
 */
#include "fuse-fallback/limited.h"

#include <string.h>

#include "common/base/units.h"
#include "tests/harness.h"

#define REQUESTS 40

typedef struct {
	Limited limited; /* first */
	Sleepers *sleepers;
	gint ran[REQUESTS], wrong; /* atomic */
} Scene;

typedef struct {
	Scene *scene;
	guint number;
	gsize length;
	guint8 tail; /* so that the size is odd */
} Held;

static void held_ran(gpointer data, const guint8 *bytes)
{
	const Held *held = data;

	g_atomic_int_inc(&held->scene->ran[held->number]);
	if (held->tail != held->number || !bytes != !held->length)
		g_atomic_int_inc(&held->scene->wrong);
	for (gsize i = 0; i < held->length; i++)
		if (bytes[i] != held->number) {
			g_atomic_int_inc(&held->scene->wrong);
			break;
		}
}

static Scene *scene_new(guint64 iops)
{
	const Limits limits = {.limits[LIMITER_WRITE][LIMITER_IOPS] = {iops, 1}};
	Scene *scene = g_new0(Scene, 1);

	scene->sleepers = sleepers_new(2, SLEEPERS_THREADS, NULL);
	limited_init(&scene->limited, scene->sleepers, held_ran, sizeof(Held));
	CHECK(limiter_set(&scene->limited.limiter, &limits, NULL));
	return scene;
}

/* As a server ends. */
static void scene_free(Scene *scene)
{
	limited_clear(&scene->limited);
	sleepers_free(scene->sleepers);
	CHECK_INT(scene->wrong, 0);
	g_free(scene);
}

/* Sends all of them, with memory that is another's right after.  Returns how many were held. */
static guint scene_send(Scene *scene, MetricsKind kind, gsize length)
{
	g_autofree guint8 *data = g_malloc(length + 1);
	guint held = 0;

	for (guint i = 0; i < REQUESTS; i++) {
		Held task = {.scene = scene, .number = i, .length = length, .tail = (guint8)i};
		const LimitedRequest request = {.kind = kind,
						.bytes = length,
						.by = SLEEPERS_CHANGE,
						.data = length ? data : NULL,
						.length = length};

		memset(data, (int)i, length);
		held += limited_holds(&scene->limited, &request, &task);
		memset(data, 0xff, length);
		memset(&task, 0xff, sizeof task);
	}
	return held;
}

static guint count_ran(Scene *scene)
{
	guint sum = 0;

	for (guint i = 0; i < REQUESTS; i++)
		sum += (guint)g_atomic_int_get(&scene->ran[i]);
	return sum;
}

static void test_copies(const void *data)
{
	static const gsize lengths[] = {0, 4097, 128 * KIB};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
		Scene *scene = scene_new(30);
		guint held = scene_send(scene, METRICS_WRITE, lengths[i]);

		test_row("%u bytes", (guint)lengths[i]);
		CHECK(held > 0 && held <= REQUESTS - 1);
		WAIT_WITHIN(10, count_ran(scene) == held);
		CHECK_UINT(count_ran(scene), held);
		scene_free(scene);
	}
}

static void test_end(const void *data)
{
	Scene *scene = scene_new(30);
	gint64 begun = g_get_monotonic_time();
	guint held = scene_send(scene, METRICS_WRITE, 4096);

	(void)data;
	CHECK(held >= REQUESTS - 10);
	CHECK(count_ran(scene) < REQUESTS / 2);
	limited_clear(&scene->limited);
	WAIT_WITHIN(1, count_ran(scene) == held);
	CHECK_UINT(count_ran(scene), held);
	CHECK_WITHIN(begun, 0.9);
	scene_free(scene);
}

static void test_others(const void *data)
{
	Scene *scene = scene_new(30);

	(void)data;
	CHECK_UINT(scene_send(scene, METRICS_READ, 0), 0);
	CHECK_UINT(scene_send(scene, METRICS_FLUSH, 0), 0);
	CHECK_UINT(count_ran(scene), 0);
	scene_free(scene);
}

int main(int argc, char **argv)
{
	test_add("what waits is a copy, of task and data", test_copies, NULL);
	test_add("the end has all carried out that waits", test_end, NULL);
	test_add("what has no limit goes on", test_others, NULL);
	return test_run(argc, argv);
}
