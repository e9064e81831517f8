/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/backing/faulty.h"

#include <errno.h>

#include "common/base/bytes.h"
#include "common/base/units.h"
#include "tests/harness.h"

#define SIZE (4 * MIB)
#define EVERYTHING G_MAXUINT64

static Backing *new_faulty(void)
{
	Backing *backing = backing_faulty_new(0);

	CHECK_INT(backing_grow(backing, SIZE), 0);
	CHECK_INT(backing_flush(backing), 0);
	return backing;
}

static void put(Backing *backing, guint8 value, gsize length, guint64 offset)
{
	g_autofree guint8 *data = g_malloc(length);

	memset(data, value, length);
	CHECK_INT(backing_pwrite(backing, data, length, offset), 0);
}

static guint8 get(Backing *backing, guint64 offset)
{
	guint8 value = 0xee;

	CHECK_INT(backing_pread(backing, &value, 1, offset), 0);
	return value;
}

static guint8 get_after_crash(Backing *backing, guint64 seed, guint64 offset)
{
	g_autoptr(Backing) left = backing_faulty_crash(backing, seed);

	return get(left, offset);
}

static void test_extremes(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();

	(void)data;
	put(backing, 1, 4096, 0);
	CHECK_INT(backing_flush(backing), 0);
	put(backing, 2, 4096, 0);
	put(backing, 3, 4096, 8192);
	CHECK_INT(get(backing, 0), 2);
	CHECK_INT(get_after_crash(backing, 0, 0), 1);
	CHECK_INT(get_after_crash(backing, 0, 8192), 0);
	CHECK_INT(get_after_crash(backing, EVERYTHING, 0), 2);
	CHECK_INT(get_after_crash(backing, EVERYTHING, 8192), 3);
	CHECK_INT(backing_flush(backing), 0);
	CHECK_INT(get_after_crash(backing, 0, 0), 2);
	CHECK_INT(get_after_crash(backing, 0, 8192), 3);
}

typedef enum { LANDED_WHOLE, LANDED_NOT, LANDED_HEAD, LANDED_TAIL, LANDED_MIXED, OUTCOMES } Outcome;

/* The fate of a write of 8 sectors of 1 over 0.  Checks that no sector is torn. */
static Outcome outcome_of(const guint8 *bytes)
{
	guint changes = 0, ones = 0;

	for (guint i = 0; i < 4096; i += 512) {
		CHECK_MEM(bytes + i, bytes + i + 1, 511);
		ones += bytes[i];
		changes += i && bytes[i] != bytes[i - 1];
	}
	if (!changes)
		return ones ? LANDED_WHOLE : LANDED_NOT;
	return changes > 1 ? LANDED_MIXED : bytes[0] ? LANDED_HEAD : LANDED_TAIL;
}

static void test_write_durably(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	const guint8 four[4096] = {4};

	(void)data;
	put(backing, 1, 4096, 0);
	put(backing, 2, 4096, 8192);
	CHECK_INT(backing_write_durably(backing, four, sizeof four, 0), 0);
	CHECK_INT(get_after_crash(backing, 0, 0), 4);
	CHECK_INT(get_after_crash(backing, 0, 8192), 0);
	CHECK_INT(backing_flush(backing), 0);
	CHECK_INT(get_after_crash(backing, 0, 8192), 2);
	backing_faulty_refuse(backing, EIO);
	CHECK_INT(backing_write_durably(backing, four, sizeof four, 8192), -EIO);
	CHECK_INT(get_after_crash(backing, 0, 8192), 2);
}

static void test_tearing(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	guint seen[OUTCOMES] = {0};
	guint8 bytes[4096];

	(void)data;
	put(backing, 1, 4096, 4096);
	for (guint64 seed = 1; seed <= 500; seed++) {
		g_autoptr(Backing) left = backing_faulty_crash(backing, seed);

		CHECK_INT(backing_pread(left, bytes, sizeof bytes, 4096), 0);
		seen[outcome_of(bytes)]++;
	}
	for (guint i = 0; i < OUTCOMES; i++) {
		test_row("outcome %u", i);
		CHECK(seen[i] >= 5);
	}
}

static void test_independent(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	guint seen[4] = {0};

	(void)data;
	put(backing, 1, 512, 0);
	put(backing, 1, 512, 65536);
	for (guint64 seed = 1; seed <= 200; seed++)
		seen[get_after_crash(backing, seed, 0) * 2 +
		     get_after_crash(backing, seed, 65536)]++;
	for (guint i = 0; i < 4; i++) {
		test_row("combination %u", i);
		CHECK(seen[i] >= 5);
	}
}

