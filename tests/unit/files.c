/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/files.h"

#include <errno.h>
#include <fcntl.h>
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

int main(int argc, char **argv)
{
	test_add("an absolute path without . and ..", test_absolute, NULL);
	test_add("files are read and written whole", test_read_and_write, NULL);
	test_add("a descriptor is read to its end, within bounds", test_read_to_end, NULL);
	test_add("files of the kernel are read", test_read_kernel, NULL);
	return test_run(argc, argv);
}
