/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short writes that wait behind a batch are carried out together, by a thread that need not be
 * woken; and one that is held up keeps no others waiting.
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
	Writer *writer;
	Volume *volume;
	const BackingOps *plain;
	BackingOps ops;
	gint hold_one; /* atomic: the next write of a block waits until a task was answered late */
	gint late;     /* atomic: how many were */
	gint gated;    /* atomic: batches wait before they begin */
	gint begun;    /* atomic: a batch was */
	gint taken_back; /* atomic: tasks that writer_look() returned */
	gint others;	 /* atomic: other requests are under way */
	guint sizes[N];	 /* of the batches, in order */
	guint n_batches;
	int results[N];	  /* by task */
	gint answered[N]; /* atomic: how often, by task */
	guint8 data[N][16 * BLOCK_SIZE];
	struct iovec iov[N];
} WriterScene;

static WriterScene *scene;

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
	for (Task *task = writer_look(scene->writer), *next; task; task = next) {
		next = (Task *)task->item.next;
		task_free(task);
		g_atomic_int_inc(&scene->taken_back);
	}
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
	g_atomic_int_set(&scene->begun, TRUE);
	WAIT_WITHIN(20, !g_atomic_int_get(&scene->gated));
	return scene->volume;
}

static void finish(gpointer data, Task **tasks, guint n)
{
	(void)data;
	if (scene->n_batches < N)
		scene->sizes[scene->n_batches++] = n;
	for (guint i = 0; i < n; i++) {
		guint number = number_of(tasks[i]);

		if (task_claim(tasks[i], tasks[i]->result)) {
			scene->results[number] = tasks[i]->result;
			g_atomic_int_inc(&scene->answered[number]);
		}
		task_free(tasks[i]);
	}
}

static gboolean are_others(gpointer data)
{
	(void)data;
	return g_atomic_int_get(&scene->others);
}

static void rest(gpointer data)
{
	(void)data;
}

/* `gated`: nothing is carried out before scene_run(). */
static gboolean scene_open(gint64 stuck_us, gboolean gated)
{
	const TasksOwner owner = {.late = answer_late, .tick = tick, .cancel = cancel};
	const WriterOwner writes = {.volume = volume_of_scene,
				    .finish = finish,
				    .are_others = are_others,
				    .rest = rest,
				    .stuck_us = stuck_us};

	scene = g_new0(WriterScene, 1);
	scene->gated = gated;
	scene->volume = open_volume();
	scene->writer = writer_new(&writes, NULL);
	tasks_init(&scene->tasks);
	return CHECK(scene->volume && scene->writer && tasks_start(&scene->tasks, &owner, NULL));
}

