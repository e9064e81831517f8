/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads of blocks that are scattered over the backing: what is not in memory is asked for at once,
 * and what is in memory costs nothing more.
 */
#include "tests/backing/faulty.h"
#include "common/base/bytes.h"
#include "common/base/units.h"
#include "common/engine/volume-private.h"
#include "tests/engine/support.h"

#include <errno.h>

#define SIZE (32 * MIB)
#define BLOCKS 256u
#define APART 12u /* blocks written elsewhere between two of those that are read */

/* A backing of which [0, cold_from) is in memory, and what was asked for. */
typedef struct {
	guint64 cold_from;
	guint reads, refused,
		waited; /* calls of preadv: all; that had to wait, and did not; or did */
	guint early;	/* that waited for what was not asked for */
	guint64 broken; /* the offset of a slot that cannot be read; 0: none */
	GArray *asked;	/* of SlotSpan */
} Memory;

typedef struct {
	guint64 offset, end;
} SlotSpan;

static const BackingOps *plain;
static Memory memory;

static gboolean was_asked(guint64 offset, guint64 end)
{
	for (guint i = 0; i < memory.asked->len; i++) {
		const SlotSpan *span = &g_array_index(memory.asked, SlotSpan, i);

		if (span->offset <= offset && end <= span->end)
			return TRUE;
	}
	return FALSE;
}

static int preadv_noted(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			BackingFlags flags)
{
	guint64 end = offset + iov_length(iov, count);

	memory.reads++;
	if (memory.broken && offset <= memory.broken && memory.broken < end)
		return -EIO;
	if (end > memory.cold_from) {
		if (flags & BACKING_NOWAIT) {
			memory.refused++;
			return -EAGAIN;
		}
		memory.waited++;
		memory.early += !was_asked(offset, end);
	}
	return plain->preadv(backing, iov, count, offset, flags);
}

static void prefetch_noted(Backing *backing, guint64 offset, guint64 length)
{
	const SlotSpan span = {offset, offset + length};

	(void)backing;
	g_array_append_val(memory.asked, span);
}

/* A volume with `data` in its first blocks, and `apart` others between each of them and the next
 * one in the backing. */
static Volume *open_scattered(Backing *real, const guint8 *data, guint apart)
{
	const VolumeParameters parameters = {.size = SIZE};
	static BackingOps ops;
	Backing *backing = backing_borrow(real);
	Volume *volume;

	plain = backing->ops;
	ops = *plain;
	ops.preadv = preadv_noted;
	ops.prefetch = prefetch_noted;
	backing->ops = &ops;
	memory = (Memory){.cold_from = G_MAXUINT64, .asked = memory.asked};
	CHECK(volume_format(backing, &parameters, NULL));
	volume = volume_open(backing, "test", 0, NULL);
	for (guint i = 0; volume && i < BLOCKS; i++) {
		CHECK_INT(volume_put(volume, data + i * BLOCK_SIZE, BLOCK_SIZE, i * BLOCK_SIZE), 0);
		CHECK_INT(volume_put_value(volume, 9, apart * BLOCK_SIZE, 16 * MIB), 0);
	}
	memory.reads = memory.waited = memory.refused = memory.early = 0;
	return volume;
}

static void check_read(Volume *volume, const guint8 *data, guint64 offset, gsize length)
{
	g_autofree guint8 *got = g_malloc(length);

	CHECK_INT(volume_get(volume, got, length, offset), 0);
	CHECK_MEM(got, data + offset, length);
}

static void test_reads(const void *kind)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autofree guint8 *data = g_malloc(BLOCKS * BLOCK_SIZE);
	TestRandom random = test_random_new(test_seed());
	Volume *volume;

	for (guint i = 0; i < BLOCKS * BLOCK_SIZE; i++)
		data[i] = (guint8)test_random(&random);
	memory.asked = g_array_new(FALSE, FALSE, sizeof(SlotSpan));
	volume = open_scattered(backing, data, APART);
	REQUIRE(volume);
	if (!kind) { /* in memory */
		check_read(volume, data, 0, MIB);
		CHECK_UINT(memory.reads, BLOCKS);
		CHECK_UINT(memory.asked->len, 0);
	} else {
		memory.cold_from = 0;
		check_read(volume, data, 0, MIB);
		CHECK_UINT(memory.refused, 1);
		CHECK_UINT(memory.waited, BLOCKS);
		CHECK_UINT(memory.early, 0);
		CHECK_UINT(memory.asked->len, BLOCKS);
		/* A single run is read at once, without asking before. */
		check_read(volume, data, 4 * BLOCK_SIZE, BLOCK_SIZE);
		CHECK_UINT(memory.refused, 1);
		CHECK_UINT(memory.waited, BLOCKS + 1);
		CHECK_UINT(memory.asked->len, BLOCKS);
	}
	close_volume(volume);
	g_array_unref(memory.asked);
}

