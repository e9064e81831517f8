/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies that wait for a flush: each for one that begins after it came, and many for one.
 */
#include "fuse-fallback/acknowledger.h"

#include <errno.h>

#include "common/base/logging.h"
#include "common/base/units.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

#define SIZE (8 * MIB)

typedef struct {
	Backing *backing;
	Volume *volume;
	Acknowledger *acknowledger;
} AckScene;

/* A change that waits, and what became of it. */
typedef struct {
	AckScene *scene;
	guint64 offset;
	gboolean durable; /* the disk had it when it was acknowledged */
	int result;
	gint done; /* atomic */
} AckChange;

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* What a loss of power would leave. */
static gboolean disk_has(AckScene *scene, guint64 offset)
{
	g_autoptr(Backing) left = backing_faulty_crash(scene->backing, 0);
	guint8 block[BLOCK_SIZE] = {0};
	struct iovec iov = {block, sizeof block};
	Volume *volume = volume_open(backing_borrow(left), "left", VOLUME_OPEN_READ_ONLY, NULL);
	gboolean has;

	if (!CHECK(volume))
		return FALSE;
	has = !volume_read(volume, &iov, 1, offset, NULL) && block[0] == 'a';
	volume_close(volume, NULL);
	return has;
}

static void change_done(gpointer task, int result)
{
	AckChange *change = *(AckChange **)task;

	change->result = result;
	change->durable = disk_has(change->scene, change->offset);
	g_atomic_int_inc(&change->done);
}

static gboolean scene_init(AckScene *scene)
{
	const VolumeParameters parameters = {.size = SIZE, .write_through = TRUE};

	scene->backing = backing_faulty_new(0);
	CHECK(volume_format(scene->backing, &parameters, NULL));
	scene->volume = volume_open(backing_borrow(scene->backing), "test", 0, NULL);
	scene->acknowledger =
		acknowledger_new(scene->volume, change_done, sizeof(AckChange *), NULL);
	return CHECK(scene->volume && scene->acknowledger);
}

static void scene_clear(AckScene *scene)
{
	acknowledger_free(scene->acknowledger);
	volume_close(scene->volume, NULL);
	backing_free(scene->backing);
}

static void change_make(AckScene *scene, AckChange *change, guint64 offset)
{
	static guint8 data[BLOCK_SIZE] = {'a'};
	const struct iovec iov = {data, sizeof data};
	AckChange *task = change;

	*change = (AckChange){.scene = scene, .offset = offset, .result = 1};
	CHECK_INT(volume_write(scene->volume, &iov, 1, offset, NULL), 0);
	acknowledger_add(scene->acknowledger, &task);
}

static gboolean change_wait(AckChange *change)
{
	gint64 end = g_get_monotonic_time() + test_time_limit(10);

	while (!g_atomic_int_get(&change->done) && g_get_monotonic_time() < end)
		g_usleep(200);
	return CHECK_INT(g_atomic_int_get(&change->done), 1);
}

static void test_durable(const void *data)
{
	AckScene scene;

	(void)data;
	REQUIRE(scene_init(&scene));
	for (guint i = 0; i < 20 && !test_failed(); i++) {
		AckChange change;

		change_make(&scene, &change, i * 7 * BLOCK_SIZE);
		if (!change_wait(&change))
			break;
		CHECK_INT(change.result, 0);
		CHECK(change.durable);
	}
	scene_clear(&scene);
}

#define CHANGES 100

/* The changes that are made while a flush runs are not the business of that flush. */
static void test_shared(const void *data)
{
	AckChange changes[CHANGES];
	AckScene scene;
	guint64 before;

	(void)data;
	REQUIRE(scene_init(&scene));
	backing_faulty_delay(scene.backing, FAULTY_FLUSH, 20000);
	before = backing_faulty_count(scene.backing, FAULTY_FLUSH);
	for (guint i = 0; i < CHANGES; i++)
		change_make(&scene, &changes[i], i * BLOCK_SIZE);
	for (guint i = 0; i < CHANGES && change_wait(&changes[i]); i++) {
		CHECK_INT(changes[i].result, 0);
		CHECK(changes[i].durable);
	}
	CHECK(backing_faulty_count(scene.backing, FAULTY_FLUSH) - before < CHANGES);
	scene_clear(&scene);
}

static void test_refused(const void *data)
{
	AckChange change;
	AckScene scene;

	(void)data;
	REQUIRE(scene_init(&scene));
	backing_faulty_fail(scene.backing, FAULTY_FLUSH, 0, EIO, TRUE, FALSE);
	change_make(&scene, &change, 0);
	if (change_wait(&change))
		CHECK_INT(change.result, -EIO);
	scene_clear(&scene);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	test_add("a change is durable when it is acknowledged", test_durable, NULL);
	test_add("changes that wait together share flushes", test_shared, NULL);
	test_add("a change whose flush fails is told so", test_refused, NULL);
	return test_run(argc, argv);
}
