/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes that wait at the same time are carried out together (volume_write_batch()).
 *
 * Each task of a batch is begun and judged late by itself, and has its own result; its owner
 * answers it by itself.  What the watch answers meanwhile changes nothing afterwards.
 *
 * Threading: each batch belongs to one thread.
 */
#pragma once

#include "handler/tasks.h"

typedef struct {
	guint n;
	Task *tasks[VOLUME_BATCH_WRITES]; /* writes */
	int results[VOLUME_BATCH_WRITES];
	guint64 positions[VOLUME_BATCH_WRITES]; /* as *ret_position of request_execute() */
} TaskBatch;

/* Carries out the batch, and sets results and positions. */
void task_batch_execute(TaskBatch *batch, Volume *volume);
