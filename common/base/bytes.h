/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unaligned integers, and arrays of struct iovec.
 *
 * An IovCursor walks a caller's iovec array without changing it, so that a request can be split
 * into pieces without allocating memory.
 */
#pragma once

#include <glib.h>
#include <string.h>
#include <sys/uio.h>

static inline guint16 get_le16(const void *p)
{
	guint16 v;
	memcpy(&v, p, sizeof v);
	return GUINT16_FROM_LE(v);
}

static inline guint32 get_le32(const void *p)
{
	guint32 v;
	memcpy(&v, p, sizeof v);
	return GUINT32_FROM_LE(v);
}

static inline guint64 get_le64(const void *p)
{
	guint64 v;
	memcpy(&v, p, sizeof v);
	return GUINT64_FROM_LE(v);
}

static inline void put_le16(void *p, guint16 v)
{
	v = GUINT16_TO_LE(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_le32(void *p, guint32 v)
{
	v = GUINT32_TO_LE(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_le64(void *p, guint64 v)
{
	v = GUINT64_TO_LE(v);
	memcpy(p, &v, sizeof v);
}

/* Big-endian integers of `bytes` bytes, as in SCSI commands. */
static inline guint64 get_be(const void *p, guint bytes)
{
	const guint8 *at = (const guint8 *)p;
	guint64 v = 0;

	while (bytes--)
		v = v << 8 | *at++;
	return v;
}

static inline void put_be(void *p, guint64 v, guint bytes)
{
	guint8 *at = (guint8 *)p;

	while (bytes--) {
		at[bytes] = (guint8)v;
		v >>= 8;
	}
}

typedef struct {
	const struct iovec *iov; /* the element that the cursor is in */
	int count;		 /* elements left, this one included */
	gsize done;		 /* bytes of this element that were passed */
} IovCursor;

static inline IovCursor iov_cursor(const struct iovec *iov, int count)
{
	return (IovCursor){.iov = iov, .count = count};
}

/* The sum of the elements' lengths, in bytes. */
gsize iov_length(const struct iovec *iov, int count);

/* Moves the cursor by `length` bytes, or to the end if fewer are left. */
void iov_advance(IovCursor *cursor, gsize length);

/* Stores the next `length` bytes as at most `max` elements in `out`, and moves the cursor by the
 * bytes stored.  Returns the number of elements; *ret_length is their total length, less than
 * `length` if `max` elements do not suffice or the end comes first. */
int iov_take(IovCursor *cursor, gsize length, struct iovec *out, int max, gsize *ret_length);

/* The start of the next contiguous piece; NULL at the end.  Reduces *length to the length of the
 * piece, and moves the cursor by it. */
void *iov_next(IovCursor *cursor, gsize *length);

/* Copy the next `length` bytes out to `to`, copy `from` into them, or zero them; then move the
 * cursor by `length`. */
void iov_copy_out(IovCursor *cursor, void *to, gsize length);
void iov_copy_in(IovCursor *cursor, const void *from, gsize length);
void iov_zero(IovCursor *cursor, gsize length);
