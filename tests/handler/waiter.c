/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks that are given back to the thread that waits for them; and when it waits. */
#include "handler/waiter.h"

#include <sched.h>

#include "common/base/thread.h"
#include "handler/spinners.h"
#include "tests/harness.h"

#define FAR (3600 * (gint64)G_USEC_PER_SEC)

static Tasks *tasks;

guint8 *runner_command_sense(const RunnerCommand *cmd)
{
	return (guint8 *)cmd;
}

static void answer_late(gpointer data, const Task *task)
{
	(void)data;
	(void)task;
}

static gboolean tick(gpointer data)
{
	(void)data;
	return FALSE;
}

static gboolean open_tasks(void)
{
	const TasksOwner owner = {.late = answer_late, .tick = tick};

	tasks = g_new0(Tasks, 1);
	tasks_init(tasks);
	return CHECK(tasks_start(tasks, &owner, NULL));
}

static void close_tasks(void)
{
	CHECK(tasks_are_left_alone(tasks));
	tasks_stop(tasks);
	tasks_clear(tasks);
	g_clear_pointer(&tasks, g_free);
}

static Task *take_task(void)
{
	const Task wanted = {.deadline = g_get_monotonic_time() + FAR};

	return tasks_take(tasks, &wanted);
}

static gboolean give_back(Task *task)
{
	return tasks_give_back(tasks, &task, 1);
}

/* Whether the dispatch thread would wait with `n` writes under way. */
static gboolean waits_with(Waiter *waiter, gint n)
{
	gboolean waits = waiter_count(waiter, n) && waiter_begin(waiter);

	if (waits)
		CHECK(!waiter_end(waiter, FALSE));
	return waits;
}

/* How many of `chances` with `n` writes under way were taken. */
static guint count_waits(Waiter *waiter, gint n, guint chances)
{
	guint waits = 0;

	while (chances--)
		waits += waits_with(waiter, n);
	return waits;
}

/* It waits when as many writes are under way as there are at a time, however that changes. */
static void test_depth(const void *data)
{
	Waiter waiter;

	(void)data;
	if (thread_processors() < 2 || !open_tasks())
		return;
	waiter_init(&waiter, tasks);
	CHECK(!waits_with(&waiter, 1)); /* are there more? */
	CHECK(waits_with(&waiter, 1));
	CHECK(!waits_with(&waiter, 2));
	CHECK(!waits_with(&waiter, 3));
	CHECK(!waits_with(&waiter, 2));
	CHECK(waits_with(&waiter, 3));
	CHECK(count_waits(&waiter, 1, 1000) > 400);  /* there is one only, it has noticed */
	CHECK(count_waits(&waiter, 1, 1000) < 1000); /* and goes on looking */
	close_tasks();
}

/* A wait in vain ends, and makes the next ones rarer, until one was not in vain. */
static void test_in_vain(const void *data)
{
	Waiter waiter;
	guint waits = 0;

	(void)data;
	if (thread_processors() < 2 || !open_tasks())
		return;
	waiter_init(&waiter, tasks);
	for (guint i = 0; i < 1000; i++)
		if (waiter_count(&waiter, 1) && waiter_begin(&waiter)) {
			gint64 begun = g_get_monotonic_time();

			waits++;
			CHECK(!waiter_end(&waiter, TRUE));
			CHECK_WITHIN(begun, 1);
		}
	CHECK(waits >= 5 && waits < 40);
	for (guint i = 0; i < 100; i++)
		if (waiter_count(&waiter, 1) && waiter_begin(&waiter)) {
			CHECK(give_back(take_task()));
			task_free(waiter_end(&waiter, TRUE));
		}
	CHECK(count_waits(&waiter, 1, 100) > 90);
	close_tasks();
}

/* Tasks come in the order in which they were given back; nobody has any when nobody collects. */
static void test_given_back(const void *data)
{
	Task *task[5], *got;

	(void)data;
	if (!open_tasks())
		return;
	for (guint i = 0; i < 5; i++)
		task[i] = take_task();
	CHECK(!give_back(task[0]));
	CHECK(tasks_collect_begin(tasks));
	CHECK(!tasks_collect_begin(tasks));
	CHECK(!tasks_have_some_given_back(tasks));
	CHECK(!tasks_are_left_alone(tasks));
	for (guint i = 0; i < 3; i++)
		CHECK(give_back(task[i]));
	CHECK(tasks_give_back(tasks, task + 3, 2));
	CHECK(tasks_have_some_given_back(tasks));
	got = tasks_collect_end(tasks);
	for (guint i = 0; i < 5 && CHECK(got == task[i]); i++)
		got = got->next;
	CHECK(!got);
	CHECK(!give_back(task[0]));
	CHECK(tasks_collect_begin(tasks));
	CHECK(!tasks_collect_end(tasks));
	for (guint i = 0; i < 5; i++)
		task_free(task[i]);
	close_tasks();
}

#define RACES 20000u

static gint answered; /* atomic */

static gpointer give_tasks(gpointer data)
{
	(void)data;
	for (guint i = 0; i < RACES; i++) {
		Task *task = take_task();

		if (!give_back(task)) {
			g_atomic_int_inc(&answered);
			task_free(task);
		}
	}
	return NULL;
}

static void collect_tasks(void)
{
	Task *next;

	if (!tasks_collect_begin(tasks))
		return;
	while (!tasks_have_some_given_back(tasks) && g_random_int() % 16)
		;
	for (Task *task = tasks_collect_end(tasks); task; task = next) {
		next = task->next;
		g_atomic_int_inc(&answered);
		task_free(task);
	}
}

/* Each task is answered once, whoever does it. */
static void test_races(const void *data)
{
	GThread *givers[2];

	(void)data;
	if (!open_tasks())
		return;
	g_atomic_int_set(&answered, 0);
	for (guint i = 0; i < 2; i++)
		givers[i] = g_thread_new("giver", give_tasks, NULL);
	test_alarm(100, "tasks to be given back");
	while (g_atomic_int_get(&answered) < (gint)(2 * RACES))
		collect_tasks();
	test_alarm(0, "");
	for (guint i = 0; i < 2; i++)
		g_thread_join(givers[i]);
	CHECK_INT(g_atomic_int_get(&answered), 2 * RACES);
	close_tasks();
}

/* Half of the processors may spin at a time, and none of one. */
static void test_processors(const void *data)
{
	Spinners all = {0}, one = {0};
	cpu_set_t before, first;
	guint n = 0;

	(void)data;
	while (n < 1000 && spinners_join(&all))
		n++;
	CHECK_UINT(n, thread_processors() / 2);
	if (n) {
		spinners_leave(&all);
		CHECK(spinners_join(&all));
	}
	CHECK(!sched_getaffinity(0, sizeof before, &before));
	CPU_ZERO(&first);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&first); i++)
		if (CPU_ISSET(i, &before))
			CPU_SET(i, &first);
	CHECK(!sched_setaffinity(0, sizeof first, &first));
	CHECK(!spinners_join(&one));
	CHECK(!spinners_join(&one));
	CHECK(!sched_setaffinity(0, sizeof before, &before));
}

int main(int argc, char **argv)
{
	test_add("the depth is found", test_depth, NULL);
	test_add("waiting in vain ends and becomes rare", test_in_vain, NULL);
	test_add("tasks are given back in order", test_given_back, NULL);
	test_add("each task is answered once", test_races, NULL);
	test_add("half of the processors spin at most", test_processors, NULL);
	return test_run(argc, argv);
}
