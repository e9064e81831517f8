/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device whose size changes: by its attribute, by its volume, and by a saved target.
 */
#include <errno.h>
#include <stdio.h>

#include "common/base/bytes.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"
#include "tests/runner-host/system.h"

#define BLOCK 4096
#define ATTRIBUTE_SIZE 1 /* a kind of reconfiguration */
#define CAPACITY_CHANGED 0x2a09
#define NOT_READY 0x20401 /* becoming ready */

/* The size that READ CAPACITY(16) reports, bytes. */
static guint64 capacity(Dev *dev)
{
	guint8 data[32];
	Command command;

	command_init(&command, dev, 0x9e, data, sizeof data, 0);
	command.cdb[1] = 0x10;
	put_be(command.cdb + 10, sizeof data, 4);
	if (!CHECK_INT(command_send(&command), STS_OK))
		return 0;
	return (get_be(data, 8) + 1) * get_be(data + 8, 4);
}

/* Exactly one command gets the unit attention. */
static void check_told(Dev *dev, gboolean told)
{
	Command command;

	command_init(&command, dev, 0x00, NULL, 0, 0);
	if (told)
		CHECK_SENSE(&command, command_send(&command), 0x6, CAPACITY_CHANGED);
	CHECK_INT(command_send(&command), STS_OK);
}

/* The unit ends at `size` for commands that the runner checks and for those that we check. */
static void check_end(Dev *dev, guint64 size)
{
	guint8 block[BLOCK] = {7}, out[BLOCK];
	Command command;

	CHECK_UINT(capacity(dev), size);
	CHECK_INT(run_write(dev, block, sizeof block, size - BLOCK), STS_OK);
	CHECK_INT(run_read(dev, out, sizeof out, size - BLOCK), STS_OK);
	CHECK_MEM(out, block, sizeof out);
	CHECK_INT(run_unmap(dev, size - BLOCK, BLOCK), STS_OK);
	command_init(&command, dev, 0x28, out, sizeof out, 0);
	command_set_range(&command, size / 512, BLOCK / 512);
	CHECK_SENSE(&command, command_send(&command), 0x5, 0x2100);
}

static void test_attribute(const void *data)
{
	guint8 block[BLOCK] = {1}, out[BLOCK];
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "grows"));
	CHECK_INT(run_write(&dev, block, sizeof block, SIZE - BLOCK), STS_OK);
	for (guint64 size = SIZE + 512; size < SIZE << 14; size *= 5) {
		test_row("%" G_GUINT64_FORMAT " bytes", size);
		size &= ~(guint64)511;
		CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, size), 0);
		check_told(&dev, TRUE);
		check_end(&dev, size);
	}
	test_row(NULL);
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, SIZE << 14), 0);
	CHECK_INT(run_read(&dev, out, sizeof out, 0), STS_SENSE); /* it is told so, too */
	CHECK_INT(run_read(&dev, out, sizeof out, SIZE - BLOCK), STS_OK);
	CHECK_MEM(out, block, sizeof out);
	dev_remove(&dev);
	dev_init(&dev, "storageos/grows", SIZE << 14);
	CHECK_INT(dev_add(&dev), 0);
	check_end(&dev, SIZE << 14);
	check_told(&dev, FALSE);
	dev_remove(&dev);
}

static void test_refused(const void *data)
{
	static const struct {
		guint64 size;
		int answer;
		const char *logged;
	} rows[] = {
		{SIZE / 2, -EBUSY, "to become smaller it has to be detached"},
		{SIZE + 100, -EINVAL, "no multiple of the block size"},
		{0, -EINVAL, "out of range"},
		{G_MAXUINT64 - 511, -EINVAL, "out of range"},
	};
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "refuses"));
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		test_row("%s", rows[i].logged);
		CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, rows[i].size), rows[i].answer);
		CHECK(log_has(rows[i].logged));
		check_told(&dev, FALSE);
		check_end(&dev, SIZE);
	}
	dev_remove(&dev);
}

/* ---- under load */

typedef struct {
	Dev *dev;
	guint number;
	gint *stop;
	guint writes, told;
} DeviceLoad;

static gpointer load_main(gpointer data)
{
	DeviceLoad *load = data;
	guint8 block[BLOCK], out[BLOCK];
	guint64 offset = load->number * 2 * BLOCK;

	while (!g_atomic_int_get(load->stop)) {
		Command command;
		int status;

		memset(block, (int)(load->number + ++load->writes), sizeof block);
		command_init(&command, load->dev, 0x2a, block, sizeof block, 0);
		command_set_range(&command, offset / 512, BLOCK / 512);
		status = command_send(&command);
		if (status == STS_SENSE &&
		    command_sense(&command) == (6 << 16 | CAPACITY_CHANGED)) {
			load->told++;
			continue;
		}
		CHECK_INT(status, STS_OK);
		status = run_read(load->dev, out, sizeof out, offset);
		load->told += status == STS_SENSE;
		if (status == STS_OK)
			CHECK_MEM(out, block, sizeof out);
	}
	return NULL;
}

