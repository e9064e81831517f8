/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a backing by its name: a path, or a scheme and a path.
 */
#include "common/backing/backing.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "tests/harness.h"

typedef struct {
	const char *name, *format; /* with the directory for %s */
	const char *problem;	   /* NULL: it opens */
	StorageosError code;
} Name;

static const Name names[] = {
	{"a path", "%s/volume", NULL, 0},
	{"a path with a colon", "%s/a:b", NULL, 0},
	{"a scheme", "file:%s/volume", NULL, 0},
	{"an unknown scheme", "nbd:pool%s", "unknown kind of backing", STORAGEOS_ERROR_INVALID},
	{"a longer scheme", "files:%s/volume", "unknown kind of backing", STORAGEOS_ERROR_INVALID},
	{"a shorter scheme", "fil:%s/volume", "unknown kind of backing", STORAGEOS_ERROR_INVALID},
	{"nothing there", "%s/nothing", "nothing", STORAGEOS_ERROR_NOT_FOUND},
	{"nothing there, by scheme", "file:%s/nothing", "nothing", STORAGEOS_ERROR_NOT_FOUND},
	{"a directory", "%s", "is neither a file nor a block device", STORAGEOS_ERROR_INVALID},
	{"a scheme without a rest", "file:", "", STORAGEOS_ERROR_NOT_FOUND},
	{"a module that is not there", "rbd:pool/image", "needs the package storageos-rbd",
	 STORAGEOS_ERROR_UNSUPPORTED},
};

static void create_file(const char *directory, const char *name)
{
	g_autofree char *path = g_build_filename(directory, name, NULL);
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_CREATE, NULL);

	CHECK(backing != NULL);
}

static char *name_format(const Name *name, const char *directory)
{
	g_auto(GStrv) parts = g_strsplit(name->format, "%s", 2);

	return g_strconcat(parts[0], parts[1] ? directory : "", parts[1], NULL);
}

static void test_names(const void *data)
{
	g_autofree char *directory = test_path("-names");

	(void)data;
	CHECK(files_make_directory(directory, NULL));
	create_file(directory, "volume");
	create_file(directory, "a:b");
	for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
		g_autofree char *name = name_format(&names[i], directory);
		g_autoptr(GError) error = NULL;
		g_autoptr(Backing) backing = backing_open(name, 0, &error);

		test_row("%s", names[i].name);
		CHECK((backing != NULL) == !names[i].problem);
		if (names[i].problem)
			CHECK_ERROR(error, names[i].code, names[i].problem);
	}
}

static void test_create(const void *data)
{
	g_autofree char *path = test_path("-new"), *uri = g_strconcat("file:", path, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(Backing) first = backing_open(uri, BACKING_OPEN_CREATE, NULL);
	g_autoptr(Backing) again = backing_open(uri, BACKING_OPEN_CREATE, &error);

	(void)data;
	CHECK(first != NULL);
	CHECK(!again);
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, "exists already");
}

int main(int argc, char **argv)
{
	g_setenv("STORAGEOS_MODULE_DIRECTORY", "/nowhere", TRUE);
	test_add("a name is a path, or has a scheme of the table", test_names, NULL);
	test_add("an existing file is not created again", test_create, NULL);
	return test_run(argc, argv);
}
