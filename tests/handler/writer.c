/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short writes that wait are carried out together, and each is answered by itself: in its time, by
 * the watch if it must be, and then it changes nothing.
 */
#include "handler/writer.h"

#include <errno.h>

#include "common/base/bytes.h"
#include "common/base/thread.h"
#include "common/base/units.h"
#include "tests/backing/faulty.h"
#include "tests/harness.h"

#define SIZE (8 * MIB)
#define N 12u
#define FAR (3600 * (gint64)G_USEC_PER_SEC)

typedef struct {
	Tasks tasks;
	Workers *workers;
	Writer *writer;
	Volume *volume;
	const BackingOps *plain;
	BackingOps ops;
	gint hold;	/* atomic: writes of several blocks wait until a task was answered late */
	gint hold_one;	/* atomic: the next write of a block waits as long */
	gint late;	/* atomic: how many were */
	gint gate;	/* atomic: the thread of the workers may go on */
	guint sizes[N]; /* of the batches, in order */
	guint n_batches, n_finished;
	gint again;	  /* atomic: how often task 0 is pushed again when it is finished */
	int results[N];	  /* by task */
	gint answered[N]; /* atomic: how often, by task */
	guint8 data[N][16 * BLOCK_SIZE];
	struct iovec iov[N];
} WriterScene;

static WriterScene *scene;

static void push(guint i, guint64 offset, gsize length, gint64 microseconds);

/* The command of task number i is the address of its data. */
static guint number_of(const Task *task)
{
	return (guint)(((guint8 *)task->cmd - scene->data[0]) / sizeof scene->data[0]);
}

guint8 *runner_command_sense(const RunnerCommand *cmd)
{
	return (guint8 *)cmd;
}

/* ---- the disk */

static int scene_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			 BackingFlags flags)
{
	gsize length = iov_length(iov, count);

	if (g_atomic_int_get(&scene->hold) && length > BLOCK_SIZE && length % BLOCK_SIZE == 0)
		WAIT_WITHIN(20, g_atomic_int_get(&scene->late));
	if (length == BLOCK_SIZE &&
	    g_atomic_int_compare_and_exchange(&scene->hold_one, TRUE, FALSE))
		WAIT_WITHIN(20, g_atomic_int_get(&scene->late));
	return scene->plain->pwritev(backing, iov, count, offset, flags);
}

static Volume *open_volume(void)
{
	const VolumeParameters parameters = {.size = SIZE};
	Backing *backing = backing_faulty_new(0);

	CHECK(volume_format(backing, &parameters, NULL));
	scene->plain = backing->ops;
	scene->ops = *backing->ops;
	scene->ops.pwritev = scene_pwritev;
	backing->ops = &scene->ops;
	return volume_open(backing, "test", 0, NULL);
}

/* ---- the owner of the tasks */

static void answer_late(gpointer data, const Task *task)
{
	(void)data;
	g_atomic_int_inc(&scene->answered[number_of(task)]);
	scene->results[number_of(task)] = -ETIMEDOUT;
	g_atomic_int_inc(&scene->late);
}

static gboolean tick(gpointer data)
{
	(void)data;
	writer_look(scene->writer);
	return FALSE;
}

static gboolean cancel(gpointer data, Task *task)
{
	(void)data;
	return writer_cancel(scene->writer, task);
}

static Volume *volume_of_scene(gpointer data)
{
	(void)data;
	return scene->volume;
}

static void finish(gpointer data, Task *task, int result, guint64 position)
{
	guint number = number_of(task);

	(void)data;
	(void)position;
	if (task_claim(task, result)) {
		scene->results[number] = result;
		g_atomic_int_inc(&scene->answered[number]);
	}
	task_free(task);
	g_atomic_int_inc(&scene->n_finished);
	if (number == 0 && g_atomic_int_get(&scene->again)) {
		g_atomic_int_add(&scene->again, -1);
		push(0, 0, BLOCK_SIZE, FAR);
	}
}

