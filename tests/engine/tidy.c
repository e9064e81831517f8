/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pass that tidies space: an aged volume becomes like a new one, nothing else changes, and
 * nothing that may happen meanwhile does harm.
 */
#include "common/engine/volume-private.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

#include <errno.h>

#define SIZE (48 * MIB)
#define BLOCKS ((guint)(SIZE / BLOCK_SIZE))
#define SMALL_SIZE (3 * MIB)
#define SMALL_BLOCKS ((guint)(SMALL_SIZE / BLOCK_SIZE))

/* A volume, and what is in it: the number of each block, which fills it; 0 for a hole. */
typedef struct {
	Backing *backing; /* faulty, owned */
	Volume *volume;
	guint64 size;
	guint32 *numbers; /* of each block; owned */
	guint32 last;
	TestRandom random;
} Aged;

static void block_fill(guint32 *data, guint32 number, guint64 block)
{
	for (guint i = 0; i < BLOCK_SIZE / sizeof *data; i += 2) {
		data[i] = number;
		data[i + 1] = number ? (guint32)block : 0;
	}
}

static void aged_put(Aged *aged, guint64 block, guint n)
{
	g_autofree guint32 *data = g_malloc((gsize)n * BLOCK_SIZE);

	for (guint i = 0; i < n; i++) {
		aged->numbers[block + i] = ++aged->last;
		block_fill(data + i * BLOCK_SIZE / sizeof *data, aged->last, block + i);
	}
	CHECK_INT(volume_put(aged->volume, data, (gsize)n * BLOCK_SIZE, blocks_to_bytes(block)), 0);
}

/* Discards a block. */
static void aged_drop(Aged *aged, guint64 block)
{
	aged->numbers[block] = 0;
	CHECK_INT(volume_discard(aged->volume, blocks_to_bytes(block), BLOCK_SIZE), 0);
}

static gboolean aged_check(Aged *aged, Volume *volume)
{
	g_autofree guint32 *data = g_malloc(MIB);
	guint32 wanted[BLOCK_SIZE / sizeof(guint32)];

	for (guint64 at = 0; at < aged->size; at += MIB) {
		if (!CHECK_INT(volume_get(volume, data, MIB, at), 0))
			return FALSE;
		for (guint i = 0; i < MIB / BLOCK_SIZE; i++) {
			guint64 block = block_of(at) + i;

			block_fill(wanted, aged->numbers[block], block);
			if (memcmp(wanted, data + i * G_N_ELEMENTS(wanted), sizeof wanted))
				return FAIL("block %u holds %u, expected %u", (guint)block,
					    data[i * G_N_ELEMENTS(wanted)], aged->numbers[block]);
		}
	}
	return TRUE;
}

/* A new volume that is full, and then overwritten at random by a fifth. */
static void aged_init(Aged *aged, guint64 size)
{
	const VolumeParameters parameters = {.size = size, .journal_size = 1 * MIB};

	*aged = (Aged){.backing = backing_faulty_new(0),
		       .size = size,
		       .numbers = g_new0(guint32, size / BLOCK_SIZE),
		       .random = test_random_new(test_seed())};
	CHECK(volume_format(aged->backing, &parameters, NULL));
	aged->volume = backing_open_volume(aged->backing);
	for (guint64 at = 0; at < size; at += MIB)
		aged_put(aged, block_of(at), MIB / BLOCK_SIZE);
	CHECK_INT(volume_checkpoint(aged->volume), 0);
	for (guint64 i = 0; i < size / BLOCK_SIZE / 5; i++)
		aged_put(aged, test_random_below(&aged->random, size / BLOCK_SIZE), 1);
	CHECK_INT(volume_checkpoint(aged->volume), 0);
}

static void aged_clear(Aged *aged)
{
	if (aged->volume)
		close_volume(aged->volume);
	backing_check(aged->backing);
	backing_free(aged->backing);
	g_free(aged->numbers);
}