static void test_repeatable(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	g_autofree guint8 *a = g_malloc(SIZE), *b = g_malloc(SIZE);
	TestRandom random = test_random_new(test_seed());

	(void)data;
	for (guint i = 0; i < 50; i++)
		put(backing, (guint8)(1 + i), 8192, test_random_below(&random, SIZE - 8192));
	for (guint64 seed = 1; seed < 20; seed++) {
		g_autoptr(Backing) first = backing_faulty_crash(backing, seed);
		g_autoptr(Backing) second = backing_faulty_crash(backing, seed);

		CHECK_INT(backing_pread(first, a, SIZE, 0), 0);
		CHECK_INT(backing_pread(second, b, SIZE, 0), 0);
		CHECK_MEM(b, a, SIZE);
	}
}

static void test_image_is_independent(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	g_autoptr(Backing) left = NULL;

	(void)data;
	put(backing, 1, 4096, 0);
	left = backing_faulty_crash(backing, EVERYTHING);
	put(backing, 2, 4096, 0);
	put(left, 3, 4096, 0);
	CHECK_INT(get(backing, 0), 2);
	CHECK_INT(get(left, 0), 3);
	CHECK_INT(get_after_crash(left, 0, 0), 1); /* everything in the new image is durable */
	CHECK_UINT(backing_faulty_count(left, FAULTY_WRITE), 1);
}

static void test_grow_and_punch(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	g_autoptr(Backing) none = NULL, all = NULL;

	(void)data;
	put(backing, 1, 65536, 0);
	CHECK_INT(backing_flush(backing), 0);
	CHECK_INT(backing_punch(backing, 0, 65536), 0);
	CHECK_INT(backing_grow(backing, SIZE + MIB), 0);
	put(backing, 2, 4096, SIZE);
	none = backing_faulty_crash(backing, 0);
	all = backing_faulty_crash(backing, EVERYTHING);
	CHECK_INT(get(none, 0), 1);
	CHECK_UINT(backing_size(none), SIZE);
	CHECK_INT(get(all, 0), 0);
	CHECK_UINT(backing_size(all), SIZE + MIB);
	CHECK_INT(get(all, SIZE), 2);
	CHECK_INT(backing_flush(backing), 0);
	CHECK_INT(get_after_crash(backing, 0, 0), 0);
	CHECK_INT(get_after_crash(backing, 0, SIZE), 2);
}

static void test_limit(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(MIB);

	(void)data;
	CHECK_INT(backing_grow(backing, MIB), 0);
	CHECK_INT(backing_grow(backing, MIB + 1), -ENOSPC);
	CHECK_UINT(backing_size(backing), MIB);
}

static void test_fail_once(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();

	(void)data;
	put(backing, 1, 512, 0);
	backing_faulty_fail(backing, FAULTY_WRITE, 2, EIO, FALSE, FALSE);
	put(backing, 2, 512, 0);
	CHECK_INT(backing_flush(backing), 0);
	put(backing, 3, 512, 0);
	CHECK_INT(backing_pwrite(backing, "x", 1, 0), -EIO);
	CHECK_INT(get(backing, 0), 3);
	put(backing, 4, 512, 0);
	CHECK_INT(get(backing, 0), 4);
}

static void test_fail_for_ever(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	char byte;

	(void)data;
	backing_faulty_fail(backing, FAULTY_READ | FAULTY_MODIFY, 1, ENOSPC, TRUE, FALSE);
	CHECK_INT(backing_pread(backing, &byte, 1, 0), 0);
	CHECK_INT(backing_pread(backing, &byte, 1, 0), -ENOSPC);
	CHECK_INT(backing_pwrite(backing, "x", 1, 0), -ENOSPC);
	CHECK_INT(backing_flush(backing), -ENOSPC);
	CHECK_INT(backing_punch(backing, 0, 4096), -ENOSPC);
	CHECK_INT(backing_grow(backing, 2 * SIZE), -ENOSPC);
	backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	CHECK_INT(backing_pwrite(backing, "x", 1, 0), 0);
	CHECK_INT(get(backing, 0), 'x');
	CHECK_UINT(backing_size(backing), SIZE);
}

