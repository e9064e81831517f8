/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Faults that a review of the engine found, each with the sequence of events that showed it.
 */
#include "tests/backing/faulty.h"
#include "common/engine/codec.h"
#include "common/engine/superblock.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#include <errno.h>
#include <unistd.h>

static Backing *faulty_volume(guint64 size)
{
	VolumeParameters parameters = {.size = size};
	Backing *backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;

	volume_format(backing, &parameters, &error);
	CHECK_NO_ERROR(error);
	return backing;
}

/* --- A flush's durable-mark beside a checkpoint's cut ------------------------------------------
 */

#define FLUSHERS 3
#define CUT_SECONDS 4

typedef struct {
	Volume *volume;
	guint64 block;
	guint64 flushed; /* atomic: the last value that a flush made durable */
	gint *stop;	 /* atomic */
} Flusher;

static gpointer flusher_main(gpointer data)
{
	Flusher *flusher = data;
	guint64 value[BLOCK_SIZE / 8] = {0};

	for (guint64 n = 1; !g_atomic_int_get(flusher->stop); n++) {
		value[0] = n;
		if (!CHECK_INT(volume_put(flusher->volume, value, BLOCK_SIZE,
					  blocks_to_bytes(flusher->block)),
			       0) ||
		    !CHECK_INT(volume_flush(flusher->volume), 0))
			break;
		__atomic_store_n(&flusher->flushed, n, __ATOMIC_RELEASE);
	}
	return NULL;
}

/* What was flushed so far is there if the process dies now. */
static void check_crash_keeps(Backing *backing, Flusher *flushers)
{
	guint64 flushed[FLUSHERS], value[BLOCK_SIZE / 8];
	g_autoptr(Backing) left = NULL;
	Volume *volume;

	for (guint i = 0; i < FLUSHERS; i++)
		flushed[i] = __atomic_load_n(&flushers[i].flushed, __ATOMIC_ACQUIRE);
	left = backing_faulty_crash(backing, G_MAXUINT64);
	volume = backing_open_volume(left);
	REQUIRE(volume);
	for (guint i = 0; i < FLUSHERS; i++) {
		CHECK_INT(volume_get(volume, value, BLOCK_SIZE, blocks_to_bytes(i)), 0);
		CHECK(value[0] >= flushed[i]);
	}
	volume_abandon(volume);
}

static void test_flushes_beside_checkpoints(const void *data)
{
	g_autoptr(Backing) backing = faulty_volume(16 * MIB);
	Volume *volume = backing_open_volume(backing);
	gint64 end = g_get_monotonic_time() + CUT_SECONDS * G_TIME_SPAN_SECOND;
	Flusher flushers[FLUSHERS];
	GThread *threads[FLUSHERS];
	gint stop = FALSE;

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < FLUSHERS; i++) {
		flushers[i] = (Flusher){.volume = volume, .block = i, .stop = &stop};
		threads[i] = g_thread_new("flusher", flusher_main, &flushers[i]);
	}
	while (!test_failed() && g_get_monotonic_time() < end) {
		CHECK_INT(volume_checkpoint(volume), 0);
		g_usleep(300); /* a few flushes, while the checkpoint is new */
		check_crash_keeps(backing, flushers);
	}
	g_atomic_int_set(&stop, TRUE);
	for (guint i = 0; i < FLUSHERS; i++)
		g_thread_join(threads[i]);
	close_volume(volume);
}

/* --- Bytes from somebody else ------------------------------------------------------------------
 */

static void test_zero_record_with_runs(const void *data)
{
	g_autoptr(Backing) backing = faulty_volume(16 * MIB);
	Record record = {.kind = FORMAT_RECORD_ZERO,
			 .sequence = 1,
			 .generation = 9,
			 .blocks = 8,
			 .n_runs = 3};
	guint8 raw[FORMAT_RECORD_LENGTH_MAX] = {0};
	g_autoptr(GError) error = NULL;
	SuperblockPair pair;
	Volume *volume;

	(void)data;
	REQUIRE(superblock_load(backing, &pair, &error));
	record_encode(&record, &(Seal){pair.current.seed}, raw);
	CHECK_INT(backing_pwrite(backing, raw, sizeof raw, FORMAT_JOURNAL_OFFSET), 0);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	check_value(volume, 0, BLOCK_SIZE, 0);
	close_volume(volume);
}

