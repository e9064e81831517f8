/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads whose requests overlap.  Every write fills its sectors with its own number.  A clock
 * that ticks at the start and at the end of each request determines which results are possible:
 *
 *   - what a read returns was written by a request that had begun, and was not wholly followed by
 *     another one that ended before the read began;
 *   - once a read has returned a write, no later read returns something older;
 *   - when all is quiet, of two writes that overlap one lies on top everywhere (each is whole).
 */
#include <errno.h>

#include "common/base/bytes.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#define THREADS 4
#define REQUESTS 300 /* of each thread in each round */
#define ROUNDS 3
#define BATCH 12 /* writes */
#define WINDOW (2 * MIB)
#define SECTORS (WINDOW / SECTOR_SIZE)
#define START (MIB + 5 * SECTOR_SIZE) /* of the window: inside a block and a leaf */
#define SIZE (8 * MIB)
#define WRITES_MAX (THREADS * REQUESTS * ROUNDS * BATCH + 1)

typedef struct {
	guint64 begin, end; /* ticks; end is G_MAXUINT64 while the write runs */
	guint first, count; /* sectors */
	gboolean refused;   /* a compare-and-write that found other data */
} Write;

typedef struct {
	Volume *volume;
	GMutex mutex; /* all below */
	guint64 clock;
	guint n_writes;
	Write writes[WRITES_MAX]; /* number 0: zeros */
	guint64 floor[SECTORS];	  /* a write that ended before this is hidden */
	guint64 zero_end[SECTORS];
	guint zeroing[SECTORS]; /* requests that run now */
} OverlapHistory;

typedef struct {
	OverlapHistory *history;
	TestRandom random;
	guint8 *buffer;
	guint64 *floor; /* `floor` when a read began */
} Thread;

static void stamp(guint8 *sector, guint number, guint index)
{
	for (guint i = 0; i < SECTOR_SIZE; i += 8) {
		put_le32(sector + i, number);
		put_le32(sector + i + 4, number ? index : 0);
	}
}

/* The number in a sector.  Checks that the whole sector is of one write, and for this place. */
static guint read_stamp(const guint8 *sector, guint index)
{
	guint8 expected[SECTOR_SIZE];
	guint number = get_le32(sector);

	stamp(expected, number, index);
	test_row("sector %u", index);
	CHECK_MEM(sector, expected, SECTOR_SIZE);
	return number;
}

static guint begin_write(OverlapHistory *h, guint first, guint count)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&h->mutex);
	guint number = ++h->n_writes;

	h->writes[number] =
		(Write){.begin = ++h->clock, .end = G_MAXUINT64, .first = first, .count = count};
	return number;
}

static void end_write(OverlapHistory *h, guint number, gboolean refused)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&h->mutex);
	Write *w = &h->writes[number];

	w->end = ++h->clock;
	w->refused = refused;
	for (guint i = w->first; !refused && i < w->first + w->count; i++)
		h->floor[i] = MAX(h->floor[i], w->begin);
}

static guint64 begin_zero(OverlapHistory *h, guint first, guint count)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&h->mutex);

	for (guint i = first; i < first + count; i++)
		h->zeroing[i]++;
	return ++h->clock;
}

static void end_zero(OverlapHistory *h, guint64 begin, guint first, guint count)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&h->mutex);
	guint64 end = ++h->clock;

	for (guint i = first; i < first + count; i++) {
		h->zeroing[i]--;
		h->zero_end[i] = end;
		h->floor[i] = MAX(h->floor[i], begin);
	}
}

static void begin_read(Thread *t, guint first, guint count)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&t->history->mutex);

	memcpy(t->floor, t->history->floor + first, count * sizeof *t->floor);
}

static void check_sector(OverlapHistory *h, guint index, guint number, guint64 floor)
{
	const Write *w;

	test_row("sector %u holds write %u, floor %" G_GUINT64_FORMAT, index, number, floor);
	if (!number) {
		CHECK(h->zeroing[index] || h->zero_end[index] >= floor);
		return;
	}
	if (!CHECK(number <= h->n_writes))
		return;
	w = &h->writes[number];
	CHECK(index >= w->first && index < w->first + w->count);
	CHECK(!w->refused);
	CHECK(w->end >= floor);
	h->floor[index] = MAX(h->floor[index], w->begin);
}

static void end_read(Thread *t, guint first, guint count)
{
	OverlapHistory *h = t->history;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&h->mutex);

	for (guint i = 0; i < count; i++)
		check_sector(h, first + i, read_stamp(t->buffer + i * SECTOR_SIZE, first + i),
			     t->floor[i]);
}

static guint64 offset_of(guint first)
{
	return START + (guint64)first * SECTOR_SIZE;
}

