/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The codec of streams: the bytes that are documented, and every refusal of what is not.
 */
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/crc32c.h"
#include "common/stream/stream-format.h"
#include "tests/harness.h"

#include <string.h>

#define VOLUME "10d7a7a6-7bd5-4d3e-9f0c-3f8f6b1f2b01"
#define TO "20d7a7a6-7bd5-4d3e-9f0c-3f8f6b1f2b02"
#define FROM "30d7a7a6-7bd5-4d3e-9f0c-3f8f6b1f2b03"
#define SIZE (4 * MIB + 512) /* ends inside of a block */
#define BLOCKS 1025

static const StreamBegin begin_plain = {
	.volume = VOLUME,
	.to = {TO, "tuesday", 12},
	.incremental = TRUE,
	.from = {FROM, "monday", 7},
	.created = 1796000000,
	.size = SIZE,
	.block_size = 512,
	.frozen = TRUE,
	.bytes = 3 * MIB,
};

/* ---- headers */

/* The bytes that docs/disk-format.md promises. */
static void test_literal(const void *data)
{
	static const guint8 bytes[1024];
	static const guint8 mark[] = {
		'S', 'O', 'S', 'T', 4, 0, 0, 0, 24, 0,	0, 0, 0, 0, 0, 0, /* CRC: below */
		1,   0,	  0,   0,   0, 0, 0, 0, 0,  0,	0, 0, 0, 0, 0, 0, /* CRC: below */
		1,   2,	  0,   0,   0, 0, 0, 0, 0,  16, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0,
	};
	static const guint8 ranges[] = {
		2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 2, 0, 0,
	};
	const StreamRange table[] = {{512, 1024, bytes}, {0x100010000, 512, bytes}};
	const StreamTotals totals = {0x201, 0x1000, 0x10000};
	StreamChain chain = {1, 0x12345678};
	StreamFrame frame = {STREAM_MARK, 24, 0};
	guint8 wanted[sizeof mark], made[sizeof mark], head[sizeof ranges];

	(void)data;
	memcpy(wanted, mark, sizeof mark);
	put_le32(wanted + 12, crc32c(0, mark + 32, 24));
	put_le32(wanted + 28, crc32c(0x12345678, wanted, 28));
	stream_totals_encode(&totals, made + 32);
	frame.crc = crc32c(0, made + 32, 24);
	stream_header_encode(&chain, &frame, made);
	CHECK_MEM(made, wanted, sizeof mark);
	CHECK_UINT(chain.sequence, 2);
	CHECK_UINT(stream_ranges_encode(STREAM_DATA, table, 2, head), sizeof ranges);
	CHECK_MEM(head, ranges, sizeof ranges);
}

/* A header that was changed, with a checksum that fits. */
typedef struct {
	const char *name;
	guint at, bytes;
	guint64 value;
	int code;
	const char *message;
} HeaderRow;

static const HeaderRow header_rows[] = {
	{"no magic", 0, 4, 0x2123, STORAGEOS_ERROR_INVALID, "not a storageos stream"},
	{"a file of zstd's", 0, 4, 0xfd2fb528, STORAGEOS_ERROR_INVALID, "zstd -dc FILE"},
	{"type 0", 4, 2, 0, STORAGEOS_ERROR_UNSUPPORTED, "unknown type 0 (a newer version"},
	{"type 6", 4, 2, 6, STORAGEOS_ERROR_UNSUPPORTED, "unknown type 6 (a newer version"},
	{"zstd", 6, 2, 1, STORAGEOS_ERROR_UNSUPPORTED, "compressed with zstd"},
	{"flags", 6, 2, 3, STORAGEOS_ERROR_UNSUPPORTED, "unknown flags 0x3 (a newer version"},
	{"flags elsewhere", 24, 4, 1, STORAGEOS_ERROR_UNSUPPORTED, "unknown flags"},
	{"a byte too long", 8, 4, STREAM_PAYLOAD_MAX + 1, STORAGEOS_ERROR_CORRUPT,
	 "bytes long, more than 1114112"},
	{"another sequence", 16, 8, 1, STORAGEOS_ERROR_CORRUPT,
	 "its header is damaged, or does not continue"},
	{"just as long as allowed", 8, 4, STREAM_PAYLOAD_MAX, 0, NULL},
};

