/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume promises, one behaviour at a time.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/backing/faulty.h"
#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/wanted.h"
#include "tests/engine/support.h"

static gint64 milliseconds_since(TestTime start)
{
	return test_since(start).clock / 1000;
}

/* What looks at the memory that is used, or needs much, says nothing with a sanitizer. */
static gboolean skip_instrumented(void)
{
	if (test_is_instrumented())
		test_skip("memory says nothing in this build");
	return test_is_instrumented();
}

static void check_quick(TestTime start, double seconds)
{
	if (!test_is_instrumented())
		CHECK_QUICK(start, seconds);
}

/* A volume in memory of that size, open; free the place after closing it. */
static Volume *new_volume(Place **ret_place, guint64 size)
{
	*ret_place = place_new_memory();
	return place_format(*ret_place, size, 0) ? place_open(*ret_place) : NULL;
}

static const struct {
	guint64 size;
	guint32 block_size;
	guint64 journal_size;
	gboolean good;
} parameters[] = {
	{MIB, 0, 0, TRUE},
	{MIB + SECTOR_SIZE, 512, 0, TRUE},
	{MIB + BLOCK_SIZE, 4096, 0, TRUE},
	{64 * TIB, 0, 0, TRUE},
	{64 * TIB - SECTOR_SIZE, 0, 64 * MIB, TRUE},
	{GIB, 512, 4 * MIB, TRUE},
	{GIB, 0, 64 * KIB, TRUE},
	{GIB, 0, 3 * MIB + 64 * KIB, TRUE},
	{0, 0, 0, FALSE},
	{MIB - SECTOR_SIZE, 0, 0, FALSE},
	{64 * TIB + SECTOR_SIZE, 0, 0, FALSE},
	{G_MAXUINT64 - 511, 0, 0, FALSE},
	{MIB + 100, 0, 0, FALSE},
	{MIB + SECTOR_SIZE, 4096, 0, FALSE},
	{GIB, 1024, 0, FALSE},
	{GIB, 0, 60 * KIB, FALSE},
	{GIB, 0, 96 * KIB, FALSE},
	{GIB, 0, 65 * MIB, FALSE},
	{GIB, 0, G_MAXUINT64, FALSE},
};

static void test_parameters(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(parameters); i++) {
		const VolumeParameters p = {.size = parameters[i].size,
					    .logical_block_size = parameters[i].block_size,
					    .journal_size = parameters[i].journal_size};
		g_autoptr(Place) place = place_new_memory();
		g_autoptr(Backing) backing = place_backing(place);
		g_autoptr(GError) error = NULL;
		gboolean good = volume_format(backing, &p, &error);

		test_row("size %" G_GUINT64_FORMAT " in blocks of %u, journal %" G_GUINT64_FORMAT,
			 p.size, p.logical_block_size, p.journal_size);
		CHECK_INT(good, parameters[i].good);
		if (parameters[i].good) {
			Volume *volume = place_open(place);

			CHECK_UINT(volume_size(volume), p.size);
			CHECK_UINT(volume_logical_block_size(volume),
				   MAX(p.logical_block_size, 512));
			CHECK_INT(volume_put_value(volume, 7, SECTOR_SIZE, p.size - SECTOR_SIZE),
				  0);
			check_value(volume, 7, SECTOR_SIZE, p.size - SECTOR_SIZE);
			close_volume(volume);
			place_check(place);
		} else {
			CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, NULL);
		}
	}
}

static void test_thin(const void *data)
{
	TestTime start = test_now();
	g_autoptr(Place) place = place_new_file();
	Backing *backing;
	Volume *volume;

	(void)data;
	REQUIRE(place_format(place, 64 * TIB, 0));
	check_quick(start, 1);
	backing = place_backing(place);
	test_note("64 TiB: made in %" G_GINT64_FORMAT " ms, takes %" G_GUINT64_FORMAT " KiB",
		  milliseconds_since(start), backing_allocated(backing) / KIB);
	CHECK(backing_allocated(backing) <= 16 * MIB);
	backing_free(backing);
	volume = place_open(place);
	REQUIRE(volume);
	for (guint64 at = 0; at < 64 * TIB; at += TIB + 5 * MIB + SECTOR_SIZE)
		CHECK_INT(volume_put_value(volume, 9, BLOCK_SIZE, at), 0);
	close_volume(volume);
	place_check(place);
	backing = place_backing(place);
	CHECK(backing_allocated(backing) <= 64 * MIB);
	backing_free(backing);
}

