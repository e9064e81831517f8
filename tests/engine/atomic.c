/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A write of up to 1 MiB is there whole or not at all, also to a concurrent reader: every read
 * returns what the volume held at one instant, and every block of it is verified.
 */
#include "tests/backing/faulty.h"
#include "tests/backing/memory.h"
#include "common/engine/volume-private.h"
#include "tests/engine/support.h"

#include <errno.h>

#define SIZE (16 * MIB)
#define LEAF (256 * BLOCK_SIZE)
#define PIECES 1100 /* buffers of one request: more than one call of the backing takes */
#define RACE_TIME (500 * G_TIME_SPAN_MILLISECOND)

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static Backing *make_backing(void)
{
	const VolumeParameters parameters = {.size = SIZE};
	Backing *backing = backing_faulty_new(0);

	CHECK(volume_format(backing, &parameters, NULL));
	return backing;
}

/* ---- one read makes several reads of the backing: a write between any two of them */

typedef struct {
	const char *name;
	guint64 first, n; /* the blocks that are written */
	guint64 from, to; /* what is read, in bytes from the first block's start */
	guint pieces;	  /* buffers of the read */
	gboolean nowait;
} ReadKind;

static const ReadKind kinds[] = {
	{"inside of one block", 3, 1, 512, 1024, 1, FALSE},
	{"over two blocks", 3, 2, 512, 7680, 1, FALSE},
	{"over two blocks, without waiting", 3, 2, 512, 7680, 1, TRUE},
	{"from inside a block on", 3, 4, 1536, 16384, 1, FALSE},
	{"to inside a block", 3, 4, 0, 12800, 3, FALSE},
	{"over the end of a leaf", 254, 4, 2048, 14848, 2, FALSE},
	{"of whole blocks", 3, 8, 0, 32768, 1, FALSE},
	{"into very many pieces of memory", 3, 8, 0, 32768, PIECES, FALSE},
	{"of nearly 1 MiB into very many pieces", 200, 256, 512, MIB - 512, PIECES, FALSE},
};

static struct {
	Volume *volume;
	const ReadKind *kind;
	gint at;   /* reads of the backing until the write */
	gint flip; /* reads of the backing until a damaged one; below 0: none is damaged */
	gboolean is_written;
} scene;

static _Thread_local gboolean reading;
static const BackingOps *plain;
static BackingOps scene_ops;

static gpointer write_new(gpointer data)
{
	(void)data;
	CHECK_INT(volume_put_value(scene.volume, 2, scene.kind->n * BLOCK_SIZE,
				   blocks_to_bytes(scene.kind->first)),
		  0);
	return NULL;
}

static int scene_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			BackingFlags flags)
{
	int r;

	if (reading && scene.at-- == 0) {
		g_thread_join(g_thread_new("writer", write_new, NULL));
		scene.is_written = TRUE;
	}
	r = plain->preadv(backing, iov, count, offset, flags);
	if (!r && reading && scene.flip-- == 0)
		*(guint8 *)iov->iov_base ^= 1;
	return r;
}

static Volume *open_scene(Backing *real)
{
	Backing *backing = backing_borrow(real);

	plain = backing->ops;
	scene_ops = *plain;
	scene_ops.preadv = scene_preadv;
	backing->ops = &scene_ops;
	return volume_open(backing, "test", 0, NULL);
}

static int cut(guint8 *data, gsize length, guint pieces, struct iovec *iov)
{
	gsize each = MAX(length / pieces, 1);
	int n = 0;

	for (; length > each && n < PIECES - 1; n++, data += each, length -= each)
		iov[n] = (struct iovec){data, each};
	iov[n++] = (struct iovec){data, length};
	return n;
}

/* FALSE if the read ended before the write was due. */
static gboolean read_at_one_instant(const ReadKind *kind, gint at, gint flip)
{
	gsize length = kind->to - kind->from;
	guint64 start = blocks_to_bytes(kind->first);
	g_autofree guint8 *data = g_malloc(length);
	struct iovec iov[PIECES];
	int n = cut(data, length, kind->pieces, iov);

	test_row("write before read %d of the backing, damage in %d", at, flip);
	CHECK_INT(volume_put_value(scene.volume, 1, kind->n * BLOCK_SIZE, start), 0);
	scene.kind = kind;
	scene.at = at;
	scene.flip = flip;
	scene.is_written = FALSE;
	reading = TRUE;
	CHECK_INT((kind->nowait ? volume_read_nowait : volume_read)(scene.volume, iov, n,
								    start + kind->from, NULL),
		  0);
	reading = FALSE;
	CHECK(!memcmp(data, data + 1, length - 1));
	CHECK(*data == 1 || *data == 2);
	return scene.is_written;
}

static void test_kind(const void *data)
{
	const ReadKind *kind = data;
	g_autoptr(Backing) backing = make_backing();
	VolumeInfo info;

	scene.volume = open_scene(backing);
	REQUIRE(scene.volume != NULL);
	for (gint flip = -1; flip < 3; flip++)
		for (gint at = 0; at < 12 && !test_failed(); at++)
			if (!read_at_one_instant(kind, at, flip))
				break;
	volume_get_info(scene.volume, &info);
	CHECK_UINT(info.checksum_errors, 0);
	close_volume(scene.volume);
}

