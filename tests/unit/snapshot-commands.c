/* SPDX-License-Identifier: Apache-2.0 */
/* The commands on snapshots, where a deletion and a reader meet. */
#include "common/service/snapshot-commands.h"

#include <errno.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/volume-snapshots.h"
#include "common/service/readers.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

static guint64 snapshot_take(Volume *volume, const char *name)
{
	const VolumeSnapshotParameters parameters = {.name = name};
	guint64 generation = 0;

	CHECK(volume_snapshot_begin(volume, &parameters, &generation, NULL));
	CHECK(volume_snapshot_wait(volume, generation, 60, NULL));
	return generation;
}

static gboolean delete_by_command(Volume *volume, const char *run, GError **error)
{
	g_autoptr(Json) request = json_object_new_object();
	g_autoptr(Json) answer = NULL;

	json_object_object_add(request, "name", json_object_new_string("x"));
	answer = snapshot_command(volume, run, "snapshot-delete", request, error);
	return answer != NULL;
}

/* A checkpoint that fails may have made the deletion part of the volume: the next one makes it
 * durable. */
static void test_goes_on(const void *data)
{
	const VolumeParameters parameters = {.size = 16 * MIB, .journal_size = 64 * KIB};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autofree char *run = test_path(".run");
	g_autoptr(GError) error = NULL, refused = NULL;
	guint64 generation;
	VolumeInfo info;
	Volume *volume;

	(void)data;
	REQUIRE(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, MIB, 0), 0);
	generation = snapshot_take(volume, "x");
	volume_get_info(volume, &info);
	backing_faulty_fail(backing, FAULTY_WRITE, 0, ENOSPC, TRUE, FALSE);
	CHECK(!delete_by_command(volume, run, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, NULL);
	backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	autofd reader = readers_join(run, info.uuid, generation, &refused);
	CHECK(reader < 0);
	CHECK_ERROR(refused, STORAGEOS_ERROR_BUSY, "is being deleted");
	CHECK_INT(volume_checkpoint(volume), 0);
	g_autoptr(GArray) infos = volume_snapshots(volume);
	for (guint i = 0; i < infos->len; i++)
		CHECK_INT(g_array_index(infos, VolumeSnapshotInfo, i).state,
			  VOLUME_SNAPSHOT_DELETING);
	close_volume(volume);
}

/* What was refused keeps nobody out. */
static void test_refused(const void *data)
{
	g_autofree char *run = test_path(".run");
	g_autoptr(GError) error = NULL, failed = NULL;
	g_autoptr(Place) place = NULL;
	Volume *volume = place_new_volume(&place, 16 * MIB);
	guint64 generation;
	VolumeInfo info;

	(void)data;
	REQUIRE(volume);
	generation = snapshot_take(volume, "x");
	volume_get_info(volume, &info);
	CHECK(volume_snapshot_hold(volume, "x", "mine", NULL));
	CHECK(!delete_by_command(volume, run, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "mine");
	autofd reader = readers_join(run, info.uuid, generation, &failed);
	CHECK_NO_ERROR(failed);
	CHECK(reader >= 0);
	close_volume(volume);
}

/* ---- changes that a checkpoint could not make durable */

static gboolean rename_it(Volume *volume, GError **error)
{
	return volume_snapshot_rename(volume, "x", "y", error);
}

static gboolean hold_it(Volume *volume, GError **error)
{
	return volume_snapshot_hold(volume, "x", "mine", error);
}

static gboolean release_it(Volume *volume, GError **error)
{
	return volume_snapshot_release(volume, "x", "first", error);
}

typedef struct {
	const char *name;
	gboolean (*change)(Volume *volume, GError **error);
	const char *snapshot; /* its name afterwards */
	guint holds;
} ChangeRow;

static const ChangeRow rows[] = {
	{"a rename", rename_it, "y", 1},
	{"a hold", hold_it, "x", 2},
	{"a release", release_it, "x", 0},
};

static void check_changed(Volume *volume, const ChangeRow *row)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);
	const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, 0);

	REQUIRE(CHECK_UINT(infos->len, 1));
	CHECK_STR(info->name, row->snapshot);
	CHECK_UINT(info->holds, row->holds);
}

