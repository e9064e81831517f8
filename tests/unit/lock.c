/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the locks, which builds for tests check in every thread.  Compiled with the module's
 * checks in any build.
 */
#include "common/base/lock.h"
#include "tests/harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static Lock map = {.level = LOCK_MAP}, journal = {.level = LOCK_JOURNAL};
static Lock grow = {.level = LOCK_GROW}, slots = {.level = LOCK_SLOTS};
static Lock shards[2] = {{.level = LOCK_SHARD}, {.level = LOCK_SHARD}};
static GCond cond;
static int range, other_range;

static void keep_the_order(void)
{
	lock_note(LOCK_RANGE, &range);
	lock_take(&map);
	lock_take(&shards[0]);
	lock_take(&shards[1]);
	lock_take(&journal);
	lock_drop(&map); /* not the lock that was taken last */
	lock_drop(&journal);
	lock_drop(&shards[0]);
	lock_drop(&shards[1]);
	lock_take(&map);
	lock_drop(&map);
	lock_forget(&range);
}

static void work_and_sleep_where_allowed(void)
{
	lock_note(LOCK_RANGE, &range);
	lock_check_io();
	lock_take(&grow);
	lock_check_io();
	lock_drop(&grow);
	lock_take(&map);
	lock_wait_until(&cond, &map, g_get_monotonic_time());
	lock_drop(&map);
	lock_forget(&range);
}

static void take_an_earlier_one(void)
{
	lock_take(&journal);
	lock_take(&map);
}

static void take_one_twice(void)
{
	lock_note(LOCK_MAP, &map);
	lock_take(&map);
}

static void take_shards_backwards(void)
{
	lock_take(&shards[1]);
	lock_take(&shards[0]);
}

static void hold_two_ranges(void)
{
	lock_note(LOCK_RANGE, &range);
	lock_note(LOCK_RANGE, &other_range);
}

static void take_a_range_under_a_lock(void)
{
	lock_take(&map);
	lock_note(LOCK_RANGE, &range);
}

static void drop_what_is_not_held(void)
{
	lock_take(&map);
	lock_forget(&journal);
}

static void sleep_with_another(void)
{
	lock_take(&map);
	lock_take(&journal);
	lock_wait_until(&cond, &journal, g_get_monotonic_time());
}

static void work_under_a_lock(void)
{
	lock_take(&slots);
	lock_check_io();
}

static void rely_on_one_turn(void)
{
	guint64 turn;

	lock_take(&map);
	turn = lock_turn(&map);
	lock_check_held(&map);
	lock_check_turn(&map, turn);
	lock_drop(&map);
}

static void rely_over_a_drop(void)
{
	guint64 turn;

	lock_take(&map);
	turn = lock_turn(&map);
	lock_drop(&map);
	lock_take(&map);
	lock_check_turn(&map, turn);
}

static void rely_over_a_sleep(void)
{
	guint64 turn;

	lock_take(&map);
	turn = lock_turn(&map);
	lock_wait_until(&cond, &map, g_get_monotonic_time());
	lock_check_turn(&map, turn);
}

static void need_what_is_not_held(void)
{
	lock_take(&map);
	lock_check_held(&journal);
}

static const struct {
	const char *name;
	void (*run)(void);
	gboolean ends; /* the process */
} rows[] = {
	{"locks in order", keep_the_order, FALSE},
	{"the backing and a sleep under what allows it", work_and_sleep_where_allowed, FALSE},
	{"an earlier lock under a later one", take_an_earlier_one, TRUE},
	{"the same lock twice", take_one_twice, TRUE},
	{"shards against their order", take_shards_backwards, TRUE},
	{"two ranges", hold_two_ranges, TRUE},
	{"a range under a lock", take_a_range_under_a_lock, TRUE},
	{"dropping what is not held", drop_what_is_not_held, TRUE},
	{"a sleep with a second lock held", sleep_with_another, TRUE},
	{"the backing under a lock", work_under_a_lock, TRUE},
	{"one turn of a lock", rely_on_one_turn, FALSE},
	{"a lock that was dropped in between", rely_over_a_drop, TRUE},
	{"a lock that was slept on in between", rely_over_a_sleep, TRUE},
	{"a lock that is needed and not held", need_what_is_not_held, TRUE},
};

static void child(void (*run)(void))
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	signal(SIGABRT, SIG_DFL);
	if (!freopen("/dev/null", "w", stderr))
		_exit(2);
	run();
	_exit(0);
}

static void test_row_of(const void *data)
{
	guint row = GPOINTER_TO_UINT(data);
	pid_t pid = fork();
	int status = -1;

	if (!pid)
		child(rows[row].run);
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (rows[row].ends)
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	else
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
		test_add(rows[i].name, test_row_of, GUINT_TO_POINTER(i));
	return test_run(argc, argv);
}
