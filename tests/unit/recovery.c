/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recovery by itself, over an engine whose steps the test makes: which writes are there after a
 * crash, and after a crash in recovery.
 */
#include "common/engine/recovery.h"
#include "common/engine/checkpoint.h"
#include "tests/backing/faulty.h"
#include "tests/harness.h"
#include "tests/unit/engines.h"

#include <errno.h>

#define WRITES 20u
#define FLUSHED 12u

/* Write i goes to a block of its own, and to block 0, which shows the number of the newest write.
 */
static void put_numbered(Engine *engine, guint first, guint end)
{
	for (guint i = first; i < end; i++) {
		CHECK_INT(engine_put(engine, 300 * (guint64)i, (guint8)i), 0);
		CHECK_INT(engine_put(engine, 0, (guint8)i), 0);
	}
}

/* I3: the writes up to some number are there, and no later ones.  Returns that number. */
static guint check_prefix(Engine *engine)
{
	guint newest = (guint)engine_value(engine, 0), n = 0;

	for (guint i = 1; i <= WRITES; i++) {
		int value = engine_value(engine, 300 * (guint64)i);

		CHECK(value == 0 || value == (int)i);
		n += value != 0;
		CHECK(!value || n == i); /* none is missing before it */
	}
	CHECK(n == newest || n == newest + 1); /* block 0 is written after the block itself */
	return n;
}

static Backing *backing_write(void)
{
	Backing *backing = backing_new_formatted();
	Engine *engine = engine_new_in(backing);

	put_numbered(engine, 1, FLUSHED + 1);
	CHECK_INT(engine_flush(engine), 0);
	put_numbered(engine, FLUSHED + 1, WRITES + 1);
	engine_free(engine);
	return backing;
}

/* A backing as a crash leaves it after writes 1 to WRITES, of which FLUSHED were flushed. */
static Backing *backing_new_crashed(guint64 seed)
{
	static Backing *written; /* for the life of the process */

	if (!written)
		written = backing_write();
	return backing_faulty_crash(written, seed);
}

static void test_empty(const void *data)
{
	Backing *backing = backing_new_formatted();
	Engine *engine = engine_new_in(backing);
	guint64 generation = engine->generation;

	(void)data;
	CHECK_INT(engine_value(engine, 0), 0);
	CHECK(!engine->superblock.current.clean);
	CHECK_UINT(engine->superblock.current.generation, 1 + FORMAT_STAMPS_AHEAD);
	CHECK_UINT(generation, engine->superblock.current.generation + 1);
	engine_free(engine);
	engine = engine_new_in(backing); /* no generation is used twice */
	CHECK_UINT(engine->superblock.current.generation, 1 + 2 * FORMAT_STAMPS_AHEAD);
	CHECK(engine->generation > generation);
	engine_free(engine);
	backing_free(backing);
}

/* I2: the process dies, the machine does not. */
static void test_all_count(const void *data)
{
	Backing *backing = backing_new_crashed(G_MAXUINT64);
	Engine *engine = engine_new_in(backing);

	(void)data;
	CHECK_UINT(check_prefix(engine), WRITES);
	/* The fence follows two records for each write and the durable-mark. */
	CHECK_UINT(engine->superblock.current.fence_sequence, 1 + 2 * WRITES + 1);
	CHECK_UINT(engine->superblock.current.fence_generation, engine->generation);
	/* New writes take none of the recovered writes' slots. */
	for (guint i = 0; i < 200; i++)
		CHECK_INT(engine_put(engine, 10000 + i, 77), 0);
	CHECK_UINT(check_prefix(engine), WRITES);
	engine_free(engine);
	backing_free(backing);
}

/* I1, I3: the power is lost. */
static void test_torn_tail(const void *data)
{
	guint seen[WRITES + 1] = {0}, different = 0;

	(void)data;
	for (guint64 seed = 0; seed < 40 && !test_failed(); seed++) {
		Backing *backing = backing_new_crashed(seed);
		Engine *engine = engine_new_in(backing);
		guint n;

		test_row("seed %u", (guint)seed);
		n = check_prefix(engine);
		CHECK(n >= FLUSHED);
		different += !seen[n]++;
		engine_free(engine);
		backing_free(backing);
	}
	CHECK(different > 1);
}

/* Flips a bit of record `number` of the ring.  All records before it are writes of one block: 48
 * bytes, one run and one checksum. */
static void flip_record(Backing *backing, guint number)
{
	guint64 length = record_length(FORMAT_RECORD_WRITE, 1, 1);

	backing_faulty_flip(backing, FORMAT_JOURNAL_OFFSET + number * length + 33, 0);
}

static void test_damaged_record(const void *data)
{
	static const struct {
		const char *name;
		guint number;
		gboolean refused;
	} rows[] = {{"the first", 0, TRUE},
		    {"one that was flushed", 11, TRUE},
		    {"the last flushed", 2 * FLUSHED - 1, TRUE}};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		Backing *backing = backing_new_crashed(G_MAXUINT64);
		g_autoptr(GError) error = NULL;
		guint64 changes = backing_faulty_count(backing, FAULTY_MODIFY);

		test_row("%s", rows[i].name);
		flip_record(backing, rows[i].number);
		CHECK(!engine_new_recovered(backing, FALSE, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "was flushed, and is damaged");
		CHECK_UINT(backing_faulty_count(backing, FAULTY_MODIFY), changes);
		backing_free(backing);
	}
}

