/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's way: device_submit() queues a task, task_run() carries it out, alone or in a batch,
 * and task_complete() answers it.
 */
#include "handler/device-private.h"

#include <errno.h>

#include "handler/space.h"

Volume *device_volume(Device *device)
{
	return g_atomic_pointer_get(&device->volume);
}

static Device *device_of(const Task *task)
{
	return (void *)((char *)task->tasks - G_STRUCT_OFFSET(Device, tasks));
}

/* ---- results */

static void task_log_failure(Device *device, const Request *request, int result)
{
	logging_write_limited(
		&device->failures, LOGGING_ERROR,
		"%s: %s of %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT " failed: %s",
		device->name, request_name(request), request_bytes(request), request->offset,
		result == -ETIMEDOUT ? "timed out after 20 s; answered BUSY" : g_strerror(-result));
}

/* Counts the request, begun at `begun`, as done.  Returns the status for `result` and fills the
 * command's sense data; `position` is the byte of the volume that the result is about. */
static RunnerStatus request_conclude(Device *device, RunnerCommand *cmd, const Request *request,
				     gint64 begun, int result, guint64 position)
{
	SenseDirection direction = request_reads(request) ? SENSE_READING : SENSE_WRITING;
	guint8 *sense = runner_command_sense(cmd);
	guint64 information = 0;

	metrics_end(&device->metrics, request_metrics_kind(request), begun, request_bytes(request),
		    result && result != -EILSEQ);
	if (result == -EBADMSG)
		information = position / device->unit.block_size;
	if (result == -EILSEQ)
		information = position - request->offset;
	else if (result)
		task_log_failure(device, request, result);
	return result ? sense_from_result(result, direction, information, sense) : RUNNER_OK;
}

static RunnerStatus task_conclude(Device *device, const Task *task, int result, guint64 position)
{
	return request_conclude(device, task->cmd, &task->request, task->begun, result, position);
}

/* The task is freed, and no lock is held, before the runner is called: runner_complete() may submit
 * the next step of a compound command, and the device may be closed as soon as its last command has
 * been completed. */
static void task_complete(Task *task, int result, guint64 position)
{
	Device *device = device_of(task);
	RunnerDevice *handle = device->handle;
	RunnerCommand *cmd = task->cmd;
	RunnerStatus status = RUNNER_OK;
	gboolean ours = task_claim(task, result);

	if (ours)
		status = task_conclude(device, task, result, position);
	task_free(task);
	if (ours)
		runner_complete(handle, cmd, status);
}

/* Called by the tasks' watch thread. */
void device_answer_late(gpointer data, const Task *task)
{
	Device *device = data;

	runner_complete(device->handle, task->cmd, task_conclude(device, task, -ETIMEDOUT, 0));
}

/* ---- flushes */

void device_run_flush(WorkItem *item)
{
	Device *device = (void *)((char *)item - G_STRUCT_OFFSET(Device, flush_item));
	Task *task = tasks_take_flushes(&device->tasks), *next;
	int result = volume_flush(device_volume(device));

	for (; task; task = next) {
		next = task->next;
		task_complete(task, result, 0);
	}
}

static void task_queue_flush(Device *device, Task *task)
{
	if (tasks_wait_for_flush(task))
		workers_push(device->flusher, &device->flush_item);
}

/* ---- space */

/* How often the free space is read while there are writes. */
#define SPACE_INTERVAL (5 * G_USEC_PER_SEC)

void device_get_space(gpointer data, ScsiSpace *ret_space)
{
	Device *device = data;
	Volume *volume = device_volume(device);
	g_autofree char *path = pool_volume_path(opening_config(device->opening),
						 opening_volume_name(device->opening), NULL);
	VolumeInfo info;

	if (!path || !volume)
		return;
	volume_get_info(volume, &info);
	space_get(path, info.backing_bytes, ret_space);
}

/* Called after the answer, because reading the free space may block on the disk; no more than one
 * thread does it at a time. */
