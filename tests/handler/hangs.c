/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that does not answer: threads that the kernel keeps stay stuck.  Commands are answered in
 * time all the same, and a command answered so touches neither the initiator's memory nor the
 * volume afterwards.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/thread.h"
#include "common/service/pool-marker.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"
#include "tests/runner-host/disk.h"

#define BLOCK 4096
#define LATE 25 /* s: beyond a command's time */

static gboolean kept_for_long(guint n)
{
	WAIT_WITHIN(10, disk_kept() >= n);
	return disk_kept() >= n;
}

static void begin(Command *command, Dev *dev, guint8 opcode, void *data, gsize length, guint64 lba)
{
	command_init(command, dev, opcode, data, length, 0);
	command_set_range(command, lba, length / 512);
	CHECK(command_dispatch(command)); /* this thread has another clock */
}

/* The command's time passes while the thread that carries it out is stuck. */
static int answer_late(Command *command)
{
	int status;

	g_atomic_int_set(&clock_skew, LATE);
	status = command_wait(command);
	g_atomic_int_set(&clock_skew, 0);
	return status;
}

static void test_read(const void *data)
{
	guint8 block[BLOCK], out[BLOCK], other[BLOCK];
	Command command;
	Dev dev;

	(void)data;
	memset(block, 'b', BLOCK);
	memset(other, 'o', BLOCK);
	REQUIRE(dev_open(&dev, "reading"));
	CHECK_INT(run_write(&dev, block, BLOCK, 0), STS_OK);
	disk_hang("reading.vol");
	begin(&command, &dev, 0x28, out, BLOCK, 0);
	CHECK(kept_for_long(1));
	CHECK_INT(answer_late(&command), STS_BUSY);
	memcpy(out, other, BLOCK); /* the memory is another command's now */
	disk_hang(NULL);
	CHECK_INT(run_read(&dev, block, BLOCK, 0), STS_OK);
	dev_remove(&dev);
	CHECK_MEM(out, other, BLOCK);
}

static void test_write(const void *data)
{
	guint8 before[BLOCK], data_out[2 * BLOCK], out[2 * BLOCK], wanted[2 * BLOCK] = {0};
	Command whole, part;
	Dev dev;

	(void)data;
	memset(before, 'b', BLOCK);
	memset(data_out, 'w', sizeof data_out);
	memcpy(wanted, before, BLOCK);
	REQUIRE(dev_open(&dev, "writing"));
	CHECK_INT(run_write(&dev, before, BLOCK, 0), STS_OK);
	disk_hang("writing.vol");
	begin(&whole, &dev, 0x2a, data_out, 2 * BLOCK, 0);
	begin(&part, &dev, 0x2a, data_out, BLOCK / 2, 3);
	CHECK(kept_for_long(1));
	CHECK_INT(answer_late(&whole), STS_BUSY);
	CHECK_INT(answer_late(&part), STS_BUSY);
	memset(data_out, 'x', sizeof data_out);
	disk_hang(NULL);
	CHECK_INT(run_flush(&dev), STS_OK);
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_MEM(out, wanted, sizeof out);
	CHECK_INT(run_write(&dev, data_out, sizeof data_out, 0), STS_OK);
	dev_remove(&dev);
	REQUIRE(dev_open(&dev, "writing"));
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_MEM(out, data_out, sizeof out);
	dev_remove(&dev);
}

/* Sends writes until the dispatch thread, this one, has waited for a few in a row. */
static void write_until_awaited(Dev *dev, guint8 *block)
{
	gint64 end = fixture_awaiting_end();
	guint awaited = 0;

	while (awaited < 5 && g_get_monotonic_time() < end) {
		Command command;

		begin(&command, dev, 0x2a, block, BLOCK, 0);
		CHECK_INT(command_wait(&command), STS_OK);
		awaited = command.by == g_thread_self() ? awaited + 1 : 0;
	}
}