static void test_headers(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(header_rows); i++) {
		const HeaderRow *row = &header_rows[i];
		const StreamFrame plain = {STREAM_BEGIN, 5, 77};
		StreamFrame frame = {.length = 9};
		StreamChain sent = {0}, chain = {0};
		g_autoptr(GError) error = NULL;
		guint8 header[STREAM_HEADER_SIZE], value[8];

		test_row("%s", row->name);
		stream_header_encode(&sent, &plain, header);
		put_le64(value, row->value);
		memcpy(header + row->at, value, row->bytes);
		put_le32(header + 28, crc32c(0, header, 28));
		CHECK(stream_header_decode(&chain, header, &frame, &error) == !row->message);
		CHECK_UINT(chain.sequence, row->message ? 0 : 1);
		if (!row->message)
			continue;
		CHECK_ERROR(error, row->code, row->message);
		CHECK_UINT(frame.length, 9);
		CHECK_UINT(chain.crc, 0);
	}
}

/* ---- BEGIN */

typedef struct {
	const char *name, *old, *new;
	int code;
	const char *message;
} BeginRow;

#define DESCRIBES_NOTHING STORAGEOS_ERROR_CORRUPT, "it does not describe a snapshot"

static const BeginRow begin_rows[] = {
	{"a later version", "\"version\": 1", "\"version\": 2", STORAGEOS_ERROR_UNSUPPORTED,
	 "a stream of version 2; this program reads version 1"},
	{"no version", "\"version\": 1", "\"versio\": 1", DESCRIBES_NOTHING},
	{"no JSON", "{", "", DESCRIBES_NOTHING},
	{"a volume without a UUID", VOLUME, "db", DESCRIBES_NOTHING},
	{"capital letters", TO, "20D7A7A6-7BD5-4D3E-9F0C-3F8F6B1F2B02", DESCRIBES_NOTHING},
	{"no UUID", "\"uuid\": \"" TO "\"", "\"uuid\": 5", DESCRIBES_NOTHING},
	{"a name that is a path", "\"tuesday\"", "\"../tuesday\"", DESCRIBES_NOTHING},
	{"a base that is no snapshot", FROM, "30d7a7a6", DESCRIBES_NOTHING},
	{"a base that is a text", "\"from\": {", "\"from\": \"all\", \"fro\": {",
	 DESCRIBES_NOTHING},
	{"no word of a base", "\"from\"", "\"fro\"", DESCRIBES_NOTHING},
	{"no generation", "\"generation\": 12", "\"generation\": 0", DESCRIBES_NOTHING},
	{"a size that no volume has", "4194816", "4194817", DESCRIBES_NOTHING},
	{"no size", "4194816", "0", DESCRIBES_NOTHING},
	{"a negative size", "4194816", "-4194816", DESCRIBES_NOTHING},
	{"a size of 128 TiB", "4194816", "140737488355328", DESCRIBES_NOTHING},
	{"odd blocks", "\"block_size\": 512", "\"block_size\": 1024", DESCRIBES_NOTHING},
	{"resumes behind the end", "\"resume\": 0", "\"resume\": 1026", DESCRIBES_NOTHING},
	{"resumes before the start", "\"resume\": 0", "\"resume\": -1", DESCRIBES_NOTHING},
	{"deep", "\"from\": {", "\"from\": {\"a\": [[[[[[[[[]]]]]]]]],", DESCRIBES_NOTHING},
	{"nothing wrong", "\"resume\": 0", "\"resume\": 1025", 0, NULL},
};

static void test_begin(const void *data)
{
	g_autofree char *plain = stream_begin_encode(&begin_plain);

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(begin_rows); i++) {
		const BeginRow *row = &begin_rows[i];
		const char *at = strstr(plain, row->old);
		StreamBegin begin = {.resume = 77};
		g_autoptr(GError) error = NULL;

		test_row("%s", row->name);
		REQUIRE(at != NULL);
		g_autofree char *before = g_strndup(plain, (gsize)(at - plain));
		g_autofree char *text = g_strconcat(before, row->new, at + strlen(row->old), NULL);
		gboolean decoded = stream_begin_decode(text, strlen(text), &begin, &error);

		CHECK(decoded == !row->message);
		if (row->message) {
			CHECK_ERROR(error, row->code, row->message);
			CHECK_UINT(begin.resume, 77);
		}
	}
}

