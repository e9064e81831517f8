/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a flush costs, and what it leaves for a crash that is followed by rot: durable-marks, and
 * where their copies are.
 */
#include "common/engine/superblock.h"
#include "common/engine/volume-private.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

#define SIZE (16 * MIB)
#define JOURNAL (64 * KIB)
#define ROUNDS 120u /* more than 4 KiB of records and marks, less than half of the ring */

static guint64 place(guint i)
{
	return i * 100 * KIB / BLOCK_SIZE * BLOCK_SIZE;
}

/* Writes a block full of `number` and flushes. */
static gboolean put_number(Volume *volume, guint64 number, gboolean flush)
{
	guint64 block[BLOCK_SIZE / sizeof(guint64)];

	for (guint i = 0; i < G_N_ELEMENTS(block); i++)
		block[i] = number;
	return CHECK_INT(volume_put(volume, block, sizeof block, 0), 0) &&
	       (!flush || CHECK_INT(volume_flush(volume), 0));
}

/* ---- I/Os */

/* What one thread writes between two flushes. */
typedef struct {
	GThread *thread;
	GArray *pages; /* numbers of the 4 KiB units written since the last flush */
	guint extents; /* of neighbouring units, at the last flush */
	guint flushes;
} Cost;

static gint compare_pages(gconstpointer a, gconstpointer b)
{
	guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;

	return x < y ? -1 : x > y;
}

static guint count_extents(GArray *pages)
{
	guint extents = 0;

	g_array_sort(pages, compare_pages);
	for (guint i = 0; i < pages->len; i++)
		extents += !i || g_array_index(pages, guint64, i) >
					 g_array_index(pages, guint64, i - 1) + 1;
	return extents;
}

static gboolean note_write(guint64 offset, guint64 length, gpointer data)
{
	Cost *cost = data;

	if (g_thread_self() != cost->thread)
		return TRUE;
	for (guint64 page = offset / 4096; length && page <= (offset + length - 1) / 4096; page++)
		g_array_append_val(cost->pages, page);
	if (!offset && !length) {
		cost->extents = count_extents(cost->pages);
		cost->flushes++;
		g_array_set_size(cost->pages, 0);
	}
	return TRUE;
}

/* Once in a quarter of a second the marks outside the ring are a third I/O, and at the end of the
 * ring its two sides are apart. */
static void test_two_writes(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, 4, place);
	g_autoptr(GArray) pages = g_array_new(FALSE, FALSE, sizeof(guint64));
	Cost cost = {.thread = g_thread_self(), .pages = pages};
	gint64 begun = g_get_monotonic_time();
	guint more = 0, allowed;
	Volume *volume;

	(void)data;
	volume = volume_open(backing_borrow_gated(backing, note_write, &cost), "test", 0, NULL);
	REQUIRE(volume);
	CHECK(put_number(volume, 0, TRUE));
	for (guint i = 1; i < ROUNDS; i++) {
		guint before = cost.flushes;

		CHECK(put_number(volume, i, TRUE));
		CHECK_UINT(cost.flushes, before + 1);
		more += cost.extents > 2;
	}
	allowed = 4 + (guint)((g_get_monotonic_time() - begun) / (100 * G_TIME_SPAN_MILLISECOND));
	test_note("%u of %u flushes took more than two I/Os", more, ROUNDS);
	CHECK(more <= allowed);
	close_volume(volume);
}

/* ---- what is hastened */

static guint hastened;	/* calls */
static guint64 in_ring; /* bytes of the ring */

static void note_hasten(Backing *backing, guint64 offset, guint64 length)
{
	(void)backing;
	hastened++;
	if (offset < FORMAT_JOURNAL_OFFSET + JOURNAL)
		in_ring += length;
}

/* Of one write after `between` writes between two flushes: which begin their way to the disk at
 * once. */
static void check_hastened(Volume *volume, guint between, gboolean expected)
{
	test_row("%u writes between flushes", between);
	for (guint i = 0; i < 3 * between; i++)
		CHECK(put_number(volume, i, i % between == between - 1));
	hastened = 0;
	in_ring = 0;
	for (guint i = 0; i < between; i++)
		CHECK(put_number(volume, i, FALSE));
	CHECK_UINT(hastened, expected ? 2 * between : 0); /* payload and record */
	CHECK(!expected || (in_ring > 0 && in_ring <= between * 8192));
	for (guint i = 0; i < 10; i++)
		CHECK(put_number(volume, i, FALSE)); /* no flush came */
	CHECK_UINT(hastened, expected ? 2 * between : 0);
	CHECK_INT(volume_flush(volume), 0);
}

