/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replies to changes of a volume that has no write cache (volume_is_write_through()): each waits
 * for a flush that begins after the change, and all that wait at a time share one.
 *
 * A thread of its own flushes.  While a flush runs, the changes that end meanwhile gather for the
 * next one, so the number of flushes depends on the disk, not on the load.
 *
 * Threading: any.
 */
#pragma once

#include "common/engine/volume.h"

typedef struct Acknowledger Acknowledger;

/* Tells the result of volume_flush(), with a copy of the task, which ends with the call. */
typedef void (*AcknowledgerDone)(gpointer task, int result);

/* For tasks of `size` bytes. */
Acknowledger *acknowledger_new(Volume *volume, AcknowledgerDone done, gsize size, GError **error);

/* Flushes for what waits, then ends the thread.  NULL is allowed. */
void acknowledger_free(Acknowledger *acknowledger);

/* done() is called once the volume has been flushed: in the thread, or, where there is no memory
 * for the copy, in this one. */
void acknowledger_add(Acknowledger *acknowledger, gconstpointer task);
