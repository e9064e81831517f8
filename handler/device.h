/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device of the runner: a volume, and the threads that carry requests out on it.
 *
 * A request is queued by the runner's thread and carried out and completed by one of the device's
 * own; none is completed before device_submit() returns to its caller.  Flushes have a thread to
 * themselves, so that reads do not wait behind them; all that are waiting when it comes round share
 * one flush of the volume.
 *
 * Every request is answered.  One that was not begun within DEVICE_DEADLINE is answered BUSY and
 * not begun at all; one whose thread the kernel keeps, as the disk below does not answer, is
 * answered so in its place (tasks.h).  (Where the kernel's time-out of 30 s is on, timeout.h, a
 * write that landed later than that might land upon what the initiator has written since.)
 *
 * Opening and closing wait for a disk, too, and the runner's main thread for them: a few seconds,
 * then they go on aside (arrival.h, aside.h).  Until there is a volume every command is answered
 * "not ready, becoming ready".  Where there will be none a device that was served before is open
 * all the same, so that its commands are answered ("not ready, manual intervention required") and
 * do not wait for nobody.
 *
 * Threading: device_submit() from any thread, those that complete requests included;
 * device_resize() beside it; the others alone.
 */
#pragma once

#include "handler/opening.h"
#include "handler/request.h"
#include "handler/runner-abi.h"
#include "handler/scsi.h"

#define DEVICE_DEADLINE (20 * G_USEC_PER_SEC)

typedef struct Device Device;

/* How device_open() ended. */
typedef enum {
	DEVICE_READY,	/* the volume is open */
	DEVICE_WAITING, /* the volume may still come: NOT READY, becoming ready, until it does */
	DEVICE_LOST,	/* no volume, and there will be none: NOT READY, manual intervention */
	DEVICE_REFUSED, /* no device; *error says why */
} DeviceOpening;

/* Opens the volume named by `opening`, creates it (opening.h) or waits for it (arrival.h).
 * *ret_device is set unless the result is DEVICE_REFUSED, which a device that was served before
 * gets only when there is no memory for the device itself. */
DeviceOpening device_open(RunnerDevice *handle, const OpeningDevice *opening, Device **ret_device,
			  GError **error);

/* Ends the threads and closes the volume, or leaves that to itself where the disk does not answer;
 * every command has been answered.  `handle` is not in use any more. */
void device_close(Device *device);

/* Its kernel attribute is to be `size` bytes: grows the volume if that is smaller, and from then on
 * the unit has that size.  The size that the attribute has is accepted whatever the volume's is,
 * and changes nothing: restoring a target sets what was saved.  Waits some seconds at most. Errors:
 * INVALID, BUSY (smaller than the volume; it takes longer, and goes on; there is no volume), and of
 * the volume. */
gboolean device_resize(Device *device, guint64 size, GError **error);

/* Somebody has sent it a command, or has before this process was there. */
void device_note_use(Device *device);
gboolean device_is_in_use(Device *device);

/* The unit that it is to initiators. */
ScsiUnit *device_unit(Device *device);

/* Whether there is a volume. */
gboolean device_is_ready(Device *device);

/* Queues; the request will be completed.  Anything but RUNNER_OK: it will not, and has failed. */
RunnerStatus device_submit(Device *device, RunnerCommand *cmd, const Request *request);
