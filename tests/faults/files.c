/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files: every call that can fail is made to fail at every place.  Afterwards the file's name
 * has either the old or the new content, whole, and no temporary file is left.
 */
#include "common/base/files.h"

#include <errno.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "tests/faults/inject.h"
#include "tests/harness.h"

#define OLD "old\n"
#define NEW "a new content\n"

/* A directory with one file in it, or with none. */
typedef struct {
	char *directory, *path;
} FilesPlace;

static void place_init(FilesPlace *place, gboolean with_file)
{
	place->directory = test_path("files");
	place->path = g_build_filename(place->directory, "file", NULL);
	g_mkdir_with_parents(place->directory, 0755);
	if (with_file)
		CHECK(files_write(place->path, OLD, strlen(OLD), 0640, FILES_NEW, NULL));
}

static void place_clear(FilesPlace *place)
{
	g_free(place->directory);
	g_free(place->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(FilesPlace, place_clear)

static guint names_in(const char *directory)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	guint n = 0;

	while (dir && g_dir_read_name(dir))
		n++;
	return n;
}

/* ---- actions */

static gboolean replace(const FilesPlace *place, GError **error)
{
	return files_write(place->path, NEW, strlen(NEW), 0600, FILES_REPLACE, error);
}

static gboolean make_new(const FilesPlace *place, GError **error)
{
	return files_write(place->path, NEW, strlen(NEW), 0600, FILES_NEW, error);
}

static gboolean read_whole(const FilesPlace *place, GError **error)
{
	g_autofree char *text = files_read(place->path, 100, NULL, error);

	if (text)
		CHECK_STR(text, OLD);
	return text != NULL;
}

static gboolean lock(const FilesPlace *place, GError **error)
{
	autofd fd = files_lock(place->path, 10, error);

	return fd >= 0;
}

static const struct {
	const char *name;
	gboolean (*run)(const FilesPlace *place, GError **error);
	gboolean with_file; /* the file exists before the action */
} actions[] = {
	{"replace", replace, TRUE},
	{"make", make_new, FALSE},
	{"read", read_whole, TRUE},
	{"lock", lock, TRUE},
};

#define TRANSFERS (INJECT_RECEIVE | INJECT_SEND)
#define LOOKS_ON (INJECT_FLUSH | INJECT_LOCK)

static const struct {
	Injection injection;
	gboolean goes_on; /* the action succeeds all the same */
	StorageosError code;
	const char *text;
} faults[] = {
	{{"EIO", TRANSFERS | INJECT_FLUSH | INJECT_OPEN | INJECT_STAT | INJECT_NAME, EIO, FALSE},
	 FALSE,
	 STORAGEOS_ERROR_IO,
	 "Input/output error"},
	{{"ENOSPC", INJECT_SEND | INJECT_FLUSH | INJECT_NAME, ENOSPC, FALSE},
	 FALSE,
	 STORAGEOS_ERROR_NO_SPACE,
	 "No space left"},
	{{"ENOMEM", INJECT_MEMORY, ENOMEM, FALSE}, FALSE, STORAGEOS_ERROR_NO_SPACE, "memory"},
	{{"ENOLCK", INJECT_LOCK, ENOLCK, FALSE}, FALSE, STORAGEOS_ERROR_IO, "No locks"},
	{{"EINTR", TRANSFERS | LOOKS_ON, EINTR, FALSE}, TRUE, 0, NULL},
	{{"short", TRANSFERS, INJECT_SHORT, FALSE}, TRUE, 0, NULL},
	/* A file system without renameat2(RENAME_NOREPLACE). */
	{{"EINVAL", INJECT_NAME, EINVAL, FALSE},
	 FALSE,
	 STORAGEOS_ERROR_INVALID,
	 "Invalid argument"},
};

static void check_place(const FilesPlace *place, gboolean with_file, gboolean done)
{
	g_autofree char *text = files_read(place->path, 100, NULL, NULL);

	CHECK_UINT(names_in(place->directory), text != NULL);
	if (with_file || done)
		CHECK(text != NULL);
	if (text)
		CHECK(!strcmp(text, with_file ? OLD : NEW) || !strcmp(text, NEW));
}

/* Makes call number `point` fail; FALSE if the action makes fewer calls. */
static gboolean fail_at(guint action, guint fault, guint64 point)
{
	g_auto(FilesPlace) place = {0};
	g_autoptr(GError) error = NULL;
	gboolean done, failed;

	place_init(&place, actions[action].with_file);
	inject_begin(&faults[fault].injection, point);
	done = actions[action].run(&place, &error);
	failed = inject_end() > point;
	CHECK_INT(done, error == NULL);
	if (!failed || faults[fault].goes_on)
		CHECK_NO_ERROR(error);
	else if (!done)
		CHECK_ERROR(error, faults[fault].code, faults[fault].text);
	else /* where rename fails with EINVAL, a new file is linked instead */
		CHECK(actions[action].run == make_new && faults[fault].injection.err == EINVAL);
	check_place(&place, actions[action].with_file, done);
	return failed;
}

static void test_sweep(const void *data)
{
	guint action = GPOINTER_TO_UINT(data), n = 0;

	for (guint fault = 0; fault < G_N_ELEMENTS(faults); fault++) {
		guint64 point = 0;

		do
			test_row("%s: %s at call %u", actions[action].name,
				 faults[fault].injection.name, (guint)point);
		while (fail_at(action, fault, point++));
		n += (guint)point - 1;
	}
	CHECK(n >= 3);
}

/* Neither way of giving a new file its name replaces an existing file. */
static void test_new_without_rename(const void *data)
{
	static const Injection none = {"ENOSYS", INJECT_NAME, ENOSYS, FALSE};
	g_auto(FilesPlace) place = {0};
	g_autoptr(GError) error = NULL;

	(void)data;
	place_init(&place, TRUE);
	inject_begin(&none, 0);
	CHECK(!make_new(&place, &error));
	CHECK_UINT(inject_end(), 2);
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, place.path);
	CHECK_UINT(names_in(place.directory), 1);
	CHECK(read_whole(&place, NULL));
}

