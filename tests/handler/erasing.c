/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SANITIZE of a volume in a file, after all kinds of writes: the file is searched for what the
 * answer GOOD says is gone.
 */
#include <string.h>

#include "common/base/bytes.h"
#include "common/backing/backing.h"
#include "common/base/units.h"
#include "common/engine/volume-snapshots.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

#define SECTOR 512u
#define WRITES 400u

static const guint8 secret[8] = "USERDATA";

static const struct {
	const char *name;
	guint8 action;
} rows[] = {
	{"wiped-block", 0x02},
	{"wiped-crypto", 0x03},
	{"wiped-overwrite", 0x01},
};

static guint64 count_sectors(const char *name, const guint8 *what)
{
	g_autofree char *path = fixture_path(name, ".vol"), *data = NULL;
	guint64 n = 0;
	gsize length;

	if (!CHECK(g_file_get_contents(path, &data, &length, NULL)))
		return 0;
	for (gsize i = 0; i + SECTOR <= length; i += SECTOR)
		n += !memcmp(data + i, what, sizeof secret);
	return n;
}

static void send(Dev *dev, guint8 opcode, guint64 lba, void *data, guint64 blocks)
{
	Command command;

	command_init(&command, dev, opcode, data, data ? blocks * SECTOR : 0, 0);
	command_set_range(&command, lba, blocks);
	CHECK_INT(command_send(&command), STS_OK);
}

static void fill_with_secrets(Dev *dev)
{
	TestRandom random = test_random_new(test_seed());
	g_autofree guint8 *data = g_malloc(256 * SECTOR);

	for (guint i = 0; i < WRITES && !test_failed(); i++) {
		guint64 blocks = 1 + test_random_below(&random, 256);
		guint64 lba = test_random_below(&random, SIZE / SECTOR - blocks);

		test_random_fill(&random, data, blocks * SECTOR);
		for (guint k = 0; k < blocks; k++)
			memcpy(data + k * SECTOR, secret, sizeof secret);
		send(dev, 0x8a, lba, data, blocks);
		if (i % 10 == 0)
			send(dev, 0x35, 0, NULL, 0);
	}
}

static void sanitize(Dev *dev, guint8 action)
{
	guint8 list[4 + sizeof secret] = {1, 0, 0, sizeof secret};
	gboolean overwrite = action == 0x01;
	Command command;

	memcpy(list + 4, "PATTERN.", sizeof secret);
	command_init(&command, dev, 0x48, overwrite ? list : NULL, overwrite ? sizeof list : 0, 0);
	command.cdb[1] = action;
	command.cdb[8] = overwrite ? sizeof list : 0;
	CHECK_INT(command_send(&command), STS_OK);
}

static void check_content(Dev *dev, gboolean overwritten)
{
	g_autofree guint8 *data = g_malloc(SIZE / 64);

	for (guint64 at = 0; at < SIZE && !test_failed(); at += SIZE / 64) {
		send(dev, 0x88, at / SECTOR, data, SIZE / 64 / SECTOR);
		for (guint64 i = 0; i < SIZE / 64; i += sizeof secret)
			if (memcmp(data + i, overwritten ? "PATTERN." : "\0\0\0\0\0\0\0",
				   sizeof secret)) {
				FAIL("byte %" G_GUINT64_FORMAT, at + i);
				break;
			}
	}
}

static void test_sanitize(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		gboolean overwritten = rows[i].action == 0x01;
		Dev dev;

		test_row("%s", rows[i].name);
		REQUIRE(dev_open(&dev, rows[i].name));
		fill_with_secrets(&dev);
		CHECK(count_sectors(rows[i].name, secret) > 0);
		sanitize(&dev, rows[i].action);
		CHECK_UINT(count_sectors(rows[i].name, secret), 0);
		check_content(&dev, overwritten);
		if (overwritten)
			CHECK(count_sectors(rows[i].name, (const guint8 *)"PATTERN.") >=
			      SIZE / SECTOR);
		dev_remove(&dev);
	}
}

static void take_snapshot(const char *name)
{
	const VolumeSnapshotParameters parameters = {.name = "monday"};
	g_autofree char *path = fixture_path(name, ".vol");
	Volume *volume = volume_open(backing_open(path, 0, NULL), name, 0, NULL);
	guint64 generation;

	REQUIRE(volume);
	CHECK(volume_snapshot_begin(volume, &parameters, &generation, NULL));
	CHECK(volume_snapshot_wait(volume, generation, 60, NULL));
	CHECK(volume_close(volume, NULL));
}

/* Snapshots would keep their data: the command is refused, and the unit goes on. */
static void test_snapshot(const void *data)
{
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "kept"));
	send(&dev, 0x8a, 0, (guint8[SECTOR * 8]){1}, 8);
	dev_remove(&dev);
	take_snapshot("kept");
	REQUIRE(dev_open(&dev, "kept"));
	command_init(&command, &dev, 0x48, NULL, 0, 0);
	command.cdb[1] = 0x02;
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x2c00);
	send(&dev, 0x8a, 0, (guint8[SECTOR * 8]){2}, 8);
	dev_remove(&dev);
}

void erasing_tests(void)
{
	test_add("a SANITIZE is refused while there are snapshots", test_snapshot, NULL);
	test_add("nothing is in the file that was written before a SANITIZE", test_sanitize, NULL);
}
