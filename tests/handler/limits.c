/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A volume with limits: how fast its commands are, and what does not wait for them.
 */
#include <string.h>

#include "common/base/units.h"
#include "tests/handler/fixture.h"
#include "tests/harness.h"

#define BLOCK 4096
#define TRIES 5

static gint64 limit_of(const char *volume, const char *direction, const char *key)
{
	g_autoptr(Json) request = json_object_new_object();
	g_autoptr(Json) stats = NULL;

	json_add_text(request, "command", "stats");
	stats = fixture_ask(volume, request);
	return json_get_number(json_get_object(json_get_object(stats, "limits"), direction), key);
}

/* ---- the rate */

typedef struct {
	Dev *dev;
	guint8 opcode;
	gint ends, done; /* atomic */
} Load;

static gpointer load_send(gpointer data)
{
	guint8 block[BLOCK] = {1};
	Load *load = data;

	while (!g_atomic_int_get(&load->ends)) {
		CHECK_INT(run_range(load->dev, load->opcode, block, BLOCK, 0, BLOCK / 512), STS_OK);
		g_atomic_int_inc(&load->done);
	}
	return NULL;
}

/* Commands a second, of so many at a time, once the burst is over. */
static double rate_of(Dev *dev, guint8 opcode, guint depth)
{
	GThread *threads[32];
	Load load = {.dev = dev, .opcode = opcode};
	gint64 begun;
	gint before;
	double rate;

	for (guint i = 0; i < depth; i++)
		threads[i] = g_thread_new("load", load_send, &load);
	g_usleep(400000);
	before = g_atomic_int_get(&load.done);
	begun = g_get_monotonic_time();
	g_usleep(2 * G_USEC_PER_SEC);
	rate = (double)(g_atomic_int_get(&load.done) - before) * G_USEC_PER_SEC /
	       (double)(g_get_monotonic_time() - begun);
	g_atomic_int_set(&load.ends, TRUE);
	for (guint i = 0; i < depth; i++)
		g_thread_join(threads[i]);
	return rate;
}

/* A machine that is slow or busy may be slower, for a while, and never faster. */
static void check_rate(Dev *dev, guint8 opcode, guint depth, double wanted)
{
	double factor = test_time_factor(), most = 0;
	double least = wanted * .95 / (factor < 2 ? 1 : factor * factor);

	for (guint tries = 0; tries < TRIES && most < least; tries++) {
		double rate = rate_of(dev, opcode, depth);

		test_note("%.0f a second", rate);
		most = MAX(most, rate);
	}
	CHECK(most >= least);
	CHECK(most <= wanted * 1.05);
}

static const struct {
	guint8 opcode;
	guint depth;
} loads[] = {{0x2a, 1}, {0x2a, 32}, {0x28, 1}, {0x28, 32}};

static gboolean host_is_chosen(void)
{
	return !strcmp(host_name, "1.5.4") || !strcmp(host_name, "1.3.0");
}

static void test_rate(const void *data)
{
	guint8 block[BLOCK] = {1};
	Dev dev;

	(void)data;
	if (!host_is_chosen())
		return; /* the same in all generations, and takes ten seconds */
	REQUIRE(dev_open(&dev, "limits-rate"));
	CHECK_INT(run_write(&dev, block, BLOCK, 0), STS_OK);
	fixture_set("limits-rate", "read_iops", "1000", "write_iops", "1000", NULL);
	for (guint i = 0; i < G_N_ELEMENTS(loads); i++) {
		test_row("opcode %02x, depth %u", loads[i].opcode, loads[i].depth);
		check_rate(&dev, loads[i].opcode, loads[i].depth, 1000);
	}
	test_row("bytes");
	fixture_set("limits-rate", "write_iops", "", "write_bytes", "4194304", NULL);
	check_rate(&dev, 0x2a, 8, 1024);
	dev_remove(&dev);
}

/* ---- reads from memory */

/* The dispatch thread, which is this one, answers reads as long as they need not wait. */
static void test_reads_now(const void *data)
{
	guint8 block[BLOCK] = {1};
	guint queued = 0;
	Command commands[20];
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "limits-now"));
	CHECK_INT(run_write(&dev, block, BLOCK, 0), STS_OK);
	CHECK_INT(run_read(&dev, block, BLOCK, 0), STS_OK);
	fixture_set("limits-now", "read_iops", "30", NULL);
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
		command_init(&commands[i], &dev, 0x28, block, BLOCK, 0);
		command_set_range(&commands[i], 0, BLOCK / 512);
		queued += command_dispatch(&commands[i]);
		if (!queued)
			CHECK(commands[i].by == g_thread_self());
	}
	CHECK(queued > 0 && queued <= 17); /* the burst is 3 */
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
		CHECK_INT(command_wait(&commands[i]), STS_OK);
	CHECK(limit_of("limits-now", "read", "waits") <= queued);
	dev_remove(&dev);
}

