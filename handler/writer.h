/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short writes of a device.  Those that wait at the same time are carried out together
 * (batch.h), by a thread of the device's workers that takes a *turn*: it carries out batch after
 * batch, and ends when nothing waits.  A write that comes meanwhile wakes nobody.
 *
 * Before a turn ends, its thread spins for the next write, WRITER_SPIN_US at most: waking a thread
 * costs more than a short write does.  Where spinning was in vain it is tried more rarely.  At most
 * half of the processors are spent for it by the process, and none where there is one processor.
 *
 * There are further turns while a whole batch waits, or where each batch under way was begun
 * WRITER_STUCK_US ago: its thread may be waiting for a disk, or for a checkpoint.
 *
 * Threading: any thread may push and cancel writes.
 */
#pragma once

#include "handler/tasks.h"

/* Longer writes gain nothing in a batch, and would keep the others waiting. */
#define WRITER_LONGEST (64u << 10)

#define WRITER_SPIN_US 50
#define WRITER_STUCK_US 1000

typedef struct Writer Writer;

typedef struct {
	Workers *workers;
	Volume *(*volume)(gpointer data);
	/* Must answer the task, which was carried out, and free it. */
	void (*finish)(gpointer data, Task *task, int result, guint64 position);
	/* After each batch. */
	void (*rest)(gpointer data);
	gpointer data;
} WriterOwner;

/* NULL if there is no memory. */
Writer *writer_new(const WriterOwner *owner);

/* Waits for the end of the turns; no write may be pushed any more.  To be called before the workers
 * end.  NULL is allowed. */
void writer_free(Writer *writer);

/* Whether the request is one for a Writer: a write of whole blocks, of WRITER_LONGEST at most. */
gboolean writer_suits(const Request *request);

/* Queues a task whose request suits.  TRUE: a thread that is awake will take it. */
gboolean writer_push(Writer *writer, Task *task);

/* To be called each second while writes wait: those that came just before a turn got stuck have
 * been left to that one. */
void writer_look(Writer *writer);

/* Removes the task from the queue.  FALSE if it is not queued: it is or was carried out. */
gboolean writer_cancel(Writer *writer, Task *task);
