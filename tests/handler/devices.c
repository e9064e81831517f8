/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registration, opening and closing, and what a guest in somebody else's process must not do.
 */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "common/base/units.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

/* ---- registration and devices */

static void test_registered(const void *data)
{
	(void)data;
	CHECK(host_handler_is_complete());
}

static void test_check_config(const void *data)
{
	char *reason = NULL;

	(void)data;
	CHECK(host_check_config("storageos/default/none;create", &reason));
	CHECK(host_check_config("storageos//dev/nothing", &reason));
	CHECK(!reason);
	CHECK(!host_check_config("storageos/db;bad", &reason));
	CHECK_CONTAINS(reason, "unknown key 'bad'");
	free(reason);
	CHECK(!host_check_config("storageos/nowhere/none;create", &reason));
	CHECK_CONTAINS(reason, "no pool 'nowhere' in ");
	CHECK_CONTAINS(reason, "storageos pool create nowhere DIRECTORY");
	free(reason);
}

/* `shift` bytes, and characters of four. */
static char *long_name(const char *start, guint shift, guint characters)
{
	GString *name = g_string_new(start);

	while (shift--)
		g_string_append_c(name, 'x');
	while (characters--)
		g_string_append(name, "\U0001f4be");
	return g_string_free(name, FALSE);
}

/* As D-Bus and whoever reads the log want it, wherever a text is cut. */
static void test_utf8(const void *data)
{
	(void)data;
	for (guint shift = 0; shift < 4; shift++) {
		g_autofree char *name = long_name("storageos/", shift, 50);
		g_autofree char *device = long_name("storageos//dev/", shift, 40);
		g_autofree char *log = NULL;
		char *reason = NULL;
		Dev dev;

		test_row("%u", shift);
		CHECK(!host_check_config(name, &reason));
		CHECK(reason && g_utf8_validate(reason, -1, NULL));
		CHECK(reason && !strstr(reason, "\\x"));
		free(reason);
		dev_init(&dev, device, SIZE);
		CHECK(dev_add(&dev) < 0);
		log = host_log_text();
		CHECK(g_utf8_validate(log, -1, NULL));
	}
}

static void test_not_utf8(const void *data)
{
	char *reason = NULL;

	(void)data;
	CHECK(!host_check_config("storageos/d\xff", &reason));
	CHECK(reason && g_utf8_validate(reason, -1, NULL));
	CHECK_CONTAINS(reason, "d\\xff");
	free(reason);
}

static void test_open_refuses(const void *data)
{
	Dev dev;

	(void)data;
	dev_init(&dev, "storageos/none", SIZE);
	CHECK_INT(dev_add(&dev), -ENOENT);
	CHECK(log_has("none"));
	dev_init(&dev, "storageos/nopool/none;create", SIZE);
	CHECK_INT(dev_add(&dev), -EINVAL); /* by check_config */
	dev_init(&dev, "storageos/tiny;create", 512);
	CHECK_INT(dev_add(&dev), -EINVAL);
	CHECK(log_has("create volume 'default/tiny': tiny: size 512 is out of range"));
	dev_init(&dev, "storageos/named.vol;create", SIZE);
	CHECK_INT(dev_add(&dev), -EINVAL);
	CHECK(log_has("(its file name does): use named"));
	dev_init(&dev, "storageos/odd;create", SIZE);
	dev.block_size = 520;
	CHECK_INT(dev_add(&dev), -EINVAL);
	CHECK(!dev.private_data);
}

static void test_open_compares(const void *data)
{
	Dev dev, other;

	(void)data;
	REQUIRE(dev_open(&dev, "sized"));
	dev_init(&other, "storageos/sized", SIZE);
	CHECK_INT(dev_add(&other), -EBUSY);
	dev_remove(&dev);
	dev_init(&dev, "storageos/sized", 2 * SIZE);
	CHECK_INT(dev_add(&dev), -EINVAL);
	CHECK(log_has("has 134217728 bytes"));
	CHECK(log_has("has 67108864"));
	dev_init(&dev, "storageos/sized", SIZE);
	dev.block_size = 4096;
	dev.num_lbas = SIZE / 4096;
	CHECK_INT(dev_add(&dev), -EINVAL);
	CHECK(log_has("blocks of 4096 bytes"));
	dev_init(&dev, "storageos/sized", SIZE);
	CHECK_INT(dev_add(&dev), 0);
	dev_remove(&dev);
}

