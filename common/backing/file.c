/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The size is cached, so that a transfer needs no system call for it: while the lock is held, only
 * file_grow() changes the size.  file_lock() reads it again, as it may have changed between opening
 * and locking.  Who reads without the lock sees the size change: a read behind the cached end looks
 * at it again.
 */
#include "common/backing/file.h"
#include "common/backing/file-allocate.h"
#include "common/backing/file-direct.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/backing/file-room.h"
#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/fd.h"

#define LOCK_ATTEMPTS 10
#define LOCK_PAUSE_US 30000
#define UDEV_ATTEMPTS 200 /* 6 s */

typedef struct {
	Backing base;
	int fd;
	int direct; /* of a block device: the same without the page cache; otherwise -1 */
	gboolean block;
	gint no_nowait_read;  /* atomic: the file system does not support RWF_NOWAIT for reads */
	gint no_nowait_write; /* atomic: the same for writes */
	gboolean dsync;	      /* RWF_DSYNC makes a write durable */
	GMutex growing;
	guint64 size; /* atomic */
	gint64 *room; /* see BackingOps.limit; or NULL */
} FileBacking;

static guint64 file_size(Backing *backing)
{
	return __atomic_load_n(&((FileBacking *)backing)->size, __ATOMIC_ACQUIRE);
}

static gboolean beyond_end(Backing *backing, guint64 offset, guint64 length)
{
	guint64 size = file_size(backing);

	return offset > size || length > size - offset;
}

/* Translates errno.  An error to which backing.h gives no meaning becomes -EIO, since the engine
 * would misread some: -EBADMSG as a checksum mismatch, -ENXIO as the end of the backing, -EAGAIN as
 * the answer to BACKING_NOWAIT. */
static int error_of_system_call(void)
{
	switch (errno) {
	case EDQUOT:
	case EFBIG:
	case ENOSPC:
		return -ENOSPC;
	case ENODEV: /* a block device before Linux 4.9, asked to punch */
	case ENOSYS:
	case EOPNOTSUPP:
		return -EOPNOTSUPP;
	case ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

typedef ssize_t (*TransferFunction)(int fd, const struct iovec *iov, int count, off_t offset,
				    int flags);

/* For 4 KiB in the page cache, pread() and pwrite() take 8% less CPU time than the calls with a
 * vector. */
static ssize_t read_some(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	if (count == 1 && !flags)
		return pread(fd, iov->iov_base, iov->iov_len, offset);
	return preadv2(fd, iov, count, offset, flags);
}

static ssize_t write_some(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	if (count == 1 && !flags)
		return pwrite(fd, iov->iov_base, iov->iov_len, offset);
	return pwritev2(fd, iov, count, offset, flags);
}

/* Makes one system call, which may transfer only a part of what is left.  Returns its result: 0 at
 * the end of the file. */
static ssize_t transfer_once(FileBacking *file, TransferFunction function, IovCursor *left,
			     gsize length, guint64 offset, int flags)
{
	struct iovec some[64];
	const struct iovec *iov = left->iov;
	int count = MIN(left->count, IOV_MAX);
	ssize_t done;

	if (left->done) {
		IovCursor ahead = *left;
		gsize taken;

		iov = some;
		count = iov_take(&ahead, length, some, G_N_ELEMENTS(some), &taken);
	}
	do
		done = function(file->fd, iov, count, (off_t)offset, flags);
	while (done < 0 && errno == EINTR);
	if (done > 0 && (gsize)done < length)
		iov_advance(left, done);
	return done;
}

static int look_at_size(FileBacking *file)
{
	guint64 size;
	struct stat st;

	if (file->block) {
		if (ioctl(file->fd, BLKGETSIZE64, &size) < 0)
			return -errno;
	} else {
		if (fstat(file->fd, &st) < 0)
			return -errno;
		size = st.st_size;
	}
	__atomic_store_n(&file->size, size, __ATOMIC_RELEASE);
	return 0;
}

/* Whether the backing still ends before that end. */
static gboolean ends_before(Backing *backing, guint64 offset, guint64 length)
{
	FileBacking *file = (FileBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&file->growing);

	return look_at_size(file) || beyond_end(backing, offset, length);
}

static int file_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
		       BackingFlags flags)
{
	FileBacking *file = (FileBacking *)backing;
	IovCursor left = iov_cursor(iov, count);
	gsize length = iov_length(iov, count);
	gboolean nowait = flags & BACKING_NOWAIT;

	if (beyond_end(backing, offset, length) && ends_before(backing, offset, length))
		return -ENXIO;
	if (nowait && g_atomic_int_get(&file->no_nowait_read))
		return -EAGAIN;
	while (length) {
		ssize_t done = transfer_once(file, read_some, &left, length, offset,
					     nowait ? RWF_NOWAIT : 0);

		if (done < 0 && nowait && (errno == EOPNOTSUPP || errno == ENOSYS)) {
			g_atomic_int_set(&file->no_nowait_read, TRUE);
			return -EAGAIN;
		}
		if (done < 0 && nowait && errno == EAGAIN)
			return -EAGAIN;
		if (done < 0)
			return error_of_system_call();
		if ((gsize)done == length)
			return 0;
		if (!done) {
			iov_zero(&left, length);
			return 0;
		}
		offset += done;
		length -= done;
	}
	return 0;
}

static void file_prefetch(Backing *backing, guint64 offset, guint64 length)
{
	FileBacking *file = (FileBacking *)backing;

	posix_fadvise(file->fd, (off_t)offset, (off_t)length, POSIX_FADV_WILLNEED);
}

static void file_limit(Backing *backing, gint64 *room)
{
	((FileBacking *)backing)->room = room;
}

/* With BACKING_NOWAIT, the rest of a write that was transferred in part is written with waiting: a
 * part of a write cannot be undone. */
static int file_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			BackingFlags flags)
{
	FileBacking *file = (FileBacking *)backing;
	IovCursor left = iov_cursor(iov, count);
	gsize length = iov_length(iov, count);
	gboolean nowait = flags & BACKING_NOWAIT;
	int r;

	if (beyond_end(backing, offset, length))
		return -ENOSPC;
	r = file_room_take(file->room, file->fd, offset, length, flags);
	if (r)
		return r;
	if (nowait && g_atomic_int_get(&file->no_nowait_write))
		return -EAGAIN;
	while (length) {
		ssize_t done = transfer_once(file, write_some, &left, length, offset,
					     nowait ? RWF_NOWAIT : 0);

		if (done < 0 && nowait && (errno == EOPNOTSUPP || errno == ENOSYS)) {
			g_atomic_int_set(&file->no_nowait_write, TRUE);
			return -EAGAIN;
		}
		if (done < 0 && nowait && errno == EAGAIN)
			return -EAGAIN;
		if (done < 0)
			return error_of_system_call();
		if ((gsize)done == length)
			return 0;
		if (!done)
			return -EIO;
		offset += done;
		length -= done;
		nowait = FALSE;
	}
	return 0;
}

