/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A batch of writes: what it costs, and that each of its writes is a write of its own, with its own
 * error, whatever becomes of the others.
 */
#include "tests/backing/faulty.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/engine/format.h"
#include "tests/engine/support.h"

#include <errno.h>

#define SIZE (64 * MIB)
#define N 32u
#define BAD 0xbb /* a payload that the disk refuses, where a test says so */

/* Writes of whole blocks that do not overlap. */
typedef struct {
	guint8 data[N][BLOCK_SIZE];
	struct iovec iov[N];
	VolumeWrite writes[N];
} BatchScene;

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* In leaves of their own: a leaf covers 1 MiB. */
static guint64 place_of(guint i)
{
	return ((i * 7) % N) * MIB + i * BLOCK_SIZE;
}

static void batch_init(BatchScene *batch, guint8 first_value)
{
	for (guint i = 0; i < N; i++) {
		memset(batch->data[i], first_value + (int)i, BLOCK_SIZE);
		batch->iov[i] = (struct iovec){batch->data[i], BLOCK_SIZE};
		batch->writes[i] = (VolumeWrite){.iov = &batch->iov[i],
						 .n_iov = 1,
						 .offset = place_of(i),
						 .result = 1,
						 .position = 1};
	}
}

static void check_results(const BatchScene *batch, int expected)
{
	for (guint i = 0; i < N; i++) {
		test_row("write %u", i);
		CHECK_INT(batch->writes[i].result, expected);
	}
	test_row(NULL);
}

static void check_values(Volume *volume, guint8 first_value)
{
	for (guint i = 0; i < N; i++) {
		test_row("write %u", i);
		check_value(volume, (guint8)(first_value + i), BLOCK_SIZE, place_of(i));
	}
	test_row(NULL);
}

static Backing *make_backing(void)
{
	const VolumeParameters parameters = {.size = SIZE};
	Backing *backing = backing_faulty_new(0);

	CHECK(volume_format(backing, &parameters, NULL));
	return backing;
}

/* ---- a disk that looks at what is written */

static struct {
	gboolean refuses; /* a write that has a byte BAD at the start of a block */
	gint *drop;	  /* set to TRUE while a write is under way */
	const BackingOps *plain;
	BackingOps ops;
} disk;

static gboolean is_bad(const struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		if (iov[i].iov_len && *(const guint8 *)iov[i].iov_base == BAD)
			return TRUE;
	return FALSE;
}

static int disk_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			BackingFlags flags)
{
	gboolean payload = iov_length(iov, count) % BLOCK_SIZE == 0;

	if (payload && disk.refuses && is_bad(iov, count))
		return -EIO;
	if (payload && disk.drop)
		g_atomic_int_set(disk.drop, TRUE);
	return disk.plain->pwritev(backing, iov, count, offset, flags);
}

static Volume *open_on_disk(Backing *real)
{
	Backing *backing = backing_borrow(real);
	Volume *volume;

	disk.plain = backing->ops;
	disk.ops = *backing->ops;
	disk.ops.pwritev = disk_pwritev;
	disk.refuses = FALSE;
	disk.drop = NULL;
	backing->ops = &disk.ops;
	volume = volume_open(backing, "test", 0, NULL);
	CHECK(volume != NULL);
	return volume;
}

/* ---- */

/* A batch at random places takes one write of the backing for the payloads, and one for the
 * records. */
static void test_cost(const void *data)
{
	g_autoptr(Backing) backing = make_backing();
	Volume *volume = backing_open_volume(backing);
	BatchScene batch;
	guint64 before;

	(void)data;
	REQUIRE(volume);
	batch_init(&batch, 1); /* makes the leaves */
	volume_write_batch(volume, batch.writes, N);
	check_results(&batch, 0);
	batch_init(&batch, 101);
	before = backing_faulty_count(backing, FAULTY_MODIFY);
	volume_write_batch(volume, batch.writes, N);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_MODIFY) - before, 2);
	check_results(&batch, 0);
	check_values(volume, 101);
	volume_abandon(volume); /* I2 */
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	check_values(volume, 101);
	close_volume(volume);
	backing_check(backing);
}

/* Later writes of the array lie on top, whether they go together or alone. */
static void test_order(const void *data)
{
	g_autoptr(Backing) backing = make_backing();
	Volume *volume = backing_open_volume(backing);
	BatchScene batch;

	(void)data;
	REQUIRE(volume);
	batch_init(&batch, 1);
	for (guint i = 0; i < N; i++)
		batch.writes[i].offset = i % 5 * BLOCK_SIZE;
	batch.iov[N - 2].iov_len = SECTOR_SIZE; /* N - 2 and N - 7 are in block 0 */
	volume_write_batch(volume, batch.writes, N);
	check_results(&batch, 0);
	check_value(volume, N - 1, SECTOR_SIZE, 0);
	check_value(volume, N - 6, BLOCK_SIZE - SECTOR_SIZE, SECTOR_SIZE);
	check_value(volume, N, BLOCK_SIZE, BLOCK_SIZE);
	for (guint i = 2; i < 5; i++)
		check_value(volume, (guint8)(N - 6 + i), BLOCK_SIZE, i * BLOCK_SIZE);
	close_volume(volume);
}

