/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which parts of a volume are mapped, and setting bits of it.
 */
#include <errno.h>

#include "common/base/units.h"
#include "tests/engine/support.h"

#define SIZE (64 * TIB)

typedef struct {
	guint64 from, length;
	gboolean mapped;
} Extent;

/* Writes, and then the extents from offset 0 on. */
static void check_extents(Volume *volume, const Extent *wanted, guint n)
{
	for (guint i = 0; i < n; i++) {
		gboolean mapped = !wanted[i].mapped;
		guint64 length = 0;

		test_row("extent %u", i);
		CHECK_INT(volume_extent(volume, wanted[i].from, &mapped, &length), 0);
		CHECK_INT(mapped, wanted[i].mapped);
		CHECK_UINT(length, wanted[i].length);
	}
	test_row(NULL);
}

static void test_extents(const void *data)
{
	const Extent extents[] = {
		{0, 10 * MIB, FALSE},
		{5 * MIB + SECTOR_SIZE, 5 * MIB - SECTOR_SIZE, FALSE},
		{10 * MIB, 3 * MIB, TRUE},
		{11 * MIB + 3 * SECTOR_SIZE, 2 * MIB - 3 * SECTOR_SIZE, TRUE},
		{13 * MIB, 4 * GIB - 13 * MIB, FALSE},
		{4 * GIB, BLOCK_SIZE, TRUE}, /* blocks are mapped whole */
		{4 * GIB + BLOCK_SIZE, SIZE - 4 * GIB - BLOCK_SIZE, FALSE},
		{SIZE - SECTOR_SIZE, SECTOR_SIZE, FALSE},
	};
	g_autoptr(Place) place = place_new_memory();
	Volume *volume;
	gboolean mapped = FALSE;
	guint64 length = 0;

	(void)data;
	REQUIRE(place_format(place, SIZE, 0));
	volume = place_open(place);
	REQUIRE(volume);
	CHECK_INT(volume_extent(volume, 0, &mapped, &length), 0);
	CHECK(!mapped);
	CHECK_UINT(length, SIZE);
	CHECK_INT(volume_put_value(volume, 'a', 4 * MIB, 9 * MIB), 0);
	CHECK_INT(volume_put_value(volume, 'a', SECTOR_SIZE, 4 * GIB + SECTOR_SIZE), 0);
	CHECK_INT(volume_put_value(volume, 'a', 2 * GIB / 1024, 30 * TIB), 0);
	CHECK_INT(volume_discard(volume, 30 * TIB - GIB, 2 * GIB), 0); /* a subtree that is dead */
	CHECK_INT(volume_discard(volume, 9 * MIB, MIB), 0);
	check_extents(volume, extents, G_N_ELEMENTS(extents));
	CHECK_INT(volume_checkpoint(volume), 0);
	check_extents(volume, extents, G_N_ELEMENTS(extents));
	CHECK_INT(volume_extent(volume, SIZE, &mapped, &length), -EINVAL);
	CHECK_INT(volume_extent(volume, 7, &mapped, &length), -EINVAL);
	close_volume(volume);
}

/* A long mapped range is reported in pieces, without a gap. */
static void test_long_extent(const void *data)
{
	g_autoptr(Place) place = place_new_memory();
	Volume *volume;
	guint64 at = 0, end = 300 * MIB, length = 0;
	gboolean mapped = FALSE;

	(void)data;
	REQUIRE(place_format(place, GIB, 0));
	volume = place_open(place);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'a', end, 0), 0);
	while (at < end && !test_failed()) {
		CHECK_INT(volume_extent(volume, at, &mapped, &length), 0);
		CHECK(mapped && length > 0);
		at += length;
	}
	CHECK_UINT(at, end);
	close_volume(volume);
}

/* ---- bits */

#define OR_SIZE (2 * MIB + 3 * SECTOR_SIZE)
#define OR_OFFSET (MIB - SECTOR_SIZE)
#define THREADS 4

typedef struct {
	Volume *volume;
	guint8 bits;
} Setter;

static int or_value(Volume *volume, guint8 value, gsize length, guint64 offset)
{
	g_autofree guint8 *memory = g_malloc(length);
	struct iovec iov[2] = {{memory, 1000}, {memory + 1000, length - 1000}};

	memset(memory, value, length);
	return volume_or(volume, iov, 2, offset, NULL);
}

static gpointer set_bits(gpointer data)
{
	Setter *setter = data;

	for (guint i = 0; i < 8; i++)
		CHECK_INT(or_value(setter->volume, setter->bits, OR_SIZE, OR_OFFSET), 0);
	return NULL;
}

static void test_or(const void *data)
{
	g_autoptr(Place) place = place_new_memory();
	Setter setters[THREADS];
	GThread *threads[THREADS];
	Volume *volume;

	(void)data;
	REQUIRE(place_format(place, 8 * MIB, 0));
	volume = place_open(place);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 0x80, 8 * MIB, 0), 0);
	for (guint i = 0; i < THREADS; i++) {
		setters[i] = (Setter){volume, (guint8)(1 << i)};
		threads[i] = g_thread_new("setter", set_bits, &setters[i]);
	}
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	check_value(volume, 0x8f, OR_SIZE, OR_OFFSET);
	check_value(volume, 0x80, OR_OFFSET, 0);
	check_value(volume, 0x80, 8 * MIB - OR_SIZE - OR_OFFSET, OR_OFFSET + OR_SIZE);
	CHECK_INT(or_value(volume, 1, 4096, 8 * MIB - SECTOR_SIZE), -EINVAL);
	close_volume(volume);
}

int main(int argc, char **argv)
{
	test_add("extents are the same before and after a checkpoint", test_extents, NULL);
	test_add("an extent that is longer than one answer", test_long_extent, NULL);
	test_add("bits that threads set at once are all set, and no others", test_or, NULL);
	return test_run(argc, argv);
}
