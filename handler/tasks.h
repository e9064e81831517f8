/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of a device that are under way, each of which is answered in time: by who carries it
 * out or, where the disk below does not answer, in its place.
 *
 * A thread that the kernel keeps cannot be called back.  But the command can be answered, and then
 * its vector, data and sense buffer are somebody else's: the kernel gives that part of the ring to
 * the next command.  So a command is carried out on memory of the task's own: data is copied there
 * before anything can sleep, and back only by who answers.  What was answered in its place changes
 * nothing afterwards (common/engine/wanted.h), and was taken off its queue if it was not begun.
 *
 *     QUEUED ---> COPYING ---> RUNNING ---> ANSWERED     one step at a time, by one thread each
 *        '-----------------------'------------^          too late
 *
 * What is answered so stays with the thread that has it until that comes back: no more of them than
 * there are threads, and one batch of flushes.
 *
 * Threading: any.
 */
#pragma once

#include "common/base/workers.h"
#include "handler/request.h"
#include "handler/runner-abi.h"

/* The kernel queues 128 commands to a device unless it was told otherwise; an UNMAP counts four. */
#define TASKS 256

typedef struct Tasks Tasks;
typedef struct Task Task;

struct Task {
	WorkItem item; /* first */
	Task *next;    /* in the list of free ones, or of those that wait for the flush */
	Task *older, *newer;
	Tasks *tasks;
	RunnerCommand *cmd;
	Request request;
	Request own; /* the same, on the task's memory */
	struct iovec data;
	gint64 begun; /* as metrics_begin() gave it */
	gint64 deadline;
	gint state;	    /* atomic */
	gint dropped;	    /* atomic: it was answered in its place */
	gboolean linked;    /* under way; under the lock */
	gboolean allocated; /* not one of the device's own */
};

typedef struct {
	/* Answers it: its time is over.  Of the task there are command, request and beginning. */
	void (*late)(gpointer data, const Task *task);
	/* Called each second while something is under way; TRUE: so it is. */
	gboolean (*tick)(gpointer data);
	gpointer data;
	Workers *workers; /* whose queue they are on */
} TasksOwner;

struct Tasks {
	TasksOwner owner;
	GThread *watch;
	gint active; /* tasks that were not given back; atomic */

	GMutex lock; /* held for a few instructions; only the workers' is taken within */
	GCond wake;
	gboolean stop, asleep, woken;
	Task *free;
	Task *oldest, *newest; /* that were not answered */
	Task *flush_waiting;
	gboolean flush_queued;
	Task tasks[TASKS];
};

void tasks_init(Tasks *tasks); /* of zeroed memory */
void tasks_clear(Tasks *tasks);

/* FALSE: there can be no thread. */
gboolean tasks_start(Tasks *tasks, const TasksOwner *owner);

/* Nothing is answered in its place from now on.  Also of one that was not started. */
void tasks_stop(Tasks *tasks);

/* Sees that tick() is called. */
void tasks_wake(Tasks *tasks);

/* Whether none is with anybody. */
gboolean tasks_are_idle(Tasks *tasks);

/* A task with the command, request, deadline, beginning and function of `wanted`.  NULL: no memory.
 */
Task *tasks_take(Tasks *tasks, const Task *wanted);

/* Whether the caller, who has the task, may begin with it: then `own` is what to carry out.  0,
 * -ENOMEM, or -ECANCELED: it was answered. */
int task_begin(Task *task);

/* Whether the caller answers: then data-in is where it belongs, unless there was an error. */
gboolean task_claim(Task *task, int result);

/* Gives the task back; nothing of it is in use any more. */
void task_free(Task *task);

/* Puts it to those that wait for the flush; TRUE: nobody has asked for one yet. */
gboolean tasks_wait_for_flush(Task *task);

/* All that wait for the flush, which begins now. */
Task *tasks_take_flushes(Tasks *tasks);
