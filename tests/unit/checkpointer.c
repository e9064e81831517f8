/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The thread that makes checkpoints, over an engine without a volume: what each caller waits for.
 */
#include "common/engine/checkpointer.h"
#include "common/base/units.h"
#include "tests/backing/faulty.h"
#include "tests/harness.h"
#include "tests/unit/engines.h"

#include <errno.h>

typedef struct {
	Backing *backing;
	Engine *engine;
	Checkpointer *cp;
} Scene;

static void scene_init(Scene *scene)
{
	scene->backing = backing_new_formatted();
	scene->engine = engine_new_in(scene->backing);
	scene->cp = checkpointer_new(scene->engine, NULL);
	CHECK(scene->cp != NULL);
}

static void scene_clear(Scene *scene)
{
	checkpointer_free(scene->cp);
	engine_free(scene->engine);
	backing_free(scene->backing);
}

static void test_run_one(const void *data)
{
	Scene scene;

	(void)data;
	scene_init(&scene);
	CHECK_UINT(checkpointer_count(scene.cp), 0);
	for (guint i = 1; i < 4; i++) {
		CHECK_INT(engine_put(scene.engine, i, (guint8)i), 0);
		CHECK_INT(checkpointer_run(scene.cp), 0);
		CHECK_UINT(checkpointer_count(scene.cp), i);
		CHECK_UINT(journal_used(scene.engine->journal), 0);
	}
	scene_clear(&scene);
}

static void test_run_fails(const void *data)
{
	Scene scene;

	(void)data;
	scene_init(&scene);
	CHECK_INT(engine_put(scene.engine, 1, 1), 0);
	backing_faulty_fail(scene.backing, FAULTY_WRITE, 0, ENOSPC, FALSE, FALSE);
	CHECK_INT(checkpointer_run(scene.cp), -ENOSPC);
	CHECK_INT(checkpointer_run(scene.cp), 0); /* completes it */
	CHECK_INT(engine_put(scene.engine, 2, 1), 0);
	backing_faulty_fail(scene.backing, FAULTY_FLUSH, 0, EIO, FALSE, FALSE);
	CHECK_INT(checkpointer_run(scene.cp), -EIO);
	CHECK(engine_has_failed(scene.engine));
	CHECK_INT(checkpointer_run(scene.cp), -ESHUTDOWN);
	scene_clear(&scene);
}

/* More than half of the journal is in use, so the thread makes a checkpoint by itself. */
static void test_due(const void *data)
{
	Scene scene;
	guint n = 0;

	(void)data;
	scene_init(&scene);
	while (!journal_wants_checkpoint(scene.engine->journal) && n < 2000)
		CHECK_INT(engine_put(scene.engine, n++ % 200, 3), 0);
	checkpointer_kick(scene.cp);
	WAIT_WITHIN(5, checkpointer_count(scene.cp) > 0);
	CHECK(checkpointer_count(scene.cp) > 0);
	scene_clear(&scene);
}

static void test_make_room(const void *data)
{
	MapInfo info;
	Scene scene;

	(void)data;
	scene_init(&scene);
	for (guint i = 0; i < 300; i++)
		CHECK_INT(engine_put(scene.engine, i, 4), 0);
	CHECK_INT(checkpointer_run(scene.cp), 0);
	CHECK_INT(engine_zero(scene.engine, 0, ENGINE_BLOCKS), 0);
	CHECK_INT(checkpointer_make_room(scene.cp), 0);
	CHECK_INT(checkpointer_make_room(scene.cp), 0);
	map_get_info(scene.engine->map, &info);
	CHECK_UINT(info.data_slots, 0);
	CHECK_UINT(slots_retired_bytes(scene.engine->slots), 0);
	scene_clear(&scene);
}

static void test_settle(const void *data)
{
	MapInfo info;
	Scene scene;

	(void)data;
	scene_init(&scene);
	for (guint i = 0; i < 300; i++)
		CHECK_INT(engine_put(scene.engine, i, 4), 0);
	CHECK_INT(engine_zero(scene.engine, 0, ENGINE_BLOCKS), 0);
	CHECK(checkpointer_settled(scene.cp, checkpointer_settle(scene.cp, TRUE), 10));
	map_get_info(scene.engine->map, &info);
	CHECK(!info.reclaimable);
	/* Only words that are partly in use stay warm. */
	CHECK(slots_warm_bytes(scene.engine->slots) < 256 * KIB);
	CHECK(checkpointer_settled(scene.cp, 0, 0));
	scene_clear(&scene);
}

static void test_resize(const void *data)
{
	Scene scene;

	(void)data;
	scene_init(&scene);
	CHECK_INT(checkpointer_resize(scene.cp, 2 * ENGINE_SIZE, 10), 0);
	CHECK_UINT(engine_size(scene.engine), 2 * ENGINE_SIZE);
	scene_clear(&scene);
}

/* ---- snapshots beside a checkpoint's flush */

static const Snapshot wish = {
	.name = "s", .uuid = {1}, .created = 1, .state = FORMAT_SNAPSHOT_ALIVE};

static gpointer run_checkpoint(gpointer cp)
{
	return GINT_TO_POINTER(checkpointer_run(cp));
}

