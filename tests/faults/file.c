/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file backing: the result of each operation for each error of the system call below it.
 */
#include "common/backing/file.h"

#include <errno.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "tests/faults/inject.h"
#include "tests/harness.h"

#define SIZE MIB

static Backing *new_file(void)
{
	g_autofree char *path = test_path("file");
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_file_open(path, BACKING_OPEN_CREATE, &error);

	CHECK_NO_ERROR(error);
	CHECK_INT(backing_grow(backing, SIZE), 0);
	return backing;
}

/* ---- operations */

static char buffer[3000];

static int vector_of_two(Backing *backing, gboolean writing, BackingFlags flags)
{
	struct iovec iov[] = {{buffer, 1000}, {buffer + 1000, 2000}};

	return (writing ? backing_pwritev : backing_preadv)(backing, iov, 2, 5000, flags);
}

static int read_one(Backing *backing)
{
	return backing_pread(backing, buffer, sizeof buffer, 5000);
}

static int read_two(Backing *backing)
{
	return vector_of_two(backing, FALSE, BACKING_WAIT);
}

static int read_nowait(Backing *backing)
{
	return vector_of_two(backing, FALSE, BACKING_NOWAIT);
}

static int write_one(Backing *backing)
{
	return backing_pwrite(backing, buffer, sizeof buffer, 5000);
}

static int write_two(Backing *backing)
{
	return vector_of_two(backing, TRUE, BACKING_WAIT);
}

static int write_nowait(Backing *backing)
{
	return vector_of_two(backing, TRUE, BACKING_NOWAIT);
}

static int punch(Backing *backing)
{
	return backing_punch(backing, 0, 4096);
}

static int grow(Backing *backing)
{
	return backing_grow(backing, 2 * SIZE);
}

typedef struct {
	const char *name;
	int (*run)(Backing *backing);
	InjectKind kind;
} FileOperation;

static const FileOperation operations[] = {
	{"read", read_one, INJECT_READ},
	{"read a vector", read_two, INJECT_READ},
	{"read at once", read_nowait, INJECT_READ},
	{"write", write_one, INJECT_WRITE},
	{"write a vector", write_two, INJECT_WRITE},
	{"write at once", write_nowait, INJECT_WRITE},
	{"punch", punch, INJECT_SPACE},
	{"grow", grow, INJECT_SPACE},
	{"flush", backing_flush, INJECT_FLUSH},
};

/* ---- errors */

static const struct {
	int err, result;
	int at_once; /* result of transfers that must not wait */
	int flush;
} errors[] = {
	{EIO, -EIO, -EIO, -EIO},
	{ENXIO, -EIO, -EIO, -EIO},
	{EBADMSG, -EIO, -EIO, -EIO},
	{EUCLEAN, -EIO, -EIO, -EIO},
	{EAGAIN, -EIO, -EAGAIN, -EIO},
	{ENOSPC, -ENOSPC, -ENOSPC, -ENOSPC},
	{EDQUOT, -ENOSPC, -ENOSPC, -ENOSPC},
	{EFBIG, -ENOSPC, -ENOSPC, -EIO},
	{ENOMEM, -ENOMEM, -ENOMEM, -EIO},
	{ENODEV, -EOPNOTSUPP, -EOPNOTSUPP, -EIO},
	{ENOSYS, -EOPNOTSUPP, -EAGAIN, -EIO},
	{EOPNOTSUPP, -EOPNOTSUPP, -EAGAIN, -EIO},
	{EINTR, 0, 0, 0},
	{INJECT_SHORT, 0, 0, 0},
};

/* Only a few file systems, in recent kernels, can write to the page cache without waiting. */
static gboolean has_nowait_writes(void)
{
	g_autoptr(Backing) backing = new_file();

	return write_nowait(backing) == 0;
}

