/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The races that the design allows, one test each.  Each is made likely: the backing is slow
 * where one side should overtake the other.
 *
 * Every word of a block holds the block's number and how often the block was written.  This shows
 * a block that is mixed, misplaced, or older than what was acknowledged.
 */
#include "tests/backing/faulty.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#include <errno.h>

#define RACE_TIME (1200 * G_TIME_SPAN_MILLISECOND)
#define WORDS (BLOCK_SIZE / 8)
#define THREADS_MAX 6
#define BLOCKS_MAX 512

typedef struct Race Race;
typedef void (*Side)(Race *race, TestRandom *random, guint number);

struct Race {
	Backing *backing; /* owned */
	Volume *volume;
	gint64 end;
	guint64 blocks;		   /* blocks in use */
	guint64 stride;		   /* blocks from one to the next */
	guint64 times[BLOCKS_MAX]; /* atomic: the last write of each block that was acknowledged */
	guint64 begun[BLOCKS_MAX]; /* atomic: the last write of each block that began */
	guint64 rounds[THREADS_MAX]; /* atomic: rounds that each side made */
};

typedef struct {
	Race *race;
	Side side;
	TestRandom random;
	guint number;
} RaceRunner;

static guint64 offset_of(const Race *race, guint64 block)
{
	return blocks_to_bytes(block * race->stride);
}

