/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backing/file-copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h> /* FICLONE */
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"

#define PIECE ((gsize)1 << 20)

typedef struct {
	const char *source_name, *target_name;
	int source, target;
	guint64 size;
	guint64 done, all;    /* bytes that are copied or compared, and that must be */
	char *buffer, *other; /* of PIECE bytes */
	FileCopyProgress progress;
	gpointer data;
} Copying;

/* Bytes [offset, offset + length), which are data. */
typedef gboolean (*PieceFunction)(Copying *copying, off_t offset, gsize length, GError **error);

static gboolean piece_read(const Copying *copying, gboolean of_target, char *buffer, off_t offset,
			   gsize length, GError **error)
{
	const char *name = of_target ? copying->target_name : copying->source_name;
	int fd = of_target ? copying->target : copying->source;

	while (length) {
		ssize_t n = pread(fd, buffer, length, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(error, errno, "read %s", name);
		if (!n)
			return error_set(error, STORAGEOS_ERROR_IO, "%s is shorter than before",
					 name);
		buffer += n;
		offset += n;
		length -= (gsize)n;
	}
	return TRUE;
}

static gboolean piece_copy(Copying *copying, off_t offset, gsize length, GError **error)
{
	const char *from = copying->buffer;

	if (!piece_read(copying, FALSE, copying->buffer, offset, length, error))
		return FALSE;
	while (length) {
		ssize_t n = pwrite(copying->target, from, length, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set_errno(error, errno, "write %s", copying->target_name);
		from += n;
		offset += n;
		length -= (gsize)n;
	}
	return TRUE;
}

static gboolean piece_compare(Copying *copying, off_t offset, gsize length, GError **error)
{
	if (!piece_read(copying, FALSE, copying->buffer, offset, length, error) ||
	    !piece_read(copying, TRUE, copying->other, offset, length, error))
		return FALSE;
	return !memcmp(copying->buffer, copying->other, length) ||
	       error_set(error, STORAGEOS_ERROR_CORRUPT,
			 "%s is not what was written: bytes %" G_GINT64_FORMAT
			 " to %" G_GINT64_FORMAT " differ from %s",
			 copying->target_name, (gint64)offset, (gint64)offset + (gint64)length,
			 copying->source_name);
}

static gboolean range_visit(Copying *copying, off_t offset, off_t end, PieceFunction function,
			    GError **error)
{
	while (offset < end) {
		gsize length = (gsize)MIN((guint64)(end - offset), (guint64)PIECE);

		if (!function(copying, offset, length, error))
			return FALSE;
		copying->done += length;
		if (copying->progress &&
		    !copying->progress(copying->done, copying->all, copying->data, error))
			return FALSE;
		offset += (off_t)length;
	}
	return TRUE;
}

/* Calls the function for what is data in the source; without one, only counts its bytes in `all`.
 */
static gboolean data_visit(Copying *copying, PieceFunction function, GError **error)
{
	off_t end = 0;

	for (;;) {
		off_t offset = lseek(copying->source, end, SEEK_DATA);

		if (offset < 0 && errno == ENXIO)
			return TRUE;
		end = offset < 0 ? -1 : lseek(copying->source, offset, SEEK_HOLE);
		if (end < 0)
			return error_set_errno(error, errno, "look for data in %s",
					       copying->source_name);
		if (!function)
			copying->all += (guint64)(end - offset);
		else if (!range_visit(copying, offset, end, function, error))
			return FALSE;
	}
}

static gboolean target_flush(const Copying *copying, GError **error)
{
	while (fsync(copying->target))
		if (errno != EINTR)
			return error_set_errno(error, errno, "flush %s", copying->target_name);
	return TRUE;
}

static gboolean bytes_copy(Copying *copying, GError **error)
{
	if (ftruncate(copying->target, (off_t)copying->size))
		return error_set_errno(error, errno, "make %s as long as %s", copying->target_name,
				       copying->source_name);
	if (!data_visit(copying, NULL, error))
		return FALSE;
	copying->all *= 2; /* each byte is copied, and compared */
	if (!data_visit(copying, piece_copy, error) || !target_flush(copying, error))
		return FALSE;
	/* What is read again must come from the disk. */
	posix_fadvise(copying->target, 0, 0, POSIX_FADV_DONTNEED);
	return data_visit(copying, piece_compare, error);
}

static gboolean copying_carry_out(Copying *copying, GError **error)
{
	struct stat st;

	if (fstat(copying->source, &st))
		return error_set_errno(error, errno, "look at %s", copying->source_name);
	copying->size = (guint64)st.st_size;
	if (fchown(copying->target, st.st_uid, st.st_gid) == 0)
		fchmod(copying->target, st.st_mode & 07777);
	if (!ioctl(copying->target, FICLONE, copying->source))
		return target_flush(copying, error);
	return bytes_copy(copying, error);
}

gboolean file_copy(const char *source, const char *target, FileCopyProgress progress, gpointer data,
		   GError **error)
{
	autofd from = fd_open(source, O_RDONLY | O_NOFOLLOW, 0);
	autofd to = from < 0 ? -1 : fd_open(target, O_RDWR | O_NOFOLLOW, 0);
	g_autofree char *buffer = g_try_malloc(PIECE), *other = g_try_malloc(PIECE);
	Copying copying = {.source_name = source,
			   .target_name = target,
			   .source = from,
			   .target = to,
			   .buffer = buffer,
			   .other = other,
			   .progress = progress,
			   .data = data};

	if (from < 0 || to < 0)
		return error_set_errno(error, errno, "open %s", from < 0 ? source : target);
	if (!buffer || !other)
		return error_set_errno(error, ENOMEM, "copy %s", source);
	return copying_carry_out(&copying, error);
}
