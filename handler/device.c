/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/device.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/service/monitor.h"
#include "handler/arrival.h"
#include "handler/aside.h"
#include "handler/batch.h"
#include "handler/flusher.h"
#include "handler/identity.h"
#include "handler/sanitizer.h"
#include "handler/space.h"
#include "handler/tasks.h"

/* How long the runner's main thread waits for a close, which includes a checkpoint. */
static const AsidePatience close_patience = {10 * G_TIME_SPAN_SECOND,
					     100 * G_TIME_SPAN_MILLISECOND};

struct Device {
	RunnerDevice *handle;
	ScsiUnit unit;
	Sanitizer *sanitizer;
	gint64 sanitize_begun; /* as metrics_begin() gave it */
	gint used;	       /* atomic */
	gint space_looking;    /* a thread is reading the free space; atomic */
	gint64 space_looked;   /* when the last one began, microseconds; atomic */
	guint64 attribute;     /* the kernel's attribute `size`, bytes */
	const char *name;      /* owned by `opening` */
	Opening *opening;
	Arrival *arrival;
	Volume *volume; /* atomic; NULL until it is open */
	Workers *workers;
	Workers *flusher; /* one thread at most */
	WorkItem flush_item;

	LoggingLimit failures;
	Metrics metrics;
	Monitor *monitor; /* NULL until the volume is open */
	Tasks tasks;
};

static Volume *device_volume(Device *device)
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
static void task_answer_late(gpointer data, const Task *task)
{
	Device *device = data;

	runner_complete(device->handle, task->cmd, task_conclude(device, task, -ETIMEDOUT, 0));
}

/* ---- flushes */

static void flush_run(WorkItem *item)
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

static void device_get_space(gpointer data, ScsiSpace *ret_space)
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

static void task_finish(Device *device, Task *task, int result, guint64 position)
{
	if (!result && task->request.durable)
		task_queue_flush(device, task);
	else
		task_complete(task, result, position);
}

static void task_run(WorkItem *item)
{
	Task *task = (Task *)item;
	Device *device = device_of(task);
	gboolean reads = request_reads(&task->request);
	TaskBatch batch;

	task_batch_gather(&batch, device->workers, task);
	if (batch.n > 1) {
		task_batch_execute(&batch, device_volume(device));
	} else {
		batch.positions[0] = 0;
		batch.results[0] = task_execute(device, task, &batch.positions[0]);
	}
	for (guint i = 0; i < batch.n; i++)
		task_finish(device, batch.tasks[i], batch.results[i], batch.positions[i]);
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
	wanted.begun = metrics_begin(&device->metrics);
	wanted.deadline = g_get_monotonic_time() + DEVICE_DEADLINE;
	task = tasks_take(&device->tasks, &wanted);
	if (task)
		return task;
	metrics_end(&device->metrics, request_metrics_kind(request), wanted.begun, 0, TRUE);
	*ret_status = RUNNER_NO_RESOURCE;
	return NULL;
}

static gboolean device_is_idle(gpointer data)
{
	Device *device = data;

	return tasks_are_idle(&device->tasks);
}

static gboolean device_tick(gpointer data)
{
	Device *device = data;

	sanitizer_tick(device->sanitizer);
	return g_atomic_int_get(&device->unit.state) == SCSI_SANITIZING;
}

/* Called when the command is answered, even if the SANITIZE itself goes on. */
static void sanitize_count(Device *device, gboolean done)
{
	metrics_end(&device->metrics, METRICS_DISCARD, device->sanitize_begun,
		    volume_size(device_volume(device)), !done);
}

static void sanitize_answer(gpointer data, RunnerCommand *cmd, RunnerStatus status)
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
		task_queue(device, task);
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

void device_note_use(Device *device)
{
	if (!g_atomic_int_get(&device->used))
		g_atomic_int_set(&device->used, TRUE);
}

gboolean device_is_in_use(Device *device)
{
	return g_atomic_int_get(&device->used);
}

ScsiUnit *device_unit(Device *device)
{
	return &device->unit;
}

gboolean device_is_ready(Device *device)
{
	return device_volume(device) != NULL;
}

