/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/workers.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "common/base/error.h"
#include "tests/harness.h"

#define NAME "some-worker"

typedef struct {
	WorkItem item;
	Workers *workers;
	guint number;
	guint again; /* how often the job pushes itself again */
	gboolean signals_blocked;
} Job;

static GMutex mutex;
static GCond changed;
static GArray *order; /* numbers of the jobs that ran */
static guint waiting;
static gboolean gate_open;

static void reset(void)
{
	g_clear_pointer(&order, g_array_unref);
	order = g_array_new(FALSE, FALSE, sizeof(guint));
	waiting = 0;
	gate_open = FALSE;
}

static void run_job(WorkItem *item)
{
	Job *job = (Job *)item;
	gboolean again = job->again > 0;
	Workers *workers = job->workers;

	g_mutex_lock(&mutex);
	g_array_append_val(order, job->number);
	if (again)
		job->again--;
	g_cond_broadcast(&changed);
	g_mutex_unlock(&mutex);
	if (again)
		workers_push(workers, item);
}

static void run_and_free(WorkItem *item)
{
	run_job(item);
	g_free(item);
}

static void wait_at_gate(WorkItem *item)
{
	(void)item;
	g_mutex_lock(&mutex);
	waiting++;
	g_cond_broadcast(&changed);
	while (!gate_open)
		g_cond_wait(&changed, &mutex);
	g_mutex_unlock(&mutex);
}

static void look_at_signals(WorkItem *item)
{
	Job *job = (Job *)item;
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	job->signals_blocked = sigismember(&set, SIGTERM) && sigismember(&set, SIGINT) &&
			       sigismember(&set, SIGALRM) && sigismember(&set, SIGUSR1);
}

static void wait_until_waiting(guint n)
{
	g_mutex_lock(&mutex);
	while (waiting < n)
		g_cond_wait(&changed, &mutex);
	g_mutex_unlock(&mutex);
}

static void wait_until_done(guint n)
{
	g_mutex_lock(&mutex);
	while (order->len < n)
		g_cond_wait(&changed, &mutex);
	g_mutex_unlock(&mutex);
}

static void open_gate(void)
{
	g_mutex_lock(&mutex);
	gate_open = TRUE;
	g_cond_broadcast(&changed);
	g_mutex_unlock(&mutex);
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define KEEPS_PTHREAD_CREATE /* the sanitizer's own */
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define KEEPS_PTHREAD_CREATE
#endif

static gint no_threads __attribute__((unused)); /* atomic: none can be created */

#ifndef KEEPS_PTHREAD_CREATE

__attribute__((visibility("default"))) int pthread_create(pthread_t *thread,
							  const pthread_attr_t *attributes,
							  void *(*run)(void *), void *data);

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		   void *data)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return g_atomic_int_get(&no_threads) ? EAGAIN : real(thread, attributes, run, data);
}
#endif

static gboolean is_worker(const char *task)
{
	g_autofree char *path = g_strdup_printf("/proc/self/task/%s/comm", task);
	g_autofree char *name = NULL;

	return g_file_get_contents(path, &name, NULL, NULL) && g_str_has_prefix(name, NAME);
}

static guint workers_now(void)
{
	g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
	const char *task;
	guint n = 0;

	while (tasks && (task = g_dir_read_name(tasks)))
		n += is_worker(task);
	return n;
}

/* A thread that was joined may still be listed. */
static void wait_for_no_worker(void)
{
	WAIT_WITHIN(3 * WORKERS_IDLE_SECONDS, !workers_now());
	CHECK_UINT(workers_now(), 0);
}

/* One at a time needs one thread, four at once need four, and no work needs none. */
static void test_on_demand(const void *data)
{
	Workers *workers = workers_new(NAME, 4, NULL);
	WorkItem items[6];
	Job jobs[20];

	(void)data;
	REQUIRE(workers);
	reset();
	wait_for_no_worker();
	for (guint i = 0; i < G_N_ELEMENTS(jobs); i++) {
		jobs[i] = (Job){.item.run = run_job, .number = i};
		workers_push(workers, &jobs[i].item);
		wait_until_done(i + 1);
		g_usleep(20000); /* it is idle again */
	}
	CHECK_UINT(workers_now(), 1);
	for (guint i = 0; i < G_N_ELEMENTS(items); i++) {
		items[i] = (WorkItem){.run = wait_at_gate};
		workers_push(workers, &items[i]);
	}
	wait_until_waiting(4);
	CHECK_UINT(workers_now(), 4);
	open_gate();
	wait_for_no_worker();
	workers_push(workers, &jobs[0].item);
	wait_until_done(G_N_ELEMENTS(jobs) + 1);
	workers_free(workers);
	CHECK_UINT(waiting, 6);
}

