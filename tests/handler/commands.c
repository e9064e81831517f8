/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SCSI commands do, and how their failures are reported.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/bytes.h"
#include "common/base/thread.h"
#include "common/base/units.h"
#include "handler/device.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"
#include "tests/runner-host/disk.h"

static void fill(void *data, gsize length, guint64 seed)
{
	TestRandom random = test_random_new(seed);

	test_random_fill(&random, data, length);
}

/* ---- commands */

static void test_read_write(const void *data)
{
	Dev dev;
	g_autofree guint8 *in = g_malloc(MIB), *out = g_malloc(MIB);
	Command command;

	(void)data;
	REQUIRE(dev_open(&dev, "rw"));
	fill(in, MIB, 1);
	command_init(&command, &dev, 0x2a, in, MIB, 16384);
	command_set_range(&command, 1, MIB / 512);
	CHECK_INT(command_send(&command), STS_OK);
	CHECK(command.by != g_thread_self());
	CHECK_INT(command.completed, 1);
	CHECK_INT(run_read(&dev, out, MIB, 512), STS_OK);
	CHECK_MEM(out, in, MIB);
	CHECK_INT(run_flush(&dev), STS_OK);
	command_init(&command, &dev, 0x28, out, 4096, 0);
	command_set_range(&command, SIZE / 512 - 1, 8);
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x2100);
	dev_remove(&dev);
}

/* Only short reads are answered in the dispatch thread. */
static void test_read_now(const void *data)
{
	static const struct {
		const char *name;
		gsize length, piece;
		guint8 flags;
		gboolean queued;
	} rows[] = {
		{"a block", 4096, 0, 0, FALSE},
		{"a sector", 512, 0, 0, FALSE},
		{"in pieces", 16384, 700, 0, FALSE},
		{"the longest", DEVICE_NOW_MAX, 0, 0, FALSE},
		{"longer", DEVICE_NOW_MAX + 512, 0, 0, TRUE},
		{"with FUA", 4096, 0, 0x08, TRUE},
	};
	g_autofree guint8 *in = g_malloc(MIB), *out = g_malloc(MIB);
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "now"));
	fill(in, MIB, 6);
	CHECK_INT(run_write(&dev, in, MIB, 0), STS_OK);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		test_row("%s", rows[i].name);
		memset(out, 0, MIB);
		command_init(&command, &dev, 0x28, out, rows[i].length, rows[i].piece);
		command_set_range(&command, 3, rows[i].length / 512);
		command.cdb[1] = rows[i].flags;
		CHECK_INT(command_dispatch(&command), rows[i].queued);
		CHECK_INT(command_wait(&command), STS_OK);
		CHECK_INT(command.completed, 1);
		CHECK_INT(command.by == g_thread_self(), !rows[i].queued);
		CHECK_MEM(out, in + 3 * 512, rows[i].length);
	}
	dev_remove(&dev);
}

/* While writes come one at a time, the dispatch thread waits for them and completes them.  Under a
 * tool, with one processor, or on a machine that does other things, a write may always take longer
 * than it waits. */
static void test_write_awaited(const void *data)
{
	gint64 end = fixture_awaiting_end();
	guint8 block[4096], out[4096];
	guint awaited = 0;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "awaited"));
	for (guint i = 0; awaited < 1000 && g_get_monotonic_time() < end; i++) {
		Command command;

		memset(block, (int)i, sizeof block);
		command_init(&command, &dev, 0x2a, block, sizeof block, 0);
		command_set_range(&command, i % 64 * 8, 8);
		CHECK(command_dispatch(&command));
		CHECK_INT(command_wait(&command), STS_OK);
		CHECK_INT(command.completed, 1);
		awaited += command.by == g_thread_self();
		if (i % 16)
			continue;
		CHECK_INT(run_read(&dev, out, sizeof out, i % 64 * 4096), STS_OK);
		CHECK_MEM(out, block, sizeof out);
	}
	CHECK(awaited || thread_processors() == 1 || test_is_instrumented() ||
	      test_time_limit(1) > G_USEC_PER_SEC);
	dev_remove(&dev);
}

#define MANY 600 /* more than a device has requests of its own */

