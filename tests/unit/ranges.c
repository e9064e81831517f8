/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on ranges of blocks: who waits for whom, and in which order.
 */
#include "common/engine/ranges.h"
#include "tests/harness.h"

#define WAITERS 4u

/* A thread that holds a range as soon as it can, until it is told to release it. */
typedef struct {
	Ranges *ranges;
	guint64 first, last;
	GThread *thread;
	gint holds, release; /* atomic */
} RangeThread;

static gpointer hold_until_told(gpointer data)
{
	RangeThread *waiter = data;
	RangeHold hold;

	ranges_hold(waiter->ranges, &hold, waiter->first, waiter->last, FALSE);
	g_atomic_int_set(&waiter->holds, TRUE);
	while (!g_atomic_int_get(&waiter->release))
		g_usleep(200);
	ranges_release(waiter->ranges, &hold);
	return NULL;
}

static guint count_waiting(Ranges *ranges)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&ranges->lock);

	return ranges->waiting;
}

/* Starts a thread, and returns when it holds its range (`waits` FALSE) or waits for it. */
static void waiter_start(RangeThread *waiter, Ranges *ranges, guint64 first, guint64 last,
			 gboolean waits)
{
	guint before = count_waiting(ranges);

	*waiter = (RangeThread){.ranges = ranges, .first = first, .last = last};
	waiter->thread = g_thread_new("waiter", hold_until_told, waiter);
	if (waits)
		WAIT_WITHIN(10, count_waiting(ranges) == before + 1);
	else
		WAIT_WITHIN(10, g_atomic_int_get(&waiter->holds));
	CHECK_INT(g_atomic_int_get(&waiter->holds), !waits);
	CHECK_UINT(count_waiting(ranges), before + waits);
}

static void waiter_end(RangeThread *waiter)
{
	g_atomic_int_set(&waiter->release, TRUE);
	g_thread_join(waiter->thread);
}

static gboolean waiter_gets_it(RangeThread *waiter)
{
	WAIT_WITHIN(10, g_atomic_int_get(&waiter->holds));
	return g_atomic_int_get(&waiter->holds);
}

static void test_overlap(const void *data)
{
	static const struct {
		const char *name;
		guint64 first, last;
		gboolean waits;
	} rows[] = {
		{"the same", 10, 19, TRUE},
		{"the first block", 10, 10, TRUE},
		{"the last block", 19, 19, TRUE},
		{"inside", 12, 13, TRUE},
		{"around", 0, 100, TRUE},
		{"its head", 0, 10, TRUE},
		{"its tail", 19, 100, TRUE},
		{"just before", 0, 9, FALSE},
		{"just behind", 20, 20, FALSE},
		{"the last there is", G_MAXUINT64, G_MAXUINT64, FALSE},
	};
	Ranges ranges;

	(void)data;
	ranges_init(&ranges);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		RangeThread holder, other;
		RangeHold hold;

		test_row("%s", rows[i].name);
		waiter_start(&holder, &ranges, 10, 19, FALSE);
		CHECK_INT(ranges_hold(&ranges, &hold, rows[i].first, rows[i].last, TRUE),
			  !rows[i].waits);
		if (!rows[i].waits)
			ranges_release(&ranges, &hold);
		waiter_start(&other, &ranges, rows[i].first, rows[i].last, rows[i].waits);
		waiter_end(&holder);
		CHECK(waiter_gets_it(&other));
		waiter_end(&other);
		CHECK(!ranges.head && !ranges.tail);
	}
	ranges_clear(&ranges);
}

/* A request that was refused without waiting holds no range, and no other request waits for it. */
static void test_nowait(const void *data)
{
	RangeThread holder, other;
	RangeHold hold;
	Ranges ranges;

	(void)data;
	ranges_init(&ranges);
	waiter_start(&holder, &ranges, 0, 9, FALSE);
	CHECK(!ranges_hold(&ranges, &hold, 5, 20, TRUE));
	waiter_start(&other, &ranges, 10, 20, FALSE);
	waiter_end(&holder);
	waiter_end(&other);
	CHECK(ranges_hold(&ranges, &hold, 5, 20, TRUE));
	ranges_release(&ranges, &hold);
	ranges_clear(&ranges);
}

/* The others keep their ranges when one between them ends. */
static void test_middle(const void *data)
{
	RangeThread first, last;
	RangeHold middle, hold;
	Ranges ranges;

	(void)data;
	ranges_init(&ranges);
	waiter_start(&first, &ranges, 0, 9, FALSE);
	CHECK(ranges_hold(&ranges, &middle, 20, 29, TRUE));
	waiter_start(&last, &ranges, 40, 49, FALSE);
	ranges_release(&ranges, &middle);
	CHECK(!ranges_hold(&ranges, &hold, 5, 5, TRUE));
	CHECK(!ranges_hold(&ranges, &hold, 45, 45, TRUE));
	CHECK(ranges_hold(&ranges, &hold, 25, 25, TRUE));
	waiter_end(&last);
	ranges_release(&ranges, &hold);
	waiter_end(&first);
	CHECK(!ranges.head && !ranges.tail);
	ranges_clear(&ranges);
}

/* A small range that is requested later does not overtake a large one that already waits.  Requests
 * are served in the order of arrival, so that none starves. */
