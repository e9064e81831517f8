/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streams: a reader gets what the writer was given, and refuses every stream that is not just that.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/crc32c.h"
#include "common/stream/stream-reader.h"
#include "common/stream/stream-writer.h"
#include "tests/harness.h"

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

/* ---- streams in memory */

typedef struct {
	guint8 *bytes;
	gsize length;
} Bytes;

static void bytes_clear(Bytes *bytes)
{
	g_free(bytes->bytes);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Bytes, bytes_clear)

static Bytes bytes_of_fd(int fd)
{
	Bytes bytes = {.length = (gsize)lseek(fd, 0, SEEK_END)};

	bytes.bytes = g_malloc(bytes.length);
	CHECK_INT(pread(fd, bytes.bytes, bytes.length, 0), (gint64)bytes.length);
	return bytes;
}

static int fd_of_bytes(const guint8 *bytes, gsize length)
{
	int fd = memfd_create("stream", MFD_CLOEXEC);

	CHECK_INT(write(fd, bytes, length), (gint64)length);
	CHECK_INT(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static guint8 content[3][4096];

/* The stream of most tests: 7 frames. */
static Bytes stream_plain(const StreamBegin *begin)
{
	const StreamRange first[] = {{0, 4096, content[0]}, {8192, 512, content[1]}};
	const StreamRange last[] = {{4 * MIB, 512, content[2]}};
	autofd fd = memfd_create("stream", MFD_CLOEXEC);
	g_autoptr(StreamWriter) writer = stream_writer_new(fd);
	GError *error = NULL;

	CHECK(stream_writer_begin(writer, begin, &error) &&
	      stream_writer_zero(writer, 4096, 4096, &error) &&
	      stream_writer_data(writer, first, 2, &error) &&
	      stream_writer_mark(writer, 16, &error) &&
	      stream_writer_data(writer, last, 1, &error) &&
	      stream_writer_end(writer, BLOCKS, &error));
	CHECK_NO_ERROR(error);
	return bytes_of_fd(fd);
}

/* Reads a stream to its end; `items` counts what was returned. */
static gboolean stream_consume(const guint8 *bytes, gsize length, guint *items, GError **error)
{
	autofd fd = fd_of_bytes(bytes, length);
	g_autoptr(StreamReader) reader = stream_reader_new(fd);
	StreamItem item = {.type = STREAM_BEGIN};
	StreamBegin begin;

	*items = 0;
	if (!stream_reader_begin(reader, &begin, error))
		return FALSE;
	for (*items = 1; item.type != STREAM_END; ++*items)
		if (!stream_reader_next(reader, &item, error))
			return FALSE;
	return TRUE;
}

/* Consuming them fails with this error at this frame. */
static void check_refused(const guint8 *bytes, gsize length, int code, guint frame,
			  const char *message)
{
	g_autofree char *where = g_strdup_printf("frame %u: %s", frame, message);
	g_autoptr(GError) error = NULL;
	guint items;

	CHECK(!stream_consume(bytes, length, &items, &error));
	CHECK_ERROR(error, code, where);
	CHECK_UINT(items, frame);
}

/* ---- frames as a sender with other ideas would write them */

typedef struct {
	GByteArray *bytes;
	StreamChain chain;
} Forge;

static void forge_frame(Forge *forge, guint type, const void *payload, guint32 length)
{
	const StreamFrame frame = {(StreamType)type, length, crc32c(0, payload, length)};
	guint8 header[STREAM_HEADER_SIZE];

	stream_header_encode(&forge->chain, &frame, header);
	g_byte_array_append(forge->bytes, header, sizeof header);
	g_byte_array_append(forge->bytes, payload, length);
}

static Forge forge_begin(const StreamBegin *begin)
{
	g_autofree char *text = stream_begin_encode(begin);
	Forge forge = {g_byte_array_new(), {0}};

	forge_frame(&forge, STREAM_BEGIN, text, (guint32)strlen(text));
	return forge;
}

static void forge_totals(Forge *forge, StreamType type, guint64 next, guint64 data, guint64 zero)
{
	const StreamTotals totals = {next, data, zero};
	guint8 payload[STREAM_TOTALS_SIZE];

	stream_totals_encode(&totals, payload);
	forge_frame(forge, type, payload, sizeof payload);
}

static void forge_zero(Forge *forge, guint64 offset, guint64 length)
{
	const StreamRange range = {offset, length, NULL};
	guint8 payload[16];

	forge_frame(forge, STREAM_ZERO, payload,
		    stream_ranges_encode(STREAM_ZERO, &range, 1, payload));
}

static void forge_refused(Forge *forge, int code, guint frame, const char *message)
{
	check_refused(forge->bytes->data, forge->bytes->len, code, frame, message);
	g_byte_array_unref(forge->bytes);
}

/* ---- the tests */

static void test_round_trip(const void *data)
{
	g_auto(Bytes) stream = stream_plain(&begin_plain);
	autofd fd = fd_of_bytes(stream.bytes, stream.length);
	g_autoptr(StreamReader) reader = stream_reader_new(fd);
	g_autoptr(GError) error = NULL;
	StreamBegin begin;
	StreamRange range;
	StreamItem item;

	(void)data;
	REQUIRE(stream_reader_begin(reader, &begin, &error));
	CHECK_STR(begin.volume, VOLUME);
	CHECK_STR(begin.to.uuid, TO);
	CHECK_STR(begin.to.name, "tuesday");
	CHECK_UINT(begin.to.generation, 12);
	CHECK(begin.incremental && begin.frozen);
	CHECK_STR(begin.from.uuid, FROM);
	CHECK_STR(begin.from.name, "monday");
	CHECK_UINT(begin.from.generation, 7);
	CHECK_INT(begin.created, 1796000000);
	CHECK_UINT(begin.size, SIZE);
	CHECK_UINT(begin.block_size, 512);
	CHECK_UINT(begin.resume, 0);
	CHECK_UINT(begin.bytes, 3 * MIB);

	REQUIRE(stream_reader_next(reader, &item, &error) && item.type == STREAM_DATA);
	REQUIRE(stream_ranges_next(&item.ranges, &range));
	CHECK_UINT(range.offset, 0);
	CHECK_UINT(range.length, 4096);
	CHECK_MEM(range.bytes, content[0], 4096);
	REQUIRE(stream_ranges_next(&item.ranges, &range));
	CHECK_UINT(range.offset, 8192);
	CHECK_UINT(range.length, 512);
	CHECK_MEM(range.bytes, content[1], 512);
	CHECK(!stream_ranges_next(&item.ranges, &range));

	REQUIRE(stream_reader_next(reader, &item, &error) && item.type == STREAM_ZERO);
	REQUIRE(stream_ranges_next(&item.ranges, &range));
	CHECK_UINT(range.offset, 4096);
	CHECK_UINT(range.length, 4096);
	CHECK(!range.bytes);
	CHECK(!stream_ranges_next(&item.ranges, &range));

	REQUIRE(stream_reader_next(reader, &item, &error) && item.type == STREAM_MARK);
	CHECK_UINT(item.totals.next, 16);
	CHECK_UINT(item.totals.data, 4608);
	CHECK_UINT(item.totals.zero, 4096);
	REQUIRE(stream_reader_next(reader, &item, &error) && item.type == STREAM_DATA);
	REQUIRE(stream_reader_next(reader, &item, &error) && item.type == STREAM_END);
	CHECK_UINT(item.totals.next, BLOCKS);
	CHECK_UINT(item.totals.data, 5120);
}

static void test_cut(const void *data)
{
	g_auto(Bytes) stream = stream_plain(&begin_plain);
	gsize step = test_is_instrumented() ? 7 : 1;
	guint items;

	(void)data;
	for (gsize length = 0; length < stream.length; length += step) {
		g_autoptr(GError) error = NULL;

		test_row("cut to %zu bytes", length);
		CHECK(!stream_consume(stream.bytes, length, &items, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "the stream is cut off here");
	}
	CHECK(stream_consume(stream.bytes, stream.length, &items, NULL));
	CHECK_UINT(items, 6);
}

/* Where each frame of a stream begins, and its end; returns the number of frames. */
static guint frames_find(const Bytes *stream, gsize starts[16])
{
	guint n = 0;

	for (gsize at = 0; at < stream->length; n++) {
		starts[n] = at;
		at += STREAM_HEADER_SIZE + get_le32(stream->bytes + at + 8);
	}
	starts[n] = stream->length;
	return n;
}

static void test_flip(const void *data)
{
	g_auto(Bytes) stream = stream_plain(&begin_plain);
	gsize starts[16];
	guint items, frame = 0, step = test_is_instrumented() ? 31 : 1;

	(void)data;
	frames_find(&stream, starts);
	for (gsize bit = 0; bit < 8 * stream.length && !test_failed(); bit += step) {
		g_autoptr(GError) error = NULL;

		while (bit / 8 >= starts[frame + 1])
			frame++;
		test_row("bit %zu of byte %zu", bit % 8, bit / 8);
		stream.bytes[bit / 8] ^= (guint8)(1u << bit % 8);
		CHECK(!stream_consume(stream.bytes, stream.length, &items, &error));
		CHECK_UINT(items, frame);
		stream.bytes[bit / 8] ^= (guint8)(1u << bit % 8);
	}
	CHECK(stream_consume(stream.bytes, stream.length, &items, NULL));
}

/* Each frame left out, doubled, and changed for the one behind it. */
static void test_swap(const void *data)
{
	g_auto(Bytes) stream = stream_plain(&begin_plain);
	g_autofree guint8 *changed = g_malloc(2 * stream.length);
	gsize starts[16];
	guint n = frames_find(&stream, starts);

	(void)data;
	CHECK_UINT(n, 6);
	for (guint i = 0; i + 1 < n; i++) {
		gsize at = starts[i], next = starts[i + 1], after = starts[i + 2];
		const char *message = "its header is damaged, or does not continue";

		test_row("frame %u", i);
		memcpy(changed, stream.bytes, at);
		memcpy(changed + at, stream.bytes + next, stream.length - next);
		check_refused(changed, stream.length - (next - at), STORAGEOS_ERROR_CORRUPT, i,
			      message);
		memcpy(changed, stream.bytes, next);
		memcpy(changed + next, stream.bytes + at, stream.length - at);
		check_refused(changed, stream.length + (next - at), STORAGEOS_ERROR_CORRUPT, i + 1,
			      message);
		memcpy(changed, stream.bytes, at);
		memcpy(changed + at, stream.bytes + next, after - next);
		memcpy(changed + at + (after - next), stream.bytes + at, next - at);
		memcpy(changed + after, stream.bytes + after, stream.length - after);
		check_refused(changed, stream.length, STORAGEOS_ERROR_CORRUPT, i, message);
	}
}

/* The first frames of one stream, the others of another with the same frames but its BEGIN. */
static void test_mix(const void *data)
{
	StreamBegin other = begin_plain;

	(void)data;
	other.to.uuid[0] = '4';
	g_auto(Bytes) one = stream_plain(&begin_plain);
	g_auto(Bytes) two = stream_plain(&other);
	gsize starts[16];
	guint n = frames_find(&one, starts);

	CHECK_UINT(one.length, two.length);
	for (guint i = 1; i < n; i++) {
		g_autofree guint8 *mixed = g_malloc(one.length);

		test_row("from frame %u on", i);
		memcpy(mixed, one.bytes, starts[i]);
		memcpy(mixed + starts[i], two.bytes + starts[i], one.length - starts[i]);
		check_refused(mixed, one.length, STORAGEOS_ERROR_CORRUPT, i,
			      "its header is damaged, or does not continue");
	}
}

static void test_strangers(const void *data)
{
	static const guint8 nothing[64] = "#!/bin/sh";
	Forge forge = forge_begin(&begin_plain);

	(void)data;
	check_refused(nothing, sizeof nothing, STORAGEOS_ERROR_INVALID, 0,
		      "not a storageos stream");
	forge_frame(&forge, 6, "", 0);
	forge_refused(&forge, STORAGEOS_ERROR_UNSUPPORTED, 1, "unknown type 6");
}

/* ---- order */

static void test_order(const void *data)
{
	Forge forge = {g_byte_array_new(), {0}};

	(void)data;
	test_row("no BEGIN");
	forge_totals(&forge, STREAM_END, BLOCKS, 0, 0);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 0, "the beginning of the stream is missing");

	test_row("two of them");
	forge = forge_begin(&begin_plain);
	forge_frame(&forge, STREAM_BEGIN, "{}", 2);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 1, "another stream begins");

	test_row("before the mark");
	forge = forge_begin(&begin_plain);
	forge_totals(&forge, STREAM_MARK, 16, 0, 0);
	forge_zero(&forge, blocks_to_bytes(16) - 512, 1024);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 2, "it has a range before the last mark");

	test_row("before the place where it resumes");
	StreamBegin resumed = begin_plain;
	resumed.resume = 16;
	forge = forge_begin(&resumed);
	forge_zero(&forge, blocks_to_bytes(15), 4096);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 1, "it has a range before the last mark");

	test_row("behind the mark");
	forge = forge_begin(&begin_plain);
	forge_zero(&forge, blocks_to_bytes(16), 512);
	forge_totals(&forge, STREAM_MARK, 16, 0, 512);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 2, "its place is not what was sent");

	test_row("marks backwards");
	forge = forge_begin(&begin_plain);
	forge_totals(&forge, STREAM_MARK, 16, 0, 0);
	forge_totals(&forge, STREAM_MARK, 15, 0, 0);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 2, "its place is not what was sent");

	test_row("a mark behind the end");
	forge = forge_begin(&begin_plain);
	forge_totals(&forge, STREAM_MARK, BLOCKS + 1, 0, 0);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 1, "its place is not what was sent");

	test_row("END before the end");
	forge = forge_begin(&begin_plain);
	forge_totals(&forge, STREAM_END, BLOCKS - 1, 0, 0);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 1, "its place is not what was sent");

	test_row("other totals");
	forge = forge_begin(&begin_plain);
	forge_zero(&forge, 0, 512);
	forge_totals(&forge, STREAM_END, BLOCKS, 0, 1024);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 2,
		      "its totals are not those of what was sent");

	test_row("totals that are not");
	forge = forge_begin(&begin_plain);
	forge_frame(&forge, STREAM_END, content, 23);
	forge_refused(&forge, STORAGEOS_ERROR_CORRUPT, 1, "its totals take 23 bytes, not 24");
}

