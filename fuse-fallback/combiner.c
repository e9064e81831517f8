/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse-fallback/combiner.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/units.h"

typedef struct CombinerWrite CombinerWrite;

/* A write of the queue; copies of task and data follow in the same allocation. */
struct CombinerWrite {
	CombinerWrite *next;
	gpointer task;
	const guint8 *data;
	gsize length;
	guint64 offset;
	gboolean copied;
};

struct Combiner {
	Volume *volume;
	Sleepers *sleepers;
	CombinerDone done;
	gsize size; /* of a task */

	GMutex lock;
	gboolean led;
	CombinerWrite *first, **end; /* the queue */
	guint n;
	gsize bytes;
};

#define ROOM(size) (((size) + 15) & ~(gsize)15)

static CombinerWrite *write_copy(const CombinerWrite *write, gsize size)
{
	gsize head = ROOM(sizeof *write), body = ROOM(size);
	CombinerWrite *copy = g_try_malloc(head + body + write->length);
	guint8 *at = (guint8 *)copy;

	if (!copy)
		return NULL;
	*copy = *write;
	copy->task = memcpy(at + head, write->task, size);
	copy->data = memcpy(at + head + body, write->data, write->length);
	copy->copied = TRUE;
	return copy;
}

static void queue_clear_locked(Combiner *combiner)
{
	combiner->first = NULL;
	combiner->end = &combiner->first;
	combiner->n = 0;
	combiner->bytes = 0;
}

/* Puts a copy of the write into the queue, if there is room. */
static gboolean queue_add_locked(Combiner *combiner, const CombinerWrite *write)
{
	CombinerWrite *copy;

	if (combiner->n == VOLUME_BATCH_WRITES ||
	    combiner->bytes + write->length > VOLUME_BATCH_BYTES)
		return FALSE;
	copy = write_copy(write, combiner->size);
	if (!copy)
		return FALSE;
	*combiner->end = copy;
	combiner->end = &copy->next;
	combiner->n++;
	combiner->bytes += write->length;
	return TRUE;
}

/* Makes the calling thread the leader, if there is none and there is work.  Returns all that is
 * queued. */
static CombinerWrite *lead_again(Combiner *combiner)
{
	CombinerWrite *batch;

	g_mutex_lock(&combiner->lock);
	batch = combiner->led ? NULL : combiner->first;
	if (batch) {
		combiner->led = TRUE;
		queue_clear_locked(combiner);
	}
	g_mutex_unlock(&combiner->lock);
	return batch;
}

static void lead_end(Combiner *combiner)
{
	g_mutex_lock(&combiner->lock);
	combiner->led = FALSE;
	g_mutex_unlock(&combiner->lock);
}

/* Carries out a batch as the leader, then stops leading, so that the next batch may begin while
 * this thread answers. */
static void batch_execute(Combiner *combiner, CombinerWrite *batch)
{
	VolumeWrite writes[VOLUME_BATCH_WRITES];
	struct iovec iov[VOLUME_BATCH_WRITES];
	guint n = 0;

	for (CombinerWrite *write = batch; write; write = write->next, n++) {
		iov[n] = (struct iovec){(void *)write->data, write->length};
		writes[n] = (VolumeWrite){.iov = &iov[n], .n_iov = 1, .offset = write->offset};
	}
	volume_write_batch_nowait(combiner->volume, writes, n);
	lead_end(combiner);
	for (guint i = 0; i < n; i++) {
		CombinerWrite *next = batch->next;

		combiner->done(batch->task, batch->data, writes[i].result);
		if (batch->copied)
			g_free(batch);
		batch = next;
	}
}

/* The write is led or queued, or there is no room for it. */
typedef enum { WRITE_LEADS, WRITE_QUEUED, WRITE_REFUSED } WriteFate;

static WriteFate write_join(Combiner *combiner, CombinerWrite *write)
{
	WriteFate fate = WRITE_REFUSED;

	g_mutex_lock(&combiner->lock);
	if (combiner->led) {
		if (queue_add_locked(combiner, write))
			fate = WRITE_QUEUED;
	} else if (combiner->n < VOLUME_BATCH_WRITES && sleepers_try_write(combiner->sleepers)) {
		write->next = combiner->first;
		queue_clear_locked(combiner);
		combiner->led = TRUE;
		fate = WRITE_LEADS;
	}
	g_mutex_unlock(&combiner->lock);
	return fate;
}

gboolean combiner_write(Combiner *combiner, gpointer task, const guint8 *data, gsize length,
			guint64 offset)
{
	CombinerWrite own = {.task = task, .data = data, .length = length, .offset = offset};
	CombinerWrite *batch = &own;
	WriteFate fate;

	if ((length | offset) % SECTOR_SIZE || length > COMBINER_WRITE_MAX)
		return FALSE;
	fate = write_join(combiner, &own);
	if (fate != WRITE_LEADS)
		return fate == WRITE_QUEUED;
	do {
		batch_execute(combiner, batch);
		batch = lead_again(combiner);
	} while (batch);
	sleepers_end_write(combiner->sleepers);
	return TRUE;
}

Combiner *combiner_new(Volume *volume, Sleepers *sleepers, CombinerDone done, gsize size,
		       GError **error)
{
	Combiner *combiner = g_try_new0(Combiner, 1);

	if (!combiner) {
		error_set_errno(error, ENOMEM, "combine writes");
		return NULL;
	}
	combiner->volume = volume;
	combiner->sleepers = sleepers;
	combiner->done = done;
	combiner->size = size;
	g_mutex_init(&combiner->lock);
	queue_clear_locked(combiner);
	return combiner;
}

void combiner_free(Combiner *combiner)
{
	if (!combiner)
		return;
	g_mutex_clear(&combiner->lock);
	g_free(combiner);
}
