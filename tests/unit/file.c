/* SPDX-License-Identifier: Apache-2.0 */
#include "common/backing/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "tests/harness.h"
#include "tests/loop-device.h"

static Backing *open_or_fail(const char *path, BackingOpenFlags flags)
{
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_file_open(path, flags, &error);

	CHECK_NO_ERROR(error);
	return backing;
}

static char *new_file(guint64 size)
{
	char *path = test_path("file");
	Backing *backing = open_or_fail(path, BACKING_OPEN_CREATE);

	CHECK_INT(backing_grow(backing, size), 0);
	backing_free(backing);
	return path;
}

static void test_reopen(const void *data)
{
	g_autofree char *path = new_file(MIB);
	Backing *backing = open_or_fail(path, 0);
	char text[4] = "";

	(void)data;
	CHECK_STR(backing->ops->kind, "file");
	CHECK_STR(backing->name, path);
	CHECK_INT(backing_pwrite(backing, "abc", 3, 700000), 0);
	backing_free(backing);
	backing = open_or_fail(path, BACKING_OPEN_READ_ONLY);
	CHECK_UINT(backing_size(backing), MIB);
	CHECK_INT(backing_pread(backing, text, 3, 700000), 0);
	CHECK_STR(text, "abc");
	CHECK(backing_pwrite(backing, "abc", 3, 0) < 0);
	backing_free(backing);
}

/* Also where there is nothing to write back. */
static void test_hasten(const void *data)
{
	static const guint64 places[] = {0, 5000, MIB - 4096, MIB + 4096};
	g_autofree char *path = new_file(MIB);
	Backing *backing = open_or_fail(path, 0);
	guint8 block[4096], found[4096];

	(void)data;
	memset(block, 7, sizeof block);
	for (guint i = 0; i < 3; i++)
		CHECK_INT(backing_pwrite(backing, block, sizeof block, places[i]), 0);
	for (guint i = 0; i < G_N_ELEMENTS(places); i++)
		backing_hasten(backing, places[i], sizeof block);
	CHECK_INT(backing_flush(backing), 0);
	for (guint i = 0; i < 3; i++) {
		CHECK_INT(backing_pread(backing, found, sizeof found, places[i]), 0);
		CHECK_MEM(found, block, sizeof found);
	}
	backing_free(backing);
}

/* Noting it would have a read wait for the file system's journal. */
static void test_access_time(const void *data)
{
	g_autofree char *path = new_file(MIB);
	const struct timespec times[2] = {{1000, 0}, {2000, 0}}; /* older than the last change */
	Backing *backing;
	char text[4];
	struct stat st;

	(void)data;
	CHECK_INT(utimensat(AT_FDCWD, path, times, 0), 0);
	backing = open_or_fail(path, 0);
	CHECK_INT(backing_pread(backing, text, 3, 4096), 0);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_atime, 1000);
	backing_free(backing);
}