static gboolean copy_volume(const char *from, const char *to)
{
	g_autofree char *source = fixture_path(from, ".vol"), *copy = fixture_path(to, ".vol");
	g_autofree char *content = NULL;
	gsize length;

	return CHECK(g_file_get_contents(source, &content, &length, NULL)) &&
	       CHECK(g_file_set_contents(copy, content, (gssize)length, NULL));
}

/* A device that was opened all the same can be removed. */
static void check_refused(Dev *dev, int error)
{
	int result = dev_add(dev);

	CHECK_INT(result, error);
	if (!result)
		dev_remove(dev);
}

/* Initiators take two disks with one serial number for one disk. */
static void test_copy(const void *data)
{
	Dev dev, copy;

	(void)data;
	REQUIRE(dev_open(&dev, "first"));
	dev_remove(&dev);
	REQUIRE(copy_volume("first", "second"));
	REQUIRE(dev_open(&dev, "first"));
	dev_init(&copy, "storageos/second", SIZE);
	check_refused(&copy, -EBUSY);
	CHECK(log_has(
		"open volume 'default/second': it has the UUID of default/first, which process"));
	CHECK(log_has("uuid=new)"));
	dev_remove(&dev);
	REQUIRE(CHECK_INT(dev_add(&copy), 0));
	dev_init(&dev, "storageos/first", SIZE);
	check_refused(&dev, -EBUSY);
	dev_remove(&copy);
}

/* An initiator that gets an empty disk in place of its own has lost its data. */
static void test_made_once(const void *data)
{
	g_autofree char *path = fixture_path("once", ".vol"), *away = fixture_path("once", ".away");
	guint8 block[512] = {1}, out[512];
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "once"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	dev_remove(&dev);
	CHECK(!rename(path, away));
	dev_init(&dev, "storageos/once;create", SIZE);
	check_refused(&dev, -ENOENT);
	CHECK(log_has("create volume 'default/once': it was made on "));
	CHECK(log_has(";create makes a volume once"));
	CHECK(access(path, F_OK));
	CHECK(!rename(away, path));
	REQUIRE(dev_open(&dev, "once"));
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_MEM(out, block, sizeof out);
	dev_remove(&dev);
}

/* What 1.3 sets after open(), and cannot be set then, and what its candidates do not have. */
static gboolean is_1_3(void)
{
	return g_str_has_prefix(host_name, "1.3.0");
}

static void test_limits(const void *data)
{
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "limits"));
	if (!is_1_3()) {
		CHECK_UINT(dev.unmap_gran_align, 8); /* never 0: the runner divides by it */
		CHECK_UINT(dev.opt_unmap_gran, 8);
		CHECK(dev.solid_state);
	}
	CHECK(!dev.split_unmaps);
	CHECK(dev.write_cache);
	CHECK_UINT(dev.max_xfer_len, 2048);
	dev_remove(&dev);
	dev_init(&dev, "storageos/limits", SIZE);
	dev.max_xfer_len = 64; /* what somebody asked for stays */
	CHECK_INT(dev_add(&dev), 0);
	CHECK_UINT(dev.max_xfer_len, 64);
	dev_remove(&dev);
}

static void test_large_blocks(const void *data)
{
	Dev dev;

	(void)data;
	dev_init(&dev, "storageos/large;create", SIZE);
	dev.block_size = 4096;
	dev.num_lbas = SIZE / 4096;
	CHECK_INT(dev_add(&dev), 0);
	if (!is_1_3())
		CHECK_UINT(dev.unmap_gran_align, 1);
	CHECK_UINT(dev.max_xfer_len, 256);
	dev_remove(&dev);
}