#ifndef KEEPS_PTHREAD_CREATE
/* Items are run all the same, and when there is room for threads again, by those. */
static void test_no_threads(const void *data)
{
	Workers *workers = workers_new(NAME, 3, NULL), *others = workers_new(NAME, 3, NULL);
	WorkItem gate = {.run = wait_at_gate};
	Job jobs[100];

	(void)data;
	REQUIRE(workers && others);
	reset();
	g_atomic_int_set(&no_threads, TRUE);
	for (guint i = 0; i < G_N_ELEMENTS(jobs); i++) {
		jobs[i] = (Job){.item.run = run_job, .number = i};
		workers_push(i % 2 ? workers : others, &jobs[i].item);
	}
	wait_until_done(G_N_ELEMENTS(jobs));
	wait_for_no_worker();
	workers_push(others, &gate);
	wait_until_waiting(1); /* the reserve is taken */
	g_atomic_int_set(&no_threads, FALSE);
	workers_push(workers, &jobs[0].item);
	wait_until_done(G_N_ELEMENTS(jobs) + 1);
	workers_push(others, &jobs[1].item);
	wait_until_done(G_N_ELEMENTS(jobs) + 2);
	open_gate();
	workers_free(workers);
	g_atomic_int_set(&no_threads, TRUE);
	workers_push(others, &jobs[2].item);
	workers_free(others);
	g_atomic_int_set(&no_threads, FALSE);
	CHECK_UINT(order->len, G_N_ELEMENTS(jobs) + 3);
}

static void test_no_reserve(const void *data)
{
	g_autoptr(GError) error = NULL;

	(void)data;
	g_usleep(100000); /* that of the test before has ended */
	g_atomic_int_set(&no_threads, TRUE);
	CHECK(!workers_new(NAME, 3, &error));
	g_atomic_int_set(&no_threads, FALSE);
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, "no room for another thread");
}
#endif

static void test_order(const void *data)
{
	Workers *workers = workers_new("test", 1, NULL);
	Job jobs[100];

	(void)data;
	REQUIRE(workers);
	reset();
	for (guint i = 0; i < 100; i++) {
		jobs[i] = (Job){.item.run = run_job, .number = i};
		workers_push(workers, &jobs[i].item);
	}
	workers_free(workers);
	CHECK_UINT(order->len, 100);
	for (guint i = 0; i < order->len; i++)
		CHECK_UINT(g_array_index(order, guint, i), i);
}

static void test_parallel(const void *data)
{
	Workers *workers = workers_new("test", 4, NULL);
	WorkItem items[4] = {{.run = wait_at_gate},
			     {.run = wait_at_gate},
			     {.run = wait_at_gate},
			     {.run = wait_at_gate}};

	(void)data;
	REQUIRE(workers);
	reset();
	for (guint i = 0; i < 4; i++)
		workers_push(workers, &items[i]);
	wait_until_waiting(4); /* hangs if fewer than four run at the same time */
	open_gate();
	workers_free(workers);
	CHECK_UINT(waiting, 4);
}

static void test_drain(const void *data)
{
	Workers *workers = workers_new("test", 2, NULL);
	WorkItem gates[2] = {{.run = wait_at_gate}, {.run = wait_at_gate}};

	(void)data;
	REQUIRE(workers);
	reset();
	workers_push(workers, &gates[0]);
	workers_push(workers, &gates[1]);
	wait_until_waiting(2);
	for (guint i = 0; i < 50; i++) {
		Job *job = g_new0(Job, 1);

		*job = (Job){.item.run = run_and_free, .number = i};
		workers_push(workers, &job->item);
	}
	CHECK_UINT(order->len, 0);
	open_gate();
	workers_free(workers);
	CHECK_UINT(order->len, 50);
}

static void test_cancel(const void *data)
{
	Workers *workers = workers_new("test", 1, NULL);
	WorkItem gate = {.run = wait_at_gate};
	Job jobs[4];

	(void)data;
	REQUIRE(workers);
	reset();
	workers_push(workers, &gate);
	wait_until_waiting(1);
	CHECK(!workers_cancel(workers, &gate)); /* a thread already runs it */
	for (guint i = 0; i < 4; i++) {
		jobs[i] = (Job){.item.run = run_job, .number = i};
		workers_push(workers, &jobs[i].item);
	}
	CHECK(workers_cancel(workers, &jobs[1].item));
	CHECK(workers_cancel(workers, &jobs[3].item));
	CHECK(workers_cancel(workers, &jobs[0].item));
	CHECK(!workers_cancel(workers, &jobs[0].item));
	workers_push(workers, &jobs[0].item); /* behind the last job */
	open_gate();
	workers_free(workers);
	REQUIRE(order->len == 2);
	CHECK_UINT(g_array_index(order, guint, 0), 2);
	CHECK_UINT(g_array_index(order, guint, 1), 0);
}

