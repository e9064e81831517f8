/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens around commands: completions, removal, recovery, the death of the runner.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/bytes.h"
#include "common/base/units.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

#define BLOCK 4096

/* ---- completions */

static gboolean comes(const Command *command, double seconds)
{
	WAIT_WITHIN(seconds, g_atomic_int_get(&command->completed));
	return g_atomic_int_get(&command->completed) != 0;
}

/* 1.3 alone would hold an answer back until the last command has been answered. */
static void test_answers(const void *data)
{
	const gint64 limit = test_time_limit(0.5); /* and the flush is not given up, after 20 s */
	guint8 block[BLOCK] = {1}, out[BLOCK];
	Command flush, read;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "answers"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	g_atomic_int_set(&fdatasync_delay, (gint)MIN(limit, 10 * G_USEC_PER_SEC));
	command_init(&flush, &dev, 0x35, NULL, 0, 0);
	command_begin(&flush);
	command_init(&read, &dev, 0x28, out, sizeof out, 0);
	command_set_range(&read, 0, sizeof out / 512);
	command_begin(&read);
	CHECK(comes(&read, 0.3));
	CHECK_INT(g_atomic_int_get(&flush.completed), 0);
	g_atomic_int_set(&fdatasync_delay, 0);
	CHECK_INT(command_wait(&flush), STS_OK);
	CHECK_MEM(out, block, sizeof out);
	dev_remove(&dev);
}

/* Commands that are refused at once, with errors for which the runner has no number. */
static void test_refused_at_once(const void *data)
{
	guint8 list[24] = {0, 22, 0, 16};
	Command command;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "atonce"));
	command_init(&command, &dev, 0x42, list, sizeof list, 0);
	command_set_range(&command, 0, sizeof list);
	command.cdb[1] = 0x01; /* to anchor it */
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x2400);
	command_init(&command, &dev, 0x81, NULL, 0, 0); /* nobody's */
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x2000);
	dev_remove(&dev);
}

/* The tunnel restores the operation code, whatever is under way. */
static void test_opcodes_kept(const void *data)
{
	enum { N = 64 };
	g_autofree Command *commands = g_new0(Command, N);
	g_autofree guint8 *blocks = g_malloc0(N * 512), *out = g_malloc(N * 512);
	guint8 list[24] = {0, 22, 0, 16};
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "opcodes"));
	put_be(list + 8, N, 8);
	put_be(list + 16, 1, 4);
	memset(blocks, 'o', N * 512);
	for (guint i = 0; i < N; i++) {
		static const guint8 opcodes[] = {0x35, 0x93, 0x42, 0x91};
		guint8 opcode = opcodes[i % 4];
		Command *c = &commands[i];

		if (opcode == 0x93)
			command_init(c, &dev, opcode, blocks, 512, 0);
		else
			command_init(c, &dev, opcode, list, opcode == 0x42 ? 24 : 0, 0);
		command_set_range(c, opcode == 0x42 ? 0 : i, opcode == 0x42 ? sizeof list : 1);
		command_begin(c);
	}
	for (guint i = 0; i < N; i++)
		CHECK_INT(command_wait(&commands[i]), STS_OK);
	CHECK_INT(run_read(&dev, out, N * 512, 0), STS_OK);
	for (guint i = 0; i < N; i++)
		CHECK_INT(out[i * 512], i % 4 == 1 ? 'o' : 0);
	dev_remove(&dev);
}

/* ---- removal and recovery */

static void test_remove_busy(const void *data)
{
	enum { N = 100 };
	g_autofree Command *commands = g_new0(Command, N);
	guint8 block[BLOCK] = {3};
	Dev dev;

	(void)data;
	for (guint round = 0; round < 5; round++) {
		REQUIRE(dev_open(&dev, "busy"));
		for (guint i = 0; i < N; i++) {
			command_init(&commands[i], &dev, i % 10 ? 0x2a : 0x35, block,
				     i % 10 ? sizeof block : 0, 0);
			command_set_range(&commands[i], i * 8, 8);
			command_begin(&commands[i]);
		}
		dev_remove(&dev);
		for (guint i = 0; i < N; i++)
			CHECK_INT(g_atomic_int_get(&commands[i].completed), 1);
	}
}

/* An UNMAP takes the data for its list. */
static int run_any(Dev *dev, guint8 opcode)
{
	guint8 list[512] = {0, 22, 0, 16, [19] = 1};

	switch (opcode) {
	case 0x42:
		return run_range(dev, opcode, list, 24, 0, 24);
	case 0x35:
		return run_flush(dev);
	default:
		return run_range(dev, opcode, list, sizeof list, 0, 1);
	}
}

