/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libfuse only carries requests: there are two inodes, both known, and an open file has no state.
 * Operations that are not here are answered with ENOSYS by libfuse, which the kernel remembers, so
 * that a close (FLUSH) or an opendir costs no request after the first.
 *
 * libfuse's threads are few and must not wait.  Other threads, of which there are many, carry out
 * reads of what is not in memory, flushes and discards.  A write goes to the page cache at once,
 * without a copy, from where libfuse received it, if the engine has nothing to wait for and no
 * other write is under way; if one is, its thread carries out a copy next (combiner.h).  What these
 * two cannot do, other threads do on a copy.  A read goes into a buffer that its thread keeps.
 */
#include "fuse-fallback/filesystem.h"

#include "common/base/bounds.h"
#include "fuse-fallback/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <sys/statvfs.h>

/* Part of the kernel's interface since Linux 6.2; an older one ignores it. */
#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

#define FILE_INODE (FUSE_ROOT_ID + 1)
#define REQUEST_MAX ((gsize)MIB)
#define DIRECT_THREADS 32    /* of each kind: their requests wait for answers over the network */
#define ENTRY_TIMEOUT 3600.0 /* s; the directory never changes */
#define ATTR_TIMEOUT 1.0     /* s; the space that the file takes changes */

/* How many requests the kernel sends without waiting for answers: the queue depth of all users of
 * the file together.  The default of 12 would throttle a single user at queue depth 32. */
#define MAX_BACKGROUND 256

/* The one translation of the data path's results to the errors that users of the file see. */
static int errno_from_result(int result)
{
	switch (-result) {
	case 0:
	case EINVAL:
	case ENOSPC:
	case ENOMEM:
	case EROFS:
		return -result;
	case EBADMSG:	/* a wrong checksum: a medium error, as on any disk */
	case ESHUTDOWN: /* the volume has FAILED */
	case EIO:
		return EIO;
	}
	return EIO;
}

static Filesystem *filesystem_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static guint8 *read_room(void)
{
	static GPrivate room = G_PRIVATE_INIT(free);
	void *memory = g_private_get(&room);

	if (!memory && posix_memalign(&memory, BLOCK_SIZE, FILE_READ_ROOM(REQUEST_MAX)) == 0)
		g_private_set(&room, memory);
	return memory;
}

static void fs_init(void *userdata, struct fuse_conn_info *conn)
{
	Filesystem *fs = userdata;

	/* Splicing costs more than it saves at 4 KiB.  O_TRUNC must arrive as a change of size, to
	 * be refused. */
	conn->want &=
		~(unsigned)(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
			    FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ATOMIC_O_TRUNC);
	conn->want |= conn->capable & FUSE_CAP_ASYNC_DIO;
	conn->max_write = REQUEST_MAX;
	conn->max_background = MAX_BACKGROUND;
	conn->congestion_threshold = MAX_BACKGROUND;
	fs->ready(fs->ready_data);
}

static void file_attr(Filesystem *fs, struct stat *attr)
{
	VolumeInfo info;

	volume_get_info(fs->volume, &info);
	attr->st_mode = S_IFREG | (info.state == VOLUME_READ_ONLY ? 0400 : 0600);
	attr->st_nlink = 1;
	attr->st_size = (off_t)info.size;
	attr->st_blocks = (blkcnt_t)(info.data_bytes / SECTOR_SIZE);
}

static void get_attr(Filesystem *fs, fuse_ino_t ino, struct stat *attr)
{
	memset(attr, 0, sizeof *attr);
	if (ino == FILE_INODE) {
		file_attr(fs, attr);
	} else {
		attr->st_mode = S_IFDIR | 0500;
		attr->st_nlink = 2;
	}
	attr->st_ino = ino;
	attr->st_blksize = BLOCK_SIZE;
	attr->st_atime = attr->st_mtime = attr->st_ctime = fs->started;
}

static void fs_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	Filesystem *fs = filesystem_of(req);
	struct fuse_entry_param entry = {
		.ino = FILE_INODE,
		.attr_timeout = ATTR_TIMEOUT,
		.entry_timeout = ENTRY_TIMEOUT,
	};

	if (parent != FUSE_ROOT_ID || !g_str_equal(name, fs->name)) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	get_attr(fs, FILE_INODE, &entry.attr);
	fuse_reply_entry(req, &entry);
}

static void fs_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat attr;

	(void)fi;
	get_attr(filesystem_of(req), ino, &attr);
	fuse_reply_attr(req, &attr, ATTR_TIMEOUT);
}

static void fs_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *wanted, int what,
		       struct fuse_file_info *fi)
{
	guint64 size = volume_size(filesystem_of(req)->volume);

