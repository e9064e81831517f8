/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Changes whose outcome depends on what the blocks hold: each reads and writes its range while it
 * holds the range.
 */
#include "common/engine/volume-private.h"

#include <errno.h>

/* Compares the next bytes of `expected` with `have`.  Returns the index of the first byte that
 * differs, or `length`. */
static gsize compare_bytes(IovCursor *expected, const guint8 *have, gsize length)
{
	for (gsize at = 0; at < length;) {
		gsize n = length - at;
		const guint8 *want = iov_next(expected, &n);

		for (gsize i = 0; memcmp(have + at, want, n) && i < n; i++)
			if (have[at + i] != want[i])
				return at + i;
		at += n;
	}
	return length;
}

/* 0 if the volume holds the expected bytes at `offset`; -EILSEQ if not, with the first byte that
 * differs in *ret_offset.  The caller holds the range. */
static int compare_held(Volume *volume, IovCursor expected, guint64 offset, gsize length,
			guint64 *ret_offset)
{
	guint8 have[8 * BLOCK_SIZE];

	while (length) {
		gsize piece = MIN(length, sizeof have), same;
		struct iovec iov = {have, piece};
		IovCursor to = iov_cursor(&iov, 1);
		int r = volume_read_piece(volume, &to, offset, piece, BACKING_WAIT, ret_offset);

		if (r)
			return r;
		same = compare_bytes(&expected, have, piece);
		if (same < piece) {
			if (ret_offset)
				*ret_offset = offset + same;
			return -EILSEQ;
		}
		offset += piece;
		length -= piece;
	}
	return 0;
}

int volume_compare_and_write(Volume *volume, const struct iovec *expected, int expected_count,
			     const struct iovec *data, int data_count, guint64 offset,
			     guint64 *ret_offset)
{
	gsize length = iov_length(data, data_count);
	IovCursor from = iov_cursor(data, data_count);
	RangeHold hold;
	int r = volume_check_range(volume, offset, length);

	if (iov_length(expected, expected_count) != length || length > VOLUME_ATOMIC_MAX)
		r = -EINVAL;
	if (!r && length)
		r = volume_throttle(volume, length, 1, FALSE);
	if (r || !length)
		return r;
	ranges_hold(&volume->ranges, &hold, block_of(offset), block_of(offset + length - 1), FALSE);
	r = compare_held(volume, iov_cursor(expected, expected_count), offset, length, ret_offset);
	if (!r)
		r = volume_write_held(volume, &from, offset, length, FALSE, ret_offset);
	ranges_release(&volume->ranges, &hold);
	return r;
}

static void or_into(guint8 *to, IovCursor *from, gsize length)
{
	for (gsize at = 0; at < length;) {
		gsize n = length - at;
		const guint8 *bits = iov_next(from, &n);

		for (gsize i = 0; i < n; i++)
			to[at + i] |= bits[i];
		at += n;
	}
}

/* Sets the bits of one piece, at most VOLUME_ATOMIC_MAX bytes; `whole` has room for it. */
static int or_piece(Volume *volume, IovCursor *from, guint8 *whole, guint64 offset, gsize length,
		    guint64 *ret_offset)
{
	struct iovec iov = {whole, length};
	IovCursor to = iov_cursor(&iov, 1), result = to;
	RangeHold hold;
	int r = volume_throttle(volume, length, 1, FALSE);

	if (r)
		return r;
	ranges_hold(&volume->ranges, &hold, block_of(offset), block_of(offset + length - 1), FALSE);
	r = volume_read_piece(volume, &to, offset, length, BACKING_WAIT, ret_offset);
	if (!r) {
		or_into(whole, from, length);
		r = volume_write_held(volume, &result, offset, length, FALSE, ret_offset);
	}
	ranges_release(&volume->ranges, &hold);
	return r;
}

int volume_or(Volume *volume, const struct iovec *iov, int count, guint64 offset,
	      guint64 *ret_offset)
{
	gsize length = iov_length(iov, count);
	IovCursor from = iov_cursor(iov, count);
	g_autofree guint8 *whole = NULL;
	int r = volume_check_range(volume, offset, length);

	if (!r)
		r = volume_check_writable(volume);
	if (r || !length)
		return r;
	whole = g_try_malloc(MIN(length, VOLUME_ATOMIC_MAX));
	if (!whole)
		return -ENOMEM;
	while (length && !r) {
		gsize piece = MIN(length, VOLUME_ATOMIC_MAX);

		r = or_piece(volume, &from, whole, offset, piece, ret_offset);
		offset += piece;
		length -= piece;
	}
	return r;
}