static guint8 *random_blocks(void)
{
	guint8 *data = g_malloc(BLOCKS * BLOCK_SIZE);
	TestRandom random = test_random_new(test_seed());

	for (guint i = 0; i < BLOCKS * BLOCK_SIZE; i++)
		data[i] = (guint8)test_random(&random);
	return data;
}

/* Blocks that were written in another order lie side by side, and are asked for and read together.
 */
static void test_together(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autofree guint8 *bytes = random_blocks();
	Volume *volume;

	(void)data;
	memory.asked = g_array_new(FALSE, FALSE, sizeof(SlotSpan));
	volume = open_scattered(backing, bytes, APART);
	REQUIRE(volume);
	for (guint i = 0; i < BLOCKS; i++)
		CHECK_INT(volume_put(volume, bytes + (BLOCKS - 1 - i) * BLOCK_SIZE, BLOCK_SIZE,
				     (BLOCKS - 1 - i) * BLOCK_SIZE),
			  0);
	memory.cold_from = 0;
	check_read(volume, bytes, 0, MIB);
	CHECK(memory.waited <= 3);
	CHECK(memory.asked->len <= 3);
	CHECK(memory.early <= (memory.waited == 1)); /* one call needs no asking */
	close_volume(volume);
	g_array_unref(memory.asked);
}

/* The offset in the backing of the slot behind a block's. */
static guint64 offset_behind(Volume *volume, guint64 block)
{
	Engine *engine = &volume->engine;
	MapEntry entry = {0};
	guint epoch;

	if (CHECK_INT(map_lookup(engine->map, block, 1, &entry, FALSE, &epoch), 0))
		map_lookup_end(engine->map, epoch);
	return slots_offset(engine->slots, entry.slot + 1);
}

/* With a block or two of others between, they are read together, and those of others need not be
 * readable. */
static void test_gaps(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autofree guint8 *bytes = random_blocks();
	Volume *volume;

	(void)data;
	memory.asked = g_array_new(FALSE, FALSE, sizeof(SlotSpan));
	volume = open_scattered(backing, bytes, 1);
	REQUIRE(volume);
	check_read(volume, bytes, 0, MIB);
	CHECK(memory.reads <= 4);
	memory.broken = offset_behind(volume, 40);
	check_read(volume, bytes, 0, MIB);
	check_read(volume, bytes, 3 * BLOCK_SIZE + 512, 100 * BLOCK_SIZE);
	memory.broken -= FORMAT_SLOT_SIZE;
	CHECK_INT(volume_get(volume, bytes, MIB, 0), -EIO);
	memory.broken = 0;
	close_volume(volume);
	g_array_unref(memory.asked);
}

/* Of several damaged blocks the first one of the volume is named, wherever they lie: its slot is
 * neither the first of theirs nor the last. */
static void test_damaged(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autofree guint8 *bytes = random_blocks();
	struct iovec iov = {bytes, MIB};
	guint64 bad = 0;
	Volume *volume;

	(void)data;
	memory.asked = g_array_new(FALSE, FALSE, sizeof(SlotSpan));
	volume = open_scattered(backing, bytes, 1);
	REQUIRE(volume);
	CHECK_INT(volume_put(volume, bytes, BLOCK_SIZE, 50 * BLOCK_SIZE), 0); /* moves behind all */
	CHECK_INT(volume_put(volume, bytes, BLOCK_SIZE, 70 * BLOCK_SIZE), 0); /* behind that */
	CHECK(offset_behind(volume, 60) < offset_behind(volume, 50));
	CHECK(offset_behind(volume, 50) < offset_behind(volume, 70));
	for (guint i = 50; i <= 70; i += 10)
		backing_faulty_flip(backing, offset_behind(volume, i) - FORMAT_SLOT_SIZE, 3);
	CHECK_INT(volume_read(volume, &iov, 1, 0, &bad), -EBADMSG);
	CHECK_UINT(bad, 50 * BLOCK_SIZE);
	volume_close(volume, NULL);
	g_array_unref(memory.asked);
}

int main(int argc, char **argv)
{
	test_add("scattered blocks in memory are read one run at a time", test_reads, NULL);
	test_add("scattered blocks on the disk are asked for at once", test_reads, "disk");
	test_add("blocks that are near each other are asked for and read together", test_together,
		 NULL);
	test_add("blocks with few others between are read together, unreadable ones too", test_gaps,
		 NULL);
	test_add("the first damaged block is named", test_damaged, NULL);
	return test_run(argc, argv);
}
