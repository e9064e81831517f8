/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/medium-private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h> /* BLKGETSIZE64 */
#undef BLOCK_SIZE     /* another one */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"

#define POLL_MS 100

const char *medium_state_name(MediumState state)
{
	static const char *const names[] = {"data", "zero", "hole"};

	return names[state];
}

/* ---- volumes */

typedef struct {
	Medium base;
	Volume *volume;
	gboolean borrowed;
} VolumeMedium;

static Volume *volume_of(Medium *medium)
{
	return ((VolumeMedium *)medium)->volume;
}

static gboolean volume_fail(int result, const char *what, guint64 offset, GError **error)
{
	if (result == -EBADMSG)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "the block at byte %" G_GUINT64_FORMAT " is damaged", offset);
	return error_set_errno(error, -result, "%s at byte %" G_GUINT64_FORMAT, what, offset);
}

static gboolean volume_medium_extent(Medium *medium, guint64 offset, MediumState *ret_state,
				     guint64 *ret_length, GError **error)
{
	gboolean mapped;
	int r = volume_extent(volume_of(medium), offset, &mapped, ret_length);

	if (r)
		return volume_fail(r, "read the map", offset, error);
	*ret_state = mapped ? MEDIUM_DATA : MEDIUM_HOLE;
	return TRUE;
}

static gboolean volume_medium_read(Medium *medium, guint thread, guint8 *buffer, gsize length,
				   guint64 offset, GError **error)
{
	struct iovec iov = {buffer, length};
	guint64 at = offset;
	int r = volume_read(volume_of(medium), &iov, 1, offset, &at);

	(void)thread;
	return !r || volume_fail(r, "read", at, error);
}

static gboolean volume_medium_write(Medium *medium, guint thread, const guint8 *buffer,
				    gsize length, guint64 offset, GError **error)
{
	struct iovec iov = {(guint8 *)buffer, length};
	guint64 at = offset;
	int r = volume_write(volume_of(medium), &iov, 1, offset, &at);

	(void)thread;
	return !r || volume_fail(r, "write", at, error);
}

static gboolean volume_medium_flush(Medium *medium, GError **error)
{
	int r = volume_flush(volume_of(medium));

	return !r || error_set_errno(error, -r, "flush the volume");
}

static gboolean volume_medium_close(Medium *medium, GError **error)
{
	VolumeMedium *of = (VolumeMedium *)medium;
	gboolean good = of->borrowed || volume_close(of->volume, error);

	g_free(of);
	return good;
}

static Medium *volume_medium_new(Volume *volume, gboolean borrowed)
{
	static const MediumOps ops = {
		.extent = volume_medium_extent,
		.read = volume_medium_read,
		.write = volume_medium_write,
		.flush = volume_medium_flush,
		.close = volume_medium_close,
	};
	VolumeMedium *medium = g_new0(VolumeMedium, 1);

	medium->base = (Medium){&ops, volume_size(volume)};
	medium->volume = volume;
	medium->borrowed = borrowed;
	return &medium->base;
}

Medium *medium_new_of_volume(Volume *volume)
{
	return volume_medium_new(volume, FALSE);
}

Medium *medium_new_in_volume(Volume *volume)
{
	return volume_medium_new(volume, TRUE);
}

/* ---- files and pipes */

typedef struct {
	Medium base;
	char *path;
	int fd;
	gint stopped;
} FileMedium;

static gboolean file_extent(Medium *medium, guint64 offset, MediumState *ret_state,
			    guint64 *ret_length, GError **error)
{
	const FileMedium *of = (FileMedium *)medium;
	off_t data = lseek(of->fd, (off_t)offset, SEEK_DATA);
	guint64 end = medium->size;

	(void)error;
	*ret_state = MEDIUM_DATA;
	if (data < 0 && errno == ENXIO)
		*ret_state = MEDIUM_HOLE;
	else if (data >= 0 && (guint64)data > offset) {
		*ret_state = MEDIUM_HOLE;
		end = (guint64)data;
	} else if (data >= 0) {
		off_t hole = lseek(of->fd, (off_t)offset, SEEK_HOLE);

		end = hole > (off_t)offset ? (guint64)hole : end;
	} /* otherwise nothing is known of holes, as of a block device: all is data */
	*ret_length = MIN(end, medium->size) - offset;
	return TRUE;
}