static void test_many(const void *data)
{
	Dev dev;
	g_autofree Command *commands = g_new0(Command, MANY);
	g_autofree guint8 *blocks = g_malloc(MANY * 4096), *out = g_malloc(MANY * 4096);

	(void)data;
	REQUIRE(dev_open(&dev, "many"));
	fill(blocks, MANY * 4096, 2);
	for (guint i = 0; i < MANY; i++) {
		Command *c = &commands[i];

		command_init(c, &dev, 0x2a, blocks + i * 4096, 4096, 0);
		command_set_range(c, i * 8, 8);
		command_begin(c);
	}
	for (guint i = 0; i < MANY; i++)
		CHECK_INT(command_wait(&commands[i]), STS_OK);
	CHECK_INT(run_read(&dev, out, MANY * 4096, 0), STS_OK);
	CHECK_MEM(out, blocks, MANY * 4096);
	dev_remove(&dev);
	for (guint i = 0; i < MANY; i++)
		CHECK_INT(commands[i].completed, 1);
}

/* The next step of a compound command, from within the completion of the one before. */
#define STEPS 2000

static gboolean next_step(Command *command)
{
	int *left = command->data;

	if (command->status || --*left <= 0)
		return FALSE;
	command_next_write(command, (guint64)*left % 64 * 4096);
	return TRUE;
}

static void test_steps(const void *data)
{
	Dev dev;
	guint8 block[4096] = {1};
	int left = STEPS;
	Command command;

	(void)data;
	REQUIRE(dev_open(&dev, "steps"));
	command_init(&command, &dev, 0x04, block, sizeof block, 0);
	command.done = next_step;
	command.data = &left;
	CHECK_INT(command_send(&command), STS_OK);
	CHECK_INT(left, 0);
	dev_remove(&dev);
}

static void test_fua(const void *data)
{
	static const struct {
		guint8 opcode, byte_1;
		gboolean flushed;
	} rows[] = {{0x2a, 0x08, TRUE},	 {0xaa, 0x08, TRUE},  {0x8a, 0x08, TRUE},
		    {0x2a, 0x00, FALSE}, {0x0a, 0x08, FALSE}, {0x8b, 0x08, TRUE},
		    {0x9c, 0x08, TRUE},	 {0x2e, 0x00, TRUE},  {0x8e, 0x00, TRUE}};
	Dev dev;
	guint8 block[4096] = {1};

	(void)data;
	dev_init(&dev, "storageos/fua;create",
		 8 * SIZE); /* FUA's bit is part of the address in WRITE(6) */
	REQUIRE(dev_add(&dev) == 0);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		Command command;
		int calls = g_atomic_int_get(&fdatasync_calls);

		test_row("opcode %02x, byte 1 %02x", rows[i].opcode, rows[i].byte_1);
		command_init(&command, &dev, rows[i].opcode, block,
			     rows[i].opcode == 0x9c ? sizeof block : 512, 0);
		command_set_range(&command, 0, rows[i].opcode == 0x9c ? 8 : 1);
		command.cdb[1] = rows[i].byte_1;
		CHECK_INT(command_send(&command), STS_OK);
		CHECK_INT(g_atomic_int_get(&fdatasync_calls) > calls, rows[i].flushed);
	}
	dev_remove(&dev);
}

#define FLUSHES 40

