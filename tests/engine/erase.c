/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Erasing: whatever was done to a volume before, its backing afterwards contains nothing that
 * was ever written to it.  Every sector that is written holds a pattern, for which the whole
 * backing is searched.
 */
#include "tests/backing/faulty.h"
#include "common/backing/file.h"
#include "tests/backing/memory.h"
#include "common/engine/codec.h"
#include "common/base/logging.h"
#include "common/engine/superblock.h"
#include "common/base/units.h"
#include "common/engine/wanted.h"
#include "tests/engine/support.h"
#include "tests/loop-device.h"

#include <errno.h>
#include <unistd.h>

#define THREADS 3
#define ROUNDS 250u /* of each thread */
#define SECTOR 512u

static const guint8 pattern[8] = "USERDATA";

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static guint64 count_pattern(Backing *backing)
{
	g_autofree guint8 *data = g_malloc(MIB);
	guint64 n = 0, size = backing_size(backing);

	for (guint64 at = 0; at < size; at += MIB) {
		gsize length = (gsize)(size - at < MIB ? size - at : MIB);

		if (!CHECK_INT(backing_pread(backing, data, length, at), 0))
			break;
		for (gsize i = 0; i + SECTOR <= length; i += SECTOR)
			n += !memcmp(data + i, pattern, sizeof pattern);
	}
	return n;
}

/* ---- what is done to the volume before */

typedef struct {
	Volume *volume;
	guint64 seed;
	gboolean may_fail; /* with -ENOSPC */
} Loader;

static void put_pattern(const Loader *loader, TestRandom *random)
{
	static const guint sectors[] = {1, 7, 8, 16, 64, 500, 2048};
	guint64 size = volume_size(loader->volume);
	gsize length = sectors[test_random_below(random, G_N_ELEMENTS(sectors))] * SECTOR;
	g_autofree guint8 *data = g_malloc(length);
	int r;

	test_random_fill(random, data, length);
	for (gsize i = 0; i < length; i += SECTOR)
		memcpy(data + i, pattern, sizeof pattern);
	length = length < size ? length : size;
	r = volume_put(loader->volume, data, length,
		       test_random_below(random, (size - length) / SECTOR + 1) * SECTOR);
	CHECK(!r || (loader->may_fail && r == -ENOSPC));
}

static gpointer load_main(gpointer data)
{
	const Loader *loader = data;
	TestRandom random = test_random_new(loader->seed);
	guint64 size = volume_size(loader->volume);

	for (guint i = 0; i < (test_is_instrumented() ? ROUNDS / 4 : ROUNDS) && !test_failed();
	     i++) {
		guint64 kind = test_random_below(&random, 40);
		guint64 at = test_random_below(&random, size / BLOCK_SIZE) * BLOCK_SIZE;

		if (kind < 3)
			CHECK_INT(volume_discard(loader->volume, at,
						 (1 + test_random_below(&random,
									(size - at) / BLOCK_SIZE)) *
							 BLOCK_SIZE),
				  0);
		else if (kind < 6)
			CHECK_INT(volume_flush(loader->volume), 0);
		else if (kind < 7 && !loader->may_fail)
			CHECK_INT(volume_checkpoint(loader->volume), 0);
		else
			put_pattern(loader, &random);
	}
	return NULL;
}

static void load(Volume *volume, TestRandom *random, gboolean may_fail)
{
	GThread *threads[THREADS];
	Loader loaders[THREADS];

	for (guint i = 0; i < THREADS; i++) {
		loaders[i] = (Loader){volume, test_random(random), may_fail};
		threads[i] = g_thread_new("load", load_main, &loaders[i]);
	}
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
}

/* ---- the state after */

static void check_erased(Volume *volume, Backing *backing)
{
	guint64 size = volume_size(volume);

	CHECK_UINT(count_pattern(backing), 0);
	for (guint64 at = 0; at < size && !test_failed(); at += 4 * MIB)
		check_value(volume, 0, (gsize)(size - at < 4 * MIB ? size - at : 4 * MIB), at);
}

/* The volume is usable as before. */
static void use_again(Volume *volume, Backing *backing)
{
	CHECK_INT(volume_put_value(volume, 5, 64 * KIB, 512 * KIB), 0);
	check_value(volume, 5, 64 * KIB, 512 * KIB);
	close_volume(volume);
	backing_check(backing);
	volume = backing_open_volume(backing);
	if (!volume)
		return;
	check_value(volume, 5, 64 * KIB, 512 * KIB);
	check_value(volume, 0, 64 * KIB, 256 * KIB);
	close_volume(volume);
}

