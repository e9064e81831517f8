/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/request.h"

#include <errno.h>

#include "common/bytes.h"

#define PATTERN_SIZE (64u << 10)
#define PATTERN_PIECES (VOLUME_ATOMIC_MAX / PATTERN_SIZE)
#define COMPARE_PIECES 16
#define UNMAP_HEADER 8
#define UNMAP_DESCRIPTOR 16

const char *request_name(RequestKind kind)
{
	switch (kind) {
	case REQUEST_READ:
		return "read";
	case REQUEST_WRITE:
		return "write";
	case REQUEST_FLUSH:
		return "flush";
	case REQUEST_ZERO:
		return "zero";
	case REQUEST_UNMAP:
		return "unmap";
	case REQUEST_WRITE_SAME:
		return "write same";
	case REQUEST_COMPARE_AND_WRITE:
		return "compare and write";
	}
	return "?";
}

MetricsKind request_metrics_kind(RequestKind kind)
{
	switch (kind) {
	case REQUEST_READ:
		return METRICS_READ;
	case REQUEST_WRITE:
	case REQUEST_WRITE_SAME:
		return METRICS_WRITE;
	case REQUEST_ZERO:
	case REQUEST_UNMAP:
		return METRICS_DISCARD;
	case REQUEST_COMPARE_AND_WRITE:
		return METRICS_COMPARE_AND_WRITE;
	case REQUEST_FLUSH:
		return METRICS_FLUSH;
	}
	return METRICS_FLUSH;
}

gboolean request_reads(RequestKind kind)
{
	return kind == REQUEST_READ;
}

static gboolean all_zero(const guint8 *data, gsize length)
{
	return !data[0] && !memcmp(data, data + 1, length - 1);
}

/* Writes the pattern again and again: 1 MiB at a time, of which every piece is the same memory. */
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
			return -EIO;
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

/* Allocates, once for a command that is rare, at most once for each thread at a time. */
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
		return -EINVAL; /* nothing of it, rather than what comes before the end */
	pattern = g_try_malloc(PATTERN_SIZE);
	if (!pattern)
		return -ENOMEM;
	iov_copy_out(&cursor, pattern, block);
	if (all_zero(pattern, block))
		return volume_zero(volume, request->offset, request->length);
	for (gsize filled = block; filled < PATTERN_SIZE; filled += block)
		memcpy(pattern + filled, pattern, block);
	return write_pattern(volume, pattern, request, deadline, ret_position);
}

gboolean request_unmap_is_valid(const Request *request)
{
	guint8 header[UNMAP_HEADER];
	gsize length = iov_length(request->iov, (int)request->count);
	IovCursor cursor = iov_cursor(request->iov, (int)request->count);
	guint64 descriptors;

	if (length < sizeof header)
		return FALSE;
	iov_copy_out(&cursor, header, sizeof header);
	descriptors = get_be(header + 2, 2);
	return descriptors % UNMAP_DESCRIPTOR == 0 && descriptors <= length - sizeof header &&
	       descriptors / UNMAP_DESCRIPTOR <= REQUEST_UNMAP_DESCRIPTORS &&
	       get_be(header, 2) >= sizeof header - 2 + descriptors;
}

static int unmap(Volume *volume, const Request *request, gint64 deadline)
{
	guint8 descriptor[UNMAP_DESCRIPTOR], header[UNMAP_HEADER];
	IovCursor cursor = iov_cursor(request->iov, (int)request->count);
	guint64 blocks = volume_size(volume) / request->block_size;
	guint64 left;
	int result = 0;

	iov_copy_out(&cursor, header, sizeof header);
	for (left = get_be(header + 2, 2); left && !result; left -= UNMAP_DESCRIPTOR) {
		guint64 lba, n;

		iov_copy_out(&cursor, descriptor, sizeof descriptor);
		lba = get_be(descriptor, 8);
		n = get_be(descriptor + 8, 4);
		if (lba > blocks || n > blocks - lba)
			return -EINVAL;
		if (g_get_monotonic_time() > deadline)
			return -EIO;
		if (n)
			result = volume_discard(volume, lba * request->block_size,
						n * request->block_size);
	}
	return result;
}

/* The runner takes one block only, so that the data is in a few pieces of memory at most. */
static int compare_and_write(Volume *volume, const Request *request, guint64 *ret_position)
{
	struct iovec expected[COMPARE_PIECES], data[COMPARE_PIECES];
	IovCursor cursor = iov_cursor(request->iov, (int)request->count);
	gsize expected_length, data_length;
	int n_expected =
		iov_take(&cursor, request->length, expected, COMPARE_PIECES, &expected_length);
	int n_data = iov_take(&cursor, request->length, data, COMPARE_PIECES, &data_length);

	if (expected_length != request->length || data_length != request->length)
		return -EINVAL;
	return volume_compare_and_write(volume, expected, n_expected, data, n_data, request->offset,
					ret_position);
}

int request_execute(const Request *request, Volume *volume, gint64 deadline, guint64 *ret_position)
{
	if (request->count > G_MAXINT)
		return -EINVAL;
	switch (request->kind) {
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
	case REQUEST_UNMAP:
		return unmap(volume, request, deadline);
	case REQUEST_WRITE_SAME:
		return write_same(volume, request, deadline, ret_position);
	case REQUEST_COMPARE_AND_WRITE:
		return compare_and_write(volume, request, ret_position);
	}
	return -EINVAL;
}