static VolumeInfo aged_info(Aged *aged)
{
	VolumeInfo info;

	volume_get_info(aged->volume, &info);
	return info;
}

/* How many reads of the backing 1 MiB takes, on average. */
static double reads_per_mib(Aged *aged)
{
	guint64 before = backing_faulty_count(aged->backing, FAULTY_READ);

	aged_check(aged, aged->volume);
	return (double)(backing_faulty_count(aged->backing, FAULTY_READ) - before) /
	       (double)(aged->size / MIB);
}

static void test_gathers(const void *data)
{
	double before, after;
	VolumeInfo info;
	Aged aged;

	(void)data;
	aged_init(&aged, SIZE);
	before = reads_per_mib(&aged);
	volume_tidy(aged.volume);
	after = reads_per_mib(&aged);
	info = aged_info(&aged);
	test_note("%.1f reads for 1 MiB, then %.1f; %.2f of the data moved; runs of %u KiB", before,
		  after, (double)info.tidied_bytes / (double)SIZE, (guint)(info.run_bytes / KIB));
	CHECK(before > 40);
	CHECK(after < 8);
	CHECK(info.tidied_bytes > SIZE / 2 && info.tidied_bytes < 2 * SIZE);
	CHECK(!info.tidying);
	volume_tidy(aged.volume); /* a fixed point */
	CHECK_UINT(aged_info(&aged).tidied_bytes, info.tidied_bytes);
	aged_clear(&aged);
}

/* How large the file is, in parts of what is live. */
static double aged_excess(Aged *aged)
{
	VolumeInfo info;

	CHECK(volume_settled(aged->volume, volume_settle(aged->volume), 60));
	info = aged_info(aged);
	return (double)info.backing_bytes / (double)(info.data_bytes + info.metadata_bytes);
}

static void test_shrinks(const void *data)
{
	double before, after;
	Aged aged;

	(void)data;
	aged_init(&aged, SIZE);
	for (guint i = 0; i < BLOCKS; i++)
		if (test_random_below(&aged.random, 2))
			aged_drop(&aged, i);
	before = aged_excess(&aged);
	volume_tidy(aged.volume);
	after = aged_excess(&aged);
	test_note("the file has %.2f times what is live, then %.2f times", before, after);
	CHECK(before > 1.5);
	CHECK(after <= 1.25);
	aged_check(&aged, aged.volume);
	aged_clear(&aged);
}

/* ---- large writes of a volume that never rests */

#define WRITERS 4u

typedef struct {
	Aged *aged;
	guint number;
	guint64 rounds;
	gint *stop; /* atomic */
} TidyWriter;

/* Keeps the volume from being idle, however slow the machine is. */
static gpointer reader_main(gpointer data)
{
	TidyWriter *reader = data;
	guint8 block[BLOCK_SIZE];

	for (; !g_atomic_int_get(reader->stop); g_usleep(2000))
		CHECK_INT(volume_get(reader->aged->volume, block, sizeof block, 0), 0);
	return NULL;
}

/* In how many runs of slots blocks lie. */
static guint runs_of(Aged *aged, guint64 block, guint n)
{
	Engine *engine = &aged->volume->engine;
	MapEntry entries[FORMAT_POINTERS_MAX];
	guint epoch, runs = 1;

	if (!CHECK_INT(map_lookup(engine->map, block, n, entries, FALSE, &epoch), 0))
		return 0;
	map_lookup_end(engine->map, epoch);
	for (guint i = 1; i < n; i++)
		runs += entries[i].slot != entries[i - 1].slot + 1;
	return runs;
}

