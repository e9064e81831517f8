/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The promises of throttle.h: a table of waits, the bounds with random numbers, and that the room
 * lasts as long as the checkpoint.
 */
#include "common/engine/throttle.h"
#include "common/base/units.h"
#include "tests/harness.h"

#define MS G_TIME_SPAN_MILLISECOND
#define BEGUN ((gint64)1000 * G_TIME_SPAN_SECOND) /* when the tables' checkpoint began */
#define EXPECTED (500 * MS)

typedef struct {
	const char *name;
	guint pressure;
	double cost;
	guint64 bytes;
	double ahead;		   /* cost of the changes that already wait */
	gint64 since_begun;	   /* microseconds since a checkpoint began; negative: none runs */
	gint64 first, least, most; /* microseconds: the first wait; bounds of the whole wait */
} Row;

static const Row rows[] = {
	{"no pressure", 0, 1, 4096, 0, 0, 0, 0, 0},
	{"no pressure, a long line", 0, 1, 4096, 1000, 0, 0, 0, 0},
	{"its part of the time", 50, 1, 4096, 0, 0, 9000, 9000, 9000},
	{"the same, no checkpoint runs", 50, 1, 4096, 0, -1, 9000, 9000, 9000},
	{"the same, it is late", 50, 1, 4096, 0, 2000 * MS, 9000, 9000, 9100},
	{"the same, half of it is over", 50, 1, 4096, 0, 250 * MS, 4000, 4000, 4000},
	{"a small one: the least", 50, 0.01, 4096, 0, 0, 1875, 1875, 1875},
	{"less pressure: a smaller least", 10, 0.01, 4096, 0, 0, 3, 3, 3},
	{"near the limit: nearly the most", 99, 0.001, 4096, 0, 0, 10000, 28817, 28817},
	{"behind others", 50, 1, 4096, 1, 0, 10000, 18000, 19000},
	{"a long line: the most", 50, 1, 4096, 1000, 0, 10000, 30000, 30000},
	{"the most of 64 KiB", 50, 1, 64 * KIB, 1000, 0, 10000, 30000, 30000},
	{"the most of 128 KiB", 50, 1, 128 * KIB, 1000, 0, 10000, 60000, 60000},
	{"1 MiB: its turn", 50, 10, MIB, 0, 0, 10000, 85000, 99000},
	{"1 MiB, a long line: the most", 50, 10, MIB, 100000, 0, 10000, 480000, 480000},
};

/* The whole wait of a change that asks again as soon as it may. */
static gint64 wait_of(Throttle *throttle, const ThrottleTurn *turn, guint pressure)
{
	gint64 now = turn->start, wait;

	while ((wait = throttle_wait(throttle, turn, pressure, now)) > 0 &&
	       now - turn->start < G_TIME_SPAN_SECOND)
		now += wait;
	return now - turn->start;
}

static Throttle throttle_at(gint64 since_begun)
{
	Throttle throttle;

	throttle_init(&throttle);
	throttle.served_at = BEGUN;
	if (since_begun >= 0)
		throttle_begin(&throttle, BEGUN - since_begun);
	return throttle;
}

static void test_table(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		const Row *row = &rows[i];
		Throttle throttle = throttle_at(row->since_begun), copy;
		ThrottleTurn turn;
		gint64 wait;

		test_row("%s", row->name);
		throttle_line_up(&throttle, row->pressure, row->ahead, BLOCK_SIZE, BEGUN);
		turn = throttle_line_up(&throttle, row->pressure, row->cost, row->bytes, BEGUN);
		copy = throttle;
		CHECK_INT(throttle_wait(&copy, &turn, row->pressure, BEGUN), row->first);
		wait = wait_of(&throttle, &turn, row->pressure);
		CHECK(wait >= row->least && wait <= row->most);
		if (test_failed())
			test_note("waited %d us", (int)wait);
	}
}

static void test_crowded(const void *data)
{
	Throttle throttle = throttle_at(0);
	ThrottleTurn turn = throttle_line_up(&throttle, 100, 1, 4096, BEGUN);

	(void)data;
	for (guint i = 0; i < 1000; i++)
		CHECK_INT(throttle_wait(&throttle, &turn, 100, BEGUN + i * THROTTLE_LOOK),
			  THROTTLE_LOOK);
	CHECK_INT(throttle_wait(&throttle, &turn, 99, BEGUN + 1000 * THROTTLE_LOOK), 0);
}

static void test_bounds(const void *data)
{
	static const struct {
		guint pressure;
		gint64 least;
	} least[] = {{0, 0}, {25, 117}, {50, 1875}, {75, 9492}, {100, 30000}};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(least); i++)
		CHECK_INT(throttle_least(least[i].pressure), least[i].least);
	CHECK_INT(throttle_most(0), 30 * MS);
	CHECK_INT(throttle_most(64 * KIB), 30 * MS);
	CHECK_INT(throttle_most(MIB), 480 * MS);
}

/* The expected duration is the mean of the previous expectation and the last checkpoint's duration.
 */
static void test_expected(const void *data)
{
	Throttle throttle = throttle_at(0);

	(void)data;
	CHECK_INT(throttle.expected, EXPECTED);
	throttle_end(&throttle, BEGUN + 100 * MS, TRUE);
	CHECK_INT(throttle.expected, 300 * MS);
	throttle_begin(&throttle, BEGUN);
	throttle_end(&throttle, BEGUN + 9000 * MS, FALSE); /* a failed checkpoint does not count */
	CHECK_INT(throttle.expected, 300 * MS);
	CHECK_INT(throttle.begun, 0);
}

