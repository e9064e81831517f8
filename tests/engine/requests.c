/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of the data path, one at a time: which ranges they refuse, when they must not wait, and
 * what a change does that nobody waits for.
 */
#include <errno.h>

#include "common/base/units.h"
#include "common/engine/wanted.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

static const struct {
	guint64 offset;
	gsize length;
} bad_ranges[] = {
	{1, 512},
	{511, 512},
	{512, 513},
	{0, 100},
	{8 * MIB, 512},
	{8 * MIB - 512, 1024},
	{0, 8 * MIB + 512},
	{G_MAXUINT64 - 511, 512},
	{G_MAXUINT64 - 511, 4096},
	{(guint64)1 << 63, 4096},
};

static void test_bad_ranges(const void *data)
{
	g_autofree guint8 *buffer = g_malloc0(8 * MIB + 512);
	g_autoptr(Place) place = NULL;
	Volume *volume = place_new_volume(&place, 8 * MIB);

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < G_N_ELEMENTS(bad_ranges); i++) {
		struct iovec iov = {.iov_base = buffer, .iov_len = bad_ranges[i].length};
		guint64 offset = bad_ranges[i].offset, at = 1;

		test_row("%zu bytes at %" G_GUINT64_FORMAT, iov.iov_len, offset);
		CHECK_INT(volume_read(volume, &iov, 1, offset, &at), -EINVAL);
		CHECK_INT(volume_write(volume, &iov, 1, offset, &at), -EINVAL);
		CHECK_INT(volume_read_nowait(volume, &iov, 1, offset, &at), -EINVAL);
		CHECK_INT(volume_write_nowait(volume, &iov, 1, offset, &at), -EINVAL);
		CHECK_INT(volume_zero(volume, offset, iov.iov_len), -EINVAL);
		CHECK_INT(volume_discard(volume, offset, iov.iov_len), -EINVAL);
		CHECK_INT(volume_compare_and_write(volume, &iov, 1, &iov, 1, offset, &at), -EINVAL);
		CHECK_UINT(at, 1);
	}
	close_volume(volume);
}

static void test_nothing(const void *data)
{
	g_autoptr(Place) place = NULL;
	Volume *volume = place_new_volume(&place, 8 * MIB);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_read(volume, NULL, 0, 512, NULL), 0);
	CHECK_INT(volume_write(volume, NULL, 0, 8 * MIB, NULL), 0);
	CHECK_INT(volume_zero(volume, 8 * MIB, 0), 0);
	CHECK_INT(volume_compare_and_write(volume, NULL, 0, NULL, 0, 0, NULL), 0);
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
}

static void test_nowait(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	const VolumeParameters p = {.size = 16 * MIB};
	g_autofree guint8 *bytes = g_malloc0(2 * MIB);
	struct iovec iov = {.iov_base = bytes, .iov_len = BLOCK_SIZE};
	Volume *volume;

	(void)data;
	REQUIRE(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	bytes[0] = 1;
	CHECK_INT(volume_put(volume, bytes, BLOCK_SIZE, 0), 0);
	CHECK_INT(volume_read_nowait(volume, &iov, 1, 0, NULL), 0);
	bytes[0] = 2;
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), 0);
	backing_faulty_delay(backing, FAULTY_READ | FAULTY_WRITE, 1000);
	CHECK_INT(volume_read_nowait(volume, &iov, 1, 0, NULL), -EAGAIN);
	iov.iov_len = SECTOR_SIZE; /* the rest of the block would have to be read */
	bytes[0] = 3;
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), -EAGAIN);
	CHECK_INT(volume_get(volume, bytes, BLOCK_SIZE, 0), 0);
	CHECK_INT(bytes[0], 2);
	iov.iov_len = BLOCK_SIZE;
	bytes[0] = 4;
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), 0);
	CHECK_INT(volume_get(volume, bytes, BLOCK_SIZE, 0), 0);
	CHECK_INT(bytes[0], 4);
	backing_faulty_delay(backing, FAULTY_READ | FAULTY_WRITE, 0);
	iov.iov_len = 2 * MIB;
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), -EAGAIN);
	iov.iov_len = MIB;
	CHECK_INT(volume_read_nowait(volume, &iov, 1, 8 * MIB, NULL), 0); /* a hole */
	close_volume(volume);
}