static void test_hastened(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, 4, place);
	Backing *borrowed = backing_borrow(backing);
	BackingOps ops = *borrowed->ops;
	Volume *volume;

	(void)data;
	ops.hasten = note_hasten;
	borrowed->ops = &ops;
	volume = volume_open(borrowed, "test", 0, NULL);
	REQUIRE(volume);
	check_hastened(volume, 1, TRUE);
	check_hastened(volume, 4, TRUE);
	check_hastened(volume, 5, FALSE);
	check_hastened(volume, 40, FALSE);
	check_hastened(volume, 1, TRUE);
	close_volume(volume);
}

/* Writes `blocks` blocks to fresh space: how many runs begin their way to the disk. */
static void check_large(Volume *volume, guint blocks, guint expected)
{
	test_row("a write of %u blocks", blocks);
	hastened = 0;
	CHECK_INT(volume_put_value(volume, 7, blocks * BLOCK_SIZE, 8 * MIB), 0);
	CHECK_UINT(hastened, expected);
}

/* Of a write of 256 KiB and more the payload is hastened, also if no flush is expected. */
static void test_large_hastened(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, 4, place);
	Backing *borrowed = backing_borrow(backing);
	BackingOps ops = *borrowed->ops;
	Volume *volume;

	(void)data;
	ops.hasten = note_hasten;
	borrowed->ops = &ops;
	volume = volume_open(borrowed, "test", 0, NULL);
	REQUIRE(volume);
	check_large(volume, 64, 1);
	check_large(volume, 63, 0);
	check_large(volume, 256, 1);
	close_volume(volume);
}

/* What is free are single blocks, and the backing cannot grow: a large write has many short runs,
 * of which each would be an I/O of its own if it began at once. */
static void test_scattered_not_hastened(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, 4, place);
	Backing *borrowed = backing_borrow(backing);
	BackingOps ops = *borrowed->ops;
	Volume *volume;

	(void)data;
	ops.hasten = note_hasten;
	borrowed->ops = &ops;
	volume = volume_open(borrowed, "test", 0, NULL);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 6, 4 * MIB, 0), 0);
	backing_faulty_fill_up(backing, 0);
	for (guint i = 0;
	     !volume_put_value(volume, 5, 8 * BLOCK_SIZE, 4 * MIB + i * 8 * BLOCK_SIZE); i++)
		; /* neighbours that are free */
	for (guint64 at = 0; at < 4 * MIB; at += 2 * BLOCK_SIZE)
		CHECK_INT(volume_discard(volume, at, BLOCK_SIZE), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	check_large(volume, 64, 0);
	close_volume(volume);
	backing_faulty_fill_up(backing, G_MAXUINT64);
}

/* ---- rot after a crash */

/* Opens the disk that a crash leaves, without one block of the ring: what was flushed before is
 * there, or the open fails.  Returns whether it failed. */
static gboolean open_without(Backing *disk, guint64 seed, guint block, guint64 least)
{
	static const guint8 zeros[4096];
	g_autoptr(Backing) left = backing_faulty_crash(disk, seed);
	g_autoptr(GError) error = NULL;
	guint64 number[BLOCK_SIZE / sizeof(guint64)];
	Volume *volume;

	CHECK_INT(backing_pwrite(left, zeros, sizeof zeros,
				 FORMAT_JOURNAL_OFFSET + block * sizeof zeros),
		  0);
	volume = volume_open(backing_borrow(left), "test", 0, &error);
	if (!volume)
		return CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "was flushed, and is damaged");
	CHECK_INT(volume_get(volume, number, sizeof number, 0), 0);
	CHECK(number[0] >= least);
	volume_abandon(volume);
	return FALSE;
}

/* The block of the ring in which the next record begins. */
static guint head_block(Backing *disk, Volume *volume)
{
	SuperblockPair pair;
	VolumeInfo info;

	volume_get_info(volume, &info);
	if (!CHECK(superblock_load(disk, &pair, NULL)))
		return 0;
	return (guint)((pair.current.journal_position + info.journal_used) / 4096);
}

/* With each of the last blocks of the ring, and the next, lost in turn: after a loss of power that
 * leaves what was flushed alone, and after the death of the process.  After the loss of power, the
 * last flush has no mark on the disk yet. */
static guint lose_each(Backing *disk, Volume *volume, guint64 flushed)
{
	guint head = head_block(disk, volume), n = JOURNAL / 4096, refused = 0;

	for (guint i = 0; i < 4 && !test_failed(); i++) {
		guint block = (head + n - 2 + i) % n;

		refused += open_without(disk, 0, block, flushed - 1);
		refused += open_without(disk, G_MAXUINT64, block, flushed);
	}
	return refused;
}