static void do_read(Thread *t, guint first, guint count)
{
	begin_read(t, first, count);
	CHECK_INT(volume_get(t->history->volume, t->buffer, count * SECTOR_SIZE, offset_of(first)),
		  0);
	end_read(t, first, count);
}

static void fill(guint8 *data, guint number, guint first, guint count)
{
	for (guint i = 0; i < count; i++)
		stamp(data + i * SECTOR_SIZE, number, first + i);
}

static void do_write(Thread *t, guint first, guint count)
{
	struct iovec iov = {.iov_base = t->buffer, .iov_len = count * SECTOR_SIZE};
	guint number = begin_write(t->history, first, count);
	int result = -EAGAIN;

	fill(t->buffer, number, first, count);
	if (test_random_below(&t->random, 2))
		result = volume_write_nowait(t->history->volume, &iov, 1, offset_of(first), NULL);
	if (result == -EAGAIN)
		result = volume_write(t->history->volume, &iov, 1, offset_of(first), NULL);
	CHECK_INT(result, 0);
	end_write(t->history, number, FALSE);
}

/* Neighbouring threads' batches overlap in several places at once. */
static void do_batch(Thread *t)
{
	VolumeWrite writes[BATCH] = {0};
	struct iovec iov[BATCH];
	guint numbers[BATCH];

	for (guint i = 0; i < BATCH; i++) {
		guint count = 8 * (1 + (guint)test_random_below(&t->random, 4));
		guint first = 8 * (guint)test_random_below(&t->random, (SECTORS - count) / 8) + 3;

		numbers[i] = begin_write(t->history, first, count);
		iov[i] = (struct iovec){g_malloc(count * SECTOR_SIZE), count * SECTOR_SIZE};
		fill(iov[i].iov_base, numbers[i], first, count);
		writes[i] = (VolumeWrite){.iov = &iov[i], .n_iov = 1, .offset = offset_of(first)};
	}
	volume_write_batch(t->history->volume, writes, BATCH);
	for (guint i = 0; i < BATCH; i++) {
		CHECK_INT(writes[i].result, 0);
		end_write(t->history, numbers[i], FALSE);
		g_free(iov[i].iov_base);
	}
}

static void do_zero(Thread *t, guint first, guint count)
{
	guint64 begin = begin_zero(t->history, first, count);

	CHECK_INT(volume_zero(t->history->volume, offset_of(first), count * SECTOR_SIZE), 0);
	end_zero(t->history, begin, first, count);
}

static void do_compare_and_write(Thread *t, guint first, guint count)
{
	g_autofree guint8 *data = NULL;
	struct iovec expected, wanted;
	guint number;
	int result;

	count = MIN(count, 16);
	do_read(t, first, count);
	data = g_malloc(count * SECTOR_SIZE);
	expected = (struct iovec){.iov_base = t->buffer, .iov_len = count * SECTOR_SIZE};
	wanted = (struct iovec){.iov_base = data, .iov_len = count * SECTOR_SIZE};
	number = begin_write(t->history, first, count);
	fill(data, number, first, count);
	result = volume_compare_and_write(t->history->volume, &expected, 1, &wanted, 1,
					  offset_of(first), NULL);
	CHECK(!result || result == -EILSEQ);
	end_write(t->history, number, result != 0);
}

static gpointer run_thread(gpointer data)
{
	static const guint limits[] = {8, 8, 64, 256, VOLUME_ATOMIC_MAX / SECTOR_SIZE};
	Thread *t = data;

	for (guint i = 0; i < REQUESTS && !test_failed(); i++) {
		guint limit = limits[test_random_below(&t->random, G_N_ELEMENTS(limits))];
		guint first = (guint)test_random_below(&t->random, SECTORS);
		guint count = 1 + (guint)test_random_below(&t->random, MIN(limit, SECTORS - first));
		guint64 kind = test_random_below(&t->random, 100);

		if (kind < 35)
			do_write(t, first, count);
		else if (kind < 45)
			do_batch(t);
		else if (kind < 55)
			do_zero(t, first, count);
		else if (kind < 85)
			do_read(t, first, count);
		else if (kind < 95)
			do_compare_and_write(t, first, count);
		else if (kind < 98)
			CHECK_INT(volume_flush(t->history->volume), 0);
		else
			CHECK_INT(volume_checkpoint(t->history->volume), 0);
	}
	return NULL;
}

static guint64 pair(guint below, guint above)
{
	return (guint64)below << 32 | above;
}

/* Notes that `above` hides every other write in `seen` that covers the sector.  No such write may
 * hide `above` elsewhere. */
static void note_order(OverlapHistory *h, GHashTable *order, GHashTable *seen, guint index,
		       guint above)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, seen);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		guint below = GPOINTER_TO_UINT(key);
		const Write *w = &h->writes[below];
		guint64 this = pair(below, above), other = pair(above, below);

		if (below == above || index < w->first || index >= w->first + w->count)
			continue;
		test_row("sector %u: write %u over %u", index, above, below);
		CHECK(!g_hash_table_contains(order, &other));
		if (!g_hash_table_contains(order, &this))
			g_hash_table_add(order, g_memdup(&this, sizeof this));
	}
}