static void test_unwanted(const void *data)
{
	const gint dropped = TRUE;
	Place *place;
	Volume *volume = place_new_volume(&place, 8 * MIB);
	guint8 block[BLOCK_SIZE];
	struct iovec iov = {block, sizeof block};

	(void)data;
	REQUIRE(volume);
	memset(block, 1, sizeof block);
	CHECK_INT(volume_put_value(volume, 1, 2 * MIB, 0), 0);
	wanted_until(&dropped);
	CHECK_INT(volume_put_value(volume, 2, MIB, 0), -ECANCELED);
	CHECK_INT(volume_put_value(volume, 2, SECTOR_SIZE, SECTOR_SIZE), -ECANCELED);
	CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, 5 * MIB), -ECANCELED);
	CHECK_INT(volume_zero(volume, 0, 8 * MIB), -ECANCELED);
	CHECK_INT(volume_zero(volume, SECTOR_SIZE, SECTOR_SIZE), -ECANCELED);
	CHECK_INT(volume_or(volume, &iov, 1, 0, NULL), -ECANCELED);
	CHECK_INT(volume_compare_and_write(volume, &iov, 1, &iov, 1, 0, NULL), -ECANCELED);
	CHECK_INT(volume_flush(volume), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	check_value(volume, 1, 2 * MIB, 0);
	check_value(volume, 0, 6 * MIB, 2 * MIB);
	wanted_until(NULL);
	CHECK_INT(volume_put_value(volume, 3, MIB, 4 * MIB), 0);
	close_volume(volume);
	CHECK(place_check(place));
	place_free(place);
}

static void test_compare(const void *data)
{
	const guint64 start = MIB - 3 * SECTOR_SIZE;
	const gsize length = 8 * KIB + SECTOR_SIZE;
	g_autofree guint8 *expected = g_malloc(2 * MIB), *wanted = g_malloc0(2 * MIB);
	struct iovec want = {.iov_base = wanted, .iov_len = length};
	struct iovec expect = {.iov_base = expected, .iov_len = length};
	g_autoptr(Place) place = NULL;
	Volume *volume = place_new_volume(&place, 8 * MIB);
	guint64 at;

	(void)data;
	REQUIRE(volume);
	memset(expected, 3, 2 * MIB);
	CHECK_INT(volume_put(volume, expected, 2 * MIB, 0), 0);
	for (gsize byte = 0; byte < length; byte += 97) {
		test_row("byte %zu differs", byte);
		expected[byte] ^= 1;
		at = 1;
		CHECK_INT(volume_compare_and_write(volume, &expect, 1, &want, 1, start, &at),
			  -EILSEQ);
		CHECK_UINT(at, start + byte);
		expected[byte] ^= 1;
	}
	test_row(NULL);
	check_value(volume, 3, 2 * MIB, 0);
	CHECK_INT(volume_compare_and_write(volume, &expect, 1, &want, 1, start, &at), 0);
	check_value(volume, 3, SECTOR_SIZE, start - SECTOR_SIZE);
	check_value(volume, 0, length, start);
	check_value(volume, 3, SECTOR_SIZE, start + length);
	want.iov_len -= SECTOR_SIZE;
	CHECK_INT(volume_compare_and_write(volume, &expect, 1, &want, 1, start, NULL), -EINVAL);
	want.iov_len = expect.iov_len = MIB + SECTOR_SIZE;
	CHECK_INT(volume_compare_and_write(volume, &expect, 1, &want, 1, 0, NULL), -EINVAL);
	close_volume(volume);
}

int main(int argc, char **argv)
{
	test_add("an unaligned range, or one beyond the end, is refused", test_bad_ranges, NULL);
	test_add("requests for nothing succeed", test_nothing, NULL);
	test_add("without waiting: done, or nothing done", test_nowait, NULL);
	test_add("a change that nobody waits for changes nothing", test_unwanted, NULL);
	test_add("compare-and-write returns the first byte that differs", test_compare, NULL);
	return test_run(argc, argv);
}