static int expected(const FileOperation *operation, guint i)
{
	if (operation->run == read_nowait || operation->run == write_nowait)
		return errors[i].at_once;
	return operation->kind == INJECT_FLUSH ? errors[i].flush : errors[i].result;
}

static void test_errors(const void *data)
{
	const FileOperation *operation = data;

	for (guint i = 0; i < G_N_ELEMENTS(errors); i++) {
		const Injection once = {"once", operation->kind, errors[i].err, FALSE};
		g_autoptr(Backing) backing = new_file();
		gboolean whole = errors[i].err == INJECT_SHORT &&
				 operation->kind & (INJECT_SPACE | INJECT_FLUSH);
		int r;

		if (whole) /* these operations transfer no data, so nothing can be short */
			continue;
		test_row("%s", errors[i].err > 0 ? g_strerror(errors[i].err) : "a part");
		inject_begin(&once, 0);
		r = operation->run(backing);
		if (r != -EAGAIN || operation->run != write_nowait || has_nowait_writes())
			CHECK_INT(r, expected(operation, i));
		CHECK(inject_end() >= 1);
		if (operation->kind == INJECT_FLUSH) /* a flush that failed once fails for ever */
			CHECK_INT(operation->run(backing), errors[i].flush);
		else if (operation->run != read_nowait && operation->run != write_nowait)
			CHECK_INT(operation->run(backing), 0);
	}
}

/* A transfer of many parts, each of which is cut short, is complete in the end. */
static void test_always_short(const void *data)
{
	static const Injection parts = {"a part", INJECT_READ | INJECT_WRITE, INJECT_SHORT, TRUE};
	g_autoptr(Backing) backing = new_file();
	guint8 pattern[20000], got[20000] = {0};
	struct iovec iov[] = {{pattern, 1}, {pattern + 1, 9000}, {pattern + 9001, 10999}};
	struct iovec into[] = {{got, 7000}, {got + 7000, 12999}, {got + 19999, 1}};

	(void)data;
	for (guint i = 0; i < sizeof pattern; i++)
		pattern[i] = (guint8)(i * 7 + i / 256);
	inject_begin(&parts, 0);
	CHECK_INT(backing_pwritev(backing, iov, 3, 777, BACKING_WAIT), 0);
	CHECK_INT(backing_preadv(backing, into, 3, 777, BACKING_WAIT), 0);
	CHECK(inject_end() > 6);
	CHECK_MEM(got, pattern, sizeof pattern);
}

/* A call that the file system does not support is tried only once. */
static void test_no_nowait(const void *data)
{
	static const FileOperation *const both[] = {&operations[2], &operations[5]};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(both); i++) {
		const Injection none = {"none", both[i]->kind, EOPNOTSUPP, FALSE};
		const Injection count = {"count", both[i]->kind, EIO, FALSE};
		g_autoptr(Backing) backing = new_file();

		test_row("%s", both[i]->name);
		inject_begin(&none, 0);
		CHECK_INT(both[i]->run(backing), -EAGAIN);
		inject_end();
		inject_begin(&count, 0);
		CHECK_INT(both[i]->run(backing), -EAGAIN);
		CHECK_UINT(inject_end(), 0);
	}
}

/* A write that has begun cannot be taken back, so its rest may wait. */
static void test_rest_waits(const void *data)
{
	static const Injection part = {"a part", INJECT_WRITE, INJECT_SHORT, FALSE};
	static const Injection later = {"EAGAIN", INJECT_WRITE, EAGAIN, FALSE};
	g_autoptr(Backing) backing = new_file();

	(void)data;
	if (!has_nowait_writes()) {
		test_skip("the file system cannot write without waiting");
		return;
	}
	inject_begin(&part, 0);
	CHECK_INT(write_nowait(backing), 0);
	CHECK_UINT(inject_end(), 2);
	inject_begin(&later, 0);
	CHECK_INT(write_nowait(backing), -EAGAIN);
	CHECK_UINT(inject_end(), 1);
}

