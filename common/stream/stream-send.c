/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stream/stream-send.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h> /* BLKGETSIZE64 */
#undef BLOCK_SIZE     /* another one */
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/stream/stream-io.h"
#include "common/stream/stream-rbd.h"
#include "common/stream/stream-writer.h"

#define MARK_BYTES (256 * MIB)
#define MARK_USEC (10 * G_USEC_PER_SEC)

/* Of any of the three. */
typedef struct {
	int fd;
	StreamProgress progress;
	gpointer data;
	StreamTotals totals;
	StreamWriter *writer; /* stream */
	guint64 mark_bytes;   /* stream: of data between two marks */
	guint64 marked;	      /* stream: bytes of data at the last mark ... */
	gint64 mark_time;     /* ... and when it was written */
	gboolean sparse;      /* raw: the file has holes where nothing was written */
	guint64 position;     /* raw: bytes that were written */
} Sending;

static void totals_add(Sending *sending, const StreamRange *ranges, guint n)
{
	for (guint i = 0; i < n; i++)
		*(ranges[i].bytes ? &sending->totals.data : &sending->totals.zero) +=
			ranges[i].length;
	if (sending->progress)
		sending->progress(sending->data, &sending->totals);
}

/* ---- streams */

static gboolean stream_data(gpointer sink, const StreamRange *ranges, guint n, GError **error)
{
	Sending *sending = sink;

	totals_add(sending, ranges, n);
	return stream_writer_data(sending->writer, ranges, n, error);
}

static gboolean stream_zero(gpointer sink, guint64 offset, guint64 length, GError **error)
{
	Sending *sending = sink;

	totals_add(sending, &(StreamRange){offset, length, NULL}, 1);
	return stream_writer_zero(sending->writer, offset, length, error);
}

static gboolean stream_reached(gpointer sink, guint64 next, GError **error)
{
	Sending *sending = sink;
	gint64 now = g_get_monotonic_time();

	if (sending->totals.data - sending->marked < sending->mark_bytes &&
	    now - sending->mark_time < MARK_USEC)
		return TRUE;
	sending->marked = sending->totals.data;
	sending->mark_time = now;
	sending->totals.next = next;
	return stream_writer_mark(sending->writer, next, error);
}

gboolean stream_send(const StreamSource *source, const StreamBegin *begin, int fd,
		     StreamProgress progress, gpointer data, GError **error)
{
	static const StreamSink ops = {stream_data, stream_zero, stream_reached};
	g_autoptr(StreamWriter) writer = stream_writer_new(fd);
	Sending sending = {.fd = fd,
			   .progress = progress,
			   .data = data,
			   .writer = writer,
			   .mark_bytes = source->mark_bytes ? source->mark_bytes : MARK_BYTES,
			   .mark_time = g_get_monotonic_time()};

	if (!writer)
		return error_set_errno(error, ENOMEM, "write the stream");
	return stream_writer_begin(writer, begin, error) &&
	       stream_source_run(source, &ops, &sending, error) &&
	       stream_writer_end(writer, blocks_covering(begin->size), error);
}

/* ---- Ceph */

static gboolean rbd_data(gpointer sink, const StreamRange *ranges, guint n, GError **error)
{
	Sending *sending = sink;

	totals_add(sending, ranges, n);
	for (guint i = 0; i < n; i++)
		if (!stream_rbd_write_range(sending->fd, &ranges[i], error))
			return FALSE;
	return TRUE;
}

static gboolean rbd_zero(gpointer sink, guint64 offset, guint64 length, GError **error)
{
	return rbd_data(sink, &(StreamRange){offset, length, NULL}, 1, error);
}

/* In order, because `rbd merge-diff` relies on that. */
gboolean stream_send_rbd(StreamSource *source, const char *from, const char *to, int fd,
			 StreamProgress progress, gpointer data, GError **error)
{
	static const StreamSink ops = {rbd_data, rbd_zero, NULL};
	const StreamRbdHead head = {(char *)from, (char *)to, volume_size(source->to)};
	Sending sending = {.fd = fd, .progress = progress, .data = data};

	source->in_order = TRUE;
	return stream_rbd_write_head(fd, &head, error) &&
	       stream_source_run(source, &ops, &sending, error) && stream_rbd_write_end(fd, error);
}

/* ---- images */

/* Moves to `offset`, which is not before the position: over a hole, or with zeros. */
static gboolean raw_move(Sending *sending, guint64 offset, GError **error)
{
	static const guint8 zeros[64 << 10];

	if (sending->sparse && lseek(sending->fd, (off_t)offset, SEEK_SET) < 0)
		return error_set_errno(error, errno, "write the image");
	while (!sending->sparse && sending->position < offset) {
		guint64 left = offset - sending->position;
		struct iovec iov = {(guint8 *)zeros, MIN(left, sizeof zeros)};

		sending->position += iov.iov_len;
		if (!stream_write(sending->fd, &iov, 1, error))
			return FALSE;
	}
	sending->position = offset;
	return TRUE;
}

static gboolean raw_data(gpointer sink, const StreamRange *ranges, guint n, GError **error)
{
	Sending *sending = sink;

	totals_add(sending, ranges, n);
	for (guint i = 0; i < n; i++) {
		struct iovec iov = {(guint8 *)ranges[i].bytes, ranges[i].length};

		if (!raw_move(sending, ranges[i].offset, error) ||
		    !stream_write(sending->fd, &iov, 1, error))
			return FALSE;
		sending->position += ranges[i].length;
	}
	return TRUE;
}

/* Whether the file holds nothing and is written where one says: what is not written reads as zeros.
 * Not one that is appended to, or was not truncated. */
static gboolean takes_holes(int fd, const struct stat *st)
{
	int flags = fcntl(fd, F_GETFL);

	return S_ISREG(st->st_mode) && !st->st_size && flags >= 0 && !(flags & O_APPEND);
}

/* Before anything is written over. */
static gboolean device_check(int fd, const struct stat *st, guint64 size, GError **error)
{
	guint64 room;

	if (!S_ISBLK(st->st_mode) || ioctl(fd, BLKGETSIZE64, &room) || room >= size)
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_NO_SPACE,
			 "the device has %" G_GUINT64_FORMAT " bytes, the image %" G_GUINT64_FORMAT,
			 room, size);
}

gboolean stream_send_raw(StreamSource *source, int fd, StreamProgress progress, gpointer data,
			 GError **error)
{
	static const StreamSink ops = {raw_data, NULL,
				       NULL}; /* there are no zeros without a base */
	Sending sending = {.fd = fd, .progress = progress, .data = data};
	guint64 size = volume_size(source->to);
	struct stat st;

	if (fstat(fd, &st))
		return error_set_errno(error, errno, "write the image");
	if (!device_check(fd, &st, size, error))
		return FALSE;
	sending.sparse = takes_holes(fd, &st);
	source->in_order = TRUE;
	if (!stream_source_run(source, &ops, &sending, error))
		return FALSE;
	if (!sending.sparse)
		return raw_move(&sending, size, error);
	return !ftruncate(fd, (off_t)size) || error_set_errno(error, errno, "write the image");
}