/* The dispatch thread does not get stuck with the thread that it waits for. */
static void test_write_awaited(const void *data)
{
	guint8 before[BLOCK], data_out[BLOCK], out[BLOCK], zeros[BLOCK] = {0};
	Command command;
	Dev dev;

	(void)data;
	memset(before, 'b', BLOCK);
	memset(data_out, 'w', BLOCK);
	REQUIRE(dev_open(&dev, "stuck"));
	test_alarm(80, "the dispatch thread");
	write_until_awaited(&dev, before);
	disk_hang("stuck.vol");
	begin(&command, &dev, 0x2a, data_out, BLOCK, 8);
	CHECK(kept_for_long(1));
	CHECK(!command.completed);
	CHECK_INT(answer_late(&command), STS_BUSY);
	memset(data_out, 'x', BLOCK);
	disk_hang(NULL);
	CHECK_INT(run_flush(&dev), STS_OK);
	CHECK_INT(run_read(&dev, out, BLOCK, 8 * 512), STS_OK);
	CHECK_MEM(out, zeros, BLOCK);
	CHECK_INT(run_read(&dev, out, BLOCK, 0), STS_OK);
	CHECK_MEM(out, before, BLOCK);
	dev_remove(&dev);
	test_alarm(0, NULL);
}

#define FEW 3u

static void begin_few(Command *commands, Dev *dev, guint8 *block)
{
	for (guint i = 0; i < FEW; i++)
		begin(&commands[i], dev, 0x2a, block, BLOCK, 8 * i);
}

/* The same with a few writes at a time. */
static void few_until_awaited(Dev *dev, guint8 *block)
{
	gint64 end = fixture_awaiting_end();
	guint awaited = 0;

	while (awaited < 5 && g_get_monotonic_time() < end) {
		Command commands[FEW];
		gboolean here = FALSE;

		begin_few(commands, dev, block);
		for (guint i = 0; i < FEW; i++) {
			CHECK_INT(command_wait(&commands[i]), STS_OK);
			here |= commands[i].by == g_thread_self();
		}
		awaited = here ? awaited + 1 : 0;
	}
}

/* A few writes that go together are answered late, each by itself, and change nothing. */
static void test_few_writes(const void *data)
{
	guint8 before[BLOCK], data_out[BLOCK], out[BLOCK];
	Command commands[FEW];
	Dev dev;

	(void)data;
	memset(before, 'b', BLOCK);
	memset(data_out, 'w', BLOCK);
	REQUIRE(dev_open(&dev, "few"));
	test_alarm(100, "the dispatch thread");
	few_until_awaited(&dev, before);
	disk_hang("few.vol");
	begin_few(commands, &dev, data_out);
	CHECK(kept_for_long(1));
	for (guint i = 0; i < FEW; i++)
		CHECK_INT(answer_late(&commands[i]), STS_BUSY);
	memset(data_out, 'x', BLOCK);
	disk_hang(NULL);
	CHECK_INT(run_flush(&dev), STS_OK);
	for (guint i = 0; i < FEW; i++) {
		CHECK_INT(run_read(&dev, out, BLOCK, i * BLOCK), STS_OK);
		CHECK_MEM(out, before, BLOCK);
	}
	dev_remove(&dev);
	test_alarm(0, NULL);
}

/* Commands that change the volume, and commands that only read it. */
static const guint8 opcodes[] = {0x28, 0x2a, 0x35, 0x42, 0x89, 0x93, 0x8b, 0x2e, 0x2f};

static void begin_any(Command *command, Dev *dev, guint8 opcode, guint8 *memory)
{
	static const guint8 list[24] = {0, 22, 0, 16, [19] = 8};

	switch (opcode) {
	case 0x42:
		memcpy(memory, list, sizeof list);
		command_init(command, dev, opcode, memory, sizeof list, 0);
		command_set_range(command, 0, sizeof list);
		break;
	case 0x89:
		command_init(command, dev, opcode, memory, 2 * BLOCK, 0);
		command_set_range(command, 0, BLOCK / 512);
		break;
	case 0x93:
		command_init(command, dev, opcode, memory, 512, 0);
		command_set_range(command, 0, 64);
		break;
	case 0x35:
		command_init(command, dev, opcode, NULL, 0, 0);
		break;
	case 0x2f:
		command_init(command, dev, opcode, NULL, 0, 0);
		command_set_range(command, 0, BLOCK / 512);
		break;
	default:
		command_init(command, dev, opcode, memory, BLOCK, 0);
		command_set_range(command, 0, BLOCK / 512);
	}
	CHECK(command_dispatch(command));
}

/* Reads that keep every thread there is, so that none of the commands behind them is begun: a
 * change that is, is made even if it is answered before (an UNMAP has only the journal to wait
 * for). */
