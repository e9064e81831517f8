/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stream/stream-reader.h"

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/stream/stream-io.h"

struct StreamReader {
	int fd;
	StreamChain chain;
	guint64 size;	   /* of the volume */
	StreamTotals read; /* until here; `next` as of the last mark */
	guint64 end;	   /* of what was read since the last mark, bytes */
	guint8 payload[STREAM_PAYLOAD_MAX];
};

StreamReader *stream_reader_new(int fd)
{
	StreamReader *reader = g_try_new0(StreamReader, 1);

	if (reader)
		reader->fd = fd;
	return reader;
}

void stream_reader_free(StreamReader *reader)
{
	g_free(reader);
}

static gboolean read_exactly(StreamReader *reader, void *buffer, gsize length, GError **error)
{
	gssize n = stream_read(reader->fd, buffer, length, error);

	if (n == (gssize)length)
		return TRUE;
	return n >= 0 && error_set(error, STORAGEOS_ERROR_CORRUPT, "the stream is cut off here");
}

static gboolean frame_read(StreamReader *reader, StreamFrame *ret_frame, GError **error)
{
	guint8 header[STREAM_HEADER_SIZE];

	return read_exactly(reader, header, sizeof header, error) &&
	       stream_header_decode(&reader->chain, header, ret_frame, error) &&
	       read_exactly(reader, reader->payload, ret_frame->length, error) &&
	       stream_payload_check(ret_frame, reader->payload, error);
}

/* ---- what each type may be */

static gboolean begin_check(StreamReader *reader, const StreamFrame *frame, StreamBegin *ret_begin,
			    GError **error)
{
	if (frame->type != STREAM_BEGIN)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "the beginning of the stream is missing");
	if (!stream_begin_decode((const char *)reader->payload, frame->length, ret_begin, error))
		return FALSE;
	reader->size = ret_begin->size;
	reader->read.next = ret_begin->resume;
	return TRUE;
}

static gboolean ranges_check(StreamReader *reader, const StreamFrame *frame, StreamRanges *ranges,
			     GError **error)
{
	guint64 *total = frame->type == STREAM_DATA ? &reader->read.data : &reader->read.zero;
	StreamRange range;

	if (!stream_ranges_decode(frame->type, reader->payload, frame->length, reader->size, ranges,
				  error))
		return FALSE;
	for (StreamRanges each = *ranges; stream_ranges_next(&each, &range);) {
		guint64 end = range.offset + range.length;

		if (range.offset < blocks_to_bytes(reader->read.next))
			return error_set(error, STORAGEOS_ERROR_CORRUPT,
					 "it has a range before the last mark");
		reader->end = MAX(reader->end, end);
		*total += range.length;
	}
	return TRUE;
}

static gboolean totals_check(StreamReader *reader, const StreamFrame *frame, StreamTotals *totals,
			     GError **error)
{
	guint64 end = blocks_covering(reader->size);

	if (!stream_totals_decode(reader->payload, frame->length, totals, error))
		return FALSE;
	if (totals->next < reader->read.next || totals->next > end ||
	    totals->next < blocks_covering(reader->end) ||
	    (frame->type == STREAM_END && totals->next != end))
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "its place is not what was sent");
	if (totals->data != reader->read.data || totals->zero != reader->read.zero)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "its totals are not those of what was sent");
	reader->read.next = totals->next;
	return TRUE;
}

static gboolean frame_check(StreamReader *reader, const StreamFrame *frame, StreamItem *item,
			    GError **error)
{
	item->type = frame->type;
	switch (frame->type) {
	case STREAM_BEGIN:
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "another stream begins inside of this one");
	case STREAM_DATA:
	case STREAM_ZERO:
		return ranges_check(reader, frame, &item->ranges, error);
	case STREAM_MARK:
	case STREAM_END:
		return totals_check(reader, frame, &item->totals, error);
	}
	return FALSE;
}

/* ---- */

/* Which frame it is, in front of what is wrong with it. */
static gboolean frame_failed(guint64 number, GError **error)
{
	g_prefix_error(error, "frame %" G_GUINT64_FORMAT ": ", number);
	return FALSE;
}

gboolean stream_reader_begin(StreamReader *reader, StreamBegin *ret_begin, GError **error)
{
	StreamFrame frame;

	return (frame_read(reader, &frame, error) &&
		begin_check(reader, &frame, ret_begin, error)) ||
	       frame_failed(0, error);
}

gboolean stream_reader_next(StreamReader *reader, StreamItem *ret_item, GError **error)
{
	guint64 number = reader->chain.sequence;
	StreamItem item = {.totals = {0}};
	StreamFrame frame;

	if (!frame_read(reader, &frame, error) || !frame_check(reader, &frame, &item, error))
		return frame_failed(number, error);
	*ret_item = item;
	return TRUE;
}
