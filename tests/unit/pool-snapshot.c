/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of the volumes of a pool: opened beside whoever has the volume, kept from being
 * deleted, and served once.
 */
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/readers.h"
#include "common/service/volume-summary.h"
#include "tests/engine/snapshot-table.h"
#include "tests/unit/pools.h"

#define SIZE (16 * MIB)
#define SNAPSHOT_UUID "a5a5a5a5-a5a5-a5a5-a5a5-a5a5a5a5a5a5"

static const VolumeName volume_name = {.pool = (char *)"p", .name = (char *)"v"};
static const VolumeName monday = {
	.pool = (char *)"p", .name = (char *)"v", .snapshot = (char *)"monday"};

typedef struct {
	Config *config;
	Backing *backing; /* of the volume, with the writer's lock */
	char uuid[UUID_TEXT];
	guint64 generation;
} Scene;

static gboolean scene_begin(Scene *scene)
{
	const VolumeParameters parameters = {.size = SIZE};
	g_autofree char *path = NULL;
	VolumeSummary summary;
	Snapshot snapshot;

	scene->config = new_config(TRUE);
	if (!CHECK(pool_volume_create(scene->config, &volume_name, &parameters, 0, NULL)))
		return FALSE;
	path = pool_volume_path(scene->config, &volume_name, NULL);
	CHECK(volume_summary_read(path, &summary, NULL));
	memcpy(scene->uuid, summary.uuid, sizeof scene->uuid);
	scene->backing = backing_open(path, 0, NULL);
	if (!CHECK(scene->backing && backing_lock(scene->backing, TRUE, NULL)))
		return FALSE;
	snapshot = table_snapshot_of_now(scene->backing, "monday");
	scene->generation = snapshot.generation;
	return table_write(scene->backing, &snapshot, 1);
}

static void scene_end(Scene *scene)
{
	backing_free(scene->backing);
	config_free(scene->config);
}

static int exclude(const Scene *scene, GError **error)
{
	return readers_exclude(scene->config->run_directory, scene->uuid, scene->generation, error);
}

static void test_deleter_is_kept_out(const void *data)
{
	g_autoptr(GError) error = NULL;
	Volume *volume, *second;
	Scene scene;

	(void)data;
	REQUIRE(scene_begin(&scene));
	volume = pool_volume_open(scene.config, &monday, VOLUME_OPEN_READ_ONLY, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(volume);
	CHECK_UINT(volume_size(volume), SIZE);
	second = pool_volume_open(scene.config, &monday, 0, NULL);
	REQUIRE(second);
	volume_close(volume, NULL);
	CHECK_INT(exclude(&scene, &error), -1);
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "the snapshot is in use by process ");
	g_clear_error(&error);
	volume_close(second, NULL);
	autofd lock = exclude(&scene, &error);
	CHECK_NO_ERROR(error);
	CHECK(lock >= 0);
	CHECK(!pool_volume_open(scene.config, &monday, 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "p/v@monday: the snapshot is being deleted");
	scene_end(&scene);
}

static void test_served_once(const void *data)
{
	g_autoptr(GError) error = NULL;
	Volume *volume, *reader;
	VolumeInfo info;
	Scene scene;

	(void)data;
	REQUIRE(scene_begin(&scene));
	volume = pool_volume_serve(scene.config, &monday, 0, "the backstore db1", &error);
	CHECK_NO_ERROR(error);
	REQUIRE(volume);
	volume_get_info(volume, &info);
	CHECK_STR(info.uuid, SNAPSHOT_UUID);
	CHECK(!pool_volume_serve(scene.config, &monday, 0, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "open snapshot 'p/v@monday': process ");
	CHECK_CONTAINS(error->message, " serves it already, as the backstore db1");
	g_clear_error(&error);
	reader = pool_volume_open(scene.config, &monday, 0, NULL); /* who only reads may */
	CHECK(reader);
	volume_close(reader, NULL);
	volume_close(volume, NULL);
	volume = pool_volume_serve(scene.config, &monday, 0, NULL, &error);
	CHECK_NO_ERROR(error);
	volume_close(volume, NULL);
	scene_end(&scene);
}

static void test_volume_stays(const void *data)
{
	g_autofree char *path = NULL;
	g_autoptr(GError) error = NULL;
	Volume *volume;
	Scene scene;

	(void)data;
	REQUIRE(scene_begin(&scene));
	g_clear_pointer(&scene.backing, backing_free); /* nobody serves the volume */
	volume = pool_volume_open(scene.config, &monday, 0, NULL);
	REQUIRE(volume);
	CHECK(!pool_volume_delete(scene.config, &volume_name, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY,
		    "delete volume 'p/v': a snapshot of it is in use by process ");
	g_clear_error(&error);
	volume_close(volume, NULL);
	CHECK(pool_volume_delete(scene.config, &volume_name, &error));
	CHECK_NO_ERROR(error);
	path = pool_volume_path(scene.config, &volume_name, NULL);
	CHECK(access(path, F_OK));
	scene_end(&scene);
}

static void test_missing(const void *data)
{
	const VolumeName tuesday = {
		.pool = (char *)"p", .name = (char *)"v", .snapshot = (char *)"tuesday"};
	const VolumeName nowhere = {
		.pool = (char *)"p", .name = (char *)"w", .snapshot = (char *)"monday"};
	g_autoptr(GError) error = NULL;
	Scene scene;

	(void)data;
	REQUIRE(scene_begin(&scene));
	CHECK(!pool_volume_serve(scene.config, &tuesday, 0, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND,
		    "p/v@tuesday: there is no snapshot 'tuesday' (storageos snapshot list tells");
	g_clear_error(&error);
	CHECK(!pool_volume_serve(scene.config, &nowhere, 0, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "open volume 'p/w@monday': no such volume");
	scene_end(&scene);
}

static void test_summary(const void *data)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *path = NULL;
	VolumeSummary summary;
	Scene scene;

	(void)data;
	REQUIRE(scene_begin(&scene));
	path = pool_volume_path(scene.config, &monday, NULL);
	CHECK(volume_summary_read_snapshot(path, "monday", &summary, &error));
	CHECK_NO_ERROR(error);
	CHECK_STR(summary.uuid, SNAPSHOT_UUID);
	CHECK_UINT(summary.size, SIZE);
	CHECK_UINT(summary.logical_block_size, 512);
	CHECK(!volume_summary_read_snapshot(path, "tuesday", &summary, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "there is no snapshot 'tuesday'");
	scene_end(&scene);
}

int main(int argc, char **argv)
{
	test_add("a snapshot that is open cannot be deleted", test_deleter_is_kept_out, NULL);
	test_add("a snapshot is served once", test_served_once, NULL);
	test_add("a volume stays as long as one of its snapshots is read", test_volume_stays, NULL);
	test_add("a snapshot that is not there", test_missing, NULL);
	test_add("what a snapshot's record says", test_summary, NULL);
	return test_run(argc, argv);
}
