/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What deleting snapshots frees, in chosen cases.  test-snapshots-model proves the same in random
 * ones.
 */
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/volume-snapshots.h"
#include "common/engine/volume-usage.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"
#include "tests/engine/usage-proof.h"
#include "tests/harness.h"

#define SIZE (64 * MIB)
#define BLOCKS 256u /* of one leaf */

typedef struct {
	Backing *backing;
	Volume *volume;
} Scene;

static void scene_init(Scene *scene)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = MIB};

	scene->backing = backing_faulty_new(0);
	CHECK(volume_format(scene->backing, &parameters, NULL));
	scene->volume = backing_open_volume(scene->backing);
	REQUIRE(scene->volume);
}

static void scene_clear(Scene *scene)
{
	if (scene->volume)
		close_volume(scene->volume);
	backing_free(scene->backing);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scene, scene_clear)

static void write_blocks(Volume *volume, guint64 first, guint64 n, guint8 value)
{
	for (guint64 i = first; i < first + n; i++)
		CHECK_INT(volume_put_value(volume, value, BLOCK_SIZE, i * BLOCK_SIZE), 0);
}

static void take(Volume *volume, const char *name)
{
	const VolumeSnapshotParameters parameters = {.name = name};
	g_autoptr(GError) error = NULL;
	guint64 generation;

	CHECK(volume_snapshot_begin(volume, &parameters, &generation, &error));
	CHECK(volume_snapshot_wait(volume, generation, 60, &error));
	CHECK_NO_ERROR(error);
}

static guint64 alone(Volume *volume, const char *name)
{
	guint64 generation = usage_generation(volume, name);

	CHECK(generation > 0);
	return usage_ask(volume, &generation, 1, NULL);
}

/* ZFS's USED would say 0 of each: what two snapshots share becomes free with both. */
static void test_a_run(const void *data)
{
	static const char *const names[] = {"a", "b"};
	g_auto(Scene) scene = {0};

	(void)data;
	scene_init(&scene);
	write_blocks(scene.volume, 0, BLOCKS, 1);
	take(scene.volume, "a");
	take(scene.volume, "b");
	write_blocks(scene.volume, 0, BLOCKS, 2);
	CHECK_UINT(alone(scene.volume, "a"), 0);
	CHECK_UINT(alone(scene.volume, "b"), 0);
	usage_prove(scene.volume, scene.backing, names, 2);
	usage_prove(scene.volume, scene.backing, names, 1);
	usage_prove(scene.volume, scene.backing, names + 1, 1);
}

/* A branch point frees nothing until one branch is gone, and then is freed with that branch. */
static void test_branch(const void *data)
{
	const char *const branch[] = {"b"}, *const both[] = {"a", "b"};
	VolumeUsageQuestion question = {.begin = TRUE, .n = 1, .milliseconds = 1000};
	g_autoptr(GError) error = NULL;
	g_auto(VolumeUsage) usage = {0};
	g_auto(Scene) scene = {0};
	guint64 generation;

	(void)data;
	scene_init(&scene);
	write_blocks(scene.volume, 0, BLOCKS, 1);
	take(scene.volume, "a");
	write_blocks(scene.volume, 0, BLOCKS / 2, 2);
	take(scene.volume, "b");
	CHECK(volume_rollback(scene.volume, "a", VOLUME_ROLLBACK_DISCARD, NULL, &error));
	CHECK_NO_ERROR(error);
	write_blocks(scene.volume, 0, BLOCKS, 3);
	generation = usage_generation(scene.volume, "a");
	question.generations = &generation;
	CHECK(volume_usage(scene.volume, &question, &usage, &error));
	CHECK(usage.done);
	CHECK_UINT(g_array_index(usage.counts, VolumeUsageCount, 0).waiting, 1);
	CHECK_UINT(g_array_index(usage.counts, VolumeUsageCount, 0).bytes, 0);
	usage_prove(scene.volume, scene.backing, both, 2);
	CHECK(volume_snapshot_delete(scene.volume, "a", 0, &error));
	CHECK_NO_ERROR(error);
	usage_prove(scene.volume, scene.backing, branch, 1);
}

/* What was counted is counted again once the volume was written, or the snapshots are others. */
static void test_kept(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(Scene) scene = {0};
	guint64 before, after;

	(void)data;
	scene_init(&scene);
	write_blocks(scene.volume, 0, BLOCKS, 1);
	take(scene.volume, "a");
	write_blocks(scene.volume, 0, 10, 2);
	before = alone(scene.volume, "a");
	CHECK_UINT(alone(scene.volume, "a"), before);
	write_blocks(scene.volume, 10, 10, 2);
	after = alone(scene.volume, "a");
	CHECK_UINT(after, before + 10 * BLOCK_SIZE);
	take(scene.volume, "b");
	write_blocks(scene.volume, 20, 10, 3);
	CHECK_UINT(alone(scene.volume, "a"), after);
	CHECK(volume_snapshot_delete(scene.volume, "b", 0, &error));
	CHECK_NO_ERROR(error);
	CHECK_UINT(alone(scene.volume, "a"), after + 10 * BLOCK_SIZE);
}

static void test_unknown(const void *data)
{
	const guint64 generation = 4711;
	VolumeUsageQuestion question = {.begin = TRUE, .generations = &generation, .n = 1};
	g_autoptr(GError) error = NULL;
	g_auto(VolumeUsage) usage = {0};
	g_auto(Scene) scene = {0};

	(void)data;
	scene_init(&scene);
	CHECK(!volume_usage(scene.volume, &question, &usage, &error));
	CHECK(g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND));
}