static void test_later(const void *data)
{
	const ChangeRow *row = data;
	const VolumeParameters parameters = {.size = 16 * MIB, .journal_size = 64 * KIB};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume;

	REQUIRE(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	snapshot_take(volume, "x");
	CHECK(volume_snapshot_hold(volume, "x", "first", NULL));
	backing_faulty_fail(backing, FAULTY_WRITE, 0, ENOSPC, TRUE, FALSE);
	CHECK(!row->change(volume, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE,
		    "is changed, but not durably before the next checkpoint that succeeds");
	backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	check_changed(volume, row);
	CHECK_INT(volume_checkpoint(volume), 0);
	volume_abandon(volume);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	check_changed(volume, row);
	close_volume(volume);
	backing_check(backing);
}

/* ---- the hold of a linked clone */

#define CLONE "00000000-0000-4000-8000-000000000001"

static gboolean clone_by_command(Volume *volume, const char *run, const char *command,
				 const VolumeSnapshotInfo *of, const char *volume_uuid,
				 GError **error)
{
	g_autoptr(Json) request = json_object_new_object();
	g_autoptr(Json) answer = NULL;

	json_add_text(request, "name", "x");
	json_add_text(request, "clone", CLONE);
	json_add_text(request, "volume_uuid", volume_uuid);
	json_add_text(request, "snapshot_uuid", of->uuid);
	json_add_number(request, "generation", of->generation);
	answer = snapshot_command(volume, run, command, request, error);
	return answer != NULL;
}

static guint count_tags(Volume *volume, guint64 generation)
{
	g_autoptr(GPtrArray) tags = volume_snapshot_tags(volume, generation);

	return tags->len;
}

/* Between the opening of a base and its hold, names may change. */
static void test_clone_hold(const void *data)
{
	static const char other[] = "00000000-0000-4000-8000-000000000002";
	g_autofree char *run = test_path(".run");
	g_autoptr(GError) error = NULL, stranger = NULL, wrong = NULL;
	g_autoptr(Place) place = NULL;
	Volume *volume = place_new_volume(&place, 16 * MIB);
	VolumeSnapshotInfo info, mixed;
	VolumeInfo of_volume;
	guint64 second;

	(void)data;
	REQUIRE(volume);
	snapshot_take(volume, "x");
	second = snapshot_take(volume, "y");
	g_autoptr(GArray) infos = volume_snapshots(volume);
	info = mixed = g_array_index(infos, VolumeSnapshotInfo, 0);
	mixed.generation = second;
	volume_get_info(volume, &of_volume);
	CHECK(volume_snapshot_rename(volume, "x", "z", NULL));
	CHECK(volume_snapshot_rename(volume, "y", "x", NULL));
	CHECK(clone_by_command(volume, run, "snapshot-hold", &info, of_volume.uuid, &error));
	CHECK_NO_ERROR(error);
	CHECK_UINT(count_tags(volume, info.generation), 1);
	CHECK_UINT(count_tags(volume, second), 0);
	CHECK(!clone_by_command(volume, run, "snapshot-release", &info, other, &stranger));
	CHECK_ERROR(stranger, STORAGEOS_ERROR_NOT_FOUND, NULL);
	CHECK(!clone_by_command(volume, run, "snapshot-release", &mixed, of_volume.uuid, &wrong));
	CHECK_ERROR(wrong, STORAGEOS_ERROR_NOT_FOUND, NULL);
	CHECK_UINT(count_tags(volume, info.generation), 1);
	CHECK(clone_by_command(volume, run, "snapshot-release", &info, of_volume.uuid, NULL));
	CHECK_UINT(count_tags(volume, info.generation), 0);
	close_volume(volume);
}

int main(int argc, char **argv)
{
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
		test_add(rows[i].name, test_later, &rows[i]);
	test_add("a deletion that may go on keeps readers out", test_goes_on, NULL);
	test_add("a deletion that was refused does not", test_refused, NULL);
	test_add("a clone's hold goes to its base, whatever that is called", test_clone_hold, NULL);
	return test_run(argc, argv);
}