static int file_flush(Backing *backing)
{
	FileBacking *file = (FileBacking *)backing;

	while (fdatasync(file->fd) < 0)
		if (errno != EINTR)
			return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
	return 0;
}

/* The kernel writes back and waits for these bytes alone.  An error may be one of earlier writes,
 * which no flush is told of any more. */
static int file_write_durably(Backing *backing, const void *data, gsize length, guint64 offset)
{
	FileBacking *file = (FileBacking *)backing;
	struct iovec iov = {(void *)data, length};
	IovCursor all = iov_cursor(&iov, 1);
	ssize_t done;
	int r;

	if (beyond_end(backing, offset, length))
		return -ENOSPC;
	if (file->dsync) {
		done = transfer_once(file, write_some, &all, length, offset, RWF_DSYNC);
		if (done == (ssize_t)length)
			return 0;
		if (done < 0 && errno != EOPNOTSUPP && errno != ENOSYS)
			return error_of_system_call();
	}
	r = file_pwritev(backing, &iov, 1, offset, BACKING_WAIT);
	return r ? r : file_flush(backing);
}

/* Starts the write-back without waiting for it.  Takes no error away from file_flush(). */
static void file_hasten(Backing *backing, guint64 offset, guint64 length)
{
	sync_file_range(((FileBacking *)backing)->fd, (off_t)offset, (off_t)length,
			SYNC_FILE_RANGE_WRITE);
}

/* On a block device, too, this fallocate() leaves zeros or fails: the kernel uses the device's
 * command for writing zeros, and never a discard, after which the content would be undefined. */
static int file_punch(Backing *backing, guint64 offset, guint64 length)
{
	FileBacking *file = (FileBacking *)backing;
	guint64 size = file_size(backing);

	if (!length || offset >= size)
		return 0;
	length = MIN(length, size - offset);
	while (fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			 (off_t)length) < 0)
		if (errno != EINTR)
			return error_of_system_call();
	return 0;
}

static int file_allocate(Backing *backing, guint64 offset, guint64 length)
{
	FileBacking *file = (FileBacking *)backing;
	int r = file_room_take(file->room, file->fd, offset, length, BACKING_WAIT);

	return r ? r : file_allocate_range(file->fd, offset, length);
}

static int file_read_direct(Backing *backing, void *data, gsize length, guint64 offset)
{
	return file_direct_read(((FileBacking *)backing)->direct, data, length, offset);
}

static int file_write_direct(Backing *backing, const void *data, gsize length, guint64 offset)
{
	return file_direct_write(((FileBacking *)backing)->direct, data, length, offset);
}

