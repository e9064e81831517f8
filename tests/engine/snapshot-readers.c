/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who reads a snapshot beside the server of its volume: another process, while the volume is
 * overwritten and other snapshots come and go (I4); and an opener against the deleter.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/volume-snapshots.h"
#include "common/service/readers.h"
#include "tests/engine/snapshot-proof.h"
#include "tests/engine/support.h"

#define SIZE (16 * MIB)
#define BLOCKS (SIZE / BLOCK_SIZE)
#define SECONDS 3

/* ---- another process: `snapshot-readers --read FILE SNAPSHOT MODEL` */

/* Whether every block is full of the byte that the model has for it; holes are 0. */
static gboolean content_is(Volume *volume, const guint8 *model)
{
	guint8 block[BLOCK_SIZE];

	for (guint64 b = 0; b < BLOCKS; b++) {
		int r = volume_get(volume, block, sizeof block, b * BLOCK_SIZE);

		if (!r && block[0] == model[b] && !memcmp(block, block + 1, sizeof block - 1))
			continue;
		fprintf(stderr, "block %u: result %d, byte %u, wanted %u\n", (guint)b, r, block[0],
			model[b]);
		return FALSE;
	}
	return TRUE;
}

/* Opens and reads until standard input ends.  Returns the exit status. */
static int read_for_others(const char *path, const char *snapshot, const char *model)
{
	g_autofree char *text = NULL;
	gsize length;
	guint rounds = 0;
	char byte;

	if (!g_file_get_contents(model, &text, &length, NULL) || length != BLOCKS ||
	    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK))
		return 2;
	for (; rounds < 2 || read(STDIN_FILENO, &byte, 1) < 0; rounds++) {
		g_autoptr(GError) error = NULL;
		Backing *backing = backing_open(path, BACKING_OPEN_READ_ONLY, &error);
		Volume *volume =
			backing ? volume_open_snapshot(backing, "v", snapshot, NULL, NULL, &error)
				: NULL;
		gboolean good = volume && content_is(volume, (guint8 *)text);

		if (!volume)
			fprintf(stderr, "round %u: %s\n", rounds, error->message);
		volume_close(volume, NULL);
		if (!good)
			return 1;
	}
	return 0;
}

/* ---- a volume that is overwritten all the time */

typedef struct {
	Volume *volume;
	GMutex lock; /* held by a write, and while the model is copied at a snapshot's instant */
	guint8 model[BLOCKS];
	gint stop;
	guint64 writes;
} Writer;

static gpointer writer_main(gpointer data)
{
	Writer *writer = data;
	TestRandom random = test_random_new(test_seed());
	guint8 bytes[16 * BLOCK_SIZE];

	while (!g_atomic_int_get(&writer->stop)) {
		guint n = (guint)test_random_below(&random, 16) + 1;
		guint64 first = test_random_below(&random, BLOCKS - n);
		guint8 value = (guint8)test_random(&random);
		int r;

		memset(bytes, value, n * BLOCK_SIZE);
		g_mutex_lock(&writer->lock);
		r = value % 8
			    ? volume_put(writer->volume, bytes, n * BLOCK_SIZE, first * BLOCK_SIZE)
			    : volume_discard(writer->volume, first * BLOCK_SIZE, n * BLOCK_SIZE);
		memset(writer->model + first, value % 8 ? value : 0, n);
		g_mutex_unlock(&writer->lock);
		if (!CHECK_INT(r, 0))
			break;
		writer->writes++;
	}
	return NULL;
}

/* Takes a snapshot, of whose instant *ret_model is the model; NULL: nobody wants to know. */
static gboolean snapshot_take(Writer *writer, const char *name, guint8 *ret_model)
{
	const VolumeSnapshotParameters parameters = {.name = name};
	g_autoptr(GError) error = NULL;
	guint64 generation;
	gboolean begun;

	g_mutex_lock(&writer->lock);
	begun = volume_snapshot_begin(writer->volume, &parameters, &generation, &error);
	if (ret_model)
		memcpy(ret_model, writer->model, sizeof writer->model);
	g_mutex_unlock(&writer->lock);
	begun = begun && volume_snapshot_wait(writer->volume, generation, 60, &error);
	CHECK_NO_ERROR(error);
	return begun;
}

/* Neighbours of `kept` come and go, so that all slots that it does not have change hands. */
static void neighbours_come_and_go(Writer *writer)
{
	gint64 end = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC;
	guint n = 0;

	for (; (n <= 2 || g_get_monotonic_time() < end) && !test_failed(); n++) {
		g_autofree char *name = g_strdup_printf("n%u", n);
		g_autofree char *last = g_strdup_printf("n%u", n - 1);

		if (!snapshot_take(writer, name, NULL))
			break;
		CHECK(!n || volume_snapshot_delete(writer->volume, last, 0, NULL));
	}
}

static GPid reader_start(const Place *place, const guint8 *model, int *ret_input)
{
	g_autofree char *model_file = g_strconcat(place->path, ".model", NULL);
	char *argv[] = {(char *)"/proc/self/exe", (char *)"--read", place->path,
			(char *)"kept",		  model_file,	    NULL};
	g_autoptr(GError) error = NULL;
	GPid pid = 0;

	CHECK(g_file_set_contents(model_file, (const char *)model, BLOCKS, NULL));
	CHECK(g_spawn_async_with_pipes(NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL,
				       &pid, ret_input, NULL, NULL, &error));
	CHECK_NO_ERROR(error);
	return pid;
}

static void prove(Place *place)
{
	g_autoptr(Backing) backing = place_backing(place);

	snapshots_prove(backing, NULL, NULL);
}