static void test_holes(const void *data)
{
	g_autoptr(Place) place = NULL;
	Volume *volume = new_volume(&place, GIB + SECTOR_SIZE);

	(void)data;
	REQUIRE(volume);
	check_value(volume, 0, 2 * MIB, 0);
	check_value(volume, 0, 3 * SECTOR_SIZE, GIB - 2 * SECTOR_SIZE);
	CHECK_INT(volume_put_value(volume, 5, SECTOR_SIZE, 100 * MIB + SECTOR_SIZE), 0);
	check_value(volume, 0, SECTOR_SIZE, 100 * MIB);
	check_value(volume, 5, SECTOR_SIZE, 100 * MIB + SECTOR_SIZE);
	check_value(volume, 0, 2 * MIB, 100 * MIB + 2 * SECTOR_SIZE);
	close_volume(volume);
}

static const struct {
	guint64 offset;
	gsize length;
} bad_ranges[] = {
	{1, 512},
	{511, 512},
	{512, 513},
	{0, 100},
	{8 * MIB, 512},
	{8 * MIB - 512, 1024},
	{0, 8 * MIB + 512},
	{G_MAXUINT64 - 511, 512},
	{G_MAXUINT64 - 511, 4096},
	{(guint64)1 << 63, 4096},
};

static void test_bad_ranges(const void *data)
{
	g_autofree guint8 *buffer = g_malloc0(8 * MIB + 512);
	g_autoptr(Place) place = NULL;
	Volume *volume = new_volume(&place, 8 * MIB);

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < G_N_ELEMENTS(bad_ranges); i++) {
		struct iovec iov = {.iov_base = buffer, .iov_len = bad_ranges[i].length};
		guint64 offset = bad_ranges[i].offset, at = 1;

		test_row("%zu bytes at %" G_GUINT64_FORMAT, iov.iov_len, offset);
		CHECK_INT(volume_read(volume, &iov, 1, offset, &at), -EINVAL);
		CHECK_INT(volume_write(volume, &iov, 1, offset, &at), -EINVAL);
		CHECK_INT(volume_read_nowait(volume, &iov, 1, offset, &at), -EINVAL);
		CHECK_INT(volume_write_nowait(volume, &iov, 1, offset, &at), -EINVAL);
		CHECK_INT(volume_zero(volume, offset, iov.iov_len), -EINVAL);
		CHECK_INT(volume_discard(volume, offset, iov.iov_len), -EINVAL);
		CHECK_INT(volume_compare_and_write(volume, &iov, 1, &iov, 1, offset, &at), -EINVAL);
		CHECK_UINT(at, 1);
	}
	close_volume(volume);
}

static void test_nothing(const void *data)
{
	g_autoptr(Place) place = NULL;
	Volume *volume = new_volume(&place, 8 * MIB);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_read(volume, NULL, 0, 512, NULL), 0);
	CHECK_INT(volume_write(volume, NULL, 0, 8 * MIB, NULL), 0);
	CHECK_INT(volume_zero(volume, 8 * MIB, 0), 0);
	CHECK_INT(volume_compare_and_write(volume, NULL, 0, NULL, 0, 0, NULL), 0);
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
}

