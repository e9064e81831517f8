/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads of a Workers that spin for the next item.
 */
#include "common/base/workers.h"

#include <sched.h>

#include "common/base/thread.h"
#include "tests/harness.h"

typedef struct {
	WorkItem item;
	gint done; /* atomic */
} Flag;

static void raise_flag(WorkItem *item)
{
	g_atomic_int_set(&((Flag *)item)->done, TRUE);
}

static void wait_for_flag(Flag *flag)
{
	while (!g_atomic_int_get(&flag->done))
		workers_relax();
}

/* Queues one item after the other, as fast as they are done, until one can be handed over. */
static gboolean hand_within(Workers *workers, gint64 microseconds)
{
	gint64 end = g_get_monotonic_time() + microseconds;

	while (g_get_monotonic_time() < end) {
		Flag first = {.item.run = raise_flag}, second = first;
		gboolean handed;

		workers_push(workers, &first.item);
		wait_for_flag(&first);
		for (guint i = 0; i < 1000; i++)
			workers_relax();
		handed = workers_hand(workers, &second.item);
		if (handed)
			wait_for_flag(&second);
		if (handed)
			return TRUE;
	}
	return FALSE;
}

/* A thread spins if items come alone and fast, takes what it is given, and does not spin for long.
 */
static void test_spins(const void *data)
{
	Workers *workers = workers_new("test", 4, NULL);
	Flag none = {.item.run = raise_flag};

	(void)data;
	REQUIRE(workers);
	workers_allow_spinning(workers);
	CHECK(!workers_hand(workers, &none.item)); /* nothing came yet */
	if (thread_processors() > 1) {
		CHECK(hand_within(workers, 60 * G_USEC_PER_SEC));
		g_usleep(200000);
		CHECK(!workers_hand(workers, &none.item));
	}
	workers_free(workers);
}

static void test_spins_nowhere(const void *data)
{
	Workers *plain = workers_new("test", 4, NULL), *one = workers_new("test", 4, NULL);
	cpu_set_t before, first;

	(void)data;
	REQUIRE(plain && one);
	CHECK(!hand_within(plain, G_USEC_PER_SEC / 2)); /* was not allowed to */
	CHECK(!sched_getaffinity(0, sizeof before, &before));
	CPU_ZERO(&first);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&first); i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &first);
	CHECK(!sched_setaffinity(0, sizeof first, &first));
	workers_allow_spinning(one);
	CHECK(!sched_setaffinity(0, sizeof before, &before));
	CHECK(!hand_within(one, G_USEC_PER_SEC / 2));
	workers_free(plain);
	workers_free(one);
}

typedef struct {
	WorkItem item;
	gint *go;   /* atomic */
	gint *left; /* atomic */
} Paired;

static void run_paired(WorkItem *item)
{
	Paired *paired = (Paired *)item;

	while (!g_atomic_int_get(paired->go))
		workers_relax();
	g_atomic_int_add(paired->left, -1);
}

/* Items that come while others wait are for several threads, or for a batch. */
static void test_no_spin_under_load(const void *data)
{
	Workers *workers = workers_new("test", 1, NULL);
	gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC / 2;

	(void)data;
	REQUIRE(workers);
	workers_allow_spinning(workers);
	while (g_get_monotonic_time() < end) {
		gint go = FALSE, left = 2;
		Paired pair[2] = {{{.run = run_paired}, &go, &left},
				  {{.run = run_paired}, &go, &left}};
		Flag none = {.item.run = raise_flag};

		workers_push(workers, &pair[0].item);
		workers_push(workers, &pair[1].item);
		g_atomic_int_set(&go, TRUE);
		while (g_atomic_int_get(&left))
			workers_relax();
		for (guint i = 0; i < 1000; i++)
			workers_relax();
		if (!CHECK(!workers_hand(workers, &none.item)))
			break;
	}
	workers_free(workers);
}

/* What comes while a thread begins or ends to spin is neither lost nor run twice. */
static void test_spin_races(const void *data)
{
	Workers *workers = workers_new("test", 3, NULL);

	(void)data;
	REQUIRE(workers);
	workers_allow_spinning(workers);
	for (guint i = 0; i < 20000; i++) {
		Flag flags[3] = {{{.run = raise_flag}, 0},
				 {{.run = raise_flag}, 0},
				 {{.run = raise_flag}, 0}};
		guint n = i % 100 == 99 ? 3 : 1;

		for (guint k = 0; k < n; k++)
			workers_push(workers, &flags[k].item);
		for (guint k = 0; k < n; k++)
			wait_for_flag(&flags[k]);
		if (i % 50 == 0)
			g_usleep(WORKERS_SPIN_US - 10 + i % 20);
	}
	workers_free(workers);
}

int main(int argc, char **argv)
{
	test_add("a thread spins while items come alone and fast", test_spins, NULL);
	test_add("no thread spins unasked, or with one processor", test_spins_nowhere, NULL);
	test_add("no thread spins while items come together", test_no_spin_under_load, NULL);
	test_add("items are run once around spinning", test_spin_races, NULL);
	return test_run(argc, argv);
}