typedef struct {
	const char *name;
	guint64 size;
	guint64 limit;	   /* the size that the backing has from the start; 0: it grows */
	gboolean no_punch; /* the backing cannot punch */
	gboolean reopened; /* the volume is reopened between the load and the erasure */
	gboolean died;	   /* the process died, and the volume was not closed */
	gboolean full;	   /* erased on a full backing */
} EraseRow;

static const EraseRow rows[] = {
	{.name = "a volume of a single leaf", .size = MIB},
	{.name = "one of two levels", .size = 64 * MIB},
	{.name = "one of three levels", .size = 300 * MIB},
	{.name = "one whose last block is cut off", .size = 20 * MIB + 512},
	{.name = "one that was closed and opened", .size = 64 * MIB, .reopened = TRUE},
	{.name = "one whose process died", .size = 64 * MIB, .reopened = TRUE, .died = TRUE},
	{.name = "a backing that gives no space back", .size = 64 * MIB, .no_punch = TRUE},
	{.name = "a device that held something else before", .size = 64 * MIB, .limit = 150 * MIB},
	{.name = "such a one that gives no space back",
	 .size = 64 * MIB,
	 .limit = 150 * MIB,
	 .no_punch = TRUE},
	{.name = "a full backing", .size = 64 * MIB, .full = TRUE},
};

static BackingOps no_punch_ops;

static int no_punch(Backing *backing, guint64 offset, guint64 length)
{
	(void)backing, (void)offset, (void)length;
	return -EOPNOTSUPP;
}

static Volume *open_row(const EraseRow *row, Backing *real)
{
	Backing *backing = backing_borrow(real);

	if (row->no_punch) {
		no_punch_ops = *backing->ops;
		no_punch_ops.punch = no_punch;
		backing->ops = &no_punch_ops;
	}
	return volume_open(backing, "test", 0, NULL);
}

/* Everything that the device held before. */
static void fill_device(Backing *backing, guint64 limit)
{
	g_autofree guint8 *data = g_malloc(MIB);

	for (gsize i = 0; i < MIB; i += sizeof pattern)
		memcpy(data + i, pattern, sizeof pattern);
	CHECK_INT(backing_grow(backing, limit), 0);
	for (guint64 at = 0; at < limit; at += MIB)
		CHECK_INT(backing_pwrite(backing, data, MIB, at), 0);
}

static void test_row_of(const void *data)
{
	const EraseRow *row = data;
	const VolumeParameters parameters = {.size = row->size, .journal_size = 1 * MIB};
	g_autoptr(Backing) backing =
		row->limit ? backing_memory_new(row->limit) : backing_faulty_new(0);
	TestRandom random = test_random_new(test_seed());
	Volume *volume;

	if (row->limit)
		fill_device(backing, row->limit);
	CHECK(volume_format(backing, &parameters, NULL));
	volume = open_row(row, backing);
	REQUIRE(volume != NULL);
	load(volume, &random, FALSE);
	if (row->reopened) {
		if (row->died)
			volume_abandon(volume);
		else
			close_volume(volume);
		volume = open_row(row, backing);
		REQUIRE(volume != NULL);
	}
	if (row->full) {
		backing_faulty_fill_up(backing, 0);
		load(volume, &random, TRUE);
	}
	CHECK(count_pattern(backing) > 0);
	CHECK_INT(volume_erase(volume), 0);
	check_erased(volume, backing);
	if (!row->limit) { /* what was erased stays so after a power cut */
		g_autoptr(Backing) left = backing_faulty_crash(backing, 0);

		CHECK_UINT(count_pattern(left), 0);
		backing_faulty_fill_up(backing, G_MAXUINT64);
	}
	use_again(volume, backing);
}

/* ---- failures */

static Backing *make_loaded(Volume **ret_volume)
{
	const VolumeParameters parameters = {.size = 64 * MIB, .journal_size = 1 * MIB};
	Backing *backing = backing_faulty_new(0);
	TestRandom random = test_random_new(test_seed());

	CHECK(volume_format(backing, &parameters, NULL));
	*ret_volume = backing_open_volume(backing);
	load(*ret_volume, &random, FALSE);
	CHECK_INT(volume_checkpoint(*ret_volume), 0);
	return backing;
}

static gint refusing; /* atomic */
static const BackingOps *plain;

static int refuse_punch(Backing *backing, guint64 offset, guint64 length)
{
	return g_atomic_int_get(&refusing) ? -EIO : plain->punch(backing, offset, length);
}

static int refuse_zeros(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			BackingFlags flags)
{
	const guint8 *data = iov->iov_base;

	if (g_atomic_int_get(&refusing) && iov->iov_len >= BLOCK_SIZE && !data[0] &&
	    !memcmp(data, data + 1, BLOCK_SIZE - 1))
		return -EIO;
	return plain->pwritev(backing, iov, count, offset, flags);
}

