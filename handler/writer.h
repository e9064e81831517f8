/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The short writes of a device while few of them are under way at a time (WRITER_DEPTH).  Then what
 * a write costs is mostly the waking of threads, and a Writer saves that: its one thread takes
 * *turns*, in each of which it carries out batch after batch (batch.h), of what has come meanwhile,
 * until nothing waits.  A write that comes during a turn wakes nobody.
 *
 * Before a turn ends, the thread spins for the next write, WRITER_SPIN_US at most.  Where that was
 * in vain it is tried more rarely; while other requests than short writes are under way, not at
 * all.
 *
 * The disk, or a checkpoint, may hold the thread up.  Once a batch is `stuck_us` old the Writer
 * refuses further writes, and those that wait behind it can be taken back (writer_look()): all of
 * these are for the device's workers.
 *
 * Threading: any thread may push and cancel writes, and look.
 */
#pragma once

#include "handler/tasks.h"

#define WRITER_DEPTH 8
#define WRITER_LONGEST (32u << 10)

#define WRITER_SPIN_US 50

typedef struct Writer Writer;

typedef struct {
	Volume *(*volume)(gpointer data);
	/* Must answer the tasks of a batch, which was carried out, and free them. */
	void (*finish)(gpointer data, Task **tasks, guint n);
	/* Whether other requests than short writes are under way. */
	gboolean (*are_others)(gpointer data);
	/* After each batch. */
	void (*rest)(gpointer data);
	gpointer data;
	gint64 stuck_us;
} WriterOwner;

/* NULL if there is no memory, or no thread; starts none before the first write. */
Writer *writer_new(const WriterOwner *owner, GError **error);

/* Carries out what waits; no write may be pushed any more.  NULL is allowed. */
void writer_free(Writer *writer);

/* Whether the request is one for a Writer: a write of whole blocks, of WRITER_LONGEST at most. */
gboolean writer_suits(const Request *request);

/* Queues a task whose request suits. */
typedef enum {
	WRITER_REFUSES, /* not queued: the thread is held up */
	WRITER_WAKES,
	WRITER_IS_AWAKE,
} WriterPush;
WriterPush writer_push(Writer *writer, Task *task);

/* Takes back what waits behind a batch that is held up: a list, linked by the items' `next`.  To be
 * called each second while writes wait. */
Task *writer_look(Writer *writer);

/* Removes the task from the queue.  FALSE if it is not queued: it is or was carried out. */
gboolean writer_cancel(Writer *writer, Task *task);