/* A process that has the volume open until it is killed. */
static pid_t start_holder(Place *place)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	CHECK_INT(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		byte = place_open(place) ? 'y' : 'n';
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(1);
	}
	CHECK_INT(read(ready[0], &byte, 1), 1);
	CHECK_INT(byte, 'y');
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void test_exclusive(const void *data)
{
	const VolumeParameters p = {.size = MIB};
	g_autoptr(Place) place = place_new_file();
	g_autoptr(GError) error = NULL;
	g_autofree char *holder = NULL;
	Backing *backing;
	Volume *volume;
	pid_t pid;

	(void)data;
	REQUIRE(place_format(place, 8 * MIB, 0));
	pid = start_holder(place);
	holder = g_strdup_printf("is in use by process %d (test-volume)", pid);
	CHECK(!volume_open(place_backing(place), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, holder);
	g_clear_error(&error);
	CHECK(!volume_open(place_backing(place), "test", VOLUME_OPEN_READ_ONLY, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, holder);
	g_clear_error(&error);
	backing = place_backing(place);
	CHECK(!volume_format(backing, &p, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, holder);
	backing_free(backing);
	kill(pid, SIGKILL);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
	volume = place_open(place);
	if (volume)
		close_volume(volume);
}

static void test_nowait(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	const VolumeParameters p = {.size = 16 * MIB};
	g_autofree guint8 *bytes = g_malloc0(2 * MIB);
	struct iovec iov = {.iov_base = bytes, .iov_len = BLOCK_SIZE};
	Volume *volume;

	(void)data;
	REQUIRE(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	bytes[0] = 1;
	CHECK_INT(volume_put(volume, bytes, BLOCK_SIZE, 0), 0);
	CHECK_INT(volume_read_nowait(volume, &iov, 1, 0, NULL), 0);
	bytes[0] = 2;
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), 0);
	backing_faulty_delay(backing, FAULTY_READ | FAULTY_WRITE, 1000);
	CHECK_INT(volume_read_nowait(volume, &iov, 1, 0, NULL), -EAGAIN);
	iov.iov_len = SECTOR_SIZE; /* the rest of the block would have to be read */
	bytes[0] = 3;
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), -EAGAIN);
	CHECK_INT(volume_get(volume, bytes, BLOCK_SIZE, 0), 0);
	CHECK_INT(bytes[0], 2);
	iov.iov_len = BLOCK_SIZE;
	bytes[0] = 4;
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), 0);
	CHECK_INT(volume_get(volume, bytes, BLOCK_SIZE, 0), 0);
	CHECK_INT(bytes[0], 4);
	backing_faulty_delay(backing, FAULTY_READ | FAULTY_WRITE, 0);
	iov.iov_len = 2 * MIB;
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), -EAGAIN);
	iov.iov_len = MIB;
	CHECK_INT(volume_read_nowait(volume, &iov, 1, 8 * MIB, NULL), 0); /* a hole */
	close_volume(volume);
}

static void test_unwanted(const void *data)
{
	const gint dropped = TRUE;
	Place *place;
	Volume *volume = new_volume(&place, 8 * MIB);
	guint8 block[BLOCK_SIZE];
	struct iovec iov = {block, sizeof block};

	(void)data;
	REQUIRE(volume);
	memset(block, 1, sizeof block);
	CHECK_INT(volume_put_value(volume, 1, 2 * MIB, 0), 0);
	wanted_until(&dropped);
	CHECK_INT(volume_put_value(volume, 2, MIB, 0), -ECANCELED);
	CHECK_INT(volume_put_value(volume, 2, SECTOR_SIZE, SECTOR_SIZE), -ECANCELED);
	CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, 5 * MIB), -ECANCELED);
	CHECK_INT(volume_zero(volume, 0, 8 * MIB), -ECANCELED);
	CHECK_INT(volume_zero(volume, SECTOR_SIZE, SECTOR_SIZE), -ECANCELED);
	CHECK_INT(volume_or(volume, &iov, 1, 0, NULL), -ECANCELED);
	CHECK_INT(volume_compare_and_write(volume, &iov, 1, &iov, 1, 0, NULL), -ECANCELED);
	CHECK_INT(volume_flush(volume), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	check_value(volume, 1, 2 * MIB, 0);
	check_value(volume, 0, 6 * MIB, 2 * MIB);
	wanted_until(NULL);
	CHECK_INT(volume_put_value(volume, 3, MIB, 4 * MIB), 0);
	close_volume(volume);
	CHECK(place_check(place));
	place_free(place);
}