static void test_flushes_share(const void *data)
{
	Dev dev;
	g_autofree Command *commands = g_new0(Command, FLUSHES);
	guint8 block[512] = {1}, out[512];
	int calls;

	(void)data;
	REQUIRE(dev_open(&dev, "share"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	g_atomic_int_set(&fdatasync_delay, 200000);
	calls = g_atomic_int_get(&fdatasync_calls);
	for (guint i = 0; i < FLUSHES; i++) {
		command_init(&commands[i], &dev, 0x35, NULL, 0, 0);
		command_begin(&commands[i]);
	}
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_INT(g_atomic_int_get(&commands[FLUSHES - 1].completed), 0); /* reads do not wait */
	for (guint i = 0; i < FLUSHES; i++)
		CHECK_INT(command_wait(&commands[i]), STS_OK);
	g_atomic_int_set(&fdatasync_delay, 0);
	CHECK(g_atomic_int_get(&fdatasync_calls) - calls <= 6);
	dev_remove(&dev);
}

static int run_same(Dev *dev, guint8 *block, guint64 offset, guint64 length)
{
	return run_range(dev, 0x93, block, 512, offset / 512, length / 512);
}

static gboolean all_are(const guint8 *data, gsize length, guint8 byte)
{
	return data[0] == byte && !memcmp(data, data + 1, length - 1);
}

static void test_same(const void *data)
{
	Dev dev;
	g_autofree guint8 *out = g_malloc(4 * MIB);
	guint8 x[512], zero[512] = {0};

	(void)data;
	memset(x, 'x', sizeof x);
	REQUIRE(dev_open(&dev, "same"));
	CHECK_INT(run_same(&dev, x, 512, 3 * MIB), STS_OK);
	CHECK_INT(run_same(&dev, zero, MIB, 1536), STS_OK);
	CHECK_INT(run_read(&dev, out, 4 * MIB, 0), STS_OK);
	CHECK_ZERO(out, 512);
	CHECK(all_are(out + 512, MIB - 512, 'x'));
	CHECK_ZERO(out + MIB, 1536);
	CHECK(all_are(out + MIB + 1536, 3 * MIB + 512 - MIB - 1536, 'x'));
	CHECK_ZERO(out + 3 * MIB + 512, MIB - 512);
	dev_remove(&dev);
}

static int run_same_unmap(Dev *dev, guint8 opcode, guint8 *block, guint64 offset, guint64 length)
{
	Command command;

	command_init(&command, dev, opcode, block, 512, 0);
	command_set_range(&command, offset / 512, length / 512);
	command.cdb[1] |= 0x08;
	return command_send(&command);
}

static void test_unmap(const void *data)
{
	Dev dev;
	g_autofree guint8 *out = g_malloc(MIB);
	guint8 x[512], y[512], zero[512] = {0};

	(void)data;
	memset(x, 'x', sizeof x);
	memset(y, 'y', sizeof y);
	REQUIRE(dev_open(&dev, "unmap"));
	CHECK_INT(run_same(&dev, x, 0, MIB), STS_OK);
	CHECK_INT(run_unmap(&dev, 4096, 8192), STS_OK);
	CHECK_INT(run_unmap(&dev, 0, 0), STS_OK);
	CHECK_INT(run_same_unmap(&dev, 0x93, zero, 20480, 4096), STS_OK);
	CHECK_INT(run_same_unmap(&dev, 0x41, y, 40960, 4096), STS_OK);
	CHECK_INT(run_read(&dev, out, MIB, 0), STS_OK);
	CHECK(all_are(out, 4096, 'x'));
	CHECK_ZERO(out + 4096, 8192);
	CHECK(all_are(out + 12288, 8192, 'x'));
	CHECK_ZERO(out + 20480, 4096);
	CHECK(all_are(out + 24576, 16384, 'x'));
	CHECK(all_are(out + 40960, 4096, 'y')); /* its UNMAP bit does not change what is read */
	CHECK(all_are(out + 45056, MIB - 45056, 'x'));
	dev_remove(&dev);
}

static void test_unmap_refuses(const void *data)
{
	/* A header and two descriptors, the second of which is beyond the end. */
	guint8 list[40] = {0, 38, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 8};
	Dev dev;
	Command command;

	(void)data;
	REQUIRE(dev_open(&dev, "refuses"));
	put_be(list + 24, SIZE / 512, 8);
	put_be(list + 32, 1, 4);
	command_init(&command, &dev, 0x42, list, sizeof list, 7);
	command.cdb[8] = sizeof list;
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x2100);
	command_init(&command, &dev, 0x42, list, 30, 0); /* a truncated descriptor is ignored */
	command.cdb[8] = 30;
	CHECK_INT(command_send(&command), STS_OK);
	command_init(&command, &dev, 0x42, list, 4, 0);
	command.cdb[8] = 4;
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x1a00);
	command_init(&command, &dev, 0x42, list, 30, 0);
	command.cdb[8] = sizeof list; /* less data was sent than the CDB says */
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x1a00);
	command_init(&command, &dev, 0x42, list, sizeof list, 0);
	command.cdb[1] = 0x01;
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x2400);
	dev_remove(&dev);
}

