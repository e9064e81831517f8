/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of `rbd export-diff`: the bytes that Ceph writes and reads, and the refusal of others.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/stream/stream-rbd.h"
#include "tests/harness.h"

/* As a C string with its length, without the final NUL. */
#define BYTES(text) text, sizeof text - 1

#define U32(a, b) a b "\0\0"
#define U64(a, b, c) a b c "\0\0\0\0\0"

#define SIZE_4M U64("\0", "\0", "\x40")
#define BYTES_512 U64("\0", "\x02", "\0")
#define BYTES_4096 U64("\0", "\x10", "\0")

/* A record's data: 512 bytes. */
#define D8 "datadata"
#define D64 D8 D8 D8 D8 D8 D8 D8 D8
#define DATA_512 D64 D64 D64 D64 D64 D64 D64 D64

#define V1 "rbd diff v1\n"
#define V2 "rbd diff v2\n"
#define FROM_1 "f" U32("\x06", "\0") "monday"
#define TO_1 "t" U32("\x07", "\0") "tuesday"
#define SIZE_1 "s" SIZE_4M
#define WRITE_1 "w" BYTES_4096 BYTES_512 DATA_512
#define ZERO_1 "z" U64("\0", "\0", "\x01") BYTES_4096
#define FROM_2 "f" U64("\x0a", "\0", "\0") U32("\x06", "\0") "monday"
#define TO_2 "t" U64("\x0b", "\0", "\0") U32("\x07", "\0") "tuesday"
#define PROTECTED_2 "p" U64("\x01", "\0", "\0") "\x01"
#define PROTECTED_16 "p" U64("\x08", "\0", "\0") "\0" /* of Ceph 16 */
#define SIZE_2 "s" U64("\x08", "\0", "\0") SIZE_4M
#define WRITE_2 "w" U64("\x10", "\x02", "\0") BYTES_4096 BYTES_512 DATA_512
#define ZERO_2 "z" U64("\x10", "\0", "\0") U64("\0", "\0", "\x01") BYTES_4096
#define UNKNOWN_2 "Q" U64("\x03", "\0", "\0") "abc"