static void test_compare(const void *data)
{
	const guint64 start = MIB - 3 * SECTOR_SIZE;
	const gsize length = 8 * KIB + SECTOR_SIZE;
	g_autofree guint8 *expected = g_malloc(2 * MIB), *wanted = g_malloc0(2 * MIB);
	struct iovec want = {.iov_base = wanted, .iov_len = length};
	struct iovec expect = {.iov_base = expected, .iov_len = length};
	g_autoptr(Place) place = NULL;
	Volume *volume = new_volume(&place, 8 * MIB);
	guint64 at;

	(void)data;
	REQUIRE(volume);
	memset(expected, 3, 2 * MIB);
	CHECK_INT(volume_put(volume, expected, 2 * MIB, 0), 0);
	for (gsize byte = 0; byte < length; byte += 97) {
		test_row("byte %zu differs", byte);
		expected[byte] ^= 1;
		at = 1;
		CHECK_INT(volume_compare_and_write(volume, &expect, 1, &want, 1, start, &at),
			  -EILSEQ);
		CHECK_UINT(at, start + byte);
		expected[byte] ^= 1;
	}
	test_row(NULL);
	check_value(volume, 3, 2 * MIB, 0);
	CHECK_INT(volume_compare_and_write(volume, &expect, 1, &want, 1, start, &at), 0);
	check_value(volume, 3, SECTOR_SIZE, start - SECTOR_SIZE);
	check_value(volume, 0, length, start);
	check_value(volume, 3, SECTOR_SIZE, start + length);
	want.iov_len -= SECTOR_SIZE;
	CHECK_INT(volume_compare_and_write(volume, &expect, 1, &want, 1, start, NULL), -EINVAL);
	want.iov_len = expect.iov_len = MIB + SECTOR_SIZE;
	CHECK_INT(volume_compare_and_write(volume, &expect, 1, &want, 1, 0, NULL), -EINVAL);
	close_volume(volume);
}

static void test_discard_gives_back(const void *data)
{
	g_autoptr(Place) place = place_new_file();
	g_autoptr(Backing) watch = NULL;
	guint64 full, before;
	Volume *volume;

	(void)data;
	REQUIRE(place_format(place, GIB, 0));
	volume = place_open(place);
	watch = place_backing(place);
	before = backing_allocated(watch);
	for (guint64 at = 0; at < 96 * MIB; at += MIB)
		CHECK_INT(volume_put_value(volume, 1, MIB, at), 0);
	CHECK_INT(volume_flush(volume), 0);
	full = backing_allocated(watch);
	CHECK(full >= before + 96 * MIB);
	CHECK_INT(volume_discard(volume, 0, 95 * MIB), 0);
	CHECK(volume_settled(volume, volume_settle(volume), 30));
	test_note("takes %" G_GUINT64_FORMAT " MiB, full %" G_GUINT64_FORMAT
		  " MiB, after the discard %" G_GUINT64_FORMAT " MiB",
		  before / MIB, full / MIB, backing_allocated(watch) / MIB);
	CHECK(backing_allocated(watch) <= before + 8 * MIB);
	check_value(volume, 1, MIB, 95 * MIB);
	close_volume(volume);
	place_check(place);
}

static void test_discard_all(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	g_autoptr(Place) place = NULL;
	Volume *volume = new_volume(&place, TIB);
	VolumeInfo info;
	TestTime start;

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < 5000; i++)
		CHECK_INT(
			volume_put_value(volume, 1, BLOCK_SIZE,
					 test_random_below(&random, TIB / BLOCK_SIZE) * BLOCK_SIZE),
			0);
	CHECK_INT(volume_checkpoint(volume), 0);
	start = test_now();
	CHECK_INT(volume_discard(volume, 0, TIB), 0);
	test_note("discarding 1 TiB with 5000 blocks in it takes %" G_GINT64_FORMAT " ms",
		  milliseconds_since(start));
	check_quick(start, 0.5);
	for (guint i = 0; i < 100; i++)
		check_value(volume, 0, MIB, test_random_below(&random, TIB / MIB) * MIB);
	CHECK(volume_settled(volume, volume_settle(volume), 30));
	volume_get_info(volume, &info);
	CHECK_UINT(info.data_bytes, 0);
	close_volume(volume);
	place_check(place);
}

