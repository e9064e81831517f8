/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume grows and shrinks: in use, and interrupted by a crash at every operation.
 */
#include "tests/backing/faulty.h"
#include "tests/backing/memory.h"
#include "common/base/bytes.h"
#include "common/check/check.h"
#include "common/base/error.h"
#include "common/engine/format.h"
#include "common/base/logging.h"
#include "common/engine/superblock.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#include <errno.h>

#define SECONDS 60
#define ODD (3 * SECTOR_SIZE)
#define SHRINK VOLUME_RESIZE_SHRINK
#define FORCE (VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD)

static gboolean resize(Volume *volume, guint64 size, VolumeResizeFlags flags)
{
	g_autoptr(GError) error = NULL;

	return CHECK(volume_resize(volume, size, flags, SECONDS, &error)) | CHECK_NO_ERROR(error) &&
	       CHECK_UINT(volume_size(volume), size);
}

/* ---- growing */

/* Growth from each size to the next adds no level to the map, one, or several. */
static const guint64 sizes[][2] = {
	{MIB, MIB + SECTOR_SIZE},
	{MIB, 2 * MIB},
	{MIB + ODD, 5 * MIB},
	{200 * MIB + ODD, 255 * MIB},
	{256 * MIB, 256 * MIB + ODD},
	{64 * GIB, 65 * GIB},
	{16 * TIB - BLOCK_SIZE + ODD, 16 * TIB + MIB},
	{MIB + ODD, VOLUME_SIZE_MAX},
};

typedef enum { EMPTY, DIRTY, CLEAN, DISCARDED, STATES } ResizeState;

static const char *const state_names[] = {"empty", "dirty", "clean", "discarded"};

/* Writes at both ends. */
static void fill(Volume *volume, ResizeState state)
{
	guint64 size = volume_size(volume);

	if (state == EMPTY)
		return;
	CHECK_INT(volume_put_value(volume, 'a', SECTOR_SIZE, 0), 0);
	CHECK_INT(volume_put_value(volume, 'z', 64 * KIB, size - 64 * KIB), 0);
	if (state == CLEAN || state == DISCARDED)
		CHECK_INT(volume_checkpoint(volume), 0);
	if (state == DISCARDED)
		CHECK_INT(volume_discard(volume, 0, size), 0);
}

static void check_filled(Volume *volume, ResizeState state, guint64 size)
{
	gboolean there = state == DIRTY || state == CLEAN;

	check_value(volume, there ? 'a' : 0, SECTOR_SIZE, 0);
	check_value(volume, there ? 'z' : 0, 64 * KIB, size - 64 * KIB);
}

/* The new blocks read as zeros up to the end, and can be written. */
static void check_grown(Volume *volume, guint64 from, guint64 to)
{
	guint64 length = MIN(to - from, MIB);

	check_value(volume, 0, length, from);
	check_value(volume, 0, length, to - length);
	CHECK_INT(volume_put_value(volume, 'n', SECTOR_SIZE, from), 0);
	CHECK_INT(volume_put_value(volume, 'n', SECTOR_SIZE, to - SECTOR_SIZE), 0);
}

static void check_written(Volume *volume, guint64 from, guint64 to)
{
	check_value(volume, 'n', SECTOR_SIZE, from);
	check_value(volume, 'n', SECTOR_SIZE, to - SECTOR_SIZE);
	if (to - from > 2 * SECTOR_SIZE)
		check_value(volume, 0, SECTOR_SIZE, to - 2 * SECTOR_SIZE);
}

static void grow_one(guint64 from, guint64 to, ResizeState state, gboolean dies)
{
	g_autoptr(Place) place = place_new_memory();
	Volume *volume = place_format(place, from, 0) ? place_open(place) : NULL;

	REQUIRE(volume);
	fill(volume, state);
	REQUIRE(resize(volume, to, 0));
	if (dies) {
		volume_abandon(volume); /* the growth is durable */
		place_check(place);
		volume = place_open(place);
		REQUIRE(volume);
		CHECK_UINT(volume_size(volume), to);
	}
	check_filled(volume, state, from);
	check_grown(volume, from, to);
	close_volume(volume);
	place_check(place);
	volume = place_open(place);
	REQUIRE(volume);
	CHECK_UINT(volume_size(volume), to);
	check_filled(volume, state, from);
	check_written(volume, from, to);
	close_volume(volume);
}