static int file_refresh(Backing *backing)
{
	return ioctl(((FileBacking *)backing)->fd, BLKFLSBUF) < 0 ? error_of_system_call() : 0;
}

static int file_grow(Backing *backing, guint64 size)
{
	FileBacking *file = (FileBacking *)backing;
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&file->growing);
	int result;

	if (size <= file_size(backing))
		return 0;
	if (file->block) {
		result = look_at_size(file); /* the device may have grown meanwhile */
		return result ? result : size <= file_size(backing) ? 0 : -ENOSPC;
	}
	if (size > G_MAXINT64 || file_over_process_limit(size))
		return -ENOSPC;
	while (ftruncate(file->fd, (off_t)size) < 0)
		if (errno != EINTR)
			return error_of_system_call();
	__atomic_store_n(&file->size, size, __ATOMIC_RELEASE);
	return 0;
}

static gboolean set_busy(const char *path, const struct stat *st, GError **error)
{
	g_autofree char *user = backing_user_of_stat(st);

	return error_set(error, STORAGEOS_ERROR_BUSY, "%s is in use by %s", path,
			 user ? user : "another process, or is mounted");
}

/* Whether udev holds the lock: it locks a block device that has changed while it probes it. */
static gboolean udev_has(int fd)
{
	struct stat st;
	g_autofree char *holder =
		!fstat(fd, &st) && S_ISBLK(st.st_mode) ? backing_holder_of_stat(&st) : NULL;

	return holder && strstr(holder, "udev");
}

/* Takes the lock, trying for 0.3 s, or 6 s while udev holds it: a process that was killed a moment
 * ago may still hold its lock. */
static gboolean try_lock(int fd, int operation)
{
	guint attempts = LOCK_ATTEMPTS;

	for (guint attempt = 1; flock(fd, operation | LOCK_NB) < 0; attempt++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return FALSE;
		if (attempt == LOCK_ATTEMPTS && udev_has(fd))
			attempts = UDEV_ATTEMPTS;
		if (attempt == attempts) {
			errno = EWOULDBLOCK;
			return FALSE;
		}
		g_usleep(LOCK_PAUSE_US);
	}
	return TRUE;
}

static gboolean file_lock(Backing *backing, gboolean exclusive, GError **error)
{
	FileBacking *file = (FileBacking *)backing;
	struct stat st;
	int result;

	if (fstat(file->fd, &st) < 0)
		return error_set_errno(error, errno, "%s: stat", backing->name);
	if (!try_lock(file->fd, exclusive ? LOCK_EX : LOCK_SH))
		return errno == EWOULDBLOCK
			       ? set_busy(backing->name, &st, error)
			       : error_set_errno(error, errno, "%s: lock", backing->name);
	/* Between opening and locking, the former owner may have deleted the file or grown it. */
	if (fstat(file->fd, &st) < 0)
		return error_set_errno(error, errno, "%s: stat", backing->name);
	if (!st.st_nlink)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "%s was deleted meanwhile",
				 backing->name);
	/* Linux keeps a write-back error, whoever wrote, until a flush reports it.  This flush
	 * takes it, so that the first real flush does not fail for it.  Its result is ignored:
	 * nobody relies on writes of others that they did not flush. */
	if (exclusive)
		file_flush(backing);
	result = exclusive && file->block ? file_refresh(backing) : 0;
	if (result)
		return error_set_errno(error, result, "%s: empty its cache", backing->name);
	result = look_at_size(file);
	return !result || error_set_errno(error, result, "%s: find its size", backing->name);
}

static guint64 file_allocated(Backing *backing)
{
	FileBacking *file = (FileBacking *)backing;
	struct stat st;

	if (file->block || fstat(file->fd, &st) < 0)
		return file_size(backing);
	return (guint64)st.st_blocks * 512;
}

static guint64 file_available(Backing *backing)
{
	return file_room_available(((FileBacking *)backing)->room, ((FileBacking *)backing)->fd);
}

BackingPlace backing_place_of_stat(const struct stat *st)
{
	return S_ISBLK(st->st_mode) ? (BackingPlace){st->st_rdev, 0}
				    : (BackingPlace){st->st_dev, st->st_ino};
}

static BackingPlace file_place(Backing *backing)
{
	struct stat st;

	return fstat(((FileBacking *)backing)->fd, &st) ? (BackingPlace){0}
							: backing_place_of_stat(&st);
}

static void file_free(Backing *backing)
{
	FileBacking *file = (FileBacking *)backing;

	if (file->fd >= 0)
		close(file->fd);
	if (file->direct >= 0)
		close(file->direct);
	g_mutex_clear(&file->growing);
	g_free(file);
}

