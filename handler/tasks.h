/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of a device that are under way.  Each is answered in time: by the thread that
 * carries it out or, if that is stuck because the disk below does not answer, by the watch, which
 * looks each second (ticker.h).
 *
 * A thread that is stuck in the kernel cannot be recalled.  Its command can be answered; but from
 * then on the command's vector, data and sense buffer belong to the kernel, which gives that part
 * of the ring to the next command.  So whatever may sleep is carried out on memory of the task's
 * own: the command's data is copied there before, and copied back only by the thread that answers.
 * A command that the watch has answered changes nothing afterwards (common/engine/wanted.h), and is
 * taken off its queue if it was not started.
 *
 *     QUEUED ---> BEGUN ---> DETACHED ---> ANSWERED
 *        |          '-----------|-------------^          without sleeping
 *        '----------------------'-------------^          answered by the watch
 *
 * Each arrow is one compare-and-exchange, so only one thread takes it.  The watch does not answer a
 * task that is BEGUN: that thread uses the command's memory, and cannot get stuck.
 *
 * A task that the watch has answered stays with its stuck thread until that returns.  So there is
 * at most one batch of them for each thread (batch.h), and one of flushes.
 *
 * Threading: any.
 */
#pragma once

#include "common/base/ticker.h"
#include "common/base/workers.h"
#include "common/service/limiter.h"
#include "handler/request.h"
#include "handler/runner-abi.h"

/* Preallocated; the kernel queues 128 commands to a device by default. */
#define TASKS 64

typedef struct Tasks Tasks;
typedef struct Task Task;

struct Task {
	WorkItem item; /* first */
	Task *next;    /* in the free list, of those that wait for the flush or were given back */
	Task *older, *newer;
	LimiterItem held; /* while it waits for the volume's limits */
	Tasks *tasks;
	RunnerCommand *cmd;
	Request request;
	Request own; /* the same request on the task's own memory */
	struct iovec data;
	gint64 begun; /* as metrics_begin() gave it */
	gint64 deadline;
	gint state; /* atomic */
	int result; /* of a task that was given back, as of request_execute() */
	guint64 position;
	gint dropped;	    /* atomic: the watch has answered it */
	gboolean linked;    /* in the list of unanswered tasks; under the lock */
	gboolean allocated; /* not one of Tasks.tasks */
	gboolean quick;	    /* one that threads may spin for */
	gboolean limited;   /* it has to obey the volume's limits */
};

typedef struct {
	/* Must answer the task, whose time is over.  `task` is a copy with cmd, request and begun
	 * alone. */
	void (*late)(gpointer data, const Task *task);
	/* Called each second while tasks are under way, or while it returns TRUE. */
	gboolean (*tick)(gpointer data);
	/* Takes a task off its queue.  FALSE: it is on none, because it was begun. */
	gboolean (*cancel)(gpointer data, Task *task);
	/* Called when a task is freed: its thread no longer uses the volume.  May be NULL. */
	void (*freed)(gpointer data);
	gpointer data;
} TasksOwner;

struct Tasks {
	TasksOwner owner;
	Ticker watch;
	gboolean watched; /* `watch` was added */
	gint active;	  /* tasks not yet freed; atomic */
	gint slow;	  /* of these, those that are not quick; atomic */
	Task *given_back; /* atomic: see tasks_collect_begin(); NULL: closed */

	GMutex lock; /* held for a few instructions; only a queue's lock is taken under it */
	Task *free;
	Task *oldest, *newest; /* unanswered tasks */
	Task *flush_waiting;
	gboolean flush_queued;
	Task tasks[TASKS];
};

void tasks_init(Tasks *tasks); /* of zeroed memory */
void tasks_clear(Tasks *tasks);

/* Starts the watch.  FALSE with *error if no thread can be created. */
gboolean tasks_start(Tasks *tasks, const TasksOwner *owner, GError **error);

/* Ends the watch: from now on only the threads that carry out tasks answer them.  Allowed for tasks
 * that were not started. */
void tasks_stop(Tasks *tasks);

/* Wakes the watch, so that tick() is called. */
void tasks_wake(Tasks *tasks);

/* Whether every task has been freed. */
gboolean tasks_are_idle(Tasks *tasks);

/* How many tasks that are quick have not been freed; whether there are others. */
gint tasks_count_quick(Tasks *tasks);
gboolean tasks_are_slow(Tasks *tasks);

/* Whether every task has been freed, and nobody collects tasks.  Once all threads that carry out
 * tasks have ended, this becomes TRUE within the time for which a thread collects. */
gboolean tasks_are_left_alone(Tasks *tasks);

/* A task with the item, cmd, request, begun, deadline, quick and limited of `wanted`.  NULL if
 * there is no memory. */
Task *tasks_take(Tasks *tasks, const Task *wanted);

/* Starts a task that the caller took off the queue.  0: until task_detach(), the caller may use the
 * command's memory, and must not sleep.  -ECANCELED: the watch has answered it. */
int task_begin(Task *task);

/* 0: carry out task->own, which may sleep.  -ENOMEM: complete the task with that. */
int task_detach(Task *task);

/* TRUE: the caller must answer the command; its data-in has been copied to it unless `result` is an
 * error.  FALSE: the watch has answered it. */
gboolean task_claim(Task *task, int result);

/* Frees the task. */
void task_free(Task *task);

/* ---- giving tasks back
 *
 * A thread that waits for tasks may answer those that are carried out meanwhile: this saves waking
 * it for the next command.
 *
 *     tasks_collect_begin()         FALSE: another thread collects
 *     tasks_have_some_given_back()  whether there is something to collect
 *     tasks_collect_end()           the tasks that were given back, in order, linked by `next`: to
 *                                   be answered and freed.  There may be none
 *
 * Whoever has carried out tasks sets `result` and `position` of each, and calls tasks_give_back().
 * TRUE: somebody collects and has all of them now.  FALSE: answer and free them. */
gboolean tasks_collect_begin(Tasks *tasks);
gboolean tasks_have_some_given_back(Tasks *tasks);
Task *tasks_collect_end(Tasks *tasks);
gboolean tasks_give_back(Tasks *tasks, Task *const *given, guint n);

/* Adds the task to those that wait for the next flush.  TRUE: the caller must queue that flush. */
gboolean tasks_wait_for_flush(Task *task);

/* Takes all tasks that wait for the flush, which starts now. */
Task *tasks_take_flushes(Tasks *tasks);