static void test_large_writes(const void *data)
{
	guint most = 0, runs;
	gint stop = FALSE;
	TidyWriter reader;
	GThread *thread;
	double after;
	Aged aged;

	(void)data;
	aged_init(&aged, SIZE);
	reader = (TidyWriter){&aged, 0, 0, &stop};
	thread = g_thread_new("reader", reader_main, &reader);
	for (guint i = 0; i < BLOCKS; i++) /* nothing but fragments is left */
		aged_put(&aged, test_random_below(&aged.random, BLOCKS), 1);
	for (guint64 block = 0; block < BLOCKS; block += MIB / BLOCK_SIZE) {
		aged_put(&aged, block, MIB / BLOCK_SIZE);
		runs = runs_of(&aged, block, MIB / BLOCK_SIZE);
		most = MAX(most, runs);
	}
	CHECK_UINT(aged_info(&aged).tidied_bytes, 0);
	after = aged_excess(&aged);
	g_atomic_int_set(&stop, TRUE);
	g_thread_join(thread);
	test_note("1 MiB is in %u runs at most; the file has %.2f times what is live", most, after);
	CHECK(most <= 4);
	CHECK(after <= 1.25);
	aged_check(&aged, aged.volume);
	aged_clear(&aged);
}

/* ---- with others */

/* Overwrites and discards blocks of its own, and reads them. */
static gpointer writer_main(gpointer data)
{
	TidyWriter *writer = data;
	Aged own = *writer->aged; /* with a counter of its own */

	own.last = (writer->number + 1) << 24;
	own.random = test_random_new(test_seed() + writer->number);
	while (!g_atomic_int_get(writer->stop) && !test_failed()) {
		guint64 block =
			test_random_below(&own.random, BLOCKS / WRITERS) * WRITERS + writer->number;
		guint32 read[BLOCK_SIZE / sizeof(guint32)];

		if (test_random_below(&own.random, 8))
			aged_put(&own, block, 1);
		else
			aged_drop(&own, block);
		CHECK_INT(volume_get(own.volume, read, BLOCK_SIZE, blocks_to_bytes(block)), 0);
		CHECK_UINT(*read, own.numbers[block]);
		writer->rounds++;
	}
	return NULL;
}

static void test_writers(const void *data)
{
	gint64 end = g_get_monotonic_time() + 2 * G_TIME_SPAN_SECOND;
	TidyWriter writers[WRITERS];
	GThread *threads[WRITERS];
	guint64 rounds = 0;
	gint stop = FALSE;
	guint passes = 0;
	Aged aged;

	(void)data;
	aged_init(&aged, SIZE);
	for (guint i = 0; i < WRITERS; i++) {
		writers[i] = (TidyWriter){&aged, i, 0, &stop};
		threads[i] = g_thread_new("writer", writer_main, &writers[i]);
	}
	do {
		volume_tidy(aged.volume);
		passes++;
	} while (!test_failed() &&
		 (g_get_monotonic_time() < end || !aged_info(&aged).tidied_bytes));
	g_atomic_int_set(&stop, TRUE);
	for (guint i = 0; i < WRITERS; i++) {
		g_thread_join(threads[i]);
		rounds += writers[i].rounds;
	}
	test_note("%u passes, %u writes, %u MiB moved", passes, (guint)rounds,
		  (guint)(aged_info(&aged).tidied_bytes / MIB));
	CHECK(rounds > 100 && aged_info(&aged).tidied_bytes > 0);
	aged_check(&aged, aged.volume);
	close_volume(aged.volume);
	aged.volume = backing_open_volume(aged.backing);
	aged_check(&aged, aged.volume);
	aged_clear(&aged);
}

/* ---- by itself */