static guint64 resident(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f && fscanf(f, "%*u %lu", &pages) == 1);
	if (f)
		fclose(f);
	return pages * (guint64)sysconf(_SC_PAGESIZE);
}

static void test_memory_bounded(const void *data)
{
	g_autoptr(Place) place = place_new_file();
	TestRandom random = test_random_new(test_seed());
	guint8 block[BLOCK_SIZE] = {1};
	guint64 before, most = 0;
	VolumeInfo info;
	Volume *volume;

	(void)data;
	if (skip_instrumented())
		return;
	volume_set_cache_size(8 * MIB);
	REQUIRE(place_format(place, TIB, 0));
	before = resident();
	volume = place_open(place);
	for (guint i = 0; i < 40000 && !test_failed(); i++) {
		guint64 at = test_random_below(&random, TIB / BLOCK_SIZE) * BLOCK_SIZE;

		CHECK_INT(volume_put(volume, block, sizeof block, at), 0);
		if (i % 1000 == 0) {
			volume_get_info(volume, &info);
			CHECK(info.cache_nodes * BLOCK_SIZE <= 16 * MIB);
			most = max_u64(most, resident());
		}
	}
	test_note("resident memory grew by %" G_GUINT64_FORMAT " KiB", (most - before) / KIB);
	CHECK(most < before + 40 * MIB);
	close_volume(volume);
	volume_set_cache_size(64 * MIB);
}

static void test_read_only(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	const VolumeParameters p = {.size = 16 * MIB};
	g_autoptr(GError) error = NULL;
	VolumeInfo info;
	Volume *volume;
	guint64 changes;

	(void)data;
	REQUIRE(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	CHECK_INT(volume_put_value(volume, 1, MIB, 5 * SECTOR_SIZE), 0);
	CHECK_INT(volume_discard(volume, 64 * KIB, 64 * KIB), 0);
	volume_abandon(volume); /* what is to be replayed */
	changes = backing_faulty_count(backing, FAULTY_MODIFY);
	volume = volume_open(backing_borrow(backing), "test", VOLUME_OPEN_READ_ONLY, &error);
	REQUIRE(volume);
	volume_get_info(volume, &info);
	CHECK_INT(info.state, VOLUME_READ_ONLY);
	check_value(volume, 1, 32 * KIB, 5 * SECTOR_SIZE);
	check_value(volume, 0, 64 * KIB, 64 * KIB);
	CHECK(volume_put_value(volume, 2, BLOCK_SIZE, 0) < 0);
	CHECK(volume_discard(volume, 0, BLOCK_SIZE) < 0);
	check_value(volume, 1, 32 * KIB, 5 * SECTOR_SIZE);
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_MODIFY), changes);
}

static void test_info(const void *data)
{
	g_autoptr(Place) place = NULL;
	Volume *volume = new_volume(&place, 16 * MIB);
	VolumeInfo info;
	char uuid[37];

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, MIB, 0), 0);
	CHECK_INT(volume_put_value(volume, 1, SECTOR_SIZE, 0), 0);
	check_value(volume, 1, MIB, 0);
	CHECK_INT(volume_zero(volume, 0, 64 * KIB), 0);
	CHECK_INT(volume_flush(volume), 0);
	volume_get_info(volume, &info);
	CHECK_INT(info.state, VOLUME_OK);
	CHECK_UINT(info.size, 16 * MIB);
	CHECK_UINT(info.logical_block_size, 512);
	CHECK_UINT(info.data_bytes, MIB - 64 * KIB);
	CHECK_UINT(info.checksum_errors, 0);
	CHECK(info.journal_used > 0 && info.journal_used < info.journal_size);
	memcpy(uuid, info.uuid, sizeof uuid);
	CHECK_UINT(strlen(uuid), 36);
	CHECK(volume_failure(volume) == NULL);
	close_volume(volume);
	volume = place_open(place);
	volume_get_info(volume, &info);
	CHECK_STR(info.uuid, uuid);
	close_volume(volume);
}

