/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices of volumes without a write cache: what is answered is durable.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/engine/volume.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

#define BLOCK 4096
#define ATTRIBUTE_WRITE_CACHE 2 /* a kind of reconfiguration */

/* A volume without a write cache; the kernel's device over it. */
static gboolean open_uncached(Dev *dev, const char *name)
{
	g_autofree char *path = fixture_path(name, ".vol");
	g_autofree char *cfgstring = g_strdup_printf("storageos/%s", name);
	Volume *volume;

	if (!dev_open(dev, name))
		return FALSE;
	dev_remove(dev);
	volume = volume_open(backing_open(path, 0, NULL), name, 0, NULL);
	if (!CHECK(volume) || !CHECK(volume_set_write_through(volume, TRUE, NULL)) ||
	    !CHECK(volume_close(volume, NULL)))
		return FALSE;
	dev_init(dev, cfgstring, SIZE);
	return CHECK_INT(dev_add(dev), 0);
}

/* ---- a disk that keeps what the last flush found, and nothing else */

static int disk = -1; /* the copy */

static void disk_take(int fd)
{
	static guint8 buffer[64 * 1024];
	off_t at = 0, end;

	if (disk < 0)
		return;
	CHECK_INT(ftruncate(disk, 0), 0);
	CHECK_INT(ftruncate(disk, lseek(fd, 0, SEEK_END)), 0);
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		for (; at < end; at += sizeof buffer) {
			gsize n = MIN(sizeof buffer, (gsize)(end - at));

			CHECK_INT(pread(fd, buffer, n, at), (gssize)n);
			CHECK_INT(pwrite(disk, buffer, n, at), (gssize)n);
		}
		at = end;
	}
}

/* Whether the disk has that byte all over the block. */
static void disk_check(const char *path, guint block, guint8 byte)
{
	guint8 have[BLOCK], want[BLOCK];
	struct iovec iov = {have, sizeof have};
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_open(path, BACKING_OPEN_READ_ONLY, &error);
	Volume *volume =
		backing ? volume_open(backing, "copy", VOLUME_OPEN_READ_ONLY, &error) : NULL;

	memset(want, byte, sizeof want);
	CHECK_NO_ERROR(error);
	if (!volume)
		return;
	CHECK_INT(volume_read(volume, &iov, 1, block * BLOCK, NULL), 0);
	CHECK_MEM(have, want, sizeof have);
	volume_close(volume, NULL);
}

static void test_durable(const void *data)
{
	static const struct {
		const char *name;
		guint8 opcode, flags;
		guint length; /* of the data, blocks of 512 */
		guint8 was, is;
	} rows[] = {
		{"WRITE(6)", 0x0a, 0, 8, 0, 'a'},
		{"WRITE(10)", 0x2a, 0, 8, 0, 'b'},
		{"WRITE(16)", 0x8a, 0, 8, 'b', 'c'},
		{"WRITE ATOMIC(16)", 0x9c, 0, 8, 0, 'd'},
		{"WRITE SAME(10)", 0x41, 0, 1, 0, 'e'},
		{"WRITE SAME(16) with UNMAP", 0x93, 0x08, 1, 'e', 0},
		{"COMPARE AND WRITE", 0x89, 0, 16, 'f', 'g'},
		{"ORWRITE(16)", 0x8b, 0, 8, 'f', 'g'},
	};
	g_autofree char *path = test_path(".copy");
	guint8 buffer[2 * BLOCK];
	Dev dev;

	(void)data;
	REQUIRE(open_uncached(&dev, "durable"));
	disk = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	REQUIRE(disk >= 0);
	fdatasync_hook = disk_take;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		Command command;

		test_row("%s", rows[i].name);
		memset(buffer, rows[i].was, sizeof buffer);
		CHECK_INT(run_write(&dev, buffer, BLOCK, i * BLOCK), STS_OK);
		disk_check(path, i, rows[i].was);
		memset(buffer + (rows[i].opcode == 0x89 ? BLOCK : 0), rows[i].is, BLOCK);
		command_init(&command, &dev, rows[i].opcode, buffer, rows[i].length * 512, 0);
		command_set_range(&command, i * BLOCK / 512, 8);
		command.cdb[1] |= rows[i].flags;
		CHECK_INT(command_send(&command), STS_OK);
		disk_check(path, i, rows[i].is);
	}
	CHECK_INT(run_unmap(&dev, 0, BLOCK), STS_OK);
	disk_check(path, 0, 0);
	fdatasync_hook = NULL;
	close(disk);
	disk = -1;
	dev_remove(&dev);
}