static void check_whole(OverlapHistory *h, const guint8 *content)
{
	g_autoptr(GHashTable) order =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

	for (guint i = 0; i < SECTORS; i++)
		g_hash_table_add(seen, GUINT_TO_POINTER(get_le32(content + i * SECTOR_SIZE)));
	g_hash_table_remove(seen, NULL);
	for (guint i = 0; i < SECTORS; i++) {
		guint above = get_le32(content + i * SECTOR_SIZE);

		if (above)
			note_order(h, order, seen, i, above);
	}
	test_note("%u writes are to be seen, %u pairs overlap", g_hash_table_size(seen),
		  g_hash_table_size(order));
}

static void run_round(OverlapHistory *h, Thread *threads)
{
	GThread *running[THREADS];

	for (guint i = 0; i < THREADS; i++)
		running[i] = g_thread_new("requests", run_thread, &threads[i]);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(running[i]);
	do_read(&threads[0], 0, SECTORS);
	check_whole(h, threads[0].buffer);
}

static void run_rounds(Place *place, OverlapHistory *h, Thread *threads)
{
	g_autofree guint8 *content = g_malloc(WINDOW);

	for (guint round = 0; round < ROUNDS && h->volume && !test_failed(); round++) {
		run_round(h, threads);
		memcpy(content, threads[0].buffer, WINDOW);
		volume_abandon(h->volume);
		h->volume = place_check(place) ? place_open(place) : NULL;
		if (!h->volume)
			return;
		CHECK_INT(volume_get(h->volume, threads[0].buffer, WINDOW, START), 0);
		CHECK_MEM(threads[0].buffer, content, WINDOW);
	}
}

static void run_overlap(Place *place)
{
	g_autofree OverlapHistory *h = g_new0(OverlapHistory, 1);
	TestRandom random = test_random_new(test_seed());
	Thread threads[THREADS];

	if (!place_format(place, SIZE, 0))
		return;
	h->volume = place_open(place);
	for (guint i = 0; i < THREADS; i++)
		threads[i] = (Thread){.history = h,
				      .random = test_random_new(test_random(&random)),
				      .buffer = g_malloc(WINDOW),
				      .floor = g_new(guint64, SECTORS)};
	run_rounds(place, h, threads);
	if (h->volume)
		close_volume(h->volume);
	for (guint i = 0; i < THREADS; i++) {
		g_free(threads[i].buffer);
		g_free(threads[i].floor);
	}
}

static void test_memory(const void *data)
{
	g_autoptr(Place) place = place_new_memory();

	(void)data;
	run_overlap(place);
}

static void test_file(const void *data)
{
	g_autoptr(Place) place = place_new_file();

	(void)data;
	run_overlap(place);
}

/* Counts up the number in a sector by compare-and-write alone. */
static gpointer count_up(gpointer data)
{
	Volume *volume = data;
	guint8 old[SECTOR_SIZE], new[SECTOR_SIZE];
	struct iovec expected = {.iov_base = old, .iov_len = sizeof old};
	struct iovec wanted = {.iov_base = new, .iov_len = sizeof new};

	for (guint done = 0; done < 500 && !test_failed();) {
		int result;

		CHECK_INT(volume_get(volume, old, sizeof old, 3 * SECTOR_SIZE), 0);
		memcpy(new, old, sizeof new);
		put_le32(new, get_le32(old) + 1);
		result = volume_compare_and_write(volume, &expected, 1, &wanted, 1, 3 * SECTOR_SIZE,
						  NULL);
		CHECK(!result || result == -EILSEQ);
		done += !result;
	}
	return NULL;
}

static void test_count_up(const void *data)
{
	g_autoptr(Place) place = place_new_memory();
	GThread *threads[THREADS];
	guint8 sector[SECTOR_SIZE];
	Volume *volume;

	(void)data;
	REQUIRE(place_format(place, SIZE, 0));
	volume = place_open(place);
	REQUIRE(volume);
	for (guint i = 0; i < THREADS; i++)
		threads[i] = g_thread_new("count", count_up, volume);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	CHECK_INT(volume_get(volume, sector, sizeof sector, 3 * SECTOR_SIZE), 0);
	CHECK_UINT(get_le32(sector), THREADS * 500);
	close_volume(volume);
}

int main(int argc, char **argv)
{
	test_add("memory: overlapping requests take effect in some order", test_memory, NULL);
	test_add("file: overlapping requests take effect in some order", test_file, NULL);
	test_add("threads count by compare-and-write and lose none", test_count_up, NULL);
	return test_run(argc, argv);
}