static void test_reconfig(const void *data)
{
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "reconfig"));
	CHECK_INT(dev_reconfig(&dev, 0, "storageos/default/reconfig", 0), 0);
	CHECK_INT(dev_reconfig(&dev, 0, "storageos/other", 0), -EOPNOTSUPP);
	CHECK_INT(dev_reconfig(&dev, 1, NULL, SIZE), 0);
	CHECK_INT(dev_reconfig(&dev, 77, NULL, 0), -EOPNOTSUPP);
	CHECK_INT(dev_reconfig(&dev, 2, NULL, 0), 0);
	CHECK(dev.write_cache); /* restoreconfig sends this for every device */
	dev_remove(&dev);
}

static gboolean says_write_cache(Dev *dev)
{
	guint8 pages[64];
	Command command;

	command_init(&command, dev, 0x1a, pages, sizeof pages, 0);
	command.cdb[1] = 0x08;
	command.cdb[2] = 0x08;
	command.cdb[4] = sizeof pages;
	CHECK_INT(command_send(&command), STS_OK);
	return (pages[6] & 0x04) != 0;
}

/* The write cache cannot be turned off: for a device in use that is an error, which is logged. */
static void test_write_cache(const void *data)
{
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "cached"));
	CHECK_INT(dev_reconfig(&dev, 2, NULL, 0), 0); /* as restoreconfig does, before anybody */
	CHECK(log_has("cached;create: the write cache is on whatever"));
	CHECK(says_write_cache(&dev));
	CHECK_INT(dev_reconfig(&dev, 2, NULL, 0), -EOPNOTSUPP);
	CHECK(log_has("cached;create: the write cache stays on"));
	CHECK_INT(dev_reconfig(&dev, 2, NULL, 1), 0);
	CHECK(says_write_cache(&dev));
	dev_remove(&dev);
	dev_init(&dev, "storageos/cached", SIZE);
	enabled_text = "1\n"; /* served before by another runner */
	REQUIRE(dev_add(&dev) == 0);
	CHECK_INT(dev_reconfig(&dev, 2, NULL, 0), -EOPNOTSUPP);
	enabled_text = NULL;
	dev_remove(&dev);
}

/* ---- threads that write pages back */

static guint64 thread_flags(const char *id)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%s/stat", id);
	g_autofree char *text = NULL;
	g_auto(GStrv) fields = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	fields = g_strsplit(strrchr(text, ')') + 2, " ", 8); /* the third is first */
	return fields[6] ? g_ascii_strtoull(fields[6], NULL, 10) : 0;
}

/* The flag that PR_SET_IO_FLUSHER sets; 0 if it cannot be set. */
static guint64 flusher_flags(void)
{
	g_autofree char *id = g_strdup_printf("%d", getpid());
	guint64 before = thread_flags(id), flags;

	if (prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0))
		return 0;
	flags = thread_flags(id) & ~before;
	prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	return flags;
}

