/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The error sweep.  Each script is run again and again; in run n, operation n on the backing
 * fails, either once or from then on.  Requests may fail with the right error; reads still work;
 * nothing that succeeded is lost; the volume can be opened again.  The other tests are about a
 * failed flush, a full backing, and a slow one (STORAGEOS_TEST_LONG=1: 25 s).
 */
#include <errno.h>
#include <malloc.h>

#include "tests/backing/faulty.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "tests/engine/script.h"

#define POINTS_MAX 3000

typedef struct {
	const char *name;
	FaultyKind kinds;
	int err;
	gboolean for_ever;
	gboolean torn;
} Failure;

static const Failure failures[] = {
	{"-EIO once", FAULTY_MODIFY, EIO, FALSE, TRUE},
	{"-EIO for ever", FAULTY_MODIFY, EIO, TRUE, TRUE},
	{"-ENOSPC once", FAULTY_WRITE | FAULTY_GROW, ENOSPC, FALSE, FALSE},
	{"-EIO once, reading", FAULTY_READ, EIO, FALSE, FALSE},
};

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static void check_results(const Run *run)
{
	for (guint i = 0; i < run->begun; i++) {
		int r = run->results[i];

		if (r && r != -EIO && r != -ENOSPC && r != -ESHUTDOWN)
			FAIL("step %u returned %d", i, r);
	}
}

/* Checks the volume as it is now, and after it was opened again. */
static void check_afterwards(const Run *run, Backing *backing, Volume *volume)
{
	guint sure = run->begun;
	Content content;

	if (volume && content_read(volume, &content))
		run_check_possible(run, sure, &content);
	if (volume)
		volume_close(volume, NULL);
	backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	if (!backing_check(backing))
		return;
	volume = backing_open_volume(backing);
	if (!volume)
		return;
	if (content_read(volume, &content))
		run_check_possible(run, sure, &content);
	CHECK_INT(volume_put_value(volume, 0, 3 * SECTOR_SIZE, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	check_value(volume, 0, 3 * SECTOR_SIZE, 0);
	close_volume(volume);
	backing_check(backing);
}

/* FALSE if the script ended before the failure. */
static gboolean run_with(const Script *script, const Failure *failure, Backing *start,
			 const Content *before, guint64 point)
{
	g_autoptr(Backing) backing = backing_faulty_crash(start, G_MAXUINT64);
	Volume *volume = backing_open_volume(backing);
	guint64 count = backing_faulty_count(backing, failure->kinds);
	gboolean struck;
	Run run;

	if (!volume)
		return FALSE;
	run_init(&run, script, before);
	test_row("%s, %s at operation %" G_GUINT64_FORMAT, script->name, failure->name, point);
	backing_faulty_fail(backing, failure->kinds, point, failure->err, failure->for_ever,
			    failure->torn);
	run_steps(&run, backing, &volume, TRUE);
	struck = backing_faulty_count(backing, failure->kinds) - count > point;
	if (failure->kinds == FAULTY_READ) /* the check below reads */
		backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	check_results(&run);
	check_afterwards(&run, backing, volume);
	return struck;
}

static void test_sweep(const void *data)
{
	const Script *script = data;
	/* A sample: tests/faults covers all. */
	const guint stride = test_is_instrumented() ? 37 : 3;
	TestRandom random = test_random_new(test_seed());
	Content before;
	g_autoptr(Backing) start = script_prepare(script, &before);

	for (guint i = 0; i < G_N_ELEMENTS(failures); i++) {
		guint64 point = test_random_below(&random, stride);

		while (point < POINTS_MAX && !test_failed() &&
		       run_with(script, &failures[i], start, &before, point))
			point += stride;
		test_note("%s: %s, %" G_GUINT64_FORMAT " operations", script->name,
			  failures[i].name, point);
	}
}

static Backing *new_backing(guint64 size, Volume **ret_volume)
{
	const VolumeParameters p = {.size = size, .journal_size = 4 * MIB};
	Backing *backing = backing_faulty_new(0);

	CHECK(volume_format(backing, &p, NULL));
	*ret_volume = backing_open_volume(backing);
	return backing;
}

static void check_failed(Volume *volume)
{
	guint8 block[BLOCK_SIZE] = {0};
	struct iovec iov = {.iov_base = block, .iov_len = sizeof block};
	g_autofree char *reason = volume_failure(volume);
	VolumeInfo info;

	volume_get_info(volume, &info);
	CHECK_INT(info.state, VOLUME_FAILED);
	CHECK(reason != NULL);
	CHECK_INT(volume_write(volume, &iov, 1, 0, NULL), -ESHUTDOWN);
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), -ESHUTDOWN);
	CHECK_INT(volume_zero(volume, 0, BLOCK_SIZE), -ESHUTDOWN);
	CHECK_INT(volume_discard(volume, 0, MIB), -ESHUTDOWN);
	CHECK_INT(volume_compare_and_write(volume, &iov, 1, &iov, 1, 0, NULL), -ESHUTDOWN);
	CHECK_INT(volume_flush(volume), -ESHUTDOWN);
	CHECK_INT(volume_checkpoint(volume), -ESHUTDOWN);
	check_value(volume, 2, BLOCK_SIZE, 0);
	check_value(volume, 0, MIB, 8 * MIB);
}