/* Only while one thread carries out batches. */
static void rest(gpointer data)
{
	guint before = 0;

	(void)data;
	for (guint i = 0; i < MIN(scene->n_batches, N); i++)
		before += scene->sizes[i];
	if (scene->n_batches < N)
		scene->sizes[scene->n_batches] = g_atomic_int_get(&scene->n_finished) - before;
	scene->n_batches++;
}

static void wait_at_gate(WorkItem *item)
{
	(void)item;
	WAIT_WITHIN(20, g_atomic_int_get(&scene->gate));
}

static WorkItem gate = {.run = wait_at_gate};

/* `gated`: nothing is carried out before scene_run(). */
static gboolean scene_open(guint threads, gboolean gated)
{
	const TasksOwner owner = {.late = answer_late, .tick = tick, .cancel = cancel};
	WriterOwner writes = {.volume = volume_of_scene, .finish = finish, .rest = rest};

	scene = g_new0(WriterScene, 1);
	scene->volume = open_volume();
	scene->workers = writes.workers = workers_new("test", threads, NULL);
	scene->writer = writer_new(&writes);
	tasks_init(&scene->tasks);
	if (!CHECK(scene->volume && scene->workers && scene->writer &&
		   tasks_start(&scene->tasks, &owner, NULL)))
		return FALSE;
	if (gated)
		workers_push(scene->workers, &gate);
	return TRUE;
}

/* Carries out what was pushed. */
static void scene_run(void)
{
	g_atomic_int_set(&scene->gate, TRUE);
	WAIT_WITHIN(20, tasks_are_idle(&scene->tasks));
	CHECK(tasks_are_left_alone(&scene->tasks));
	writer_free(scene->writer);
	workers_free(scene->workers);
	tasks_stop(&scene->tasks);
}

static void scene_close(void)
{
	CHECK(volume_close(scene->volume, NULL));
	tasks_clear(&scene->tasks);
	g_clear_pointer(&scene, g_free);
}

static Request request_of(guint i, RequestKind kind, guint64 offset, gsize length)
{
	scene->iov[i] = (struct iovec){scene->data[i], length};
	return (Request){.kind = kind,
			 .iov = &scene->iov[i],
			 .count = 1,
			 .offset = offset,
			 .length = length,
			 .block_size = SECTOR_SIZE};
}

static gboolean push_one(guint i, guint64 offset, gsize length, gint64 microseconds)
{
	Task wanted = {.cmd = (RunnerCommand *)scene->data[i],
		       .deadline = g_get_monotonic_time() + microseconds};
	Task *task;

	memset(scene->data[i], 1 + (int)i, sizeof scene->data[i]);
	wanted.request = request_of(i, REQUEST_WRITE, offset, length);
	task = tasks_take(&scene->tasks, &wanted);
	return CHECK(task != NULL) && writer_push(scene->writer, task);
}

static void push(guint i, guint64 offset, gsize length, gint64 microseconds)
{
	push_one(i, offset, length, microseconds);
}

static void check_block(guint8 value, guint64 offset)
{
	guint8 block[BLOCK_SIZE], expected[BLOCK_SIZE];
	struct iovec iov = {block, sizeof block};

	memset(expected, value, sizeof expected);
	CHECK_INT(volume_read(scene->volume, &iov, 1, offset, NULL), 0);
	CHECK_MEM(block, expected, sizeof block);
}

static const struct {
	const char *what;
	RequestKind kind;
	guint64 offset;
	gsize length;
	gboolean suits;
} kinds[] = {
	{"a block", REQUEST_WRITE, 0, BLOCK_SIZE, TRUE},
	{"many blocks", REQUEST_WRITE, MIB, WRITER_LONGEST, TRUE},
	{"too many blocks", REQUEST_WRITE, MIB, WRITER_LONGEST + BLOCK_SIZE, FALSE},
	{"nothing", REQUEST_WRITE, 0, 0, FALSE},
	{"part of a block", REQUEST_WRITE, 0, SECTOR_SIZE, FALSE},
	{"parts of two blocks", REQUEST_WRITE, SECTOR_SIZE, BLOCK_SIZE, FALSE},
	{"a read", REQUEST_READ, 0, BLOCK_SIZE, FALSE},
	{"zeros", REQUEST_ZERO, 0, BLOCK_SIZE, FALSE},
	{"a flush", REQUEST_FLUSH, 0, 0, FALSE},
};

