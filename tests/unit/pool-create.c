/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool.h"

#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/service/pool-marker.h"
#include "common/base/units.h"
#include "tests/unit/pools.h"

/* The names of everything in and below a directory, and the configuration's text. */
static char *everything(const char *directory, const Config *config)
{
	const char *const argv[] = {"find", directory, "-printf", "%P %s\\n", NULL};
	g_autofree char *found = NULL, *text = NULL;

	CHECK(g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &found, NULL,
			   NULL, NULL));
	CHECK(g_file_get_contents(config->file, &text, NULL, NULL));
	return g_strconcat(found, text, NULL);
}

static void test_pool_made(const void *data)
{
	g_autoptr(Config) config = config_with("; mine\n"), now = NULL;
	g_autofree char *top = test_path(".top");
	g_autofree char *directory = g_build_filename(top, "deep", "er", NULL);
	g_autofree char *odd = g_strconcat(top, "//deep/./er/", NULL);
	g_autofree char *uuid = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(pool_create(config, "p", odd, FALSE, &error));
	CHECK_NO_ERROR(error);
	now = config_load_again(config, NULL);
	REQUIRE(now && config_find_pool(now, "p"));
	CHECK_STR(config_find_pool(now, "p")->path, directory);
	uuid = pool_uuid(config_find_pool(now, "p"), &error);
	CHECK_NO_ERROR(error);
	CHECK_STR(config_find_pool(now, "p")->uuid, uuid);
	CHECK(pool_create(now, "p", directory, FALSE, &error)); /* exists unchanged */
	CHECK_NO_ERROR(error);
}

/* A pool that was made before configurations had UUIDs. */
static void test_pool_entered(const void *data)
{
	g_autoptr(Config) config = new_config(TRUE), now = NULL;
	const ConfigPool *pool = config_find_pool(config, "p");
	g_autofree char *uuid = pool_uuid(pool, NULL);

	(void)data;
	CHECK(!pool->uuid && pool_check(pool, NULL));
	CHECK(pool_create(config, "p", pool->path, FALSE, NULL));
	now = config_load_again(config, NULL);
	REQUIRE(now);
	CHECK_STR(config_find_pool(now, "p")->uuid, uuid);
}