static void test_recovery(const void *data)
{
	static const guint8 opcodes[] = {0x2a, 0x35, 0x42};
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "recovery"));
	g_atomic_int_set(&dev.recovering, TRUE);
	for (guint i = 0; i < G_N_ELEMENTS(opcodes); i++) {
		test_row("opcode %02x", opcodes[i]);
		CHECK_INT(run_any(&dev, opcodes[i]), STS_BUSY);
	}
	g_atomic_int_set(&dev.recovering, FALSE);
	for (guint i = 0; i < G_N_ELEMENTS(opcodes); i++) {
		test_row("opcode %02x, afterwards", opcodes[i]);
		CHECK_INT(run_any(&dev, opcodes[i]), STS_OK);
	}
	dev_remove(&dev);
}

/* From 1.4.1 on a command gets to the handler while the device is closed, in a recovery. */
static void test_closed(const void *data)
{
	Command command;
	void *ours;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "closed"));
	ours = dev.private_data;
	dev.private_data = NULL;
	command_init(&command, &dev, 0x35, NULL, 0, 0);
	CHECK_INT(command_send(&command), STS_BUSY);
	dev.private_data = ours;
	CHECK_INT(run_flush(&dev), STS_OK);
	dev_remove(&dev);
}

/* ---- the death of the runner */

#define ANSWERED 64
#define IN_FLIGHT 32

static void stamp(guint8 *block, guint i)
{
	memset(block, 0, BLOCK);
	g_snprintf((char *)block, BLOCK, "block %u", i);
}

static void begin_stamps(Dev *dev, Command *commands, guint8 *blocks, guint from, guint n)
{
	for (guint i = 0; i < n; i++) {
		stamp(blocks + (gsize)i * BLOCK, from + i);
		command_init(&commands[i], dev, 0x2a, blocks + (gsize)i * BLOCK, BLOCK, 0);
		command_set_range(&commands[i], (from + i) * 8, 8);
		command_begin(&commands[i]);
	}
}

static void die_at_work(void)
{
	Command *commands = g_new0(Command, ANSWERED);
	guint8 *blocks = g_malloc((gsize)ANSWERED * BLOCK);
	Dev dev;

	if (!dev_open(&dev, "dies"))
		_exit(1);
	begin_stamps(&dev, commands, blocks, 0, ANSWERED);
	for (guint i = 0; i < ANSWERED; i++)
		if (command_wait(&commands[i]) != STS_OK)
			_exit(1);
	begin_stamps(&dev, commands, blocks, ANSWERED, IN_FLIGHT);
	raise(SIGKILL);
}

/* The new runner resets the ring, and initiators send again what was in flight. */
static void check_after_death(void)
{
	g_autofree Command *commands = g_new0(Command, IN_FLIGHT);
	g_autofree guint8 *blocks = g_malloc((gsize)ANSWERED * BLOCK);
	g_autofree guint8 *out = g_malloc((gsize)(ANSWERED + IN_FLIGHT) * BLOCK);
	guint8 wanted[BLOCK], nothing[BLOCK] = {0};
	Dev dev;

	enabled_text = "1\n";
	REQUIRE(dev_open(&dev, "dies"));
	enabled_text = NULL;
	CHECK(dev_becomes_ready(&dev));
	CHECK_INT(run_read(&dev, out, (ANSWERED + IN_FLIGHT) * BLOCK, 0), STS_OK);
	for (guint i = 0; i < ANSWERED + IN_FLIGHT; i++) {
		const guint8 *block = out + (gsize)i * BLOCK;

		test_row("block %u", i);
		stamp(wanted, i);
		if (i < ANSWERED || memcmp(block, nothing, BLOCK) != 0)
			CHECK_MEM(block, wanted, BLOCK);
	}
	begin_stamps(&dev, commands, blocks, ANSWERED, IN_FLIGHT);
	for (guint i = 0; i < IN_FLIGHT; i++)
		CHECK_INT(command_wait(&commands[i]), STS_OK);
	CHECK_INT(run_read(&dev, out, IN_FLIGHT * BLOCK, ANSWERED * BLOCK), STS_OK);
	CHECK_MEM(out, blocks, IN_FLIGHT * BLOCK);
	dev_remove(&dev);
}

static void test_death(const void *data)
{
	int status = 0;
	pid_t child;

	(void)data;
	child = fixture_fork();
	if (!child)
		die_at_work();
	REQUIRE(child > 0 && waitpid(child, &status, 0) == child);
	REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	check_after_death();
}

void lifecycle_tests(void)
{
	test_add("an answer does not wait for other commands", test_answers, NULL);
	test_add("what is refused at once is told why", test_refused_at_once, NULL);
	test_add("commands that are carried out later are the ones that came", test_opcodes_kept,
		 NULL);
	test_add("a device may be removed at work", test_remove_busy, NULL);
	test_add("a recovery makes commands wait, and keeps none", test_recovery, NULL);
	test_add("a command that meets a closed device has to wait", test_closed, NULL);
	test_add("what was answered outlives the runner", test_death, NULL);
}
