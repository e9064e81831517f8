/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/stream-frames.h"

#include "common/base/bytes.h"
#include "common/engine/crc32c.h"
#include "common/stream/stream-format.h"

static void frame_append(GByteArray *stream, StreamChain *chain, guint type, const guint8 *payload,
			 guint32 length)
{
	const StreamFrame frame = {(StreamType)type, length, crc32c(0, payload, length)};
	guint8 header[STREAM_HEADER_SIZE];

	stream_header_encode(chain, &frame, header);
	g_byte_array_append(stream, header, sizeof header);
	g_byte_array_append(stream, payload, length);
}

GByteArray *fuzz_frames(const guint8 *data, gsize size)
{
	GByteArray *stream = g_byte_array_new();
	StreamChain chain = {0};

	while (size >= 3) {
		gsize length = get_le16(data + 1);

		length = MIN(length, size - 3);
		frame_append(stream, &chain, data[0], data + 3, (guint32)length);
		data += 3 + length;
		size -= 3 + length;
	}
	return stream;
}
