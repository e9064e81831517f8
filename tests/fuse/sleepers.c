/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/sleepers.h"

#include <string.h>

#include "common/base/units.h"
#include "tests/harness.h"

#define KEPT 64 /* MiB */

typedef struct {
	GMutex lock;
	GCond changed;
	gboolean go_on;
	guint n[SLEEPERS_KINDS]; /* that run, or have run */
	guint wrong;
} Gate;

typedef struct {
	Gate *gate;
	SleepersKind kind;
	guint8 value;
} SleepTask;

static void gate_init(Gate *gate)
{
	*gate = (Gate){0};
	g_mutex_init(&gate->lock);
	g_cond_init(&gate->changed);
}

static void gate_open(Gate *gate)
{
	g_mutex_lock(&gate->lock);
	gate->go_on = TRUE;
	g_cond_broadcast(&gate->changed);
	g_mutex_unlock(&gate->lock);
}

static gboolean gate_has_run(Gate *gate, SleepersKind kind, guint n)
{
	gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
	gboolean enough;

	g_mutex_lock(&gate->lock);
	while (gate->n[kind] < n && g_cond_wait_until(&gate->changed, &gate->lock, end))
		;
	enough = gate->n[kind] >= n;
	g_mutex_unlock(&gate->lock);
	return enough;
}

/* Reads do not wait, the others do. */
static void run(gpointer data, const guint8 *bytes)
{
	const SleepTask *task = data;
	Gate *gate = task->gate;

	g_mutex_lock(&gate->lock);
	gate->n[task->kind]++;
	gate->wrong += task->value && bytes[0] != task->value;
	g_cond_broadcast(&gate->changed);
	while (!gate->go_on && task->kind != SLEEPERS_READ)
		g_cond_wait(&gate->changed, &gate->lock);
	g_mutex_unlock(&gate->lock);
}

static gboolean push(Sleepers *sleepers, Gate *gate, SleepersKind kind, const guint8 *data,
		     gsize length)
{
	const SleepTask task = {gate, kind, length ? data[0] : 0};

	return sleepers_hand_over(sleepers, kind, run, &task, sizeof task, data, length);
}

static void test_kinds(const void *data)
{
	Sleepers *sleepers = sleepers_new(2, SLEEPERS_THREADS, NULL);
	Gate gate;

	(void)data;
	REQUIRE(sleepers != NULL);
	gate_init(&gate);
	for (guint i = 0; i < 100; i++) {
		CHECK(push(sleepers, &gate, SLEEPERS_CHANGE, NULL, 0));
		CHECK(push(sleepers, &gate, SLEEPERS_FLUSH, NULL, 0));
	}
	CHECK(push(sleepers, &gate, SLEEPERS_READ, NULL, 0));
	CHECK(gate_has_run(&gate, SLEEPERS_READ, 1));
	gate_open(&gate);
	sleepers_free(sleepers);
	CHECK_UINT(gate.n[SLEEPERS_CHANGE], 100);
	CHECK_UINT(gate.n[SLEEPERS_FLUSH], 100);
}

typedef struct {
	Sleepers *sleepers;
	Gate *gate;
	gint pushed;
} SleepPusher;

static gpointer push_all(gpointer data)
{
	SleepPusher *pusher = data;
	guint8 *bytes = g_malloc(MIB);

	for (guint i = 0; i < KEPT + 10; i++) {
		memset(bytes, 1 + (int)i, MIB);
		CHECK(push(pusher->sleepers, pusher->gate, SLEEPERS_CHANGE, bytes, MIB));
		g_atomic_int_inc(&pusher->pushed);
	}
	g_free(bytes);
	return NULL;
}

