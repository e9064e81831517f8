/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/device.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/error.h"
#include "common/logging.h"
#include "common/monitor.h"
#include "common/workers.h"
#include "handler/identity.h"
#include "handler/sanitizer.h"
#include "handler/space.h"

/* The kernel queues 128 commands to a device unless it was told otherwise; an UNMAP counts four. */
#define TASKS 256

/* A queued request. */
typedef struct Task Task;
struct Task {
	WorkItem item; /* first */
	Task *next;    /* in the list of free ones, or of those that wait for the flush */
	Device *device;
	RunnerCommand *cmd;
	Request request;
	gint64 begun; /* as metrics_begin() gave it */
	gint64 deadline;
	gboolean allocated; /* not one of the device's own */
};

struct Device {
	RunnerDevice *handle;
	ScsiUnit unit;
	Sanitizer *sanitizer;
	gint active;	     /* requests under way; atomic */
	gint64 space_looked; /* when last, microseconds; atomic */
	const char *name;    /* the opening's */
	Opening *opening;
	Volume *volume; /* atomic; NULL until the waiter has got it */
	GThread *waiter;
	gboolean stopping; /* under the lock */
	GCond stop;
	Workers *workers;
	Workers *flusher; /* of one thread */
	WorkItem flush_item;

	GMutex lock; /* held for a few instructions; never while anything is called */
	Task *free_tasks;
	Task *flush_waiting;
	gboolean flush_queued;

	LoggingLimit failures;
	Metrics metrics;
	Monitor *monitor; /* NULL until the volume is there */
	Task tasks[TASKS];
};

static Volume *device_volume(Device *device)
{
	return g_atomic_pointer_get(&device->volume);
}

/* ---- tasks */

static Task *task_new(Device *device)
{
	Task *task;

	g_mutex_lock(&device->lock);
	task = device->free_tasks;
	if (task)
		device->free_tasks = task->next;
	g_mutex_unlock(&device->lock);
	if (!task) {
		task = g_try_new0(Task, 1);
		if (!task)
			return NULL;
		task->allocated = TRUE;
	}
	task->device = device;
	return task;
}

static void task_free(Task *task)
{
	Device *device = task->device;

	if (task->allocated) {
		g_free(task);
		return;
	}
	g_mutex_lock(&device->lock);
	task->next = device->free_tasks;
	device->free_tasks = task;
	g_mutex_unlock(&device->lock);
}

/* ---- results */

static void log_failure(Device *device, const Request *request, int result)
{
	logging_write_limited(&device->failures, LOGGING_ERROR,
			      "%s: %s of %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
			      " failed: %s",
			      device->name, request_name(request), request->length, request->offset,
			      g_strerror(-result));
}

/* The status for a result, with the sense data in its place.  `position` is the volume's.  The task
 * is not in use any more. */
static RunnerStatus conclude(Task *task, int result, guint64 position)
{
	Device *device = task->device;
	const Request *request = &task->request;
	SenseDirection direction = request_reads(request) ? SENSE_READING : SENSE_WRITING;
	guint8 *sense = runner_command_sense(task->cmd);
	guint64 information = 0;
	RunnerStatus status;

	metrics_end(&device->metrics, request_metrics_kind(request), task->begun, request->length,
		    result && result != -EILSEQ);
	if (result == -EBADMSG)
		information = position / device->unit.block_size;
	if (result == -EILSEQ)
		information = position - request->offset;
	else if (result)
		log_failure(device, request, result);
	status = result ? sense_from_result(result, direction, information, sense) : RUNNER_OK;
	task_free(task);
	g_atomic_int_dec_and_test(&device->active);
	return status;
}

/* Nothing of the task or under a lock is in use any more when the runner is called: from there the
 * next step of a compound command may be submitted, and the device may be closed as soon as the
 * last command has been completed. */
static void task_complete(Task *task, int result, guint64 position)
{
	RunnerDevice *handle = task->device->handle;
	RunnerCommand *cmd = task->cmd;
	RunnerStatus status = conclude(task, result, position);

	runner_complete(handle, cmd, status);
}

/* ---- flushes */

static void flush_run(WorkItem *item)
{
	Device *device = (void *)((char *)item - G_STRUCT_OFFSET(Device, flush_item));
	Task *task, *next;
	int result;

	g_mutex_lock(&device->lock);
	task = device->flush_waiting;
	device->flush_waiting = NULL;
	device->flush_queued = FALSE;
	g_mutex_unlock(&device->lock);

	result = volume_flush(device_volume(device));
	for (; task; task = next) {
		next = task->next;
		task_complete(task, result, 0);
	}
}