/* Not while somebody reads; then by itself; and no more once nothing is left to do. */
static void test_idle(const void *data)
{
	gint stop = FALSE;
	TidyWriter reader;
	GThread *thread;
	guint64 before;
	Aged aged;

	(void)data;
	aged_init(&aged, SIZE);
	reader = (TidyWriter){&aged, 0, 0, &stop};
	thread = g_thread_new("reader", reader_main, &reader);
	g_usleep(4 * G_USEC_PER_SEC); /* that nothing happens can only be seen by waiting */
	CHECK_UINT(aged_info(&aged).tidied_bytes, 0);
	g_atomic_int_set(&stop, TRUE);
	g_thread_join(thread);
	WAIT_WITHIN(60, aged_info(&aged).tidied_bytes > SIZE / 2 && !aged_info(&aged).tidying);
	CHECK(aged_info(&aged).tidied_bytes > SIZE / 2);
	CHECK(!aged_info(&aged).tidying);
	g_usleep(3 * G_USEC_PER_SEC); /* the last checkpoint, and what is given back */
	before = backing_faulty_count(aged.backing, FAULTY_MODIFY);
	g_usleep(3 * G_USEC_PER_SEC);
	CHECK_UINT(backing_faulty_count(aged.backing, FAULTY_MODIFY), before);
	CHECK(reads_per_mib(&aged) < 8);
	aged_clear(&aged);
}

/* Too little has changed for a pass; a reader of 1 MiB asks for it. */
static void test_reader(const void *data)
{
	g_autofree guint8 *whole = g_malloc(MIB);
	Aged aged;

	(void)data;
	aged_init(&aged, SMALL_SIZE);
	g_usleep(4 * G_USEC_PER_SEC);
	CHECK_UINT(aged_info(&aged).tidied_bytes, 0);
	CHECK_INT(volume_get(aged.volume, whole, MIB, MIB), 0);
	WAIT_WITHIN(20, aged_info(&aged).tidied_bytes > 0);
	CHECK_UINT(aged_info(&aged).tidied_bytes, MIB);
	aged_clear(&aged);
}

/* ---- what fails */

/* Where a block lies in the backing. */
static guint64 place_of(Aged *aged, guint64 block)
{
	Engine *engine = &aged->volume->engine;
	MapEntry entry = {0};
	guint epoch;

	if (CHECK_INT(map_lookup(engine->map, block, 1, &entry, FALSE, &epoch), 0))
		map_lookup_end(engine->map, epoch);
	return slots_offset(engine->slots, entry.slot);
}

static void test_damaged(const void *data)
{
	const guint64 bad = 300; /* in the second leaf */
	g_autofree guint8 *whole = g_malloc(MIB);
	guint64 place, errors;
	Aged aged;

	(void)data;
	aged_init(&aged, SMALL_SIZE);
	place = place_of(&aged, bad);
	backing_faulty_flip(aged.backing, place, 3);
	errors = aged_info(&aged).checksum_errors;
	volume_tidy(aged.volume);
	CHECK_UINT(place_of(&aged, bad), place);
	CHECK_UINT(aged_info(&aged).tidied_bytes, SMALL_SIZE - MIB);
	CHECK_UINT(aged_info(&aged).checksum_errors, errors); /* of requests */
	CHECK_INT(volume_get(aged.volume, whole, MIB, MIB), -EBADMSG);
	backing_faulty_flip(aged.backing, place, 3);
	volume_tidy(aged.volume);
	CHECK_UINT(aged_info(&aged).tidied_bytes, SMALL_SIZE);
	aged_check(&aged, aged.volume);
	aged_clear(&aged);
}

static void test_full(const void *data)
{
	guint64 moved;
	Aged aged;

	(void)data;
	aged_init(&aged, SIZE);
	backing_faulty_fill_up(aged.backing, 64 * KIB);
	volume_tidy(aged.volume);
	moved = aged_info(&aged).tidied_bytes;
	test_note("%u KiB moved before the disk was full", (guint)(moved / KIB));
	CHECK(aged_info(&aged).state == VOLUME_OK && !aged_info(&aged).tidying);
	aged_check(&aged, aged.volume);
	CHECK_INT(volume_flush(aged.volume), 0);
	backing_faulty_fill_up(aged.backing, G_MAXUINT64);
	volume_tidy(aged.volume);
	CHECK(reads_per_mib(&aged) < 8);
	aged_clear(&aged);
}