/* --- More dirty nodes than the cache may hold ---------------------------------------------------
 */

#define DIRTY_LEAVES 600

static void test_read_over_two_leaves(const void *data)
{
	g_autoptr(Backing) backing = faulty_volume(2 * GIB);
	g_autoptr(GError) error = NULL;
	Volume *volume = backing_open_volume(backing);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 5, 2 * BLOCK_SIZE, GIB - BLOCK_SIZE), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	for (guint64 i = 0; i < DIRTY_LEAVES; i++)
		CHECK_INT(volume_put_value(volume, 6, BLOCK_SIZE, i * MIB), 0);
	volume_abandon(volume);

	volume_set_cache_size(MIB); /* 256 nodes: the replay makes more than that dirty */
	volume = volume_open(backing_borrow(backing), "small", VOLUME_OPEN_READ_ONLY, &error);
	REQUIRE(volume);
	test_alarm(20, "a replay that fills the cache"); /* the replay did not end */
	check_value(volume, 5, 2 * BLOCK_SIZE, GIB - BLOCK_SIZE);
	test_alarm(0, NULL);
	close_volume(volume);
	volume_set_cache_size(64 * MIB);
}

/* --- A journal that cannot be written ------------------------------------------------------------
 */

static void test_mark_fails(const void *data)
{
	g_autoptr(Backing) backing = faulty_volume(16 * MIB);
	g_autofree char *why = NULL;
	Volume *volume = backing_open_volume(backing);
	VolumeInfo info;

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
	backing_faulty_fail(backing, FAULTY_WRITE, 0, EIO, FALSE, FALSE); /* the durable-mark */
	CHECK_INT(volume_flush(volume), 0);
	CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, 0), -ESHUTDOWN);
	volume_get_info(volume, &info);
	CHECK_INT(info.state, VOLUME_FAILED);
	why = volume_failure(volume);
	CHECK_CONTAINS(why, "journal");
	CHECK(!volume_close(volume, NULL));
}

/* --- A full disk -------------------------------------------------------------------------------
 */

#define FULL_BLOCKS 16384u
#define FULL_ROUNDS 4

/* Writes single blocks here and there until the disk is full, or `writes` are done. */
static guint scatter(Volume *volume, TestRandom *random, guint8 *values, guint writes)
{
	guint done = 0;

	for (guint i = 0, full = 0; i < writes && full < 50; i++) {
		guint64 block = test_random_below(random, FULL_BLOCKS);
		guint8 value = (guint8)(1 + i % 250);
		int r = volume_put_value(volume, value, BLOCK_SIZE, blocks_to_bytes(block));

		if (!r) {
			values[block] = value;
			done++;
		} else {
			CHECK_INT(r, -ENOSPC);
			full++;
		}
	}
	return done;
}

static void check_values(Volume *volume, const guint8 *values)
{
	for (guint64 i = 0; i < FULL_BLOCKS && !test_failed(); i++)
		check_value(volume, values[i], BLOCK_SIZE, blocks_to_bytes(i));
}

/* Discards a quarter of the full volume; the space that this frees can be written. */
static void discard_and_go_on(Volume *volume, TestRandom *random, guint8 *values)
{
	guint64 first = test_random_below(random, FULL_BLOCKS / 2), n = FULL_BLOCKS / 4;
	guint64 freed = 0;

	for (guint64 i = first; i < first + n; i++)
		freed += values[i] != 0;
	CHECK_INT(volume_discard(volume, blocks_to_bytes(first), blocks_to_bytes(n)), 0);
	memset(values + first, 0, n);
	CHECK_INT(volume_checkpoint(volume), 0);
	CHECK_UINT(scatter(volume, random, values, (guint)(freed / 2)), freed / 2);
	CHECK_INT(volume_checkpoint(volume), 0);
}