static void test_grow(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(sizes); i++)
		for (ResizeState state = 0; state < STATES; state++)
			for (guint dies = 0; dies < 2; dies++) {
				test_row("from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
					 ", %s%s",
					 sizes[i][0], sizes[i][1], state_names[state],
					 dies ? ", and the process dies" : "");
				grow_one(sizes[i][0], sizes[i][1], state, dies);
			}
}

/* ---- under load */

#define THREADS 3
#define STRETCH (2 * MIB + ODD)
#define GROWN_BY (40 * MIB + SECTOR_SIZE)

typedef struct {
	Volume *volume;
	guint64 start;
	TestRandom random;
	gint *stop;
	guint8 flat[STRETCH];
	guint requests;
} ResizeLoad;

static void load_request(ResizeLoad *load)
{
	gsize at = test_random_below(&load->random, STRETCH / SECTOR_SIZE) * SECTOR_SIZE;
	gsize most = (1 + test_random_below(&load->random, 40)) * SECTOR_SIZE;
	gsize length = MIN(most, STRETCH - at);
	g_autofree guint8 *got = g_malloc(length);

	switch (test_random_below(&load->random, 4)) {
	case 0:
		CHECK_INT(volume_get(load->volume, got, length, load->start + at), 0);
		CHECK_MEM(got, load->flat + at, length);
		break;
	case 1:
		CHECK_INT(volume_discard(load->volume, load->start + at, length), 0);
		memset(load->flat + at, 0, length);
		break;
	default:
		test_random_fill(&load->random, load->flat + at, length);
		CHECK_INT(volume_put(load->volume, load->flat + at, length, load->start + at), 0);
	}
	load->requests++;
}

static gpointer load_main(gpointer data)
{
	ResizeLoad *load = data;

	while (!g_atomic_int_get(load->stop) && !test_failed())
		load_request(load);
	return NULL;
}

static void check_load(const ResizeLoad *loads, Volume *volume)
{
	g_autofree guint8 *got = g_malloc(STRETCH);

	for (guint i = 0; i < THREADS; i++) {
		CHECK_INT(volume_get(volume, got, STRETCH, loads[i].start), 0);
		CHECK_MEM(got, loads[i].flat, STRETCH);
	}
}

/* The last stretch ends at the end of the volume, so that the first growth begins beside its
 * requests. */
static void test_grow_under_load(const void *data)
{
	static ResizeLoad loads[THREADS];
	g_autoptr(Place) place = place_new_file();
	guint64 size = THREADS * STRETCH;
	GThread *threads[THREADS];
	Volume *volume = place_format(place, size, 0) ? place_open(place) : NULL;
	gint stop = FALSE;

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < THREADS; i++) {
		loads[i] = (ResizeLoad){.volume = volume,
					.start = i * STRETCH,
					.random = test_random_new(test_seed() + i),
					.stop = &stop};
		threads[i] = g_thread_new("load", load_main, &loads[i]);
	}
	for (guint i = 0; i < 24 && !test_failed(); i++) {
		guint64 before = size;

		g_usleep(20000); /* let requests run between two resizes */
		size += i % 8 == 7 ? size * 15 : GROWN_BY;
		resize(volume, size, 0);
		check_grown(volume, before, size);
	}
	g_atomic_int_set(&stop, TRUE);
	for (guint i = 0; i < THREADS; i++) {
		g_thread_join(threads[i]);
		CHECK(loads[i].requests > 0);
	}
	check_load(loads, volume);
	volume_abandon(volume);
	place_check(place);
	volume = place_open(place);
	REQUIRE(volume);
	check_load(loads, volume);
	CHECK_UINT(volume_size(volume), size);
	close_volume(volume);
}

/* ---- shrinking */

/* What was cut off does not come back: whole blocks, the rest of a block, nodes of the levels
 * that went. */