/* Time in which no change waited is not credited later. */
static void test_no_credit(const void *data)
{
	const gint64 later = BEGUN + 10 * G_TIME_SPAN_SECOND;
	Throttle throttle = throttle_at(-1);
	ThrottleTurn turn;

	(void)data;
	throttle_line_up(&throttle, 50, 1, BLOCK_SIZE, later);
	turn = throttle_line_up(&throttle, 50, 1, BLOCK_SIZE, later);
	CHECK_INT(throttle_wait(&throttle, &turn, 50, later + 5 * MS), 10 * MS);
}

/* A change that has waited `most` continues before its turn; the changes behind it then wait only
 * for their own cost. */
static void test_line_moves_up(const void *data)
{
	Throttle throttle = throttle_at(-1);
	ThrottleTurn first = throttle_line_up(&throttle, 50, 1000, BLOCK_SIZE, BEGUN), second;
	gint64 now = BEGUN + wait_of(&throttle, &first, 50), wait;

	(void)data;
	CHECK_INT(now - BEGUN, 30 * MS);
	second = throttle_line_up(&throttle, 50, 1, BLOCK_SIZE, now);
	wait = wait_of(&throttle, &second, 50);
	CHECK(wait >= 9 * MS && wait <= 10 * MS);
}

/* Checks one answer of the throttle to a change that waits. */
static void check_look(const ThrottleTurn *turn, guint pressure, guint64 bytes, gint64 now,
		       gint64 wait)
{
	if (pressure >= THROTTLE_CROWDED)
		CHECK_INT(wait, THROTTLE_LOOK);
	else if (wait)
		CHECK(pressure && wait <= THROTTLE_LOOK &&
		      now + wait - turn->start <= throttle_most(bytes));
	else
		CHECK(!pressure || now - turn->start >= throttle_least(pressure));
}

static gint64 wait_at_random(Throttle *throttle, TestRandom *random, gint64 now, gint limit)
{
	guint64 bytes = test_random_below(random, 2 * MIB);
	double cost = 0.001 + (double)test_random_below(random, 1000) / 100;
	ThrottleTurn turn =
		throttle_line_up(throttle, (guint)test_random_below(random, 101), cost, bytes, now);
	gint64 wait;

	do {
		guint pressure = (guint)test_random_below(random, (guint64)limit);

		wait = throttle_wait(throttle, &turn, pressure, now);
		check_look(&turn, pressure, bytes, now, wait);
		now += wait;
		if (wait)
			now += (gint64)test_random_below(random, 3000); /* wakes up late */
	} while (wait && !test_failed());
	return now;
}

static void test_random_waits(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	gint64 now = BEGUN;
	Throttle throttle;

	(void)data;
	throttle_init(&throttle);
	for (guint i = 0; i < 20000 && !test_failed(); i++) {
		if (test_random_below(&random, 20) == 0)
			throttle_begin(&throttle, now);
		if (throttle.begun && test_random_below(&random, 20) == 0)
			throttle_end(&throttle, now, test_random_below(&random, 2) != 0);
		now = wait_at_random(&throttle, &random, now, i % 2 ? 101 : 100);
		now += (gint64)test_random_below(&random, 20000);
	}
}

/* Eight threads change all the time: the room that they take is spread over the checkpoint. */
static void test_room_lasts(const void *data)
{
	enum { THREADS = 8 };
	Throttle throttle = throttle_at(0);
	ThrottleTurn turns[THREADS];
	gint64 next[THREADS], now = BEGUN;
	double used = 40, half = 0;

	(void)data;
	for (guint i = 0; i < THREADS; i++) {
		turns[i] = throttle_line_up(&throttle, (guint)used, 0.5, 4096, now);
		next[i] = now;
	}
	while (now < BEGUN + EXPECTED) {
		guint first = 0;
		gint64 wait;

		for (guint i = 1; i < THREADS; i++)
			if (next[i] < next[first])
				first = i;
		now = next[first];
		half = now < BEGUN + EXPECTED / 2 ? used : half;
		wait = throttle_wait(&throttle, &turns[first], MIN((guint)used, 100), now);
		if (!wait) {
			used += 0.5;
			turns[first] =
				throttle_line_up(&throttle, MIN((guint)used, 100), 0.5, 4096, now);
		}
		next[first] = now + MAX(wait, 1);
	}
	test_note("%g in use after half of it, %g at the end", half, used);
	CHECK(half > 60 && half < 80); /* of 40 to 100 */
	CHECK(used > 90 && used <= 100);
}

int main(int argc, char **argv)
{
	test_add("each change waits as the formula says", test_table, NULL);
	test_add("a change waits until there is room", test_crowded, NULL);
	test_add("the bounds are those of the formula", test_bounds, NULL);
	test_add("earlier checkpoints predict the duration", test_expected, NULL);
	test_add("time without changes is no credit", test_no_credit, NULL);
	test_add("a change that continues early moves the queue up", test_line_moves_up, NULL);
	test_add("no wait leaves its bounds", test_random_waits, NULL);
	test_add("the room lasts as long as the checkpoint", test_room_lasts, NULL);
	return test_run(argc, argv);
}