/* Whether the volume that a loss of power leaves holds everything. */
static gboolean holds_all(Aged *aged, guint64 seed)
{
	g_autoptr(Backing) left = backing_faulty_crash(aged->backing, seed);
	Volume *volume = backing_open_volume(left);

	if (!volume)
		return FALSE;
	aged_check(aged, volume);
	close_volume(volume);
	backing_check(left);
	return !test_failed();
}

typedef struct {
	const char *name;
	FaultyKind kinds;
	int err;
	gboolean for_ever;
} TidyFault;

static const TidyFault faults[] = {
	{"the power is lost", FAULTY_MODIFY, EIO, TRUE},
	{"a read fails", FAULTY_READ, EIO, FALSE},
	{"a write fails", FAULTY_WRITE, EIO, FALSE},
	{"a write meets a full disk", FAULTY_WRITE, ENOSPC, FALSE},
	{"the disk is full", FAULTY_WRITE, ENOSPC, TRUE},
	{"a flush fails", FAULTY_FLUSH, EIO, FALSE},
};

/* FALSE: the pass has fewer operations. */
static gboolean fail_at(Aged *start, const TidyFault *fault, guint64 point)
{
	Aged aged = *start;
	guint64 before;
	gboolean struck;

	test_row("%s at operation %u", fault->name, (guint)point);
	aged.backing = backing_faulty_crash(start->backing, G_MAXUINT64);
	aged.volume = backing_open_volume(aged.backing);
	if (!aged.volume)
		return FALSE;
	CHECK_INT(volume_flush(aged.volume), 0);
	before = backing_faulty_count(aged.backing, fault->kinds);
	backing_faulty_fail(aged.backing, fault->kinds, point, fault->err, fault->for_ever, TRUE);
	volume_tidy(aged.volume);
	struck = backing_faulty_count(aged.backing, fault->kinds) - before > point;
	if (fault->kinds == FAULTY_READ)
		backing_faulty_fail(aged.backing, 0, 0, 0, FALSE, FALSE);
	aged_check(&aged, aged.volume);
	volume_abandon(aged.volume);
	if (holds_all(&aged, 0) && holds_all(&aged, 1 + point))
		holds_all(&aged, G_MAXUINT64);
	backing_free(aged.backing);
	return struck && !test_failed();
}

/* What is gathered, and what is evicted. */
static void test_fault(const void *data)
{
	const TidyFault *fault = data;
	guint64 factor = test_is_instrumented() ? 5 : 1;

	for (guint thin = 0; thin < 2 && !test_failed(); thin++) {
		guint64 step = factor * (thin ? 37 : fault->kinds == FAULTY_READ ? 11 : 1), point;
		Aged start;

		aged_init(&start, SMALL_SIZE);
		for (guint i = 0; i < SMALL_BLOCKS && thin; i++)
			if (test_random_below(&start.random, 4))
				aged_drop(&start, i);
		close_volume(start.volume);
		start.volume = NULL;
		point = test_random_below(&start.random, step);
		while (point < 100000 && fail_at(&start, fault, point))
			point += step;
		test_note("%u operations", (guint)point);
		test_row(NULL);
		aged_clear(&start);
	}
}

int main(int argc, char **argv)
{
	test_add("what random writes scattered is in one piece again", test_gathers, NULL);
	test_add("the file shrinks to five quarters of what is live", test_shrinks, NULL);
	test_add("1 MiB is written in four runs at most, and the file is small afterwards",
		 test_large_writes, NULL);
	test_add("with writers at the same time", test_writers, NULL);
	test_add("only while the volume is idle, and only once", test_idle, NULL);
	test_add("what a reader found scattered", test_reader, NULL);
	test_add("a damaged block stays where it is", test_damaged, NULL);
	test_add("a full disk ends the pass", test_full, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(faults); i++)
		test_add(faults[i].name, test_fault, &faults[i]);
	return test_run(argc, argv);
}
