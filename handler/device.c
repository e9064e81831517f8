/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/device-private.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/thread.h"
#include "handler/aside.h"
#include "handler/flusher.h"
#include "handler/identity.h"

/* How long the runner's main thread waits for a close, which includes a checkpoint. */
static const AsidePatience close_patience = {10 * G_TIME_SPAN_SECOND,
					     100 * G_TIME_SPAN_MILLISECOND};

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

void device_identify(gpointer data, ScsiIdentity *ret_identity)
{
	Device *device = data;
	g_autofree char *directory = runner_device_directory(device->handle);

	identity_read(directory, runner_deals_with_implicit_groups(), ret_identity);
}

/* The runner looks at the groups once after it has opened a device, and would fence all commands
 * for one that needs a lock (runner-abi.c). */
static void device_note_groups(Device *device, const char *cfgstring)
{
	ScsiIdentity identity;

	device_identify(device, &identity);
	if (!identity.needs_lock)
		return;
	g_atomic_int_set(&device->unit.runner_fences, TRUE);
	log_error(
		"%s: a target port group has the access type \"Implicit and Explicit\", for which "
		"tcmu-runner fails all reads and writes: set it to 1 (\"Implicit\")",
		cfgstring);
}

/* ---- its size */

#define RESIZE_SECONDS 3 /* for which the runner's main thread waits */

void device_take_size(Device *device, const Volume *volume, gboolean tell)
{
	guint64 blocks = volume_size(volume) / device->unit.block_size;

	if (scsi_unit_blocks(&device->unit) != blocks)
		scsi_unit_resize(&device->unit, blocks, tell);
}

static gboolean resize_volume(Device *device, guint64 size, GError **error)
{
	Volume *volume = device_volume(device);

	if (!volume)
		return error_set(error, STORAGEOS_ERROR_BUSY, "the volume is not open yet");
	if (!volume_resize(volume, size, 0, RESIZE_SECONDS, error))
		return FALSE;
	device->attribute = size;
	device_take_size(device, volume, FALSE); /* the runner raises the unit attention */
	return TRUE;
}

gboolean device_resize(Device *device, guint64 size, GError **error)
{
	gboolean resized;

	if (size == device->attribute)
		return TRUE;
	if (!device_hold_owned(device))
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "another gateway may have it: set the size there; this one takes "
				 "it when it takes the LUN over");
	resized = resize_volume(device, size, error);
	device_end(device);
	return resized;
}

/* ---- open and close */

void device_serve(Device *device, Volume *volume)
{
	const MonitorMore more = {.limiter = &device->limiter,
				  .add = device->failover ? device_show_failover : NULL,
				  .data = device};

	device->monitor =
		monitor_new(opening_config(device->opening), opening_volume_name(device->opening),
			    "tcmu", volume, &device->metrics, &more);
	device_take_size(device, volume, opening_served_before(device->opening));
	g_atomic_int_set(&device->unit.write_through, volume_is_write_through(volume));
	g_atomic_int_set(&device->durable, volume_is_durable(volume));
	g_atomic_pointer_set(&device->volume, volume);
}

static void volume_came(gpointer data, Volume *volume)
{
	device_serve(data, volume);
}

static void device_give_up(Device *device, const char *name, const GError *error)
{
	const LoggingFields fields = {.event = "volume-lost", .volume = device->name};

	logging_write_fields(LOGGING_ERROR, &fields,
			     "%s: not served until tcmu-runner is started again: %s", name,
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

/* Each request to a direct volume waits for an answer over the network. */
#define DIRECT_WORKERS 32

static guint worker_count(const Device *device, const Config *config)
{
	guint processors = thread_processors();

	if (config->workers)
		return config->workers;
	return device->unit.direct ? DIRECT_WORKERS : CLAMP(2 * processors, 4, 16);
}

static gboolean start_workers(Device *device, const Config *config, GError **error)
{
	device->workers = workers_new("storageos-io", worker_count(device, config), error);
	if (!device->workers)
		return FALSE;
	device->flusher = workers_new("storageos-sync", 1, error);
	device->flush_item.run = device_run_flush;
	workers_allow_spinning(device->workers);
	return device->flusher != NULL;
}

/* A batch of a few short writes that takes longer waits for the disk. */
#define WRITER_STUCK_US 1000

static gboolean start_writer(Device *device, GError **error)
{
	const WriterOwner owner = {.volume = device_write_volume,
				   .finish = device_finish_writes,
				   .are_others = device_has_slow_tasks,
				   .rest = device_rest,
				   .data = device,
				   .stuck_us = WRITER_STUCK_US};

	device->writer = writer_new(&owner, error);
	return device->writer != NULL;
}

static gboolean start_tasks(Device *device, GError **error)
{
	const TasksOwner owner = {.late = device_answer_late,
				  .tick = device_tick,
				  .cancel = device_cancel,
				  .freed = device_end,
				  .data = device};

	return tasks_start(&device->tasks, &owner, error);
}

static gboolean start_sanitizer(Device *device)
{
	const SanitizerOwner owner = {.unit = &device->unit,
				      .rate = opening_config(device->opening)->sanitize_rate,
				      .deadline = DEVICE_DEADLINE,
				      .name = device->name,
				      .is_idle = device_is_idle,
				      .answer = device_answer_sanitize,
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
	device->unit.read_only = opening_is_read_only(device->opening);
	device->unit.direct =
		pool_is_ceph(opening_config(device->opening), opening_volume_name(device->opening));
	if (!start_sanitizer(device))
		return error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
	return start_workers(device, opening_config(device->opening), error) &&
	       start_writer(device, error) && start_tasks(device, error) &&
	       device_start_failover(device, error);
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
	const LimiterOwner owner = {.go = device_let_go, .data = device};

	if (!device)
		return NULL;
	tasks_init(&device->tasks);
	limiter_init(&device->limiter, &owner);
	waiter_init(&device->waiter, &device->tasks);
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
		device_note_groups(device, opening->cfgstring);
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
	limiter_clear(&device->limiter);
	sanitizer_free(device->sanitizer);
	writer_free(device->writer);
	workers_free(device->workers); /* before the flusher, to which they queue */
	workers_free(device->flusher);
	while (!tasks_are_left_alone(&device->tasks))
		g_usleep(1000);
	failover_free(device->failover);
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
