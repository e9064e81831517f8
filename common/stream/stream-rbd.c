/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file is its banner, records that describe it ('f' from, 't' to, 's' size), records of ranges
 * ('w' write, 'z' zero), and 'e'.  In version 2 a tag, except 'e', is followed by the length of its
 * record, so that unknown ones can be skipped; 'p', whether the snapshot is protected, does not
 * matter here.
 */
#include "common/stream/stream-rbd.h"

#include <string.h>

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/volume.h"
#include "common/stream/stream-io.h"

#define BANNER_1 "rbd diff v1\n"
#define BANNER_2 "rbd diff v2\n"
#define BANNER_SIZE (sizeof BANNER_1 - 1)
#define NAME_MAX_BYTES 4096u /* Ceph's limit */

void stream_rbd_head_clear(StreamRbdHead *head)
{
	g_clear_pointer(&head->from, g_free);
	g_clear_pointer(&head->to, g_free);
}

/* ---- writing */

static void name_append(GByteArray *bytes, char tag, const char *name)
{
	guint8 prefix[5] = {(guint8)tag};

	if (!name)
		return;
	put_le32(prefix + 1, (guint32)strlen(name));
	g_byte_array_append(bytes, prefix, sizeof prefix);
	g_byte_array_append(bytes, (const guint8 *)name, (guint)strlen(name));
}

gboolean stream_rbd_write_head(int fd, const StreamRbdHead *head, GError **error)
{
	g_autoptr(GByteArray) bytes = g_byte_array_new();
	guint8 size[9] = {'s'};
	struct iovec iov;

	g_byte_array_append(bytes, (const guint8 *)BANNER_1, BANNER_SIZE);
	name_append(bytes, 'f', head->from);
	name_append(bytes, 't', head->to);
	put_le64(size + 1, head->size);
	g_byte_array_append(bytes, size, sizeof size);
	iov = (struct iovec){bytes->data, bytes->len};
	return stream_write(fd, &iov, 1, error);
}

gboolean stream_rbd_write_range(int fd, const StreamRange *range, GError **error)
{
	guint8 record[17] = {range->bytes ? 'w' : 'z'};
	struct iovec iov[] = {{record, sizeof record}, {(guint8 *)range->bytes, range->length}};

	put_le64(record + 1, range->offset);
	put_le64(record + 9, range->length);
	return stream_write(fd, iov, range->bytes ? 2 : 1, error);
}

gboolean stream_rbd_write_end(int fd, GError **error)
{
	char end = 'e';
	struct iovec iov = {&end, 1};

	return stream_write(fd, &iov, 1, error);
}

/* ---- reading */

struct StreamRbdReader {
	int fd;
	guint version;
	guint64 position; /* in the input, for messages */
	guint64 size;
	guint8 tag;	  /* of the record that comes next */
	guint64 length;	  /* of that record; version 2 */
	StreamRange data; /* what is left of a write */
	guint8 buffer[STREAM_DATA_MAX];
};

StreamRbdReader *stream_rbd_reader_new(int fd)
{
	StreamRbdReader *reader = g_try_new0(StreamRbdReader, 1);

	if (reader)
		reader->fd = fd;
	return reader;
}

void stream_rbd_reader_free(StreamRbdReader *reader)
{
	g_free(reader);
}

static gboolean damaged(const StreamRbdReader *reader, StorageosError code, const char *what,
			GError **error)
{
	return error_set(error, code, "rbd-diff, before byte %" G_GUINT64_FORMAT ": %s",
			 reader->position, what);
}

static gboolean read_exactly(StreamRbdReader *reader, void *buffer, gsize length, GError **error)
{
	gssize n = stream_read(reader->fd, buffer, length, error);

	if (n < 0)
		return FALSE;
	reader->position += (guint64)n;
	return n == (gssize)length ||
	       damaged(reader, STORAGEOS_ERROR_CORRUPT, "the file is cut off here", error);
}

static gboolean skip(StreamRbdReader *reader, guint64 length, GError **error)
{
	while (length) {
		gsize piece = (gsize)MIN(length, sizeof reader->buffer);

		if (!read_exactly(reader, reader->buffer, piece, error))
			return FALSE;
		length -= piece;
	}
	return TRUE;
}

/* The next tag and, in version 2, the length of its record. */
static gboolean tag_read(StreamRbdReader *reader, GError **error)
{
	guint8 length[8];

	if (!read_exactly(reader, &reader->tag, 1, error))
		return FALSE;
	if (reader->version == 1 || reader->tag == 'e')
		return TRUE;
	if (!read_exactly(reader, length, sizeof length, error))
		return FALSE;
	reader->length = get_le64(length);
	return TRUE;
}

static gboolean tag_is(const StreamRbdReader *reader, const char *tags)
{
	return reader->tag && strchr(tags, reader->tag);
}

/* Version 2: the record has just the length that its tag asks for. */
static gboolean length_check(StreamRbdReader *reader, guint64 length, GError **error)
{
	return reader->version == 1 || reader->length == length ||
	       damaged(reader, STORAGEOS_ERROR_CORRUPT, "a record has a wrong length", error);
}

static gboolean name_read(StreamRbdReader *reader, char **name, GError **error)
{
	guint8 prefix[4];
	guint32 length;

	if (!read_exactly(reader, prefix, sizeof prefix, error))
		return FALSE;
	length = get_le32(prefix);
	if (*name || length > NAME_MAX_BYTES)
		return damaged(reader, STORAGEOS_ERROR_CORRUPT,
			       "a snapshot's name is too long, or there twice", error);
	if (!length_check(reader, 4 + (guint64)length, error) ||
	    !read_exactly(reader, reader->buffer, length, error))
		return FALSE;
	*name = g_strndup((const char *)reader->buffer, length);
	return TRUE;
}