/* ---- what waits */

#define MANY 400

static void begin(Command *command, Dev *dev, guint8 opcode, void *memory, gsize length)
{
	command_init(command, dev, opcode, memory, length, 0);
	command_set_range(command, 0, opcode == 0x93 ? 8 : length / 512);
	command_begin(command);
}

static guint begin_writes(Command *commands, guint n, Dev *dev, guint8 *memory)
{
	for (guint i = 0; i < n; i++)
		begin(&commands[i], dev, 0x2a, memory, BLOCK);
	return n;
}

static gboolean is_done(Command *command)
{
	return g_atomic_int_get(&command->completed) != 0;
}

static guint count_done(Command *commands, guint n)
{
	guint done = 0;

	for (guint i = 0; i < n; i++)
		done += is_done(&commands[i]);
	return done;
}

/* Everything but writes goes on while many writes wait, and they are answered when the limit is
 * lifted. */
static void test_others(const void *data)
{
	g_autofree Command *commands = g_new0(Command, MANY);
	guint8 memory[BLOCK] = {1}, out[BLOCK];
	Command inquiry, ready;
	TestTime begun;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "limits-others"));
	CHECK_INT(run_write(&dev, memory, BLOCK, 0), STS_OK);
	fixture_set("limits-others", "write_iops", "30", NULL);
	begin_writes(commands, 200, &dev, memory);
	begun = test_now();
	for (guint i = 0; i < 20; i++) {
		CHECK_INT(run_flush(&dev), STS_OK);
		CHECK_INT(run_read(&dev, out, BLOCK, 0), STS_OK);
		command_init(&inquiry, &dev, 0x12, out, 96, 0);
		CHECK_INT(command_send(&inquiry), STS_OK);
		command_init(&ready, &dev, 0x00, NULL, 0, 0);
		CHECK_INT(command_send(&ready), STS_OK);
	}
	CHECK_QUICK(begun, 1);
	CHECK(count_done(commands, 200) < 200);
	fixture_set("limits-others", "write_iops", "", NULL);
	for (guint i = 0; i < 200; i++)
		CHECK_INT(command_wait(&commands[i]), STS_OK);
	CHECK_QUICK(begun, 2);
	dev_remove(&dev);
}

/* Commands that change the volume count as writes, and wait like them. */
static void test_changes(const void *data)
{
	static const guint8 opcodes[] = {0x2a, 0x93, 0x8b, 0x2e};
	guint8 memory[BLOCK] = {1};
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "limits-changes"));
	fixture_set("limits-changes", "write_iops", "30", "write_iops_burst", "1", NULL);
	for (guint i = 0; i < G_N_ELEMENTS(opcodes); i++) {
		gint64 waits = limit_of("limits-changes", "write", "waits");
		Command commands[3];

		test_row("opcode %02x", opcodes[i]);
		for (guint c = 0; c < G_N_ELEMENTS(commands); c++)
			begin(&commands[c], &dev, opcodes[i], memory,
			      opcodes[i] == 0x93 ? 512 : BLOCK);
		for (guint c = 0; c < G_N_ELEMENTS(commands); c++)
			CHECK_INT(command_wait(&commands[c]), STS_OK);
		CHECK(limit_of("limits-changes", "write", "waits") >= waits + 2);
	}
	CHECK_INT(limit_of("limits-changes", "read", "waits"), 0);
	dev_remove(&dev);
}

/* What would wait for more than ten seconds is turned away, and the rest is served. */
static void test_full(const void *data)
{
	g_autofree Command *commands = g_new0(Command, MANY);
	guint8 memory[BLOCK] = {1};
	guint served = 0, refused = 0;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "limits-full"));
	fixture_set("limits-full", "write_iops", "30", NULL);
	begin_writes(commands, MANY, &dev, memory);
	WAIT_WITHIN(5, is_done(&commands[MANY - 1]));
	CHECK_INT(command_wait(&commands[MANY - 1]), STS_NO_RESOURCE);
	CHECK(limit_of("limits-full", "write", "waiting") >= 256);
	fixture_set("limits-full", "write_iops", "", NULL);
	for (guint i = 0; i < MANY; i++) {
		int status = command_wait(&commands[i]);

		served += status == STS_OK;
		refused += status == STS_NO_RESOURCE;
	}
	CHECK_UINT(served + refused, MANY);
	CHECK_INT(limit_of("limits-full", "write", "refused"), refused);
	dev_remove(&dev);
}