static void shrink_one(guint64 large, guint64 small, ResizeState state)
{
	g_autoptr(Place) place = place_new_memory();
	Volume *volume = place_format(place, large, 0) ? place_open(place) : NULL;
	guint64 behind = MIN(large - small, MIB);

	REQUIRE(volume);
	fill(volume, state);
	CHECK_INT(volume_put_value(volume, 's', 64 * KIB, small - 64 * KIB), 0);
	CHECK_INT(volume_put_value(volume, 'b', behind, small), 0);
	if (state == CLEAN)
		CHECK_INT(volume_checkpoint(volume), 0);
	REQUIRE(resize(volume, small, FORCE));
	check_value(volume, 's', 64 * KIB, small - 64 * KIB);
	close_volume(volume);
	place_check(place);
	volume = place_open(place);
	REQUIRE(volume);
	CHECK_UINT(volume_size(volume), small);
	check_value(volume, 's', 64 * KIB, small - 64 * KIB);
	REQUIRE(resize(volume, large, 0));
	check_value(volume, 's', 64 * KIB, small - 64 * KIB);
	check_value(volume, 0, behind, small);
	check_value(volume, 0, behind, large - behind);
	close_volume(volume);
	place_check(place);
}

static void test_shrink(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(sizes); i++)
		for (ResizeState state = 0; state < STATES; state++) {
			test_row("from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT ", %s",
				 sizes[i][1], sizes[i][0], state_names[state]);
			shrink_one(sizes[i][1], sizes[i][0], state);
		}
}

/* An initiator's setup from before the growth has the former size. */
static void test_former_sizes(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	const VolumeParameters p = {.size = 4 * MIB};
	Volume *volume;

	(void)data;
	CHECK(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	resize(volume, 6 * MIB, 0);
	resize(volume, 8 * MIB, 0);
	close_volume(volume);
	volume = backing_open_volume(backing);
	CHECK(volume_had_size(volume, 4 * MIB));
	CHECK(volume_had_size(volume, 6 * MIB));
	CHECK(!volume_had_size(volume, 2 * MIB));
	CHECK(!volume_had_size(volume, 9 * MIB));
	resize(volume, 3 * MIB, SHRINK);
	close_volume(volume);
	volume = backing_open_volume(backing);
	CHECK(!volume_had_size(volume, 2 * MIB));
	CHECK(!volume_had_size(volume, 4 * MIB));
	close_volume(volume);
}

static void test_refusals(const void *data)
{
	g_autoptr(Place) place = place_new_memory();
	const VolumeParameters parameters = {.size = 20 * GIB, .logical_block_size = BLOCK_SIZE};
	g_autoptr(Backing) backing = place_backing(place);
	static const struct {
		guint64 size;
		VolumeResizeFlags flags;
		int code;
		const char *says;
	} rows[] = {
		{MIB - BLOCK_SIZE, FORCE, STORAGEOS_ERROR_INVALID, "out of range"},
		{VOLUME_SIZE_MAX + BLOCK_SIZE, FORCE, STORAGEOS_ERROR_INVALID, "out of range"},
		{21 * GIB + SECTOR_SIZE, 0, STORAGEOS_ERROR_INVALID, "no multiple of the block"},
		{10 * GIB, 0, STORAGEOS_ERROR_BUSY, "to become smaller it has to be detached"},
		{10 * GIB, SHRINK, STORAGEOS_ERROR_EXISTS,
		 "it would cut off 3 MiB of data between 10.0 GiB and 17 GiB "
		 "(bytes 10738466816 to 18253611007)"},
		{17 * GIB - MIB + BLOCK_SIZE, SHRINK, STORAGEOS_ERROR_EXISTS,
		 "it would cut off 1020 KiB of data"},
	};
	Volume *volume;

	(void)data;
	REQUIRE(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'a', 2 * MIB, 10 * GIB + MIB), 0);
	CHECK_INT(volume_put_value(volume, 'b', MIB, 17 * GIB - MIB), 0);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(GError) error = NULL;

		test_row("%s", rows[i].says);
		CHECK(!volume_resize(volume, rows[i].size, rows[i].flags, SECONDS, &error));
		CHECK_ERROR(error, rows[i].code, rows[i].says);
	}
	test_row(NULL);
	CHECK_UINT(volume_size(volume), 20 * GIB);
	check_value(volume, 'b', MIB, 17 * GIB - MIB);
	CHECK(resize(volume, 17 * GIB, SHRINK));
	CHECK(resize(volume, 17 * GIB, 0));
	close_volume(volume);
	backing_check(backing);
}