static void flush_later(Task *task)
{
	Device *device = task->device;
	gboolean queued;

	g_mutex_lock(&device->lock);
	task->next = device->flush_waiting;
	device->flush_waiting = task;
	queued = device->flush_queued;
	device->flush_queued = TRUE;
	g_mutex_unlock(&device->lock);
	if (!queued)
		workers_push(device->flusher, &device->flush_item);
}

/* ---- space */

/* How often it is looked at, where there are writes. */
#define SPACE_INTERVAL (5 * G_USEC_PER_SEC)

static void get_space(gpointer data, ScsiSpace *ret_space)
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

static void look_at_space(Device *device)
{
	gint64 now = g_get_monotonic_time();
	gint64 before = __atomic_load_n(&device->space_looked, __ATOMIC_RELAXED);
	ScsiSpace space = {0};

	if ((before && now - before < SPACE_INTERVAL) ||
	    !__atomic_compare_exchange_n(&device->space_looked, &before, now, FALSE,
					 __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		return;
	get_space(device, &space);
	if (space.available || space.used)
		scsi_unit_note_space(&device->unit, &space);
}

/* ---- the other requests */

static int execute(Task *task, guint64 *ret_position)
{
	if (g_get_monotonic_time() > task->deadline)
		return -ETIMEDOUT;
	return request_execute(&task->request, device_volume(task->device), task->deadline,
			       ret_position);
}

static void task_run(WorkItem *item)
{
	Task *task = (Task *)item;
	guint64 position = 0;
	int result = execute(task, &position);

	if (!request_reads(&task->request))
		look_at_space(task->device);
	if (!result && task->request.durable)
		flush_later(task);
	else
		task_complete(task, result, position);
}

static void task_queue(Task *task)
{
	if (task->request.kind == REQUEST_FLUSH)
		flush_later(task);
	else
		workers_push(task->device->workers, &task->item);
}

/* A task for the command, or NULL and why not. */
static Task *task_for(Device *device, RunnerCommand *cmd, const Request *request,
		      RunnerStatus *ret_status)
{
	Task *task;

	if (!device_volume(device)) {
		*ret_status =
			sense_from_result(-ENODEV, SENSE_READING, 0, runner_command_sense(cmd));
		return NULL;
	}
	task = task_new(device);
	if (!task) {
		*ret_status = RUNNER_NO_RESOURCE;
		return NULL;
	}
	task->cmd = cmd;
	task->request = *request;
	g_atomic_int_inc(&device->active);
	task->begun = metrics_begin(&device->metrics);
	task->deadline = g_get_monotonic_time() + DEVICE_DEADLINE;
	task->item.run = task_run;
	return task;
}

static gboolean is_idle(gpointer data)
{
	Device *device = data;

	return !g_atomic_int_get(&device->active);
}

static void answer(gpointer data, RunnerCommand *cmd, RunnerStatus status)
{
	Device *device = data;

	runner_complete(device->handle, cmd, status);
}

static RunnerStatus sanitize(Device *device, RunnerCommand *cmd, const Request *request)
{
	const ScsiCommand command = {
		.cdb = runner_command_cdb(cmd), .iov = request->iov, .count = request->count};
	Sanitize asked;

	if (!scsi_sanitize_parse(&command, device->unit.block_size, &asked))
		return sense_refuse(runner_command_sense(cmd), sense_invalid_cdb);
	return sanitizer_begin(device->sanitizer, device_volume(device), cmd, &asked);
}

RunnerStatus device_submit(Device *device, RunnerCommand *cmd, const Request *request)
{
	RunnerStatus status = RUNNER_OK;
	Task *task;

	if (request->kind == REQUEST_SANITIZE && device_volume(device))
		return sanitize(device, cmd, request);
	task = task_for(device, cmd, request, &status);
	if (task)
		task_queue(task);
	return status;
}

ScsiUnit *device_unit(Device *device)
{
	return &device->unit;
}

gboolean device_is_ready(Device *device)
{
	return device_volume(device) != NULL;
}

static void identify(gpointer data, ScsiIdentity *ret_identity)
{
	Device *device = data;
	g_autofree char *directory = runner_device_directory(device->handle);

	identity_read(directory, ret_identity);
}

static void watch(Device *device, Volume *volume)
{
	device->monitor =
		monitor_new(opening_config(device->opening), opening_volume_name(device->opening),
			    "tcmu", volume, &device->metrics);
}

/* ---- a volume that is not there yet */

/* FALSE when the device is closed. */
static gboolean wait_a_second(Device *device)
{
	gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC;
	gboolean go_on;

	g_mutex_lock(&device->lock);
	while (!device->stopping && g_cond_wait_until(&device->stop, &device->lock, end))
		;
	go_on = !device->stopping;
	g_mutex_unlock(&device->lock);
	return go_on;
}

static void give_up(Device *device, const char *name, const GError *error)
{
	log_error("%s: not served until tcmu-runner is started again: %s", name,
		  error ? error->message : "failed");
	g_atomic_int_set(&device->unit.state, SCSI_LOST);
}

static gpointer waiter_run(gpointer data)
{
	Device *device = data;

	while (wait_a_second(device)) {
		g_autoptr(GError) error = NULL;
		Volume *volume = opening_try(device->opening, &error);

		if (volume) {
			log_info("%s: the volume is there now", device->name);
			watch(device, volume);
			g_atomic_pointer_set(&device->volume, volume);
			return NULL;
		}
		if (!opening_may_come(error)) {
			give_up(device, device->name, error);
			return NULL;
		}
	}
	return NULL;
}

static void waiter_stop(Device *device)
{
	if (!device->waiter)
		return;
	g_mutex_lock(&device->lock);
	device->stopping = TRUE;
	g_cond_signal(&device->stop);
	g_mutex_unlock(&device->lock);
	g_thread_join(device->waiter);
}

/* ---- open and close */

static gboolean open_or_wait(Device *device, gboolean may_wait, GError **error)
{
	g_autoptr(GError) reason = NULL, failure = NULL;

	device->volume = opening_try(device->opening, &reason);
	if (device->volume) {
		watch(device, device->volume);
		return TRUE;
	}
	if (!may_wait || !opening_may_come(reason)) {
		g_propagate_error(error, g_steal_pointer(&reason));
		return FALSE;
	}
	log_warning("%s: not ready, waiting for the volume: %s", device->name, reason->message);
	device->waiter = g_thread_try_new("storageos-open", waiter_run, device, &failure);
	return device->waiter ||
	       error_set(error, STORAGEOS_ERROR_IO, "start a thread: %s", failure->message);
}

static guint worker_count(const Config *config)
{
	return config->workers ? config->workers : CLAMP(2 * g_get_num_processors(), 4, 16);
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

static gboolean start_sanitizer(Device *device)
{
	const SanitizerOwner owner = {.unit = &device->unit,
				      .rate = opening_config(device->opening)->sanitize_rate,
				      .deadline = DEVICE_DEADLINE,
				      .name = device->name,
				      .is_idle = is_idle,
				      .answer = answer,
				      .data = device};

	device->sanitizer = sanitizer_new(&owner);
	return device->sanitizer != NULL;
}

static gboolean open_parts(Device *device, const OpeningDevice *opening, GError **error)
{
	device->opening = opening_new(opening, error);
	if (!device->opening)
		return FALSE;
	device->name = opening_name(device->opening);
	if (!start_sanitizer(device))
		return error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
	return start_workers(device, opening_config(device->opening), error) &&
	       open_or_wait(device, opening->served_before, error);
}

Device *device_open(RunnerDevice *handle, const OpeningDevice *opening, GError **error)
{
	Device *device = g_try_new0(Device, 1);
	g_autoptr(GError) reason = NULL;
	sigset_t all, before;
	gboolean ok;

	if (!device) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
		return NULL;
	}
	g_mutex_init(&device->lock);
	g_cond_init(&device->stop);
	device->handle = handle;
	device->unit = (ScsiUnit){.blocks = opening->size / opening->block_size,
				  .block_size = opening->block_size,
				  .max_transfer = runner_device_max_transfer(handle),
				  .identify = identify,
				  .get_space = get_space,
				  .data = device};
	for (guint i = 0; i < TASKS; i++) {
		device->tasks[i].next = device->free_tasks;
		device->free_tasks = &device->tasks[i];
	}

	/* No thread that is made here may take a signal: the runner's handlers end threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ok = open_parts(device, opening, &reason);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ok)
		return device;
	if (opening->served_before) {
		give_up(device, opening->cfgstring, reason);
		return device;
	}
	g_propagate_error(error, g_steal_pointer(&reason));
	device_close(device);
	return NULL;
}

void device_close(Device *device)
{
	g_autoptr(GError) error = NULL;

	if (!device)
		return;
	waiter_stop(device);
	sanitizer_free(device->sanitizer);
	if (device->workers)
		workers_free(device->workers); /* before the flusher: these queue flushes */
	if (device->flusher)
		workers_free(device->flusher);
	monitor_free(device->monitor);
	if (!volume_close(device->volume, &error))
		log_error("%s: close: %s", device->name, error ? error->message : "failed");
	g_mutex_clear(&device->lock);
	g_cond_clear(&device->stop);
	opening_free(device->opening);
	g_free(device);
}
