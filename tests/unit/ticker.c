/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/ticker.h"

#include "tests/harness.h"

typedef struct {
	Ticker ticker; /* first */
	gint calls;    /* atomic */
	gint again;    /* atomic: how often it asks to be called again */
	gint busy;     /* atomic: a call goes on until this is FALSE */
} Counter;

static gboolean count_call(Ticker *ticker)
{
	Counter *counter = (Counter *)ticker;

	g_atomic_int_inc(&counter->calls);
	while (g_atomic_int_get(&counter->busy))
		g_usleep(1000);
	return g_atomic_int_add(&counter->again, -1) > 0;
}

static gboolean counter_add(Counter *counter)
{
	*counter = (Counter){.ticker.run = count_call};
	return CHECK(ticker_add(&counter->ticker, NULL));
}

static gint calls(Counter *counter)
{
	return g_atomic_int_get(&counter->calls);
}

static void test_once(const void *data)
{
	const gint64 begun = g_get_monotonic_time();
	Counter set, other;

	(void)data;
	REQUIRE(counter_add(&set) && counter_add(&other));
	for (guint i = 0; i < 10; i++)
		ticker_set(&set.ticker);
	WAIT_WITHIN(5, calls(&set));
	CHECK(g_get_monotonic_time() - begun >= G_USEC_PER_SEC);
	g_usleep(1500000);
	CHECK_INT(calls(&set), 1);
	CHECK_INT(calls(&other), 0);
	ticker_set(&set.ticker);
	WAIT_WITHIN(5, calls(&set) == 2);
	CHECK_INT(calls(&set), 2);
	ticker_remove(&set.ticker);
	ticker_remove(&other.ticker);
}

static void test_again(const void *data)
{
	Counter counter;

	(void)data;
	REQUIRE(counter_add(&counter));
	counter.again = 2;
	ticker_set(&counter.ticker);
	WAIT_WITHIN(10, calls(&counter) == 3);
	g_usleep(1500000);
	CHECK_INT(calls(&counter), 3);
	ticker_remove(&counter.ticker);
}

/* What is set during a call may have come too late for that call. */
static void test_set_meanwhile(const void *data)
{
	Counter counter;

	(void)data;
	REQUIRE(counter_add(&counter));
	counter.busy = TRUE;
	ticker_set(&counter.ticker);
	WAIT_WITHIN(5, calls(&counter));
	ticker_set(&counter.ticker);
	g_atomic_int_set(&counter.busy, FALSE);
	WAIT_WITHIN(5, calls(&counter) == 2);
	CHECK_INT(calls(&counter), 2);
	ticker_remove(&counter.ticker);
}

static gpointer end_call(gpointer data)
{
	Counter *counter = data;

	g_usleep(200000);
	g_atomic_int_set(&counter->busy, FALSE);
	return NULL;
}

static void test_remove(const void *data)
{
	Counter counter, set;
	GThread *thread;

	(void)data;
	REQUIRE(counter_add(&counter) && counter_add(&set));
	ticker_set(&set.ticker);
	ticker_remove(&set.ticker);
	counter.busy = TRUE;
	counter.again = 1;
	ticker_set(&counter.ticker);
	WAIT_WITHIN(5, calls(&counter));
	thread = g_thread_new("ender", end_call, &counter);
	ticker_remove(&counter.ticker);
	CHECK_INT(g_atomic_int_get(&counter.busy), FALSE);
	g_thread_join(thread);
	g_usleep(1500000);
	CHECK_INT(calls(&counter), 1);
	CHECK_INT(calls(&set), 0);
}

int main(int argc, char **argv)
{
	test_add("who is set is called once, a second later", test_once, NULL);
	test_add("a call may ask for another", test_again, NULL);
	test_add("who is set during its call is called again", test_set_meanwhile, NULL);
	test_add("who is removed is not called any more", test_remove, NULL);
	return test_run(argc, argv);
}