/* A superblock with a smaller size than the map. */
static void test_found(const void *data)
{
	g_autoptr(Place) place = place_new_memory();
	g_autoptr(Backing) backing = place_backing(place);
	g_autoptr(CheckResult) result = NULL;
	SuperblockPair pair;
	Superblock less;
	Volume *volume;

	(void)data;
	REQUIRE(place_format(place, 2 * MIB, 0));
	volume = place_open(place);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'x', 2 * BLOCK_SIZE, MIB + 3 * BLOCK_SIZE), 0);
	close_volume(volume);
	REQUIRE(superblock_load(backing, &pair, NULL));
	less = pair.current;
	less.size = MIB + 4 * BLOCK_SIZE;
	less.generation++;
	CHECK_INT(superblock_store(backing, &pair, &less), 0);
	result = check_run(backing, NULL, NULL, NULL);
	REQUIRE(result);
	CHECK_UINT(result->errors, 1);
	CHECK_STR(g_ptr_array_index(result->messages, 0),
		  "block 260: lies behind the volume's end");
}

/* ---- crashes */

#define SMALL (MIB + ODD)
#define LARGE (3 * MIB)

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* Checks that a power cut leaves a consistent volume with the old or the new size; `sure`: with the
 * new one. */
static void check_left(Backing *left, guint64 from, guint64 to, gboolean sure)
{
	g_autoptr(GError) error = NULL;
	Volume *volume;
	guint64 size;

	if (!backing_check(left))
		return;
	volume = volume_open(backing_borrow(left), "left", 0, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(volume);
	size = volume_size(volume);
	CHECK(size == to || (size == from && !sure));
	check_value(volume, 'k', SMALL, 0);
	if (size == SMALL && CHECK(resize(volume, LARGE, 0)))
		check_value(volume, 0, LARGE - SMALL, SMALL);
	close_volume(volume);
	backing_check(left);
}

/* FALSE if the resize ended before that operation. */
static gboolean cut_at(guint64 from, guint64 to, guint64 point)
{
	const VolumeParameters parameters = {.size = from, .journal_size = VOLUME_SIZE_MIN};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	TestRandom random = test_random_new(test_seed() + point);
	gboolean done;
	Volume *volume;
	guint64 before;

	CHECK(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	CHECK_INT(volume_put_value(volume, 'k', SMALL, 0), 0);
	if (from > SMALL)
		CHECK_INT(volume_put_value(volume, 'x', from - SMALL, SMALL), 0);
	CHECK_INT(volume_flush(volume), 0);
	before = backing_faulty_count(backing, FAULTY_MODIFY);
	backing_faulty_fail(backing, FAULTY_MODIFY, point, EIO, TRUE, TRUE);
	done = volume_resize(volume, to, FORCE, SECONDS, NULL);
	volume_abandon(volume);
	for (guint i = 0; i < 4 && !test_failed(); i++) {
		g_autoptr(Backing) left =
			backing_faulty_crash(backing, FAULTY_CRASH_SEED(i, &random));

		test_row("from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
			 ", stopped at operation %" G_GUINT64_FORMAT ", crash %u",
			 from, to, point, i);
		check_left(left, from, to, done);
	}
	return backing_faulty_count(backing, FAULTY_MODIFY) - before > point;
}

static void test_crash(const void *data)
{
	const guint64 *size = data;
	guint64 stride = test_is_instrumented() ? 5 : 1; /* with a sanitizer, a sample */
	guint64 point = test_seed() % stride;

	while (cut_at(size[0], size[1], point) && !test_failed())
		point += stride;
	CHECK(point > 5);
}

static Volume *open_new(Backing *backing, guint64 size)
{
	const VolumeParameters parameters = {.size = size};

	return CHECK(volume_format(backing, &parameters, NULL)) ? backing_open_volume(backing)
								: NULL;
}

/* The full disk gets space again, and then the volume grows. */
static void test_full(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume = open_new(backing, MIB);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'a', MIB, 0), 0);
	backing_faulty_fill_up(backing, 0);
	CHECK(!volume_resize(volume, 2 * MIB, 0, SECONDS, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, "change the size");
	CHECK_UINT(volume_size(volume), MIB);
	check_value(volume, 'a', MIB, 0);
	backing_faulty_fill_up(backing, G_MAXUINT64);
	CHECK(resize(volume, 2 * MIB, 0));
	check_value(volume, 0, MIB, MIB);
	close_volume(volume);
	backing_check(backing);
}

/* The call returns after its limit, and the growth goes on. */
static void test_slow(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume = open_new(backing, MIB);

	(void)data;
	REQUIRE(volume);
	backing_faulty_delay(backing, FAULTY_FLUSH, 1500000);
	CHECK(!volume_resize(volume, 2 * MIB, 0, 1, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "takes longer than 1 s");
	backing_faulty_delay(backing, FAULTY_FLUSH, 0);
	CHECK(resize(volume, 2 * MIB, 0));
	close_volume(volume);
	backing_check(backing);
}

/* ---- what was discarded cannot be freed */

static gint lost; /* atomic: nodes cannot be read */
static const BackingOps *plain;

static int preadv_but_nodes(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			    BackingFlags flags)
{
	int r = plain->preadv(backing, iov, count, offset, flags);
	const guint8 *data = iov->iov_base;

	if (r || !g_atomic_int_get(&lost) || iov->iov_len != sizeof(FormatNode) ||
	    get_le32(data + G_STRUCT_OFFSET(FormatBitmap, magic)) == FORMAT_BITMAP_MAGIC)
		return r;
	return -EIO;
}

/* A dead pointer covers the new end: it would become the root. */
static void test_shrink_over_dead(const void *data)
{
	const VolumeParameters parameters = {.size = 512 * MIB, .journal_size = 1 * MIB};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	Backing *borrowed = backing_borrow(backing);
	static BackingOps ops;
	Volume *volume;

	(void)data;
	plain = borrowed->ops;
	ops = *plain;
	ops.preadv = preadv_but_nodes;
	borrowed->ops = &ops;
	CHECK(volume_format(backing, &parameters, NULL));
	volume = volume_open(borrowed, "test", 0, NULL);
	REQUIRE(volume != NULL);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
	CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, 200 * MIB), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	g_atomic_int_set(&lost, TRUE);
	CHECK_INT(volume_discard(volume, 0, 256 * MIB), 0);
	REQUIRE(!volume_resize(volume, 128 * MIB, FORCE, SECONDS, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "cannot be freed now");
	CHECK_UINT(volume_size(volume), 512 * MIB);
	CHECK_INT(volume_put_value(volume, 3, BLOCK_SIZE, 300 * MIB), 0);
	g_atomic_int_set(&lost, FALSE);
	check_value(volume, 3, BLOCK_SIZE, 300 * MIB);
	resize(volume, 128 * MIB, FORCE);
	check_value(volume, 0, MIB, 0);
	CHECK_INT(volume_put_value(volume, 4, BLOCK_SIZE, 100 * MIB), 0);
	close_volume(volume);
	backing_check(backing);
	volume = backing_open_volume(backing);
	REQUIRE(volume != NULL);
	check_value(volume, 4, BLOCK_SIZE, 100 * MIB);
	close_volume(volume);
}

int main(int argc, char **argv)
{
	static const guint64 growing[] = {SMALL, LARGE}, shrinking[] = {LARGE, SMALL},
			     same_levels[] = {SMALL, SMALL + MIB};

	logging_set_sink(no_log);
	test_add("growing keeps the data, and new blocks read as zeros", test_grow, NULL);
	test_add("growing a volume in use", test_grow_under_load, NULL);
	test_add("what was cut off does not come back", test_shrink, NULL);
	test_add("nothing is cut off that was discarded and is not free yet", test_shrink_over_dead,
		 NULL);
	test_add("the sizes that the volume may have had are known", test_former_sizes, NULL);
	test_add("sizes that are refused", test_refusals, NULL);
	test_add("check finds what is mapped behind the end", test_found, NULL);
	test_add("power cuts while the volume grows", test_crash, growing);
	test_add("power cuts while the volume grows by no level", test_crash, same_levels);
	test_add("power cuts while the volume shrinks", test_crash, shrinking);
	test_add("growing on a full disk", test_full, NULL);
	test_add("growing on a slow disk", test_slow, NULL);
	return test_run(argc, argv);
}