static void test_full_disk(const void *data)
{
	Backing *backing = faulty_volume(blocks_to_bytes(FULL_BLOCKS)), *left;
	g_autofree guint8 *values = g_malloc0(FULL_BLOCKS);
	TestRandom random = test_random_new(test_seed());

	(void)data;
	for (guint round = 0; round < FULL_ROUNDS && !test_failed(); round++) {
		Volume *volume = backing_open_volume(backing);

		if (!volume)
			break;
		test_row("round %u", round);
		scatter(volume, &random, values, 1500);
		backing_faulty_fill_up(backing, test_random_below(&random, 8 * MIB));
		scatter(volume, &random, values, 3000);
		CHECK_INT(volume_checkpoint(volume), 0);
		backing_faulty_fill_up(backing, 0);
		discard_and_go_on(volume, &random, values);
		scatter(volume, &random, values, 300);
		left = backing_faulty_crash(backing, G_MAXUINT64);
		volume_abandon(volume);
		backing_free(backing);
		backing = left;
		backing_faulty_fill_up(backing, 0);
		volume = backing_open_volume(backing);
		if (!volume)
			break;
		check_values(volume, values);
		CHECK_INT(volume_checkpoint(volume), 0);
		close_volume(volume);
		backing_check(backing);
		backing_faulty_fill_up(backing, G_MAXUINT64);
	}
	backing_free(backing);
}

/* Discarded space is freed in the background, which may take long.  A write that needs the space
 * must not wait for the next such round. */
static void test_full_disk_discard_then_write(const void *data)
{
	g_autoptr(Backing) backing = faulty_volume(blocks_to_bytes(FULL_BLOCKS));
	g_autofree guint8 *values = g_malloc0(FULL_BLOCKS);
	TestRandom random = test_random_new(test_seed());
	Volume *volume = backing_open_volume(backing);

	(void)data;
	REQUIRE(volume);
	scatter(volume, &random, values, 3000);
	CHECK_INT(volume_checkpoint(volume), 0);
	backing_faulty_fill_up(backing, 0);
	while (scatter(volume, &random, values, 100))
		;
	backing_faulty_delay(backing, FAULTY_READ, 20000);
	CHECK_INT(volume_discard(volume, 0, blocks_to_bytes(FULL_BLOCKS) / 2), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	memset(values, 0, FULL_BLOCKS / 2);
	for (guint64 i = 0; i < 500; i++) { /* holes, which free nothing */
		values[i] = 7;
		CHECK_INT(volume_put_value(volume, 7, BLOCK_SIZE, blocks_to_bytes(i)), 0);
	}
	backing_faulty_delay(backing, FAULTY_READ, 0);
	check_values(volume, values);
	close_volume(volume);
	backing_check(backing);
}

/* --- A failed flush, and the next open ---------------------------------------------------------
 */

/* After a failed flush, the kernel takes pages for clean that are not on the disk.  The next open
 * reads these pages, flushes, and relies on that flush. */
static void test_open_after_failed_flush(const void *data)
{
	g_autoptr(Backing) backing = faulty_volume(16 * MIB);
	g_autoptr(Backing) left = NULL;
	Volume *volume = backing_open_volume(backing);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
	CHECK_INT(volume_put_value(volume, 2, MIB, 2 * MIB + 512), 0);
	backing_faulty_fail(backing, FAULTY_FLUSH, 0, EIO, FALSE, FALSE);
	CHECK_INT(volume_flush(volume), -EIO);
	volume_abandon(volume);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	check_value(volume, 1, BLOCK_SIZE, 0);
	CHECK_INT(volume_flush(volume), 0);
	left = backing_faulty_crash(backing, 0);
	volume_abandon(volume);
	volume = backing_open_volume(left);
	REQUIRE(volume);
	check_value(volume, 1, BLOCK_SIZE, 0);
	check_value(volume, 2, MIB, 2 * MIB + 512);
	close_volume(volume);
}

/* --- Damage to a record that was flushed -------------------------------------------------------
 */

/* The walk through the journal must not take the damaged record for the end that a crash left. */
static void test_damaged_flushed_record(const void *data)
{
	g_autoptr(Backing) backing = faulty_volume(16 * MIB);
	g_autoptr(GError) error = NULL;
	Volume *volume = backing_open_volume(backing);

	(void)data;
	REQUIRE(volume);
	for (guint8 i = 1; i <= 4; i++) {
		CHECK_INT(volume_put_value(volume, i, BLOCK_SIZE, i * BLOCK_SIZE), 0);
		CHECK_INT(volume_flush(volume), 0);
	}
	volume_abandon(volume);
	backing_faulty_flip(backing, FORMAT_JOURNAL_OFFSET + 40, 3);
	volume = volume_open(backing_borrow(backing), "test", 0, &error);
	CHECK(volume == NULL);
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "was flushed, and is damaged");
}