static void test_fail_torn(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	guint8 ones[4096], now[4096];
	guint partial = 0;

	(void)data;
	memset(ones, 1, sizeof ones);
	for (guint i = 0; i < 50; i++) {
		guint64 offset = i * 4096;
		gsize n = 0;

		backing_faulty_fail(backing, FAULTY_WRITE, 0, EIO, TRUE, TRUE);
		CHECK_INT(backing_pwrite(backing, ones, sizeof ones, offset), -EIO);
		CHECK_INT(backing_pread(backing, now, sizeof now, offset), 0);
		while (n < sizeof now && now[n])
			n++;
		CHECK_UINT(n % 512, 0);
		CHECK_ZERO(now + n, sizeof now - n);
		partial += n > 0 && n < sizeof now;
		CHECK_INT(backing_pwrite(backing, ones, sizeof ones, MIB), -EIO);
		CHECK_INT(get(backing, MIB), 0);
	}
	CHECK(partial > 10);
}

/* Flushes as Linux does: every flush reaches the backing, even after a failure. */
static int flush(Backing *backing)
{
	return backing->ops->flush(backing);
}

/* A failed flush leaves its writes to chance, and a later flush that succeeds does not change that.
 * The writes of the later flush are durable, and no older write undoes them. */
static void test_failed_flush(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	guint landed = 0;

	(void)data;
	put(backing, 1, 512, 0);
	put(backing, 1, 512, 4096);
	backing_faulty_fail(backing, FAULTY_FLUSH, 0, EIO, FALSE, FALSE);
	CHECK_INT(flush(backing), -EIO);
	put(backing, 2, 512, 4096);
	CHECK_INT(flush(backing), 0);
	CHECK_INT(get(backing, 0), 1);
	CHECK_INT(get_after_crash(backing, EVERYTHING, 0), 1);
	CHECK_INT(get_after_crash(backing, 0, 0), 0);
	CHECK_INT(get_after_crash(backing, 0, 4096), 2);
	for (guint64 seed = 1; seed <= 100; seed++) {
		landed += get_after_crash(backing, seed, 0);
		CHECK_INT(get_after_crash(backing, seed, 4096), 2);
	}
	CHECK(landed > 5 && landed < 95);
}

/* What the disk refuses between two flushes is reported to one flush, or discarded by the next
 * writer's lock. */
static void test_refused(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();

	(void)data;
	put(backing, 1, 512, 0);
	CHECK_INT(flush(backing), 0);
	put(backing, 2, 512, 0);
	backing_faulty_refuse(backing, ENOSPC);
	put(backing, 3, 512, 4096);
	CHECK_INT(get(backing, 0), 2);
	CHECK_INT(flush(backing), -ENOSPC);
	put(backing, 4, 512, 8192);
	CHECK_INT(flush(backing), 0);
	CHECK_INT(get_after_crash(backing, 0, 0), 1);
	CHECK_INT(get_after_crash(backing, 0, 4096), 0);
	CHECK_INT(get_after_crash(backing, 0, 8192), 4);
	backing_faulty_refuse(backing, EIO);
	CHECK(backing_lock(backing, TRUE, NULL));
	CHECK_INT(flush(backing), 0);
}

static void test_count(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();

	(void)data;
	put(backing, 1, 512, 0);
	put(backing, 1, 512, 0);
	get(backing, 0);
	CHECK_INT(backing_punch(backing, 0, 4096), 0);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_READ), 1);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_WRITE), 2);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_FLUSH), 1);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_MODIFY), 5);
}

static void test_fill_up(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	g_autofree guint8 *bytes = g_malloc(64 * KIB);

	(void)data;
	memset(bytes, 2, 64 * KIB);
	put(backing, 1, 64 * KIB, 0);
	backing_faulty_fill_up(backing, 8192);
	put(backing, 2, 64 * KIB, 0); /* overwrites existing data */
	CHECK_INT(backing_pwrite(backing, bytes, 64 * KIB, MIB), -ENOSPC);
	CHECK_INT(get(backing, MIB + 8191), 2);
	CHECK_INT(get(backing, MIB + 8192), 0);
	put(backing, 3, 8192, MIB);
	CHECK_INT(backing_punch(backing, 0, 4096), 0);
	put(backing, 4, 4096, 2 * MIB);
	CHECK_INT(backing_pwrite(backing, bytes, 1, 0), -ENOSPC);
	backing_faulty_fill_up(backing, G_MAXUINT64);
	put(backing, 5, 64 * KIB, 3 * MIB);
}