/* The runner closes a device once all its commands are answered, which the limits do not delay for
 * longer than they say; and they are there again when it is opened. */
static void test_close(const void *data)
{
	Command commands[40];
	guint8 memory[BLOCK] = {1};
	gint64 begun;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "limits-close"));
	fixture_set("limits-close", "write_iops", "30", NULL);
	begun = g_get_monotonic_time();
	begin_writes(commands, G_N_ELEMENTS(commands), &dev, memory);
	dev_remove(&dev);
	CHECK_WITHIN(begun, 3);
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
		CHECK_INT(commands[i].status, STS_OK);
	REQUIRE(dev_open(&dev, "limits-close"));
	CHECK_INT(limit_of("limits-close", "write", "iops"), 30);
	CHECK_INT(limit_of("limits-close", "write", "iops_burst"), 3);
	dev_remove(&dev);
}

/* The time of a command passes while it waits. */
static void test_late(const void *data)
{
	guint8 before[BLOCK] = {1}, after[BLOCK] = {2}, out[BLOCK];
	Command commands[60], last;
	Dev dev;

	(void)data;
	REQUIRE(dev_open(&dev, "limits-late"));
	CHECK_INT(run_write(&dev, before, BLOCK, BLOCK), STS_OK);
	fixture_set("limits-late", "write_iops", "30", NULL);
	begin_writes(commands, G_N_ELEMENTS(commands), &dev, before);
	command_init(&last, &dev, 0x2a, after, BLOCK, 0);
	command_set_range(&last, BLOCK / 512, BLOCK / 512);
	command_begin(&last);
	WAIT_WITHIN(5, limit_of("limits-late", "write", "waiting") > 40);
	CHECK_INT(run_flush(&dev), STS_OK); /* the last one waits, too */
	g_atomic_int_set(&clock_skew, 25);
	CHECK_INT(command_wait(&last), STS_BUSY);
	g_atomic_int_set(&clock_skew, 0);
	memset(after, 3, BLOCK);
	for (guint i = 0; i < G_N_ELEMENTS(commands); i++)
		command_wait(&commands[i]);
	CHECK_INT(run_flush(&dev), STS_OK);
	CHECK_INT(run_read(&dev, out, BLOCK, BLOCK), STS_OK);
	CHECK_MEM(out, before, BLOCK);
	dev_remove(&dev);
}

/* ---- fairness */

static void test_neighbours(const void *data)
{
	g_autofree Command *commands = g_new0(Command, MANY);
	guint8 memory[BLOCK] = {1};
	Dev full, limited, none;
	TestTime begun;

	(void)data;
	REQUIRE(dev_open(&full, "limits-neighbour"));
	REQUIRE(dev_open(&limited, "limits-limited"));
	REQUIRE(dev_open(&none, "limits-none-limited"));
	fixture_set("limits-neighbour", "write_iops", "30", NULL);
	fixture_set("limits-limited", "write_iops", "1000", NULL);
	begin_writes(commands, 250, &full, memory);
	begun = test_now();
	for (guint i = 0; i < 500; i++)
		CHECK_INT(run_write(&none, memory, BLOCK, i * BLOCK), STS_OK);
	CHECK_QUICK(begun, 1);
	if (host_is_chosen())
		check_rate(&limited, 0x2a, 8, 1000);
	CHECK(count_done(commands, 250) < 200);
	fixture_set("limits-neighbour", "write_iops", "", NULL);
	for (guint i = 0; i < 250; i++)
		CHECK_INT(command_wait(&commands[i]), STS_OK);
	dev_remove(&full);
	dev_remove(&limited);
	dev_remove(&none);
}

void limits_tests(void)
{
	test_add("1000 a second are 950 to 1050, at any depth", test_rate, NULL);
	test_add("reads from memory need no thread until they have to wait", test_reads_now, NULL);
	test_add("other commands do not wait behind limited writes", test_others, NULL);
	test_add("all that changes the volume is limited as a write", test_changes, NULL);
	test_add("what would wait too long is answered TASK SET FULL", test_full, NULL);
	test_add("a device with commands that wait is closed, and keeps its limits", test_close,
		 NULL);
	test_add("a write that waits for too long is answered BUSY, and changes nothing", test_late,
		 NULL);
	test_add("a volume at its limits does not slow its neighbours", test_neighbours, NULL);
}
