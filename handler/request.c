/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/request.h"

#include <errno.h>

#include "common/base/bytes.h"

#define PATTERN_SIZE (64u << 10)
#define PATTERN_PIECES (VOLUME_ATOMIC_MAX / PATTERN_SIZE)
#define COMPARE_PIECES 80 /* room for 255 blocks in pages, and some more */
#define VERIFY_SIZE (256u << 10)

static const struct {
	const char *name;
	MetricsKind metrics;
	gboolean reads;
} kinds[] = {
	[REQUEST_NOTHING] = {"nothing", METRICS_UNCOUNTED, FALSE},
	[REQUEST_READ] = {"read", METRICS_READ, TRUE},
	[REQUEST_WRITE] = {"write", METRICS_WRITE, FALSE},
	[REQUEST_FLUSH] = {"flush", METRICS_FLUSH, FALSE},
	[REQUEST_ZERO] = {"zero", METRICS_DISCARD, FALSE},
	[REQUEST_WRITE_SAME] = {"write same", METRICS_WRITE, FALSE},
	[REQUEST_COMPARE_AND_WRITE] = {"compare and write", METRICS_COMPARE_AND_WRITE, FALSE},
	[REQUEST_VERIFY] = {"verify", METRICS_READ, TRUE},
	[REQUEST_COMPARE] = {"compare", METRICS_READ, TRUE},
	[REQUEST_COMPARE_SAME] = {"compare with one block", METRICS_READ, TRUE},
	[REQUEST_WRITE_AND_VERIFY] = {"write and verify", METRICS_WRITE, FALSE},
	[REQUEST_OR] = {"or", METRICS_WRITE, FALSE},
	[REQUEST_SANITIZE] = {"sanitize", METRICS_DISCARD, FALSE},
};

const char *request_name(const Request *request)
{
	return request->kind == REQUEST_CALL ? request->call->name : kinds[request->kind].name;
}

MetricsKind request_metrics_kind(const Request *request)
{
	return request->kind == REQUEST_CALL ? request->call->metrics
					     : kinds[request->kind].metrics;
}

guint64 request_bytes(const Request *request)
{
	return request->kind == REQUEST_CALL ? request->bytes : request->length;
}

gboolean request_reads(const Request *request)
{
	return request->kind == REQUEST_CALL ? request->call->answers : kinds[request->kind].reads;
}

gboolean request_returns_data(const Request *request)
{
	return request->kind == REQUEST_READ ||
	       (request->kind == REQUEST_CALL && request->call->answers);
}

/* Fills the range with the pattern, 1 MiB at a time; all entries of a vector are the same memory.
 */
static int write_pattern(Volume *volume, guint8 *pattern, const Request *request, gint64 deadline,
			 guint64 *ret_position)
{
	struct iovec iov[PATTERN_PIECES];
	guint64 done = 0;

	while (done < request->length) {
		guint64 left = MIN(request->length - done, VOLUME_ATOMIC_MAX);
		guint64 offset = request->offset + done;
		int n = 0, result;

		if (g_get_monotonic_time() > deadline)
			return -ETIMEDOUT;
		done += left;
		for (; left; n++) {
			iov[n].iov_base = pattern;
			iov[n].iov_len = MIN(left, PATTERN_SIZE);
			left -= iov[n].iov_len;
		}
		result = volume_write(volume, iov, n, offset, ret_position);
		if (result)
			return result;
	}
	return 0;
}

/* Allocates 64 KiB: the command is rare, and each thread carries out one at a time. */
static int write_same(Volume *volume, const Request *request, gint64 deadline,
		      guint64 *ret_position)
{
	g_autofree guint8 *pattern = NULL;
	gsize block = iov_length(request->iov, (int)request->count);
	IovCursor cursor = iov_cursor(request->iov, (int)request->count);
	guint64 size = volume_size(volume);

	if (!block || PATTERN_SIZE % block || request->length % block)
		return -EINVAL;
	if (request->offset > size || request->length > size - request->offset)
		return -EINVAL; /* write nothing rather than the part inside the volume */
	pattern = g_try_malloc(PATTERN_SIZE);
	if (!pattern)
		return -ENOMEM;
	iov_copy_out(&cursor, pattern, block);
	for (gsize filled = block; filled < PATTERN_SIZE; filled += block)
		memcpy(pattern + filled, pattern, block);
	return write_pattern(volume, pattern, request, deadline, ret_position);
}