/* What follows END is left for others; nothing of it is read. */
static void test_end(const void *data)
{
	g_auto(Bytes) stream = stream_plain(&begin_plain);
	g_autofree guint8 *two = g_malloc(2 * stream.length);
	StreamItem item = {.type = STREAM_BEGIN};
	StreamBegin begin;

	(void)data;
	memcpy(two, stream.bytes, stream.length);
	memcpy(two + stream.length, stream.bytes, stream.length);
	autofd fd = fd_of_bytes(two, 2 * stream.length);
	for (guint i = 0; i < 2; i++) {
		g_autoptr(StreamReader) reader = stream_reader_new(fd);

		CHECK(stream_reader_begin(reader, &begin, NULL));
		for (item.type = STREAM_BEGIN; item.type != STREAM_END;)
			REQUIRE(stream_reader_next(reader, &item, NULL));
		CHECK_INT(lseek(fd, 0, SEEK_CUR), (gint64)(stream.length * (i + 1)));
	}
}

/* ---- the writer */

static void test_zeros(const void *data)
{
	autofd fd = memfd_create("stream", MFD_CLOEXEC);
	g_autoptr(StreamWriter) writer = stream_writer_new(fd);
	StreamBegin begin = begin_plain;
	guint items;

	(void)data;
	begin.size = TIB;
	CHECK(stream_writer_begin(writer, &begin, NULL));
	for (guint64 i = 0; i < 3; i++)
		CHECK(stream_writer_zero(writer, i * 4096, 4096, NULL));
	for (guint64 i = 0; i < STREAM_RANGES_MAX; i++)
		CHECK(stream_writer_zero(writer, MIB + i * 8192, 4096, NULL));
	CHECK(stream_writer_end(writer, block_of(TIB), NULL));
	g_auto(Bytes) stream = bytes_of_fd(fd);
	gsize starts[16];
	CHECK_UINT(frames_find(&stream, starts), 4); /* 4097 ranges: two frames */
	CHECK(stream_consume(stream.bytes, stream.length, &items, NULL));
}

