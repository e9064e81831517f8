/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "tests/harness.h"

static void test_absolute(const void *data)
{
	static const struct {
		const char *path, *directory, *absolute;
	} rows[] = {
		{"/", NULL, "/"},	  {"/a/b", "/x", "/a/b"},
		{"/a//b/", NULL, "/a/b"}, {"/a/./b/../c", NULL, "/a/c"},
		{"/../../a", NULL, "/a"}, {"/a/..", NULL, "/"},
		{"a", "/x/y", "/x/y/a"},  {"../../sda", "/dev/storageos/default", "/dev/sda"},
		{".", "/x", "/x"},	  {"", "/x", "/x"},
		{"...", "/", "/..."},
	};
	g_autofree char *here = g_get_current_dir();
	g_autofree char *relative = files_absolute("a", NULL);

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *absolute = files_absolute(rows[i].path, rows[i].directory);

		test_row("'%s'", rows[i].path);
		CHECK_STR(absolute, rows[i].absolute);
	}
	CHECK(g_str_has_prefix(relative, here) && g_str_has_suffix(relative, "/a"));
}

static void test_read_and_write(const void *data)
{
	g_autofree char *path = test_path(".txt");
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL, exists = NULL, long_error = NULL, none = NULL;
	struct stat st;
	gsize length;

	(void)data;
	CHECK(!files_read(path, 10, NULL, &none));
	CHECK_ERROR(none, STORAGEOS_ERROR_NOT_FOUND, path);
	CHECK(files_write(path, "12345", 5, 0640, FILES_NEW, &error));
	CHECK_NO_ERROR(error);
	CHECK(!files_write(path, "x", 1, 0640, FILES_NEW, &exists));
	CHECK_ERROR(exists, STORAGEOS_ERROR_EXISTS, path);
	CHECK(!stat(path, &st) && (st.st_mode & 07777) == 0640);
	text = files_read(path, 5, &length, NULL);
	CHECK_STR(text, "12345");
	CHECK_UINT(length, 5);
	CHECK(!files_read(path, 4, NULL, &long_error));
	CHECK_ERROR(long_error, STORAGEOS_ERROR_INVALID, path);
	CHECK(files_write(path, "", 0, 0600, FILES_REPLACE, NULL));
	CHECK(!stat(path, &st) && (st.st_mode & 07777) == 0640); /* the mode is kept */
}

/* Lengths around the reader's first buffer size, and around each size to which it grows. */
static void test_read_to_end(const void *data)
{
	static const gsize lengths[] = {0, 1, 16383, 16384, 16385, 32768, 32769, 100000};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
		g_autofree char *path = test_path(".bytes"), *whole = NULL, *none = NULL;
		g_autofree char *bytes = g_malloc0(lengths[i] + 1);
		gsize length = 0, short_length = 77;
		autofd fd = -1;

		test_row("%" G_GSIZE_FORMAT " bytes", lengths[i]);
		memset(bytes, 'x', lengths[i]);
		CHECK(g_file_set_contents(path, bytes, (gssize)lengths[i], NULL));
		fd = fd_open(path, O_RDONLY, 0);
		CHECK_INT(files_read_to_end(fd, lengths[i], &whole, &length), 0);
		CHECK_UINT(length, lengths[i]);
		CHECK(whole && !strcmp(whole, bytes));
		lseek(fd, 0, SEEK_SET);
		if (lengths[i])
			CHECK_INT(files_read_to_end(fd, lengths[i] - 1, &none, &short_length),
				  EFBIG);
		CHECK(!none);
	}
}

static void test_read_kernel(const void *data)
{
	g_autofree char *whole = NULL, *type = NULL, *value = NULL, *missing = NULL;
	g_autofree char *directory = NULL;
	gsize length = 0;

	(void)data;
	whole = files_read_kernel("/proc/self/status", &length);
	REQUIRE(whole);
	CHECK(length > 0 && strlen(whole) == length);
	CHECK_CONTAINS(whole, "\nPid:");
	type = files_get_attribute("/proc/sys/kernel", "ostype");
	CHECK_STR(type, "Linux");
	CHECK(!files_read_kernel("/proc/self", NULL));
	missing = files_get_attribute("/proc/sys/kernel", "nothing/at/all");
	CHECK(!missing);
	directory = test_path("-attributes");
	CHECK(files_make_directory(directory, NULL));
	value = g_build_filename(directory, "value", NULL);
	CHECK(g_file_set_contents(value, " 1 2 \n", -1, NULL));
	g_free(value);
	value = files_get_attribute(directory, "value");
	CHECK_STR(value, " 1 2");
}

static void test_no_text(const void *data)
{
	g_autofree char *path = test_path(".txt");
	g_autoptr(GError) zero = NULL, fifo = NULL, directory = NULL;

	(void)data;
	CHECK(g_file_set_contents(path, "12\0004", 4, NULL));
	CHECK(!files_read(path, 10, NULL, &zero));
	CHECK_ERROR(zero, STORAGEOS_ERROR_CORRUPT, "byte 2 is zero");
	unlink(path);
	CHECK_INT(mkfifo(path, 0600), 0);
	CHECK(!files_read(path, 10, NULL, &fifo)); /* does not wait for a writer */
	CHECK_ERROR(fifo, STORAGEOS_ERROR_INVALID, "is not a regular file");
	CHECK(!files_read(test_directory(), 10, NULL, &directory));
	CHECK_ERROR(directory, STORAGEOS_ERROR_INVALID, "is not a regular file");
}