static void test_other_process(const void *data)
{
	g_autofree Writer *writer = g_new0(Writer, 1);
	g_autoptr(Place) place = place_new_file();
	guint8 model[BLOCKS];
	GThread *thread;
	int status = -1, input = -1;
	GPid pid;

	(void)data;
	REQUIRE(place_format(place, SIZE, 0));
	writer->volume = place_open(place);
	REQUIRE(writer->volume);
	g_mutex_init(&writer->lock);
	thread = g_thread_new("writer", writer_main, writer);
	snapshot_take(writer, "before", NULL);
	snapshot_take(writer, "kept", model);
	pid = reader_start(place, model, &input);
	CHECK(volume_snapshot_delete(writer->volume, "before", 0, NULL));
	neighbours_come_and_go(writer);
	close(input);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK_INT(status, 0);
	g_atomic_int_set(&writer->stop, TRUE);
	g_thread_join(thread);
	CHECK(writer->writes > 100);
	close_volume(writer->volume);
	prove(place);
	g_mutex_clear(&writer->lock);
}

/* ---- the opener against the deleter */

#define SMALL (2 * MIB)

typedef struct {
	Place *place;
	char *run;
	gint stop;
	guint opened;
} Opener;

typedef struct {
	const char *run;
	int lock;
} OpenerJoin;

static gboolean opener_join(const char *uuid, guint64 generation, gpointer data, GError **error)
{
	OpenerJoin *join = data;

	join->lock = readers_join(join->run, uuid, generation, error);
	return join->lock >= 0;
}

/* What is open stays whole: all blocks have one value, as when the snapshot was taken. */
static gpointer opener_main(gpointer data)
{
	Opener *opener = data;
	guint8 *bytes = g_malloc(SMALL);

	while (!g_atomic_int_get(&opener->stop) && !test_failed()) {
		g_autoptr(GError) error = NULL;
		OpenerJoin join = {opener->run, -1};
		Backing *backing = backing_open(opener->place->path, BACKING_OPEN_READ_ONLY, NULL);
		Volume *volume =
			volume_open_snapshot(backing, "v", "x", opener_join, &join, &error);

		if (volume) {
			CHECK_INT(volume_get(volume, bytes, SMALL, 0), 0);
			CHECK(bytes[0] && !memcmp(bytes, bytes + 1, SMALL - 1));
			opener->opened++;
		} else if (!g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY)) {
			CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "no snapshot 'x'");
		}
		volume_close(volume, NULL);
		if (join.lock >= 0)
			close(join.lock);
	}
	g_free(bytes);
	return NULL;
}

/* As the server of a volume deletes. */
static void delete_once_unused(Volume *volume, const char *run, guint64 generation)
{
	g_autoptr(GError) error = NULL;
	VolumeInfo info;
	int held = -1;

	volume_get_info(volume, &info);
	WAIT_WITHIN(30, (held = readers_exclude(run, info.uuid, generation, NULL)) >= 0);
	autofd lock = held;
	CHECK(lock >= 0);
	CHECK(volume_snapshot_delete(volume, "x", 0, &error));
	CHECK_NO_ERROR(error);
	readers_forget(run, info.uuid, generation);
}

static void test_deleter(const void *data)
{
	const VolumeSnapshotParameters parameters = {.name = "x"};
	g_autoptr(Place) place = place_new_file();
	g_autofree char *run = test_path(".run");
	Opener opener = {.place = place, .run = run};
	gint64 end = g_get_monotonic_time() + SECONDS * G_USEC_PER_SEC;
	guint rounds = 0;
	GThread *thread;
	Volume *volume;

	(void)data;
	REQUIRE(place_format(place, SMALL, 0));
	volume = place_open(place);
	REQUIRE(volume);
	thread = g_thread_new("opener", opener_main, &opener);
	for (; (rounds <= 5 || g_get_monotonic_time() < end) && !test_failed(); rounds++) {
		guint64 generation;

		CHECK_INT(volume_put_value(volume, (guint8)(1 + rounds % 255), SMALL, 0), 0);
		CHECK(volume_snapshot_begin(volume, &parameters, &generation, NULL));
		CHECK(volume_snapshot_wait(volume, generation, 60, NULL));
		delete_once_unused(volume, run, generation);
	}
	g_atomic_int_set(&opener.stop, TRUE);
	g_thread_join(thread);
	CHECK(opener.opened > 0);
	close_volume(volume);
	prove(place);
}

/* ---- one of many */

#define MANY 1000

static void test_many(const void *data)
{
	g_autoptr(Place) place = NULL;
	Volume *volume = place_new_volume(&place, SMALL), *snapshot;
	TestTime begun;

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < MANY && !test_failed(); i++) {
		g_autofree char *name = g_strdup_printf("s%u", i);
		const VolumeSnapshotParameters parameters = {.name = name};
		guint64 generation;

		CHECK_INT(volume_put_value(volume, (guint8)(1 + i % 255), BLOCK_SIZE, 0), 0);
		CHECK(volume_snapshot_begin(volume, &parameters, &generation, NULL));
		CHECK(volume_snapshot_wait(volume, generation, 60, NULL));
	}
	begun = test_now();
	snapshot = volume_open_snapshot(place_backing(place), "v", "s900", NULL, NULL, NULL);
	REQUIRE(snapshot);
	check_value(snapshot, 1 + 900 % 255, BLOCK_SIZE, 0);
	if (!test_is_instrumented())
		CHECK_QUICK(begun, 0.02);
	close_volume(snapshot);
	close_volume(volume);
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[1], "--read"))
		return read_for_others(argv[2], argv[3], argv[4]);
	test_add("another process reads while all else changes", test_other_process, NULL);
	test_add("what is open is not deleted, what is deleted does not open", test_deleter, NULL);
	test_add("one of a thousand opens in milliseconds", test_many, NULL);
	return test_run(argc, argv);
}