static void device_identify(gpointer data, ScsiIdentity *ret_identity)
{
	Device *device = data;
	g_autofree char *directory = runner_device_directory(device->handle);

	identity_read(directory, runner_deals_with_implicit_groups(), ret_identity);
}

/* ---- its size */

#define RESIZE_SECONDS 3 /* for which the runner's main thread waits */

static void device_take_size(Device *device, const Volume *volume, gboolean tell)
{
	guint64 blocks = volume_size(volume) / device->unit.block_size;

	if (scsi_unit_blocks(&device->unit) != blocks)
		scsi_unit_resize(&device->unit, blocks, tell);
}

gboolean device_resize(Device *device, guint64 size, GError **error)
{
	Volume *volume = device_volume(device);

	if (size == device->attribute)
		return TRUE;
	if (!volume)
		return error_set(error, STORAGEOS_ERROR_BUSY, "the volume is not open yet");
	if (!volume_resize(volume, size, 0, RESIZE_SECONDS, error))
		return FALSE;
	device->attribute = size;
	device_take_size(device, volume, FALSE); /* the runner raises the unit attention */
	return TRUE;
}

/* ---- open and close */

static void volume_came(gpointer data, Volume *volume)
{
	Device *device = data;

	device->monitor =
		monitor_new(opening_config(device->opening), opening_volume_name(device->opening),
			    "tcmu", volume, &device->metrics);
	device_take_size(device, volume, opening_served_before(device->opening));
	g_atomic_pointer_set(&device->volume, volume);
}

static void device_give_up(Device *device, const char *name, const GError *error)
{
	log_error("%s: not served until tcmu-runner is started again: %s", name,
		  error ? error->message : "failed");
	g_atomic_int_set(&device->unit.state, SCSI_LOST);
}

static void volume_lost(gpointer data, const GError *error)
{
	Device *device = data;

	device_give_up(device, device->name, error);
}

static ArrivalResult await_volume(Device *device, GError **error)
{
	const ArrivalOwner owner = {.opening = device->opening,
				    .came = volume_came,
				    .lost = volume_lost,
				    .data = device};

	return arrival_begin(&owner, &device->arrival, error);
}

static guint worker_count(const Config *config)
{
	guint processors = g_get_num_processors();

	return config->workers ? config->workers : CLAMP(2 * processors, 4, 16);
}

static gboolean start_workers(Device *device, const Config *config, GError **error)
{
	device->workers = workers_new("storageos-io", worker_count(config), error);
	if (!device->workers)
		return FALSE;
	device->flusher = workers_new("storageos-sync", 1, error);
	device->flush_item.run = flush_run;
	return device->flusher != NULL;
}

static gboolean start_tasks(Device *device, GError **error)
{
	const TasksOwner owner = {.late = task_answer_late,
				  .tick = device_tick,
				  .data = device,
				  .workers = device->workers};

	return tasks_start(&device->tasks, &owner, error);
}

static gboolean start_sanitizer(Device *device)
{
	const SanitizerOwner owner = {.unit = &device->unit,
				      .rate = opening_config(device->opening)->sanitize_rate,
				      .deadline = DEVICE_DEADLINE,
				      .name = device->name,
				      .is_idle = device_is_idle,
				      .answer = sanitize_answer,
				      .data = device};

	device->sanitizer = sanitizer_new(&owner);
	return device->sanitizer != NULL;
}

/* Everything that a volume is served with. */
static gboolean open_parts(Device *device, const OpeningDevice *opening, GError **error)
{
	device->opening = opening_new(opening, error);
	if (!device->opening)
		return FALSE;
	device->name = opening_name(device->opening);
	if (!start_sanitizer(device))
		return error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
	return start_workers(device, opening_config(device->opening), error) &&
	       start_tasks(device, error);
}

static DeviceOpening open_volume(Device *device, const OpeningDevice *opening, GError **error)
{
	if (!open_parts(device, opening, error))
		return DEVICE_REFUSED;
	switch (await_volume(device, error)) {
	case ARRIVAL_CAME:
		return DEVICE_READY;
	case ARRIVAL_EXPECTED:
		return DEVICE_WAITING;
	case ARRIVAL_FAILED:
		break;
	}
	return DEVICE_REFUSED;
}

