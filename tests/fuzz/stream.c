/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a stream is, its reader returns an error, or ranges that are within the volume.
 *
 * The first byte says how the others are read: 0 as they are; otherwise as a list of frames
 * (stream-frames.h).
 */
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/units.h"
#include "common/stream/stream-reader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/stream-frames.h"

static void ranges_check(StreamRanges ranges, gboolean data, const StreamBegin *begin)
{
	guint64 total = 0;
	StreamRange range;
	guint8 sum = 0;

	while (stream_ranges_next(&ranges, &range)) {
		fuzz_assert(range.length && range.offset + range.length <= begin->size);
		fuzz_assert((range.offset | range.length) % SECTOR_SIZE == 0);
		fuzz_assert(!range.bytes == !data);
		for (gsize i = 0; data && i < range.length; i++)
			sum ^= range.bytes[i]; /* for the address sanitizer */
		total += range.length;
	}
	fuzz_assert(!data || total <= STREAM_DATA_MAX || sum);
}

static void stream_consume(int fd)
{
	g_autoptr(StreamReader) reader = stream_reader_new(fd);
	StreamItem item = {.type = STREAM_BEGIN};
	StreamBegin begin;

	if (!stream_reader_begin(reader, &begin, NULL))
		return;
	fuzz_assert(begin.resume <= blocks_covering(begin.size));
	while (item.type != STREAM_END && stream_reader_next(reader, &item, NULL)) {
		if (item.type == STREAM_DATA || item.type == STREAM_ZERO)
			ranges_check(item.ranges, item.type == STREAM_DATA, &begin);
		else
			fuzz_assert(item.totals.next <= blocks_covering(begin.size));
	}
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	g_autoptr(GByteArray) made = size && data[0] ? fuzz_frames(data + 1, size - 1) : NULL;
	autofd fd = memfd_create("stream", MFD_CLOEXEC);

	if (made)
		fuzz_assert(write(fd, made->data, made->len) == (gssize)made->len);
	else if (size)
		fuzz_assert(write(fd, data + 1, size - 1) == (gssize)size - 1);
	lseek(fd, 0, SEEK_SET);
	stream_consume(fd);
	return 0;
}