/* Only the device's threads are I/O flushers: the process is somebody else's. */
static void test_flushers(const void *data)
{
	guint64 flags = flusher_flags();
	guint8 block[512] = {1};
	g_autoptr(GDir) tasks = NULL;
	gboolean limits = FALSE;
	guint ours = 0;
	const char *id;
	Dev dev;

	(void)data;
	if (!flags) {
		test_skip("the kernel has no such threads, or not for us");
		return;
	}
	REQUIRE(dev_open(&dev, "flushers"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	fixture_set("flushers", "write_iops", "1000", NULL); /* starts a thread of all volumes */
	tasks = g_dir_open("/proc/self/task", 0, NULL);
	while ((id = g_dir_read_name(tasks))) {
		g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", id);
		g_autofree char *name = NULL;
		gboolean device;

		if (!g_file_get_contents(path, &name, NULL, NULL))
			continue;
		g_strchomp(name);
		device = g_str_has_prefix(name, "storageos-") || !strcmp(name, HOST_THREAD);
		test_row("%s", name);
		CHECK_INT((thread_flags(id) & flags) == flags, device);
		ours += device;
		limits |= !strcmp(name, "storageos-limit");
	}
	CHECK(ours >= 6); /* dispatch, workers, flushes, checkpoints, what is late */
	CHECK(limits);
	dev_remove(&dev);
}

/* ---- a restarted runner */

static void test_waits(const void *data)
{
	g_autofree char *path = fixture_path("waits", ".vol");
	g_autofree char *away = fixture_path("waits", ".away");
	Dev dev;
	guint8 block[512] = {1}, out[512];
	Command command;

	(void)data;
	REQUIRE(dev_open(&dev, "waits"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_OK);
	dev_remove(&dev);
	CHECK(!rename(path, away));
	enabled_text = "1\n";
	REQUIRE(dev_open(&dev, "waits")); /* with ;create: which makes no new one now */
	enabled_text = NULL;
	WAIT_WITHIN(10, log_has("waiting for the volume"));
	CHECK(log_has("waiting for the volume"));
	command_init(&command, &dev, 0x28, out, sizeof out, 0);
	CHECK_SENSE(&command, command_send(&command), 0x2, 0x0401);
	CHECK_INT(run_unmap(&dev, 0, 512), STS_SENSE);
	CHECK_INT(run_flush(&dev), STS_SENSE);
	CHECK(!rename(away, path));
	CHECK(dev_becomes_ready(&dev));
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_OK);
	CHECK_MEM(out, block, sizeof out);
	dev_remove(&dev);
}

/* Whether a read ends with this sense key, code and qualifier. */
static gboolean reads_end_with(Dev *dev, guint sense)
{
	guint8 block[512];
	Command command;

	command_init(&command, dev, 0x28, block, sizeof block, 0);
	return command_send(&command) == STS_SENSE && command_sense(&command) == sense;
}

static void test_gives_up(const void *data)
{
	guint8 block[512] = {1};
	Command command;
	Dev dev;

	(void)data;
	enabled_text = "1\n";
	REQUIRE(dev_open(&dev, "never"));
	dev_remove(&dev); /* while it waits */
	dev_init(&dev, "storageos/sized", 2 * SIZE);
	CHECK_INT(dev_add(&dev), 0); /* waiting would not help; but initiators want an answer */
	WAIT_WITHIN(10, reads_end_with(&dev, 0x20403)); /* the log may have it of the one before */
	CHECK(reads_end_with(&dev, 0x20403));
	CHECK(log_has("not served until"));
	CHECK_INT(run_write(&dev, block, sizeof block, 0), STS_SENSE);
	CHECK_INT(run_unmap(&dev, 0, 512), STS_SENSE);
	CHECK_INT(run_flush(&dev), STS_SENSE);
	command_init(&command, &dev, 0x12, block, sizeof block, 0);
	CHECK_INT(command_send(&command), STS_OK);
	dev_remove(&dev);
	enabled_text = "0\n"; /* new: no waiting */
	dev_init(&dev, "storageos/never", SIZE);
	CHECK_INT(dev_add(&dev), -ENOENT);
	enabled_text = NULL;
}

/* ---- a process that belongs to others */

/* The threads of this process, as "tid", in a set. */
static GHashTable *threads_now(void)
{
	GHashTable *threads = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
	const char *task;

	while (tasks && (task = g_dir_read_name(tasks)))
		g_hash_table_add(threads, g_strdup(task));
	return threads;
}

/* SIGHUP, SIGINT, SIGUSR1 and SIGTERM among them. */
static void check_blocks_signals(const char *task)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%s/status", task);
	g_autofree char *text = NULL;
	const char *blocked;

	REQUIRE(g_file_get_contents(path, &text, NULL, NULL));
	test_row("thread %.*s", (int)strcspn(text + 6, "\n"), text + 6);
	blocked = strstr(text, "SigBlk:\t");
	REQUIRE(blocked != NULL);
	CHECK_UINT(g_ascii_strtoull(blocked + 8, NULL, 16) & 0x4203, 0x4203);
}

static gboolean is_hosts_own(const char *task)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", task);
	g_autofree char *name = NULL;

	return g_file_get_contents(path, &name, NULL, NULL) && g_str_has_prefix(name, HOST_THREAD);
}

static void test_signals(const void *data)
{
	g_autoptr(GHashTable) before = threads_now(), after = NULL;
	GHashTableIter iter;
	gpointer task;
	Dev dev, waiting;
	guint ours = 0;

	(void)data;
	REQUIRE(dev_open(&dev, "signals"));
	enabled_text = "1\n";
	REQUIRE(dev_open(&waiting, "never"));
	enabled_text = NULL;
	after = threads_now();
	g_hash_table_iter_init(&iter, after);
	while (g_hash_table_iter_next(&iter, &task, NULL)) {
		if (g_hash_table_contains(before, task) || is_hosts_own(task))
			continue;
		ours++;
		check_blocks_signals(task);
	}
	CHECK(ours >= 2); /* for checkpoints and for opening; those of the process may be older */
	dev_remove(&waiting);
	dev_remove(&dev);
}