static void device_check_space(Device *device)
{
	gint64 now = g_get_monotonic_time();
	gint64 before = __atomic_load_n(&device->space_looked, __ATOMIC_RELAXED);
	ScsiSpace space = {0};

	if ((before && now - before < SPACE_INTERVAL) ||
	    !g_atomic_int_compare_and_exchange(&device->space_looking, FALSE, TRUE))
		return;
	__atomic_store_n(&device->space_looked, now, __ATOMIC_RELAXED);
	device_get_space(device, &space);
	if (space.available || space.used)
		scsi_unit_note_space(&device->unit, &space);
	g_atomic_int_set(&device->space_looking, FALSE);
}

/* ---- the other requests */

/* Reads what is in memory straight into the command's: no copy is made.  -EAGAIN: something is
 * not. */
static int read_nowait(Device *device, const Request *request, guint64 *ret_position)
{
	if (request->count > G_MAXINT)
		return -EINVAL;
	return volume_read_nowait(device_volume(device), request->iov, (int)request->count,
				  request->offset, ret_position);
}

static int task_execute(Device *device, Task *task, guint64 *ret_position)
{
	int result = task_begin(task);

	if (result)
		return result;
	if (g_get_monotonic_time() > task->deadline)
		return -ETIMEDOUT;
	if (task->request.kind == REQUEST_READ) {
		result = read_nowait(device, &task->request, ret_position);
		if (result != -EAGAIN)
			return result;
	}
	result = task_detach(task);
	if (result)
		return result;
	wanted_until(&task->dropped);
	result = request_execute(&task->own, device_volume(device), task->deadline, ret_position);
	wanted_until(NULL);
	return result;
}

/* Ends a task that was carried out. */
static void task_finish(Device *device, Task *task, int result, guint64 position)
{
	if (!result && task->request.durable)
		task_queue_flush(device, task);
	else if (!task_give_back(task, result, position))
		task_complete(task, result, position);
}

static void task_run(WorkItem *item)
{
	Task *task = (Task *)item;
	Device *device = device_of(task);
	gboolean reads = request_reads(&task->request);
	guint64 position = 0;
	int result = task_execute(device, task, &position);

	task_finish(device, task, result, position);
	/* The device may be closing by now; device_close() waits for this item's end. */
	if (!reads)
		device_check_space(device);
}

/* ---- short writes */

Volume *device_write_volume(gpointer data)
{
	return device_volume(data);
}

void device_finish_write(gpointer data, Task *task, int result, guint64 position)
{
	Device *device = data;

	g_atomic_int_add(&device->n_writes, -1);
	task_finish(device, task, result, position);
}

void device_rest(gpointer data)
{
	device_check_space(data);
}

gboolean device_cancel(gpointer data, Task *task)
{
	Device *device = data;

	if (!writer_suits(&task->request))
		return workers_cancel(device->workers, &task->item);
	if (!writer_cancel(device->writer, task))
		return FALSE;
	g_atomic_int_add(&device->n_writes, -1);
	return TRUE;
}

void device_expect(Device *device, RunnerCommand *cmd)
{
	g_atomic_pointer_set(&device->plain, cmd);
}

/* Whether this is the dispatch thread, which may wait for the request. */
static gboolean may_await(Device *device, const Task *task)
{
	if (g_atomic_pointer_get(&device->plain) != task->cmd)
		return FALSE;
	g_atomic_pointer_set(&device->plain, NULL);
	return !task->request.durable;
}

/* Queues a short write.  Where the dispatch thread waits, this answers what has been carried out
 * meanwhile.  The device must not be touched once its last command can be answered. */
static void write_queue(Device *device, Task *task, gboolean may_wait)
{
	Writer *writer = device->writer;
	gint n = g_atomic_int_add(&device->n_writes, 1) + 1;
	gboolean waits = may_wait && waiter_begin(&device->waiter, n);
	gboolean awake = writer_push(writer, task);
	Task *next;

	if (!waits)
		return;
	for (task = waiter_end(&device->waiter, awake); task; task = next) {
		next = task->next;
		task_complete(task, task->result, task->position);
	}
}

