/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes that wait are carried out together, and each is answered by itself: in its time, by the
 * watch if it must be, and then it changes nothing.
 */
#include <errno.h>

#include "tests/backing/faulty.h"
#include "common/base/bytes.h"
#include "common/base/units.h"
#include "handler/batch.h"
#include "tests/harness.h"

#define SIZE (8 * MIB)
#define N 12u
#define FAR (3600 * (gint64)G_USEC_PER_SEC)

typedef struct {
	Tasks tasks;
	Workers *workers; /* one thread */
	Volume *volume;
	const BackingOps *plain;
	BackingOps ops;
	gint hold;	/* atomic: a write of several blocks waits until a task was answered late */
	gint late;	/* atomic: how many were */
	gint gate;	/* atomic: the thread of the workers may go on */
	guint sizes[N]; /* of the batches, in order */
	guint n_batches;
	int results[N];	  /* by task */
	gint answered[N]; /* atomic: how often, by task */
	guint8 data[N][16 * BLOCK_SIZE];
	struct iovec iov[N];
} TaskScene;

static TaskScene *scene;

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
	return FALSE;
}

static gboolean cancel(gpointer data, Task *task)
{
	(void)data;
	return workers_cancel(scene->workers, &task->item);
}

static void end_task(Task *task, int result)
{
	guint number = number_of(task);

	if (task_claim(task, result)) {
		scene->results[number] = result;
		g_atomic_int_inc(&scene->answered[number]);
	}
	task_free(task);
}

static void run_batch(WorkItem *item)
{
	TaskBatch batch;

	task_batch_gather(&batch, scene->workers, (Task *)item);
	scene->sizes[scene->n_batches++] = batch.n;
	if (batch.n > 1)
		task_batch_execute(&batch, scene->volume);
	else
		batch.tasks[0]->result = -ENOSYS;
	for (guint i = 0; i < batch.n; i++)
		end_task(batch.tasks[i], batch.tasks[i]->result);
}

static void wait_at_gate(WorkItem *item)
{
	(void)item;
	WAIT_WITHIN(20, g_atomic_int_get(&scene->gate));
}

static WorkItem gate = {.run = wait_at_gate};

static gboolean scene_open(void)
{
	const TasksOwner owner = {.late = answer_late, .tick = tick, .cancel = cancel};

	scene = g_new0(TaskScene, 1);
	scene->volume = open_volume();
	scene->workers = workers_new("test", 1, NULL);
	tasks_init(&scene->tasks);
	if (!CHECK(scene->volume && scene->workers && tasks_start(&scene->tasks, &owner, NULL)))
		return FALSE;
	workers_push(scene->workers, &gate);
	return TRUE;
}

/* Runs what was pushed. */
static void scene_run(void)
{
	g_atomic_int_set(&scene->gate, TRUE);
	WAIT_WITHIN(20, tasks_are_idle(&scene->tasks));
	CHECK(tasks_are_idle(&scene->tasks));
	workers_free(scene->workers);
	tasks_stop(&scene->tasks);
}

static void scene_close(void)
{
	CHECK(volume_close(scene->volume, NULL));
	tasks_clear(&scene->tasks);
	g_clear_pointer(&scene, g_free);
}

static void push(guint i, RequestKind kind, guint64 offset, gsize length, gint64 seconds)
{
	Task wanted = {.item.run = run_batch,
		       .cmd = (RunnerCommand *)scene->data[i],
		       .deadline = g_get_monotonic_time() + seconds};
	Task *task;

	memset(scene->data[i], 1 + (int)i, sizeof scene->data[i]);
	scene->iov[i] = (struct iovec){scene->data[i], length};
	wanted.request = (Request){.kind = kind,
				   .iov = &scene->iov[i],
				   .count = 1,
				   .offset = offset,
				   .length = length,
				   .block_size = SECTOR_SIZE};
	task = tasks_take(&scene->tasks, &wanted);
	if (CHECK(task != NULL))
		workers_push(scene->workers, &task->item);
}

static void check_block(guint8 value, guint64 offset)
{
	guint8 block[BLOCK_SIZE], expected[BLOCK_SIZE];
	struct iovec iov = {block, sizeof block};

	memset(expected, value, sizeof expected);
	CHECK_INT(volume_read(scene->volume, &iov, 1, offset, NULL), 0);
	CHECK_MEM(block, expected, sizeof block);
}

/* Writes of whole blocks go together, past whatever else waits; nothing else does. */
static void test_gather(const void *data)
{
	(void)data;
	if (!scene_open())
		return;
	push(0, REQUEST_WRITE, 0, BLOCK_SIZE, FAR);
	push(1, REQUEST_READ, 0, BLOCK_SIZE, FAR);
	push(2, REQUEST_WRITE, MIB, 2 * BLOCK_SIZE, FAR);
	push(3, REQUEST_WRITE, SECTOR_SIZE, SECTOR_SIZE, FAR);
	push(4, REQUEST_ZERO, 0, BLOCK_SIZE, FAR);
	push(5, REQUEST_WRITE, 2 * MIB, BLOCK_SIZE, FAR);
	push(6, REQUEST_WRITE, 3 * MIB, BATCH_WRITE_MAX + BLOCK_SIZE, FAR);
	scene_run();
	REQUIRE(scene->n_batches == 5);
	CHECK_UINT(scene->sizes[0], 3);
	for (guint i = 1; i < 5; i++)
		CHECK_UINT(scene->sizes[i], 1);
	for (guint i = 0; i < 7; i++) {
		gboolean together = i == 0 || i == 2 || i == 5;

		test_row("task %u", i);
		CHECK_INT(scene->answered[i], 1);
		CHECK_INT(scene->results[i], together ? 0 : -ENOSYS);
	}
	test_row(NULL);
	check_block(1, 0);
	check_block(3, MIB + BLOCK_SIZE);
	check_block(6, 2 * MIB);
	scene_close();
}

/* The disk holds the batch up until the watch has answered its oldest write. */
static void test_late(const void *data)
{
	(void)data;
	if (!scene_open())
		return;
	g_atomic_int_set(&scene->hold, TRUE);
	for (guint i = 0; i < N; i++)
		push(i, REQUEST_WRITE, i * MIB / 2, BLOCK_SIZE,
		     i == 0 ? 300 * G_TIME_SPAN_MILLISECOND : FAR);
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
	if (!scene_open())
		return;
	for (guint i = 0; i < N; i++)
		push(i, REQUEST_WRITE, i * MIB / 2, BLOCK_SIZE, i == 7 ? -1 : FAR);
	scene_run();
	for (guint i = 0; i < N; i++) {
		test_row("task %u", i);
		CHECK_INT(scene->answered[i], 1);
		CHECK_INT(scene->results[i], i == 7 ? -ETIMEDOUT : 0);
		check_block(i == 7 ? 0 : (guint8)(1 + i), i * MIB / 2);
	}
	scene_close();
}

int main(int argc, char **argv)
{
	test_add("writes of whole blocks go together", test_gather, NULL);
	test_add("a write of a batch that was answered late changes nothing", test_late, NULL);
	test_add("a write whose time is over is not begun", test_too_late, NULL);
	return test_run(argc, argv);
}