/* Carries out what was pushed. */
static void scene_run(void)
{
	g_atomic_int_set(&scene->gated, FALSE);
	WAIT_WITHIN(20, tasks_are_idle(&scene->tasks));
	CHECK(tasks_are_left_alone(&scene->tasks));
	writer_free(scene->writer);
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

static WriterPush push(guint i, guint64 offset, gsize length, gint64 microseconds)
{
	Task wanted = {.cmd = (RunnerCommand *)scene->data[i],
		       .quick = TRUE,
		       .deadline = g_get_monotonic_time() + microseconds};
	WriterPush pushed;
	Task *task;

	memset(scene->data[i], 1 + (int)i, sizeof scene->data[i]);
	wanted.request = request_of(i, REQUEST_WRITE, offset, length);
	task = tasks_take(&scene->tasks, &wanted);
	if (!CHECK(task != NULL))
		return WRITER_REFUSES;
	pushed = writer_push(scene->writer, task);
	if (pushed == WRITER_REFUSES)
		task_free(task);
	return pushed;
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

/* What waits behind a batch goes together. */
static void test_together(const void *data)
{
	(void)data;
	if (!scene_open(FAR, TRUE))
		return;
	CHECK_INT(push(0, 0, BLOCK_SIZE, FAR), WRITER_WAKES);
	WAIT_WITHIN(20, g_atomic_int_get(&scene->begun));
	for (guint i = 1; i < N; i++)
		CHECK_INT(push(i, i * MIB / 2, (1 + i % 2) * BLOCK_SIZE, FAR), WRITER_IS_AWAKE);
	scene_run();
	CHECK_UINT(scene->n_batches, 2);
	CHECK_UINT(scene->sizes[0], 1);
	CHECK_UINT(scene->sizes[1], N - 1);
	for (guint i = 0; i < N; i++) {
		test_row("task %u", i);
		CHECK_INT(scene->answered[i], 1);
		CHECK_INT(scene->results[i], 0);
		check_block((guint8)(1 + i), i * MIB / 2 + i % 2 * BLOCK_SIZE);
	}
	test_row(NULL);
	scene_close();
}

/* Writes whose time is over are answered: the one whose batch cannot begin, and those that wait
 * behind it, which are taken off the queue. */
static void test_late_in_queue(const void *data)
{
	(void)data;
	if (!scene_open(FAR, TRUE))
		return;
	push(0, 0, BLOCK_SIZE, 100 * G_TIME_SPAN_MILLISECOND);
	WAIT_WITHIN(20, g_atomic_int_get(&scene->begun));
	for (guint i = 1; i < 5; i++)
		push(i, i * MIB, BLOCK_SIZE, i < 3 ? 100 * G_TIME_SPAN_MILLISECOND : FAR);
	WAIT_WITHIN(20, g_atomic_int_get(&scene->late) == 3);
	CHECK_INT(g_atomic_int_get(&scene->late), 3);
	push(5, 5 * MIB, BLOCK_SIZE, FAR); /* behind the last one that is left */
	scene_run();
	for (guint i = 0; i < 6; i++) {
		gboolean late = i < 3;

		test_row("task %u", i);
		CHECK_INT(scene->answered[i], 1);
		CHECK_INT(scene->results[i], late ? -ETIMEDOUT : 0);
		check_block(late ? 0 : (guint8)(1 + i), i * MIB);
	}
	test_row(NULL);
	scene_close();
}

/* The disk holds a batch up: what waits behind it can be taken back, and nothing more is taken. The
 * write is answered late, and what it was to write is not there. */
static void test_stuck(const void *data)
{
	(void)data;
	if (!scene_open(G_USEC_PER_SEC, FALSE))
		return;
	g_atomic_int_set(&scene->hold_one, TRUE);
	push(0, 0, BLOCK_SIZE, 6 * G_USEC_PER_SEC);
	WAIT_WITHIN(20, !g_atomic_int_get(&scene->hold_one));
	CHECK_INT(push(1, MIB, BLOCK_SIZE, FAR), WRITER_IS_AWAKE);
	WAIT_WITHIN(20, g_atomic_int_get(&scene->taken_back));
	CHECK_INT(g_atomic_int_get(&scene->late), 0); /* the disk holds it still */
	CHECK_INT(push(2, 2 * MIB, BLOCK_SIZE, FAR), WRITER_REFUSES);
	scene_run();
	CHECK_INT(scene->answered[0], 1);
	CHECK_INT(scene->results[0], -ETIMEDOUT);
	CHECK_INT(scene->answered[1], 0);
	CHECK_INT(g_atomic_int_get(&scene->taken_back), 1);
	check_block(0, 0);
	scene_close();
}

/* Pushes the first write again, so soon after its answer number `times` that a thread which spins
 * is still there. */
static WriterPush push_again(gint times)
{
	while (g_atomic_int_get(&scene->answered[0]) < times)
		;
	for (gint64 soon = g_get_monotonic_time() + 10; g_get_monotonic_time() < soon;)
		;
	return push(0, 0, BLOCK_SIZE, FAR);
}

/* Until one finds a thread awake that was done before. */
static gboolean push_to_spinner(gint64 microseconds)
{
	gint64 end = g_get_monotonic_time() + microseconds;
	gboolean awake = FALSE;

	for (gint i = 0; !awake && g_get_monotonic_time() < end; i++)
		awake = push_again(i) == WRITER_IS_AWAKE;
	return awake;
}

/* The thread spins for the next write, and not for long. */
static void test_spins(const void *data)
{
	(void)data;
	if (!scene_open(FAR, FALSE))
		return;
	CHECK_INT(push(2, 0, BLOCK_SIZE, FAR), WRITER_WAKES);
	if (thread_processors() > 1)
		CHECK(push_to_spinner(60 * G_USEC_PER_SEC));
	g_usleep(300000);
	CHECK_INT(push(3, 0, BLOCK_SIZE, FAR), WRITER_WAKES);
	scene_run();
	scene_close();
}

/* Nor does it while other requests are under way: of pushes that would find a spinning thread
 * awake, few find one that has not gone to sleep yet. */
static void test_others(const void *data)
{
	guint awake = 0;

	(void)data;
	if (!scene_open(FAR, FALSE))
		return;
	g_atomic_int_set(&scene->others, TRUE);
	for (gint i = 0; i < 1000; i++)
		awake += push_again(i) == WRITER_IS_AWAKE;
	if (thread_processors() > 1)
		CHECK(awake < 500);
	scene_run();
	scene_close();
}

int main(int argc, char **argv)
{
	test_add("short writes of whole blocks suit", test_suits, NULL);
	test_add("writes that wait go together", test_together, NULL);
	test_add("a write that waits is answered late and forgotten", test_late_in_queue, NULL);
	test_add("what waits behind a batch that is stuck is taken back", test_stuck, NULL);
	test_add("a thread spins for the next write", test_spins, NULL);
	test_add("no thread spins beside other requests", test_others, NULL);
	return test_run(argc, argv);
}
