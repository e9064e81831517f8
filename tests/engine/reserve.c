/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reserve: with it every write succeeds on a full disk, as long as the data of the volume and
 * its snapshots fit; without it, the same writes do not.
 */
#include <errno.h>
#include <string.h>

#include "tests/backing/faulty.h"
#include "tests/backing/memory.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/engine/volume-properties.h"
#include "common/engine/volume-reserve.h"
#include "common/engine/volume-snapshots.h"
#include "tests/engine/support.h"

#define SIZE (64 * MIB)
#define CHUNK (256 * KIB)

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static gboolean reserve(Volume *volume, const char *value, GError **error)
{
	Property property = {.key = VOLUME_RESERVE};

	g_strlcpy(property.value, value, sizeof property.value);
	return volume_set_properties(volume, &property, 1, error);
}

static Volume *new_volume(Backing *backing, guint64 size, const char *value)
{
	const VolumeParameters parameters = {.size = size, .journal_size = MIB};
	g_autoptr(GError) error = NULL;
	Volume *volume;

	CHECK(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	if (value)
		CHECK(reserve(volume, value, &error));
	CHECK_NO_ERROR(error);
	return volume;
}

static gboolean is_ready(Volume *volume)
{
	VolumeInfo info;

	volume_get_info(volume, &info);
	return info.reserve_ready;
}

/* Fills the disk: from now on only what has space can be written. */
static void disk_fill(Backing *backing)
{
	backing_faulty_fill_up(backing, 0);
}

/* Writes [0, length) in chunks; the first error. */
static int volume_fill(Volume *volume, guint8 value, guint64 length)
{
	int r = 0;

	for (guint64 at = 0; at < length && !r; at += CHUNK)
		r = volume_put_value(volume, value, CHUNK, at);
	return r;
}

/* Single blocks and pieces of many sizes all over the volume; each block holds its number's value.
 */
static int volume_scatter(Volume *volume, TestRandom *random, guint8 value, guint n)
{
	int r = 0;

	for (guint i = 0; i < n && !r; i++) {
		gsize length = BLOCK_SIZE << test_random_below(random, 6);
		guint64 places = (volume_size(volume) - length) / BLOCK_SIZE;

		r = volume_put_value(volume, value, length,
				     test_random_below(random, places + 1) * BLOCK_SIZE);
		if (!r && i % 500 == 0)
			r = volume_flush(volume);
	}
	return r;
}

static void close_and_check(Volume *volume, Backing *backing)
{
	close_volume(volume);
	backing_check(backing);
}

/* The disk is full from the start; the volume fills up, and is overwritten several times. */
static void test_full_disk(const void *value)
{
	guint64 size = value ? 160 * MIB : SIZE; /* of several groups */
	g_autoptr(Backing) backing = backing_faulty_new(0);
	TestRandom random = test_random_new(test_seed());
	Volume *volume = new_volume(backing, size, "full");

	CHECK(is_ready(volume));
	disk_fill(backing);
	CHECK_INT(volume_scatter(volume, &random, 's', 2000), 0);
	CHECK_INT(volume_fill(volume, 'a', size), 0);
	CHECK_INT(volume_scatter(volume, &random, 'r', 5000), 0);
	CHECK_INT(volume_fill(volume, 'b', size), 0);
	CHECK_INT(volume_flush(volume), 0);
	check_value(volume, 'b', size, 0);
	close_and_check(volume, backing);
}

/* The same writes fail without it: the test can fail. */
static void test_without(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_volume(backing, SIZE, NULL);

	(void)data;
	disk_fill(backing);
	CHECK_INT(volume_fill(volume, 'a', SIZE), -ENOSPC);
	backing_faulty_fill_up(backing, G_MAXUINT64);
	close_and_check(volume, backing);
}

/* Data that were there before, scattered; the disk becomes full; everything is overwritten. */
static void test_old_data(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	TestRandom random = test_random_new(test_seed());
	Volume *volume = new_volume(backing, SIZE, NULL);

	(void)data;
	CHECK_INT(volume_scatter(volume, &random, 's', 3000), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	CHECK(reserve(volume, "full", NULL));
	disk_fill(backing);
	CHECK_INT(volume_fill(volume, 'a', SIZE), 0);
	CHECK_INT(volume_scatter(volume, &random, 'r', 3000), 0);
	CHECK_INT(volume_fill(volume, 'b', SIZE), 0);
	check_value(volume, 'b', SIZE, 0);
	close_and_check(volume, backing);
}

/* Neither discards, nor trimming, nor erasing, nor opening anew takes it away. */
static void test_kept(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_volume(backing, SIZE, "full");

	(void)data;
	CHECK_INT(volume_fill(volume, 'a', SIZE), 0);
	CHECK_INT(volume_zero(volume, 0, SIZE), 0);
	if (!CHECK(volume_settled(volume, volume_settle(volume), 20))) {
		volume_abandon(volume); /* erasing it would never end */
		return;
	}
	disk_fill(backing);
	CHECK_INT(volume_fill(volume, 'b', SIZE), 0);
	check_value(volume, 'b', SIZE, 0);
	CHECK_INT(volume_erase(volume), 0);
	disk_fill(backing);
	CHECK_INT(volume_fill(volume, 'c', SIZE), 0);
	CHECK_INT(volume_zero(volume, 0, SIZE), 0);
	close_volume(volume);
	volume = backing_open_volume(backing);
	disk_fill(backing);
	for (guint i = 0; i < 200 && !is_ready(volume); i++)
		g_usleep(50000);
	CHECK(is_ready(volume));
	CHECK_INT(volume_fill(volume, 'd', SIZE), 0);
	check_value(volume, 'd', SIZE, 0);
	close_and_check(volume, backing);
}

static void test_too_much(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_volume(backing, SIZE, "16M");
	guint64 before = backing_allocated(backing);
	g_autoptr(GError) error = NULL;
	Properties properties;

	(void)data;
	backing_faulty_fill_up(backing, 8 * MIB);
	CHECK(!reserve(volume, "full", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, "free, the reserve needs");
	volume_get_properties(volume, &properties);
	CHECK_STR(properties.text, "reserve=16M\n");
	CHECK(backing_allocated(backing) < before + MIB);
	g_clear_error(&error);
	CHECK(!volume_resize(volume, 4 * GIB, 0, 60, &error)); /* nodes for that size */
	CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, "free, the reserve needs");
	CHECK_UINT(volume_size(volume), SIZE);
	CHECK(is_ready(volume));
	disk_fill(backing);
	CHECK_INT(volume_fill(volume, 'a', 16 * MIB), 0);
	CHECK_INT(volume_fill(volume, 'b', 16 * MIB), 0);
	close_and_check(volume, backing);
}

static void test_given_back(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_volume(backing, SIZE, NULL);
	guint64 before = backing_allocated(backing);
	VolumeInfo info;

	(void)data;
	CHECK(reserve(volume, "full", NULL));
	CHECK(backing_allocated(backing) > before + SIZE);
	volume_get_info(volume, &info);
	CHECK_UINT(info.reserve_bytes, SIZE);
	CHECK(reserve(volume, "", NULL));
	volume_get_info(volume, &info);
	CHECK_UINT(info.reserve_bytes, 0);
	CHECK(!info.reserve_ready);
	CHECK(backing_allocated(backing) < before + MIB);
	close_and_check(volume, backing);
}

/* A full reserve grows with the volume. */
static void test_resize(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_volume(backing, SIZE / 2, "full");

	(void)data;
	CHECK(volume_resize(volume, SIZE, 0, 60, NULL));
	CHECK(is_ready(volume));
	disk_fill(backing);
	CHECK_INT(volume_fill(volume, 'a', SIZE), 0);
	CHECK_INT(volume_fill(volume, 'b', SIZE), 0);
	close_and_check(volume, backing);
}

/* What a snapshot keeps takes from the reserve: twice the data fit, and not three times. */
static void test_snapshots(const void *data)
{
	const VolumeSnapshotParameters first = {.name = "a"}, second = {.name = "b"};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_volume(backing, SIZE, "128M");
	guint64 generation;

	(void)data;
	disk_fill(backing);
	CHECK_INT(volume_fill(volume, 'a', SIZE), 0);
	CHECK(volume_snapshot_begin(volume, &first, &generation, NULL));
	CHECK(volume_snapshot_wait(volume, generation, 60, NULL));
	CHECK_INT(volume_fill(volume, 'b', SIZE), 0);
	CHECK_INT(volume_fill(volume, 'c', SIZE), 0);
	CHECK(volume_snapshot_begin(volume, &second, &generation, NULL));
	CHECK(volume_snapshot_wait(volume, generation, 60, NULL));
	CHECK_INT(volume_fill(volume, 'd', SIZE), -ENOSPC);
	CHECK(volume_snapshot_delete(volume, "a", 0, NULL));
	CHECK(volume_settled(volume, volume_settle(volume), 60));
	CHECK_INT(volume_fill(volume, 'e', SIZE), 0);
	check_value(volume, 'e', SIZE, 0);
	close_and_check(volume, backing);
}

/* ---- a slow disk */

#define SLOW_SIZE (256 * MIB)
#define SLOW_USEC (G_USEC_PER_SEC * 11 / 10) /* for 128 MiB */

static struct {
	BackingOps ops; /* outlives the backings */
	int (*real)(Backing *backing, guint64 offset, guint64 length);
	guint calls;
} slow;

static int slow_allocate(Backing *backing, guint64 offset, guint64 length)
{
	slow.calls++;
	g_usleep(SLOW_USEC);
	return slow.real(backing, offset, length);
}

/* An empty volume on a disk that takes more than two seconds for a full reserve. */
static Volume *new_slow_volume(Backing *backing, guint64 size, const char *value)
{
	Volume *volume = new_volume(backing, size, value);

	slow.ops = *backing->ops;
	slow.real = backing->ops->allocate;
	slow.ops.allocate = slow_allocate;
	slow.calls = 0;
	backing->ops = &slow.ops;
	return volume;
}

static gboolean reserve_within(Volume *volume, const char *value, guint seconds, GError **error)
{
	const VolumeReserveWatch watch = {.seconds = seconds};
	Property property = {.key = VOLUME_RESERVE};

	g_strlcpy(property.value, value, sizeof property.value);
	return volume_set_properties_watched(volume, &property, 1, &watch, error);
}

static guint64 reserve_of(Volume *volume)
{
	VolumeInfo info;

	volume_get_info(volume, &info);
	return info.reserve_bytes;
}

/* Each call that the time is too short for goes on where the one before it ended. */
static void test_in_steps(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_slow_volume(backing, SLOW_SIZE, NULL);
	guint64 has = backing_allocated(backing);
	guint n = 0;

	(void)data;
	for (; n < 100; n++) {
		g_autoptr(GError) error = NULL;

		if (reserve_within(volume, "full", 1, &error))
			break;
		CHECK_ERROR(error, STORAGEOS_ERROR_BUSY,
			    "the reserve is not allocated after 1 s; another try within 30 s");
		CHECK_UINT(reserve_of(volume), 0);
		CHECK(backing_allocated(backing) > has);
		has = backing_allocated(backing);
	}
	CHECK(n >= 1 && n < 100);
	CHECK(slow.calls < 2 * SLOW_SIZE / (128 * MIB));
	CHECK(is_ready(volume));
	CHECK_UINT(reserve_of(volume), SLOW_SIZE);
	disk_fill(backing);
	CHECK_INT(volume_fill(volume, 'a', SIZE), 0);
	close_and_check(volume, backing);
}

/* What was begun goes back when something else is asked for: nothing, or another size. */
static void test_given_up(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_slow_volume(backing, SLOW_SIZE, "16M");
	guint64 before = backing_allocated(backing);

	(void)data;
	CHECK(!reserve_within(volume, "full", 1, NULL));
	CHECK(backing_allocated(backing) > before + 64 * MIB);
	CHECK(volume_set_properties(volume, NULL, 0, NULL));
	CHECK(backing_allocated(backing) < before + MIB);
	CHECK(!reserve_within(volume, "full", 1, NULL));
	CHECK(backing_allocated(backing) > before + 64 * MIB);
	CHECK(reserve(volume, "16M", NULL));
	CHECK(backing_allocated(backing) < before + MIB);
	CHECK(is_ready(volume));
	CHECK_UINT(reserve_of(volume), 16 * MIB);
	close_and_check(volume, backing);
}

/* A crash in between leaves what the next open gives back. */
static void test_left(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_slow_volume(backing, SLOW_SIZE, NULL);
	guint64 before = backing_allocated(backing);

	(void)data;
	CHECK(!reserve_within(volume, "full", 1, NULL));
	volume_abandon(volume);
	CHECK(backing_allocated(backing) > before + 64 * MIB);
	volume = backing_open_volume(backing);
	for (guint i = 0; i < 200 && backing_allocated(backing) > before + 32 * MIB; i++)
		g_usleep(50000);
	CHECK(backing_allocated(backing) <= before + 32 * MIB);
	CHECK_UINT(reserve_of(volume), 0);
	close_and_check(volume, backing);
}

/* A resize waits no longer than it may, and goes on likewise. */
static void test_resize_in_steps(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume = new_slow_volume(backing, SIZE, "full");
	gint64 begun = g_get_monotonic_time();
	g_autoptr(GError) error = NULL;
	guint n = 0;

	(void)data;
	CHECK(!volume_resize(volume, SLOW_SIZE, 0, 1, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_BUSY, "the reserve is not allocated after 1 s");
	CHECK(g_get_monotonic_time() - begun < test_time_limit(10));
	CHECK_UINT(volume_size(volume), SIZE);
	while (n < 100 && !volume_resize(volume, SLOW_SIZE, 0, 1, NULL))
		n++;
	CHECK(n < 100);
	CHECK_UINT(volume_size(volume), SLOW_SIZE);
	CHECK_UINT(reserve_of(volume), SLOW_SIZE);
	CHECK(is_ready(volume));
	close_and_check(volume, backing);
}

static void test_impossible(const void *data)
{
	BackingOps ops; /* outlives the backing */
	g_autoptr(Backing) backing = backing_memory_new(0);
	g_autoptr(GError) error = NULL;
	Volume *volume;

	(void)data;
	ops = *backing->ops;
	ops.allocate = NULL;
	backing->ops = &ops;
	volume = new_volume(backing, SIZE, NULL);
	CHECK(!reserve(volume, "full", &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_UNSUPPORTED, "no reserve can be kept here");
	close_and_check(volume, backing);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	test_add("on a full disk, a volume is filled and overwritten", test_full_disk, NULL);
	test_add("so is one of several groups", test_full_disk, "large");
	test_add("without a reserve it is not", test_without, NULL);
	test_add("data that were there before are overwritten", test_old_data, NULL);
	test_add("discarding, erasing and reopening leave the reserve", test_kept, NULL);
	test_add("a reserve that is too large changes nothing, nor does a resize", test_too_much,
		 NULL);
	test_add("a reserve that is taken back gives its space back", test_given_back, NULL);
	test_add("a full reserve grows with the volume", test_resize, NULL);
	test_add("snapshots take from it", test_snapshots, NULL);
	test_add("on a slow disk each call goes on where the last one ended", test_in_steps, NULL);
	test_add("what was begun goes back when something else is asked for", test_given_up, NULL);
	test_add("and when the volume is opened again", test_left, NULL);
	test_add("a resize waits for its reserve as long as it may", test_resize_in_steps, NULL);
	test_add("where space cannot be kept, it is refused", test_impossible, NULL);
	return test_run(argc, argv);
}
