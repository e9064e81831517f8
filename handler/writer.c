/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/writer.h"

#include "common/base/error.h"
#include "common/base/units.h"
#include "handler/batch.h"
#include "handler/spinners.h"

/* After spinning in vain, so many chances to spin are passed by: twice as many each time. */
#define PASSES_MOST 64

struct Writer {
	WorkItem turn;	 /* first: what the thread does until nothing waits */
	Workers *thread; /* one */
	WriterOwner owner;
	GMutex lock; /* nothing is taken under it */
	Task *first, *last;
	gint pushes; /* atomic: changes after each */
	gboolean taken;
	gint64 began;	      /* the batch, or the turn itself; us */
	guint passes, passed; /* see PASSES_MOST */
};

static Spinners spinners;

/* ---- the queue */

static Task *task_next(const Task *task)
{
	return (Task *)task->item.next;
}

static void task_append_locked(Writer *writer, Task *task)
{
	task->item.next = NULL;
	if (writer->last)
		writer->last->item.next = &task->item;
	else
		writer->first = task;
	writer->last = task;
}

/* Takes what fits into one batch. */
static void batch_take_locked(Writer *writer, TaskBatch *batch)
{
	guint64 room = VOLUME_BATCH_BYTES;

	batch->n = 0;
	while (writer->first && batch->n < VOLUME_BATCH_WRITES &&
	       writer->first->request.length <= room) {
		Task *task = writer->first;

		room -= task->request.length;
		writer->first = task_next(task);
		batch->tasks[batch->n++] = task;
	}
	if (!writer->first)
		writer->last = NULL;
}

gboolean writer_cancel(Writer *writer, Task *task)
{
	Task *before = NULL, *at;

	g_mutex_lock(&writer->lock);
	for (at = writer->first; at && at != task; at = task_next(at))
		before = at;
	if (at) {
		if (before)
			before->item.next = task->item.next;
		else
			writer->first = task_next(task);
		if (writer->last == task)
			writer->last = before;
	}
	g_mutex_unlock(&writer->lock);
	return at != NULL;
}

/* ---- spinning */

typedef struct {
	Writer *writer;
	gint pushes;
} Awaited;

/* Not the queue itself, which changes long before its lock is free. */
static gboolean something_came(gpointer data)
{
	const Awaited *awaited = data;

	return g_atomic_int_get(&awaited->writer->pushes) != awaited->pushes;
}

/* Spins for the next write.  FALSE: it did not, or in vain. */
static gboolean await_unlocking(Writer *writer)
{
	Awaited awaited = {writer, g_atomic_int_get(&writer->pushes)};
	gboolean came;

	if (writer->owner.are_others(writer->owner.data) || writer->passed++ < writer->passes ||
	    !spinners_join(&spinners))
		return FALSE;
	g_mutex_unlock(&writer->lock);
	came = spinners_wait(something_came, &awaited, WRITER_SPIN_US);
	spinners_leave(&spinners);
	g_mutex_lock(&writer->lock);
	writer->passed = 0;
	writer->passes = came ? 0 : CLAMP(2 * writer->passes, 1, PASSES_MOST);
	return came;
}

/* ---- the turn */

/* The next batch.  FALSE: the turn has ended. */
static gboolean turn_next(Writer *writer, TaskBatch *batch)
{
	gint64 now = g_get_monotonic_time();

	g_mutex_lock(&writer->lock);
	writer->began = now;
	while (!writer->first && await_unlocking(writer))
		;
	batch_take_locked(writer, batch);
	writer->taken = batch->n > 0;
	g_mutex_unlock(&writer->lock);
	return batch->n > 0;
}

static void turn_run(WorkItem *item)
{
	Writer *writer = (Writer *)item;
	const WriterOwner *owner = &writer->owner;
	TaskBatch batch;

	while (turn_next(writer, &batch)) {
		task_batch_execute(&batch, owner->volume(owner->data));
		owner->finish(owner->data, batch.tasks, batch.n);
		owner->rest(owner->data);
	}
}

static gboolean is_stuck_locked(const Writer *writer, gint64 now)
{
	return writer->taken && now >= writer->began + writer->owner.stuck_us;
}

/* A thread that is awake may have answered the task once the lock is dropped; then the writer must
 * not be touched. */
WriterPush writer_push(Writer *writer, Task *task)
{
	gint64 now = g_get_monotonic_time();
	gboolean awake;

	g_mutex_lock(&writer->lock);
	if (is_stuck_locked(writer, now)) {
		g_mutex_unlock(&writer->lock);
		return WRITER_REFUSES;
	}
	task_append_locked(writer, task);
	awake = writer->taken;
	if (!awake) {
		writer->taken = TRUE;
		writer->began = now;
	}
	g_atomic_int_inc(&writer->pushes);
	g_mutex_unlock(&writer->lock);
	if (!awake)
		workers_push(writer->thread, &writer->turn);
	return awake ? WRITER_IS_AWAKE : WRITER_WAKES;
}

Task *writer_look(Writer *writer)
{
	Task *left = NULL;

	g_mutex_lock(&writer->lock);
	if (is_stuck_locked(writer, g_get_monotonic_time())) {
		left = writer->first;
		writer->first = writer->last = NULL;
	}
	g_mutex_unlock(&writer->lock);
	return left;
}

gboolean writer_suits(const Request *request)
{
	return request->kind == REQUEST_WRITE && request->length &&
	       !((request->offset | request->length) & (BLOCK_SIZE - 1)) &&
	       request->length <= WRITER_LONGEST;
}

Writer *writer_new(const WriterOwner *owner, GError **error)
{
	Writer *writer = g_try_new0(Writer, 1);

	if (!writer) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "start a writer: no memory");
		return NULL;
	}
	writer->thread = workers_new("storageos-write", 1, error);
	if (!writer->thread) {
		g_free(writer);
		return NULL;
	}
	writer->owner = *owner;
	writer->turn.run = turn_run;
	g_mutex_init(&writer->lock);
	return writer;
}

void writer_free(Writer *writer)
{
	if (!writer)
		return;
	workers_free(writer->thread);
	g_mutex_clear(&writer->lock);
	g_free(writer);
}
