/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/snapshot-hooks.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "tests/harness.h"

typedef struct {
	Config config;
	char *directory, *log;
	GPtrArray *volumes;
} Scene;

static void scene_init(Scene *scene)
{
	g_autofree char *beside = test_path("");

	*scene = (Scene){.log = test_path(".log"), .volumes = g_ptr_array_new()};
	scene->directory = g_build_filename(beside, "snapshot.d", NULL);
	scene->config.file = g_build_filename(beside, "storageos.conf", NULL);
	g_ptr_array_add(scene->volumes, (char *)"default/a");
	g_ptr_array_add(scene->volumes, (char *)"fast/b");
	CHECK(!g_mkdir_with_parents(scene->directory, 0700));
}

static void scene_clear(Scene *scene)
{
	g_ptr_array_unref(scene->volumes);
	g_free(scene->directory);
	g_free(scene->log);
	g_free(scene->config.file);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scene, scene_clear)

/* Adds an executable that logs its name and arguments, and then does `more`. */
static void hook_add(const Scene *scene, const char *name, const char *more)
{
	g_autofree char *path = g_build_filename(scene->directory, name, NULL);
	g_autofree char *text =
		g_strdup_printf("#!/bin/sh\necho \"${0##*/} $*\" >>'%s'\n%s\n", scene->log, more);

	CHECK(g_file_set_contents(path, text, -1, NULL) && !chmod(path, 0700));
}

static char *scene_log(const Scene *scene)
{
	char *text = NULL;

	return g_file_get_contents(scene->log, &text, NULL, NULL) ? text : g_strdup("");
}

static void test_order(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *plain = NULL, *log = NULL;
	g_auto(Scene) scene;
	SnapshotHooks *hooks;

	(void)data;
	scene_init(&scene);
	hook_add(&scene, "20-b", "");
	hook_add(&scene, "10_A", "");
	hook_add(&scene, "10_A.dpkg-new", "");
	hook_add(&scene, "30-c~", "");
	plain = g_build_filename(scene.directory, "not-executable", NULL);
	CHECK(g_file_set_contents(plain, "", 0, NULL) && !chmod(plain, 0600));
	hooks = snapshot_hooks_before(&scene.config, scene.volumes, &error);
	REQUIRE(CHECK_NO_ERROR(error) && hooks);
	snapshot_hooks_after(hooks);
	log = scene_log(&scene);
	CHECK_STR(log, "10_A before default/a fast/b\n20-b before default/a fast/b\n"
		       "20-b after default/a fast/b\n10_A after default/a fast/b\n");
}

static void test_failure(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *log = NULL;
	g_auto(Scene) scene;

	(void)data;
	scene_init(&scene);
	hook_add(&scene, "1", "");
	hook_add(&scene, "2", "[ $1 = after ] || { echo the database is down; exit 3; }");
	hook_add(&scene, "3", "");
	CHECK(!snapshot_hooks_before(&scene.config, scene.volumes, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, "the database is down (2 exited with status 3)");
	log = scene_log(&scene);
	CHECK_STR(log, "1 before default/a fast/b\n2 before default/a fast/b\n"
		       "2 after default/a fast/b\n1 after default/a fast/b\n");
}

static void test_none(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_auto(Scene) scene;
	SnapshotHooks *hooks;

	(void)data;
	scene_init(&scene);
	CHECK(!g_remove(scene.directory));
	hooks = snapshot_hooks_before(&scene.config, scene.volumes, &error);
	REQUIRE(CHECK_NO_ERROR(error) && hooks);
	snapshot_hooks_after(hooks);
}

int main(int argc, char **argv)
{
	test_add("before in the order of their names, after in reverse", test_order, NULL);
	test_add("one that fails ends it, and those that ran are run again", test_failure, NULL);
	test_add("no directory, nothing to run", test_none, NULL);
	return test_run(argc, argv);
}