static void test_bound(const void *data)
{
	Gate gate;
	SleepPusher pusher = {sleepers_new(2, SLEEPERS_THREADS, NULL), &gate, 0};
	gint64 end = g_get_monotonic_time() + 20 * G_USEC_PER_SEC;
	GThread *thread;

	(void)data;
	REQUIRE(pusher.sleepers != NULL);
	gate_init(&gate);
	thread = g_thread_new("pusher", push_all, &pusher);
	while (g_atomic_int_get(&pusher.pushed) < KEPT && g_get_monotonic_time() < end)
		g_usleep(1000);
	g_usleep(100000); /* in which it must not go on */
	CHECK_INT(g_atomic_int_get(&pusher.pushed), KEPT);
	gate_open(&gate);
	g_thread_join(thread);
	sleepers_free(pusher.sleepers);
	CHECK_UINT(gate.n[SLEEPERS_CHANGE], KEPT + 10);
	CHECK_UINT(gate.wrong, 0);
}

/* ---- memory of large copies */

#define LARGE_COPIES 24u

typedef struct {
	Gate *gate;
	guint8 value;
	gsize length;
} LargeTask;

/* Compares after the wait: then all copies are there at once. */
static void run_large(gpointer data, const guint8 *bytes)
{
	const LargeTask *task = data;
	Gate *gate = task->gate;
	guint wrong = 0;

	g_mutex_lock(&gate->lock);
	while (!gate->go_on)
		g_cond_wait(&gate->changed, &gate->lock);
	g_mutex_unlock(&gate->lock);
	for (gsize i = 0; i < task->length; i++)
		wrong += bytes[i] != task->value;
	g_mutex_lock(&gate->lock);
	gate->n[SLEEPERS_CHANGE]++;
	gate->wrong += wrong;
	g_cond_broadcast(&gate->changed);
	g_mutex_unlock(&gate->lock);
}

static void round_of_copies(Sleepers *sleepers, guint round)
{
	static const gsize lengths[] = {MIB, 64 * KIB + 1, 64 * KIB, 2 * MIB, MIB - 512};
	g_autofree guint8 *bytes = g_malloc(2 * MIB);
	Gate gate;

	gate_init(&gate);
	for (guint i = 0; i < LARGE_COPIES; i++) {
		LargeTask task = {&gate, (guint8)(1 + round * LARGE_COPIES + i),
				  lengths[i % G_N_ELEMENTS(lengths)]};

		memset(bytes, task.value, task.length);
		CHECK(sleepers_hand_over(sleepers, SLEEPERS_CHANGE, run_large, &task, sizeof task,
					 bytes, task.length));
	}
	gate_open(&gate);
	CHECK(gate_has_run(&gate, SLEEPERS_CHANGE, LARGE_COPIES));
	CHECK_UINT(gate.wrong, 0);
}

/* The process's own memory, KiB. */
static guint64 memory_now(void)
{
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents("/proc/self/status", &text, NULL, NULL))
		return 0;
	line = strstr(text, "RssAnon:");
	return line ? g_ascii_strtoull(line + strlen("RssAnon:"), NULL, 10) : 0;
}

static void test_large(const void *data)
{
	Sleepers *sleepers = sleepers_new(2, SLEEPERS_THREADS, NULL);
	guint64 used;

	(void)data;
	REQUIRE(sleepers != NULL);
	for (guint round = 0; round < 4; round++)
		round_of_copies(sleepers, round);
	used = memory_now();
	if (!test_is_instrumented()) {
		WAIT_WITHIN(20, memory_now() + 10 * 1024 < used);
		CHECK(memory_now() + 10 * 1024 < used);
	}
	sleepers_free(sleepers);
}

static void test_takers(const void *data)
{
	Sleepers *sleepers = sleepers_new(3, SLEEPERS_THREADS, NULL);

	(void)data;
	REQUIRE(sleepers != NULL);
	CHECK(sleepers_try_write(sleepers));
	CHECK(sleepers_try_write(sleepers));
	CHECK(!sleepers_try_write(sleepers));
	sleepers_end_write(sleepers);
	CHECK(sleepers_try_write(sleepers));
	CHECK(!sleepers_try_write(sleepers));
	sleepers_free(sleepers);
}

int main(int argc, char **argv)
{
	test_add("what one kind waits for does not hold up another", test_kinds, NULL);
	test_add("no more than 64 MiB are kept", test_bound, NULL);
	test_add("large copies have memory of their own, which idle threads give back", test_large,
		 NULL);
	test_add("of the threads that take requests one does not write", test_takers, NULL);
	return test_run(argc, argv);
}
