/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/batch.h"

#include <errno.h>

#include "common/base/units.h"

/* What more the batch may hold. */
typedef struct {
	guint64 bytes;
} BatchRoom;

/* Whether the task is a write that goes into the batch; then it takes its part of the room. */
static gboolean task_fits(const WorkItem *item, gpointer data)
{
	const Request *request = &((const Task *)item)->request;
	BatchRoom *room = data;
	guint64 length = request->length;

	if (request->kind != REQUEST_WRITE || (request->offset | length) & (BLOCK_SIZE - 1) ||
	    length > BATCH_WRITE_MAX || length > room->bytes)
		return FALSE;
	room->bytes -= length;
	return TRUE;
}

void task_batch_single(TaskBatch *batch, Task *task)
{
	batch->n = 1;
	batch->tasks[0] = task;
}

void task_batch_gather(TaskBatch *batch, Workers *workers, Task *first)
{
	WorkItem *items[VOLUME_BATCH_WRITES];
	BatchRoom room = {VOLUME_BATCH_BYTES};
	guint n = 0;

	task_batch_single(batch, first);
	if (task_fits(&first->item, &room))
		n = workers_take(workers, task_fits, &room, items, G_N_ELEMENTS(items) - 1);
	for (guint i = 0; i < n; i++)
		batch->tasks[batch->n++] = (Task *)items[i];
}

/* 0: the task is to be carried out. */
static int task_start(Task *task, gint64 now)
{
	int r = task_begin(task);

	if (!r && now > task->deadline)
		return -ETIMEDOUT;
	return r ? r : task_detach(task);
}

void task_batch_execute(TaskBatch *batch, Volume *volume)
{
	VolumeWrite writes[VOLUME_BATCH_WRITES];
	Task *begun[VOLUME_BATCH_WRITES];
	guint n = 0;
	gint64 now = g_get_monotonic_time();

	for (guint i = 0; i < batch->n; i++) {
		Task *task = batch->tasks[i];

		task->position = 0;
		task->result = task_start(task, now);
		if (task->result)
			continue;
		begun[n] = task;
		writes[n++] = (VolumeWrite){.iov = task->own.iov,
					    .n_iov = (int)task->own.count,
					    .offset = task->own.offset,
					    .dropped = &task->dropped};
	}
	volume_write_batch(volume, writes, n);
	for (guint k = 0; k < n; k++) {
		begun[k]->result = writes[k].result;
		begun[k]->position = writes[k].position;
	}
}