static int compare_and_write(Volume *volume, const Request *request, guint64 *ret_position)
{
	struct iovec few[2 * COMPARE_PIECES];
	g_autofree struct iovec *many = NULL;
	struct iovec *expected = few, *data;
	IovCursor cursor = iov_cursor(request->iov, (int)request->count);
	gsize expected_length, data_length;
	int max = COMPARE_PIECES, n_expected, n_data;

	if (request->count >= COMPARE_PIECES) {
		max = (int)request->count + 1;
		expected = many = g_try_new(struct iovec, 2 * (gsize)max);
		if (!many)
			return -ENOMEM;
	}
	data = expected + max;
	n_expected = iov_take(&cursor, request->length, expected, max, &expected_length);
	n_data = iov_take(&cursor, request->length, data, max, &data_length);
	if (expected_length != request->length || data_length != request->length)
		return -EINVAL;
	return volume_compare_and_write(volume, expected, n_expected, data, n_data, request->offset,
					ret_position);
}

/* ---- verifying */

/* The offset of the first byte where `have` differs from the data at `expected`; `length` if none
 * does. */
static gsize first_difference(IovCursor *expected, const guint8 *have, gsize length)
{
	for (gsize at = 0; at < length;) {
		gsize n = length - at;
		const guint8 *want = iov_next(expected, &n);

		if (!want)
			return at;
		for (gsize i = 0; memcmp(have + at, want, n) && i < n; i++)
			if (have[at + i] != want[i])
				return at + i;
		at += n;
	}
	return length;
}

/* The same, comparing each block with the request's one block of data. */
static gsize first_difference_same(const Request *request, const guint8 *have, gsize length)
{
	gsize block = iov_length(request->iov, (int)request->count), same = block;

	for (gsize at = 0; at < length; at += block) {
		IovCursor expected = iov_cursor(request->iov, (int)request->count);

		same = first_difference(&expected, have + at, block);
		if (same < block)
			return at + same;
	}
	return length;
}

/* Reads the whole range and compares it with the request's data as the request's kind says. */
static int verify(Volume *volume, const Request *request, gint64 deadline, guint64 *ret_position)
{
	g_autofree guint8 *have = g_try_malloc(VERIFY_SIZE);
	IovCursor expected = iov_cursor(request->iov, (int)request->count);
	gsize piece;

	if (!have)
		return -ENOMEM;
	for (guint64 done = 0; done < request->length; done += piece) {
		struct iovec iov = {have, MIN(request->length - done, VERIFY_SIZE)};
		gsize same;
		int r;

		piece = same = iov.iov_len;
		if (g_get_monotonic_time() > deadline)
			return -ETIMEDOUT;
		r = volume_read(volume, &iov, 1, request->offset + done, ret_position);
		if (r)
			return r;
		if (request->kind == REQUEST_COMPARE_SAME)
			same = first_difference_same(request, have, piece);
		else if (request->kind != REQUEST_VERIFY)
			same = first_difference(&expected, have, piece);
		if (same < piece) {
			*ret_position = request->offset + done + same;
			return -EILSEQ;
		}
	}
	return 0;
}

static int write_and_verify(Volume *volume, const Request *request, gint64 deadline,
			    guint64 *ret_position)
{
	int r = volume_write(volume, request->iov, (int)request->count, request->offset,
			     ret_position);

	if (!r)
		r = volume_flush(volume);
	return r ? r : verify(volume, request, deadline, ret_position);
}

/* The data is one block, whose length must divide the range's. */
static int compare_same(Volume *volume, const Request *request, gint64 deadline,
			guint64 *ret_position)
{
	gsize block = iov_length(request->iov, (int)request->count);

	if (!block || VERIFY_SIZE % block || request->length % block)
		return -EINVAL;
	return verify(volume, request, deadline, ret_position);
}

int request_execute(const Request *request, Volume *volume, gint64 deadline, guint64 *ret_position)
{
	if (request->count > G_MAXINT)
		return -EINVAL;
	switch (request->kind) {
	case REQUEST_NOTHING:
		return 0;
	case REQUEST_READ:
		return volume_read(volume, request->iov, (int)request->count, request->offset,
				   ret_position);
	case REQUEST_WRITE:
		return volume_write(volume, request->iov, (int)request->count, request->offset,
				    ret_position);
	case REQUEST_FLUSH:
		return volume_flush(volume);
	case REQUEST_ZERO:
		return volume_zero(volume, request->offset, request->length);
	case REQUEST_WRITE_SAME:
		return write_same(volume, request, deadline, ret_position);
	case REQUEST_COMPARE_AND_WRITE:
		return compare_and_write(volume, request, ret_position);
	case REQUEST_VERIFY:
	case REQUEST_COMPARE:
		return verify(volume, request, deadline, ret_position);
	case REQUEST_COMPARE_SAME:
		return compare_same(volume, request, deadline, ret_position);
	case REQUEST_WRITE_AND_VERIFY:
		return write_and_verify(volume, request, deadline, ret_position);
	case REQUEST_OR:
		return volume_or(volume, request->iov, (int)request->count, request->offset,
				 ret_position);
	case REQUEST_CALL:
		return request->call->run(request, volume, deadline, ret_position);
	case REQUEST_SANITIZE:
		break;
	}
	return -EINVAL;
}
