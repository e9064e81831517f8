/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes that arrive while another is held up below the volume: they are carried out together
 * afterwards, and their threads do not wait.
 */
#include "fuse-fallback/combiner.h"

#include <errno.h>

#include "common/base/units.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

#define SIZE (64 * MIB)

typedef struct {
	gint hold; /* changes of the backing do not return; atomic */
	gint held; /* how many do not; atomic */
	Backing *real;
	Volume *volume;
	Sleepers *sleepers;
	Combiner *combiner;
} CombinerScene;

/* A write of `value`, and what became of it. */
typedef struct {
	CombinerScene *scene;
	const guint8 *data; /* the caller's */
	gsize length;
	guint64 offset;
	guint8 value;
	gboolean in_place; /* done() had the caller's data */
	gint done;	   /* how often; atomic */
	int result;
} TestWrite;

static void tell_done(gpointer task, const guint8 *data, int result)
{
	TestWrite *write = *(TestWrite **)task;

	CHECK_UINT(data[0], write->value);
	write->in_place = data == write->data;
	write->result = result;
	g_atomic_int_inc(&write->done);
}

static gboolean gate(guint64 offset, guint64 length, gpointer data)
{
	CombinerScene *scene = data;

	(void)offset, (void)length;
	if (!g_atomic_int_get(&scene->hold))
		return TRUE;
	g_atomic_int_inc(&scene->held);
	while (g_atomic_int_get(&scene->hold))
		g_usleep(200);
	g_atomic_int_add(&scene->held, -1);
	return TRUE;
}

static gboolean scene_init(CombinerScene *scene, guint takers)
{
	const VolumeParameters parameters = {.size = SIZE};

	*scene = (CombinerScene){.real = backing_faulty_new(0)};
	CHECK(volume_format(scene->real, &parameters, NULL));
	scene->volume =
		volume_open(backing_borrow_gated(scene->real, gate, scene), "test", 0, NULL);
	scene->sleepers = sleepers_new(takers, SLEEPERS_THREADS, NULL);
	if (scene->volume)
		scene->combiner = combiner_new(scene->volume, scene->sleepers, tell_done,
					       sizeof(TestWrite *), NULL);
	return CHECK(scene->sleepers && scene->combiner);
}

static void scene_clear(CombinerScene *scene)
{
	combiner_free(scene->combiner);
	sleepers_free(scene->sleepers);
	close_volume(scene->volume);
	backing_check(scene->real);
	backing_free(scene->real);
}

static gboolean write_begin(TestWrite *write, CombinerScene *scene, guint8 value, gsize length,
			    guint64 offset)
{
	g_autofree guint8 *bytes = g_malloc(length);
	gboolean taken;

	memset(bytes, value, length);
	*write = (TestWrite){.scene = scene,
			     .data = bytes,
			     .length = length,
			     .offset = offset,
			     .value = value,
			     .result = 1};
	taken = combiner_write(scene->combiner, &write, bytes, length, offset);
	memset(bytes, 0, length); /* nobody needs it any more */
	return taken;
}

static void write_check(TestWrite *write, int result)
{
	WAIT_WITHIN(20, g_atomic_int_get(&write->done));
	CHECK_INT(g_atomic_int_get(&write->done), 1);
	CHECK_INT(write->result, result);
	if (!result)
		check_value(write->scene->volume, write->value, write->length, write->offset);
}

static gpointer lead(gpointer data)
{
	TestWrite *write = data;

	CHECK(write_begin(write, write->scene, 1, BLOCK_SIZE, SIZE - BLOCK_SIZE));
	return NULL;
}

/* Makes another thread the leader, held up below the volume. */
static GThread *leader_start(TestWrite *write, CombinerScene *scene)
{
	GThread *thread;

	g_atomic_int_set(&scene->hold, TRUE);
	write->scene = scene;
	thread = g_thread_new("leader", lead, write);
	WAIT_WITHIN(20, g_atomic_int_get(&scene->held));
	CHECK(g_atomic_int_get(&scene->held) > 0);
	return thread;
}

static void leader_end(GThread *thread, CombinerScene *scene)
{
	g_atomic_int_set(&scene->hold, FALSE);
	g_thread_join(thread);
}

static void test_alone(const void *data)
{
	CombinerScene scene;
	TestWrite write;

	(void)data;
	REQUIRE(scene_init(&scene, 2));
	for (guint i = 0; i < 3; i++) {
		CHECK(write_begin(&write, &scene, (guint8)(1 + i), 3 * SECTOR_SIZE, i * MIB));
		CHECK_INT(g_atomic_int_get(&write.done), 1);
		CHECK(write.in_place);
		write_check(&write, 0);
	}
	scene_clear(&scene);
}

#define QUEUED 32u

/* They cost two changes of the backing, payloads and records. */
static void test_together(const void *data)
{
	CombinerScene scene;
	TestWrite first, writes[QUEUED];
	GThread *leader;
	guint64 before;

	(void)data;
	REQUIRE(scene_init(&scene, 2));
	for (guint i = 0; i < QUEUED; i++) /* makes the leaves */
		CHECK(write_begin(&writes[i], &scene, 200, BLOCK_SIZE, i * MIB));
	CHECK(write_begin(&first, &scene, 1, BLOCK_SIZE, SIZE - BLOCK_SIZE));
	before = backing_faulty_count(scene.real, FAULTY_MODIFY);
	leader = leader_start(&first, &scene);
	for (guint i = 0; i < QUEUED; i++)
		CHECK(write_begin(&writes[i], &scene, (guint8)(2 + i), BLOCK_SIZE, i * MIB));
	for (guint i = 0; i < QUEUED; i++)
		CHECK_INT(g_atomic_int_get(&writes[i].done), 0);
	leader_end(leader, &scene);
	CHECK_UINT(backing_faulty_count(scene.real, FAULTY_MODIFY) - before, 2 + 2);
	write_check(&first, 0);
	for (guint i = 0; i < QUEUED; i++) {
		test_row("write %u", i);
		write_check(&writes[i], 0);
	}
	test_row(NULL);
	scene_clear(&scene);
}