static gboolean file_read(Medium *medium, guint thread, guint8 *buffer, gsize length,
			  guint64 offset, GError **error)
{
	const FileMedium *of = (FileMedium *)medium;

	(void)thread;
	while (length) {
		ssize_t n = pread(of->fd, buffer, length, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(error, errno, "%s: read at byte %" G_GUINT64_FORMAT,
					       of->path, offset);
		if (!n)
			return error_set(error, STORAGEOS_ERROR_IO,
					 "%s ends at byte %" G_GUINT64_FORMAT
					 " now: it was cut while it was read",
					 of->path, offset);
		buffer += n;
		offset += (guint64)n;
		length -= (gsize)n;
	}
	return TRUE;
}

static gboolean file_close(Medium *medium, GError **error)
{
	FileMedium *of = (FileMedium *)medium;

	(void)error;
	if (of->path)
		close(of->fd);
	g_free(of->path);
	g_free(of);
	return TRUE;
}

Medium *medium_new_of_file(int fd, const char *path, GError **error)
{
	static const MediumOps ops = {
		.extent = file_extent, .read = file_read, .close = file_close};
	FileMedium *medium = g_new0(FileMedium, 1);
	struct stat st;
	gboolean good = !fstat(fd, &st);

	medium->base.ops = &ops;
	medium->path = g_strdup(path);
	medium->fd = fd;
	if (good && S_ISBLK(st.st_mode))
		good = !ioctl(fd, BLKGETSIZE64, &medium->base.size);
	else if (good)
		medium->base.size = (guint64)st.st_size;
	if (good && (S_ISBLK(st.st_mode) || S_ISREG(st.st_mode)))
		return &medium->base;
	if (good)
		error_set(error, STORAGEOS_ERROR_INVALID, "%s is neither a file nor a block device",
			  path);
	else
		error_set_errno(error, errno, "%s", path);
	file_close(&medium->base, NULL);
	return NULL;
}

static void pipe_stop(Medium *medium)
{
	g_atomic_int_set(&((FileMedium *)medium)->stopped, TRUE);
}

Medium *medium_new_of_pipe(int fd)
{
	static const MediumOps ops = {.stop = pipe_stop, .close = file_close};
	FileMedium *medium = g_new0(FileMedium, 1);

	medium->base = (Medium){&ops, G_MAXUINT64};
	medium->fd = fd;
	return &medium->base;
}

gboolean medium_next(Medium *medium, guint8 *buffer, gsize length, gsize *ret_length,
		     GError **error)
{
	FileMedium *of = (FileMedium *)medium;
	gsize done = 0;

	while (done < length) {
		struct pollfd waiting = {.fd = of->fd, .events = POLLIN};
		ssize_t n;

		if (g_atomic_int_get(&of->stopped))
			return error_set(error, STORAGEOS_ERROR_BUSY, "interrupted");
		if (poll(&waiting, 1, POLL_MS) <= 0)
			continue;
		n = read(of->fd, buffer + done, length - done);
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return error_set_errno(error, errno, "read standard input");
		if (!n)
			break;
		done += n > 0 ? (gsize)n : 0;
	}
	*ret_length = done;
	return TRUE;
}

/* ---- all */

guint64 medium_size(const Medium *medium)
{
	return medium->size;
}

gboolean medium_is_pipe(const Medium *medium)
{
	return medium->size == G_MAXUINT64;
}

gboolean medium_extent(Medium *medium, guint64 offset, MediumState *ret_state, guint64 *ret_length,
		       GError **error)
{
	return medium->ops->extent(medium, offset, ret_state, ret_length, error);
}

gboolean medium_read(Medium *medium, guint thread, guint8 *buffer, gsize length, guint64 offset,
		     GError **error)
{
	return medium->ops->read(medium, thread, buffer, length, offset, error);
}

gboolean medium_write(Medium *medium, guint thread, const guint8 *buffer, gsize length,
		      guint64 offset, GError **error)
{
	return medium->ops->write(medium, thread, buffer, length, offset, error);
}

gboolean medium_flush(Medium *medium, GError **error)
{
	return medium->ops->flush(medium, error);
}

void medium_stop(Medium *medium)
{
	if (medium->ops->stop)
		medium->ops->stop(medium);
}

gboolean medium_close(Medium *medium, GError **error)
{
	return !medium || medium->ops->close(medium, error);
}

void medium_free(Medium *medium)
{
	medium_close(medium, NULL);
}
