/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes that wait at the same time are carried out together (volume_write_batch()).
 *
 * A batch forms by itself: the thread that has taken a write off a queue also takes the writes that
 * wait behind it.  Where nothing waits, the write is carried out alone, as any other request.
 *
 * Each task of a batch is begun and judged late by itself, and has its own result; its owner
 * answers it by itself.  What the watch answers meanwhile changes nothing afterwards.
 *
 * Threading: each batch belongs to one thread.
 */
#pragma once

#include "handler/tasks.h"

/* Longer writes gain nothing, and would keep the others waiting. */
#define BATCH_WRITE_MAX (64u << 10)

typedef struct {
	guint n;
	Task *tasks[VOLUME_BATCH_WRITES];
} TaskBatch;

/* A batch of `task` alone: of a direct volume, whose writes each wait for an answer of their own.
 */
void task_batch_single(TaskBatch *batch, Task *task);

/* A batch of `first`, and if that is a write of whole blocks, of such writes that `workers` have
 * queued. */
void task_batch_gather(TaskBatch *batch, Workers *workers, Task *first);

/* Carries out the batch, and sets `result` and `position` of each. */
void task_batch_execute(TaskBatch *batch, Volume *volume);
