/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plugin-outage PLUGIN CFGSTRING SIZE OSD GO-ON: the plugin in a process that looks like
 * tcmu-runner, with a device on an image of Ceph, whose one OSD (a process ID) is stopped for
 * longer than 40 s, until the command GO-ON lets it go on.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/units.h"
#include "tests/harness.h"
#include "tests/runner-host/host.h"

#define BLOCK 4096u
#define WRITES 40 /* more than there are threads to carry them out */

static const char *cfgstring;
static guint64 size;
static pid_t osd;
static const char *go_on; /* a command that lets it go on */

static void begin_write(Command *command, Dev *dev, guint8 *block, guint at, guint8 value)
{
	memset(block, value, BLOCK);
	command_init(command, dev, 0x2a, block, BLOCK, 0);
	command_set_range(command, (guint64)at * BLOCK / 512, BLOCK / 512);
	command_begin(command);
}

/* As an initiator does that is told BUSY. */
static int write_at_last(Dev *dev, guint8 *block, guint at)
{
	gint64 end = g_get_monotonic_time() + test_time_limit(60);
	int status;

	do {
		status = run_write(dev, block, BLOCK, (guint64)at * BLOCK);
		g_usleep(100000);
	} while (status == STS_BUSY && g_get_monotonic_time() < end);
	return status;
}

static void check_values(Dev *dev, guint at, guint8 one, guint8 other)
{
	guint8 block[BLOCK];

	test_row("block %u", at);
	CHECK_INT(run_read(dev, block, BLOCK, (guint64)at * BLOCK), STS_OK);
	CHECK(block[0] == one || block[0] == other);
	for (guint i = 1; i < BLOCK; i++)
		CHECK_UINT(block[i], block[0]);
	test_row(NULL);
}

static void test_outage(const void *data)
{
	static guint8 blocks[WRITES][BLOCK], newer[BLOCK];
	static Command commands[WRITES], again;
	Dev dev = {.num_lbas = size / 512, .block_size = 512, .max_xfer_len = 128};
	gint64 began;

	(void)data;
	g_strlcpy(dev.cfgstring, cfgstring, sizeof dev.cfgstring);
	REQUIRE(CHECK_INT(dev_add(&dev), 0));
	for (guint i = 0; i < WRITES; i++) {
		memset(blocks[i], 1, BLOCK);
		CHECK_INT(run_write(&dev, blocks[i], BLOCK, (guint64)i * BLOCK), STS_OK);
	}
	kill(osd, SIGSTOP);
	began = g_get_monotonic_time();
	for (guint i = 0; i < WRITES; i++)
		begin_write(&commands[i], &dev, blocks[i], i, 2);
	for (guint i = 0; i < WRITES; i++)
		CHECK_INT(command_wait(&commands[i]), STS_BUSY);
	CHECK(g_get_monotonic_time() - began > 19 * G_USEC_PER_SEC);
	begin_write(&again, &dev, newer, 0, 3); /* behind the first, which is still under way */
	CHECK_INT(command_wait(&again), STS_BUSY);
	CHECK_INT(system(go_on), 0);
	memset(newer, 4, BLOCK);
	CHECK_INT(write_at_last(&dev, newer, 0), STS_OK);
	check_values(&dev, 0, 4, 4);
	g_usleep(3 * G_USEC_PER_SEC); /* what arrives late would have arrived */
	check_values(&dev, 0, 4, 4);
	for (guint i = 1; i < WRITES; i++)
		check_values(&dev, i, 1, 2);
	CHECK_INT(write_at_last(&dev, newer, 1), STS_OK);
	dev_remove(&dev);
}

int main(int argc, char **argv)
{
	if (argc < 6 || !host_load(argv[1]) || !size_parse(argv[3], &size)) {
		printf("Bail out! usage: plugin-outage PLUGIN CFGSTRING SIZE OSD GO-ON\n");
		return 1;
	}
	cfgstring = argv[2];
	osd = atoi(argv[4]);
	go_on = argv[5];
	test_add("requests are answered BUSY while Ceph is silent, and none is overtaken by an "
		 "older",
		 test_outage, NULL);
	return test_run(1, argv);
}
