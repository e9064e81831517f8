/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/units.h"
#include "tests/harness.h"

typedef struct {
	const char *text;
	guint64 bytes;
} Size;

static const Size good[] = {
	{"0", 0},
	{"4096", 4096},
	{"512B", 512},
	{"1k", KIB},
	{"512 K", 512 * KIB},
	{"10G", 10 * GIB},
	{"64MiB", 64 * MIB},
	{"64mib", 64 * MIB},
	{"64MB", 64 * MIB},
	{"1.5T", TIB + TIB / 2},
	{"0.5k", 512},
	{"64T", 64 * TIB},
	{"7E", (guint64)7 << 60},
	{"9223372036854775807", G_MAXINT64},
	{"8388607T", (guint64)8388607 << 40},
};

static const char *const bad[] = {
	"",
	" ",
	"G",
	"-1",
	"-1G",
	"+1",
	"1X",
	"1GG",
	"1 G B",
	"1.2.3",
	".5G",
	"1,5G",
	"0x10",
	"1e3",
	"nan",
	"inf",
	"9223372036854775808",
	"18446744073709551616",
	"8E",
	"8388608T",
	"16384P",
	"99999999999999999999999999",
	"1G ",
	"1\n",
	"10Gx",
	"1KiBs",
};

static const struct {
	guint64 bytes;
	const char *text;
} formatted[] = {
	{0, "0 B"},
	{512, "512 B"},
	{1023, "1023 B"},
	{1024, "1 KiB"},
	{1536, "1.5 KiB"},
	{10 * GIB, "10 GiB"},
	{TIB + TIB / 2, "1.5 TiB"},
	{64 * TIB, "64 TiB"},
	{G_MAXINT64, "8 EiB"},
};

static void test_parse(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(good); i++) {
		guint64 bytes = 12345;

		test_row("\"%s\"", good[i].text);
		CHECK(size_parse(good[i].text, &bytes));
		CHECK_UINT(bytes, good[i].bytes);
	}
}

static void test_parse_bad(const void *data)
{
	guint64 bytes = 12345;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
		test_row("\"%s\"", bad[i]);
		CHECK(!size_parse(bad[i], &bytes));
		CHECK_UINT(bytes, 12345);
	}
	test_row("NULL");
	CHECK(!size_parse(NULL, &bytes));
}

static void test_format(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(formatted); i++) {
		g_autofree char *text = size_format(formatted[i].bytes);

		CHECK_STR(text, formatted[i].text);
	}
}

static void test_round_trip(const void *data)
{
	(void)data;
	for (guint shift = 0; shift < 63; shift++) {
		g_autofree char *text = size_format((guint64)1 << shift);
		guint64 bytes = 0;

		test_row("2^%u \"%s\"", shift, text);
		CHECK(size_parse(text, &bytes));
		CHECK_UINT(bytes, (guint64)1 << shift);
	}
}

static void test_blocks(const void *data)
{
	(void)data;
	CHECK_UINT(blocks_to_bytes(3), 12288);
	CHECK_UINT(block_of(4095), 0);
	CHECK_UINT(block_of(4096), 1);
	CHECK_UINT(blocks_covering(0), 0);
	CHECK_UINT(blocks_covering(1), 1);
	CHECK_UINT(blocks_covering(4096), 1);
	CHECK_UINT(blocks_covering(4097), 2);
	CHECK_UINT(blocks_covering(G_MAXUINT64), (guint64)1 << 52);
}

int main(int argc, char **argv)
{
	test_add("sizes as people write them", test_parse, NULL);
	test_add("text that is not a size is refused", test_parse_bad, NULL);
	test_add("sizes as people read them", test_format, NULL);
	test_add("a printed power of two reads back", test_round_trip, NULL);
	test_add("bytes and blocks", test_blocks, NULL);
	return test_run(argc, argv);
}