static void test_format(const void *data)
{
	Dev dev;
	g_autofree guint8 *block = g_malloc0(MIB), *out = g_malloc(MIB);
	Command command;

	(void)data;
	REQUIRE(dev_open(&dev, "format"));
	fill(block, MIB, 3);
	CHECK_INT(run_write(&dev, block, MIB, 0), STS_OK);
	memset(block, 0, MIB);
	command_init(&command, &dev, 0x04, block, MIB, 0);
	CHECK_INT(command_send(&command), STS_OK);
	CHECK_INT(run_read(&dev, out, MIB, 0), STS_OK);
	CHECK_ZERO(out, MIB);
	dev_remove(&dev);
}

static void test_compare(const void *data)
{
	Dev dev;
	guint8 both[1024], out[512];
	Command command;

	(void)data;
	REQUIRE(dev_open(&dev, "compare"));
	memset(both, 0, 512);
	memset(both + 512, 'n', 512);
	command_init(&command, &dev, 0x89, both, sizeof both, 300); /* halves end within a piece */
	command_set_range(&command, 16, 1);
	CHECK_INT(command_send(&command), STS_OK);
	CHECK_INT(run_read(&dev, out, sizeof out, 8192), STS_OK);
	CHECK(all_are(out, sizeof out, 'n'));

	memset(both, 'n', 512);
	both[77] = 'm';
	command_init(&command, &dev, 0x89, both, sizeof both, 0);
	command_set_range(&command, 16, 1);
	CHECK_SENSE(&command, command_send(&command), 0xe, 0x1d00);
	CHECK_UINT(command.sense[6], 77);
	command_set_range(&command, 16, 2); /* more blocks than data */
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x2400);
	dev_remove(&dev);
}

/* ---- failures */

/* Changes one byte of the block in the volume's file. */
static void spoil(const char *name, const guint8 *block)
{
	g_autofree char *path = fixture_path(name, ".vol");
	g_autofree char *text = NULL;
	gsize length;
	guint8 *at;
	FILE *file;

	REQUIRE(g_file_get_contents(path, &text, &length, NULL));
	at = memmem(text, length, block, 4096);
	REQUIRE(at != NULL);
	file = fopen(path, "r+");
	REQUIRE(file != NULL);
	CHECK(!fseek(file, (long)(at - (guint8 *)text) + 1000, SEEK_SET));
	CHECK(fputc(block[1000] ^ 1, file) != EOF);
	CHECK(!fclose(file));
}

static void test_corrupt(const void *data)
{
	static const guint8 wanted[18] = {0xf0, 0, 0x3, 0, 0, 0x4, 0, 10, 0, 0, 0, 0, 0x11, 0};
	static const gsize lengths[] = {8192, DEVICE_NOW_MAX + 512}; /* read at once, and queued */
	g_autofree guint8 *out = g_malloc(MIB);
	guint8 block[4096];
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "corrupt"));
	fill(block, sizeof block, 4);
	CHECK_INT(run_write(&dev, block, sizeof block, 0x400 * 512), STS_OK);
	CHECK_INT(run_flush(&dev), STS_OK);
	dev_remove(&dev);
	spoil("corrupt", block);
	dev_init(&dev, "storageos/corrupt", SIZE);
	REQUIRE(dev_add(&dev) == 0);
	for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
		g_autofree char *logged = g_strdup_printf(
			"read of %" G_GSIZE_FORMAT " bytes at 520192 failed", lengths[i]);

		test_row("%" G_GSIZE_FORMAT " bytes", lengths[i]);
		command_init(&command, &dev, 0x28, out, lengths[i], 0);
		command_set_range(&command, 0x400 - 8, lengths[i] / 512);
		CHECK_INT(command_send(&command), STS_SENSE);
		CHECK_MEM(command.sense, wanted, sizeof wanted);
		CHECK_ZERO(command.sense + 18, 96 - 18);
		CHECK(log_has(logged));
	}
	CHECK_INT(run_write(&dev, block, sizeof block, 0x400 * 512), STS_OK);
	CHECK_INT(run_read(&dev, out, sizeof block, 0x400 * 512), STS_OK);
	CHECK_MEM(out, block, sizeof block);
	dev_remove(&dev);
}

