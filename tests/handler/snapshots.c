/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices that are snapshots: write protected, whoever has the volume.
 */
#include "common/backing/backing.h"
#include "tests/engine/snapshot-table.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

#define BLOCK 4096
#define ATTRIBUTE_SIZE 1 /* a kind of reconfiguration */

/* Makes a volume whose block 1 is full of 'm', and its snapshot `monday`. */
static gboolean make_snapshot(const char *name)
{
	g_autofree char *path = fixture_path(name, ".vol");
	g_autoptr(Backing) backing = NULL;
	guint8 block[BLOCK];
	Snapshot snapshot;
	Dev dev;

	if (!dev_open(&dev, name))
		return FALSE;
	memset(block, 'm', sizeof block);
	CHECK_INT(run_write(&dev, block, sizeof block, BLOCK), STS_OK);
	dev_remove(&dev);
	backing = backing_open(path, 0, NULL);
	if (!CHECK(backing))
		return FALSE;
	snapshot = table_snapshot_of_now(backing, "monday");
	return table_write(backing, &snapshot, 1);
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
	CHECK_INT(run_read(&dev, out, sizeof out, BLOCK), STS_OK);
	CHECK_MEM(out, block, sizeof out);
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
	test_add("a snapshot that is not there, or is served", test_refused, NULL);
}