	if (what & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
		fuse_reply_err(req, EPERM);
	else if (what & FUSE_SET_ATTR_SIZE && (guint64)wanted->st_size != size)
		fuse_reply_err(req, (guint64)wanted->st_size > size ? EFBIG : EPERM);
	else
		fs_getattr(req, ino, fi);
}

/* A snapshot.  Root may open a file for writing whatever its mode says. */
static gboolean is_read_only(Filesystem *fs)
{
	VolumeInfo info;

	volume_get_info(fs->volume, &info);
	return info.state == VOLUME_READ_ONLY;
}

static void fs_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	Filesystem *fs = filesystem_of(req);
	/* struct fuse_file_info has no flag for parallel writes before libfuse 3.15, so the reply
	 * is the kernel's own structure. */
	struct fuse_open_out out = {
		.open_flags = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
	};

	if (ino != FILE_INODE) {
		fuse_reply_err(req, EISDIR);
		return;
	}
	if ((fi->flags & O_ACCMODE) != O_RDONLY && is_read_only(fs)) {
		fuse_reply_err(req, EROFS);
		return;
	}
	g_atomic_int_inc(&fs->users);
	if (fuse_reply_buf(req, (const char *)&out, sizeof out))
		g_atomic_int_add(&fs->users, -1); /* the open was interrupted */
}

static void fs_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino, (void)fi;
	g_atomic_int_add(&filesystem_of(req)->users, -1);
	fuse_reply_err(req, 0);
}

/* How much of [offset, offset + length) lies inside the volume. */
static guint64 length_inside(Filesystem *fs, off_t offset, guint64 length)
{
	guint64 size = volume_size(fs->volume);

	return (guint64)offset >= size ? 0 : MIN(length, size - (guint64)offset);
}

/* ---- requests that may have to wait */

typedef struct FuseTask FuseTask;

struct FuseTask {
	/* 0: it has replied, or confirm() will; otherwise the result to reply with, as in volume.h.
	 */
	int (*run)(const FuseTask *task);
	/* Replies that the change is made.  NULL: it changes nothing, and run() replies. */
	void (*confirm)(const FuseTask *task);
	SleepersKind by;
	fuse_req_t req;
	guint64 offset, length;
	const guint8 *data; /* of a write */
	MetricsKind kind;
	gint64 begun; /* as metrics_begin() gave it */
};

static FuseTask task_begin(fuse_req_t req, MetricsKind kind, guint64 offset, guint64 length)
{
	return (FuseTask){
		.req = req,
		.offset = offset,
		.length = length,
		.kind = kind,
		.begun = metrics_begin(&filesystem_of(req)->metrics),
	};
}

/* Replies with the error, if any, and counts the request.  A successful request has been replied
 * to, and so freed: hence `fs`. */
static void task_end(const FuseTask *task, Filesystem *fs, int r)
{
	if (r) {
		logging_write_limited(&fs->failures, LOGGING_ERROR,
				      "volume '%s': %s of %" G_GUINT64_FORMAT
				      " bytes at %" G_GUINT64_FORMAT " failed: %s",
				      fs->label, metrics_kind_name(task->kind), task->length,
				      task->offset, g_strerror(-r));
		fuse_reply_err(task->req, errno_from_result(r));
	}
	metrics_end(&fs->metrics, task->kind, task->begun, task->length, r != 0);
}

/* The flush that a change waited for ended with this result. */
static void task_confirm(gpointer data, int r)
{
	const FuseTask *task = data;
	Filesystem *fs = filesystem_of(task->req);

	if (!r)
		task->confirm(task);
	task_end(task, fs, r);
}

/* Ends a task with the result of run().  Without a write cache, a change that was made must become
 * durable before the reply. */
static void task_conclude(FuseTask *task, Filesystem *fs, int r)
{
	if (r || !task->confirm)
		task_end(task, fs, r);
	else if (fs->acknowledger)
		acknowledger_add(fs->acknowledger, task);
	else
		task_confirm(task, 0);
}

static void task_run(FuseTask *task)
{
	Filesystem *fs = filesystem_of(task->req);

	task_conclude(task, fs, task->run(task));
}

static void task_run_copy(gpointer task, const guint8 *data)
{
	((FuseTask *)task)->data = data;
	task_run(task);
}

/* Hands the task to the sleepers, or carries it out here if there is no memory for that. */
static void task_push(FuseTask *task)
{
	if (!sleepers_hand_over(filesystem_of(task->req)->sleepers, task->by, task_run_copy, task,
				sizeof *task, task->data, task->data ? task->length : 0))
		task_run(task);
}