static void test_suits(const void *data)
{
	struct iovec iov = {NULL, 0};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(kinds); i++) {
		Request request = {.kind = kinds[i].kind,
				   .iov = &iov,
				   .count = 1,
				   .offset = kinds[i].offset,
				   .length = kinds[i].length};

		test_row("%s", kinds[i].what);
		CHECK_INT(writer_suits(&request), kinds[i].suits);
	}
	test_row(NULL);
}

/* What waits when a turn begins goes together. */
static void test_together(const void *data)
{
	(void)data;
	if (!scene_open(1, TRUE))
		return;
	for (guint i = 0; i < N; i++)
		push(i, i * MIB / 2, (1 + i % 2) * BLOCK_SIZE, FAR);
	scene_run();
	CHECK_UINT(scene->n_batches, 1);
	CHECK_UINT(scene->sizes[0], N);
	for (guint i = 0; i < N; i++) {
		test_row("task %u", i);
		CHECK_INT(scene->answered[i], 1);
		CHECK_INT(scene->results[i], 0);
		check_block((guint8)(1 + i), i * MIB / 2 + i % 2 * BLOCK_SIZE);
	}
	test_row(NULL);
	scene_close();
}

/* The disk holds the batch up until the watch has answered its oldest write. */
static void test_late(const void *data)
{
	(void)data;
	if (!scene_open(1, TRUE))
		return;
	g_atomic_int_set(&scene->hold, TRUE);
	for (guint i = 0; i < N; i++)
		push(i, i * MIB / 2, BLOCK_SIZE, i == 0 ? 300 * G_TIME_SPAN_MILLISECOND : FAR);
	scene_run();
	CHECK_UINT(scene->sizes[0], N);
	for (guint i = 0; i < N; i++) {
		test_row("task %u", i);
		CHECK_INT(scene->answered[i], 1);
		CHECK_INT(scene->results[i], i == 0 ? -ETIMEDOUT : 0);
		check_block(i == 0 ? 0 : (guint8)(1 + i), i * MIB / 2);
	}
	scene_close();
}

/* A write whose time is over before its batch begins is not carried out. */
static void test_too_late(const void *data)
{
	(void)data;
	if (!scene_open(1, TRUE))
		return;
	for (guint i = 0; i < N; i++)
		push(i, i * MIB / 2, BLOCK_SIZE, i == 7 ? -1 : FAR);
	scene_run();
	for (guint i = 0; i < N; i++) {
		test_row("task %u", i);
		CHECK_INT(scene->answered[i], 1);
		CHECK_INT(scene->results[i], i == 7 ? -ETIMEDOUT : 0);
		check_block(i == 7 ? 0 : (guint8)(1 + i), i * MIB / 2);
	}
	scene_close();
}

/* A write whose time is over while it waits is answered, and taken off the queue. */
static void test_late_in_queue(const void *data)
{
	(void)data;
	if (!scene_open(1, TRUE))
		return;
	for (guint i = 0; i < 4; i++)
		push(i, i * MIB, BLOCK_SIZE, i < 2 ? 100 * G_TIME_SPAN_MILLISECOND : FAR);
	WAIT_WITHIN(20, g_atomic_int_get(&scene->late) == 2);
	CHECK_INT(g_atomic_int_get(&scene->late), 2);
	push(4, 4 * MIB, BLOCK_SIZE, FAR); /* behind the last one that is left */
	scene_run();
	CHECK_UINT(scene->n_finished, 3);
	for (guint i = 0; i < 5; i++) {
		gboolean late = i < 2;

		test_row("task %u", i);
		CHECK_INT(scene->answered[i], 1);
		CHECK_INT(scene->results[i], late ? -ETIMEDOUT : 0);
		check_block(late ? 0 : (guint8)(1 + i), i * MIB);
	}
	test_row(NULL);
	scene_close();
}

/* Writes behind one that the disk holds up are carried out meanwhile, whether they come when it is
 * stuck, or before and nothing else comes. */