/* Each write has its own result. */
static void test_results(const void *data)
{
	CombinerScene scene;
	TestWrite first, bad, partial, good;
	GThread *leader;

	(void)data;
	REQUIRE(scene_init(&scene, 2));
	CHECK(write_begin(&partial, &scene, 9, BLOCK_SIZE, MIB));
	leader = leader_start(&first, &scene);
	CHECK(write_begin(&bad, &scene, 2, BLOCK_SIZE, SIZE));
	CHECK(write_begin(&partial, &scene, 3, SECTOR_SIZE, MIB));
	CHECK(write_begin(&good, &scene, 4, BLOCK_SIZE, 0));
	backing_faulty_delay(scene.real, FAULTY_READ, 1000); /* the rest of the block */
	leader_end(leader, &scene);
	backing_faulty_delay(scene.real, FAULTY_READ, 0);
	write_check(&bad, -EINVAL);
	write_check(&partial, -EAGAIN);
	write_check(&good, 0);
	check_value(scene.volume, 9, BLOCK_SIZE, MIB);
	scene_clear(&scene);
}

static void test_refused(const void *data)
{
	CombinerScene scene;
	TestWrite first, write;
	GThread *leader;

	(void)data;
	REQUIRE(scene_init(&scene, 2));
	CHECK(!write_begin(&write, &scene, 1, BLOCK_SIZE, 1));
	CHECK(!write_begin(&write, &scene, 1, 100, 0));
	CHECK(!write_begin(&write, &scene, 1, COMBINER_WRITE_MAX + SECTOR_SIZE, 0));
	CHECK(sleepers_try_write(scene.sleepers)); /* no further thread may write */
	CHECK(!write_begin(&write, &scene, 1, BLOCK_SIZE, 0));
	sleepers_end_write(scene.sleepers);
	CHECK(write_begin(&write, &scene, 1, BLOCK_SIZE, 0));
	leader = leader_start(&first, &scene);
	CHECK(!sleepers_try_write(scene.sleepers)); /* the leader does */
	leader_end(leader, &scene);
	CHECK(sleepers_try_write(scene.sleepers));
	sleepers_end_write(scene.sleepers);
	scene_clear(&scene);
}

/* The queue is full with a batch, by number or by bytes, and takes more when that is done. */
static void test_full(const void *data)
{
	static const gsize lengths[] = {SECTOR_SIZE, COMBINER_WRITE_MAX};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
		gsize length = lengths[i];
		guint room = (guint)MIN(VOLUME_BATCH_WRITES, VOLUME_BATCH_BYTES / length);
		TestWrite first, writes[VOLUME_BATCH_WRITES + 1];
		CombinerScene scene;
		GThread *leader;

		test_row("%u writes of %u bytes", room, (guint)length);
		REQUIRE(scene_init(&scene, 2));
		leader = leader_start(&first, &scene);
		for (guint k = 0; k <= room; k++)
			CHECK_INT(write_begin(&writes[k], &scene, (guint8)(1 + k), length,
					      k * length),
				  k < room);
		leader_end(leader, &scene);
		for (guint k = 0; k < room; k++)
			write_check(&writes[k], 0);
		CHECK(write_begin(&writes[room], &scene, 99, length, 0));
		write_check(&writes[room], 0);
		scene_clear(&scene);
	}
}

#define WRITERS 3u
#define ROUNDS 3000u

typedef struct {
	CombinerScene *scene;
	guint number;
	TestWrite writes[ROUNDS];
} Writer;

/* To blocks of the writer's own, each once. */
static gpointer write_many(gpointer data)
{
	Writer *writer = data;

	for (guint i = 0; i < ROUNDS; i++) {
		guint64 offset = blocks_to_bytes(i * WRITERS + writer->number);
		guint8 value = (guint8)(1 + (i + writer->number) % 250);

		while (!write_begin(&writer->writes[i], writer->scene, value, BLOCK_SIZE, offset))
			g_thread_yield();
	}
	return NULL;
}

static void test_many(const void *data)
{
	g_autofree Writer *writers = g_new0(Writer, WRITERS);
	GThread *threads[WRITERS];
	CombinerScene scene;

	(void)data;
	REQUIRE(scene_init(&scene, WRITERS));
	for (guint i = 0; i < WRITERS; i++) {
		writers[i].scene = &scene;
		writers[i].number = i;
		threads[i] = g_thread_new("writer", write_many, &writers[i]);
	}
	for (guint i = 0; i < WRITERS; i++)
		g_thread_join(threads[i]);
	for (guint i = 0; i < WRITERS; i++)
		for (guint k = 0; k < ROUNDS && !test_failed(); k++)
			write_check(&writers[i].writes[k], 0);
	scene_clear(&scene);
}

int main(int argc, char **argv)
{
	test_add("a write that meets no other is carried out in place", test_alone, NULL);
	test_add("writes that arrive meanwhile go together", test_together, NULL);
	test_add("each write has its own result", test_results, NULL);
	test_add("what does not fit together is refused", test_refused, NULL);
	test_add("no more than a batch is queued", test_full, NULL);
	test_add("many writers lose nothing", test_many, NULL);
	test_alarm(60, "combiner");
	return test_run(argc, argv);
}