/* ---- opening and locking */

static void test_open(const void *data)
{
	static const struct {
		Injection injection;
		gboolean opens;
		const char *text;
	} rows[] = {
		{{"EINTR", INJECT_OPEN, EINTR, FALSE}, TRUE, NULL},
		{{"EMFILE", INJECT_OPEN, EMFILE, FALSE}, FALSE, "open /"},
		{{"EIO", INJECT_STAT, EIO, FALSE}, FALSE, "find its size"},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Backing) first = new_file();
		g_autoptr(Backing) again = NULL;
		g_autoptr(GError) error = NULL;

		test_row("%s", rows[i].injection.name);
		inject_begin(&rows[i].injection, 0);
		again = backing_file_open(first->name, 0, &error);
		CHECK(inject_end() >= 1);
		CHECK_INT(again != NULL, rows[i].opens);
		if (!rows[i].opens)
			CHECK_ERROR(error, STORAGEOS_ERROR_IO, rows[i].text);
	}
}

static void test_lock(const void *data)
{
	static const struct {
		Injection injection;
		guint64 point;
		gboolean locks;
		int code;
		const char *text;
	} rows[] = {
		{{"EINTR", INJECT_LOCK, EINTR, FALSE}, 0, TRUE, 0, NULL},
		{{"taken for a moment", INJECT_LOCK, EWOULDBLOCK, FALSE}, 0, TRUE, 0, NULL},
		{{"taken", INJECT_LOCK, EWOULDBLOCK, TRUE},
		 0,
		 FALSE,
		 STORAGEOS_ERROR_BUSY,
		 "another process, or is mounted"},
		{{"ENOLCK", INJECT_LOCK, ENOLCK, FALSE}, 0, FALSE, STORAGEOS_ERROR_IO, "lock"},
		{{"EIO at first", INJECT_STAT, EIO, FALSE}, 0, FALSE, STORAGEOS_ERROR_IO, "stat"},
		{{"EIO once it is locked", INJECT_STAT, EIO, FALSE},
		 1,
		 FALSE,
		 STORAGEOS_ERROR_IO,
		 "stat"},
		{{"EIO for its size", INJECT_STAT, EIO, FALSE},
		 2,
		 FALSE,
		 STORAGEOS_ERROR_IO,
		 "find its size"},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Backing) backing = new_file();
		g_autoptr(GError) error = NULL;

		test_row("%s", rows[i].injection.name);
		inject_begin(&rows[i].injection, rows[i].point);
		CHECK_INT(backing_lock(backing, TRUE, &error), rows[i].locks);
		inject_end();
		if (!rows[i].locks)
			CHECK_ERROR(error, rows[i].code, rows[i].text);
	}
}

static void test_allocated(const void *data)
{
	static const Injection once = {"EIO", INJECT_STAT, EIO, FALSE};
	g_autoptr(Backing) backing = new_file();

	(void)data;
	CHECK(backing_allocated(backing) < SIZE);
	inject_begin(&once, 0);
	CHECK_UINT(backing_allocated(backing), SIZE);
	CHECK_UINT(inject_end(), 1);
}

int main(int argc, char **argv)
{
	for (guint i = 0; i < G_N_ELEMENTS(operations); i++) {
		g_autofree char *name =
			g_strconcat(operations[i].name, ": what errors become", NULL);

		test_add(name, test_errors, &operations[i]);
	}
	test_add("transfers that are always cut short end whole", test_always_short, NULL);
	test_add("a file system that always waits is asked once", test_no_nowait, NULL);
	test_add("a write at once that has begun is finished", test_rest_waits, NULL);
	test_add("an open that fails names the call", test_open, NULL);
	test_add("a lock that cannot be taken is not one that is held", test_lock, NULL);
	test_add("where allocation is unknown, the whole file counts", test_allocated, NULL);
	return test_run(argc, argv);
}
