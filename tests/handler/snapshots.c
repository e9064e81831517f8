/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that are snapshots: write protected, whoever has the volume.
 */
#include "common/engine/volume-snapshots.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

#define BLOCK 4096
#define ATTRIBUTE_SIZE 1 /* a kind of reconfiguration */

/* Makes a volume whose block 1 is full of 'm', and its snapshot `monday`. */
static gboolean make_snapshot(const char *name)
{
	const VolumeSnapshotParameters parameters = {.name = "monday"};
	g_autofree char *path = fixture_path(name, ".vol");
	guint8 block[BLOCK];
	guint64 generation;
	Volume *volume;
	Dev dev;

	if (!dev_open(&dev, name))
		return FALSE;
	memset(block, 'm', sizeof block);
	CHECK_INT(run_write(&dev, block, sizeof block, BLOCK), STS_OK);
	dev_remove(&dev);
	volume = volume_open(backing_open(path, 0, NULL), name, 0, NULL);
	return CHECK(volume) &&
	       CHECK(volume_snapshot_begin(volume, &parameters, &generation, NULL)) &&
	       CHECK(volume_snapshot_wait(volume, generation, 60, NULL)) &&
	       CHECK(volume_close(volume, NULL));
}

static void test_protected(const void *data)
{
	guint8 block[BLOCK], out[BLOCK], sense[64] = {0};
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(make_snapshot("taken"));
	memset(block, 'm', sizeof block);
	dev_init(&dev, "storageos/default/taken@monday", SIZE);
	REQUIRE(!dev_add(&dev));
	CHECK_INT(run_read(&dev, out, sizeof out, BLOCK), STS_OK);
	CHECK_MEM(out, block, sizeof out);
	command_init(&command, &dev, 0x2a, block, sizeof block, 0);
	command_set_range(&command, 0, BLOCK / 512);
	CHECK_SENSE(&command, command_send(&command), 0x7, 0x2700);
	CHECK_INT(run_unmap(&dev, 0, BLOCK), STS_SENSE);
	command_init(&command, &dev, 0x1a, sense, sizeof sense, 0);
	command.cdb[1] = 0x08;
	command.cdb[2] = 0x3f;
	command.cdb[4] = sizeof sense;
	CHECK_INT(command_send(&command), STS_OK);
	CHECK_UINT(sense[2] & 0x80, 0x80);
	CHECK(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 2 * SIZE) < 0);
	dev_remove(&dev);
}

/* Both in one runner; the volume comes and goes while the snapshot stays. */
static void test_beside_volume(const void *data)
{
	guint8 old[BLOCK], now[BLOCK], out[BLOCK];
	Dev volume, snapshot;

	(void)data;
	REQUIRE(make_snapshot("both"));
	memset(old, 'm', sizeof old);
	dev_init(&snapshot, "storageos/both@monday", SIZE);
	REQUIRE(!dev_add(&snapshot));
	for (guint8 round = 1; round < 4; round++) {
		REQUIRE(dev_open(&volume, "both"));
		memset(now, round, sizeof now);
		CHECK_INT(run_write(&volume, now, sizeof now, BLOCK), STS_OK);
		CHECK_INT(run_read(&snapshot, out, sizeof out, BLOCK), STS_OK);
		CHECK_MEM(out, old, sizeof out);
		CHECK_INT(run_read(&volume, out, sizeof out, BLOCK), STS_OK);
		CHECK_MEM(out, now, sizeof out);
		dev_remove(&volume);
	}
	dev_remove(&snapshot);
}

/* Not a snapshot, but in the same way; nothing is written to its file. */
static void test_volume_read_only(const void *data)
{
	g_autofree char *path = NULL, *before = NULL, *after = NULL;
	guint8 block[BLOCK], out[BLOCK];
	gsize length, length_after;
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(make_snapshot("looked"));
	path = fixture_path("looked", ".vol");
	REQUIRE(g_file_get_contents(path, &before, &length, NULL));
	memset(block, 'm', sizeof block);
	dev_init(&dev, "storageos/looked;read_only", SIZE);
	REQUIRE(!dev_add(&dev));
	CHECK_INT(run_read(&dev, out, sizeof out, BLOCK), STS_OK);
	CHECK_MEM(out, block, sizeof out);
	command_init(&command, &dev, 0x2a, block, sizeof block, 0);
	command_set_range(&command, 0, BLOCK / 512);
	CHECK_SENSE(&command, command_send(&command), 0x7, 0x2700);
	command_init(&command, &dev, 0x35, NULL, 0, 0); /* SYNCHRONIZE CACHE */
	CHECK_INT(command_send(&command), STS_OK);
	CHECK(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 2 * SIZE) < 0);
	dev_remove(&dev);
	REQUIRE(g_file_get_contents(path, &after, &length_after, NULL));
	CHECK_UINT(length_after, length);
	CHECK(length_after == length && !memcmp(before, after, length));
	REQUIRE(dev_open(&dev, "looked"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	dev_remove(&dev);
}

static void check_refused(const char *cfgstring, guint64 size, const char *why)
{
	Dev dev;

	test_row("%s", why);
	dev_init(&dev, cfgstring, size);
	CHECK(dev_add(&dev) != 0);
	CHECK(log_has(why));
	test_row(NULL);
}

static void test_refused(const void *data)
{
	char *reason = NULL;
	Dev dev;

	(void)data;
	REQUIRE(make_snapshot("refused"));
	CHECK(host_check_config("storageos/refused@monday", &reason));
	CHECK(!host_check_config("storageos/refused@monday;create", &reason));
	CHECK_CONTAINS(reason, "a snapshot is not created here");
	g_free(reason);
	check_refused("storageos/refused@tuesday", SIZE, "there is no snapshot 'tuesday'");
	check_refused("storageos/refused@monday", SIZE / 2, "give targetcli the volume's size");
	dev_init(&dev, "storageos/refused@monday", SIZE);
	REQUIRE(!dev_add(&dev));
	check_refused("storageos/refused@monday", SIZE, " serves it already");
	dev_remove(&dev);
}

void snapshots_tests(void)
{
	test_add("a snapshot can be read, and not written", test_protected, NULL);
	test_add("a snapshot stays as it is beside its volume", test_beside_volume, NULL);
	test_add("a volume that is served for reading only", test_volume_read_only, NULL);
	test_add("a snapshot that is not there, or is served", test_refused, NULL);
}
