/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The property that a volume has no write cache: where it is kept, and what changes it.
 */
#include <errno.h>
#include <string.h>

#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/engine/superblock.h"
#include "common/engine/volume-snapshots.h"
#include "tests/backing/faulty.h"
#include "tests/backing/memory.h"
#include "tests/engine/support.h"

#define SIZE (8 * MIB)

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static Volume *new_volume(Backing *backing, gboolean write_through)
{
	const VolumeParameters parameters = {
		.size = SIZE, .journal_size = MIB, .write_through = write_through};

	CHECK(volume_format(backing, &parameters, NULL));
	return backing_open_volume(backing);
}

static guint64 features(Backing *backing)
{
	SuperblockPair pair;

	if (!CHECK(superblock_load(backing, &pair, NULL)))
		return 0;
	CHECK_INT(pair.other, SUPERBLOCK_SAME);
	return pair.current.ro_compatible;
}

static void test_kept(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Volume *volume = new_volume(backing, TRUE);
	VolumeInfo info;

	(void)data;
	CHECK(volume_is_write_through(volume));
	volume_get_info(volume, &info);
	CHECK(info.write_through);
	CHECK_INT(volume_put_value(volume, 'k', 4096, 0), 0);
	close_volume(volume);
	CHECK_UINT(features(backing), FORMAT_RO_WRITE_THROUGH);
	volume = backing_open_volume(backing);
	CHECK(volume_is_write_through(volume));
	check_value(volume, 'k', 4096, 0);
	close_volume(volume);
	backing_check(backing);
}

static void test_changed(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Volume *volume = new_volume(backing, FALSE);

	(void)data;
	for (guint i = 0; i < 4; i++) {
		gboolean write_through = i % 2 == 0;

		test_row("change %u", i);
		CHECK(volume_set_write_through(volume, write_through, NULL));
		CHECK(volume_is_write_through(volume) == write_through);
		CHECK_UINT(features(backing), write_through ? FORMAT_RO_WRITE_THROUGH : 0);
	}
	close_volume(volume);
	backing_check(backing);
}

/* What the checkpoint of a full disk could not make durable, the next one does. */
static void test_changed_later(const void *data)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = MIB};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume;

	(void)data;
	REQUIRE(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'l', 4096, 0), 0);
	backing_faulty_fail(backing, FAULTY_WRITE, 0, ENOSPC, TRUE, FALSE);
	CHECK(!volume_set_write_through(volume, TRUE, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE,
		    "the write cache is changed, but not durably before the next checkpoint");
	CHECK(volume_is_write_through(volume));
	backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	CHECK_INT(volume_checkpoint(volume), 0);
	CHECK_UINT(features(backing), FORMAT_RO_WRITE_THROUGH);
	close_volume(volume);
	backing_check(backing);
}

static void test_read_only(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume = new_volume(backing, FALSE);

	(void)data;
	close_volume(volume);
	volume = volume_open(backing_borrow(backing), "v", VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(volume);
	CHECK(!volume_set_write_through(volume, TRUE, &error));
	CHECK(error && strstr(error->message, "v: change the write cache: "));
	CHECK(!volume_is_write_through(volume));
	close_volume(volume);
}

/* FALSE if the change ended before that operation. */
static gboolean cut_at(guint64 point)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	TestRandom random = test_random_new(test_seed() + point);
	Volume *volume = new_volume(backing, FALSE);
	guint64 before = backing_faulty_count(backing, FAULTY_MODIFY);
	gboolean durable;

	CHECK_INT(volume_put_value(volume, 'k', 4096, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	before = backing_faulty_count(backing, FAULTY_MODIFY);
	backing_faulty_fail(backing, FAULTY_MODIFY, point, EIO, TRUE, TRUE);
	durable = volume_set_write_through(volume, TRUE, NULL);
	CHECK(volume_is_write_through(volume));
	volume_close(volume, NULL);
	for (guint i = 0; i < 4 && !test_failed(); i++) {
		g_autoptr(Backing) left =
			backing_faulty_crash(backing, FAULTY_CRASH_SEED(i, &random));

		test_row("stopped at operation %" G_GUINT64_FORMAT ", crash %u", point, i);
		volume = backing_open_volume(left);
		if (!volume)
			return FALSE;
		if (durable)
			CHECK(volume_is_write_through(volume));
		check_value(volume, 'k', 4096, 0);
		close_volume(volume);
		backing_check(left);
	}
	return backing_faulty_count(backing, FAULTY_MODIFY) - before > point;
}

static void test_cut(const void *data)
{
	guint64 point = 0;

	(void)data;
	while (cut_at(point) && !test_failed())
		point++;
	CHECK(point > 3);
}

/* Snapshots have a bit of their own in the same word. */
static void test_snapshots(const void *data)
{
	const VolumeSnapshotParameters parameters = {.name = "monday"};
	g_autoptr(Backing) backing = backing_memory_new(0);
	Volume *volume = new_volume(backing, TRUE);
	guint64 generation;

	(void)data;
	CHECK_INT(volume_put_value(volume, 'k', 4096, 0), 0);
	REQUIRE(volume_snapshot_begin(volume, &parameters, &generation, NULL));
	REQUIRE(volume_snapshot_wait(volume, generation, 60, NULL));
	CHECK_UINT(features(backing), FORMAT_RO_WRITE_THROUGH | FORMAT_RO_SNAPSHOTS);
	CHECK(volume_set_write_through(volume, FALSE, NULL));
	CHECK_UINT(features(backing), FORMAT_RO_SNAPSHOTS);
	CHECK(volume_set_write_through(volume, TRUE, NULL));
	CHECK_UINT(features(backing), FORMAT_RO_WRITE_THROUGH | FORMAT_RO_SNAPSHOTS);
	close_volume(volume);
	backing_check(backing);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	test_add("a volume made without a write cache keeps to that", test_kept, NULL);
	test_add("the write cache is switched, in both superblocks", test_changed, NULL);
	test_add("a switch that meets a full disk is made later", test_changed_later, NULL);
	test_add("a volume that is open for reading is not changed", test_read_only, NULL);
	test_add("power cuts while the write cache is switched off", test_cut, NULL);
	test_add("snapshots and the write cache do not touch each other's bits", test_snapshots,
		 NULL);
	return test_run(argc, argv);
}