/* ---- writers against readers */

typedef struct {
	const char *name;
	guint64 offset, length; /* written whole */
	guint64 at, n;		/* read */
} RaceKind;

static const RaceKind races[] = {
	{"two blocks, read from inside the one to inside the other", 2 * BLOCK_SIZE, 2 * BLOCK_SIZE,
	 2 * BLOCK_SIZE + 512, 2 * BLOCK_SIZE - 1024},
	{"two leaves, of which the first is read", LEAF - 250 * BLOCK_SIZE, MIB,
	 LEAF - 250 * BLOCK_SIZE, 250 * BLOCK_SIZE},
	{"two leaves, of which the second is read", LEAF - 6 * BLOCK_SIZE, MIB, LEAF,
	 250 * BLOCK_SIZE},
	{"two leaves, of which both are read", LEAF - 128 * BLOCK_SIZE, MIB,
	 LEAF - 125 * BLOCK_SIZE - 512, 250 * BLOCK_SIZE + 1024},
};

#define NUMBERS 4u
#define BLOCKS 250u /* that are looked up at most */

typedef struct {
	Volume *volume;
	const RaceKind *kind;
	gint stop; /* atomic */
	guint64 reads, looks;
	guint32 crcs[NUMBERS][BLOCKS];
} AtomicRace;

/* Each write fills its blocks with one number. */
static gpointer write_numbers(gpointer data)
{
	AtomicRace *race = data;
	g_autofree guint8 *memory = g_malloc(race->kind->length);

	for (guint i = 1; !g_atomic_int_get(&race->stop); i++) {
		memset(memory, (int)(i % NUMBERS), race->kind->length);
		CHECK_INT(volume_put(race->volume, memory, race->kind->length, race->kind->offset),
			  0);
	}
	return NULL;
}

static gpointer read_numbers(gpointer data)
{
	AtomicRace *race = data;
	gsize n = race->kind->n;
	g_autofree guint8 *memory = g_malloc(n);

	while (!g_atomic_int_get(&race->stop) && !test_failed()) {
		CHECK_INT(volume_get(race->volume, memory, n, race->kind->at), 0);
		CHECK(!memcmp(memory, memory + 1, n - 1));
		race->reads++;
	}
	return NULL;
}

/* Looks the whole blocks up in the map, which is much faster than reading them. */
static gpointer look_numbers_up(gpointer data)
{
	AtomicRace *race = data;
	guint64 first = blocks_covering(race->kind->at);
	guint n = (guint)(block_of(race->kind->at + race->kind->n) - first); /* BLOCKS at most */
	MapEntry entries[BLOCKS];
	guint epoch, number;

	while (n && !g_atomic_int_get(&race->stop)) {
		CHECK_INT(map_lookup(race->volume->engine.map, first, n, entries, FALSE, &epoch),
			  0);
		map_lookup_end(race->volume->engine.map, epoch);
		race->looks++;
		for (number = 0; number < NUMBERS; number++)
			if (entries[0].crc == race->crcs[number][0])
				break;
		if (!CHECK(number < NUMBERS))
			break;
		for (guint i = 1; i < n; i++)
			if (entries[i].crc != race->crcs[number][i] && !CHECK_UINT(i, 0))
				break;
	}
	return NULL;
}

static void race_init(AtomicRace *race)
{
	guint64 first = blocks_covering(race->kind->at);
	guint8 memory[BLOCK_SIZE];

	for (guint number = 0; number < NUMBERS; number++)
		for (guint i = 0; i < BLOCKS; i++) {
			memset(memory, (int)number, sizeof memory);
			race->crcs[number][i] =
				seal_block(&race->volume->engine.seal, first + i, memory);
		}
	CHECK_INT(volume_put_value(race->volume, 0, race->kind->length, race->kind->offset), 0);
}

static void test_race(const void *data)
{
	const VolumeParameters parameters = {.size = SIZE};
	g_autoptr(Backing) backing = backing_memory_new(0);
	AtomicRace race = {.kind = data};
	GThread *threads[3];
	VolumeInfo info;

	CHECK(volume_format(backing, &parameters, NULL));
	race.volume = backing_open_volume(backing);
	REQUIRE(race.volume != NULL);
	race_init(&race);
	threads[0] = g_thread_new("writer", write_numbers, &race);
	threads[1] = g_thread_new("reader", read_numbers, &race);
	threads[2] = g_thread_new("look-ups", look_numbers_up, &race);
	g_usleep(RACE_TIME); /* the duration of the race */
	g_atomic_int_set(&race.stop, TRUE);
	for (guint i = 0; i < G_N_ELEMENTS(threads); i++)
		g_thread_join(threads[i]);
	CHECK(race.reads > 0);
	test_note("%" G_GUINT64_FORMAT " reads, %" G_GUINT64_FORMAT " look-ups", race.reads,
		  race.looks);
	volume_get_info(race.volume, &info);
	CHECK_UINT(info.checksum_errors, 0);
	close_volume(race.volume);
}