static void keep_all_threads(Command *reads, guint n, Dev *dev, guint8 *memory)
{
	guint workers = 2 * thread_processors();

	for (guint i = 0; i < n; i++)
		begin_any(&reads[i], dev, 0x28, memory + (gsize)i * 2 * BLOCK);
	CHECK(kept_for_long(MIN(n, CLAMP(workers, 4, 16))));
}

/* Many more commands than threads hang, and another volume is still served. */
static void test_all(const void *data)
{
	enum { READS = 16, N = READS + 12 * G_N_ELEMENTS(opcodes) };
	g_autofree Command *commands = g_new0(Command, N);
	g_autofree guint8 *memory = g_malloc0((gsize)N * 2 * BLOCK);
	guint8 block[BLOCK] = {1}, out[BLOCK];
	Dev dev, other;

	(void)data;
	REQUIRE(dev_open(&dev, "all"));
	REQUIRE(dev_open(&other, "other"));
	CHECK_INT(run_write(&dev, block, BLOCK, 0), STS_OK);
	CHECK_INT(run_write(&dev, block, BLOCK, BLOCK), STS_OK);
	disk_hang("all.vol");
	keep_all_threads(commands, READS, &dev, memory);
	for (guint i = READS; i < N; i++)
		begin_any(&commands[i], &dev, opcodes[i % G_N_ELEMENTS(opcodes)],
			  memory + (gsize)i * 2 * BLOCK);
	CHECK_INT(run_write(&other, block, BLOCK, 0), STS_OK);
	CHECK_INT(run_flush(&other), STS_OK);
	CHECK_INT(run_read(&other, out, BLOCK, 0), STS_OK);
	CHECK_MEM(out, block, BLOCK);
	for (guint i = 0; i < N; i++) {
		test_row("command %u, opcode %02x", i, commands[i].cdb[0]);
		CHECK_INT(answer_late(&commands[i]), STS_BUSY);
	}
	disk_hang(NULL);
	CHECK_INT(run_read(&dev, out, BLOCK, 0), STS_OK);
	CHECK_MEM(out, block, BLOCK);
	dev_remove(&other);
	dev_remove(&dev);
}

/* Removed while it hangs, and added again: the old one keeps the volume until the disk answers. */
static void test_remove(const void *data)
{
	guint8 block[BLOCK] = {1}, out[BLOCK];
	gint64 start;
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "removed"));
	CHECK_INT(run_write(&dev, block, BLOCK, 0), STS_OK);
	disk_hang("removed.vol");
	begin(&command, &dev, 0x2a, out, BLOCK, 0);
	CHECK(kept_for_long(1));
	CHECK_INT(answer_late(&command), STS_BUSY);
	start = g_get_monotonic_time();
	dev_remove(&dev);
	CHECK_WITHIN(start, 3);
	CHECK(log_has("default/removed: still being closed"));
	enabled_text = "1\n";
	REQUIRE(dev_open(&dev, "removed"));
	enabled_text = NULL;
	CHECK_INT(run_read(&dev, out, BLOCK, 0), STS_SENSE);
	disk_hang(NULL);
	CHECK(dev_becomes_ready(&dev));
	CHECK_INT(run_read(&dev, out, BLOCK, 0), STS_OK);
	CHECK_MEM(out, block, BLOCK);
	dev_remove(&dev);
}

/* The main thread does not wait. */
static void test_open(const void *data)
{
	guint8 block[BLOCK] = {1};
	gint64 start;
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "opening"));
	CHECK_INT(run_write(&dev, block, BLOCK, 0), STS_OK);
	dev_remove(&dev);
	disk_hang("opening.vol");
	start = g_get_monotonic_time();
	enabled_text = "1\n";
	REQUIRE(dev_open(&dev, "opening"));
	enabled_text = NULL;
	CHECK_WITHIN(start, 1);
	command_init(&command, &dev, 0x35, NULL, 0, 0);
	CHECK_SENSE(&command, command_send(&command), 0x2, 0x0401);
	WAIT_WITHIN(10, log_has("default/opening: not ready, the volume is still being opened"));
	CHECK(log_has("default/opening: not ready, the volume is still being opened"));
	disk_hang(NULL);
	CHECK(dev_becomes_ready(&dev));
	dev_remove(&dev);
}