/* Whether the task, which was not begun, waits for the volume's limits. */
static gboolean task_is_held(const FuseTask *task)
{
	const LimitedRequest request = {.kind = task->kind,
					.bytes = task->length,
					.by = task->by,
					.data = task->data,
					.length = task->length};

	return limited_holds(&filesystem_of(task->req)->limited, &request, task);
}

static int task_read_with(const FuseTask *task, FileReader reader)
{
	guint8 *room = read_room();
	const guint8 *data;
	int r = room ? file_read(filesystem_of(task->req)->volume, reader, room, task->length,
				 task->offset, &data)
		     : -ENOMEM;

	if (!r)
		fuse_reply_buf(task->req, (const char *)data, task->length);
	return r;
}

static int task_read(const FuseTask *task)
{
	return task_read_with(task, volume_read);
}

static int task_write(const FuseTask *task)
{
	return file_write(filesystem_of(task->req)->volume, task->data, task->length, task->offset);
}

static void task_confirm_write(const FuseTask *task)
{
	fuse_reply_write(task->req, task->length);
}

static int task_flush(const FuseTask *task)
{
	int r = volume_flush(filesystem_of(task->req)->volume);

	if (!r)
		fuse_reply_err(task->req, 0);
	return r;
}

static int task_zero(const FuseTask *task)
{
	return file_zero(filesystem_of(task->req)->volume, task->offset, task->length);
}

static void task_confirm_zero(const FuseTask *task)
{
	fuse_reply_err(task->req, 0);
}

static int task_seek(const FuseTask *task, gboolean mapped)
{
	guint64 found;
	int r = file_seek(filesystem_of(task->req)->volume, task->offset, mapped, &found);

	if (r && r != -ENXIO)
		return r;
	if (r)
		fuse_reply_err(task->req, ENXIO); /* the answer, not a failure */
	else
		fuse_reply_lseek(task->req, (off_t)found);
	return 0;
}

static int task_seek_data(const FuseTask *task)
{
	return task_seek(task, TRUE);
}

static int task_seek_hole(const FuseTask *task)
{
	return task_seek(task, FALSE);
}

/* Replies to a write that was tried without waiting, or lets it wait in another thread. */
static void task_write_tried(gpointer data, const guint8 *bytes, int r)
{
	FuseTask *task = data;

	task->data = bytes;
	if (r == -EAGAIN)
		task_push(task);
	else
		task_conclude(task, filesystem_of(task->req), r);
}

/* Of a write that nothing combines. */
static void task_write_alone(FuseTask *task)
{
	Filesystem *fs = filesystem_of(task->req);
	int r = -EAGAIN;

	if (sleepers_try_write(fs->sleepers)) {
		r = file_write_nowait(fs->volume, task->data, task->length, task->offset);
		sleepers_end_write(fs->sleepers);
	}
	task_write_tried(task, task->data, r);
}

/* ---- requests for data */

static void fs_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *fi)
{
	Filesystem *fs = filesystem_of(req);
	FuseTask task = task_begin(req, METRICS_READ, (guint64)offset,
				   length_inside(fs, offset, MIN(size, REQUEST_MAX)));
	int r;

	(void)ino, (void)fi;
	task.run = task_read;
	task.by = SLEEPERS_READ;
	if (task_is_held(&task))
		return;
	r = task_read_with(&task, volume_read_nowait);
	if (r == -EAGAIN)
		task_push(&task);
	else
		task_end(&task, fs, r);
}

static void fs_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	Filesystem *fs = filesystem_of(req);
	FuseTask task =
		task_begin(req, METRICS_WRITE, (guint64)offset, length_inside(fs, offset, size));

	(void)ino, (void)fi;
	task.run = task_write;
	task.confirm = task_confirm_write;
	task.by = SLEEPERS_CHANGE;
	task.data = (const guint8 *)data;
	if (!task.length && size > 0)
		task_end(&task, fs, -ENOSPC);
	else if (task_is_held(&task))
		return;
	else if (volume_is_direct(fs->volume)) /* each waits for an answer of its own */
		task_push(&task);
	else if (!combiner_write(fs->combiner, &task, task.data, task.length, task.offset))
		task_write_alone(&task);
}

static void fs_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	FuseTask task = task_begin(req, METRICS_FLUSH, 0, 0);

	(void)ino, (void)datasync, (void)fi;
	task.run = task_flush;
	task.by = SLEEPERS_FLUSH;
	task_push(&task);
}

static void task_push_zero(fuse_req_t req, guint64 offset, guint64 length)
{
	FuseTask task = task_begin(req, METRICS_DISCARD, offset, length);

	task.run = task_zero;
	task.confirm = task_confirm_zero;
	task.by = SLEEPERS_CHANGE;
	if (!task_is_held(&task))
		task_push(&task);
}