static void test_create(const void *data)
{
	g_autofree char *path = new_file(4096);
	g_autoptr(GError) error = NULL;
	struct stat st;

	(void)data;
	CHECK(!backing_file_open(path, BACKING_OPEN_CREATE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, path);
	CHECK_INT(stat(path, &st), 0);
	CHECK_INT(st.st_mode & 0777, 0600);
	CHECK_INT(st.st_size, 4096);
}

static void check_open_fails(const char *path, int code, const char *part)
{
	g_autoptr(GError) error = NULL;

	CHECK(!backing_file_open(path, 0, &error));
	CHECK_ERROR(error, code, part);
	CHECK_CONTAINS(error->message, path);
}

static void test_open_fails(const void *data)
{
	g_autofree char *missing = test_path("missing"), *fifo = test_path("fifo");

	(void)data;
	check_open_fails(missing, STORAGEOS_ERROR_NOT_FOUND, "No such file");
	check_open_fails(test_directory(), STORAGEOS_ERROR_INVALID, "neither");
	check_open_fails("/dev/null", STORAGEOS_ERROR_INVALID, "neither");
	CHECK_INT(mkfifo(fifo, 0600), 0);
	/* The open must not wait for the other end of the pipe. */
	check_open_fails(fifo, STORAGEOS_ERROR_INVALID, "neither");
}

/* Starts a process that holds the lock for `milliseconds`, or until it is killed. */
static pid_t start_holder(const char *path, gboolean exclusive, guint milliseconds)
{
	int ready[2];
	char byte = 0;
	pid_t pid;

	CHECK_INT(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		Backing *backing;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		backing = backing_file_open(path, 0, NULL);
		byte = backing && backing_lock(backing, exclusive, NULL) ? 'y' : 'n';
		if (write(ready[1], &byte, 1) != 1)
			_exit(1);
		g_usleep(milliseconds * 1000);
		_exit(0);
	}
	CHECK_INT(read(ready[0], &byte, 1), 1);
	CHECK_INT(byte, 'y');
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void stop_holder(pid_t pid)
{
	kill(pid, SIGKILL);
	CHECK_INT(waitpid(pid, NULL, 0), pid);
}

static void test_lock_names_holder(const void *data)
{
	g_autofree char *path = new_file(4096), *expected = NULL;
	g_autoptr(GError) error = NULL;
	g_autoptr(Backing) backing = open_or_fail(path, 0);
	pid_t pid = start_holder(path, TRUE, 60000);

	(void)data;
	expected = g_strdup_printf("%s is in use by process %d (test-file)", path, pid);
	CHECK(!backing_lock(backing, TRUE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, expected);
	g_clear_error(&error);
	CHECK(!backing_lock(backing, FALSE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, expected);
	stop_holder(pid);
	g_clear_error(&error);
	CHECK(backing_lock(backing, TRUE, &error));
	CHECK_NO_ERROR(error);
}

static void test_lock_waits_a_little(const void *data)
{
	g_autofree char *path = new_file(4096);
	g_autoptr(GError) error = NULL;
	g_autoptr(Backing) backing = open_or_fail(path, 0);
	pid_t pid = start_holder(path, TRUE, 60);

	(void)data;
	CHECK(backing_lock(backing, TRUE, &error));
	CHECK_NO_ERROR(error);
	stop_holder(pid);
}

static void test_lock_shared(const void *data)
{
	g_autofree char *path = new_file(4096);
	g_autoptr(GError) error = NULL;
	g_autoptr(Backing) backing = open_or_fail(path, BACKING_OPEN_READ_ONLY);
	pid_t pid = start_holder(path, FALSE, 60000);

	(void)data;
	CHECK(backing_lock(backing, FALSE, &error));
	CHECK_NO_ERROR(error);
	CHECK(!backing_lock(backing, TRUE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "is in use by process");
	stop_holder(pid);
}

static void test_lock_deleted(const void *data)
{
	g_autofree char *path = new_file(4096);
	g_autoptr(GError) error = NULL;
	g_autoptr(Backing) backing = open_or_fail(path, 0);

	(void)data;
	CHECK_INT(unlink(path), 0);
	CHECK(!backing_lock(backing, TRUE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "deleted");
}

static void test_lock_sees_growth(const void *data)
{
	g_autofree char *path = new_file(4096);
	g_autoptr(GError) error = NULL;
	g_autoptr(Backing) early = open_or_fail(path, 0), other = open_or_fail(path, 0);

	(void)data;
	CHECK_INT(backing_grow(other, MIB), 0);
	CHECK(backing_lock(early, TRUE, &error));
	CHECK_UINT(backing_size(early), MIB);
}

static BackingPlace place_of_path(const char *path)
{
	struct stat st;

	CHECK_INT(stat(path, &st), 0);
	return backing_place_of_stat(&st);
}

static void test_place(const void *data)
{
	g_autofree char *path = new_file(MIB), *other = new_file(MIB);
	g_autoptr(Backing) backing = open_or_fail(path, 0);
	BackingPlace place, now;

	(void)data;
	place = backing_place(backing);
	now = place_of_path(path);
	CHECK(place.inode && backing_place_equal(&place, &now));
	CHECK_INT(rename(other, path), 0);
	now = place_of_path(path);
	CHECK(!backing_place_equal(&place, &now));
	now = backing_place(backing);
	CHECK(backing_place_equal(&place, &now));
}

static void test_truncated(const void *data)
{
	g_autofree char *path = new_file(MIB);
	g_autoptr(Backing) backing = open_or_fail(path, 0);
	guint8 bytes[8192];

	(void)data;
	memset(bytes, 7, sizeof bytes);
	CHECK_INT(backing_pwrite(backing, bytes, sizeof bytes, 0), 0);
	CHECK_INT(truncate(path, 4096), 0);
	CHECK_INT(backing_pread(backing, bytes, sizeof bytes, 0), 0);
	CHECK_INT(bytes[4095], 7);
	CHECK_ZERO(bytes + 4096, 4096);
}

/* Runs in a process of its own, because the limit stays.  Returns 0, or the number of the check
 * that failed. */
static int within_limit(const char *path)
{
	struct rlimit limit = {.rlim_cur = 2 * MIB, .rlim_max = 2 * MIB};
	Backing *backing = backing_file_open(path, 0, NULL);
	char text[MIB];

	memset(text, 'x', sizeof text);
	if (!backing || backing_grow(backing, 4 * MIB))
		return 1;
	if (setrlimit(RLIMIT_FSIZE, &limit))
		return 2;
	if (backing_grow(backing, 5 * MIB) != -ENOSPC)
		return 3;
	signal(SIGXFSZ, SIG_IGN);
	if (backing_pwrite(backing, text, sizeof text, 3 * MIB / 2) != -ENOSPC)
		return 4;
	return backing_pwrite(backing, text, MIB / 2, 3 * MIB / 2) ? 5 : 0;
}

static void test_process_limit(const void *data)
{
	g_autofree char *path = new_file(4096);
	int status = -1;
	pid_t pid = fork();

	(void)data;
	if (!pid)
		_exit(within_limit(path));
	CHECK_INT(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status));
	CHECK_INT(WEXITSTATUS(status), 0);
}

static void test_block_exclusive(const void *data)
{
	g_autofree char *path = new_file(4 * MIB), *device = NULL, *expected = NULL;
	g_autoptr(Backing) first = NULL, reader = NULL;
	g_autoptr(GError) error = NULL;
	int fd = loop_device_new(path, &device);

	(void)data;
	if (fd < 0) {
		test_skip("no loop device can be made");
		return;
	}
	first = open_or_fail(device, 0);
	close(fd);
	CHECK_STR(first->ops->kind, "block");
	CHECK(backing_lock(first, TRUE, &error));
	expected = g_strdup_printf("%s is in use by process %d (test-file)", device, getpid());
	CHECK(!backing_file_open(device, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, expected);
	g_clear_error(&error);
	reader = open_or_fail(device, BACKING_OPEN_READ_ONLY);
	CHECK(!backing_lock(reader, FALSE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, expected);
	g_clear_error(&error);
	CHECK(!backing_file_open(device, BACKING_OPEN_CREATE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, device);
}

/* As on two machines, each of which has a page cache of its own. */
static void test_block_shared(const void *data)
{
	g_autofree char *path = new_file(4 * MIB), *first = NULL, *second = NULL;
	g_autofree guint8 *blocks = g_malloc(3 * BLOCK_SIZE);
	guint8 *block = blocks + BLOCK_SIZE - (guintptr)blocks % BLOCK_SIZE;
	int fds[2] = {loop_device_new(path, &first), loop_device_new(path, &second)};
	g_autoptr(Backing) here = NULL, there = NULL, file = open_or_fail(path, 0);
	char text[4] = "";

	(void)data;
	CHECK(!backing_is_shared(file));
	if (fds[0] < 0 || fds[1] < 0) {
		test_skip("no loop device can be made");
		return;
	}
	here = open_or_fail(first, 0);
	there = open_or_fail(second, 0);
	CHECK(backing_is_shared(here));
	CHECK_INT(backing_pread(there, text, 4, 2 * BLOCK_SIZE), 0);
	memset(block, 'x', BLOCK_SIZE);
	CHECK_INT(backing_write_direct(here, block, BLOCK_SIZE, 2 * BLOCK_SIZE), 0);
	memset(block, 0, BLOCK_SIZE);
	CHECK_INT(backing_read_direct(there, block, BLOCK_SIZE, 2 * BLOCK_SIZE), 0);
	CHECK_INT(block[BLOCK_SIZE - 1], 'x');
	CHECK_INT(backing_refresh(there), 0);
	CHECK_INT(backing_pread(there, text, 4, 2 * BLOCK_SIZE), 0);
	CHECK_INT(text[0], 'x');
	/* The writer's lock does the same. */
	CHECK_INT(backing_pread(there, text, 4, 3 * BLOCK_SIZE), 0);
	CHECK_INT(backing_write_direct(here, block, BLOCK_SIZE, 3 * BLOCK_SIZE), 0);
	CHECK(backing_lock(there, TRUE, NULL));
	CHECK_INT(backing_pread(there, text, 4, 3 * BLOCK_SIZE), 0);
	CHECK_INT(text[0], 'x');
	CHECK(backing_read_direct(there, block, BLOCK_SIZE, 8 * MIB) < 0);
	backing_condemn(here, "test");
	CHECK_INT(backing_write_direct(here, block, BLOCK_SIZE, 0), -ESHUTDOWN);
	close(fds[0]);
	close(fds[1]);
}

/* A device may become larger below us, but we cannot make it larger. */
static void test_block_size(const void *data)
{
	g_autofree char *path = new_file(4 * MIB), *device = NULL;
	g_autoptr(Backing) backing = NULL;
	int fd = loop_device_new(path, &device);

	(void)data;
	if (fd < 0) {
		test_skip("no loop device can be made");
		return;
	}
	backing = open_or_fail(device, 0);
	CHECK_UINT(backing_size(backing), 4 * MIB);
	CHECK_UINT(backing_allocated(backing), 4 * MIB);
	CHECK_INT(backing_grow(backing, 3 * MIB), 0);
	CHECK_INT(backing_grow(backing, 6 * MIB), -ENOSPC);
	CHECK_INT(truncate(path, 8 * MIB), 0);
	CHECK_INT(ioctl(fd, LOOP_SET_CAPACITY), 0);
	CHECK_INT(backing_grow(backing, 6 * MIB), 0);
	CHECK_UINT(backing_size(backing), 8 * MIB);
	CHECK_INT(backing_grow(backing, 9 * MIB), -ENOSPC);
	close(fd);
}

/* As the reader of a snapshot does, who holds no lock. */
static void test_read_sees_growth(const void *data)
{
	g_autofree char *path = new_file(MIB);
	Backing *reader = open_or_fail(path, BACKING_OPEN_READ_ONLY);
	Backing *writer = open_or_fail(path, 0);
	char text[4] = "";

	(void)data;
	CHECK_INT(backing_pread(reader, text, 3, MIB), -ENXIO);
	CHECK_INT(backing_grow(writer, 2 * MIB), 0);
	CHECK_INT(backing_pwrite(writer, "abc", 3, 2 * MIB - 3), 0);
	CHECK_INT(backing_pread(reader, text, 3, 2 * MIB - 3), 0);
	CHECK_STR(text, "abc");
	CHECK_INT(backing_pread(reader, text, 3, 2 * MIB - 2), -ENXIO);
	backing_free(reader);
	backing_free(writer);
}

int main(int argc, char **argv)
{
	test_add("what is hastened is written all the same", test_hasten, NULL);
	test_add("data is there after opening again", test_reopen, NULL);
	test_add("a read leaves no trace in the file's times", test_access_time, NULL);
	test_add("create makes a private file and never takes an existing one", test_create, NULL);
	test_add("a path that cannot be a backing is refused by name", test_open_fails, NULL);
	test_add("the error for a lock that is held names its holder", test_lock_names_holder,
		 NULL);
	test_add("a lock that is just being released", test_lock_waits_a_little, NULL);
	test_add("readers share, a writer does not", test_lock_shared, NULL);
	test_add("a file that was deleted before it was locked", test_lock_deleted, NULL);
	test_add("a file that grew before it was locked", test_lock_sees_growth, NULL);
	test_add("a file that grows while it is read", test_read_sees_growth, NULL);
	test_add("a backing is the file that was opened, whatever its path leads to", test_place,
		 NULL);
	test_add("a file that was cut behind our back reads as zeros", test_truncated, NULL);
	test_add("the process's own file size limit is no signal", test_process_limit, NULL);
	test_add("a block device is opened for writing once", test_block_exclusive, NULL);
	test_add("what another machine writes to a block device is read", test_block_shared, NULL);
	test_add("a block device keeps its length", test_block_size, NULL);
	return test_run(argc, argv);
}