/* ---- every block is verified */

#define DAMAGED_FIRST 250u /* so that a leaf ends inside */
#define DAMAGED_BLOCKS 12u

/* The offset in the backing of the block that is full of `value`. */
static guint64 find_block(Backing *backing, guint8 value)
{
	guint8 data[BLOCK_SIZE];

	for (guint64 at = 0; at < backing_size(backing); at += BLOCK_SIZE) {
		if (backing_pread(backing, data, sizeof data, at))
			break;
		if (data[0] == value && !memcmp(data, data + 1, sizeof data - 1))
			return at;
	}
	FAIL("block %u is nowhere", value);
	return 0;
}

static int read_plain(Volume *volume, guint8 *data, gsize length, guint64 offset, guint64 *bad)
{
	struct iovec iov = {data, length};

	return volume_read(volume, &iov, 1, offset, bad);
}

static int read_nowait(Volume *volume, guint8 *data, gsize length, guint64 offset, guint64 *bad)
{
	struct iovec iov = {data, length};

	return volume_read_nowait(volume, &iov, 1, offset, bad);
}

static int read_pieces(Volume *volume, guint8 *data, gsize length, guint64 offset, guint64 *bad)
{
	struct iovec iov[PIECES];
	int n = cut(data, length, PIECES, iov);

	return volume_read(volume, iov, n, offset, bad);
}

static int compare(Volume *volume, guint8 *data, gsize length, guint64 offset, guint64 *bad)
{
	struct iovec iov = {data, length};

	for (gsize i = 0; i < length; i++)
		data[i] = (guint8)(1 + (offset + i) / BLOCK_SIZE - DAMAGED_FIRST);
	return volume_compare_and_write(volume, &iov, 1, &iov, 1, offset, bad);
}

static int set_bits(Volume *volume, guint8 *data, gsize length, guint64 offset, guint64 *bad)
{
	struct iovec iov = {data, length};

	memset(data, 0, length);
	return volume_or(volume, &iov, 1, offset, bad);
}

typedef int (*Reader)(Volume *volume, guint8 *data, gsize length, guint64 offset, guint64 *bad);

static const struct {
	const char *name;
	Reader read;
} readers[] = {
	{"a read", read_plain},
	{"a read without waiting", read_nowait},
	{"a read into very many pieces", read_pieces},
	{"a compare-and-write", compare},
	{"an or", set_bits},
};

/* Reads `n` blocks from `first` on, less `cut_off` bytes at either end. */
static void read_damaged(Volume *volume, guint64 damaged, guint64 first, guint64 n, guint64 cut_off)
{
	guint8 data[DAMAGED_BLOCKS * BLOCK_SIZE];
	gboolean has = damaged >= first && damaged < first + n;

	for (guint i = 0; i < G_N_ELEMENTS(readers); i++) {
		guint64 bad = 0;
		int r = readers[i].read(volume, data, n * BLOCK_SIZE - 2 * cut_off,
					blocks_to_bytes(first) + cut_off, &bad);

		test_row("%s of %u blocks from %u on, damaged %u", readers[i].name, (guint)n,
			 (guint)first, (guint)damaged);
		CHECK_INT(r, has ? -EBADMSG : 0);
		CHECK_UINT(bad, has ? blocks_to_bytes(damaged) : 0);
	}
}

static void test_each_block(const void *data)
{
	(void)data;
	for (guint64 damaged = 0; damaged < DAMAGED_BLOCKS && !test_failed(); damaged++) {
		g_autoptr(Backing) backing = make_backing();
		guint8 blocks[DAMAGED_BLOCKS][BLOCK_SIZE];
		Volume *volume = backing_open_volume(backing);

		REQUIRE(volume != NULL);
		for (guint i = 0; i < DAMAGED_BLOCKS; i++)
			memset(blocks[i], 1 + i, BLOCK_SIZE);
		CHECK_INT(volume_put(volume, blocks, sizeof blocks, blocks_to_bytes(DAMAGED_FIRST)),
			  0);
		backing_faulty_flip(backing, find_block(backing, (guint8)(1 + damaged)) + 77, 3);
		for (guint64 first = 0; first < DAMAGED_BLOCKS; first++)
			for (guint64 n = 1; n <= DAMAGED_BLOCKS - first; n += n < 3 ? 1 : 3) {
				read_damaged(volume, DAMAGED_FIRST + damaged, DAMAGED_FIRST + first,
					     n, 0);
				read_damaged(volume, DAMAGED_FIRST + damaged, DAMAGED_FIRST + first,
					     n, 512);
			}
		volume_abandon(volume);
	}
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
		g_autofree char *name = g_strdup_printf("one instant: a read %s", kinds[i].name);

		test_add(name, test_kind, &kinds[i]);
	}
	for (guint i = 0; i < G_N_ELEMENTS(races); i++) {
		g_autofree char *name = g_strdup_printf("race: a write of %s", races[i].name);

		test_add(name, test_race, &races[i]);
	}
	test_add("each block of each read is verified", test_each_block, NULL);
	return test_run(argc, argv);
}