static int fd_of_bytes(const char *bytes, gsize length)
{
	int fd = memfd_create("rbd-diff", MFD_CLOEXEC);

	CHECK_INT(write(fd, bytes, length), (gint64)length);
	CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* ---- writing */

static void test_write(const void *data)
{
	static const char wanted[] = V1 FROM_1 TO_1 SIZE_1 WRITE_1 ZERO_1 "e";
	char from[] = "monday", to[] = "tuesday";
	const StreamRbdHead head = {from, to, 4 * MIB};
	const StreamRange write = {4096, 512, (const guint8 *)DATA_512};
	const StreamRange zero = {64 * KIB, 4096, NULL};
	autofd fd = memfd_create("rbd-diff", MFD_CLOEXEC);
	char got[sizeof wanted];
	GError *error = NULL;

	(void)data;
	CHECK(stream_rbd_write_head(fd, &head, &error) &&
	      stream_rbd_write_range(fd, &write, &error) &&
	      stream_rbd_write_range(fd, &zero, &error) && stream_rbd_write_end(fd, &error));
	CHECK_NO_ERROR(error);
	CHECK_INT(pread(fd, got, sizeof got, 0), sizeof wanted - 1);
	CHECK_MEM(got, wanted, sizeof wanted - 1);
}

static void test_write_plain(const void *data)
{
	static const char wanted[] = V1 SIZE_1 "e";
	const StreamRbdHead head = {NULL, NULL, 4 * MIB};
	autofd fd = memfd_create("rbd-diff", MFD_CLOEXEC);
	autofd full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	g_autoptr(GError) error = NULL;
	char got[sizeof wanted];

	(void)data;
	CHECK(stream_rbd_write_head(fd, &head, NULL) && stream_rbd_write_end(fd, NULL));
	CHECK_INT(pread(fd, got, sizeof got, 0), sizeof wanted - 1);
	CHECK_MEM(got, wanted, sizeof wanted - 1);
	CHECK(!stream_rbd_write_head(full, &head, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, NULL);
}

/* ---- reading */

typedef struct {
	const char *name;
	const char *bytes;
	gsize length;
} ReadRow;

static const ReadRow read_rows[] = {
	{"version 1", BYTES(V1 FROM_1 TO_1 SIZE_1 WRITE_1 ZERO_1 "e")},
	{"another order of the head", BYTES(V1 SIZE_1 TO_1 FROM_1 WRITE_1 ZERO_1 "e")},
	{"bytes that follow", BYTES(V1 FROM_1 TO_1 SIZE_1 WRITE_1 ZERO_1 "efoo")},
	{"ranges of nothing",
	 BYTES(V1 FROM_1 TO_1 SIZE_1 "z" BYTES_512 U64("\0", "\0", "\0") WRITE_1
	       "w" BYTES_512 U64("\0", "\0", "\0") ZERO_1 "e")},
	{"version 2", BYTES(V2 FROM_2 TO_2 PROTECTED_2 SIZE_2 WRITE_2 ZERO_2 "e")},
	{"version 2 of Ceph 16", BYTES(V2 FROM_2 TO_2 PROTECTED_16 SIZE_2 WRITE_2 ZERO_2 "e")},
	{"version 2, unknown records",
	 BYTES(V2 UNKNOWN_2 FROM_2 TO_2 SIZE_2 UNKNOWN_2 WRITE_2 UNKNOWN_2 ZERO_2 UNKNOWN_2 "e")},
};

static void test_read(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(read_rows); i++) {
		const ReadRow *row = &read_rows[i];
		autofd fd = fd_of_bytes(row->bytes, row->length);
		g_autoptr(StreamRbdReader) reader = stream_rbd_reader_new(fd);
		g_auto(StreamRbdHead) head = {0};
		g_autoptr(GError) error = NULL;
		StreamRange range;

		test_row("%s", row->name);
		CHECK(stream_rbd_reader_begin(reader, &head, &error));
		CHECK_NO_ERROR(error);
		CHECK_STR(head.from, "monday");
		CHECK_STR(head.to, "tuesday");
		CHECK_UINT(head.size, 4 * MIB);
		REQUIRE(stream_rbd_reader_next(reader, &range, &error));
		CHECK_UINT(range.offset, 4096);
		CHECK_UINT(range.length, 512);
		CHECK_MEM(range.bytes, DATA_512, 512);
		REQUIRE(stream_rbd_reader_next(reader, &range, &error));
		CHECK_UINT(range.offset, 64 * KIB);
		CHECK_UINT(range.length, 4096);
		CHECK(!range.bytes);
		for (guint again = 0; again < 2; again++) {
			REQUIRE(stream_rbd_reader_next(reader, &range, &error));
			CHECK_UINT(range.length, 0);
		}
	}
}

/* Every file of the table is refused wherever it is cut. */
static void test_cut(const void *data)
{
	gsize step = test_is_instrumented() ? 5 : 1;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(read_rows); i++) {
		const ReadRow *row = &read_rows[i];
		gsize end = row->length -
			    (g_str_has_suffix(row->bytes + row->length - 4, "efoo") ? 3 : 0);

		for (gsize length = 0; length < end; length += step) {
			autofd fd = fd_of_bytes(row->bytes, length);
			g_autoptr(StreamRbdReader) reader = stream_rbd_reader_new(fd);
			g_auto(StreamRbdHead) head = {0};
			g_autoptr(GError) error = NULL;
			StreamRange range = {.length = 1};
			gboolean good = stream_rbd_reader_begin(reader, &head, &error);

			test_row("%s, cut to %zu bytes", row->name, length);
			while (good && range.length)
				good = stream_rbd_reader_next(reader, &range, &error);
			CHECK(!good);
			CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "cut off here");
		}
	}
}

typedef struct {
	const char *name;
	const char *bytes;
	gsize length;
	int code;
	const char *message;
} RefuseRow;

#define CORRUPT STORAGEOS_ERROR_CORRUPT
#define INVALID STORAGEOS_ERROR_INVALID
#define HUGE "\xff\xff\xff\xff\xff\xff\xff\xff"

