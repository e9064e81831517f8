/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backing/file-room.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include "common/backing/file-allocate.h"
#include "common/base/bounds.h"

/* How many bytes of [offset, offset + length) have no space below, as far as the file system tells.
 */
static guint64 count_holes(int fd, guint64 offset, guint64 length)
{
	off_t at = (off_t)offset, end = (off_t)(offset + length);
	guint64 holes = 0, mapped;

	if (file_count_mapped(fd, offset, offset + length, 0, &mapped))
		return length - mapped;
	while (at < end) {
		off_t hole = lseek(fd, at, SEEK_HOLE), data;

		if (hole < 0 || hole >= end)
			break;
		data = lseek(fd, hole, SEEK_DATA);
		if (data < 0 || data > end) /* none up to the end of the file */
			data = end;
		holes += (guint64)(data - hole);
		at = data;
	}
	return holes;
}

int file_room_take(gint64 *room, int fd, guint64 offset, guint64 length, BackingFlags flags)
{
	gint64 holes;

	if (!room || __atomic_load_n(room, __ATOMIC_RELAXED) > BACKING_ROOM_NEAR)
		return 0;
	if (flags & BACKING_NOWAIT)
		return -EAGAIN;
	holes = (gint64)count_holes(fd, offset, length);
	if (!holes || __atomic_sub_fetch(room, holes, __ATOMIC_RELAXED) >= 0)
		return 0;
	__atomic_add_fetch(room, holes, __ATOMIC_RELAXED);
	return -ENOSPC;
}

guint64 file_room_available(const gint64 *room, int fd)
{
	gint64 most = room ? __atomic_load_n(room, __ATOMIC_RELAXED) : G_MAXINT64;
	struct statvfs fs;

	if (fstatvfs(fd, &fs) < 0)
		return G_MAXUINT64;
	return min_u64((guint64)fs.f_bavail * fs.f_frsize, (guint64)max_i64(most, 0));
}
