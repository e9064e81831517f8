/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/registry.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/pool-move.h"
#include "tests/unit/pools.h"

static void test_made_once(const void *data)
{
	g_autoptr(Config) config = new_config(TRUE);
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	const VolumeParameters parameters = {.size = MIB};
	g_autofree char *path = pool_volume_path(config, &name, NULL);
	g_autoptr(GError) error = NULL;

	(void)data;
	test_row("new");
	CHECK(pool_volume_create(config, &name, &parameters, POOL_CREATE_ONCE, &error));
	CHECK_NO_ERROR(error);
	test_row("there");
	CHECK(!pool_volume_create(config, &name, &parameters, POOL_CREATE_ONCE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_EXISTS, "is there already");
	g_clear_error(&error);
	test_row("gone");
	CHECK_INT(unlink(path), 0);
	CHECK(!pool_volume_create(config, &name, &parameters, POOL_CREATE_ONCE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "it was made on 20");
	CHECK_CONTAINS(error->message, "storageos create p/v --size");
	g_clear_error(&error);
	test_row("made anew");
	CHECK(pool_volume_create(config, &name, &parameters, 0, &error));
	CHECK_NO_ERROR(error);
	test_row("deleted");
	CHECK(pool_volume_delete(config, &name, &error));
	CHECK_NO_ERROR(error);
	CHECK(!pool_volume_create(config, &name, &parameters, POOL_CREATE_ONCE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, ", and deleted on 20");
	g_clear_error(&error);
	test_row("forgotten");
	CHECK(registry_forget(config, &name, &error));
	CHECK(pool_volume_create(config, &name, &parameters, POOL_CREATE_ONCE, &error));
	CHECK_NO_ERROR(error);
}

/* A volume that was made by other means, or before there was a registry, is recorded when it is
 * served. */
static void test_served_is_known(const void *data)
{
	g_autoptr(Config) config = new_config(TRUE);
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"},
			 copy = {.pool = (char *)"p", .name = (char *)"c"};
	const VolumeParameters parameters = {.size = MIB};
	g_autofree char *path = NULL, *copied = NULL;
	RegistryEntry entry;
	VolumeInfo info;
	Volume *volume;

	(void)data;
	CHECK(pool_volume_create(config, &name, &parameters, 0, NULL));
	path = pool_volume_path(config, &name, NULL);
	copied = pool_volume_path(config, &copy, NULL);
	CHECK_INT(rename(path, copied), 0);
	CHECK(!registry_find(config, &copy, &entry, NULL));
	volume = pool_volume_serve(config, &copy, 0, NULL, NULL);
	REQUIRE(volume);
	volume_get_info(volume, &info);
	CHECK(registry_find(config, &copy, &entry, NULL));
	CHECK_STR(entry.uuid, info.uuid);
	volume_close(volume, NULL);
	CHECK_INT(unlink(copied), 0);
	CHECK(!pool_volume_create(config, &copy, &parameters, POOL_CREATE_ONCE, NULL));
}

/* If the registry cannot be read, no volume is made, because it might take the place of a former
 * one. */
static void test_bad_registry(const void *data)
{
	static const char *const texts[] = {"", "{}", "[]", "{\"uuid\":\"7\"}", "x"};
	g_autoptr(Config) config = new_config(TRUE);
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	const VolumeParameters parameters = {.size = MIB};
	g_autofree char *directory = g_build_filename(config->state_directory, "registry", NULL);
	g_autofree char *path = g_build_filename(directory, "p:v", NULL);
	g_autoptr(GPtrArray) names = NULL;

	(void)data;
	CHECK_INT(g_mkdir_with_parents(directory, 0700), 0);
	for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
		g_autoptr(GError) error = NULL;

		test_row("%s", texts[i]);
		CHECK(g_file_set_contents(path, texts[i], -1, NULL));
		CHECK(!pool_volume_create(config, &name, &parameters, POOL_CREATE_ONCE, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, path);
	}
	names = registry_list(config);
	CHECK_UINT(names->len, 0);
	test_row("cannot be written");
	CHECK_INT(unlink(path), 0);
	CHECK_INT(rmdir(directory), 0);
	CHECK(g_file_set_contents(directory, "", 0, NULL));
	CHECK(!pool_volume_create(config, &name, &parameters, POOL_CREATE_ONCE, NULL));
	CHECK_UINT(entries(config_find_pool(config, "p")->path), 1);
	CHECK(pool_volume_create(config, &name, &parameters, 0, NULL));
}

static void test_clone(const void *data)
{
	static const char uuid[] = "1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b00",
			  other[] = "1c1f4bd2-3a0e-4a43-8d2c-0f4a3c2e1b01";
	g_autoptr(Config) config = new_config(TRUE);
	const VolumeName name = {.pool = (char *)"p", .name = (char *)"v"};
	g_autoptr(GError) error = NULL;
	RegistryEntry entry = {0};

	(void)data;
	CHECK(!registry_note_clone(config, &name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, NULL);
	CHECK(registry_note(config, &name, uuid, uuid, NULL));
	CHECK(registry_find(config, &name, &entry, NULL) && !entry.clone);
	CHECK(registry_note_clone(config, &name, NULL));
	CHECK(registry_find(config, &name, &entry, NULL) && entry.clone);
	CHECK(registry_note(config, &name, uuid, other, NULL)); /* in another pool */
	CHECK(registry_find(config, &name, &entry, NULL) && entry.clone);
	CHECK(registry_note(config, &name, other, other, NULL)); /* another volume */
	CHECK(registry_find(config, &name, &entry, NULL) && !entry.clone);
}

/* `died`: after the file had its new name, so that a server finds it there. */
static void rename_with_history(gboolean died)
{
	g_autoptr(Config) config = new_config(TRUE);
	const VolumeName old = {.pool = (char *)"p", .name = (char *)"v"},
			 new = {.pool = (char *)"p", .name = (char *)"w"};
	const VolumeParameters parameters = {.size = MIB};
	g_autofree char *from = pool_volume_path(config, &old, NULL);
	g_autofree char *to = pool_volume_path(config, &new, NULL);
	RegistryEntry before, after;
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) names = NULL;

	CHECK(pool_volume_create(config, &old, &parameters, 0, NULL));
	CHECK(registry_note_clone(config, &old, NULL));
	CHECK(registry_find(config, &old, &before, NULL));
	if (died) {
		CHECK(registry_note_renaming(config, &old, &new, before.uuid, before.pool_uuid,
					     NULL));
		CHECK_INT(rename(from, to), 0);
		volume_close(pool_volume_serve(config, &new, 0, NULL, NULL), NULL);
	} else {
		CHECK(pool_volume_move(config, &old, &new, NULL, NULL, &error));
		CHECK_NO_ERROR(error);
	}
	CHECK(registry_find(config, &new, &after, NULL));
	CHECK_STR(after.uuid, before.uuid);
	CHECK_INT(after.since, before.since);
	CHECK(after.clone && !after.deleted && !*after.to);
	CHECK(registry_find(config, &old, &after, NULL) && after.deleted);
	CHECK_STR(after.to, "p/w");
	CHECK(!pool_volume_create(config, &old, &parameters, POOL_CREATE_ONCE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, ", and renamed to p/w");
	names = registry_list(config);
	CHECK_UINT(names->len, 1);
	CHECK(pool_volume_create(config, &old, &parameters, 0, NULL)); /* by hand it is made anew */
	CHECK(registry_find(config, &old, &after, NULL) && !after.deleted && !*after.to &&
	      !after.clone);
}

static void test_renamed(const void *data)
{
	(void)data;
	test_row("completely");
	rename_with_history(FALSE);
	test_row("killed in between");
	rename_with_history(TRUE);
}

int main(int argc, char **argv)
{
	test_add("a volume of one name is made once", test_made_once, NULL);
	test_add("a volume that was served is recorded", test_served_is_known, NULL);
	test_add("without a readable registry no volume is made", test_bad_registry, NULL);
	test_add("a clone is known as one", test_clone, NULL);
	test_add("a volume that is renamed takes its history with it, and its old name is not made "
		 "again",
		 test_renamed, NULL);
	return test_run(argc, argv);
}