/* One frame of as many ranges as there may be, which is more than one writev() takes. */
static void test_longest(const void *data)
{
	g_autofree StreamRange *table = g_new0(StreamRange, 2048);
	autofd fd = memfd_create("stream", MFD_CLOEXEC);
	g_autoptr(StreamWriter) writer = stream_writer_new(fd);
	guint items;

	(void)data;
	for (guint i = 0; i < 2048; i++)
		table[i] = (StreamRange){1024 * (guint64)i, 512, content[i % 3]};
	CHECK(stream_writer_begin(writer, &begin_plain, NULL) &&
	      stream_writer_data(writer, table, 2048, NULL) &&
	      stream_writer_end(writer, BLOCKS, NULL));
	g_auto(Bytes) stream = bytes_of_fd(fd);
	CHECK(stream_consume(stream.bytes, stream.length, &items, NULL));
}

static void test_writer_fails(const void *data)
{
	autofd full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	g_autoptr(StreamWriter) writer = stream_writer_new(full);
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!stream_writer_begin(writer, &begin_plain, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, "write the stream");
}

static void test_reader_fails(const void *data)
{
	autofd directory = open("/", O_RDONLY | O_CLOEXEC);
	g_autoptr(StreamReader) reader = stream_reader_new(directory);
	g_autoptr(GError) error = NULL;
	StreamBegin begin;

	(void)data;
	CHECK(!stream_reader_begin(reader, &begin, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, "read the stream");
}

/* ---- a pipe that is slow, and does not block */

typedef struct {
	int fd;
	Bytes stream;
} Feed;

static gpointer feed_slowly(gpointer data)
{
	Feed *feed = data;

	for (gsize at = 0; at < feed->stream.length; at += 97) {
		gsize n = MIN(97, feed->stream.length - at);

		CHECK_INT(write(feed->fd, feed->stream.bytes + at, n), (gint64)n);
		g_usleep(20);
	}
	close(feed->fd);
	return NULL;
}

static void test_pipe(const void *data)
{
	Feed feed = {.stream = stream_plain(&begin_plain)};
	StreamItem item = {.type = STREAM_BEGIN};
	StreamBegin begin;
	int ends[2];

	(void)data;
	REQUIRE(!pipe2(ends, O_CLOEXEC | O_NONBLOCK));
	fcntl(ends[1], F_SETFL, 0);
	feed.fd = ends[1];
	GThread *thread = g_thread_new("feed", feed_slowly, &feed);
	g_autoptr(StreamReader) reader = stream_reader_new(ends[0]);
	CHECK(stream_reader_begin(reader, &begin, NULL));
	while (item.type != STREAM_END && CHECK(stream_reader_next(reader, &item, NULL)))
		;
	g_thread_join(thread);
	close(ends[0]);
	bytes_clear(&feed.stream);
}

int main(int argc, char **argv)
{
	TestRandom random = test_random_new(test_seed());

	test_random_fill(&random, content, sizeof content);
	test_add("a reader gets what the writer was given", test_round_trip, NULL);
	test_add("a stream that is cut anywhere is refused", test_cut, NULL);
	test_add("a changed bit is found in its frame", test_flip, NULL);
	test_add("frames that are missing, doubled or swapped are found", test_swap, NULL);
	test_add("frames of another stream are found", test_mix, NULL);
	test_add("other files and newer frames are refused", test_strangers, NULL);
	test_add("frames out of order, and wrong marks and totals are refused", test_order, NULL);
	test_add("nothing is read behind END", test_end, NULL);
	test_add("neighbouring zeros are joined", test_zeros, NULL);
	test_add("the longest frame", test_longest, NULL);
	test_add("a full disk is an error of the writer", test_writer_fails, NULL);
	test_add("an input that cannot be read is an error", test_reader_fails, NULL);
	test_add("a slow pipe that does not block", test_pipe, NULL);
	return test_run(argc, argv);
}