/* --- One superblock that cannot be read, or is gone ---------------------------------------------
 */

static void test_one_superblock(const void *data)
{
	for (guint64 home = 0; home <= FORMAT_SUPERBLOCK_B; home += FORMAT_SUPERBLOCK_B) {
		g_autoptr(Backing) backing = faulty_volume(16 * MIB);
		Volume *volume = backing_open_volume(backing);

		(void)data;
		REQUIRE(volume);
		CHECK_INT(volume_put_value(volume, 7, BLOCK_SIZE, 0), 0);
		close_volume(volume);
		backing_faulty_flip(backing, home + 100, 1);
		volume = backing_open_volume(backing);
		REQUIRE(volume);
		check_value(volume, 7, BLOCK_SIZE, 0);
		close_volume(volume);
	}
}

static void test_unreadable_superblock(const void *data)
{
	for (guint64 nth = 0; nth < 2; nth++) {
		g_autoptr(Backing) backing = faulty_volume(16 * MIB);
		g_autoptr(GError) error = NULL;
		Volume *volume;

		(void)data;
		backing_faulty_fail(backing, FAULTY_READ, nth, EIO, FALSE, FALSE);
		volume = volume_open(backing_borrow(backing), "test", 0, &error);
		CHECK(volume == NULL);
		CHECK_ERROR(error, STORAGEOS_ERROR_IO, "superblock");
	}
}

/* --- Discarded space that a crash left to be freed
 * ------------------------------------------------ */

/* Slow reads keep the nodes below dead pointers from being taken apart before the crash.  Only
 * the superblock then tells the next open where they are. */
static void test_discarded_before_crash(const void *data)
{
	g_autoptr(Backing) backing = faulty_volume(64 * MIB);
	g_autoptr(Backing) left = NULL;
	Volume *volume = backing_open_volume(backing);
	VolumeInfo info;

	(void)data;
	REQUIRE(volume);
	for (guint64 i = 0; i < 64; i++)
		CHECK_INT(volume_put_value(volume, 3, BLOCK_SIZE, i * MIB), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	backing_faulty_delay(backing, FAULTY_READ, 50000);
	CHECK_INT(volume_discard(volume, 0, 64 * MIB), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	left = backing_faulty_crash(backing, 0);
	backing_faulty_delay(backing, FAULTY_READ, 0);
	volume_abandon(volume);
	volume = backing_open_volume(left);
	REQUIRE(volume);
	CHECK(volume_settled(volume, volume_settle(volume), 20));
	volume_get_info(volume, &info);
	CHECK_UINT(info.data_bytes, 0);
	close_volume(volume);
	backing_check(left);
}

int main(int argc, char **argv)
{
	test_add("flushes beside checkpoints: what was flushed survives",
		 test_flushes_beside_checkpoints, NULL);
	test_add("a zero record that names slots is no record", test_zero_record_with_runs, NULL);
	test_add("a read over two leaves ends though dirty nodes fill the cache",
		 test_read_over_two_leaves, NULL);
	test_add("a durable-mark that cannot be written leaves the volume FAILED", test_mark_fails,
		 NULL);
	test_add(
		"on a full disk: checkpoints, discards, writes to what they free, opening, closing",
		test_full_disk, NULL);
	test_add("on a full disk: a write right after a discard", test_full_disk_discard_then_write,
		 NULL);
	test_add("what the next open shows after a failed flush is durable once it flushed",
		 test_open_after_failed_flush, NULL);
	test_add("a flushed record that is damaged is an error, not the journal's end",
		 test_damaged_flushed_record, NULL);
	test_add("space that was discarded before a crash is freed after it",
		 test_discarded_before_crash, NULL);
	test_add("damage to either superblock is no loss", test_one_superblock, NULL);
	test_add("an open does not skip a superblock that cannot be read",
		 test_unreadable_superblock, NULL);
	return test_run(argc, argv);
}
