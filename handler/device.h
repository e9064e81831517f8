/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device of the runner: a volume and the threads that carry out requests on it.
 *
 * A short read whose blocks are in memory is carried out by the runner's thread itself
 * (device_read_now()).  Of any other request the runner's thread only queues it; one of the
 * device's own threads carries it out and completes it.  Flushes have a thread of their own, so
 * that reads do not wait behind them; all flushes that are waiting when it gets to them share one
 * flush of the volume.
 *
 * While nothing but short writes come, few at a time and fast, no thread is woken for most of them.
 * Where there is one at a time, one of the device's threads spins for the next (workers.h); several
 * go to the device's writer, whose thread carries them out together and spins before it sleeps
 * (writer.h).  The runner's thread spins, too, while all that the initiator sends at a time are
 * under way, and completes within device_submit() what is carried out meanwhile (waiter.h).  Each
 * spins for 50 us at most, whatever the disk does.
 *
 * Every request is answered within DEVICE_DEADLINE.  A request that has not been started by then is
 * answered BUSY and never started.  A request whose thread is stuck in the kernel, because the disk
 * below does not answer, is answered BUSY by another thread (tasks.h).  Otherwise, while the
 * kernel's time-out of 30 s is on (timeout.h), a write could reach the disk after the initiator had
 * given it up and written something else to the same blocks.
 *
 * Opening and closing wait for a disk, too, in other threads (arrival.h, aside.h).  The runner's
 * main thread waits for them a few seconds at most, and not at all for the volume of a device that
 * was served before.  Until the volume is open, every command is answered NOT READY, becoming
 * ready.  A device that was served before stays open even if there will never be a volume; its
 * commands are answered NOT READY, manual intervention required, instead of waiting for ever.
 *
 * Threading: device_submit() and device_read_now() may be called from any thread, including those
 * that complete requests, and device_resize() at the same time.  The other functions must not run
 * concurrently.
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

/* Ends the threads and closes the volume; on a disk that does not answer, a thread of its own goes
 * on with it.  When this returns, every command has been answered and `handle` is no longer used.
 * NULL is allowed. */
void device_close(Device *device);

/* The kernel's attribute `size` is to become `size` bytes: grows the volume to that size, and then
 * the unit.  The attribute's present value is accepted and changes nothing, whatever the volume's
 * size: restoring a target sets the saved value.  Waits 3 s at most.
 *
 * Errors: INVALID; BUSY (smaller than the volume; or not finished in time, and it goes on; or there
 * is no volume yet); those of volume_resize(). */
gboolean device_resize(Device *device, guint64 size, GError **error);

/* A device is in use once an initiator has sent it a command, in this process or in one before. */
void device_note_use(Device *device);
gboolean device_is_in_use(Device *device);

/* The logical unit that initiators see. */
ScsiUnit *device_unit(Device *device);

/* To be called for each command: has the unit refuse all that need the volume while its backstore
 * is not set up as failover needs it (failover.h).  Does not sleep; reads configfs once a second at
 * most, until all is well. */
void device_check_fit(Device *device);

/* Whether the volume is open. */
gboolean device_is_ready(Device *device);

/* Carries out a read if that takes no waiting and little time: it has DEVICE_NOW_MAX bytes at most,
 * and they are in memory.  RUNNER_NOT_HANDLED: it is to be submitted; the memory that it reads to
 * is undefined.  Anything else: the command has ended with that status. */
#define DEVICE_NOW_MAX (32u << 10)
RunnerStatus device_read_now(Device *device, RunnerCommand *cmd, const Request *request);

/* The calling thread is the dispatch thread, and will submit a write of `cmd` next: it may wait for
 * writes for up to WAITER_SPIN_US, and complete them within device_submit().  NULL: something else
 * comes next.  Called for every command: the runner may refuse a write that was expected, and give
 * its place in the ring, and so its address, to another command. */
void device_expect(Device *device, RunnerCommand *cmd);

/* Queues the request.  RUNNER_OK: it will be completed.  Anything else: it has failed with that
 * status and will not be completed. */
RunnerStatus device_submit(Device *device, RunnerCommand *cmd, const Request *request);