static const BackingOps file_ops = {
	.kind = "file",
	.preadv = file_preadv,
	.prefetch = file_prefetch,
	.pwritev = file_pwritev,
	.flush = file_flush,
	.write_durably = file_write_durably,
	.hasten = file_hasten,
	.punch = file_punch,
	.allocate = file_allocate,
	.size = file_size,
	.grow = file_grow,
	.lock = file_lock,
	.allocated = file_allocated,
	.available = file_available,
	.limit = file_limit,
	.place = file_place,
	.free = file_free,
};

static const BackingOps block_ops = {
	.kind = "block",
	.preadv = file_preadv,
	.prefetch = file_prefetch,
	.pwritev = file_pwritev,
	.flush = file_flush,
	.write_durably = file_write_durably,
	.hasten = file_hasten,
	.punch = file_punch,
	.size = file_size,
	.grow = file_grow,
	.lock = file_lock,
	.read_direct = file_read_direct,
	.write_direct = file_write_direct,
	.refresh = file_refresh,
	.allocated = file_allocated,
	.place = file_place,
	.free = file_free,
};

/* Refuses a path that is neither a file nor a block device, before it is opened: opening a fifo or
 * a tape has side effects. */
static gboolean look_at_path(const char *path, BackingOpenFlags flags, struct stat *ret_st,
			     GError **error)
{
	if (stat(path, ret_st) < 0) {
		if (errno == ENOENT && flags & BACKING_OPEN_CREATE) {
			ret_st->st_mode = S_IFREG;
			return TRUE;
		}
		return error_set_errno(error, errno, "%s", path);
	}
	if (flags & BACKING_OPEN_CREATE)
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s exists already", path);
	if (!S_ISREG(ret_st->st_mode) && !S_ISBLK(ret_st->st_mode))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s is neither a file nor a block device", path);
	return TRUE;
}

/* Whether a write with RWF_DSYNC is durable when it returns.  A file system may ignore the flag in
 * buffered writes, as FUSE did for long; those are trusted of which it is known. */
static gboolean knows_dsync(const FileBacking *file)
{
	struct statfs fs;

	if (file->block)
		return TRUE;
	if (fstatfs(file->fd, &fs))
		return FALSE;
	switch ((guint32)fs.f_type) {
	case EXT4_SUPER_MAGIC:
	case XFS_SUPER_MAGIC:
	case BTRFS_SUPER_MAGIC:
		return TRUE;
	default:
		return FALSE;
	}
}

/* A read that notes the time of access may wait for the file system's journal, even with
 * RWF_NOWAIT. Only the file's owner can switch that off; for anybody else it stays. */
static void omit_access_time(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		(void)fcntl(fd, F_SETFL, flags | O_NOATIME);
}

static gboolean set_not_opened(const FileBacking *file, const char *path, const struct stat *st,
			       GError **error)
{
	int errno_value = errno;

	if (file->block && errno_value == EBUSY)
		return set_busy(path, st, error);
	if (file->block && errno_value == EMEDIUMTYPE)
		return error_set(
			error, STORAGEOS_ERROR_BUSY,
			"%s is not Primary on this machine (DRBD): detach the volume where it "
			"is, or run drbdadm primary here",
			path);
	return error_set_errno(error, errno_value, "open %s", path);
}

static gboolean open_path(FileBacking *file, const char *path, BackingOpenFlags flags,
			  const struct stat *st, GError **error)
{
	int how = O_NOCTTY | O_NONBLOCK;
	int result;

	how |= flags & BACKING_OPEN_READ_ONLY ? O_RDONLY : O_RDWR;
	if (flags & BACKING_OPEN_CREATE)
		how |= O_CREAT | O_EXCL;
	if (file->block && !(flags & BACKING_OPEN_READ_ONLY))
		how |= O_EXCL;
	do
		file->fd = fd_open(path, how, 0600);
	while (file->fd < 0 && errno == EINTR);
	if (file->fd < 0)
		return set_not_opened(file, path, st, error);
	omit_access_time(file->fd);
	file->dsync = knows_dsync(file);
	if (file->block) {
		file->direct = file_direct_open(path, file->fd, error);
		if (file->direct < 0)
			return FALSE;
	}
	result = look_at_size(file);
	return !result || error_set_errno(error, result, "%s: find its size", path);
}

Backing *backing_file_open(const char *path, BackingOpenFlags flags, GError **error)
{
	g_autoptr(Backing) backing = NULL;
	FileBacking *file;
	struct stat st = {0};

	if (!look_at_path(path, flags, &st, error))
		return NULL;
	file = g_new0(FileBacking, 1);
	backing = &file->base;
	file->block = S_ISBLK(st.st_mode);
	backing_init(backing, file->block ? &block_ops : &file_ops, path);
	g_mutex_init(&file->growing);
	file->fd = file->direct = -1;
	if (!open_path(file, path, flags, &st, error))
		return NULL;
	return g_steal_pointer(&backing);
}