/* Recovery does not change what is read. */
static void test_twice(const void *data)
{
	(void)data;
	for (guint64 seed = 1; seed < 20 && !test_failed(); seed++) {
		Backing *backing = backing_new_crashed(seed);
		guint n[3];

		test_row("seed %u", (guint)seed);
		for (guint i = 0; i < 3; i++) {
			Engine *engine = engine_new_recovered(backing, i == 0, NULL);

			REQUIRE(engine != NULL);
			n[i] = check_prefix(engine);
			engine_free(engine);
		}
		CHECK_UINT(n[1], n[0]);
		CHECK_UINT(n[2], n[0]);
		backing_free(backing);
	}
}

static void test_read_only(const void *data)
{
	Backing *backing = backing_new_crashed(G_MAXUINT64);
	guint64 changes = backing_faulty_count(backing, FAULTY_MODIFY);
	Engine *engine = engine_new_recovered(backing, TRUE, NULL);

	(void)data;
	REQUIRE(engine != NULL);
	CHECK_UINT(check_prefix(engine), WRITES);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_MODIFY), changes);
	engine_free(engine);
	backing_free(backing);
}

/* Every later open finds what the first open found, whatever a loss of power takes: a complete
 * recovery has made all of it durable, and fenced off the rest. */
static void test_found_is_durable(const void *data)
{
	(void)data;
	for (guint64 seed = 1; seed < 10 && !test_failed(); seed++) {
		Backing *backing = backing_new_crashed(seed), *left;
		Engine *engine = engine_new_in(backing);
		guint n = check_prefix(engine);

		test_row("seed %u", (guint)seed);
		CHECK_INT(engine_put(engine, 9000, 99), 0);
		CHECK_INT(engine_flush(engine), 0);
		left = backing_faulty_crash(backing, 0);
		engine_free(engine);
		backing_free(backing);
		engine = engine_new_in(left);
		CHECK_UINT(check_prefix(engine), n);
		CHECK_INT(engine_value(engine, 9000), 99);
		engine_free(engine);
		backing_free(left);
	}
}

/* A disk may have refused the marks that recovery reads: it writes them again, as all that it
 * relies on. */
static void test_refused_marks(const void *data)
{
	static const guint64 copies[] = {FORMAT_MARKS_OFFSET,
					 FORMAT_MARKS_OFFSET + FORMAT_MARK_DISTANCE};
	Backing *backing = backing_new_formatted(), *left;
	Engine *engine = engine_new_in(backing);

	(void)data;
	CHECK_INT(engine_put(engine, 1, 1), 0);
	CHECK_INT(engine_flush(engine), 0);
	backing_faulty_refuse(backing, EIO);
	engine_free(engine);
	CHECK(backing_lock(backing, TRUE, NULL)); /* takes the error, as an open does */
	engine = engine_new_in(backing);
	left = backing_faulty_crash(backing, 0);
	for (guint i = 0; i < G_N_ELEMENTS(copies); i++) {
		FormatRecord seen, durable;

		CHECK_INT(backing_pread(backing, &seen, sizeof seen, copies[i]), 0);
		CHECK_INT(backing_pread(left, &durable, sizeof durable, copies[i]), 0);
		CHECK_UINT(seen.magic, FORMAT_RECORD_MAGIC);
		CHECK(!memcmp(&seen, &durable, sizeof seen));
	}
	engine_free(engine);
	backing_free(backing);
	backing_free(left);
}

/* The order of recovery's steps is safe: crashes at each of its writes, growths and flushes. */
static void test_crash_in_recovery(const void *data)
{
	gboolean done = FALSE;

	(void)data;
	for (guint fail = 0; !done && !test_failed(); fail++) {
		Backing *backing = backing_new_crashed(fail * 77), *left;
		Engine *engine;

		test_row("operation %u fails", fail);
		backing_faulty_fail(backing, FAULTY_MODIFY, fail, EIO, TRUE, TRUE);
		engine = engine_new_recovered(backing, FALSE, NULL);
		done = engine != NULL;
		engine_free(engine);
		left = backing_faulty_crash(backing, fail + 1);
		backing_free(backing);
		engine = engine_new_in(left);
		if (engine)
			CHECK(check_prefix(engine) >= FLUSHED);
		engine_free(engine);
		backing_free(left);
	}
}

/* Holes are replayed in order with the writes before and after them. */
static void test_zero(const void *data)
{
	Backing *backing = backing_new_formatted();
	Engine *engine = engine_new_in(backing);

	(void)data;
	put_numbered(engine, 1, 10);
	CHECK_INT(engine_zero(engine, 300, 900), 0); /* writes 1 to 3 */
	CHECK_INT(engine_put(engine, 600, 55), 0);
	engine_free(engine);
	engine = engine_new_in(backing);
	CHECK_INT(engine_value(engine, 300), 0);
	CHECK_INT(engine_value(engine, 600), 55);
	CHECK_INT(engine_value(engine, 900), 0);
	CHECK_INT(engine_value(engine, 1200), 4);
	engine_free(engine);
	backing_free(backing);
}

int main(int argc, char **argv)
{
	test_add("with an empty journal, only the generation changes", test_empty, NULL);
	test_add("every write counts after the death of the process", test_all_count, NULL);
	test_add("a loss of power leaves a prefix with every flushed write", test_torn_tail, NULL);
	test_add("a damaged record that was flushed is an error", test_damaged_record, NULL);
	test_add("a second recovery finds what the first found", test_twice, NULL);
	test_add("opening for reading writes nothing", test_read_only, NULL);
	test_add("what recovery found is durable", test_found_is_durable, NULL);
	test_add("marks that the disk refused are written again", test_refused_marks, NULL);
	test_add("a crash in recovery loses no flushed write", test_crash_in_recovery, NULL);
	test_add("zeros are replayed in order", test_zero, NULL);
	return test_run(argc, argv);
}