static void fail_flush(int err)
{
	g_autoptr(GError) error = NULL;
	Volume *volume;
	g_autoptr(Backing) backing = new_backing(16 * MIB, &volume);

	test_row("%s", g_strerror(err));
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, 0), 0);
	backing_faulty_fail(backing, FAULTY_FLUSH, 0, err, FALSE, FALSE);
	CHECK_INT(volume_flush(volume), -EIO);
	check_failed(volume);
	CHECK(!volume_close(volume, &error));
	CHECK(error != NULL);
	backing_check(backing);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 3, BLOCK_SIZE, BLOCK_SIZE), 0);
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
}

static void test_failed_flush(const void *data)
{
	static const int errors[] = {EIO,	ENOSPC, EDQUOT, EREMOTEIO, ENOMEM,
				     ETIMEDOUT, EROFS,	EAGAIN, EINVAL,	   EOPNOTSUPP};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(errors); i++)
		fail_flush(errors[i]);
}

static void test_failed_checkpoint(const void *data)
{
	Volume *volume;
	g_autoptr(Backing) backing = new_backing(16 * MIB, &volume);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, 0), 0);
	backing_faulty_fail(backing, FAULTY_FLUSH, 0, EIO, FALSE, FALSE);
	CHECK(volume_checkpoint(volume) < 0);
	check_failed(volume);
	volume_abandon(volume);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	check_value(volume, 2, BLOCK_SIZE, 0);
	close_volume(volume);
}

/* Writes until there is no space.  Returns how many bytes were written. */
static guint64 write_until_full(Volume *volume, guint8 value)
{
	for (guint64 at = 0; at < 64 * MIB; at += 64 * KIB) {
		int result = volume_put_value(volume, value, 64 * KIB, at);

		if (result) {
			CHECK_INT(result, -ENOSPC);
			return at;
		}
	}
	FAIL("64 MiB could be written");
	return 0;
}

static void check_full(Volume *volume, guint64 bytes, guint8 value)
{
	VolumeInfo info;

	for (guint64 at = 0; at < bytes; at += 64 * KIB)
		check_value(volume, value, 64 * KIB, at);
	check_value(volume, 0, MIB, 100 * MIB);
	volume_get_info(volume, &info);
	CHECK_INT(info.state, VOLUME_OK);
}

