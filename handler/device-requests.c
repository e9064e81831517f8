/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's way: device_submit() queues a task, task_run() carries it out, alone or in a batch,
 * and task_complete() answers it.
 */
#include "handler/device-private.h"

#include <errno.h>

#include "common/base/bounds.h"
#include "handler/batch.h"
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
	else if (result && result != -ESTALE)
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
	gboolean ours;

	result = device_verdict(device, result);
	ours = task_claim(task, result);
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

	runner_complete(device->handle, task->cmd,
			task_conclude(device, task, device_late_verdict(device, -ETIMEDOUT), 0));
}

/* ---- flushes */

void device_run_flush(WorkItem *item)
{
	Device *device = (void *)((char *)item - G_STRUCT_OFFSET(Device, flush_item));
	Task *task = tasks_take_flushes(&device->tasks), *next;
	int result;

	if (!task) /* all were answered late: the volume may be gone */
		return;
	result = volume_flush(device_volume(device));
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

	if (!path || !volume || device->unit.direct) /* Ceph's space is Ceph's to watch */
		return;
	volume_get_info(volume, &info);
	if (space_get(path, info.backing_bytes, ret_space)) /* a quota may leave less */
		ret_space->available = min_u64(ret_space->available, volume_available(volume));
}

/* Called after the answer, because reading the free space may block on the disk; no more than one
 * thread does it at a time. */
