/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/bytes.h"
#include "tests/harness.h"

static char first[] = "abc", second[] = "", third[] = "defgh", fourth[] = "ij";

static const struct iovec vector[] = {
	{first, 3},
	{second, 0},
	{third, 5},
	{fourth, 2},
};

static IovCursor at(gsize offset)
{
	IovCursor cursor = iov_cursor(vector, G_N_ELEMENTS(vector));

	iov_advance(&cursor, offset);
	return cursor;
}

static void test_integers(const void *data)
{
	guint8 bytes[17] = {0};

	(void)data;
	put_le16(bytes + 1, 0x0201);
	put_le32(bytes + 3, 0x06050403);
	put_le64(bytes + 7, G_GUINT64_CONSTANT(0x0e0d0c0b0a090807));
	for (guint8 i = 1; i < 15; i++)
		CHECK_UINT(bytes[i], i);
	CHECK_UINT(get_le16(bytes + 1), 0x0201);
	CHECK_UINT(get_le32(bytes + 3), 0x06050403);
	CHECK_UINT(get_le64(bytes + 7), G_GUINT64_CONSTANT(0x0e0d0c0b0a090807));
	CHECK_UINT(bytes[0] + bytes[15], 0);
}

static void test_length(const void *data)
{
	(void)data;
	CHECK_UINT(iov_length(vector, G_N_ELEMENTS(vector)), 10);
	CHECK_UINT(iov_length(vector, 0), 0);
}

static void test_copy(const void *data)
{
	(void)data;
	for (gsize start = 0; start <= 10; start++)
		for (gsize length = 0; start + length <= 10; length++) {
			IovCursor cursor = at(start);
			char out[11] = "..........";

			test_row("start %zu, length %zu", start, length);
			iov_copy_out(&cursor, out, length);
			CHECK_MEM(out, &"abcdefghij"[start], length);
			CHECK_MEM(out + length, "..........", 10 - length);
		}
}

static void test_copy_past_end(const void *data)
{
	IovCursor cursor = at(8);
	char out[8] = ".......";

	(void)data;
	iov_copy_out(&cursor, out, 7);
	CHECK_STR(out, "ij.....");
}

static void test_copy_in(const void *data)
{
	char left[4] = "...", right[4] = "...";
	const struct iovec iov[] = {{left, 3}, {right, 3}};
	IovCursor cursor = iov_cursor(iov, 2);

	(void)data;
	iov_advance(&cursor, 1);
	iov_copy_in(&cursor, "wxyz", 4);
	CHECK_STR(left, ".wx");
	CHECK_STR(right, "yz.");
	cursor = iov_cursor(iov, 2);
	iov_advance(&cursor, 2);
	iov_zero(&cursor, 2);
	CHECK_MEM(left, ".w\0", 4);
	CHECK_MEM(right, "\0z.", 4);
}

static void test_take(const void *data)
{
	(void)data;
	for (gsize start = 0; start <= 10; start++)
		for (gsize length = 0; length <= 12; length++) {
			IovCursor cursor = at(start), taken_cursor;
			struct iovec taken[4];
			gsize taken_length = 99, expected = MIN(length, 10 - start);
			char out[10];
			int n = iov_take(&cursor, length, taken, 4, &taken_length);

			test_row("start %zu, length %zu", start, length);
			CHECK_UINT(taken_length, expected);
			CHECK_UINT(iov_length(taken, n), expected);
			taken_cursor = iov_cursor(taken, n);
			iov_copy_out(&taken_cursor, out, expected);
			CHECK_MEM(out, &"abcdefghij"[start], expected);
		}
}

static void test_take_few(const void *data)
{
	IovCursor cursor = at(2);
	struct iovec taken[2];
	gsize length;

	(void)data;
	CHECK_INT(iov_take(&cursor, 8, taken, 2, &length), 2);
	CHECK_UINT(length, 6);
	CHECK_INT(iov_take(&cursor, 2, taken, 2, &length), 1);
	CHECK_UINT(length, 2);
	CHECK_INT(iov_take(&cursor, 2, taken, 2, &length), 0);
	CHECK_UINT(length, 0);
}

static void test_next(const void *data)
{
	IovCursor cursor = at(1);
	gsize length = 4;

	(void)data;
	CHECK(iov_next(&cursor, &length) == first + 1);
	CHECK_UINT(length, 2);
	length = 4;
	CHECK(iov_next(&cursor, &length) == third);
	CHECK_UINT(length, 4);
	iov_advance(&cursor, 100);
	CHECK(iov_next(&cursor, &length) == NULL);
}

int main(int argc, char **argv)
{
	test_add("integers are little-endian at any address", test_integers, NULL);
	test_add("length of a vector", test_length, NULL);
	test_add("copy out of any part of a vector", test_copy, NULL);
	test_add("copying stops at the end", test_copy_past_end, NULL);
	test_add("copy into a vector, and zero it", test_copy_in, NULL);
	test_add("take any part of a vector", test_take, NULL);
	test_add("take at most as many elements as there is room for", test_take_few, NULL);
	test_add("contiguous pieces", test_next, NULL);
	return test_run(argc, argv);
}
