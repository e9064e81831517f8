/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a volume costs: memory, time, space and operations of the backing.
 */
#include <stdio.h>
#include <unistd.h>

#include "common/base/bounds.h"
#include "common/base/units.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

static gint64 milliseconds_since(TestTime start)
{
	return test_since(start).clock / 1000;
}

/* A sanitizer takes the time, not the volume. */
static void check_quick(TestTime start, double seconds)
{
	if (!test_is_instrumented())
		CHECK_QUICK(start, seconds);
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
	if (test_is_instrumented()) {
		test_skip("memory says nothing in this build");
		return;
	}
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

/* Reads at random of 512 blocks that lie as far apart as the volume allows.  How many nodes that
 * reads. */
static guint64 misses_of(guint64 size)
{
	TestRandom random = test_random_new(test_seed());
	g_autoptr(Place) place = NULL;
	Volume *volume = place_new_volume(&place, size);
	guint64 apart = size / 512;
	VolumeInfo before, after;

	if (!CHECK(volume != NULL))
		return 0;
	for (guint64 at = 0; at < size; at += apart)
		CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, at), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	for (guint i = 0; i < 12000 && !test_failed(); i++) {
		if (i == 2000)
			volume_get_info(volume, &before);
		check_value(volume, 1, BLOCK_SIZE, test_random_below(&random, 512) * apart);
	}
	volume_get_info(volume, &after);
	close_volume(volume);
	return after.cache_misses - before.cache_misses;
}

/* On 1 TiB each leaf has an inner node of its own. */
static void test_misses(const void *data)
{
	guint64 narrow, wide;

	(void)data;
	volume_set_cache_size(MIB);
	narrow = misses_of(4 * GIB);
	wide = misses_of(TIB);
	volume_set_cache_size(64 * MIB);
	test_note("10000 reads miss %" G_GUINT64_FORMAT " nodes on 4 GiB, %" G_GUINT64_FORMAT
		  " on 1 TiB",
		  narrow, wide);
	CHECK(narrow > 1000);
	CHECK(wide <= narrow * 5 / 4);
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
	Volume *volume = place_new_volume(&place, TIB);
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
	/* First: memory that other tests have freed would hide what this one takes. */
	test_add("memory stays within its bounds", test_memory_bounded, NULL);
	test_add("reads of a large volume miss no more nodes than those of a small one",
		 test_misses, NULL);
	test_add("a volume of 64 TiB is made at once and takes little", test_thin, NULL);
	test_add("discarded space goes back to the file system", test_discard_gives_back, NULL);
	test_add("discarding all of 1 TiB is immediate", test_discard_all, NULL);
	test_add("a write and a read cost few operations", test_cost, NULL);
	test_add("flushes at the same time share one", test_flushes_share, NULL);
	return test_run(argc, argv);
}