/* The call returns the error; the next call succeeds. */
static void test_refused(const void *data)
{
	static BackingOps ops;
	Volume *volume;
	g_autoptr(Backing) backing = make_loaded(&volume);
	Backing *picky = backing_borrow(backing);

	(void)data;
	close_volume(volume);
	plain = picky->ops;
	ops = *plain;
	ops.punch = refuse_punch;
	ops.pwritev = refuse_zeros;
	picky->ops = &ops;
	volume = volume_open(picky, "test", 0, NULL);
	REQUIRE(volume != NULL);
	g_atomic_int_set(&refusing, TRUE);
	CHECK_INT(volume_erase(volume), -EIO);
	g_atomic_int_set(&refusing, FALSE);
	CHECK(count_pattern(backing) > 0);
	CHECK_INT(volume_erase(volume), 0);
	check_erased(volume, backing);
	use_again(volume, backing);
}

static void test_failed_flush(const void *data)
{
	Volume *volume;
	g_autoptr(Backing) backing = make_loaded(&volume);

	(void)data;
	backing_faulty_fail(backing, FAULTY_FLUSH, 0, EIO, TRUE, FALSE);
	CHECK(volume_erase(volume) < 0);
	CHECK_INT(volume_erase(volume), -ESHUTDOWN);
	volume_abandon(volume);
}

static void test_unwanted(const void *data)
{
	Volume *volume;
	g_autoptr(Backing) backing = make_loaded(&volume);
	const gint dropped = TRUE;

	(void)data;
	wanted_until(&dropped);
	CHECK_INT(volume_erase(volume), -ECANCELED);
	wanted_until(NULL);
	CHECK_INT(volume_erase(volume), 0);
	check_erased(volume, backing);
	use_again(volume, backing);
}

/* A leaf cannot be read, so nobody knows in which slots its blocks were. */
static void test_lost_leaf(const void *data)
{
	Volume *volume;
	g_autoptr(Backing) backing = make_loaded(&volume);
	SuperblockPair pair;
	FormatNode root;
	guint64 groups, leaf = 0;

	(void)data;
	close_volume(volume);
	REQUIRE(superblock_load(backing, &pair, NULL));
	groups = pair.current.groups_offset;
	CHECK_INT(backing_pread(backing, &root, sizeof root,
				groups + pair.current.map_root.slot * BLOCK_SIZE),
		  0);
	for (guint i = 0; i < FORMAT_POINTERS_MAX && !leaf; i++)
		leaf = entry_at(NODE_LAYOUT_PLAIN, &root, i).slot;
	REQUIRE(leaf != 0);
	backing_faulty_flip(backing, groups + leaf * BLOCK_SIZE + 9, 1);
	volume = backing_open_volume(backing);
	REQUIRE(volume != NULL);
	CHECK_INT(volume_erase(volume), 0);
	check_erased(volume, backing);
	volume_abandon(volume);
}

/* ---- a real block device */

#define DEVICE_SIZE (150 * MIB)

static void test_device(const void *data)
{
	const VolumeParameters parameters = {.size = 64 * MIB, .journal_size = 1 * MIB};
	g_autofree char *file = test_path("device"), *path = NULL;
	g_autoptr(Backing) below = backing_file_open(file, BACKING_OPEN_CREATE, NULL);
	TestRandom random = test_random_new(test_seed());
	Backing *device;
	Volume *volume;
	int fd;

	(void)data;
	REQUIRE(below != NULL);
	fill_device(below, DEVICE_SIZE);
	fd = loop_device_new(file, &path);
	if (fd < 0) {
		test_skip("no loop device can be made here");
		return;
	}
	device = backing_file_open(path, 0, NULL);
	if (CHECK(device != NULL) && CHECK(volume_format(device, &parameters, NULL)) &&
	    CHECK((volume = volume_open(device, "test", 0, NULL)) != NULL)) {
		load(volume, &random, FALSE);
		CHECK_INT(volume_erase(volume), 0);
		close_volume(volume);
		CHECK_UINT(count_pattern(below), 0);
	}
	close(fd);
	unlink(file);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
		test_add(rows[i].name, test_row_of, &rows[i]);
	test_add("a block device", test_device, NULL);
	test_add("a backing that refuses once is erased by the next call", test_refused, NULL);
	test_add("a flush that fails", test_failed_flush, NULL);
	test_add("an erasure that nobody waits for any more", test_unwanted, NULL);
	test_add("a leaf that is lost", test_lost_leaf, NULL);
	return test_run(argc, argv);
}
