/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading below a sysroot, with every call that examines or reads a file failing once: the result
 * is the content or an error, and no descriptor stays open.
 */
#include "common/machine/sysroot.h"

#include <errno.h>

#include "common/base/error.h"
#include "tests/faults/inject.h"
#include "tests/harness.h"

#define TEXT "what is in the file\n"

static guint open_descriptors(void)
{
	g_autoptr(GDir) directory = g_dir_open("/proc/self/fd", 0, NULL);
	guint n = 0;

	while (g_dir_read_name(directory))
		n++;
	return n;
}

static const struct {
	Injection injection;
	gboolean goes_on;
} faults[] = {
	{{"EIO", INJECT_STAT | INJECT_RECEIVE, EIO, FALSE}, FALSE},
	{{"EINTR", INJECT_RECEIVE, EINTR, FALSE}, TRUE},
	{{"a part", INJECT_RECEIVE, INJECT_SHORT, FALSE}, TRUE},
};

static void test_read(const void *data)
{
	g_autofree char *directory = test_path("root");
	g_autofree char *path = g_build_filename(directory, "a", "file", NULL);
	g_autofree char *parent = g_path_get_dirname(path);
	Sysroot *sysroot;
	guint before;

	(void)data;
	g_mkdir_with_parents(parent, 0755);
	CHECK(g_file_set_contents(path, TEXT, -1, NULL));
	sysroot = sysroot_open(directory, NULL);
	REQUIRE(sysroot);
	before = open_descriptors();
	for (guint i = 0; i < G_N_ELEMENTS(faults); i++) {
		guint64 point = 0, calls;

		do {
			g_autoptr(GError) error = NULL;
			g_autofree char *text = NULL;
			gsize length = 0;

			test_row("%s at call %u", faults[i].injection.name, (guint)point);
			inject_begin(&faults[i].injection, point);
			text = sysroot_read(sysroot, "/a/../a/file", 100, &length, &error);
			calls = inject_end();
			CHECK_INT(text == NULL, error != NULL);
			CHECK_INT(text != NULL, faults[i].goes_on || point >= calls);
			if (text) {
				CHECK_STR(text, TEXT);
				CHECK_UINT(length, strlen(TEXT));
			} else {
				CHECK_CONTAINS(error->message, "/a/../a/file");
			}
			CHECK_UINT(open_descriptors(), before);
		} while (point++ < calls);
	}
	sysroot_close(sysroot);
}

/* The size of the kernel's own files is reported as 0; they must be read to their end all the same.
 */
static void test_length_unknown(const void *data)
{
	Sysroot *sysroot = sysroot_open("/", NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *whole = NULL, *cut = NULL;

	(void)data;
	REQUIRE(sysroot);
	whole = sysroot_read(sysroot, "/proc/self/status", 1 << 16, NULL, NULL);
	CHECK_CONTAINS(whole, "Pid:");
	cut = sysroot_read(sysroot, "/proc/self/status", 10, NULL, &error);
	CHECK(!cut);
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "10 bytes at most");
	sysroot_close(sysroot);
}

int main(int argc, char **argv)
{
	test_add("a file is read whole, or the read is an error", test_read, NULL);
	test_add("a file of unknown length is read to its end", test_length_unknown, NULL);
	return test_run(argc, argv);
}