#define WRITES 200

/* Writes that wait together share flushes, and no read waits for one. */
static void test_shared(const void *data)
{
	g_autofree Command *commands = g_new0(Command, WRITES);
	guint8 block[BLOCK] = {7}, out[BLOCK];
	int calls;
	Dev dev;

	(void)data;
	REQUIRE(open_uncached(&dev, "shared"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	g_atomic_int_set(&fdatasync_delay, 200000);
	calls = g_atomic_int_get(&fdatasync_calls);
	for (guint i = 0; i < WRITES; i++) {
		command_init(&commands[i], &dev, 0x2a, block, sizeof block, 0);
		command_set_range(&commands[i], i * BLOCK / 512, BLOCK / 512);
		command_begin(&commands[i]);
	}
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_INT(g_atomic_int_get(&commands[WRITES - 1].completed), 0);
	for (guint i = 0; i < WRITES; i++)
		CHECK_INT(command_wait(&commands[i]), STS_OK);
	g_atomic_int_set(&fdatasync_delay, 0);
	CHECK(g_atomic_int_get(&fdatasync_calls) - calls <= 20);
	dev_remove(&dev);
}

/* A write whose flush fails is not acknowledged. */
static void test_refused(const void *data)
{
	guint8 block[BLOCK] = {7};
	Dev dev;

	(void)data;
	REQUIRE(open_uncached(&dev, "refused"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	g_atomic_int_set(&fdatasync_error, EIO);
	CHECK_INT(run_write(&dev, block, sizeof block, BLOCK), STS_SENSE);
	g_atomic_int_set(&fdatasync_error, 0);
	dev_remove(&dev);
}

static guint caching_page(Dev *dev)
{
	guint8 pages[24] = {0};
	Command command;

	command_init(&command, dev, 0x1a, pages, sizeof pages, 0);
	command.cdb[1] = 0x08;
	command.cdb[2] = 0x08;
	command.cdb[4] = sizeof pages;
	CHECK_INT(command_send(&command), STS_OK);
	return pages[6];
}

static void test_said(const void *data)
{
	Dev dev;

	(void)data;
	REQUIRE(open_uncached(&dev, "said"));
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_WRITE_CACHE, NULL, 1), 0);
	CHECK(log_has("said: the write cache is off whatever"));
	CHECK_UINT(caching_page(&dev) & 0x04, 0);
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_WRITE_CACHE, NULL, 0), 0);
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_WRITE_CACHE, NULL, 1), -EOPNOTSUPP);
	CHECK(log_has("said: the write cache stays off"));
	CHECK(log_has("storageos set NAME write_cache=on"));
	dev_remove(&dev);
}

static void test_cfgstring(const void *data)
{
	Dev dev;

	(void)data;
	dev_init(&dev, "storageos/uncached;create;write_cache=off", SIZE);
	REQUIRE(CHECK_INT(dev_add(&dev), 0));
	CHECK_UINT(caching_page(&dev) & 0x04, 0);
	dev_remove(&dev);
	REQUIRE(dev_open(&dev, "cached"));
	dev_remove(&dev);
	dev_init(&dev, "storageos/cached;write_cache=off", SIZE);
	CHECK(dev_add(&dev) != 0);
	CHECK(log_has("the volume default/cached has a write cache "
		      "(storageos set default/cached write_cache=off)"));
}

void write_through_tests(void)
{
	test_add("without a write cache, what is answered is durable", test_durable, NULL);
	test_add("without a write cache, writes share flushes, and reads pass them", test_shared,
		 NULL);
	test_add("without a write cache, a write whose flush fails is not acknowledged",
		 test_refused, NULL);
	test_add("initiators are told that there is no write cache", test_said, NULL);
	test_add("a cfgstring asks for a volume without a write cache", test_cfgstring, NULL);
}
