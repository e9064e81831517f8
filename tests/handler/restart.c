/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A runner that starts again, with many devices that the one before served.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/host.h"
#include "common/base/units.h"
#include "common/engine/tenure.h"
#include "common/engine/volume.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"
#include "tests/loop-device.h"
#include "tests/runner-host/disk.h"

#define DEVICES 200
#define BLOCK 4096

static void stamp(guint8 *block, guint i)
{
	memset(block, 0, BLOCK);
	g_snprintf((char *)block, BLOCK, "device %u", i);
}

/* Dies with a journal to replay in each volume. */
static void serve_and_die(guint n)
{
	Dev *devs = g_new0(Dev, n);
	guint8 block[BLOCK];

	for (guint i = 0; i < n; i++) {
		g_autofree char *name = g_strdup_printf("again%u", i);

		stamp(block, i);
		if (!dev_open(&devs[i], name) || run_write(&devs[i], block, BLOCK, MIB) != STS_OK)
			_exit(1);
	}
	raise(SIGKILL);
}

static gboolean runner_dies(guint n)
{
	int status = 0;
	pid_t child = fixture_fork();

	if (!child)
		serve_and_die(n);
	return CHECK(child > 0 && waitpid(child, &status, 0) == child) &&
	       CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static guint devices(void)
{
	const char *wanted = g_getenv("STORAGEOS_VOLUMES");

	return wanted ? (guint)g_ascii_strtoull(wanted, NULL, 10) : DEVICES;
}

static guint add_all(Dev *devs, guint n)
{
	guint added = 0;

	enabled_text = "1\n";
	while (added < n) {
		g_autofree char *name = g_strdup_printf("again%u", added);

		if (!dev_open(&devs[added], name))
			break;
		added++;
	}
	enabled_text = NULL;
	return added;
}

/* A thousand in ten seconds, and the runner's main thread waits for none. */
static void test_many(const void *data)
{
	const guint n = devices();
	g_autofree Dev *devs = g_new0(Dev, n);
	guint8 block[BLOCK], out[BLOCK];
	TestTime begun;
	guint added;

	(void)data;
	if (!g_str_has_prefix(host_name, "1.5.4"))
		return; /* it takes many seconds */
	REQUIRE(runner_dies(n));
	begun = test_now();
	added = add_all(devs, n);
	test_note("%u devices are added after %.2f s", added,
		  (double)test_since(begun).clock / G_USEC_PER_SEC);
	if (!test_is_instrumented())
		CHECK_QUICK(begun, 0.002 * n);
	for (guint i = 0; i < added; i++)
		CHECK(dev_becomes_ready(&devs[i]));
	test_note("their volumes are open after %.2f s",
		  (double)test_since(begun).clock / G_USEC_PER_SEC);
	if (!test_is_instrumented())
		CHECK_QUICK(begun, 0.01 * n);
	for (guint i = 0; i < added; i++) {
		test_row("device %u", i);
		stamp(block, i);
		CHECK_INT(run_read(&devs[i], out, BLOCK, MIB), STS_OK);
		CHECK_MEM(out, block, BLOCK);
	}
	for (guint i = 0; i < added; i++)
		dev_remove(&devs[i]);
}

/* They can also go again at once. */
static void test_removed(const void *data)
{
	enum { N = 20 };
	g_autofree Dev *devs = g_new0(Dev, N);
	guint added;

	(void)data;
	for (guint i = 0; i < N; i++) {
		g_autofree char *name = g_strdup_printf("again%u", i);

		REQUIRE(dev_open(&devs[i], name));
		dev_remove(&devs[i]);
	}
	for (guint round = 0; round < 3; round++) {
		added = add_all(devs, N);
		CHECK_UINT(added, N);
		for (guint i = 0; i < added; i++)
			dev_remove(&devs[i]);
	}
}

/* As another machine does that dies with the volume open. */
static gboolean die_elsewhere(const char *device)
{
	static const Host elsewhere = {{9}, {9}, 9, "elsewhere"};
	const VolumeParameters parameters = {.size = SIZE};
	Backing *backing = backing_open(device, 0, NULL);
	Volume *volume;

	if (!CHECK(backing))
		return FALSE;
	tenure_set_times(2000, 50); /* the plugin's own are as ever */
	host_pretend(&elsewhere);
	CHECK(volume_format(backing, &parameters, NULL));
	volume = volume_open(backing, "elsewhere", 0, NULL);
	host_pretend(NULL);
	if (!CHECK(volume))
		return FALSE;
	volume_abandon(volume);
	return TRUE;
}

/* A target that is restored after a failover: its disks were not given back. */
static void test_failover(const void *data)
{
	g_autofree char *path = test_path("shared"), *device = NULL, *cfgstring = NULL;
	FILE *file = fopen(path, "we");
	guint8 out[BLOCK];
	TestTime begun;
	Command command;
	Dev dev;
	int fd;

	(void)data;
	REQUIRE(file && !ftruncate(fileno(file), 4 * SIZE) && !fclose(file));
	fd = loop_device_new(path, &device);
	if (fd < 0) {
		test_skip("no loop device can be made");
		return;
	}
	REQUIRE(die_elsewhere(device));
	cfgstring = g_strconcat("storageos/", device, NULL);
	dev_init(&dev, cfgstring, SIZE);
	begun = test_now();
	REQUIRE(dev_add(&dev) == 0);
	CHECK_QUICK(begun, 1);
	command_init(&command, &dev, 0x00, NULL, 0, 0);
	CHECK_SENSE(&command, command_send(&command), 0x2, 0x0401);
	CHECK(log_has("was not given back by elsewhere (process 9), which may have it in use"));
	CHECK(dev_becomes_ready(&dev));
	CHECK(test_since(begun).clock >= 4 * G_USEC_PER_SEC);
	CHECK_INT(run_read(&dev, out, BLOCK, 0), STS_OK);
	dev_remove(&dev);
	close(fd);
}

void restart_tests(void)
{
	test_add("devices that were served before arrive by themselves", test_many, NULL);
	test_add("a disk that another machine did not give back arrives later", test_failover,
		 NULL);
	test_add("a device can be removed while its volume arrives", test_removed, NULL);
}