/* ---- while the volume is written */

typedef struct {
	Volume *volume;
	gint stop; /* atomic */
	guint written;
} Writing;

/* Overwrites what the snapshot has, and discards some of it in large pieces. */
static gpointer write_on(gpointer data)
{
	Writing *writing = data;
	TestRandom random = test_random_new(test_seed());

	while (!g_atomic_int_get(&writing->stop)) {
		guint64 block = test_random_below(&random, SIZE / BLOCK_SIZE);

		if (test_random_below(&random, 200))
			write_blocks(writing->volume, block, 1, 5);
		else
			CHECK_INT(volume_discard(writing->volume,
						 block / BLOCKS * BLOCKS * BLOCK_SIZE,
						 BLOCKS * BLOCK_SIZE),
				  0);
		writing->written++;
		g_usleep(100);
	}
	return NULL;
}

/* The number is then of one instant between the beginning of the count and its end. */
static void test_moving(const void *data)
{
	g_auto(Scene) scene = {0};
	guint64 before, after;

	(void)data;
	scene_init(&scene);
	for (guint64 i = 0; i < SIZE / MIB; i++)
		CHECK_INT(volume_put_value(scene.volume, 1, MIB, i * MIB), 0);
	take(scene.volume, "a");
	before = alone(scene.volume, "a");
	for (guint i = 0; i < 5; i++) {
		Writing writing = {.volume = scene.volume};
		GThread *thread = g_thread_new("writer", write_on, &writing);
		gboolean moving;
		guint64 generation = usage_generation(scene.volume, "a"), said;

		g_usleep(50000);
		said = usage_ask(scene.volume, &generation, 1, &moving);
		g_atomic_int_set(&writing.stop, TRUE);
		g_thread_join(thread);
		after = alone(scene.volume, "a");
		CHECK(said >= before);
		CHECK(said <= after);
		CHECK(writing.written > 0);
		before = after;
	}
	CHECK(after > 0);
	usage_prove(scene.volume, scene.backing, (const char *const[]){"a"}, 1);
}

/* Snapshots come and go while they are counted. */
static void test_changing(const void *data)
{
	g_auto(Scene) scene = {0};
	VolumeUsageQuestion question = {.begin = TRUE, .milliseconds = 1};
	guint left = 0;

	(void)data;
	scene_init(&scene);
	for (guint i = 0; i < 12; i++) {
		g_autofree char *name = g_strdup_printf("s%u", i);
		g_autofree char *old = g_strdup_printf("s%u", i / 2);
		g_auto(VolumeUsage) usage = {0};
		g_autoptr(GError) error = NULL;

		write_blocks(scene.volume, i * 700 % 10000, 300, (guint8)(i + 1));
		take(scene.volume, name);
		CHECK(volume_usage(scene.volume, &question, &usage, &error));
		question.begin = FALSE;
		if (i % 2)
			CHECK(volume_snapshot_delete(scene.volume, old, 0, &error));
		CHECK_NO_ERROR(error);
	}
	CHECK(volume_settled(scene.volume, volume_settle(scene.volume), 60));
	for (guint i = 0; i < 12; i++) {
		g_autofree char *name = g_strdup_printf("s%u", i);
		const char *names[] = {name};

		if (!usage_generation(scene.volume, name))
			continue;
		usage_prove(scene.volume, scene.backing, names, 1);
		left++;
	}
	CHECK_UINT(left, 6);
}

/* The pace is kept from call to call: 80 nodes and more at 256 KiB a second, after the first 64 of
 * them. */
static void test_pace(const void *data)
{
	VolumeUsageQuestion question = {.begin = TRUE, .rate = 256 * KIB, .milliseconds = 20};
	gint64 begun;
	g_auto(Scene) scene = {0};
	guint calls = 0;
	gboolean done = FALSE;

	(void)data;
	scene_init(&scene);
	for (guint64 i = 0; i < 40; i++)
		write_blocks(scene.volume, i * BLOCKS, 1, 1);
	take(scene.volume, "a");
	for (guint64 i = 0; i < 40; i++)
		write_blocks(scene.volume, i * BLOCKS, 1, 2);
	take(scene.volume, "b");
	begun = g_get_monotonic_time();
	for (; !done && calls < 3000 && !test_failed(); calls++) {
		g_autoptr(GError) error = NULL;
		g_auto(VolumeUsage) usage = {0};

		CHECK(volume_usage(scene.volume, &question, &usage, &error));
		CHECK_NO_ERROR(error);
		done = usage.done;
		question.begin = FALSE;
	}
	CHECK(done);
	CHECK(calls > 20);
	CHECK(g_get_monotonic_time() - begun > 900 * G_TIME_SPAN_MILLISECOND);
}

int main(int argc, char **argv)
{
	test_add("a run frees more than its snapshots alone", test_a_run, NULL);
	test_add("branch points", test_branch, NULL);
	test_add("what is kept, and what is counted again", test_kept, NULL);
	test_add("no such snapshot", test_unknown, NULL);
	test_add("while the volume is written", test_moving, NULL);
	test_add("while snapshots come and go", test_changing, NULL);
	test_add("pace", test_pace, NULL);
	return test_run(argc, argv);
}