/* The runner cancels the thread of a device that is removed. */
static void *submit_cancelled(void *data)
{
	gboolean queued;

	pthread_cancel(pthread_self());
	g_atomic_int_set(&clock_cancels, TRUE);
	queued = command_dispatch(data);
	g_atomic_int_set(&clock_cancels, FALSE);
	return queued ? data : NULL;
}

static void test_cancel(const void *data)
{
	Dev dev;
	guint8 block[512] = {1};
	Command command;
	pthread_t thread;
	void *result = NULL;

	(void)data;
	REQUIRE(dev_open(&dev, "cancel"));
	command_init(&command, &dev, 0x2a, block, sizeof block, 0);
	command_set_range(&command, 0, 1);
	REQUIRE(!pthread_create(&thread, NULL, submit_cancelled, &command));
	pthread_join(thread, &result);
	g_atomic_int_set(&clock_cancels, FALSE);
	CHECK(result == &command); /* it ended after the callback and not within */
	CHECK_INT(command_wait(&command), STS_OK);
	dev_remove(&dev);
}

/* What malloc() has given out, of all threads. */
static gsize memory_used(void)
{
	return mallinfo2().uordblks;
}

static void open_and_close(Dev *devs, guint n)
{
	for (guint i = 0; i < n; i++) {
		g_autofree char *name = g_strdup_printf("many%u", i);

		REQUIRE(dev_open(&devs[i], name));
	}
	for (guint i = 0; i < n; i++)
		dev_remove(&devs[i]);
}

static void test_nothing_kept(const void *data)
{
	enum { N = 20 };
	static Dev devs[N];
	gsize before;

	(void)data;
	if (test_is_instrumented()) {
		test_skip("malloc() is another one in this build");
		return;
	}
	open_and_close(devs, N); /* what is made once is made now */
	before = memory_used();
	open_and_close(devs, N);
	CHECK(memory_used() < before + N * KIB);
}

static void test_long_lines(const void *data)
{
	g_autofree char *name = g_strnfill(200, 'y');
	g_autofree char *cfgstring = g_strdup_printf("storageos/%s;create;tail-of-it", name);
	g_autofree char *log = NULL;
	Dev dev;

	(void)data;
	dev_init(&dev, cfgstring, SIZE);
	CHECK_INT(dev_add(&dev), -EINVAL);
	log = host_log_text();
	CHECK(g_str_has_suffix(log, "\n")); /* the runner cuts a line that is too long */
}

void devices_tests(void)
{
	test_add("a device's threads write pages back, and nobody else's do", test_flushers, NULL);
	test_add("the write cache is not said to be off", test_write_cache, NULL);
	test_add("what is refused and logged is UTF-8, wherever it is cut", test_utf8, NULL);
	test_add("and where it was none", test_not_utf8, NULL);
	test_add("the structure is filled where the runner looks", test_registered, NULL);
	test_add("check_config looks at syntax and configuration", test_check_config, NULL);
	test_add("open refuses what is not there", test_open_refuses, NULL);
	test_add("open refuses another size, block size, process", test_open_compares, NULL);
	test_add("of a volume and its copy one is open", test_copy, NULL);
	test_add(";create makes a volume once", test_made_once, NULL);
	test_add("open sets the limits", test_limits, NULL);
	test_add("a device may have blocks of 4096 bytes", test_large_blocks, NULL);
	test_add("reconfig answers what it cannot do", test_reconfig, NULL);
	test_add("a device that was there before waits for its volume", test_waits, NULL);
	test_add("it waits where that can help", test_gives_up, NULL);
	test_add("our threads take no signals", test_signals, NULL);
	test_add("a thread that is cancelled ends outside of callbacks", test_cancel, NULL);
	test_add("devices that went keep no memory", test_nothing_kept, NULL);
	test_add("long lines reach the log whole", test_long_lines, NULL);
}
