/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/batch.h"

#include <errno.h>

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
	guint number[VOLUME_BATCH_WRITES], n = 0;
	gint64 now = g_get_monotonic_time();

	for (guint i = 0; i < batch->n; i++) {
		Task *task = batch->tasks[i];

		batch->positions[i] = 0;
		batch->results[i] = task_start(task, now);
		if (batch->results[i])
			continue;
		number[n] = i;
		writes[n++] = (VolumeWrite){.iov = task->own.iov,
					    .n_iov = (int)task->own.count,
					    .offset = task->own.offset,
					    .dropped = &task->dropped};
	}
	volume_write_batch(volume, writes, n);
	for (guint k = 0; k < n; k++) {
		batch->results[number[k]] = writes[k].result;
		batch->positions[number[k]] = writes[k].position;
	}
}