/* A write that the volume does not allow fails, and its neighbours do not. */
static void test_bad_writes(const void *data)
{
	g_autoptr(Backing) backing = make_backing();
	Volume *volume = backing_open_volume(backing);
	BatchScene batch;

	(void)data;
	REQUIRE(volume);
	batch_init(&batch, 1);
	batch.writes[3].offset = SIZE;
	batch.writes[7].offset += 1;
	batch.iov[9].iov_len = 100;
	batch.writes[11].offset = G_MAXUINT64 - BLOCK_SIZE + 1;
	batch.writes[13].n_iov = 0; /* nothing to write */
	volume_write_batch(volume, batch.writes, N);
	for (guint i = 0; i < N; i++) {
		gboolean bad = i == 3 || i == 7 || i == 9 || i == 11;

		test_row("write %u", i);
		CHECK_INT(batch.writes[i].result, bad ? -EINVAL : 0);
		check_value(volume, bad || i == 13 ? 0 : (guint8)(1 + i), BLOCK_SIZE, place_of(i));
	}
	volume_write_batch(volume, batch.writes, 0);
	close_volume(volume);
}

/* The disk refuses what one write holds; the others are done, alone. */
static void test_refused_payload(const void *data)
{
	g_autoptr(Backing) backing = make_backing();
	Volume *volume = open_on_disk(backing);
	BatchScene batch;

	(void)data;
	REQUIRE(volume);
	disk.refuses = TRUE;
	batch_init(&batch, BAD - 5);
	volume_write_batch(volume, batch.writes, N);
	for (guint i = 0; i < N; i++) {
		test_row("write %u", i);
		CHECK_INT(batch.writes[i].result, i == 5 ? -EIO : 0);
		check_value(volume, i == 5 ? 0 : (guint8)(BAD - 5 + i), BLOCK_SIZE, place_of(i));
	}
	close_volume(volume);
	backing_check(backing);
}

/* Whoever has been answered changes nothing any more, whenever that was. */
static void test_dropped(const void *data)
{
	g_autoptr(Backing) backing = make_backing();
	Volume *volume = open_on_disk(backing);

	(void)data;
	REQUIRE(volume);
	for (guint during = 0; during < 2; during++) {
		BatchScene batch;
		gint dropped = !during;

		batch_init(&batch, (guint8)(1 + during * N));
		batch.writes[4].dropped = &dropped;
		disk.drop = during ? &dropped : NULL;
		volume_write_batch(volume, batch.writes, N);
		disk.drop = NULL;
		for (guint i = 0; i < N; i++) {
			test_row("%s, write %u", during ? "during its payload" : "before", i);
			CHECK_INT(batch.writes[i].result, i == 4 ? -ECANCELED : 0);
			check_value(volume, i == 4 ? 0 : *batch.data[i], BLOCK_SIZE, place_of(i));
		}
		CHECK(wanted_still());
	}
	close_volume(volume);
	backing_check(backing);
}

/* Where the leaf is whose only pointer is that of block `i`. */
static guint64 find_leaf(Backing *backing, guint i)
{
	guint8 slot[BLOCK_SIZE];

	for (guint64 at = 0; at < 24 * MIB; at += BLOCK_SIZE) {
		guint n = 0;

		if (backing_pread(backing, slot, sizeof slot, at))
			break;
		for (guint k = 0; k < BLOCK_SIZE; k++)
			n += slot[k] != 0;
		for (guint k = 0; k < 16; k++)
			n -= slot[16 * i + k] != 0;
		if (!n && slot[16 * i])
			return at;
	}
	FAIL("there is no such leaf");
	return 0;
}

/* A leaf of the map is damaged: one write cannot be made. */
static void test_damaged_leaf(const void *data)
{
	static const guint8 garbage[BLOCK_SIZE] = {1, 2, 3};
	g_autoptr(Backing) backing = make_backing();
	Volume *volume = backing_open_volume(backing);
	BatchScene batch;

	(void)data;
	REQUIRE(volume);
	batch_init(&batch, 1);
	volume_write_batch(volume, batch.writes, N);
	close_volume(volume);
	CHECK_INT(backing_pwrite(backing, garbage, sizeof garbage, find_leaf(backing, 6)), 0);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	batch_init(&batch, 101);
	volume_write_batch(volume, batch.writes, N);
	for (guint i = 0; i < N; i++) {
		test_row("write %u", i);
		CHECK_INT(batch.writes[i].result, i == 6 ? -EBADMSG : 0);
		CHECK_UINT(batch.writes[i].position, i == 6 ? place_of(6) : 1);
		if (i != 6)
			check_value(volume, (guint8)(101 + i), BLOCK_SIZE, place_of(i));
	}
	close_volume(volume);
}

/* Space for a part of the writes: each is whole or refused, and those that were refused succeed as
 * soon as there is space. */