static void test_delay(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	struct iovec iov = {.iov_base = (char[]){'x'}, .iov_len = 1};
	gint64 start;

	(void)data;
	backing_faulty_delay(backing, FAULTY_WRITE | FAULTY_FLUSH, 20000);
	start = g_get_monotonic_time();
	put(backing, 1, 512, 0);
	CHECK_INT(backing_flush(backing), 0);
	CHECK(g_get_monotonic_time() - start >= 40000);
	CHECK_INT(backing_pwritev(backing, &iov, 1, 0, BACKING_NOWAIT), -EAGAIN);
	CHECK_INT(backing_preadv(backing, &iov, 1, 0, BACKING_NOWAIT), 0);
	CHECK_INT(get(backing, 0), 1);
	backing_faulty_delay(backing, FAULTY_WRITE, 0);
	iov.iov_base = (char[]){'y'};
	CHECK_INT(backing_pwritev(backing, &iov, 1, 0, BACKING_NOWAIT), 0);
	CHECK_INT(get(backing, 0), 'y');
}

static void test_flip(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();

	(void)data;
	put(backing, 0x0f, 4096, 0);
	CHECK_INT(backing_flush(backing), 0);
	backing_faulty_flip(backing, 100, 7);
	CHECK_INT(get(backing, 100), 0x8f);
	CHECK_INT(get_after_crash(backing, 0, 100), 0x8f);
	backing_faulty_flip(backing, 100, 0);
	CHECK_INT(get(backing, 100), 0x8e);
	CHECK_INT(get(backing, 101), 0x0f);
}

static void test_long_log(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	TestRandom random = test_random_new(test_seed());
	gint64 start;

	(void)data;
	for (guint i = 0; i < 20000; i++)
		put(backing, (guint8)i, 4096, test_random_below(&random, SIZE - 4096));
	start = g_get_monotonic_time();
	for (guint64 seed = 1; seed <= 10; seed++)
		backing_free(backing_faulty_crash(backing, seed));
	test_note("a crash with 20000 volatile writes takes %" G_GINT64_FORMAT " us",
		  (g_get_monotonic_time() - start) / 10);
	if (!test_is_instrumented())
		CHECK_WITHIN(start, 10);
}

static gpointer count_up(gpointer data)
{
	for (guint32 i = 1; i <= 20000; i++) {
		guint8 bytes[4];

		put_le32(bytes, i);
		CHECK_INT(backing_pwrite(data, bytes, 4, 0), 0);
		CHECK_INT(backing_pwrite(data, bytes, 4, MIB), 0);
	}
	return NULL;
}

static void test_one_instant(const void *data)
{
	g_autoptr(Backing) backing = new_faulty();
	GThread *writer = g_thread_new("writer", count_up, backing);

	(void)data;
	for (guint i = 0; i < 200; i++) {
		g_autoptr(Backing) left = backing_faulty_crash(backing, EVERYTHING);
		guint8 first[4], second[4];

		CHECK_INT(backing_pread(left, first, 4, 0), 0);
		CHECK_INT(backing_pread(left, second, 4, MIB), 0);
		CHECK(get_le32(first) - get_le32(second) <= 1);
	}
	g_thread_join(writer);
}

int main(int argc, char **argv)
{
	test_add("a crash leaves what was flushed, at most what was written", test_extremes, NULL);
	test_add("a durable write reaches the disk alone", test_write_durably, NULL);
	test_add("a write reaches the disk whole, not at all, or by sectors", test_tearing, NULL);
	test_add("each write's fate is its own", test_independent, NULL);
	test_add("a seed always gives the same image", test_repeatable, NULL);
	test_add("the image is independent of its origin", test_image_is_independent, NULL);
	test_add("growth and punches are volatile too", test_grow_and_punch, NULL);
	test_add("the limit", test_limit, NULL);
	test_add("operation N fails once", test_fail_once, NULL);
	test_add("operations fail from N on until the fault is lifted", test_fail_for_ever, NULL);
	test_add("a write that fails may be done in part", test_fail_torn, NULL);
	test_add("a flush that failed leaves its writes to chance", test_failed_flush, NULL);
	test_add("one flush reports what the disk refused", test_refused, NULL);
	test_add("operations are counted by kind", test_count, NULL);
	test_add("a full backing accepts writes that need no new space", test_fill_up, NULL);
	test_add("operations take as long as asked", test_delay, NULL);
	test_add("a flipped bit is seen, also after a crash", test_flip, NULL);
	test_add("a crash with a long log is quick", test_long_log, NULL);
	test_add("a crash under writes is one instant", test_one_instant, NULL);
	return test_run(argc, argv);
}