static void test_stuck(const void *data)
{
	if (!scene_open(2, FALSE))
		return;
	g_atomic_int_set(&scene->hold_one, TRUE);
	push(0, 0, BLOCK_SIZE, 6 * G_USEC_PER_SEC);
	while (g_atomic_int_get(&scene->hold_one))
		g_usleep(1000);
	if (!data)
		g_usleep(2 * WRITER_STUCK_US);
	push(1, MIB, BLOCK_SIZE, FAR);
	WAIT_WITHIN(20, g_atomic_int_get(&scene->answered[1]));
	CHECK_INT(g_atomic_int_get(&scene->late), 0); /* the disk holds it still */
	for (guint i = 2; i < N; i++)
		push(i, i * MIB / 2, BLOCK_SIZE, FAR);
	scene_run();
	for (guint i = 0; i < N; i++) {
		test_row("task %u", i);
		CHECK_INT(scene->answered[i], 1);
		CHECK_INT(scene->results[i], i == 0 ? -ETIMEDOUT : 0);
	}
	test_row(NULL);
	check_block(0, 0);
	scene_close();
}

static gint item_ran; /* atomic */

static void run_item(WorkItem *item)
{
	(void)item;
	g_atomic_int_set(&item_ran, TRUE);
}

/* Writes that go on and on keep nothing else waiting, with one thread either. */
static void test_lets_pass(const void *data)
{
	WorkItem item = {.run = run_item};

	(void)data;
	if (!scene_open(1, FALSE))
		return;
	g_atomic_int_set(&item_ran, FALSE);
	g_atomic_int_set(&scene->again, G_MAXINT);
	push(0, 0, BLOCK_SIZE, FAR);
	WAIT_WITHIN(20, g_atomic_int_get(&scene->answered[0]) > 10);
	workers_push(scene->workers, &item);
	WAIT_WITHIN(20, g_atomic_int_get(&item_ran));
	CHECK_INT(g_atomic_int_get(&item_ran), TRUE);
	CHECK(g_atomic_int_get(&scene->again) > 0);
	g_atomic_int_set(&scene->again, 0);
	scene_run();
	scene_close();
}

/* Pushes writes, one after the other, until one finds a thread awake that was done before. */
static gboolean push_to_spinner(gint64 microseconds)
{
	gint64 end = g_get_monotonic_time() + microseconds;
	gboolean awake = FALSE;

	while (!awake && g_get_monotonic_time() < end) {
		gint done = g_atomic_int_get(&scene->answered[0]);

		push(0, 0, BLOCK_SIZE, FAR);
		while (g_atomic_int_get(&scene->answered[0]) == done)
			;
		for (gint64 soon = g_get_monotonic_time() + 10; g_get_monotonic_time() < soon;)
			;
		awake = push_one(1, 0, BLOCK_SIZE, FAR);
	}
	return awake;
}

/* A thread spins for the next write, and not for long. */
static void test_spins(const void *data)
{
	gboolean several = thread_processors() > 1;

	(void)data;
	if (!scene_open(2, FALSE))
		return;
	CHECK(!push_one(2, 0, BLOCK_SIZE, FAR)); /* nobody is there yet */
	if (several)
		CHECK(push_to_spinner(60 * G_USEC_PER_SEC));
	g_usleep(300000);
	CHECK(!push_one(3, 0, BLOCK_SIZE, FAR));
	scene_run();
	scene_close();
}

int main(int argc, char **argv)
{
	test_add("short writes of whole blocks suit", test_suits, NULL);
	test_add("writes that wait go together", test_together, NULL);
	test_add("a write of a batch that was answered late changes nothing", test_late, NULL);
	test_add("a write whose time is over is not begun", test_too_late, NULL);
	test_add("a write that waits is answered late and forgotten", test_late_in_queue, NULL);
	test_add("writes pass one that is stuck", test_stuck, NULL);
	test_add("writes that were left to one that is stuck pass it", test_stuck, &item_ran);
	test_add("writes let other items pass", test_lets_pass, NULL);
	test_add("a thread spins for the next write", test_spins, NULL);
	return test_run(argc, argv);
}