static void device_check_space(Device *device)
{
	gint64 now = g_get_monotonic_time();
	gint64 before = __atomic_load_n(&device->space_looked, __ATOMIC_RELAXED);
	ScsiSpace space = {0};

	if (device->failover || (before && now - before < SPACE_INTERVAL) ||
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

/* Ends tasks that were carried out: each has its result. */
static void tasks_finish(Device *device, Task **tasks, guint n)
{
	guint left = 0;

	for (guint i = 0; i < n; i++)
		if (!tasks[i]->result && tasks[i]->request.durable)
			task_queue_flush(device, tasks[i]);
		else
			tasks[left++] = tasks[i];
	if (tasks_give_back(&device->tasks, tasks, left))
		return;
	for (guint i = 0; i < left; i++)
		task_complete(tasks[i], tasks[i]->result, tasks[i]->position);
}

static void task_run(WorkItem *item)
{
	Task *task = (Task *)item;
	Device *device = device_of(task);
	gboolean reads = request_reads(&task->request);
	TaskBatch batch;

	if (device->unit.direct)
		task_batch_single(&batch, task);
	else
		task_batch_gather(&batch, device->workers, task);
	if (batch.n > 1) {
		task_batch_execute(&batch, device_volume(device));
	} else {
		task->position = 0;
		task->result = task_execute(device, task, &task->position);
	}
	tasks_finish(device, batch.tasks, batch.n);
	/* The device may be closing by now; device_close() waits for this item's end. */
	if (!reads)
		device_check_space(device);
}

static void task_queue(Device *device, Task *task)
{
	if (task->request.kind == REQUEST_FLUSH)
		task_queue_flush(device, task);
	else
		workers_push(device->workers, &task->item);
}

/* ---- limits */

/* Called by the limiter's thread. */
void device_let_go(gpointer data, LimiterItem *item)
{
	task_queue(data, (void *)((char *)item - G_STRUCT_OFFSET(Task, held)));
}

/* Whether the task waits for the limits; then it must not be touched. */
static gboolean task_is_held(Device *device, Task *task)
{
	return task->limited &&
	       limiter_holds(&device->limiter, &task->held, request_metrics_kind(&task->request),
			     request_bytes(&task->request));
}

/* ---- the writer */

Volume *device_write_volume(gpointer data)
{
	return device_volume(data);
}

void device_finish_writes(gpointer data, Task **tasks, guint n)
{
	tasks_finish(data, tasks, n);
}

gboolean device_has_slow_tasks(gpointer data)
{
	Device *device = data;

	return tasks_are_slow(&device->tasks);
}

void device_rest(gpointer data)
{
	device_check_space(data);
}

gboolean device_cancel(gpointer data, Task *task)
{
	Device *device = data;

	return limiter_cancel(&device->limiter, &task->held) ||
	       workers_cancel(device->workers, &task->item) || writer_cancel(device->writer, task);
}

/* Gives the workers what waits behind a writer that is held up. */
static void writer_relieve(Device *device)
{
	WorkItem *item = (WorkItem *)writer_look(device->writer), *next;

	for (; item; item = next) {
		next = item->next;
		workers_push(device->workers, item);
	}
}

/* ---- short writes from the dispatch thread
 *
 * One at a time: a thread of `workers` spins for the next one (workers.h).  A few at a time: they
 * are for the writer.  More form batches by themselves, and keep both threads busy.  Either way the
 * dispatch thread may wait for what it has handed over (waiter.h). */

/* After a read that the dispatch thread has answered, so many writes are not waited for.  The
 * runner tells the initiator of such answers once its thread has emptied the ring; and it may not
 * be empty, as nobody knows how many reads there are at a time. */
#define MIXED 64

void device_expect(Device *device, RunnerCommand *cmd)
{
	g_atomic_pointer_set(&device->plain, cmd);
}

/* Whether the calling thread is the dispatch thread, which submits a short write. */
static gboolean task_is_expected(Device *device, const Task *task)
{
	if (g_atomic_pointer_get(&device->plain) != task->cmd)
		return FALSE;
	g_atomic_pointer_set(&device->plain, NULL);
	return task->quick;
}

/* Whether the initiator has sent nothing but short writes lately. */
static gboolean are_alone(Device *device)
{
	if (tasks_are_slow(&device->tasks))
		return FALSE;
	if (!g_atomic_int_get(&device->mixed))
		return TRUE;
	g_atomic_int_add(&device->mixed, -1);
	return FALSE;
}

/* WRITER_REFUSES: nobody has the task. */
static WriterPush task_hand(Device *device, Task *task)
{
	if (device->waiter.depth == 1)
		return workers_hand(device->workers, &task->item) ? WRITER_IS_AWAKE
								  : WRITER_REFUSES;
	return writer_suits(&task->request) ? writer_push(device->writer, task) : WRITER_REFUSES;
}

/* Hands the task to a thread that needs no waking, and if the dispatch thread waits, answers what
 * is carried out meanwhile.  FALSE: there is none.  The device must not be touched once its last
 * command can be answered. */
static gboolean task_submit_short(Device *device, Task *task)
{
	Waiter *waiter = &device->waiter;
	gboolean all = waiter_count(waiter, tasks_count_quick(&device->tasks));
	gboolean waits;
	WriterPush pushed;

	if (waiter->depth > WRITER_DEPTH || (waiter->depth > 1 && !are_alone(device)))
		return FALSE;
	waits = all && waiter_begin(waiter);
	pushed = task_hand(device, task);
	if (!waits)
		return pushed != WRITER_REFUSES;
	for (Task *done = waiter_end(waiter, pushed == WRITER_IS_AWAKE), *next; done; done = next) {
		next = done->next;
		task_complete(done, done->result, done->position);
	}
	return pushed != WRITER_REFUSES;
}

static gboolean is_refused(Device *device, RunnerCommand *cmd, const Request *request,
			   RunnerStatus *ret_status)
{
	int result = device_volume(device) ? device_begin(device, request) : -ENODEV;

	if (!result)
		return FALSE;
	*ret_status = sense_from_result(result, SENSE_READING, 0, runner_command_sense(cmd));
	return TRUE;
}

/* A task for the command; NULL and *ret_status if it cannot be queued. */
static Task *task_for(Device *device, RunnerCommand *cmd, const Request *request,
		      RunnerStatus *ret_status)
{
	LimiterDirection direction = limiter_direction(request_metrics_kind(request));
	Task wanted = {.item.run = task_run,
		       .cmd = cmd,
		       .request = *request,
		       .limited = limiter_limits(&device->limiter, direction)};
	Task *task;

	/* It would wait longer than initiators do.  TASK SET FULL has them send fewer at a time
	 * (SAM-5, 5.3.1), and does not cost those that wait their places. */
	if (wanted.limited && limiter_is_full(&device->limiter, direction)) {
		*ret_status = RUNNER_NO_RESOURCE;
		return NULL;
	}
	if (is_refused(device, cmd, request, ret_status))
		return NULL;
	if (g_atomic_int_get(&device->durable))
		wanted.request.durable = FALSE;
	else if (g_atomic_int_get(&device->unit.write_through) && !request_reads(request))
		wanted.request.durable = TRUE;
	wanted.quick = request->kind == REQUEST_WRITE && request->length <= DEVICE_NOW_MAX &&
		       !wanted.request.durable && !device->unit.direct && !wanted.limited;
	wanted.begun = metrics_begin(&device->metrics);
	wanted.deadline = g_get_monotonic_time() + DEVICE_DEADLINE;
	task = tasks_take(&device->tasks, &wanted);
	if (task)
		return task;
	device_end(device);
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
	writer_relieve(device);
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
	if (task && !task_is_held(device, task) &&
	    !(task_is_expected(device, task) && task_submit_short(device, task)))
		task_queue(device, task);
	return status;
}

RunnerStatus device_read_now(Device *device, RunnerCommand *cmd, const Request *request)
{
	gboolean limited = limiter_limits(&device->limiter, LIMITER_READ);
	guint64 position = 0;
	gint64 begun;
	int result;

	if (device->failover) /* it must hold the volume, which another gateway may take */
		return RUNNER_NOT_HANDLED;
	if (request->length > DEVICE_NOW_MAX)
		return RUNNER_NOT_HANDLED;
	if (limited && !limiter_passes(&device->limiter, METRICS_READ, request->length))
		return RUNNER_NOT_HANDLED;
	begun = metrics_begin(&device->metrics);
	result = read_nowait(device, request, &position);
	if (result != -EAGAIN) {
		g_atomic_int_set(&device->mixed, MIXED);
		return request_conclude(device, cmd, request, begun, result, position);
	}
	metrics_end(&device->metrics, METRICS_UNCOUNTED, begun, 0, FALSE); /* it begins anew */
	if (limited)
		limiter_return(&device->limiter, METRICS_READ, request->length);
	return RUNNER_NOT_HANDLED;
}
