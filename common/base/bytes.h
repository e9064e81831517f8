/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integers at any address, and vectors of memory.
 *
 * An IovCursor walks a caller's iovec array without changing it, so that one request can be cut
 * into pieces that no allocation is needed for.
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

/* Big-endian, of `bytes` bytes: as SCSI has them. */
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
	gsize done;		 /* bytes of this element that lie behind */
} IovCursor;

static inline IovCursor iov_cursor(const struct iovec *iov, int count)
{
	return (IovCursor){.iov = iov, .count = count};
}

gsize iov_length(const struct iovec *iov, int count);

/* Moves on by `length` bytes (or to the end). */
void iov_advance(IovCursor *cursor, gsize length);

/* Describes the next `length` bytes in at most `max` elements of `out` and moves on by what was
 * described.  Returns the number of elements; *ret_length is how many bytes they hold (less than
 * `length` if `max` elements did not do). */
int iov_take(IovCursor *cursor, gsize length, struct iovec *out, int max, gsize *ret_length);

/* The next bytes as one piece: its start, and *length cut down to what is contiguous; moves on.
 * NULL at the end. */
void *iov_next(IovCursor *cursor, gsize *length);

/* Copy to or from the next `length` bytes, or zero them, and move on. */
void iov_copy_out(IovCursor *cursor, void *to, gsize length);
void iov_copy_in(IovCursor *cursor, const void *from, gsize length);
void iov_zero(IovCursor *cursor, gsize length);
