/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device of the runner: a volume, and the threads that carry requests out on it.
 *
 * A request is queued by the runner's thread and carried out and completed by one of the device's
 * own; none is completed before device_submit() returns to its caller.  Flushes have a thread to
 * themselves, so that reads do not wait behind them; all that are waiting when it comes round share
 * one flush of the volume.
 *
 * Every request ends: it takes one pass through the engine, which sleeps for the disk only, and
 * one that was not begun within DEVICE_DEADLINE is answered BUSY and not begun at all.  (Where the
 * kernel's time-out of 30 s is on, timeout.h, a write that landed later than that might land upon
 * what the initiator has written since.)
 *
 * A device that the runner finds when it starts was served before, and its initiators may be in the
 * middle of something.  Nobody would try again to open it, so it does that itself, once a second,
 * where the volume may come back; until then every command is answered "not ready, becoming ready".
 * Where it may not, the device is open all the same, so that its commands are answered ("not ready,
 * manual intervention required") and do not wait for nobody.
 *
 * Threading: device_submit() from any thread, those that complete requests included; the others
 * alone.
 */
#pragma once

#include "handler/opening.h"
#include "handler/request.h"
#include "handler/runner-abi.h"
#include "handler/scsi.h"

#define DEVICE_DEADLINE (20 * G_USEC_PER_SEC)

typedef struct Device Device;

/* Opens the volume that is named, or makes it (opening.h).  Takes as long as the volume's recovery
 * does.  NULL only for a device that was not served before, and where memory is short. */
Device *device_open(RunnerDevice *handle, const OpeningDevice *opening, GError **error);

/* Ends the threads and closes the volume; nothing may be queued any more. */
void device_close(Device *device);

/* The unit that it is to initiators. */
ScsiUnit *device_unit(Device *device);

/* Whether there is a volume. */
gboolean device_is_ready(Device *device);

/* Queues; the request will be completed.  Anything but RUNNER_OK: it will not, and has failed. */
RunnerStatus device_submit(Device *device, RunnerCommand *cmd, const Request *request);