static void test_lost_block(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, 4, place);
	Volume *volume = backing_open_volume(backing);
	guint refused = 0;

	(void)data;
	REQUIRE(volume);
	for (guint i = 1; i <= ROUNDS && !test_failed(); i++) {
		CHECK(put_number(volume, i, TRUE));
		refused += lose_each(backing, volume, i);
	}
	CHECK(refused > 2 * ROUNDS - 4);
	volume_abandon(volume);
}

/* Records behind the last flush go over the copy of its mark: the copy moves on. */
static void test_overrun(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, 4, place);
	Volume *volume = backing_open_volume(backing);
	g_autoptr(Backing) left = NULL;
	guint refused = 0;

	(void)data;
	REQUIRE(volume);
	for (guint i = 1; i <= 60; i++) /* more than a block: the marks outside tell of the first */
		CHECK(put_number(volume, i, TRUE));
	for (guint i = 0; i < 200; i++)
		CHECK(put_number(volume, 61, FALSE));
	left = backing_faulty_crash(backing, G_MAXUINT64); /* before the marks outside follow */
	for (guint block = 0; block < JOURNAL / 4096 && !test_failed(); block++)
		refused += open_without(left, G_MAXUINT64, block, 60);
	CHECK(refused > 0);
	volume_abandon(volume);
}

/* ---- the marks outside the ring */

/* What the first mark outside the ring says: records before that sequence are on the disk. */
static guint64 marked_outside(Backing *backing)
{
	guint8 raw[sizeof(FormatRecord)];

	CHECK_INT(backing_pread(backing, raw, sizeof raw, FORMAT_MARKS_OFFSET), 0);
	return get_le64(raw + G_STRUCT_OFFSET(FormatRecord, first));
}

/* They follow without a further request, and every checkpoint has them. */
static void test_marks_follow(const void *data)
{
	const gboolean *checkpoint = data;
	g_autoptr(Backing) backing = backing_new_filled(SIZE, 4, place);
	Volume *volume = backing_open_volume(backing);
	VolumeInfo info;
	guint64 first;

	REQUIRE(volume);
	CHECK(put_number(volume, 1, TRUE));
	first = marked_outside(backing);
	for (guint i = 0; i < 3; i++)
		CHECK(put_number(volume, 2, TRUE));
	if (*checkpoint)
		CHECK_INT(volume_checkpoint(volume), 0);
	test_alarm(20, "the marks outside the ring");
	while (!*checkpoint && marked_outside(backing) < first + 6)
		g_usleep(1000);
	test_alarm(0, NULL);
	CHECK_UINT(marked_outside(backing), first + 6);
	volume_get_info(volume, &info);
	CHECK_UINT(info.checkpoints, *checkpoint);
	volume_abandon(volume);
}

static gboolean fail_marks_once(guint64 offset, guint64 length, gpointer data)
{
	return offset != FORMAT_MARKS_OFFSET || !length ||
	       !g_atomic_int_compare_and_exchange((gint *)data, TRUE, FALSE);
}

/* As nothing may come after the last one before a volume is closed. */
static void test_marks_tried_again(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, 4, place);
	gint fails = FALSE;
	Volume *volume =
		volume_open(backing_borrow_gated(backing, fail_marks_once, &fails), "v", 0, NULL);
	guint64 before = 0;

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < 100 && !test_failed(); i++) { /* unless none are left to write */
		for (guint j = 0; j < 3; j++)
			CHECK(put_number(volume, i, TRUE));
		before = marked_outside(backing);
		g_atomic_int_set(&fails, TRUE);
		journal_settle_marks(volume->engine.journal);
		if (!g_atomic_int_get(&fails))
			break;
	}
	CHECK(!g_atomic_int_get(&fails));
	CHECK(marked_outside(backing) > before);
	close_volume(volume);
	backing_check(backing);
}

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

int main(int argc, char **argv)
{
	static const gboolean idle = FALSE, checkpoint = TRUE;

	logging_set_sink(no_log);
	test_add("a small write and its flush are two I/Os", test_two_writes, NULL);
	test_add("a write before an expected flush is hastened", test_hastened, NULL);
	test_add("a large write is hastened", test_large_hastened, NULL);
	test_add("a large write of many short runs is not", test_scattered_not_hastened, NULL);
	test_add("no block of the ring is lost unnoticed", test_lost_block, NULL);
	test_add("the mark's copy moves on before records", test_overrun, NULL);
	test_add("an idle volume's marks follow the last flush", test_marks_follow, &idle);
	test_add("a checkpoint writes the marks", test_marks_follow, &checkpoint);
	test_add("marks that could not be written are written again", test_marks_tried_again, NULL);
	return test_run(argc, argv);
}
