/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/file.h"

#include <errno.h>

#include "common/base/bounds.h"

static guint64 sector_start(guint64 offset)
{
	return offset - offset % SECTOR_SIZE;
}

int file_read(Volume *volume, FileReader reader, guint8 *room, gsize size, guint64 offset,
	      const guint8 **ret_data)
{
	guint64 start = sector_start(offset);
	guint64 end = sector_start(offset + size + SECTOR_SIZE - 1);
	struct iovec iov = {.iov_base = room, .iov_len = end - start};
	int r = size ? reader(volume, &iov, 1, start, NULL) : 0;

	if (r == 0)
		*ret_data = room + (offset - start);
	return r;
}

/* Replaces `size` bytes at `at` in the sector at `start`; `data` NULL: by zeros.  A turn of the
 * loop fails only if another write to the sector has succeeded in between, so all writers together
 * make progress. */
static int sector_change_part(Volume *volume, guint64 start, gsize at, gsize size,
			      const guint8 *data)
{
	guint8 before[SECTOR_SIZE], after[SECTOR_SIZE];
	struct iovec expected = {.iov_base = before, .iov_len = sizeof before};
	struct iovec wanted = {.iov_base = after, .iov_len = sizeof after};
	int r;

	do {
		r = volume_read(volume, &expected, 1, start, NULL);
		if (r)
			return r;
		memcpy(after, before, sizeof after);
		if (data)
			memcpy(after + at, data, size);
		else
			memset(after + at, 0, size);
		r = volume_compare_and_write(volume, &expected, 1, &wanted, 1, start, NULL);
	} while (r == -EILSEQ || r == -ETIMEDOUT);
	return r;
}

/* A request of the kernel's FUSE has no time-out, so -ETIMEDOUT is repeated until the disk is done.
 */
static int sectors_change(Volume *volume, guint64 start, guint64 length, const guint8 *data)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = length};
	int r;

	do {
		r = data ? volume_write(volume, &iov, 1, start, NULL)
			 : volume_zero(volume, start, length);
	} while (r == -ETIMEDOUT);
	return r;
}

/* Part of a sector, then whole sectors, then part of a sector, as far as the range has them. */
static int range_change(Volume *volume, guint64 offset, guint64 length, const guint8 *data)
{
	while (length > 0) {
		guint64 at = offset % SECTOR_SIZE, step;
		int r;

		if (at > 0 || length < SECTOR_SIZE) {
			step = MIN(SECTOR_SIZE - at, length);
			r = sector_change_part(volume, offset - at, at, step, data);
		} else {
			step = sector_start(length);
			r = sectors_change(volume, offset, step, data);
		}
		if (r)
			return r;
		offset += step;
		length -= step;
		data = data ? data + step : NULL;
	}
	return 0;
}

int file_write(Volume *volume, const void *data, gsize size, guint64 offset)
{
	return range_change(volume, offset, size, data);
}

int file_write_nowait(Volume *volume, const void *data, gsize size, guint64 offset)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = size};

	if (offset % SECTOR_SIZE || size % SECTOR_SIZE)
		return -EAGAIN;
	return volume_write_nowait(volume, &iov, 1, offset, NULL);
}

int file_zero(Volume *volume, guint64 offset, guint64 length)
{
	return range_change(volume, offset, length, NULL);
}

int file_seek(Volume *volume, guint64 offset, gboolean mapped, guint64 *ret_offset)
{
	guint64 size = volume_size(volume), at = sector_start(offset), length = 0;
	gboolean here = !mapped;
	int r = 0;

	if (offset >= size)
		return -ENXIO;
	while (!r && at < size && here != mapped) {
		at += length;
		r = at < size ? volume_extent(volume, at, &here, &length) : 0;
	}
	if (r)
		return r;
	if (at >= size && mapped)
		return -ENXIO;
	*ret_offset = max_u64(offset, at);
	return 0;
}