static void test_full(const void *data)
{
	Volume *volume;
	g_autoptr(Backing) backing = new_backing(256 * MIB, &volume);
	guint64 bytes;

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_flush(volume), 0);
	backing_faulty_fill_up(backing, 12 * MIB);
	bytes = write_until_full(volume, 1);
	test_note("%" G_GUINT64_FORMAT " KiB of 12 MiB could be used", bytes / KIB);
	CHECK(bytes >= 8 * MIB);
	check_full(volume, bytes, 1);
	CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, 200 * MIB), -ENOSPC);
	CHECK_INT(volume_flush(volume), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	CHECK_INT(volume_discard(volume, MIB, 2 * MIB), 0);
	check_value(volume, 0, 2 * MIB, MIB);
	CHECK_INT(volume_checkpoint(volume), 0);
	CHECK_INT(volume_put_value(volume, 3, MIB, MIB), 0); /* into the discarded range */
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
	backing_check(backing);
	volume = backing_open_volume(backing); /* still full */
	REQUIRE(volume);
	check_value(volume, 3, MIB, MIB);
	check_value(volume, 1, MIB, 0);
	CHECK_INT(volume_discard(volume, 0, 256 * MIB), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	backing_faulty_fill_up(backing, G_MAXUINT64);
	CHECK_INT(volume_put_value(volume, 4, 32 * MIB, 0), 0);
	check_value(volume, 4, 32 * MIB, 0);
	close_volume(volume);
	backing_check(backing);
}

/* The file system below gets space again: writes go on without any other call. */
static void test_space_comes_back(const void *data)
{
	Volume *volume;
	g_autoptr(Backing) backing = new_backing(256 * MIB, &volume);
	guint64 bytes;

	(void)data;
	REQUIRE(volume);
	backing_faulty_fill_up(backing, 8 * MIB);
	bytes = write_until_full(volume, 1);
	backing_faulty_fill_up(backing, 64 * MIB);
	CHECK_INT(volume_put_value(volume, 2, 16 * MIB, 100 * MIB), 0);
	check_value(volume, 2, 16 * MIB, 100 * MIB);
	check_value(volume, 1, bytes, 0);
	close_volume(volume);
	backing_check(backing);
}

/* Discards and rewrites each block in turn, when no other space is left. */
static void test_full_and_busy(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	Volume *volume;
	g_autoptr(Backing) backing = new_backing(256 * MIB, &volume);
	guint64 bytes;
	guint refused = 0;

	(void)data;
	REQUIRE(volume);
	backing_faulty_fill_up(backing, 8 * MIB);
	bytes = write_until_full(volume, 1);
	for (guint i = 0; i < 2000 && !test_failed(); i++) {
		guint64 at = test_random_below(&random, bytes / (64 * KIB)) * 64 * KIB;
		int result;

		CHECK_INT(volume_discard(volume, at, 64 * KIB), 0);
		result = volume_put_value(volume, 1, 32 * KIB, at);
		CHECK(!result || result == -ENOSPC);
		refused += result != 0;
	}
	test_note("%u of 2000 writes were refused", refused);
	CHECK(refused < 1500);
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
	backing_check(backing);
}

static void test_format_full(const void *data)
{
	const VolumeParameters p = {.size = GIB};
	g_autoptr(Backing) backing = backing_faulty_new(2 * MIB);
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!volume_format(backing, &p, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, NULL);
	g_clear_error(&error);
	CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
}

/* ---- slow */

static gint stuck; /* whether flushes hang; atomic */

static gboolean gate(guint64 offset, guint64 length, gpointer data)
{
	(void)offset, (void)data;
	while (!length && g_atomic_int_get(&stuck))
		g_usleep(10000);
	return TRUE;
}

/* A write waits for a checkpoint that does not end.  That is not an I/O error. */
static void test_slow(const void *data)
{
	g_autoptr(Place) place = place_new_memory();
	g_autoptr(Backing) real = place_backing(place);
	gint64 begun = g_get_monotonic_time();
	Volume *volume;
	guint64 at = 0;
	int r = 0;

	(void)data;
	if (!g_getenv("STORAGEOS_TEST_LONG"))
		return;
	volume_set_cache_size(MIB); /* 256 nodes, one for each write */
	REQUIRE(place_format(place, GIB, 4 * MIB));
	volume = volume_open(backing_borrow_gated(real, gate, NULL), "test", 0, NULL);
	REQUIRE(volume);
	g_atomic_int_set(&stuck, TRUE);
	for (; at < GIB && !r; at += MIB)
		r = volume_put_value(volume, 1, BLOCK_SIZE, at);
	CHECK_INT(r, -ETIMEDOUT);
	CHECK(g_get_monotonic_time() - begun > 25 * G_USEC_PER_SEC);
	g_atomic_int_set(&stuck, FALSE);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, at - MIB), 0);
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
	backing_check(real);
	volume_set_cache_size(64 * MIB);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	mallopt(M_MMAP_THRESHOLD, 64 * MIB); /* otherwise much time goes into page faults */
	mallopt(M_TRIM_THRESHOLD, G_MAXINT);
	for (guint i = 0; i < n_scripts; i++) {
		g_autofree char *name = g_strdup_printf("errors: %s", scripts[i].name);

		test_add(name, test_sweep, &scripts[i]);
	}
	test_add("after a failed flush only reads work", test_failed_flush, NULL);
	test_add("after the failed flush of a checkpoint only reads work", test_failed_checkpoint,
		 NULL);
	test_add("a full backing refuses writes and nothing else", test_full, NULL);
	test_add("writes go on once there is space again", test_space_comes_back, NULL);
	test_add("discard and write in a full backing", test_full_and_busy, NULL);
	test_add("no space for a new volume", test_format_full, NULL);
	test_add("a request that timed out may be made again", test_slow, NULL);
	return test_run(argc, argv);
}