static void test_order(const void *data)
{
	RangeThread waiters[WAITERS];
	Ranges ranges;

	(void)data;
	ranges_init(&ranges);
	waiter_start(&waiters[0], &ranges, 0, 0, FALSE);
	waiter_start(&waiters[1], &ranges, 0, 9, TRUE);
	waiter_start(&waiters[2], &ranges, 9, 9, TRUE); /* free, but behind an earlier request */
	waiter_start(&waiters[3], &ranges, 9, 20, TRUE);
	for (guint i = 0; i < WAITERS; i++) {
		test_row("waiter %u", i);
		CHECK(waiter_gets_it(&waiters[i]));
		g_usleep(2000); /* a range that is granted too early would be held after this */
		for (guint later = i + 1; later < WAITERS; later++)
			CHECK(!g_atomic_int_get(&waiters[later].holds));
		waiter_end(&waiters[i]);
	}
	ranges_clear(&ranges);
}

/* Counters that only the holders of their blocks change. */
#define BLOCKS 8u
#define ROUNDS 2000u

typedef struct {
	Ranges ranges;
	guint counts[BLOCKS]; /* counters; not atomic */
	guint64 seed;
} Counting;

static gpointer count_up(gpointer data)
{
	Counting *counting = data;
	TestRandom random =
		test_random_new(__atomic_add_fetch(&counting->seed, 1, __ATOMIC_RELAXED));

	for (guint i = 0; i < ROUNDS; i++) {
		guint64 first = test_random_below(&random, BLOCKS);
		guint64 last = first + test_random_below(&random, BLOCKS - first);
		RangeHold hold;

		ranges_hold(&counting->ranges, &hold, first, last, FALSE);
		for (guint64 block = first; block <= last; block++) {
			guint count = *(volatile guint *)&counting->counts[block];

			if (i % 64 == 0)
				g_thread_yield();
			*(volatile guint *)&counting->counts[block] = count + 1;
		}
		ranges_release(&counting->ranges, &hold);
		test_random(&random);
	}
	return NULL;
}

/* Computes from a thread's random numbers how often it increments each counter. */
static void expect_counts(guint64 seed, guint *expected)
{
	TestRandom random = test_random_new(seed);

	for (guint i = 0; i < ROUNDS; i++) {
		guint64 first = test_random_below(&random, BLOCKS);
		guint64 last = first + test_random_below(&random, BLOCKS - first);

		for (guint64 block = first; block <= last; block++)
			expected[block]++;
		test_random(&random);
	}
}

static void test_exclusive(const void *data)
{
	Counting counting = {.seed = test_seed()};
	guint expected[BLOCKS] = {0};
	GThread *threads[WAITERS];

	(void)data;
	ranges_init(&counting.ranges);
	for (guint i = 0; i < WAITERS; i++)
		expect_counts(counting.seed + 1 + i, expected);
	for (guint i = 0; i < WAITERS; i++)
		threads[i] = g_thread_new("count", count_up, &counting);
	for (guint i = 0; i < WAITERS; i++)
		g_thread_join(threads[i]);
	for (guint i = 0; i < BLOCKS; i++) {
		test_row("block %u", i);
		CHECK_UINT(counting.counts[i], expected[i]);
	}
	ranges_clear(&counting.ranges);
}

/* Several at once: as many as nobody holds, up to the first that another holds or waits for, or
 * that overlaps an earlier one. */
static void test_some(const void *data)
{
	static const struct {
		const char *name;
		RangeHold ranges[4];
		guint held;
	} rows[] = {
		{"all of them",
		 {{.first = 0, .last = 3}, {.first = 9}, {.first = 4}, {.first = 30}},
		 4},
		{"none", {{.first = 10, .last = 10}, {.first = 1}, {.first = 2}, {.first = 3}}, 0},
		{"up to the one that is held",
		 {{.first = 1}, {.first = 2}, {.first = 19}, {.first = 3}},
		 2},
		{"up to the one that is waited for",
		 {{.first = 1}, {.first = 22}, {.first = 3}, {.first = 4}},
		 1},
		{"up to one of its own",
		 {{.first = 0, .last = 5}, {.first = 7}, {.first = 3}, {.first = 8}},
		 2},
	};
	Ranges ranges;

	(void)data;
	ranges_init(&ranges);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		RangeThread holder, waits, other;
		RangeHold holds[4];
		guint held;

		test_row("%s", rows[i].name);
		memcpy(holds, rows[i].ranges, sizeof holds);
		for (guint k = 0; k < 4; k++)
			holds[k].last = MAX(holds[k].first, holds[k].last);
		waiter_start(&holder, &ranges, 10, 19, FALSE);
		waiter_start(&waits, &ranges, 19, 25, TRUE);
		held = ranges_hold_some(&ranges, holds, 4);
		CHECK_UINT(held, rows[i].held);
		if (held) {
			waiter_start(&other, &ranges, holds[0].first, holds[0].first, TRUE);
			ranges_release_some(&ranges, holds, held);
			CHECK(waiter_gets_it(&other));
			waiter_end(&other);
		}
		waiter_end(&holder);
		waiter_end(&waits);
		CHECK(!ranges.head && !ranges.tail);
	}
	ranges_clear(&ranges);
}

int main(int argc, char **argv)
{
	test_add("ranges that overlap wait, others do not", test_overlap, NULL);
	test_add("a range that is refused without waiting is not held", test_nowait, NULL);
	test_add("ranges that are held outlast one between them", test_middle, NULL);
	test_add("ranges are granted in the order of arrival", test_order, NULL);
	test_add("several ranges are held only if nobody has to wait", test_some, NULL);
	test_add("one holder for each block", test_exclusive, NULL);
	test_alarm(20, "ranges");
	return test_run(argc, argv);
}