static const RefuseRow refuse_rows[] = {
	{"another file", BYTES("rbd image v2\n" SIZE_2 "e"), INVALID,
	 "not a file of `rbd export-diff`"},
	{"a later version", BYTES("rbd diff v3\n" SIZE_2 "e"), INVALID, "not a file of"},
	{"no size", BYTES(V1 FROM_1 TO_1 WRITE_1 "e"), CORRUPT, "the image's size is missing"},
	{"an odd size", BYTES(V1 "s" U64("\x01", "\x02", "\x40") "e"), INVALID,
	 "no volume can have 4194817 bytes"},
	{"a small size", BYTES(V1 "s" BYTES_4096 "e"), INVALID, "no volume can have 4096 bytes"},
	{"a huge size", BYTES(V1 "s" HUGE "e"), INVALID,
	 "no volume can have 18446744073709551615 bytes"},
	{"a name of 4097 bytes", BYTES(V1 "f" U32("\x01", "\x10")), CORRUPT, "name is too long"},
	{"two names", BYTES(V1 FROM_1 FROM_1 SIZE_1 "e"), CORRUPT, "there twice"},
	{"a name behind data", BYTES(V1 SIZE_1 ZERO_1 FROM_1 "e"), CORRUPT,
	 "before byte 39: an unknown record, or one out of order"},
	{"a name behind data, version 2", BYTES(V2 SIZE_2 ZERO_2 TO_2 "e"), CORRUPT,
	 "out of order"},
	{"an unknown record",
	 BYTES(V1 SIZE_1 "Q"
			 "e"),
	 CORRUPT, "an unknown record"},
	{"a zero byte",
	 BYTES(V2 SIZE_2 "\0"
			 "e"),
	 CORRUPT, "cut off here"},
	{"a write over the end", BYTES(V1 SIZE_1 "w" SIZE_4M BYTES_512 DATA_512 "e"), CORRUPT,
	 "outside of the image"},
	{"an offset that overflows", BYTES(V1 SIZE_1 "z" HUGE BYTES_512 "e"), CORRUPT,
	 "outside of the image"},
	{"a length that overflows", BYTES(V1 SIZE_1 "z" BYTES_512 HUGE "e"), CORRUPT,
	 "outside of the image"},
	{"an odd offset", BYTES(V1 SIZE_1 "z" U64("\x01", "\0", "\0") BYTES_512 "e"), INVALID,
	 "not of whole sectors"},
	{"an odd length", BYTES(V1 SIZE_1 "z" BYTES_512 U64("\x01", "\0", "\0") "e"), INVALID,
	 "not of whole sectors"},
	{"version 2: a name's length",
	 BYTES(V2 "f" U64("\x0b", "\0", "\0") U32("\x06", "\0") "monday" SIZE_2 "e"), CORRUPT,
	 "wrong length"},
	{"version 2: a size's length", BYTES(V2 "s" U64("\x09", "\0", "\0") SIZE_4M "e"), CORRUPT,
	 "wrong length"},
	{"version 2: a write's length",
	 BYTES(V2 SIZE_2 "w" U64("\x10", "\0", "\0") BYTES_4096 BYTES_512 DATA_512 "e"), CORRUPT,
	 "wrong length"},
	{"version 2: a zero's length",
	 BYTES(V2 SIZE_2 "z" U64("\x10", "\x02", "\0") BYTES_4096 BYTES_512 "e"), CORRUPT,
	 "wrong length"},
	{"version 2: protection's length", BYTES(V2 "p" HUGE "\0" SIZE_2 "e"), CORRUPT,
	 "a record has a wrong length"},
	{"version 2: a record without an end", BYTES(V2 "Q" HUGE SIZE_2 "e"), CORRUPT,
	 "cut off here"},
};

static void test_refuse(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(refuse_rows); i++) {
		const RefuseRow *row = &refuse_rows[i];
		autofd fd = fd_of_bytes(row->bytes, row->length);
		g_autoptr(StreamRbdReader) reader = stream_rbd_reader_new(fd);
		g_auto(StreamRbdHead) head = {0};
		g_autoptr(GError) error = NULL;
		StreamRange range = {.length = 1};
		gboolean good = stream_rbd_reader_begin(reader, &head, &error);

		test_row("%s", row->name);
		if (!good)
			CHECK(!head.from && !head.to && !head.size);
		while (good && range.length)
			good = stream_rbd_reader_next(reader, &range, &error);
		CHECK(!good);
		CHECK_ERROR(error, row->code, row->message);
	}
}

/* A write of any length, as a whole object of Ceph, comes in pieces. */
static void test_long_write(const void *data)
{
	static const char head_bytes[] = V1 SIZE_1 "w" U64("\0", "\0", "\0") SIZE_4M;
	const gsize head_length = sizeof head_bytes - 1;
	g_autofree guint8 *bytes = g_malloc(head_length + 4 * MIB + 1);
	TestRandom random = test_random_new(test_seed());
	g_auto(StreamRbdHead) head = {0};
	StreamRange range;

	(void)data;
	memcpy(bytes, head_bytes, head_length);
	test_random_fill(&random, bytes + head_length, 4 * MIB);
	bytes[head_length + 4 * MIB] = 'e';
	autofd fd = fd_of_bytes((const char *)bytes, head_length + 4 * MIB + 1);
	g_autoptr(StreamRbdReader) reader = stream_rbd_reader_new(fd);
	REQUIRE(stream_rbd_reader_begin(reader, &head, NULL));
	CHECK(!head.from && !head.to);
	for (guint64 at = 0; at < 4 * MIB; at += range.length) {
		REQUIRE(stream_rbd_reader_next(reader, &range, NULL));
		CHECK_UINT(range.offset, at);
		CHECK_UINT(range.length, STREAM_DATA_MAX);
		CHECK_MEM(range.bytes, bytes + head_length + at, range.length);
	}
	CHECK(stream_rbd_reader_next(reader, &range, NULL));
	CHECK_UINT(range.length, 0);
}

int main(int argc, char **argv)
{
	test_add("writes the bytes that Ceph reads", test_write, NULL);
	test_add("writes a file without snapshots, and reports a full disk", test_write_plain,
		 NULL);
	test_add("reads both versions", test_read, NULL);
	test_add("a file that is cut anywhere is refused", test_cut, NULL);
	test_add("other files are refused", test_refuse, NULL);
	test_add("a long write comes in pieces", test_long_write, NULL);
	return test_run(argc, argv);
}