/* The main thread waits long for the first volume of a pool, and hardly for the next ones. */
static void test_open_new(const void *data)
{
	gint64 start = g_get_monotonic_time();
	Dev dev;

	(void)data;
	if (!g_str_has_prefix(host_name, "1.5.4"))
		return; /* it takes ten seconds */
	REQUIRE(dev_open(&dev, "new"));
	dev_remove(&dev);
	disk_hang("new.vol");
	dev_init(&dev, "storageos/new", SIZE);
	CHECK_INT(dev_add(&dev), -EIO);
	CHECK(log_has("default/new is still being opened"));
	CHECK_WITHIN(start, 15);
	start = g_get_monotonic_time();
	CHECK_INT(dev_add(&dev), -EIO);
	CHECK_WITHIN(start, 5);
	disk_hang(NULL);
	enabled_text = "1\n";
	REQUIRE(dev_open(&dev, "new")); /* as soon as what was still being opened is closed */
	enabled_text = NULL;
	CHECK(dev_becomes_ready(&dev));
	dev_remove(&dev);
}

/* A target that is restored before the pool is mounted. */
static void test_pool_away(const void *data)
{
	g_autofree char *marker = fixture_path(POOL_MARKER, "");
	g_autofree char *away = fixture_path("marker", ".away");
	g_autofree char *none = fixture_path("none", ".vol");
	guint8 block[BLOCK] = {1}, out[BLOCK];
	Dev dev, other;

	(void)data;
	REQUIRE(dev_open(&dev, "mounted"));
	CHECK_INT(run_write(&dev, block, BLOCK, 0), STS_OK);
	dev_remove(&dev);
	CHECK(!rename(marker, away));
	REQUIRE(dev_open(&dev, "mounted"));
	REQUIRE(dev_open(&other, "none"));
	CHECK(log_has("default/none: not ready, waiting"));
	CHECK_INT(run_read(&dev, out, BLOCK, 0), STS_SENSE);
	CHECK(!rename(away, marker));
	CHECK(dev_becomes_ready(&dev));
	CHECK_INT(run_read(&dev, out, BLOCK, 0), STS_OK);
	CHECK_MEM(out, block, BLOCK);
	g_usleep(1500000); /* several attempts to open the other volume */
	CHECK_INT(run_read(&other, out, BLOCK, 0), STS_SENSE);
	CHECK(!g_file_test(none, G_FILE_TEST_EXISTS)); /* though its cfgstring says create */
	dev_remove(&other);
	dev_remove(&dev);
}

/* Every five seconds a write has the space looked at, which waits for the disk: after its answer,
 * and as long as that takes for nobody else. */
static void test_space(const void *data)
{
	guint8 block[BLOCK] = {1};
	gint asked;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "looked-at"));
	asked = g_atomic_int_get(&space_asked);
	g_atomic_int_set(&space_hangs, TRUE);
	CHECK_INT(run_write(&dev, block, BLOCK, 0), STS_OK);
	WAIT_WITHIN(5, g_atomic_int_get(&space_asked) != asked);
	CHECK_INT(g_atomic_int_get(&space_asked), asked + 1);
	g_atomic_int_set(&clock_skew, 6); /* it is time for the next look */
	for (guint i = 0; i < 40; i++)
		CHECK_INT(run_write(&dev, block, BLOCK, 0), STS_OK);
	CHECK_INT(g_atomic_int_get(&space_asked), asked + 1);
	g_atomic_int_set(&clock_skew, 0);
	g_atomic_int_set(&space_hangs, FALSE);
	dev_remove(&dev);
}

void hangs_tests(void)
{
	test_add("no answer waits for a look at the space", test_space, NULL);
	test_add("a read that was answered late leaves the memory alone", test_read, NULL);
	test_add("a write that was answered late changes nothing", test_write, NULL);
	test_add("the dispatch thread does not get stuck on a disk that hangs", test_write_awaited,
		 NULL);
	test_add("a few writes that were answered late change nothing", test_few_writes, NULL);
	test_add("every command is answered, and other volumes go on", test_all, NULL);
	test_add("a device whose disk hangs can be removed, and comes back", test_remove, NULL);
	test_add("a device whose disk hangs is opened aside", test_open, NULL);
	test_add("a new device whose disk hangs is refused", test_open_new, NULL);
	test_add("a pool that is not there yet is waited for", test_pool_away, NULL);
}
