/* SPDX-License-Identifier: Apache-2.0 */
/* Opening a backing by its name: what is a path, what a scheme. */
#include "common/backing/backing.h"
#include "common/base/error.h"
#include "tests/harness.h"

#include <unistd.h>

static char *directory;

typedef struct {
	const char *name, *format; /* with the directory for %s */
	const char *problem;	   /* NULL: it opens */
	StorageosError code;
} Name;

static const Name names[] = {
	{"a path", "%s/volume", NULL, 0},
	{"a path with a colon", "%s/a:b", NULL, 0},
	{"a scheme", "file:%s/volume", NULL, 0},
	{"an unknown scheme", "rbd:pool%s", "unknown kind of backing 'rbd'",
	 STORAGEOS_ERROR_INVALID},
	{"a longer scheme", "files:%s/volume", "unknown kind of backing 'files'",
	 STORAGEOS_ERROR_INVALID},
	{"a shorter scheme", "fil:%s/volume", "unknown kind of backing 'fil'",
	 STORAGEOS_ERROR_INVALID},
	{"nothing there", "%s/nothing", "nothing", STORAGEOS_ERROR_NOT_FOUND},
	{"nothing there, by scheme", "file:%s/nothing", "nothing", STORAGEOS_ERROR_NOT_FOUND},
	{"a directory", "%s", "is neither a file nor a block device", STORAGEOS_ERROR_INVALID},
	{"a scheme without a rest", "file:", "", STORAGEOS_ERROR_NOT_FOUND},
};

static void create_file(const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_CREATE, NULL);

	CHECK(backing != NULL);
}

static void remove_file(const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);

	unlink(path);
}

static char *name_format(const Name *name)
{
	g_auto(GStrv) parts = g_strsplit(name->format, "%s", 2);

	return g_strconcat(parts[0], parts[1] ? directory : "", parts[1], NULL);
}

static void test_names(const void *data)
{
	(void)data;
	create_file("volume");
	create_file("a:b");
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *name = name_format(&names[i]);
		g_autoptr(GError) error = NULL;
		g_autoptr(Backing) backing = backing_open(name, 0, &error);

		test_row("%s", names[i].name);
		CHECK((backing != NULL) == !names[i].problem);
		if (names[i].problem)
			CHECK_ERROR(error, names[i].code, names[i].problem);
	}
	remove_file("volume");
	remove_file("a:b");
}

static void test_create(const void *data)
{
	g_autofree char *uri = g_strdup_printf("file:%s/new", directory);
	g_autoptr(GError) error = NULL;
	g_autoptr(Backing) first = backing_open(uri, BACKING_OPEN_CREATE, NULL);
	g_autoptr(Backing) again = backing_open(uri, BACKING_OPEN_CREATE, &error);

	(void)data;
	CHECK(first != NULL);
	CHECK(!again);
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, "exists already");
	remove_file("new");
}

int main(int argc, char **argv)
{
	int failed;

	directory = g_dir_make_tmp("storageos-test-XXXXXX", NULL);
	test_add("a name is a path, or has a scheme of the table", test_names, NULL);
	test_add("what is there is not created again", test_create, NULL);
	failed = test_run(argc, argv);
	rmdir(directory);
	return failed;
}
