/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/device.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "common/error.h"
#include "common/logging.h"
#include "common/workers.h"
#include "handler/cfgstring.h"
#include "handler/sense.h"

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
	gint64 deadline;
	gboolean allocated; /* not one of the device's own */
};

struct Device {
	RunnerDevice *handle;
	char *name;
	guint32 block_size;
	Volume *volume;
	Workers *workers;
	Workers *flusher; /* of one thread */
	WorkItem flush_item;
	gint write_through; /* atomic */
	gint failed;	    /* atomic */

	GMutex lock; /* held for a few instructions; never while anything is called */
	Task *free_tasks;
	Task *flush_waiting;
	gboolean flush_queued;
	gint64 last_message;
	guint messages_dropped;

	Task tasks[TASKS];
};

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

/* One line a second at most: a disk that fails does so for every request. */
static void log_failure(Device *device, const Request *request, int result)
{
	gint64 now = g_get_monotonic_time();
	guint dropped;

	g_mutex_lock(&device->lock);
	if (device->last_message && now - device->last_message < G_USEC_PER_SEC) {
		device->messages_dropped++;
		g_mutex_unlock(&device->lock);
		return;
	}
	device->last_message = now;
	dropped = device->messages_dropped;
	device->messages_dropped = 0;
	g_mutex_unlock(&device->lock);
	log_error("%s: %s of %" G_GUINT64_FORMAT " bytes at %" G_GUINT64_FORMAT
		  " failed: %s (%u more failures were not logged)",
		  device->name, request_name(request->kind), request->length, request->offset,
		  g_strerror(-result), dropped);
}

/* The status for a result, with the sense data in its place.  `position` is the volume's. */
static RunnerStatus conclude(Device *device, RunnerCommand *cmd, const Request *request, int result,
			     guint64 position)
{
	SenseDirection direction = request_reads(request->kind) ? SENSE_READING : SENSE_WRITING;
	guint64 information = 0;

	if (!result)
		return RUNNER_OK;
	if (result == -ESHUTDOWN)
		g_atomic_int_set(&device->failed, TRUE);
	if (result == -EBADMSG)
		information = position / device->block_size;
	if (result == -EILSEQ)
		information = position - request->offset;
	else
		log_failure(device, request, result);
	return sense_from_result(result, direction, information, runner_command_sense(cmd));
}

/* Nothing of the task or under a lock is in use any more when the runner is called: from there the
 * next step of a compound command may be submitted, and the device may be closed as soon as the
 * last command has been completed. */
static void task_complete(Task *task, int result, guint64 position)
{
	Device *device = task->device;
	RunnerDevice *handle = device->handle;
	RunnerCommand *cmd = task->cmd;
	RunnerStatus status = conclude(device, cmd, &task->request, result, position);

	task_free(task);
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

	result = volume_flush(device->volume);
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

/* ---- the other requests */

static int execute(Device *device, const Request *request, gint64 deadline, guint64 *ret_position)
{
	if (g_get_monotonic_time() > deadline)
		return -ETIMEDOUT;
	return request_execute(request, device->volume, deadline, ret_position);
}

static void task_run(WorkItem *item)
{
	Task *task = (Task *)item;
	guint64 position = 0;
	int result = execute(task->device, &task->request, task->deadline, &position);

	if (!result && task->request.durable)
		flush_later(task);
	else
		task_complete(task, result, position);
}

static void task_queue(Task *task, RunnerCommand *cmd, const Request *request)
{
	Device *device = task->device;

	task->cmd = cmd;
	task->request = *request;
	task->deadline = g_get_monotonic_time() + DEVICE_DEADLINE;
	task->item.run = task_run;
	if (!request_reads(request->kind) && g_atomic_int_get(&device->write_through))
		task->request.durable = TRUE;
	if (request->kind == REQUEST_FLUSH)
		flush_later(task);
	else
		workers_push(device->workers, &task->item);
}

RunnerStatus device_submit(Device *device, RunnerCommand *cmd, const Request *request)
{
	Task *task = task_new(device);

	if (!task)
		return RUNNER_NO_RESOURCE;
	task_queue(task, cmd, request);
	return RUNNER_OK;
}

RunnerStatus device_run(Device *device, RunnerCommand *cmd, const Request *request)
{
	const Request nothing = {.kind = REQUEST_NOTHING, .durable = request->durable};
	Task *task = task_new(device);
	guint64 position = 0;
	int result;

	if (!task)
		return RUNNER_NO_RESOURCE;
	result = execute(device, request, g_get_monotonic_time() + DEVICE_DEADLINE, &position);
	if (result) {
		task_free(task);
		return conclude(device, cmd, request, result, position);
	}
	task_queue(task, cmd, &nothing);
	return RUNNER_OK;
}

gboolean device_failed(Device *device)
{
	return g_atomic_int_get(&device->failed);
}

void device_set_write_cache(Device *device, gboolean enabled)
{
	g_atomic_int_set(&device->write_through, !enabled);
}

/* ---- open and close */

static Volume *open_or_create(const Config *config, const CfgString *cfgstring,
			      const VolumeParameters *parameters, GError **error)
{
	g_autoptr(GError) reason = NULL;
	Volume *volume = pool_volume_open(config, cfgstring->volume, 0, &reason);

	if (volume)
		return volume;
	if (!cfgstring->create ||
	    !g_error_matches(reason, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&reason));
		return NULL;
	}
	if (!pool_volume_create(config, cfgstring->volume, parameters, FALSE, error))
		return NULL;
	log_info("made a new volume of %" G_GUINT64_FORMAT " bytes, as its cfgstring says",
		 parameters->size);
	return pool_volume_open(config, cfgstring->volume, 0, error);
}

