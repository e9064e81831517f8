/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many devices that nobody uses.
 */
#include <stdio.h>
#include <string.h>

#include "common/base/units.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

#define DEVICES 50
#define OWN_THREADS 4 /* the plugin's for the whole process; one of them watches the pool */

static guint threads_now(void)
{
	g_autoptr(GDir) directory = g_dir_open("/proc/self/task", 0, NULL);
	guint n = 0;

	while (directory && g_dir_read_name(directory))
		n++;
	return n;
}

/* The process's own memory, thread stacks and the allocator's waste included; bytes. */
static guint64 memory_now(void)
{
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents("/proc/self/status", &text, NULL, NULL))
		return 0;
	line = strstr(text, "RssAnon:");
	return line ? g_ascii_strtoull(line + strlen("RssAnon:"), NULL, 10) * KIB : 0;
}

/* Enough for every buffer to be used. */
#define WRITES 300

static gboolean dev_use(Dev *dev)
{
	guint8 block[4096] = {1}, out[4096];

	for (guint i = 0; i < WRITES; i++)
		if (!CHECK_INT(run_write(dev, block, sizeof block, 2 * MIB + i * 32 * KIB), STS_OK))
			return FALSE;
	return CHECK_INT(run_write(dev, block, sizeof block, MIB), STS_OK) &&
	       CHECK_INT(run_flush(dev), STS_OK) &&
	       CHECK_INT(run_read(dev, out, sizeof out, MIB), STS_OK) &&
	       CHECK_MEM(out, block, sizeof out);
}

static gboolean devices_open(Dev *devs, guint n)
{
	for (guint i = 0; i < n; i++) {
		g_autofree char *name = g_strdup_printf("idle%u", i);

		if (!dev_open(&devs[i], name) || !dev_use(&devs[i]))
			return FALSE;
	}
	return TRUE;
}

/* The runner has a thread for each device, and the plugin another one. */
static void test_idle(const void *data)
{
	g_autofree Dev *devs = g_new0(Dev, DEVICES);
	guint threads, limit;
	guint64 memory, grown;

	(void)data;
	if (!g_str_has_prefix(host_name, "1.5.4"))
		return; /* it takes many seconds */
	threads = threads_now();
	limit = threads + 2 * DEVICES + OWN_THREADS;
	memory = memory_now();
	REQUIRE(devices_open(devs, DEVICES));
	WAIT_WITHIN(15, threads_now() <= limit);
	CHECK(threads_now() <= limit);
	grown = (memory_now() - memory) / DEVICES;
	test_note("%u threads and %" G_GUINT64_FORMAT " KiB for each of %u devices",
		  (threads_now() - threads) / DEVICES, grown / KIB, DEVICES);
	if (!test_is_instrumented())
		CHECK(grown <= 256 * KIB);
	for (guint i = 0; i < DEVICES; i++) {
		dev_use(&devs[i]);
		dev_remove(&devs[i]);
	}
	WAIT_WITHIN(5, threads_now() <= threads);
	CHECK(threads_now() <= threads);
}

void idle_tests(void)
{
	test_add("an idle device takes one thread, and 256 KiB", test_idle, NULL);
}