static void fs_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
			 struct fuse_file_info *fi)
{
	guint64 size = length_inside(filesystem_of(req), offset, (guint64)length);
	gboolean cut = size < (guint64)length;

	(void)ino, (void)fi;
	/* A thin volume reserves no space, so plain allocation is refused: it could not be kept. */
	if (!(mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)))
		fuse_reply_err(req, EOPNOTSUPP);
	else if (cut && !(mode & FALLOC_FL_KEEP_SIZE))
		fuse_reply_err(req, EFBIG);
	else
		task_push_zero(req, (guint64)offset, size);
}

/* The kernel asks for these two alone. */
static void fs_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		     struct fuse_file_info *fi)
{
	FuseTask task = task_begin(req, METRICS_UNCOUNTED, (guint64)offset, 0);

	(void)ino, (void)fi;
	task.run = whence == SEEK_DATA ? task_seek_data : task_seek_hole;
	task.by = SLEEPERS_READ;
	if (whence == SEEK_DATA || whence == SEEK_HOLE)
		task_push(&task);
	else
		task_end(&task, filesystem_of(req), -EINVAL);
}

static void fs_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		       struct fuse_file_info *fi)
{
	Filesystem *fs = filesystem_of(req);
	const char *names[] = {".", "..", fs->name};
	char room[1024]; /* enough for three names of at most 255 bytes */
	gsize used = 0;

	(void)fi;
	if (ino != FUSE_ROOT_ID) {
		fuse_reply_err(req, ENOTDIR);
		return;
	}
	size = MIN(size, sizeof room);
	for (gsize i = MAX(offset, 0); i < G_N_ELEMENTS(names); i++) {
		fuse_ino_t entry = i < 2 ? FUSE_ROOT_ID : FILE_INODE;
		struct stat attr = {.st_ino = entry, .st_mode = i < 2 ? S_IFDIR : S_IFREG};
		gsize need = fuse_add_direntry(req, room + used, size - used, names[i], &attr,
					       (off_t)i + 1);

		if (need > size - used)
			break;
		used += need;
	}
	fuse_reply_buf(req, room, used);
}

/* A loop device takes the block size for the granularity of its discards. */
static void fs_statfs(fuse_req_t req, fuse_ino_t ino)
{
	Volume *volume = filesystem_of(req)->volume;
	struct statvfs out = {.f_bsize = volume_limits(volume)->discard_granularity,
			      .f_frsize = BLOCK_SIZE,
			      .f_namemax = 255};
	VolumeInfo info;

	(void)ino;
	volume_get_info(volume, &info);
	out.f_blocks = blocks_covering(info.size);
	out.f_bfree = out.f_blocks - min_u64(out.f_blocks, blocks_covering(info.data_bytes));
	out.f_bavail = out.f_bfree;
	out.f_files = 1;
	fuse_reply_statfs(req, &out);
}

gboolean filesystem_start(Filesystem *fs, guint takers, GError **error)
{
	guint threads = volume_is_direct(fs->volume) ? DIRECT_THREADS : SLEEPERS_THREADS;

	fs->sleepers = sleepers_new(takers, threads, error);
	if (!fs->sleepers)
		return FALSE;
	limited_init(&fs->limited, fs->sleepers, task_run_copy, sizeof(FuseTask));
	fs->combiner =
		combiner_new(fs->volume, fs->sleepers, task_write_tried, sizeof(FuseTask), error);
	if (!fs->combiner)
		return FALSE;
	if (!volume_is_write_through(fs->volume) || volume_is_durable(fs->volume))
		return TRUE;
	fs->acknowledger = acknowledger_new(fs->volume, task_confirm, sizeof(FuseTask), error);
	return fs->acknowledger != NULL;
}

void filesystem_stop(Filesystem *fs)
{
	limited_clear(&fs->limited);
	combiner_free(fs->combiner);
	sleepers_free(fs->sleepers); /* before the acknowledger, to which they hand changes */
	acknowledger_free(fs->acknowledger);
}

const struct fuse_lowlevel_ops filesystem_ops = {
	.init = fs_init,
	.lookup = fs_lookup,
	.getattr = fs_getattr,
	.setattr = fs_setattr,
	.open = fs_open,
	.release = fs_release,
	.read = fs_read,
	.write = fs_write,
	.fsync = fs_fsync,
	.fallocate = fs_fallocate,
	.lseek = fs_lseek,
	.readdir = fs_readdir,
	.statfs = fs_statfs,
};