static void test_full(const void *data)
{
	guint done = 0, refused = 0;

	(void)data;
	for (guint blocks = 0; blocks < N; blocks += 3) {
		g_autoptr(Backing) backing = make_backing();
		Volume *volume = backing_open_volume(backing);
		BatchScene batch;

		REQUIRE(volume);
		batch_init(&batch, 1);
		backing_faulty_fill_up(backing, blocks * BLOCK_SIZE);
		volume_write_batch(volume, batch.writes, N);
		for (guint i = 0; i < N; i++) {
			int r = batch.writes[i].result;

			test_row("space for %u blocks, write %u", blocks, i);
			CHECK(!r || r == -ENOSPC);
			check_value(volume, r ? 0 : (guint8)(1 + i), BLOCK_SIZE, place_of(i));
			done += !r;
			refused += r != 0;
		}
		backing_faulty_fill_up(backing, G_MAXUINT64);
		volume_write_batch(volume, batch.writes, N);
		check_results(&batch, 0);
		check_values(volume, 1);
		close_volume(volume);
		backing_check(backing);
	}
	test_note("%u writes were done, %u refused", done, refused);
	CHECK(done && refused);
}

/* Nothing is acknowledged whose record may not be on disk. */
static void test_failed_journal(const void *data)
{
	g_autoptr(Backing) backing = make_backing();
	Volume *volume = backing_open_volume(backing);
	BatchScene batch;

	(void)data;
	REQUIRE(volume);
	batch_init(&batch, 1);
	volume_write_batch(volume, batch.writes, N);
	backing_faulty_fail(backing, FAULTY_WRITE, 1, EIO, FALSE, FALSE);
	volume_write_batch(volume, batch.writes, N);
	check_results(&batch, -ESHUTDOWN);
	volume_write_batch(volume, batch.writes, N);
	check_results(&batch, -ESHUTDOWN);
	volume_abandon(volume);
}

static void test_nowait(const void *data)
{
	g_autoptr(Backing) backing = make_backing();
	Volume *volume = backing_open_volume(backing);
	BatchScene batch;

	(void)data;
	REQUIRE(volume);
	batch_init(&batch, 1);
	volume_write_batch(volume, batch.writes, N);
	batch_init(&batch, 101);
	batch.iov[8].iov_len = SECTOR_SIZE; /* the rest of the block would have to be read */
	backing_faulty_delay(backing, FAULTY_READ, 1000);
	volume_write_batch_nowait(volume, batch.writes, N);
	backing_faulty_delay(backing, FAULTY_READ, 0);
	for (guint i = 0; i < N; i++) {
		test_row("write %u", i);
		CHECK_INT(batch.writes[i].result, i == 8 ? -EAGAIN : 0);
		check_value(volume, (guint8)(i == 8 ? 1 + i : 101 + i), BLOCK_SIZE, place_of(i));
	}
	close_volume(volume);
}

/* More and longer writes than one batch takes. */
static void test_many(const void *data)
{
	g_autoptr(Backing) backing = make_backing();
	g_autofree VolumeWrite *writes = g_new0(VolumeWrite, 300);
	g_autofree struct iovec *iov = g_new0(struct iovec, 300);
	Volume *volume = backing_open_volume(backing);

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < 300; i++) {
		gsize length = (1 + i % 40) * BLOCK_SIZE;

		iov[i] = (struct iovec){g_malloc(length), length};
		memset(iov[i].iov_base, 1 + (int)(i % 250), length);
		writes[i] = (VolumeWrite){.iov = &iov[i],
					  .n_iov = 1,
					  .offset = (guint64)(i * 89 % 300) * 40 * BLOCK_SIZE};
	}
	volume_write_batch(volume, writes, 300);
	for (guint i = 0; i < 300; i++) {
		test_row("write %u", i);
		CHECK_INT(writes[i].result, 0);
		check_value(volume, (guint8)(1 + i % 250), iov[i].iov_len, writes[i].offset);
		g_free(iov[i].iov_base);
	}
	close_volume(volume);
	backing_check(backing);
}

static void test_read_only(const void *data)
{
	g_autoptr(Backing) backing = make_backing();
	Volume *volume = volume_open(backing_borrow(backing), "test", VOLUME_OPEN_READ_ONLY, NULL);
	BatchScene batch;

	(void)data;
	REQUIRE(volume);
	batch_init(&batch, 1);
	volume_write_batch(volume, batch.writes, N);
	check_results(&batch, -EROFS);
	volume_abandon(volume);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	test_add("payloads take one write, records one", test_cost, NULL);
	test_add("overlapping writes take effect in order", test_order, NULL);
	test_add("a write that is not allowed fails alone", test_bad_writes, NULL);
	test_add("a payload that the disk refuses fails its write alone", test_refused_payload,
		 NULL);
	test_add("a write that was answered changes nothing", test_dropped, NULL);
	test_add("a damaged leaf fails its write alone", test_damaged_leaf, NULL);
	test_add("on a full disk each write is whole or refused", test_full, NULL);
	test_add("a failed journal acknowledges none", test_failed_journal, NULL);
	test_add("without waiting: done, or nothing done", test_nowait, NULL);
	test_add("more than goes together", test_many, NULL);
	test_add("a read-only volume refuses each write", test_read_only, NULL);
	return test_run(argc, argv);
}