static gboolean check_fits(const Volume *volume, const char *name, guint64 size, guint32 block_size,
			   GError **error)
{
	if (volume_size(volume) != size)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "the device has %" G_GUINT64_FORMAT " bytes, the volume %s has "
				 "%" G_GUINT64_FORMAT "; give targetcli the volume's size",
				 size, name, volume_size(volume));
	if (volume_logical_block_size(volume) != block_size)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "the device has blocks of %u bytes, the volume %s of %u; "
				 "set hw_block_size",
				 block_size, name, volume_logical_block_size(volume));
	return TRUE;
}

static gboolean open_volume(Device *device, const Config *config, const CfgString *cfgstring,
			    guint64 size, GError **error)
{
	const VolumeParameters parameters = {.size = size,
					     .logical_block_size = device->block_size};

	device->volume = open_or_create(config, cfgstring, &parameters, error);
	return device->volume &&
	       check_fits(device->volume, device->name, size, device->block_size, error);
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

static gboolean open_parts(Device *device, const char *text, guint64 size, GError **error)
{
	g_autoptr(CfgString) cfgstring = cfgstring_parse(text, error);
	g_autoptr(Config) config = NULL;

	if (!cfgstring)
		return FALSE;
	config = config_load(NULL, error);
	if (!config)
		return FALSE;
	device->name = volume_name_format(cfgstring->volume);
	volume_set_cache_size(config->node_cache);
	return open_volume(device, config, cfgstring, size, error) &&
	       start_workers(device, config, error);
}

Device *device_open(RunnerDevice *handle, const char *cfgstring, guint64 size, guint32 block_size,
		    GError **error)
{
	Device *device = g_try_new0(Device, 1);
	sigset_t all, before;
	gboolean ok;

	if (!device) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
		return NULL;
	}
	g_mutex_init(&device->lock);
	device->handle = handle;
	device->block_size = block_size;
	for (guint i = 0; i < TASKS; i++) {
		device->tasks[i].next = device->free_tasks;
		device->free_tasks = &device->tasks[i];
	}

	/* No thread that is made here may take a signal: the runner's handlers end threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	ok = open_parts(device, cfgstring, size, error);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ok)
		return device;
	device_close(device);
	return NULL;
}

void device_close(Device *device)
{
	g_autoptr(GError) error = NULL;

	if (!device)
		return;
	if (device->workers)
		workers_free(device->workers); /* before the flusher: these queue flushes */
	if (device->flusher)
		workers_free(device->flusher);
	if (!volume_close(device->volume, &error))
		log_error("%s: close: %s", device->name, error ? error->message : "failed");
	g_mutex_clear(&device->lock);
	g_free(device->name);
	g_free(device);
}
