/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backing/file-room.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/bounds.h"

#define EXTENTS 32u

/* How many bytes of [offset, end) have space below by the file's map of extents, written or not.
 * FALSE: the file system has no such map. */
static gboolean count_mapped(int fd, guint64 offset, guint64 end, guint64 *ret_mapped)
{
	union {
		struct fiemap map;
		guint8 room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
	} answer;
	guint64 mapped = 0;

	while (offset < end) {
		answer.map = (struct fiemap){
			.fm_start = offset, .fm_length = end - offset, .fm_extent_count = EXTENTS};
		if (ioctl(fd, FS_IOC_FIEMAP, &answer.map))
			return FALSE;
		for (guint i = 0; i < answer.map.fm_mapped_extents; i++) {
			const struct fiemap_extent *extent = &answer.map.fm_extents[i];
			guint64 first = max_u64(extent->fe_logical, offset);
			guint64 last = min_u64(extent->fe_logical + extent->fe_length, end);

			mapped += last > first ? last - first : 0;
			offset = max_u64(offset, last);
		}
		if (answer.map.fm_mapped_extents < EXTENTS)
			break;
	}
	*ret_mapped = mapped;
	return TRUE;
}

/* How many bytes of [offset, offset + length) have no space below, as far as the file system tells.
 */
static guint64 count_holes(int fd, guint64 offset, guint64 length)
{
	off_t at = (off_t)offset, end = (off_t)(offset + length);
	guint64 holes = 0, mapped;

	if (count_mapped(fd, offset, offset + length, &mapped))
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
