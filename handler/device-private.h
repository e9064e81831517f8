/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the device's files share: device.c opens and closes a device, device-requests.c carries out
 * its requests, device-failover.c lets other gateways take its volume.
 */
#pragma once

#include "common/base/logging.h"
#include "common/service/monitor.h"
#include "handler/arrival.h"
#include "handler/device.h"
#include "handler/failover.h"
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
	Volume *volume;	    /* atomic; NULL until it is open, and while it is opened again */
	Failover *failover; /* NULL: this machine alone has the volume */
	gboolean fit;	    /* atomic: see device_check_fit() */
	gint64 fit_looked;  /* when that was last looked at, microseconds; atomic */
	LoggingLimit unfit;
	Workers *workers;
	Writer *writer;
	Workers *flusher; /* one thread at most */
	WorkItem flush_item;
	RunnerCommand *plain; /* atomic: see device_expect() */
	gint mixed;	      /* atomic: see device_read_now() */
	Waiter waiter;	      /* of the dispatch thread */

	LoggingLimit failures;
	Metrics metrics;
	Limiter limiter;
	Monitor *monitor; /* NULL until the volume is open */
	Tasks tasks;
};

/* NULL until it is open. */
Volume *device_volume(Device *device);

/* Serves the volume from now on, which becomes the device's. */
void device_serve(Device *device, Volume *volume);
/* Takes the volume's size for the unit's. */
void device_take_size(Device *device, const Volume *volume, gboolean tell);
void device_identify(gpointer data, ScsiIdentity *ret_identity);

/* ---- device-failover.c.  Without failover these allow everything and change nothing. */

gboolean device_start_failover(Device *device, GError **error);

/* 0, and device_end() must follow; or the result of the request, which must not be carried out. */
int device_begin(Device *device, const Request *request);
int device_verdict(Device *device, int result);
/* The same for a request that is answered late, and may have ended meanwhile. */
int device_late_verdict(Device *device, int result);
void device_end(gpointer data);

/* MonitorMore of a device with failover. */
void device_show_failover(gpointer data, Json *stats);

/* TRUE, and device_end() must follow: changes are allowed now.  Begins no takeover. */
gboolean device_hold_owned(Device *device);

/* The flush that `flush_item` stands for: of the volume, for all tasks that wait for it. */
void device_run_flush(WorkItem *item);

/* Callbacks of the unit, the tasks, the limiter, the writer and the sanitizer; `data` is the
 * device. */
void device_get_space(gpointer data, ScsiSpace *ret_space);
void device_answer_late(gpointer data, const Task *task);
gboolean device_tick(gpointer data);
gboolean device_cancel(gpointer data, Task *task);
void device_let_go(gpointer data, LimiterItem *item);
Volume *device_write_volume(gpointer data);
void device_finish_writes(gpointer data, Task **tasks, guint n);
void device_rest(gpointer data);
gboolean device_has_slow_tasks(gpointer data);
gboolean device_is_idle(gpointer data);
void device_answer_sanitize(gpointer data, RunnerCommand *cmd, RunnerStatus status);
