/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes that arrive while others are being carried out are carried out together (flat combining).
 *
 * A thread that takes a write from the kernel carries it out at once if no thread leads: it becomes
 * the leader.  While there is a leader, the other threads leave copies of their writes in its queue
 * and go on taking requests.  The leader then carries out the whole queue as one batch
 * (volume_write_batch_nowait()), and so on, until the queue is empty.  So batches grow with the
 * load, and a write that meets no other is neither copied nor handed on.
 *
 * The leader does not wait for the engine; for the file system below it may, which may be frozen.
 * So it counts as a thread that writes (sleepers_try_write()), and the queue holds no more than one
 * batch: what does not fit must be handed to the sleepers.
 *
 * Threading: any.
 */
#pragma once

#include "common/engine/volume.h"
#include "fuse-fallback/sleepers.h"

typedef struct Combiner Combiner;

/* Longer writes gain nothing, and would keep the others waiting. */
#define COMBINER_WRITE_MAX (64u << 10)

/* Tells the result of a write, as volume_write_nowait() returns it, with copies of its task and
 * data or the caller's own, which end with the call. */
typedef void (*CombinerDone)(gpointer task, const guint8 *data, int result);

/* For tasks of `size` bytes. */
Combiner *combiner_new(Volume *volume, Sleepers *sleepers, CombinerDone done, gsize size,
		       GError **error);

/* No thread may lead any more.  NULL is allowed. */
void combiner_free(Combiner *combiner);

/* TRUE: done() was called, or will be by the leader.  FALSE: nothing was done, because the write is
 * not of whole sectors or too long, there is no room, or no further thread may write. */
gboolean combiner_write(Combiner *combiner, gpointer task, const guint8 *data, gsize length,
			guint64 offset);
