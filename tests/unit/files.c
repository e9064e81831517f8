/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/files.h"

#include <sys/stat.h>

#include "common/base/error.h"
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
	CHECK(!stat(path, &st) && (st.st_mode & 07777) == 0640); /* keeps its mode */
}

int main(int argc, char **argv)
{
	test_add("a path without detours", test_absolute, NULL);
	test_add("files are read and written whole", test_read_and_write, NULL);
	return test_run(argc, argv);
}