static void task_queue(Device *device, Task *task, gboolean may_wait)
{
	if (task->request.kind == REQUEST_FLUSH)
		task_queue_flush(device, task);
	else if (writer_suits(&task->request))
		write_queue(device, task, may_wait);
	else
		workers_push(device->workers, &task->item);
}

/* A task for the command; NULL and *ret_status if it cannot be queued. */
static Task *task_for(Device *device, RunnerCommand *cmd, const Request *request,
		      RunnerStatus *ret_status)
{
	Task wanted = {.item.run = task_run, .cmd = cmd, .request = *request};
	Task *task;

	if (!device_volume(device)) {
		*ret_status =
			sense_from_result(-ENODEV, SENSE_READING, 0, runner_command_sense(cmd));
		return NULL;
	}
	if (device->unit.write_through && !request_reads(request))
		wanted.request.durable = TRUE;
	wanted.begun = metrics_begin(&device->metrics);
	wanted.deadline = g_get_monotonic_time() + DEVICE_DEADLINE;
	task = tasks_take(&device->tasks, &wanted);
	if (task)
		return task;
	metrics_end(&device->metrics, request_metrics_kind(request), wanted.begun, 0, TRUE);
	*ret_status = RUNNER_NO_RESOURCE;
	return NULL;
}

gboolean device_is_idle(gpointer data)
{
	Device *device = data;

	return tasks_are_idle(&device->tasks);
}

gboolean device_tick(gpointer data)
{
	Device *device = data;

	sanitizer_tick(device->sanitizer);
	writer_look(device->writer);
	return g_atomic_int_get(&device->unit.state) == SCSI_SANITIZING;
}

/* Called when the command is answered, even if the SANITIZE itself goes on. */
static void sanitize_count(Device *device, gboolean done)
{
	metrics_end(&device->metrics, METRICS_DISCARD, device->sanitize_begun,
		    volume_size(device_volume(device)), !done);
}

void device_answer_sanitize(gpointer data, RunnerCommand *cmd, RunnerStatus status)
{
	Device *device = data;

	sanitize_count(device, status == RUNNER_OK ||
				       g_atomic_int_get(&device->unit.state) == SCSI_SANITIZING);
	runner_complete(device->handle, cmd, status);
}

static RunnerStatus sanitize_submit(Device *device, RunnerCommand *cmd, const Request *request)
{
	const ScsiCommand command = {
		.cdb = runner_command_cdb(cmd), .iov = request->iov, .count = request->count};
	RunnerStatus status;
	Sanitize asked;

	if (!scsi_sanitize_parse(&command, device->unit.block_size, &asked))
		return sense_refuse(runner_command_sense(cmd), sense_invalid_cdb);
	if (volume_has_snapshots(device_volume(device)))
		return sense_refuse(runner_command_sense(cmd), sense_command_sequence);
	device->sanitize_begun = metrics_begin(&device->metrics);
	status = sanitizer_begin(device->sanitizer, device_volume(device), cmd, &asked);
	if (status)
		sanitize_count(device, FALSE);
	tasks_wake(&device->tasks);
	return status;
}

RunnerStatus device_submit(Device *device, RunnerCommand *cmd, const Request *request)
{
	RunnerStatus status = RUNNER_OK;
	Task *task;

	if (request->kind == REQUEST_SANITIZE && device_volume(device))
		return sanitize_submit(device, cmd, request);
	task = task_for(device, cmd, request, &status);
	if (task)
		task_queue(device, task, may_await(device, task));
	return status;
}

RunnerStatus device_read_now(Device *device, RunnerCommand *cmd, const Request *request)
{
	guint64 position = 0;
	gint64 begun;
	int result;

	if (request->length > DEVICE_NOW_MAX)
		return RUNNER_NOT_HANDLED;
	begun = metrics_begin(&device->metrics);
	result = read_nowait(device, request, &position);
	if (result != -EAGAIN)
		return request_conclude(device, cmd, request, begun, result, position);
	metrics_end(&device->metrics, METRICS_UNCOUNTED, begun, 0, FALSE); /* it begins anew */
	return RUNNER_NOT_HANDLED;
}
