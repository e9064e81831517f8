/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device's two files share: device.c opens and closes a device, device-requests.c carries
 * out its requests.
 */
#pragma once

#include "common/base/logging.h"
#include "common/service/monitor.h"
#include "handler/arrival.h"
#include "handler/device.h"
#include "handler/sanitizer.h"
#include "handler/tasks.h"
#include "handler/waiter.h"
#include "handler/writer.h"

struct Device {
	RunnerDevice *handle;
	ScsiUnit unit;
	Sanitizer *sanitizer;
	gint64 sanitize_begun; /* as metrics_begin() gave it */
	gint used;	       /* atomic */
	gint durable; /* atomic: changes are durable when they return, see volume_is_durable() */
	gint space_looking;  /* a thread is reading the free space; atomic */
	gint64 space_looked; /* when the last one began, microseconds; atomic */
	guint64 attribute;   /* the kernel's attribute `size`, bytes */
	const char *name;    /* owned by `opening` */
	Opening *opening;
	Arrival *arrival;
	Volume *volume; /* atomic; NULL until it is open */
	Workers *workers;
	Writer *writer;
	Workers *flusher; /* one thread at most */
	WorkItem flush_item;
	RunnerCommand *plain; /* atomic: see device_expect() */
	gint mixed;	      /* atomic: see device_read_now() */
	Waiter waiter;	      /* of the dispatch thread */

	LoggingLimit failures;
	Metrics metrics;
	Monitor *monitor; /* NULL until the volume is open */
	Tasks tasks;
};

/* NULL until it is open. */
Volume *device_volume(Device *device);

/* The flush that `flush_item` stands for: of the volume, for all tasks that wait for it. */
void device_run_flush(WorkItem *item);

/* Callbacks of the unit, the tasks, the writer and the sanitizer; `data` is the device. */
void device_get_space(gpointer data, ScsiSpace *ret_space);
void device_answer_late(gpointer data, const Task *task);
gboolean device_tick(gpointer data);
gboolean device_cancel(gpointer data, Task *task);
Volume *device_write_volume(gpointer data);
void device_finish_writes(gpointer data, Task **tasks, guint n);
void device_rest(gpointer data);
gboolean device_has_slow_tasks(gpointer data);
gboolean device_is_idle(gpointer data);
void device_answer_sanitize(gpointer data, RunnerCommand *cmd, RunnerStatus status);