static void test_under_load(const void *data)
{
	enum { LOADS = 3, TIMES = 20 };
	DeviceLoad loads[LOADS];
	GThread *threads[LOADS];
	gint stop = FALSE;
	guint told = 0;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "loaded"));
	for (guint i = 0; i < LOADS; i++) {
		loads[i] = (DeviceLoad){.dev = &dev, .number = i, .stop = &stop};
		threads[i] = g_thread_new("load", load_main, &loads[i]);
	}
	for (guint i = 1; i <= TIMES; i++) {
		CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, SIZE * (1 + i * i)), 0);
		g_usleep(20000); /* commands between two resizes */
	}
	g_atomic_int_set(&stop, TRUE);
	for (guint i = 0; i < LOADS; i++) {
		g_thread_join(threads[i]);
		CHECK(loads[i].writes > 0);
		told += loads[i].told;
	}
	CHECK(told > 0 && told <= TIMES);
	check_end(&dev, SIZE * (1 + TIMES * TIMES));
	dev_remove(&dev);
}

/* ---- by the volume */

static Json *ask_to_grow(const char *volume, guint64 size)
{
	g_autoptr(Config) config = config_load(NULL, NULL);
	g_autoptr(VolumeName) name = volume_name_parse(volume, NULL);
	g_autofree char *socket = control_name(name);
	g_autoptr(Json) request = json_object_new_object();
	g_autoptr(GError) error = NULL;
	Json *answer;

	json_add_text(request, "command", "resize");
	json_add_number(request, "size", size);
	answer = control_call(config, socket, request, 20, &error);
	CHECK_NO_ERROR(error);
	return answer;
}

/* The unit is as it was until the attribute is set; a runner that is killed in between comes back
 * with the volume's size. */
static void test_by_volume(const void *data)
{
	g_autoptr(Json) answer = NULL;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "asked"));
	answer = ask_to_grow("asked", 3 * SIZE);
	CHECK(json_get_flag(answer, "done"));
	CHECK_UINT((guint64)json_get_number(answer, "size"), 3 * SIZE);
	CHECK_UINT((guint64)json_get_number(answer, "before"), SIZE);
	CHECK_STR(json_get_text(answer, "frontend"), "tcmu");
	check_told(&dev, FALSE);
	check_end(&dev, SIZE);
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 3 * SIZE), 0);
	check_told(&dev, TRUE);
	check_end(&dev, 3 * SIZE);
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, SIZE), -EBUSY);
	dev_remove(&dev);
}

/* Restoring a target that was saved before its volume grew: it is made with the size that it had,
 * and each of its attributes set to what it was. */
static void test_saved_before(const void *data)
{
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "saved"));
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 5 * SIZE), 0);
	dev_remove(&dev);
	dev_init(&dev, "storageos/saved", SIZE);
	REQUIRE(dev_add(&dev) == 0);
	CHECK(log_has("was made with 67108864 bytes, and has the volume's 335544320"));
	check_end(&dev, 5 * SIZE);
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, SIZE), 0);
	check_told(&dev, TRUE);
	check_end(&dev, 5 * SIZE);
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 2 * SIZE), -EBUSY);
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 6 * SIZE), 0);
	check_told(&dev, TRUE);
	check_end(&dev, 6 * SIZE);
	dev_remove(&dev);
	dev_init(&dev, "storageos/saved", 7 * SIZE);
	CHECK_INT(dev_add(&dev), -EINVAL); /* that it never had */
}

/* What the first command is told that is not told to wait. */
static guint first_sense(Dev *dev)
{
	Command command;

	for (guint i = 0; i < 500; i++) {
		command_init(&command, dev, 0x00, NULL, 0, 0);
		if (command_send(&command) != STS_SENSE)
			return 0;
		if (command_sense(&command) != NOT_READY)
			break;
		g_usleep(20000);
	}
	return command_sense(&command);
}

/* A volume that is opened later than its device, and is larger, is reported. */
static void test_late(const void *data)
{
	g_autofree char *path = fixture_path("late", ".vol"), *away = fixture_path("late", ".away");
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "late"));
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 5 * SIZE), 0);
	dev_remove(&dev);
	CHECK(!rename(path, away));
	enabled_text = "1\n";
	REQUIRE(dev_open(&dev, "late"));
	enabled_text = NULL;
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, SIZE), 0);
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 2 * SIZE), -EBUSY);
	CHECK(!rename(away, path));
	CHECK_UINT(first_sense(&dev), 6 << 16 | CAPACITY_CHANGED);
	check_told(&dev, FALSE);
	check_end(&dev, 5 * SIZE);
	dev_remove(&dev);
}

/* The main thread does not wait long, and the growing goes on. */
static void test_slow(const void *data)
{
	gint64 begun;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "slow"));
	g_atomic_int_set(&fdatasync_delay, 4000000);
	begun = g_get_monotonic_time();
	CHECK_INT(dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 2 * SIZE), -EBUSY);
	CHECK_WITHIN(begun, 5);
	CHECK(log_has("it takes longer than 3 s to become durable"));
	g_atomic_int_set(&fdatasync_delay, 0);
	check_told(&dev, FALSE);
	check_end(&dev, SIZE);
	while (dev_reconfig(&dev, ATTRIBUTE_SIZE, NULL, 2 * SIZE) == -EBUSY && !test_failed())
		g_usleep(1000);
	check_told(&dev, TRUE);
	check_end(&dev, 2 * SIZE);
	dev_remove(&dev);
}

void resize_tests(void)
{
	test_add("a larger size is taken, and told once", test_attribute, NULL);
	test_add("what is no size, or a smaller one, is refused", test_refused, NULL);
	test_add("it grows while it is used", test_under_load, NULL);
	test_add("its volume grows first", test_by_volume, NULL);
	test_add("its target was saved before it grew", test_saved_before, NULL);
	test_add("its volume comes later, and larger", test_late, NULL);
	test_add("a slow disk does not hold the runner up", test_slow, NULL);
}