/* Its instant does not wait for the flush; if the flush fails, so does the snapshot. */
static void test_instant(const void *data)
{
	(void)data;
	for (guint fail = 0; fail < 2; fail++) {
		gint64 limit = test_time_limit(0.2), flush = MIN(limit, G_USEC_PER_SEC), begun;
		guint64 generation = 0;
		GThread *other;
		Scene scene;

		test_row(fail ? "the flush fails" : "the flush takes long");
		scene_init(&scene);
		CHECK_INT(engine_put(scene.engine, 1, 1), 0);
		backing_faulty_delay(scene.backing, FAULTY_FLUSH, (guint)flush);
		if (fail)
			backing_faulty_fail(scene.backing, FAULTY_FLUSH, 0, EIO, FALSE, FALSE);
		begun = g_get_monotonic_time();
		other = g_thread_new("checkpoint", run_checkpoint, scene.cp);
		g_usleep((gulong)flush / 4); /* the flush runs */
		CHECK_UINT(checkpointer_count(scene.cp), 0);
		CHECK_INT(checkpointer_snapshot(scene.cp, &wish, &generation), 0);
		CHECK(g_get_monotonic_time() - begun < flush);
		CHECK_UINT(checkpointer_count(scene.cp), 0);
		CHECK_INT(checkpointer_await(scene.cp, generation, 0), -ETIMEDOUT);
		CHECK_INT(engine_put(scene.engine, 1, 2), 0);
		CHECK_INT(checkpointer_await(scene.cp, generation, 600), fail ? -ESHUTDOWN : 0);
		CHECK_INT(GPOINTER_TO_INT(g_thread_join(other)), fail ? -EIO : 0);
		if (!fail)
			CHECK_UINT(checkpointer_count(scene.cp), 2);
		scene_clear(&scene);
	}
}

/* ---- calls */

typedef struct {
	Scene scene;
	GThread *caller;
	gint calls, hold, held; /* atomic */
} Calls;

static void call(Engine *engine, gpointer data)
{
	Calls *calls = data;

	CHECK(engine == calls->scene.engine && g_thread_self() != calls->caller);
	CHECK(!engine->frozen);
	g_atomic_int_inc(&calls->calls);
	g_atomic_int_set(&calls->held, TRUE);
	while (g_atomic_int_get(&calls->hold))
		g_usleep(1000);
}

static gpointer call_often(gpointer data)
{
	Calls *calls = data;

	for (guint i = 0; i < 20; i++)
		checkpointer_call(calls->scene.cp, call, calls);
	return NULL;
}

static void test_calls(const void *data)
{
	Calls calls = {.caller = g_thread_self()};
	GThread *threads[3];

	(void)data;
	scene_init(&calls.scene);
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("calls", call_often, &calls);
	for (guint i = 0; i < 10; i++)
		CHECK_INT(checkpointer_run(calls.scene.cp), 0);
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
	CHECK_INT(calls.calls, 20 * G_N_ELEMENTS(threads));
	scene_clear(&calls.scene);
}

/* ---- pressure: the thread is held in a call, so that no checkpoint makes room */

static gpointer call_and_hold(gpointer data)
{
	Calls *calls = data;

	checkpointer_call(calls->scene.cp, call, calls);
	return NULL;
}

static gpointer throttle(gpointer data)
{
	return GINT_TO_POINTER(checkpointer_throttle(data, BLOCK_SIZE, 1));
}

/* Makes as many nodes dirty as the map may have, with one leaf for each block. */
static void crowd(Engine *engine)
{
	map_set_limit(engine->map, 256);
	for (guint64 i = 0; i < 256 && map_pressure(engine->map) < 100; i++)
		CHECK_INT(engine_put(engine, i * 256, 1), 0);
	CHECK_UINT(map_pressure(engine->map), 100);
}

static void test_throttle(const void *data)
{
	(void)data;
	for (guint fail = 0; fail < 2; fail++) {
		Calls calls = {.hold = TRUE};
		GThread *holder, *waiter;
		gint64 begun;

		test_row(fail ? "the volume fails" : "a checkpoint makes room");
		scene_init(&calls.scene);
		CHECK_INT(checkpointer_throttle(calls.scene.cp, MIB, 1), 0); /* no pressure */
		holder = g_thread_new("hold", call_and_hold, &calls);
		WAIT_WITHIN(5, g_atomic_int_get(&calls.held));
		crowd(calls.scene.engine);
		begun = g_get_monotonic_time();
		waiter = g_thread_new("waits", throttle, calls.scene.cp);
		g_usleep(50000); /* the change must still wait at the end of this time */
		if (fail)
			engine_fail(calls.scene.engine, "on purpose");
		g_atomic_int_set(&calls.hold, FALSE);
		CHECK_INT(GPOINTER_TO_INT(g_thread_join(waiter)), fail ? -ESHUTDOWN : 0);
		CHECK(g_get_monotonic_time() - begun >= 50000);
		CHECK_WITHIN(begun, 10);
		g_thread_join(holder);
		scene_clear(&calls.scene);
	}
}

int main(int argc, char **argv)
{
	test_add("each run makes a checkpoint", test_run_one, NULL);
	test_add("a run says why there is none", test_run_fails, NULL);
	test_add("a checkpoint is made when one is due", test_due, NULL);
	test_add("discarded space becomes room", test_make_room, NULL);
	test_add("settling frees everything, and gives it back", test_settle, NULL);
	test_add("a new size is part of a checkpoint", test_resize, NULL);
	test_add("a snapshot's instant does not wait for the disk", test_instant, NULL);
	test_add("each call runs once, between checkpoints", test_calls, NULL);
	test_add("a change waits while the map is crowded", test_throttle, NULL);
	return test_run(argc, argv);
}
