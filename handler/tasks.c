/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/tasks.h"

#include <errno.h>

#include "common/base/bytes.h"

enum { QUEUED, BEGUN, DETACHED, ANSWERED };

static Task nothing; /* the end of the list of tasks that were given back, while it is open */

static gboolean task_move(Task *task, gint from, gint to)
{
	return g_atomic_int_compare_and_exchange(&task->state, from, to);
}

/* ---- unanswered tasks, the oldest first */

static void task_link_locked(Tasks *tasks, Task *task)
{
	task->older = tasks->newest;
	task->newer = NULL;
	*(tasks->newest ? &tasks->newest->newer : &tasks->oldest) = task;
	tasks->newest = task;
	task->linked = TRUE;
}

static void task_unlink_locked(Tasks *tasks, Task *task)
{
	*(task->older ? &task->older->newer : &tasks->oldest) = task->newer;
	*(task->newer ? &task->newer->older : &tasks->newest) = task->older;
	task->linked = FALSE;
}

static void task_release_locked(Tasks *tasks, Task *task)
{
	task->next = tasks->free;
	tasks->free = task;
}

/* ---- the watch */

static gboolean flush_remove_locked(Tasks *tasks, const Task *task)
{
	Task **at = &tasks->flush_waiting;

	while (*at && *at != task)
		at = &(*at)->next;
	if (!*at)
		return FALSE;
	*at = task->next;
	return TRUE;
}

/* The next task whose time is over.  Its state is ANSWERED then, so the thread that carries it out
 * no longer answers it, and still frees it. */
static Task *late_next_locked(Tasks *tasks, gint64 now)
{
	for (Task *task = tasks->oldest; task && task->deadline < now; task = task->newer)
		if (task_move(task, QUEUED, ANSWERED) || task_move(task, DETACHED, ANSWERED))
			return task;
	return NULL;
}

/* Answers a copy: the thread that carries the task out may free it at any moment.  A task that was
 * not started is freed here, as no thread will take it any more. */
static gboolean late_answer_one(Tasks *tasks, gint64 now)
{
	gboolean begun = TRUE;
	Task *task, copy = {0};

	g_mutex_lock(&tasks->lock);
	task = late_next_locked(tasks, now);
	if (task) {
		g_atomic_int_set(&task->dropped, TRUE);
		copy.cmd = task->cmd;
		copy.request = task->request;
		copy.begun = task->begun;
		task_unlink_locked(tasks, task);
		begun = !flush_remove_locked(tasks, task) &&
			!tasks->owner.cancel(tasks->owner.data, task);
	}
	g_mutex_unlock(&tasks->lock);
	if (!task)
		return FALSE;
	if (!begun)
		task_free(task);
	tasks->owner.late(tasks->owner.data, &copy);
	return TRUE;
}

static gboolean tasks_are_answered(Tasks *tasks)
{
	gboolean answered;

	g_mutex_lock(&tasks->lock);
	answered = !tasks->oldest;
	g_mutex_unlock(&tasks->lock);
	return answered;
}

static gboolean watch_look(Ticker *watch)
{
	Tasks *tasks = (void *)((char *)watch - G_STRUCT_OFFSET(Tasks, watch));
	gboolean busy;

	while (late_answer_one(tasks, g_get_monotonic_time()))
		;
	busy = tasks->owner.tick(tasks->owner.data);
	return busy || !tasks_are_answered(tasks);
}

void tasks_wake(Tasks *tasks)
{
	ticker_set(&tasks->watch);
}

void tasks_init(Tasks *tasks)
{
	g_mutex_init(&tasks->lock);
}

void tasks_clear(Tasks *tasks)
{
	g_mutex_clear(&tasks->lock);
}

gboolean tasks_start(Tasks *tasks, const TasksOwner *owner, GError **error)
{
	tasks->owner = *owner;
	for (guint i = 0; i < TASKS; i++)
		task_release_locked(tasks, &tasks->tasks[i]);
	tasks->watch.run = watch_look;
	tasks->watched = ticker_add(&tasks->watch, error);
	return tasks->watched;
}

void tasks_stop(Tasks *tasks)
{
	if (tasks->watched)
		ticker_remove(&tasks->watch);
	tasks->watched = FALSE;
}

/* ---- a task's life */

gboolean tasks_are_idle(Tasks *tasks)
{
	return !g_atomic_int_get(&tasks->active);
}

gint tasks_count_quick(Tasks *tasks)
{
	return g_atomic_int_get(&tasks->active) - g_atomic_int_get(&tasks->slow);
}

gboolean tasks_are_slow(Tasks *tasks)
{
	return g_atomic_int_get(&tasks->slow) > 0;
}

gboolean tasks_are_left_alone(Tasks *tasks)
{
	return tasks_are_idle(tasks) && !g_atomic_pointer_get(&tasks->given_back);
}

/* Not `own`, which task_detach() fills. */
static void task_fill(Task *task, Tasks *tasks, const Task *wanted, gboolean allocated)
{
	task->item = wanted->item;
	task->tasks = tasks;
	task->cmd = wanted->cmd;
	task->request = wanted->request;
	task->data = (struct iovec){NULL, 0};
	task->begun = wanted->begun;
	task->deadline = wanted->deadline;
	task->state = QUEUED;
	task->dropped = FALSE;
	task->allocated = allocated;
	task->quick = wanted->quick;
	task->limited = wanted->limited;
}