static gboolean is_odd(const WorkItem *item, gpointer data)
{
	guint *asked = data;

	(*asked)++;
	return ((const Job *)item)->number % 2;
}

/* Takes items from between others; the rest is run in order. */
static void test_take(const void *data)
{
	Workers *workers = workers_new("test", 1, NULL);
	WorkItem gate = {.run = wait_at_gate}, *taken[4] = {NULL};
	guint asked = 0;
	Job jobs[8];

	(void)data;
	REQUIRE(workers);
	reset();
	workers_push(workers, &gate);
	wait_until_waiting(1);
	CHECK_UINT(workers_take(workers, is_odd, &asked, taken, 4), 0);
	for (guint i = 0; i < 8; i++) {
		jobs[i] = (Job){.item.run = run_job, .number = i};
		workers_push(workers, &jobs[i].item);
	}
	CHECK_UINT(workers_take(workers, is_odd, &asked, taken, 2), 2);
	CHECK(taken[0] == &jobs[1].item && taken[1] == &jobs[3].item);
	CHECK_UINT(asked, 4);
	CHECK_UINT(workers_take(workers, is_odd, &asked, taken, 4), 2);
	CHECK(taken[0] == &jobs[5].item && taken[1] == &jobs[7].item);
	CHECK(!workers_cancel(workers, &jobs[7].item));
	workers_push(workers, &jobs[7].item); /* behind the last job */
	open_gate();
	workers_free(workers);
	REQUIRE(order->len == 5);
	for (guint i = 0; i < 5; i++)
		CHECK_UINT(g_array_index(order, guint, i), i < 4 ? 2 * i : 7);
}

static void test_push_from_worker(const void *data)
{
	Workers *workers = workers_new("test", 3, NULL);
	Job job = {.item.run = run_job, .workers = workers, .again = 999};

	(void)data;
	REQUIRE(workers);
	reset();
	workers_push(workers, &job.item);
	workers_free(workers);
	CHECK_UINT(order->len, 1000);
}

typedef struct {
	Workers *workers;
	Job jobs[2000];
} Pusher;

static gpointer push_many(gpointer data)
{
	Pusher *pusher = data;

	for (guint i = 0; i < G_N_ELEMENTS(pusher->jobs); i++)
		workers_push(pusher->workers, &pusher->jobs[i].item);
	return NULL;
}

static void test_many_pushers(const void *data)
{
	Workers *workers = workers_new("test", 3, NULL);
	g_autofree Pusher *pushers = g_new0(Pusher, 3);
	GThread *threads[3];

	(void)data;
	REQUIRE(workers);
	reset();
	for (guint t = 0; t < 3; t++) {
		pushers[t].workers = workers;
		for (guint i = 0; i < 2000; i++)
			pushers[t].jobs[i].item.run = run_job;
		threads[t] = g_thread_new("pusher", push_many, &pushers[t]);
	}
	for (guint t = 0; t < 3; t++)
		g_thread_join(threads[t]);
	workers_free(workers);
	CHECK_UINT(order->len, 6000);
}

static void test_signals(const void *data)
{
	Workers *workers = workers_new("test", 1, NULL);
	Job job = {.item.run = look_at_signals};
	sigset_t set;

	(void)data;
	REQUIRE(workers);
	workers_push(workers, &job.item);
	workers_free(workers);
	CHECK(job.signals_blocked);
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	CHECK(!sigismember(&set, SIGTERM));
}

static void test_idle(const void *data)
{
	(void)data;
	for (guint threads = 0; threads < 20; threads += 5) {
		Workers *workers = workers_new("test", threads, NULL);

		CHECK(workers != NULL);
		workers_free(workers);
	}
	workers_free(NULL);
}

int main(int argc, char **argv)
{
	test_add("one thread runs items in order of arrival", test_order, NULL);
	test_add("as many items run at once as there are threads", test_parallel, NULL);
	test_add("free runs the queued items", test_drain, NULL);
	test_add("a queued item can be cancelled", test_cancel, NULL);
	test_add("queued items can be taken", test_take, NULL);
	test_add("an item may push itself again", test_push_from_worker, NULL);
	test_add("many threads push", test_many_pushers, NULL);
	test_add("workers have signals blocked, the host has not", test_signals, NULL);
	test_add("no work at all", test_idle, NULL);
	test_add("threads come and go with the work", test_on_demand, NULL);
#ifndef KEEPS_PTHREAD_CREATE
	test_add("work is done where no thread can be started", test_no_threads, NULL);
	test_add("without a thread in reserve there are no workers", test_no_reserve, NULL);
#endif
	test_alarm(20, "workers");
	return test_run(argc, argv);
}