static guint64 get(const guint64 *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void set(guint64 *at, guint64 value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static gboolean goes_on(const Race *race)
{
	return !test_failed() && g_get_monotonic_time() < race->end;
}

/* Writes a block once more.  A block has one writing thread. */
static void write_next(Race *race, guint64 block)
{
	guint64 words[WORDS], time = get(&race->begun[block]) + 1;

	for (guint i = 0; i < WORDS; i++)
		words[i] = block << 40 | time;
	set(&race->begun[block], time);
	CHECK_INT(volume_put(race->volume, words, BLOCK_SIZE, offset_of(race, block)), 0);
	set(&race->times[block], time);
}

/* Reads a block, which must be whole, in its place, and written at least `floor` times.  Returns
 * how often it was written; 0: a hole. */
static guint64 read_times(Race *race, guint64 block, guint64 floor)
{
	guint64 words[WORDS], time;

	test_row("block %" G_GUINT64_FORMAT, block);
	if (!CHECK_INT(volume_get(race->volume, words, BLOCK_SIZE, offset_of(race, block)), 0))
		return 0;
	for (guint i = 1; i < WORDS && CHECK_UINT(words[i], words[0]); i++)
		;
	time = words[0] & (((guint64)1 << 40) - 1);
	if (time)
		CHECK_UINT(words[0] >> 40, block);
	CHECK(time >= floor && time <= get(&race->begun[block]));
	return time;
}

static gpointer runner_main(gpointer data)
{
	RaceRunner *runner = data;
	Race *race = runner->race;

	while (goes_on(race)) {
		runner->side(race, &runner->random, runner->number);
		__atomic_fetch_add(&race->rounds[runner->number], 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static gboolean race_init(Race *race, guint64 size, guint64 blocks, guint64 stride)
{
	const VolumeParameters parameters = {.size = size};
	g_autoptr(GError) error = NULL;

	*race = (Race){.backing = backing_faulty_new(0), .blocks = blocks, .stride = stride};
	volume_format(race->backing, &parameters, &error);
	CHECK_NO_ERROR(error);
	race->volume = backing_open_volume(race->backing);
	return race->volume != NULL;
}

/* Runs each side in a thread of its own until the time is over.  Checks that each side made a
 * round.
 */
static void race_run(Race *race, const Side *sides, guint n)
{
	TestRandom random = test_random_new(test_seed());
	RaceRunner runners[THREADS_MAX];
	GThread *threads[THREADS_MAX];

	race->end = g_get_monotonic_time() + RACE_TIME;
	for (guint i = 0; i < n; i++) {
		runners[i] = (RaceRunner){race, sides[i], test_random_new(test_random(&random)), i};
		threads[i] = g_thread_new("side", runner_main, &runners[i]);
	}
	for (guint i = 0; i < n; i++)
		g_thread_join(threads[i]);
	for (guint i = 0; i < n; i++) {
		test_row("side %u", i);
		CHECK(race->rounds[i] > 0);
	}
	test_row(NULL);
}

static void no_delays(Race *race)
{
	backing_faulty_delay(race->backing,
			     FAULTY_READ | FAULTY_WRITE | FAULTY_FLUSH | FAULTY_PUNCH, 0);
}

/* Checks that everything acknowledged is there, also after the death of the process, and that check
 * finds nothing. */
static void race_end(Race *race)
{
	no_delays(race);
	for (guint64 block = 0; race->volume && block < race->blocks; block++)
		read_times(race, block, get(&race->times[block]));
	if (race->volume)
		volume_abandon(race->volume);
	race->volume = backing_check(race->backing) ? backing_open_volume(race->backing) : NULL;
	for (guint64 block = 0; race->volume && block < race->blocks; block++)
		read_times(race, block, get(&race->times[block]));
	if (race->volume) {
		VolumeInfo info;

		volume_get_info(race->volume, &info);
		CHECK_UINT(info.checksum_errors, 0);
		close_volume(race->volume);
	}
	backing_check(race->backing);
	backing_free(race->backing);
}

/* ---- sides */

static void checkpoint(Race *race, TestRandom *random, guint number)
{
	(void)random, (void)number;
	CHECK_INT(volume_checkpoint(race->volume), 0);
}

static void write_each(Race *race, TestRandom *random, guint number)
{
	(void)random, (void)number;
	for (guint64 block = 0; block < race->blocks && goes_on(race); block++)
		write_next(race, block);
}

static void write_any(Race *race, TestRandom *random, guint number)
{
	(void)number;
	write_next(race, test_random_below(random, race->blocks));
}

static void read_any(Race *race, TestRandom *random, guint number)
{
	guint64 block = test_random_below(random, race->blocks);

	(void)number;
	read_times(race, block, get(&race->times[block]));
}

static void flush(Race *race, TestRandom *random, guint number)
{
	(void)random, (void)number;
	CHECK_INT(volume_flush(race->volume), 0);
}

/* ---- a read against overwriting and the reuse of slots */

static _Thread_local gulong read_delay; /* microseconds; the checkpoint thread's is 0 */
static const BackingOps *plain;

static int preadv_slowly(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			 BackingFlags flags)
{
	g_usleep(read_delay);
	return plain->preadv(backing, iov, count, offset, flags);
}

/* Opens the volume so that only some threads read slowly. */
static Volume *open_slow(Backing *real)
{
	static BackingOps slow;
	Backing *backing = backing_borrow(real);

	plain = backing->ops;
	slow = *plain;
	slow.preadv = preadv_slowly;
	backing->ops = &slow;
	return volume_open(backing, "test", 0, NULL);
}

static void read_slowly(Race *race, TestRandom *random, guint number)
{
	read_delay = 10000;
	read_any(race, random, number);
}

/* The reader has looked up a slot.  Then the block is overwritten, a checkpoint frees the slot,
 * and the slot goes to another block.  During a slow read all of that may happen twice. */
static void test_read_against_reuse(const void *data)
{
	static const Side sides[] = {write_each, checkpoint, read_slowly, read_slowly, read_slowly};
	VolumeInfo info;
	Race race;

	(void)data;
	REQUIRE(race_init(&race, 8 * MIB, 24, 1));
	close_volume(race.volume);
	race.volume = open_slow(race.backing);
	REQUIRE(race.volume);
	for (guint64 block = 0; block < race.blocks; block++)
		write_next(&race, block);
	/* On a busy machine there are few checkpoints in one race. */
	for (guint i = 0; i < 10; i++) {
		race_run(&race, sides, G_N_ELEMENTS(sides));
		volume_get_info(race.volume, &info);
		if (info.checkpoints > 5)
			break;
	}
	CHECK(info.checkpoints > 5);
	CHECK_UINT(info.checksum_errors, 0);
	race_end(&race);
}

/* ---- a checkpoint against writes */

/* The nodes that a slow checkpoint writes are changed again and again meanwhile. */
static void test_checkpoint_against_write(const void *data)
{
	static const Side sides[] = {write_each, checkpoint, read_any, flush};
	Race race;

	(void)data;
	REQUIRE(race_init(&race, 300 * MIB, 200, 300)); /* a leaf for each, three levels */
	backing_faulty_delay(race.backing, FAULTY_FLUSH, 2000);
	race_run(&race, sides, G_N_ELEMENTS(sides));
	race_end(&race);
}

/* ---- a discard against reads */

/* Discards and rewrites blocks: a block is a hole or whole. */
static void discard_and_write(Race *race, TestRandom *random, guint number)
{
	guint64 first = test_random_below(random, race->blocks);
	guint64 end = first + 1 + test_random_below(random, race->blocks - first);

	(void)number;
	for (guint64 block = first; block < end; block++)
		set(&race->times[block], 0);
	CHECK_INT(volume_discard(race->volume, offset_of(race, first),
				 offset_of(race, end) - offset_of(race, first)),
		  0);
	for (guint64 block = first; block < end && goes_on(race); block += 1 + (number & 1))
		write_next(race, block);
}

static void read_hole_or_whole(Race *race, TestRandom *random, guint number)
{
	(void)number;
	read_times(race, test_random_below(random, race->blocks), 0);
}

static void test_discard_against_read(const void *data)
{
	static const Side sides[] = {discard_and_write, read_hole_or_whole, read_hole_or_whole,
				     checkpoint};
	Race race;

	(void)data;
	REQUIRE(race_init(&race, 300 * MIB, 200, 256)); /* whole subtrees die */
	backing_faulty_delay(race.backing, FAULTY_READ, 300);
	race_run(&race, sides, G_N_ELEMENTS(sides));
	race_end(&race);
}

/* ---- two flushes */

/* Writes a block of its own and flushes: the block survives a power cut right then. */
static void write_and_flush(Race *race, TestRandom *random, guint number)
{
	g_autoptr(Backing) left = NULL;
	Race after = {.stride = race->stride};
	guint64 floor;

	(void)random;
	write_next(race, number);
	floor = get(&race->times[number]);
	if (!CHECK_INT(volume_flush(race->volume), 0) || floor % 8)
		return;
	left = backing_faulty_crash(race->backing, 0);
	after.volume = backing_open_volume(left);
	if (!after.volume)
		return;
	set(&after.begun[number], floor);
	read_times(&after, number, floor);
	volume_abandon(after.volume);
}

static void test_two_flushes(const void *data)
{
	static const Side sides[] = {write_and_flush, write_and_flush, write_and_flush};
	Race race;

	(void)data;
	REQUIRE(race_init(&race, 8 * MIB, 3, 1));
	backing_faulty_delay(race.backing, FAULTY_FLUSH, 1000);
	race_run(&race, sides, G_N_ELEMENTS(sides));
	race_end(&race);
}

static gpointer flush_once(gpointer data)
{
	return GINT_TO_POINTER(volume_flush(data));
}

/* Both wait for the one flush that fails, or find the volume FAILED: neither flush may succeed. */
static void test_two_flushes_fail(const void *data)
{
	(void)data;
	for (guint round = 0; round < 20 && !test_failed(); round++) {
		GThread *threads[2];
		Race race;

		REQUIRE(race_init(&race, 8 * MIB, 1, 1));
		write_next(&race, 0);
		backing_faulty_delay(race.backing, FAULTY_FLUSH, 500 * (round % 3));
		backing_faulty_fail(race.backing, FAULTY_FLUSH, 0, EIO, FALSE, FALSE);
		for (guint i = 0; i < 2; i++)
			threads[i] = g_thread_new("flush", flush_once, race.volume);
		for (guint i = 0; i < 2; i++) {
			int r = GPOINTER_TO_INT(g_thread_join(threads[i]));

			CHECK(r == -EIO || r == -ESHUTDOWN);
		}
		CHECK_INT(volume_put_value(race.volume, 1, BLOCK_SIZE, 0), -ESHUTDOWN);
		read_times(&race, 0, 1);
		volume_abandon(race.volume);
		backing_free(race.backing);
	}
}

/* ---- closing against all that goes on by itself */

/* No call may be running at a close, but the volume itself may be busy: with a checkpoint, with
 * freeing and punching discarded space, or with another volume that takes its share of the
 * cache. */
static void open_use_close(Race *race, TestRandom *random, guint number)
{
	guint64 first = test_random_below(random, race->blocks / 2);

	(void)number;
	for (guint64 block = first; block < first + 20; block++)
		write_next(race, block);
	if (test_random_below(random, 2))
		CHECK_INT(volume_flush(race->volume), 0);
	CHECK_INT(volume_discard(race->volume, offset_of(race, 150), offset_of(race, 50)), 0);
	for (guint64 block = 150; block < 200; block++)
		set(&race->times[block], 0);
	for (guint64 block = 150; block < 150 + test_random_below(random, 3); block++)
		write_next(race, block);
	if (test_random_below(random, 2))
		volume_settle(race->volume);		   /* the end is not waited for */
	g_usleep((gulong)test_random_below(random, 3000)); /* closes at a random moment */
	close_volume(race->volume);
	race->volume = backing_open_volume(race->backing);
	if (!race->volume)
		race->end = 0;
}

static gpointer other_volumes(gpointer data)
{
	gint64 end = *(const gint64 *)data;
	Race other;

	if (!race_init(&other, 8 * MIB, 8, 256))
		return NULL;
	while (!test_failed() && g_get_monotonic_time() < end) {
		write_next(&other, 3);
		volume_set_cache_size((1 + get(&other.times[3]) % 8) * MIB);
		close_volume(other.volume);
		other.volume = backing_open_volume(other.backing);
		if (!other.volume)
			break;
	}
	volume_set_cache_size(64 * MIB);
	race_end(&other);
	return NULL;
}

static void test_close_against_the_rest(const void *data)
{
	static const Side sides[] = {open_use_close};
	gint64 end = g_get_monotonic_time() + RACE_TIME;
	GThread *others;
	Race race;

	(void)data;
	REQUIRE(race_init(&race, 300 * MIB, 200, 256));
	backing_faulty_delay(race.backing, FAULTY_FLUSH | FAULTY_PUNCH, 500);
	others = g_thread_new("others", other_volumes, &end);
	race_run(&race, sides, G_N_ELEMENTS(sides));
	g_thread_join(others);
	race_end(&race);
}

/* ---- compare-and-write against writes */

/* One thread counts up the first sector of a block by compare-and-write, the other the second
 * sector by writes.  Each request completes the block with what the other thread left. */
static void compare_and_count(Race *race, TestRandom *random, guint number)
{
	guint64 old[SECTOR_SIZE / 8], new[SECTOR_SIZE / 8];
	struct iovec expected = {old, sizeof old}, wanted = {new, sizeof new};
	int r;

	(void)random, (void)number;
	CHECK_INT(volume_get(race->volume, old, sizeof old, 0), 0);
	memcpy(new, old, sizeof new);
	new[7]++;
	r = volume_compare_and_write(race->volume, &expected, 1, &wanted, 1, 0, NULL);
	CHECK(!r || r == -EILSEQ);
	if (!r)
		__atomic_fetch_add(&race->times[0], 1, __ATOMIC_RELAXED);
}

static void write_and_count(Race *race, TestRandom *random, guint number)
{
	guint64 sector[SECTOR_SIZE / 8] = {0}, seen[SECTOR_SIZE / 8];

	(void)random, (void)number;
	sector[7] = ++race->begun[1];
	CHECK_INT(volume_put(race->volume, sector, sizeof sector, SECTOR_SIZE), 0);
	CHECK_INT(volume_get(race->volume, seen, sizeof seen, SECTOR_SIZE), 0);
	CHECK_UINT(seen[7], sector[7]);
}

static void test_compare_against_write(const void *data)
{
	static const Side sides[] = {compare_and_count, compare_and_count, write_and_count,
				     checkpoint};
	guint64 sectors[2 * SECTOR_SIZE / 8];
	Race race;

	(void)data;
	REQUIRE(race_init(&race, 8 * MIB, 0, 1));
	backing_faulty_delay(race.backing, FAULTY_READ | FAULTY_WRITE, 100);
	race_run(&race, sides, G_N_ELEMENTS(sides));
	CHECK_INT(volume_get(race.volume, sectors, sizeof sectors, 0), 0);
	CHECK_UINT(sectors[7], race.times[0]);
	CHECK_UINT(sectors[SECTOR_SIZE / 8 + 7], race.begun[1]);
	race_end(&race);
}

/* ---- reclaiming against writing to the same leaf */

/* The whole volume is discarded.  While the tree below is slowly taken apart, the same leaves are
 * written. */
static void discard_all_and_rewrite(Race *race, TestRandom *random, guint number)
{
	(void)number;
	CHECK_INT(volume_checkpoint(race->volume), 0); /* whole subtrees are clean, and die */
	for (guint64 block = 0; block < race->blocks; block++)
		set(&race->times[block], 0);
	CHECK_INT(volume_discard(race->volume, 0, volume_size(race->volume)), 0);
	for (guint i = 0; i < race->blocks; i++)
		write_next(race, test_random_below(random, race->blocks));
}

static void test_reclaim_against_write(const void *data)
{
	static const Side sides[] = {discard_all_and_rewrite, read_hole_or_whole};
	guint64 mapped = 0;
	VolumeInfo info;
	Race race;

	(void)data;
	REQUIRE(race_init(&race, 300 * MIB, 200, 256));
	backing_faulty_delay(race.backing, FAULTY_READ, 500);
	race_run(&race, sides, G_N_ELEMENTS(sides));
	no_delays(&race);
	CHECK(volume_settled(race.volume, volume_settle(race.volume), 20));
	for (guint64 block = 0; block < race.blocks; block++)
		mapped += get(&race.times[block]) != 0;
	volume_get_info(race.volume, &info);
	CHECK_UINT(info.data_bytes, mapped * BLOCK_SIZE); /* nothing leaked, nothing freed twice */
	race_end(&race);
}

/* ---- eviction against lookup */

static void resize_cache(Race *race, TestRandom *random, guint number)
{
	(void)race, (void)number;
	volume_set_cache_size(test_random_below(random, 2) ? MIB : 3 * MIB / 2);
	g_usleep(2000); /* the other threads run with this size for a while */
}

/* There are more leaves than the cache holds: lookups of some evict others. */
static void test_eviction_against_lookup(const void *data)
{
	static const Side sides[] = {read_any, read_any, read_any, write_any, resize_cache};
	VolumeInfo info;
	Race race;

	(void)data;
	REQUIRE(race_init(&race, 600 * MIB, 400, 300));
	for (guint64 block = 0; block < race.blocks; block++)
		write_next(&race, block);
	CHECK_INT(volume_checkpoint(race.volume), 0);
	backing_faulty_delay(race.backing, FAULTY_READ, 200);
	race_run(&race, sides, G_N_ELEMENTS(sides));
	volume_get_info(race.volume, &info);
	CHECK(info.cache_misses > 20);
	volume_set_cache_size(64 * MIB);
	race_end(&race);
}

int main(int argc, char **argv)
{
	test_add("a read against overwriting and the reuse of slots", test_read_against_reuse,
		 NULL);
	test_add("a checkpoint against writes", test_checkpoint_against_write, NULL);
	test_add("a discard against reads", test_discard_against_read, NULL);
	test_add("flushes against flushes: what was flushed is durable", test_two_flushes, NULL);
	test_add("two flushes, and the one that they share fails", test_two_flushes_fail, NULL);
	test_add("closing against work in the background", test_close_against_the_rest, NULL);
	test_add("compare-and-write against writes of the same block", test_compare_against_write,
		 NULL);
	test_add("reclaiming against writes to the same leaves", test_reclaim_against_write, NULL);
	test_add("eviction against lookup", test_eviction_against_lookup, NULL);
	return test_run(argc, argv);
}