static void test_another_pool_is_none(const void *data)
{
	g_autoptr(Config) config = config_with(""), now = NULL;
	g_autofree char *directory = test_path(".pool");
	g_autofree char *marker = g_build_filename(directory, POOL_MARKER, NULL);
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	const VolumeParameters parameters = {.size = MIB};
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(pool_create(config, "p", directory, FALSE, NULL));
	now = config_load_again(config, NULL);
	CHECK(pool_volume_create(now, &name, &parameters, 0, NULL));
	test_row("not mounted");
	CHECK_INT(unlink(marker), 0);
	CHECK(!pool_volume_path(now, &name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "(is its file system mounted?)");
	CHECK(!strstr(error->message, "pool create"));
	g_clear_error(&error);
	CHECK(!pool_create(now, "p", directory, FALSE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "is gone: mount its file system");
	CHECK(access(marker, F_OK));
	g_clear_error(&error);
	test_row("another one of its name is there");
	CHECK(pool_mark("p", directory, NULL, NULL));
	CHECK(!pool_volume_open(now, &name, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, " has the pool with UUID ");
	CHECK_CONTAINS(error->message, config_find_pool(now, "p")->uuid);
	g_clear_error(&error);
	CHECK(!pool_volume_create(now, &name, &parameters, POOL_CREATE_ONCE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "the configuration wants");
	CHECK(!pool_list(config_find_pool(now, "p"), NULL));
	CHECK(!pool_volume_delete(now, &name, NULL));
	CHECK(!pool_create(now, "p", directory, FALSE, NULL));
}

static const struct {
	const char *name, *path; /* '@' at the start stands for the test's directory */
	int code;
	const char *message;
} bad_pools[] = {
	{"q", "", STORAGEOS_ERROR_INVALID, "the directory has no name"},
	{"q", "/", STORAGEOS_ERROR_INVALID, "the root directory cannot be a pool"},
	{"q", "//", STORAGEOS_ERROR_INVALID, "the root directory"},
	{"q", "/..", STORAGEOS_ERROR_INVALID, "the root directory"},
	{"q", "@/new ", STORAGEOS_ERROR_INVALID, "cannot stand in a configuration"},
	{"q", " @/new", STORAGEOS_ERROR_INVALID, "cannot stand in a configuration"},
	{"q", "@/ne\nw", STORAGEOS_ERROR_INVALID, "cannot stand in a configuration"},
	{"q", "@/ne\x7fw", STORAGEOS_ERROR_INVALID, "cannot stand in a configuration"},
	{"Q", "@/new", STORAGEOS_ERROR_INVALID, "invalid pool name 'Q'"},
	{"q", "@/p", STORAGEOS_ERROR_EXISTS, "is the pool 'p' already"},
	{"q", "@/link", STORAGEOS_ERROR_EXISTS, "is the pool 'p' already"},
	{"q", "@/p/in/it", STORAGEOS_ERROR_INVALID, "lies in the pool 'p'"},
	{"q", "@/link/in/it", STORAGEOS_ERROR_INVALID, "lies in the pool 'p'"},
	{"q", "@/unknown/in/it", STORAGEOS_ERROR_INVALID, "lies in the pool at"},
	{"q", "@", STORAGEOS_ERROR_INVALID, "lies around the pool 'p'"},
	{"q", "@/unknown", STORAGEOS_ERROR_EXISTS, "belongs to the pool 'u'"},
	{"q", "@/file", STORAGEOS_ERROR_NOT_FOUND, "file"},
	{"q", "@/file/new", STORAGEOS_ERROR_NOT_FOUND, "file"},
	{"p", "@/new", STORAGEOS_ERROR_EXISTS, "it is at "},
	{"p", "@/new/er", STORAGEOS_ERROR_EXISTS, "storageos pool delete p"},
};

static void test_bad_pools(const void *data)
{
	g_autoptr(Config) config = config_with("# mine\n"), now = NULL;
	g_autofree char *top = test_path(".top");
	g_autofree char *known = g_build_filename(top, "p", NULL), *link = NULL;
	g_autofree char *unknown = g_build_filename(top, "unknown", NULL), *file = NULL;
	g_autofree char *before = NULL;

	(void)data;
	link = g_build_filename(top, "link", NULL);
	file = g_build_filename(top, "file", NULL);
	CHECK(pool_create(config, "p", known, FALSE, NULL));
	CHECK(pool_mark("u", unknown, NULL, NULL));
	CHECK_INT(symlink(known, link), 0);
	CHECK(g_file_set_contents(file, "", 0, NULL));
	now = config_load_again(config, NULL);
	before = everything(top, now);
	for (guint i = 0; i < G_N_ELEMENTS(bad_pools); i++) {
		const char *at = strchr(bad_pools[i].path, '@');
		g_autofree char *path =
			at ? g_strdup_printf("%.*s%s%s", (int)(at - bad_pools[i].path),
					     bad_pools[i].path, top, at + 1)
			   : g_strdup(bad_pools[i].path);
		g_autofree char *after = NULL;
		g_autoptr(GError) error = NULL;

		test_row("%s at '%s'", bad_pools[i].name, bad_pools[i].path);
		CHECK(!pool_create(now, bad_pools[i].name, path, FALSE, &error));
		CHECK_ERROR(error, bad_pools[i].code, bad_pools[i].message);
		after = everything(top, now);
		CHECK_STR(after, before);
	}
}

/* A pool from another machine. */
static void test_pool_adopted(const void *data)
{
	g_autoptr(Config) config = config_with(""), now = NULL;
	g_autofree char *directory = test_path(".pool"), *copy = test_path(".copy");
	g_autofree char *marker = g_build_filename(directory, POOL_MARKER, NULL);
	g_autofree char *copied = g_build_filename(copy, POOL_MARKER, NULL);
	g_autofree char *uuid = NULL, *text = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(pool_mark("theirs", directory, &uuid, NULL));
	CHECK(!pool_create(config, "ours", directory, FALSE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, "storageos pool import ");
	g_clear_error(&error);
	CHECK(pool_create(config, "ours", directory, TRUE, &error));
	CHECK_NO_ERROR(error);
	now = config_load_again(config, NULL);
	REQUIRE(now && config_find_pool(now, "ours"));
	CHECK_STR(config_find_pool(now, "ours")->uuid, uuid);
	CHECK(pool_check(config_find_pool(now, "ours"), &error));
	CHECK_NO_ERROR(error);
	test_row("a copy of it");
	CHECK_INT(mkdir(copy, 0700), 0);
	CHECK(g_file_get_contents(marker, &text, NULL, NULL));
	CHECK(g_file_set_contents(copied, text, -1, NULL));
	CHECK(!pool_create(now, "theirs", copy, TRUE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, "it has the UUID of the pool 'ours'");
	CHECK(!access(copied, F_OK));
}

/* The last step of the creation fails. */
static void test_failed_pool_leaves_nothing(const void *data)
{
	g_autofree char *top = test_path(".top");
	g_autofree char *directory = g_build_filename(top, "deep", "er", NULL);
	g_autoptr(Config) config = config_with("");

	(void)data;
	g_free(config->file);
	config->file = g_strdup("/proc/storageos-no-such.conf");
	config->named = FALSE;
	CHECK(!pool_create(config, "p", directory, FALSE, NULL));
	CHECK(access(top, F_OK));
}

static void test_pool_refused(const void *data)
{
	g_autofree char *file = test_path(".file");
	g_autofree char *below = g_build_filename(file, "x", NULL);
	g_autoptr(GError) bad_name = NULL, relative = NULL, no_directory = NULL;

	(void)data;
	CHECK(pool_name_valid("p") && !pool_name_valid("P"));
	CHECK(g_file_set_contents(file, "", 0, NULL));
	CHECK(!pool_mark("P", "/nonexistent/pool", NULL, &bad_name));
	CHECK_ERROR(bad_name, STORAGEOS_ERROR_INVALID, "invalid pool name 'P'");
	CHECK(!pool_mark("p", "x/y", NULL, &relative));
	CHECK_ERROR(relative, STORAGEOS_ERROR_INVALID, "'x/y' is not an absolute path");
	CHECK(!pool_mark("p", below, NULL, &no_directory));
	CHECK_ERROR(no_directory, STORAGEOS_ERROR_NOT_FOUND, below);
}

int main(int argc, char **argv)
{
	test_add("a pool's name and directory are checked first", test_pool_refused, NULL);
	test_add("a pool is made, and the configuration knows its UUID", test_pool_made, NULL);
	test_add("a pool without a UUID in the configuration gets it", test_pool_entered, NULL);
	test_add("another pool in its place is refused", test_another_pool_is_none, NULL);
	test_add("a pool that cannot be made leaves nothing", test_bad_pools, NULL);
	test_add("a pool of another name is adopted on demand, and known by its UUID",
		 test_pool_adopted, NULL);
	test_add("a pool that cannot be entered leaves nothing", test_failed_pool_leaves_nothing,
		 NULL);
	return test_run(argc, argv);
}