static void test_cost(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	const VolumeParameters p = {.size = 64 * MIB};
	guint64 writes, reads;
	Volume *volume;

	(void)data;
	REQUIRE(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
	writes = backing_faulty_count(backing, FAULTY_MODIFY);
	reads = backing_faulty_count(backing, FAULTY_READ);
	for (guint i = 0; i < 100; i++)
		CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, i * 5 * BLOCK_SIZE), 0);
	CHECK(backing_faulty_count(backing, FAULTY_MODIFY) - writes <= 210);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_READ) - reads, 0);
	for (guint i = 0; i < 100; i++)
		check_value(volume, 1, BLOCK_SIZE, i * 5 * BLOCK_SIZE);
	CHECK(backing_faulty_count(backing, FAULTY_READ) - reads <= 100);
	close_volume(volume);
}

#define FLUSHERS 8
#define FLUSHES 10

static gpointer write_and_flush(gpointer data)
{
	for (guint i = 0; i < FLUSHES; i++) {
		CHECK_INT(volume_put_value(data, 1, BLOCK_SIZE, i * BLOCK_SIZE), 0);
		CHECK_INT(volume_flush(data), 0);
	}
	return NULL;
}

static void test_flushes_share(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	const VolumeParameters p = {.size = 16 * MIB};
	GThread *threads[FLUSHERS];
	guint64 before, made;
	Volume *volume;

	(void)data;
	REQUIRE(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	before = backing_faulty_count(backing, FAULTY_FLUSH);
	backing_faulty_delay(backing, FAULTY_FLUSH, 10000);
	for (guint i = 0; i < FLUSHERS; i++)
		threads[i] = g_thread_new("flush", write_and_flush, volume);
	for (guint i = 0; i < FLUSHERS; i++)
		g_thread_join(threads[i]);
	made = backing_faulty_count(backing, FAULTY_FLUSH) - before;
	test_note("%u flushes took %" G_GUINT64_FORMAT, FLUSHERS * FLUSHES, made);
	CHECK(made >= FLUSHES && made <= FLUSHERS * FLUSHES / 2);
	before = backing_faulty_count(backing, FAULTY_FLUSH);
	CHECK_INT(volume_flush(volume), 0); /* nothing is left to be flushed */
	CHECK_UINT(backing_faulty_count(backing, FAULTY_FLUSH), before);
	close_volume(volume);
}

int main(int argc, char **argv)
{
	/* First: what others have freed would hide what it takes. */
	test_add("memory stays within its bounds", test_memory_bounded, NULL);
	test_add("sizes from 1 MiB to 64 TiB, and no others", test_parameters, NULL);
	test_add("64 TiB are made at once and take little", test_thin, NULL);
	test_add("holes read as zeros", test_holes, NULL);
	test_add("what is unaligned or beyond the end is refused", test_bad_ranges, NULL);
	test_add("requests for nothing succeed", test_nothing, NULL);
	test_add("a volume is open once, and it is said where", test_exclusive, NULL);
	test_add("without waiting: done, or nothing done", test_nowait, NULL);
	test_add("what nobody waits for changes nothing", test_unwanted, NULL);
	test_add("compare-and-write tells the first byte that differs", test_compare, NULL);
	test_add("discarded space goes back to the file system", test_discard_gives_back, NULL);
	test_add("discarding all of 1 TiB is immediate", test_discard_all, NULL);
	test_add("read-only writes nothing, and shows what is to be replayed", test_read_only,
		 NULL);
	test_add("what is known of a volume", test_info, NULL);
	test_add("what a write and a read cost", test_cost, NULL);
	test_add("flushes at the same time share one", test_flushes_share, NULL);
	return test_run(argc, argv);
}