/* The threads that are created below inherit that they are I/O flushers. */
static DeviceOpening open_volume_protected(Device *device, const OpeningDevice *opening,
					   GError **error)
{
	DeviceOpening result;
	gboolean was_flusher;

	was_flusher = flusher_set(TRUE);
	result = open_volume(device, opening, error);
	flusher_set(was_flusher);
	return result;
}

static Device *device_new(RunnerDevice *handle, const OpeningDevice *opening)
{
	Device *device = g_try_new0(Device, 1);

	if (!device)
		return NULL;
	tasks_init(&device->tasks);
	device->handle = handle;
	device->attribute = opening->size;
	device->used = opening->served_before;
	device->unit = (ScsiUnit){.blocks = opening->size / opening->block_size,
				  .block_size = opening->block_size,
				  .max_transfer = runner_device_max_transfer(handle),
				  .identify = device_identify,
				  .get_space = device_get_space,
				  .data = device};
	return device;
}

/* Which outcome, and why each is safe:
 *
 * READY: volume_came() has stored the volume before arrival_begin() returned.
 *
 * WAITING: the arrival calls volume_came() or volume_lost() later, in another thread, at most one
 * of them and at most once.  Until then device_volume() is NULL, and every command is answered NOT
 * READY.  This is the outcome of a device that was served before: its volume may be open already.
 *
 * REFUSED: nobody has seen the device, so it is closed here; device_close() waits for the arrival,
 * which may still be opening the volume.
 *
 * LOST takes the place of REFUSED for a device that was served before.  The kernel has it already
 * and keeps its commands until somebody answers them, so it must not be closed.  The arrival was
 * never begun, and nothing else stores a volume: the state SCSI_LOST is final. */
DeviceOpening device_open(RunnerDevice *handle, const OpeningDevice *opening, Device **ret_device,
			  GError **error)
{
	Device *device = device_new(handle, opening);
	g_autoptr(GError) reason = NULL;
	DeviceOpening result;

	if (!device) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
		return DEVICE_REFUSED;
	}
	result = open_volume_protected(device, opening, &reason);
	if (result == DEVICE_REFUSED && opening->served_before) {
		device_give_up(device, opening->cfgstring, reason);
		result = DEVICE_LOST;
	}
	if (result == DEVICE_REFUSED) {
		g_propagate_error(error, g_steal_pointer(&reason));
		device_close(device);
	} else {
		*ret_device = device;
	}
	return result;
}

/* Everything but the tasks' watch.  Each step may join threads that wait for the disk. */
static void close_parts(Aside *aside, gpointer data)
{
	g_autoptr(GError) error = NULL;
	Device *device = data;

	(void)aside;
	arrival_free(device->arrival);
	sanitizer_free(device->sanitizer);
	if (device->workers)
		workers_free(device->workers); /* before the flusher, to which they queue */
	if (device->flusher)
		workers_free(device->flusher);
	monitor_free(device->monitor);
	if (!volume_close(device->volume, &error))
		log_error("%s: close: %s", device->name, error ? error->message : "failed");
	tasks_clear(&device->tasks);
	opening_free(device->opening);
	g_free(device);
}

/* A close that does not end in time goes on alone: it no longer uses the runner's device. */
void device_close(Device *device)
{
	g_autofree char *name = NULL;
	AsidePatience patience = close_patience;
	gboolean was_flusher;
	Aside *aside;

	if (!device)
		return;
	name = g_strdup(device->name);
	tasks_stop(&device->tasks);
	/* The runner closes a device only when all of its commands have been answered.  A task
	 * left over was answered late, so its thread is stuck, and waiting long is useless. */
	if (!tasks_are_idle(&device->tasks))
		patience.first = patience.others;
	was_flusher = flusher_set(TRUE);
	aside = aside_start(device->opening ? opening_group(device->opening) : "", close_parts,
			    device, NULL);
	flusher_set(was_flusher);
	if (!aside) {
		close_parts(NULL, device);
	} else if (aside_wait(aside, patience)) {
		aside_free(aside);
	} else {
		log_warning("%s: still being closed: does its disk answer?", name);
		aside_leave(aside);
	}
}