/* Neither a write that fails nor one that succeeds leaves a temporary file. */
static void test_nothing_left(const void *data)
{
	g_autofree char *directory = test_path("-left");
	g_autofree char *path = g_build_filename(directory, "file", NULL);
	g_autoptr(GDir) open = NULL;

	(void)data;
	CHECK(files_make_directory(directory, NULL));
	CHECK(files_write(path, "1", 1, 0600, FILES_NEW, NULL));
	CHECK(!files_write(path, "2", 1, 0600, FILES_NEW, NULL));
	CHECK(files_write(path, "3", 1, 0600, FILES_REPLACE, NULL));
	open = g_dir_open(directory, 0, NULL);
	REQUIRE(open);
	CHECK_STR(g_dir_read_name(open), "file");
	CHECK_STR(g_dir_read_name(open), NULL);
}

/* A kill leaves the temporary file, which must not be taken for a volume's entry or file. */
static void test_temporary_names(const void *data)
{
	g_autofree char *path = g_build_filename(test_directory(), "occupied", NULL);
	g_autoptr(GError) error = NULL;

	(void)data;
	REQUIRE(!mkdir(path, 0700));
	CHECK(!files_write(path, "x", 1, 0600, FILES_REPLACE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, "occupied.~");
}

static void test_publish(const void *data)
{
	g_autofree char *path = test_path(".txt"), *temporary = g_strconcat(path, ".new", NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(g_file_set_contents(temporary, "new", -1, NULL));
	CHECK(files_publish(temporary, path, NULL));
	CHECK(!g_file_test(temporary, G_FILE_TEST_EXISTS));
	CHECK(g_file_set_contents(temporary, "newer", -1, NULL));
	CHECK(!files_publish(temporary, path, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, path);
	text = files_read(path, 10, NULL, NULL);
	CHECK_STR(text, "new");
}

static void test_directories(const void *data)
{
	g_autofree char *top = test_path("-top"), *deep = g_build_filename(top, "a/b", NULL);
	g_autofree char *link = test_path("-link"), *file = test_path("-file");
	g_autofree char *missing = files_first_missing(deep), *none = NULL;
	g_autoptr(GError) dangling = NULL, not_directory = NULL;
	struct stat st;

	(void)data;
	CHECK_STR(missing, top);
	CHECK(files_make_directory(deep, NULL));
	CHECK(files_make_directory(deep, NULL));
	CHECK(!stat(deep, &st) && S_ISDIR(st.st_mode) && (st.st_mode & 0777) == 0755);
	none = files_first_missing(deep);
	CHECK_STR(none, NULL);
	CHECK_INT(symlink("nothing", link), 0);
	CHECK(!files_make_directory(link, &dangling));
	CHECK_ERROR(dangling, STORAGEOS_ERROR_NOT_FOUND, link);
	CHECK(g_file_set_contents(file, "x", -1, NULL));
	CHECK(!files_make_directory(file, &not_directory));
	CHECK_ERROR(not_directory, STORAGEOS_ERROR_NOT_FOUND, "Not a directory");
}

static void test_real_path(const void *data)
{
	g_autofree char *directory = test_path("-real"), *link = test_path("-link");
	g_autofree char *inside = g_build_filename(link, "x/y", NULL);
	g_autofree char *top = realpath(test_directory(), NULL);
	g_autofree char *base = g_path_get_basename(directory);
	g_autofree char *wanted = g_build_filename(top, base, "x/y", NULL);
	g_autofree char *found = NULL, *root = files_real_path("/");

	(void)data;
	CHECK(files_make_directory(directory, NULL));
	CHECK_INT(symlink(directory, link), 0);
	found = files_real_path(inside);
	CHECK_STR(found, wanted);
	CHECK_STR(root, "/");
}

static void test_lock(const void *data)
{
	g_autofree char *path = test_path(".lock");
	g_autoptr(GError) error = NULL;
	autofd first = files_lock(path, 0, NULL);
	autofd second = files_lock(path, 0, &error);

	(void)data;
	CHECK(first >= 0);
	CHECK_INT(second, -1);
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, path);
	close(autofd_steal(&first));
	second = files_lock(path, 0, NULL);
	CHECK(second >= 0);
}

int main(int argc, char **argv)
{
	test_add("an absolute path without . and ..", test_absolute, NULL);
	test_add("files are read and written whole", test_read_and_write, NULL);
	test_add("a descriptor is read to its end, within bounds", test_read_to_end, NULL);
	test_add("files of the kernel are read", test_read_kernel, NULL);
	test_add("only regular files of text are read", test_no_text, NULL);
	test_add("no write leaves a temporary file", test_nothing_left, NULL);
	test_add("a temporary file has no volume's name", test_temporary_names, NULL);
	test_add("publishing replaces no file", test_publish, NULL);
	test_add("directories are made with their parents", test_directories, NULL);
	test_add("the existing part of a path is resolved", test_real_path, NULL);
	test_add("a lock keeps others out until it is dropped", test_lock, NULL);
	return test_run(argc, argv);
}