static void test_begin_limits(const void *data)
{
	g_autofree char *plain = stream_begin_encode(&begin_plain);
	g_autofree char *space = g_strnfill(STREAM_BEGIN_MAX, ' ');
	g_autofree char *text = g_strconcat(space, plain, NULL);
	g_autoptr(GError) error = NULL;
	StreamBegin begin;

	(void)data;
	CHECK(!stream_begin_decode(text, strlen(text), &begin, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "does not describe");
	CHECK(!stream_begin_decode("", 0, &begin, NULL));
	CHECK(!stream_begin_decode("[1]", 3, &begin, NULL));
	CHECK(!stream_begin_decode("null", 4, &begin, NULL));
}

static void test_full(const void *data)
{
	StreamBegin begin = begin_plain, read = {.incremental = TRUE};
	g_autofree char *text = NULL;

	(void)data;
	begin.incremental = FALSE;
	text = stream_begin_encode(&begin);
	CHECK_CONTAINS(text, "\"from\": null");
	CHECK(stream_begin_decode(text, strlen(text), &read, NULL));
	CHECK(!read.incremental);
	CHECK_STR(read.from.uuid, "");
}

/* ---- ranges */

typedef struct {
	const char *name;
	StreamType type;
	guint32 n, length; /* of the table; of bytes behind it */
	StreamRange range;
	gboolean valid;
} RangeRow;

static const RangeRow range_rows[] = {
	{"data", STREAM_DATA, 1, 4096, {0, 4096, NULL}, TRUE},
	{"data up to the end", STREAM_DATA, 1, 512, {SIZE - 512, 512, NULL}, TRUE},
	{"the longest data", STREAM_DATA, 1, MIB, {0, MIB, NULL}, TRUE},
	{"longer data", STREAM_DATA, 1, MIB + 512, {0, MIB + 512, NULL}, FALSE},
	{"no data", STREAM_DATA, 0, 0, {0, 0, NULL}, FALSE},
	{"a range of nothing", STREAM_DATA, 1, 0, {0, 0, NULL}, FALSE},
	{"data over the end", STREAM_DATA, 1, 1024, {SIZE - 512, 1024, NULL}, FALSE},
	{"data behind the end", STREAM_DATA, 1, 512, {SIZE, 512, NULL}, FALSE},
	{"an offset that overflows", STREAM_DATA, 1, 512, {G_MAXUINT64 - 511, 512, NULL}, FALSE},
	{"an odd offset", STREAM_DATA, 1, 512, {1, 512, NULL}, FALSE},
	{"an odd length", STREAM_DATA, 1, 511, {0, 511, NULL}, FALSE},
	{"fewer bytes", STREAM_DATA, 1, 512, {0, 1024, NULL}, FALSE},
	{"more bytes", STREAM_DATA, 1, 1024, {0, 512, NULL}, FALSE},
	{"a table that is longer than the frame", STREAM_DATA, 4096, 512, {0, 512, NULL}, FALSE},
	{"a table of 2^32 - 1", STREAM_DATA, G_MAXUINT32, 512, {0, 512, NULL}, FALSE},
	{"zeros", STREAM_ZERO, 1, 0, {512, 4 * MIB, NULL}, TRUE},
	{"zeros over the end", STREAM_ZERO, 1, 0, {1024, 4 * MIB, NULL}, FALSE},
	{"a length that overflows", STREAM_ZERO, 1, 0, {512, G_MAXUINT64 - 511, NULL}, FALSE},
	{"zeros of nothing", STREAM_ZERO, 1, 0, {512, 0, NULL}, FALSE},
	{"no zeros", STREAM_ZERO, 0, 0, {0, 0, NULL}, FALSE},
	{"half a range", STREAM_ZERO, 1, 8, {0, 512, NULL}, FALSE},
};

static void test_ranges(const void *data)
{
	g_autofree guint8 *payload = g_malloc0(2 * MIB);

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(range_rows); i++) {
		const RangeRow *row = &range_rows[i];
		guint32 head = stream_ranges_encode(row->type, &row->range, 1, payload);
		StreamRanges ranges = {.left = 77};
		g_autoptr(GError) error = NULL;

		test_row("%s", row->name);
		if (row->type == STREAM_DATA)
			put_le32(payload, row->n);
		if (!row->n)
			head = row->type == STREAM_DATA ? 4 : 0;
		CHECK(stream_ranges_decode(row->type, payload, head + row->length, SIZE, &ranges,
					   &error) == row->valid);
		if (!row->valid) {
			CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
			CHECK_UINT(ranges.left, 77);
		}
	}
	test_row("a table that ends too early");
	for (guint32 length = 0; length < 4 + 12; length++)
		CHECK(!stream_ranges_decode(STREAM_DATA, payload, length, SIZE, &(StreamRanges){0},
					    NULL));
}