static void test_failed_flush(const void *data)
{
	static const guint8 opcodes[] = {0x35, 0x2a, 0x42};
	guint8 list[512] = {0, 22, 0, 16, [19] = 8}; /* an UNMAP's, of 8 blocks at 0 */
	const gsize lengths[] = {0, sizeof list, 24};
	Dev dev;
	guint8 block[4096] = {7}, out[4096];
	Command command;

	(void)data;
	REQUIRE(dev_open(&dev, "failed"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	g_atomic_int_set(&fdatasync_error, EIO);
	CHECK_INT(run_flush(&dev), STS_SENSE);
	g_atomic_int_set(&fdatasync_error, 0);
	for (guint i = 0; i < G_N_ELEMENTS(opcodes); i++) {
		test_row("opcode %02x", opcodes[i]);
		command_init(&command, &dev, opcodes[i], list, lengths[i], 0);
		command.cdb[8] = opcodes[i] == 0x42 ? 24 : opcodes[i] == 0x2a;
		CHECK_SENSE(&command, command_send(&command), 0x4, 0x4400);
	}
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_MEM(out, block, sizeof out);
	CHECK(log_has("default/failed: flush"));
	dev_remove(&dev);
	REQUIRE(dev_open(&dev, "failed"));
	CHECK_INT(run_flush(&dev), STS_OK);
	dev_remove(&dev);
}

static void test_no_space(const void *data)
{
	g_autofree guint8 *block = g_malloc(MIB), *out = g_malloc(MIB);
	guint64 offset;
	Command command;
	int status = STS_OK;
	Dev dev;

	(void)data;
	fill(block, MIB, 5);
	dev_init(&dev, "storageos/space;create", 8 * SIZE);
	REQUIRE(dev_add(&dev) == 0);
	g_atomic_int_set(&no_space, TRUE);
	for (offset = 0; offset < 8 * SIZE && !status; offset += MIB) {
		command_init(&command, &dev, 0x2a, block, MIB, 0);
		command_set_range(&command, offset / 512, MIB / 512);
		status = command_send(&command);
	}
	CHECK_SENSE(&command, status, 0x7, 0x2707);
	CHECK_INT(run_read(&dev, out, MIB, 0), STS_OK);
	CHECK_MEM(out, block, MIB);
	CHECK_INT(run_flush(&dev), STS_OK);
	g_atomic_int_set(&no_space, FALSE);
	CHECK_INT(run_write(&dev, block, MIB, offset - MIB), STS_OK);
	CHECK_INT(run_read(&dev, out, MIB, offset - MIB), STS_OK);
	CHECK_MEM(out, block, MIB);
	dev_remove(&dev);
}

static void test_late(const void *data)
{
	Dev dev;
	guint8 block[4096] = {7}, out[4096] = {1};
	Command command;

	(void)data;
	REQUIRE(dev_open(&dev, "late"));
	command_init(&command, &dev, 0x2a, block, sizeof block, 0);
	command_set_range(&command, 0, sizeof block / 512);
	g_atomic_int_set(&clock_skew, 25);
	CHECK(command_dispatch(&command)); /* this thread's clock is ahead of the workers' */
	CHECK_INT(command_wait(&command), STS_BUSY);
	g_atomic_int_set(&clock_skew, 0);
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_ZERO(out, sizeof out);
	dev_remove(&dev);
}

void commands_tests(void)
{
	test_add("what is written is read", test_read_write, NULL);
	test_add("a short read from memory is answered where it arrives", test_read_now, NULL);
	test_add("writes that come one at a time are completed by the dispatch thread",
		 test_write_awaited, NULL);
	test_add("many commands at once all end, once", test_many, NULL);
	test_add("a completion may send the next command", test_steps, NULL);
	test_add("FUA flushes, where it is FUA", test_fua, NULL);
	test_add("flushes share, and reads pass them", test_flushes_share, NULL);
	test_add("WRITE SAME repeats its block", test_same, NULL);
	test_add("UNMAP zeroes, WRITE SAME with UNMAP keeps its promise", test_unmap, NULL);
	test_add("UNMAP is refused where it is wrong", test_unmap_refuses, NULL);
	test_add("FORMAT UNIT zeroes", test_format, NULL);
	test_add("COMPARE AND WRITE compares, then writes", test_compare, NULL);
	test_add("a corrupt block is a medium error with its LBA", test_corrupt, NULL);
	test_add("after a failed flush reads go on and all else fails", test_failed_flush, NULL);
	test_add("out of space is told as that, and passes", test_no_space, NULL);
	test_add("what waited too long is not begun", test_late, NULL);
}