Task *tasks_take(Tasks *tasks, const Task *wanted)
{
	gboolean allocated = FALSE;
	Task *task;

	g_mutex_lock(&tasks->lock);
	task = tasks->free;
	if (task) {
		tasks->free = task->next;
	} else {
		g_mutex_unlock(&tasks->lock);
		task = g_try_new(Task, 1);
		if (!task)
			return NULL;
		allocated = TRUE;
		g_mutex_lock(&tasks->lock);
	}
	task_fill(task, tasks, wanted, allocated);
	task_link_locked(tasks, task);
	g_mutex_unlock(&tasks->lock);
	ticker_set(&tasks->watch);
	g_atomic_int_inc(&tasks->active);
	if (!wanted->quick)
		g_atomic_int_inc(&tasks->slow);
	return task;
}

static int task_copy_data(Task *task)
{
	const Request *request = &task->request;
	gsize length = iov_length(request->iov, (int)request->count);
	IovCursor from = iov_cursor(request->iov, (int)request->count);

	task->own = *request;
	task->own.iov = &task->data;
	task->own.count = length ? 1 : 0;
	if (!length)
		return 0;
	task->data.iov_base = g_try_malloc(length);
	if (!task->data.iov_base)
		return -ENOMEM;
	task->data.iov_len = length;
	/* A data-in buffer is copied, too: it is zeroed, and the answer may be shorter. */
	if (request->kind != REQUEST_READ)
		iov_copy_out(&from, task->data.iov_base, length);
	return 0;
}

int task_begin(Task *task)
{
	return task_move(task, QUEUED, BEGUN) ? 0 : -ECANCELED;
}

int task_detach(Task *task)
{
	int r = task->request.count > G_MAXINT ? -EINVAL : task_copy_data(task);

	g_atomic_int_set(&task->state, DETACHED);
	return r;
}

gboolean task_claim(Task *task, int result)
{
	const Request *request = &task->request;
	IovCursor to = iov_cursor(request->iov, (int)request->count);

	if (!task_move(task, DETACHED, ANSWERED) && !task_move(task, BEGUN, ANSWERED) &&
	    !task_move(task, QUEUED, ANSWERED))
		return FALSE;
	if (!result && task->data.iov_base && request_returns_data(request))
		iov_copy_in(&to, task->data.iov_base, task->data.iov_len);
	return TRUE;
}

void task_free(Task *task)
{
	Tasks *tasks = task->tasks;
	gboolean allocated = task->allocated, quick = task->quick;

	g_free(task->data.iov_base);
	g_mutex_lock(&tasks->lock);
	if (task->linked)
		task_unlink_locked(tasks, task);
	if (!allocated)
		task_release_locked(tasks, task);
	g_mutex_unlock(&tasks->lock);
	if (allocated)
		g_free(task);
	if (!quick)
		g_atomic_int_add(&tasks->slow, -1);
	if (tasks->owner.freed)
		tasks->owner.freed(tasks->owner.data);
	g_atomic_int_dec_and_test(&tasks->active);
}

/* ---- giving tasks back */

gboolean tasks_collect_begin(Tasks *tasks)
{
	return g_atomic_pointer_compare_and_exchange(&tasks->given_back, NULL, &nothing);
}

gboolean tasks_have_some_given_back(Tasks *tasks)
{
	return g_atomic_pointer_get(&tasks->given_back) != &nothing;
}

Task *tasks_collect_end(Tasks *tasks)
{
	Task *task = __atomic_exchange_n(&tasks->given_back, NULL, __ATOMIC_ACQ_REL);
	Task *list = NULL;

	while (task != &nothing) { /* the list is the newest first */
		Task *next = task->next;

		task->next = list;
		list = task;
		task = next;
	}
	return list;
}

gboolean tasks_give_back(Tasks *tasks, Task *const *given, guint n)
{
	Task *first = g_atomic_pointer_get(&tasks->given_back);

	if (!first || !n)
		return FALSE;
	for (guint i = 1; i < n; i++)
		given[i]->next = given[i - 1];
	while (first) {
		given[0]->next = first;
		if (__atomic_compare_exchange_n(&tasks->given_back, &first, given[n - 1], FALSE,
						__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return TRUE;
	}
	return FALSE;
}

/* ---- flushes */

gboolean tasks_wait_for_flush(Task *task)
{
	Tasks *tasks = task->tasks;
	gboolean first;

	g_mutex_lock(&tasks->lock);
	task->next = tasks->flush_waiting;
	tasks->flush_waiting = task;
	first = !tasks->flush_queued;
	tasks->flush_queued = TRUE;
	g_mutex_unlock(&tasks->lock);
	return first;
}

Task *tasks_take_flushes(Tasks *tasks)
{
	Task *task;

	g_mutex_lock(&tasks->lock);
	task = tasks->flush_waiting;
	tasks->flush_waiting = NULL;
	tasks->flush_queued = FALSE;
	g_mutex_unlock(&tasks->lock);
	return task;
}