/* The table of as many ranges as there may be, and of one more. */
static void test_many_ranges(const void *data)
{
	const gsize n = STREAM_RANGES_MAX + 1;
	g_autofree StreamRange *table = g_new0(StreamRange, n);
	g_autofree guint8 *payload = g_malloc0(16 * n + 512 * n);
	StreamRanges ranges;

	(void)data;
	for (guint i = 0; i < n; i++)
		table[i] = (StreamRange){512 * (guint64)i, 512, NULL};
	for (guint i = 0; i < 2; i++) {
		guint32 length = stream_ranges_encode(STREAM_ZERO, table, n - 1 + i, payload);

		CHECK(stream_ranges_decode(STREAM_ZERO, payload, length, SIZE, &ranges, NULL) ==
		      !i);
	}
	guint32 length = stream_ranges_encode(STREAM_DATA, table, 2048, payload);
	CHECK(stream_ranges_decode(STREAM_DATA, payload, length + 2048 * 512, SIZE, &ranges, NULL));
	length = stream_ranges_encode(STREAM_DATA, table, 2049, payload);
	CHECK(!stream_ranges_decode(STREAM_DATA, payload, length + 2049 * 512, SIZE, &ranges,
				    NULL));
}

/* ---- tokens */

static void test_token(const void *data)
{
	static const char *const invalid[] = {
		"",
		"1",
		"2." TO "." FROM ".7",
		"1." TO "." FROM,
		"1." TO "." FROM ".7.8",
		"1." TO "." FROM ".-7",
		"1." TO "." FROM ".x",
		"1." TO "..7",
		"1.all." FROM ".7",
		"1." TO "." FROM ".17179869185",
		"1." TO ".some.7",
	};
	const StreamToken token = {TO, FROM, 77}, all = {TO, "", 0};
	g_autofree char *text = stream_token_format(&token), *other = stream_token_format(&all);
	StreamToken parsed = {.next = 5};

	(void)data;
	CHECK_STR(text, "1." TO "." FROM ".77");
	CHECK_STR(other, "1." TO ".all.0");
	for (guint i = 0; i < G_N_ELEMENTS(invalid); i++) {
		g_autoptr(GError) error = NULL;

		test_row("%s", invalid[i]);
		CHECK(!stream_token_parse(invalid[i], &parsed, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "invalid token");
		CHECK_UINT(parsed.next, 5);
	}
	CHECK(stream_token_parse(text, &parsed, NULL));
	CHECK_STR(parsed.to, TO);
	CHECK_STR(parsed.from, FROM);
	CHECK_UINT(parsed.next, 77);
	CHECK(stream_token_parse(other, &parsed, NULL));
	CHECK_STR(parsed.from, "");
}

int main(int argc, char **argv)
{
	test_add("frames have the documented bytes", test_literal, NULL);
	test_add("headers of other files, flags and types are refused", test_headers, NULL);
	test_add("a BEGIN that describes no snapshot is refused", test_begin, NULL);
	test_add("a BEGIN that is too long or no object is refused", test_begin_limits, NULL);
	test_add("a stream of everything has no base", test_full, NULL);
	test_add("ranges are within the volume and the frame", test_ranges, NULL);
	test_add("the number of ranges and bytes is bounded", test_many_ranges, NULL);
	test_add("tokens", test_token, NULL);
	return test_run(argc, argv);
}