static gboolean size_read(StreamRbdReader *reader, GError **error)
{
	guint8 bytes[8];

	if (!length_check(reader, sizeof bytes, error) ||
	    !read_exactly(reader, bytes, sizeof bytes, error))
		return FALSE;
	reader->size = get_le64(bytes);
	if (reader->size >= VOLUME_SIZE_MIN && reader->size <= VOLUME_SIZE_MAX &&
	    reader->size % SECTOR_SIZE == 0)
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_INVALID,
			 "rbd-diff: no volume can have %" G_GUINT64_FORMAT
			 " bytes (1 MiB to 64 TiB, a multiple of 512)",
			 reader->size);
}

/* Skips what is unknown, and 'p': that has one byte, but older versions of Ceph (16) give it a
 * length of 8. */
static gboolean record_skip(StreamRbdReader *reader, GError **error)
{
	if (reader->tag != 'p')
		return skip(reader, reader->length, error);
	if (reader->length != 1 && reader->length != 8)
		return length_check(reader, 1, error);
	return skip(reader, 1, error);
}

/* Reads the banner, the records that describe the file, and the tag behind them. */
static gboolean head_read(StreamRbdReader *reader, StreamRbdHead *head, GError **error)
{
	guint8 banner[BANNER_SIZE];
	gboolean good = read_exactly(reader, banner, sizeof banner, error);

	if (!good)
		return FALSE;
	reader->version = !memcmp(banner, BANNER_1, sizeof banner)   ? 1
			  : !memcmp(banner, BANNER_2, sizeof banner) ? 2
								     : 0;
	if (!reader->version)
		return error_set(error, STORAGEOS_ERROR_INVALID, "not a file of `rbd export-diff`");
	while (good && (good = tag_read(reader, error))) {
		if (reader->tag == 'f')
			good = name_read(reader, &head->from, error);
		else if (reader->tag == 't')
			good = name_read(reader, &head->to, error);
		else if (reader->tag == 's')
			good = size_read(reader, error);
		else if (reader->version == 2 && !tag_is(reader, "wze"))
			good = record_skip(reader, error);
		else
			break;
	}
	head->size = reader->size;
	return good && (reader->size || damaged(reader, STORAGEOS_ERROR_CORRUPT,
						"the image's size is missing", error));
}

gboolean stream_rbd_reader_begin(StreamRbdReader *reader, StreamRbdHead *ret_head, GError **error)
{
	g_auto(StreamRbdHead) head = {0};

	if (!head_read(reader, &head, error))
		return FALSE;
	*ret_head = head;
	head = (StreamRbdHead){0};
	return TRUE;
}

/* Reads the place of a write or zero. */
static gboolean range_read(StreamRbdReader *reader, StreamRange *ret_range, GError **error)
{
	guint8 place[16];
	StreamRange range = {.offset = 0};

	if (!read_exactly(reader, place, sizeof place, error))
		return FALSE;
	range.offset = get_le64(place);
	range.length = get_le64(place + 8);
	if (range.length > reader->size || range.offset > reader->size - range.length)
		return damaged(reader, STORAGEOS_ERROR_CORRUPT, "a record is outside of the image",
			       error);
	if (!length_check(reader, sizeof place + (reader->tag == 'w' ? range.length : 0), error))
		return FALSE;
	if ((range.offset | range.length) % SECTOR_SIZE)
		return damaged(reader, STORAGEOS_ERROR_INVALID,
			       "a record is not of whole sectors of 512 bytes", error);
	*ret_range = range;
	return TRUE;
}

/* The next piece of the write that is under way. */
static gboolean data_read(StreamRbdReader *reader, StreamRange *ret_range, GError **error)
{
	guint64 length = MIN(reader->data.length, sizeof reader->buffer);

	if (!read_exactly(reader, reader->buffer, (gsize)length, error))
		return FALSE;
	*ret_range = (StreamRange){reader->data.offset, length, reader->buffer};
	reader->data.offset += length;
	reader->data.length -= length;
	return reader->data.length || tag_read(reader, error);
}

/* Reads the record whose tag was read: of a write its place alone, of others all. */
static gboolean record_read(StreamRbdReader *reader, StreamRange *ret_zeros, GError **error)
{
	if (reader->tag == 'z')
		return range_read(reader, ret_zeros, error) && tag_read(reader, error);
	if (reader->tag == 'w')
		return range_read(reader, &reader->data, error) &&
		       (reader->data.length || tag_read(reader, error));
	if (reader->version == 2 && !tag_is(reader, "fts"))
		return record_skip(reader, error) && tag_read(reader, error);
	return damaged(reader, STORAGEOS_ERROR_CORRUPT, "an unknown record, or one out of order",
		       error);
}

gboolean stream_rbd_reader_next(StreamRbdReader *reader, StreamRange *ret_range, GError **error)
{
	StreamRange zeros = {.length = 0};

	while (!reader->data.length && !zeros.length && reader->tag != 'e')
		if (!record_read(reader, &zeros, error))
			return FALSE;
	if (reader->data.length)
		return data_read(reader, ret_range, error);
	*ret_range = zeros;
	return TRUE;
}