/* The file becomes shorter while it is read. */
static void test_ends_early(const void *data)
{
	g_autoptr(GError) error = NULL;

	(void)data;
	if (access("/sys/kernel/uevent_seqnum", R_OK)) {
		test_skip("no file in /sys that says to be longer than it is");
		return;
	}
	CHECK(!files_read("/sys/kernel/uevent_seqnum", 1 << 16, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, "changed while it was read");
}

static void test_lock(const void *data)
{
	g_auto(FilesPlace) place = {0};
	g_autoptr(GError) busy = NULL, none = NULL;
	g_autofree char *elsewhere = NULL;

	(void)data;
	place_init(&place, FALSE);
	elsewhere = g_build_filename(place.directory, "none", "lock", NULL);
	{
		autofd first = files_lock(place.path, 0, NULL);
		autofd second = files_lock(place.path, 0, &busy);

		CHECK(first >= 0 && second < 0);
		CHECK_ERROR(busy, STORAGEOS_ERROR_BUSY, "has been locked by another process");
	}
	{
		autofd again = files_lock(place.path, 0, NULL);
		autofd directory = files_lock(place.directory, 0, NULL);

		CHECK(again >= 0 && directory >= 0);
	}
	CHECK_INT(files_lock(elsewhere, 0, &none), -1);
	CHECK_ERROR(none, STORAGEOS_ERROR_NOT_FOUND, elsewhere);
}

static void test_make_directory(const void *data)
{
	g_auto(FilesPlace) place = {0};
	g_autoptr(GError) under = NULL, is_file = NULL;
	g_autofree char *deep = NULL, *below = NULL;

	(void)data;
	place_init(&place, TRUE);
	deep = g_build_filename(place.directory, "a", "b", NULL);
	below = g_build_filename(place.path, "a", NULL);
	CHECK(files_make_directory(deep, NULL) && files_make_directory(deep, NULL));
	CHECK(!files_make_directory(below, &under));
	CHECK_ERROR(under, STORAGEOS_ERROR_NOT_FOUND, below);
	CHECK(!files_make_directory(place.path, &is_file));
	CHECK_ERROR(is_file, STORAGEOS_ERROR_NOT_FOUND, place.path);
}

int main(int argc, char **argv)
{
	for (guint i = 0; i < G_N_ELEMENTS(actions); i++) {
		g_autofree char *name =
			g_strdup_printf("%s: every call fails once", actions[i].name);

		test_add(name, test_sweep, GUINT_TO_POINTER(i));
	}
	test_add("a new file replaces nothing where files can only be linked",
		 test_new_without_rename, NULL);
	test_add("a file that ends early is an error", test_ends_early, NULL);
	test_add("a lock keeps others out, and they wait no longer than asked", test_lock, NULL);
	test_add("a directory is made unless its name is taken", test_make_directory, NULL);
	return test_run(argc, argv);
}
