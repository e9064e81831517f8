/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the backing of a file makes a write durable: with RWF_DSYNC where the file system is known to
 * heed it, otherwise with a write and a flush behind it.  The system calls that matter are this
 * program's.
 */
#include "common/backing/file.h"

#include <errno.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/units.h"
#include "tests/harness.h"

#define EXPORT __attribute__((visibility("default")))

static GString *calls; /* "w": a write, "d": a durable one, "f": a flush */
static long file_system;
static int dsync_error;	 /* errno of writes with RWF_DSYNC; 0: they succeed */
static gsize dsync_most; /* bytes that such a write takes at once */

EXPORT int fstatfs(int fd, struct statfs *ret)
{
	(void)fd;
	*ret = (struct statfs){0};
	ret->f_type = (__typeof__(ret->f_type))file_system;
	return 0;
}

EXPORT int fdatasync(int fd)
{
	g_string_append_c(calls, 'f');
	return (int)syscall(SYS_fdatasync, fd);
}

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
	struct iovec part = *iov;

	g_string_append_c(calls, flags & RWF_DSYNC ? 'd' : 'w');
	if (!(flags & RWF_DSYNC))
		return syscall(SYS_pwritev2, fd, iov, count, (long)offset, 0L, flags);
	if (dsync_error) {
		errno = dsync_error;
		return -1;
	}
	part.iov_len = MIN(part.iov_len, dsync_most);
	return syscall(SYS_pwritev2, fd, &part, 1, (long)offset, 0L, flags);
}

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int count, off_t offset)
{
	g_string_append_c(calls, 'w');
	return syscall(SYS_pwritev, fd, iov, count, (long)offset, 0L);
}

EXPORT ssize_t pwrite(int fd, const void *data, size_t length, off_t offset)
{
	g_string_append_c(calls, 'w');
	return syscall(SYS_pwrite64, fd, data, length, offset);
}

static const struct {
	const char *name;
	long file_system;
	int dsync_error;
	gsize dsync_most;
	int result;
	const char *calls;
} rows[] = {
	{"ext4", EXT4_SUPER_MAGIC, 0, BLOCK_SIZE, 0, "d"},
	{"xfs", XFS_SUPER_MAGIC, 0, BLOCK_SIZE, 0, "d"},
	{"btrfs", BTRFS_SUPER_MAGIC, 0, BLOCK_SIZE, 0, "d"},
	{"FUSE", FUSE_SUPER_MAGIC, 0, BLOCK_SIZE, 0, "wf"},
	{"tmpfs", TMPFS_MAGIC, 0, BLOCK_SIZE, 0, "wf"},
	{"an old kernel", EXT4_SUPER_MAGIC, ENOSYS, 0, 0, "dwf"},
	{"a file system that refuses it", XFS_SUPER_MAGIC, EOPNOTSUPP, 0, 0, "dwf"},
	{"a part was written", EXT4_SUPER_MAGIC, 0, 512, 0, "dwf"},
	/* A flush would not be told of this error, so none may be asked. */
	{"the disk refuses it", EXT4_SUPER_MAGIC, EIO, 0, -EIO, "d"},
	{"the disk is full", EXT4_SUPER_MAGIC, ENOSPC, 0, -ENOSPC, "d"},
};

static void test_durable(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *path = test_path("file");
		guint8 block[BLOCK_SIZE], found[BLOCK_SIZE] = {0};
		g_autoptr(GError) error = NULL;
		Backing *backing;

		test_row("%s", rows[i].name);
		memset(block, 'a' + (int)i, sizeof block);
		file_system = rows[i].file_system;
		dsync_error = rows[i].dsync_error;
		dsync_most = rows[i].dsync_most;
		backing = backing_file_open(path, BACKING_OPEN_CREATE, &error);
		CHECK_NO_ERROR(error);
		REQUIRE(backing);
		CHECK_INT(backing_grow(backing, MIB), 0);
		g_string_truncate(calls, 0);
		CHECK_INT(backing->ops->write_durably(backing, block, sizeof block, BLOCK_SIZE),
			  rows[i].result);
		CHECK_STR(calls->str, rows[i].calls);
		CHECK_INT(backing_pread(backing, found, sizeof found, BLOCK_SIZE), 0);
		if (!rows[i].result)
			CHECK_MEM(found, block, sizeof block);
		backing_free(backing);
		unlink(path);
	}
}

int main(int argc, char **argv)
{
	int status;

	calls = g_string_new(NULL);
	test_add("a durable write, where it can be trusted and elsewhere", test_durable, NULL);
	status = test_run(argc, argv);
	g_string_free(calls, TRUE);
	return status;
}
