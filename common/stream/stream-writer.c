/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stream/stream-writer.h"

#include <string.h>

#include "common/engine/crc32c.h"
#include "common/stream/stream-io.h"

struct StreamWriter {
	int fd;
	StreamChain chain;
	StreamTotals totals;
	guint n_zeros; /* not written yet */
	StreamRange zeros[STREAM_RANGES_MAX];
	guint8 head[STREAM_RANGES_SIZE];
	struct iovec iov[STREAM_RANGES_MAX + 2]; /* header, head, one for each range */
};

StreamWriter *stream_writer_new(int fd)
{
	StreamWriter *writer = g_try_new0(StreamWriter, 1);

	if (writer)
		writer->fd = fd;
	return writer;
}

void stream_writer_free(StreamWriter *writer)
{
	g_free(writer);
}

/* Writes a frame with iov[1] to iov[n] as payload. */
static gboolean frame_write(StreamWriter *writer, StreamType type, guint n, GError **error)
{
	guint8 header[STREAM_HEADER_SIZE];
	StreamFrame frame = {.type = type};

	for (guint i = 1; i <= n; i++) {
		const struct iovec *piece = &writer->iov[i];

		frame.crc = crc32c(frame.crc, piece->iov_base, piece->iov_len);
		frame.length += (guint32)piece->iov_len;
	}
	stream_header_encode(&writer->chain, &frame, header);
	writer->iov[0] = (struct iovec){header, sizeof header};
	return stream_write(writer->fd, writer->iov, n + 1, error);
}

gboolean stream_writer_begin(StreamWriter *writer, const StreamBegin *begin, GError **error)
{
	g_autofree char *text = stream_begin_encode(begin);

	writer->iov[1] = (struct iovec){text, strlen(text)};
	return frame_write(writer, STREAM_BEGIN, 1, error);
}

static gboolean ranges_write(StreamWriter *writer, StreamType type, const StreamRange *ranges,
			     guint n, GError **error)
{
	gboolean data = type == STREAM_DATA;
	guint64 *total = data ? &writer->totals.data : &writer->totals.zero;
	guint32 length = stream_ranges_encode(type, ranges, n, writer->head);

	writer->iov[1] = (struct iovec){writer->head, length};
	for (guint i = 0; i < n; i++) {
		if (data)
			writer->iov[2 + i] =
				(struct iovec){(guint8 *)ranges[i].bytes, (gsize)ranges[i].length};
		*total += ranges[i].length;
	}
	return frame_write(writer, type, data ? n + 1 : 1, error);
}

gboolean stream_writer_data(StreamWriter *writer, const StreamRange *ranges, guint n,
			    GError **error)
{
	return ranges_write(writer, STREAM_DATA, ranges, n, error);
}

static gboolean zeros_write(StreamWriter *writer, GError **error)
{
	guint n = writer->n_zeros;

	writer->n_zeros = 0;
	return !n || ranges_write(writer, STREAM_ZERO, writer->zeros, n, error);
}

gboolean stream_writer_zero(StreamWriter *writer, guint64 offset, guint64 length, GError **error)
{
	StreamRange *last = writer->n_zeros ? &writer->zeros[writer->n_zeros - 1] : NULL;

	if (last && last->offset + last->length == offset) {
		last->length += length;
		return TRUE;
	}
	if (writer->n_zeros == STREAM_RANGES_MAX && !zeros_write(writer, error))
		return FALSE;
	writer->zeros[writer->n_zeros++] = (StreamRange){offset, length, NULL};
	return TRUE;
}

static gboolean totals_write(StreamWriter *writer, StreamType type, guint64 next, GError **error)
{
	guint8 payload[STREAM_TOTALS_SIZE];

	if (!zeros_write(writer, error))
		return FALSE;
	writer->totals.next = next;
	stream_totals_encode(&writer->totals, payload);
	writer->iov[1] = (struct iovec){payload, sizeof payload};
	return frame_write(writer, type, 1, error);
}

gboolean stream_writer_mark(StreamWriter *writer, guint64 next, GError **error)
{
	return totals_write(writer, STREAM_MARK, next, error);
}

gboolean stream_writer_end(StreamWriter *writer, guint64 next, GError **error)
{
	return totals_write(writer, STREAM_END, next, error);
}
