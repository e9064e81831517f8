/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/writer.h"

#include "common/base/units.h"
#include "handler/batch.h"
#include "handler/spinners.h"

#define TURNS 16

/* After spinning in vain, so many chances to spin are passed by: twice as many each time. */
#define PASSES_MOST 64

typedef struct {
	WorkItem item; /* first */
	Writer *writer;
	gboolean taken;
	gint64 began; /* its batch, or itself */
} Turn;

struct Writer {
	WriterOwner owner;
	GMutex lock; /* nothing is taken under it */
	GCond ended;
	Task *first, *last;
	gint n; /* that wait; atomic, changed under the lock */
	guint n_turns;
	gboolean spinning;    /* a turn does */
	guint passes, passed; /* see PASSES_MOST */
	Turn turns[TURNS];
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
	g_atomic_int_set(&writer->n, writer->n + 1);
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
	g_atomic_int_set(&writer->n, writer->n - (gint)batch->n);
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
		g_atomic_int_set(&writer->n, writer->n - 1);
	}
	g_mutex_unlock(&writer->lock);
	return at != NULL;
}

/* ---- spinning */

static gboolean something_waits(gpointer data)
{
	return g_atomic_int_get(&((Writer *)data)->n) > 0;
}

/* Spins for the next write.  FALSE: it did not, or in vain. */
static gboolean spin_unlocking(Writer *writer)
{
	gboolean came;

	if (writer->spinning || writer->passed++ < writer->passes || !spinners_join(&spinners))
		return FALSE;
	writer->spinning = TRUE;
	g_mutex_unlock(&writer->lock);
	came = spinners_wait(something_waits, writer, WRITER_SPIN_US);
	spinners_leave(&spinners);
	g_mutex_lock(&writer->lock);
	writer->spinning = FALSE;
	writer->passed = 0;
	writer->passes = came ? 0 : CLAMP(2 * writer->passes, 1, PASSES_MOST);
	return came;
}

/* ---- turns */

/* Whether another turn than that one is making progress. */
static gboolean another_goes_on_locked(const Writer *writer, const Turn *turn, gint64 now)
{
	for (guint i = 0; i < TURNS; i++) {
		const Turn *other = &writer->turns[i];

		if (other != turn && other->taken && now < other->began + WRITER_STUCK_US)
			return TRUE;
	}
	return FALSE;
}

/* Whether what waits is too little for another turn beside those that make progress. */
static gboolean can_be_left_locked(const Writer *writer, const Turn *turn, gint64 now)
{
	return writer->n < VOLUME_BATCH_WRITES && another_goes_on_locked(writer, turn, now);
}

/* The writer must not be touched once the lock is dropped. */
static void turn_end_locked(Turn *turn)
{
	turn->taken = FALSE;
	if (!--turn->writer->n_turns)
		g_cond_signal(&turn->writer->ended);
}

/* The next batch.  FALSE: the turn has ended. */
static gboolean turn_next(Turn *turn, TaskBatch *batch)
{
	Writer *writer = turn->writer;
	gint64 now;

	g_mutex_lock(&writer->lock);
	while (!writer->first && spin_unlocking(writer))
		;
	now = g_get_monotonic_time();
	batch->n = 0;
	if (writer->n_turns == 1 || !can_be_left_locked(writer, turn, now))
		batch_take_locked(writer, batch);
	turn->began = now;
	if (!batch->n)
		turn_end_locked(turn);
	g_mutex_unlock(&writer->lock);
	return batch->n > 0;
}

static void batch_finish(const WriterOwner *owner, const TaskBatch *batch)
{
	for (guint i = 0; i < batch->n; i++)
		owner->finish(owner->data, batch->tasks[i], batch->results[i], batch->positions[i]);
	owner->rest(owner->data);
}

/* Other items of the workers are not kept waiting: where these have no other thread, the turn goes
 * on behind them. */
static void turn_run(WorkItem *item)
{
	Turn *turn = (Turn *)item;
	const WriterOwner *owner = &turn->writer->owner;
	TaskBatch batch;

	while (turn_next(turn, &batch)) {
		task_batch_execute(&batch, owner->volume(owner->data));
		batch_finish(owner, &batch);
		if (workers_are_wanted(owner->workers)) {
			workers_push(owner->workers, item);
			return;
		}
	}
}

/* A turn for what waits, if there is to be one more. */
static Turn *turn_begin_locked(Writer *writer)
{
	gint64 now = g_get_monotonic_time();

	if (writer->n_turns && can_be_left_locked(writer, NULL, now))
		return NULL;
	for (guint i = 0; i < TURNS; i++) {
		Turn *turn = &writer->turns[i];

		if (turn->taken)
			continue;
		turn->taken = TRUE;
		turn->began = now;
		writer->n_turns++;
		return turn;
	}
	return NULL;
}

/* Drops the lock.  Returns whether a turn has begun. */
static gboolean begin_unlocking(Writer *writer)
{
	Turn *turn = writer->first ? turn_begin_locked(writer) : NULL;

	g_mutex_unlock(&writer->lock);
	if (turn)
		workers_push(writer->owner.workers, &turn->item);
	return turn != NULL;
}

gboolean writer_push(Writer *writer, Task *task)
{
	g_mutex_lock(&writer->lock);
	task_append_locked(writer, task);
	return !begin_unlocking(writer);
}

void writer_look(Writer *writer)
{
	g_mutex_lock(&writer->lock);
	begin_unlocking(writer);
}

gboolean writer_suits(const Request *request)
{
	return request->kind == REQUEST_WRITE && request->length &&
	       !((request->offset | request->length) & (BLOCK_SIZE - 1)) &&
	       request->length <= WRITER_LONGEST;
}

Writer *writer_new(const WriterOwner *owner)
{
	Writer *writer = g_try_new0(Writer, 1);

	if (!writer)
		return NULL;
	writer->owner = *owner;
	g_mutex_init(&writer->lock);
	g_cond_init(&writer->ended);
	for (guint i = 0; i < TURNS; i++)
		writer->turns[i] = (Turn){.item.run = turn_run, .writer = writer};
	return writer;
}

void writer_free(Writer *writer)
{
	if (!writer)
		return;
	g_mutex_lock(&writer->lock);
	while (writer->n_turns)
		g_cond_wait(&writer->ended, &writer->lock);
	g_mutex_unlock(&writer->lock);
	g_mutex_clear(&writer->lock);
	g_cond_clear(&writer->ended);
	g_free(writer);
}
