/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sorted blocks are cut into stretches, each of which is one read.  Threads take the next
 * stretch and read it into its place in a ring; the caller's thread visits the stretches in order
 * and frees their places.
 */
#include "common/engine/volume-gather.h"

#include <errno.h>
#include <stdlib.h>

#include "common/base/large.h"
#include "common/base/thread.h"

#define RING 8u
#define GAP 16u	      /* slots that are read over: 64 KiB */
#define SPAN_MAX 384u /* slots of a stretch, gaps included */

typedef struct {
	guint first, n; /* in the sorted blocks */
	gboolean ready;
	int result;
	guint64 bad; /* block, with -EBADMSG */
	guint8 *buffer;
} Stretch;

typedef struct {
	Volume *volume;
	const VolumeGatherBlock *blocks;
	guint n;
	guint8 *memory;

	GMutex lock;
	GCond changed;
	guint taken;		/* blocks that are in a stretch */
	guint64 begun, visited; /* stretches */
	gboolean ended;
	Stretch ring[RING];
} Gather;

static int compare_slots(const void *a, const void *b)
{
	guint64 x = ((const VolumeGatherBlock *)a)->entry.slot;
	guint64 y = ((const VolumeGatherBlock *)b)->entry.slot;

	return x < y ? -1 : x > y;
}

static guint64 slot_at(const Gather *gather, guint i)
{
	return gather->blocks[i].entry.slot;
}

/* How many blocks from number `first` on are one stretch. */
static guint stretch_length(const Gather *gather, guint first)
{
	guint end = first + 1;

	while (end < gather->n && end - first < VOLUME_GATHER_BLOCKS &&
	       slot_at(gather, end) - slot_at(gather, end - 1) <= GAP &&
	       slot_at(gather, end) - slot_at(gather, first) < SPAN_MAX)
		end++;
	return end - first;
}

static guint8 *block_bytes(const Gather *gather, const Stretch *stretch, guint i)
{
	return stretch->buffer +
	       (slot_at(gather, i) - slot_at(gather, stretch->first)) * BLOCK_SIZE;
}

/* Verifies a block; one that does not match is read once more, alone. */
static int block_verify(const Gather *gather, Stretch *stretch, guint i)
{
	const VolumeGatherBlock *block = &gather->blocks[i];
	guint8 *bytes = block_bytes(gather, stretch, i);

	if (seal_block_fits(&gather->volume->engine.seal, block->block, bytes, block->entry.crc))
		return 0;
	stretch->bad = block->block;
	return volume_read_block(gather->volume, block->block, bytes, BACKING_WAIT, NULL);
}

static int stretch_read(const Gather *gather, Stretch *stretch)
{
	const Engine *engine = &gather->volume->engine;
	guint last = stretch->first + stretch->n - 1;
	gsize length =
		(slot_at(gather, last) - slot_at(gather, stretch->first) + 1) * FORMAT_SLOT_SIZE;
	int r;

	/* After a failure no block fits: each is read alone, as the gaps may be what failed. */
	(void)backing_pread(engine->backing, stretch->buffer, length,
			    slots_offset(engine->slots, slot_at(gather, stretch->first)));
	for (guint i = stretch->first; i <= last; i++) {
		r = block_verify(gather, stretch, i);
		if (r)
			return r;
	}
	return 0;
}

/* Takes the next stretch; NULL: there is none. */
static Stretch *stretch_begin(Gather *gather)
{
	Stretch *stretch;

	while (!gather->ended && gather->taken < gather->n &&
	       gather->begun - gather->visited == RING)
		g_cond_wait(&gather->changed, &gather->lock);
	if (gather->ended || gather->taken == gather->n)
		return NULL;
	stretch = &gather->ring[gather->begun++ % RING];
	stretch->first = gather->taken;
	stretch->n = stretch_length(gather, gather->taken);
	stretch->ready = FALSE;
	gather->taken += stretch->n;
	return stretch;
}

static gpointer gather_thread(gpointer data)
{
	Gather *gather = data;
	Stretch *stretch;

	g_mutex_lock(&gather->lock);
	while ((stretch = stretch_begin(gather))) {
		g_mutex_unlock(&gather->lock);
		stretch->result = stretch_read(gather, stretch);
		g_mutex_lock(&gather->lock);
		stretch->ready = TRUE;
		g_cond_broadcast(&gather->changed);
	}
	g_mutex_unlock(&gather->lock);
	return NULL;
}

/* ---- the caller's thread */

static int stretch_visit(const Gather *gather, const Stretch *stretch, VolumeGatherVisit visit,
			 gpointer data)
{
	VolumeGatherRun runs[VOLUME_GATHER_BLOCKS];
	guint n = 0;

	for (guint i = stretch->first; i < stretch->first + stretch->n; i++) {
		guint64 block = gather->blocks[i].block;
		const guint8 *bytes = block_bytes(gather, stretch, i);
		VolumeGatherRun *last = n ? &runs[n - 1] : NULL;

		if (last && last->first + last->n == block &&
		    last->bytes + last->n * BLOCK_SIZE == bytes)
			last->n++;
		else
			runs[n++] = (VolumeGatherRun){block, 1, bytes};
	}
	return visit(data, runs, n);
}

/* The next stretch in order, once it was read; NULL: all were visited. */
static Stretch *stretch_wait(Gather *gather)
{
	Stretch *stretch = &gather->ring[gather->visited % RING];
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&gather->lock);

	while (gather->visited == gather->begun ? gather->taken < gather->n : !stretch->ready)
		g_cond_wait(&gather->changed, &gather->lock);
	return gather->visited == gather->begun ? NULL : stretch;
}

static void stretch_done(Gather *gather, gboolean ended)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&gather->lock);

	gather->visited++;
	gather->ended = ended;
	g_cond_broadcast(&gather->changed);
}

static int gather_visit(Gather *gather, VolumeGatherVisit visit, gpointer data, guint64 *ret_block)
{
	Stretch *stretch;
	int r = 0;

	while (!r && (stretch = stretch_wait(gather))) {
		r = stretch->result;
		if (r)
			*ret_block = stretch->bad;
		else
			r = stretch_visit(gather, stretch, visit, data);
		stretch_done(gather, r != 0);
	}
	return r;
}

static int gather_run(Gather *gather, VolumeGatherVisit visit, gpointer data, guint64 *ret_block)
{
	GThread *threads[VOLUME_GATHER_THREADS];
	guint n = 0;
	int r = -EAGAIN;

	while (n < VOLUME_GATHER_THREADS &&
	       (threads[n] = thread_start("gather", gather_thread, gather, NULL)))
		n++;
	if (n)
		r = gather_visit(gather, visit, data, ret_block);
	while (n)
		g_thread_join(threads[--n]);
	return r;
}

int volume_gather(Volume *volume, VolumeGatherBlock *blocks, guint n, VolumeGatherVisit visit,
		  gpointer data, guint64 *ret_block)
{
	const gsize bytes = SPAN_MAX * BLOCK_SIZE;
	Gather gather = {.volume = volume, .blocks = blocks, .n = n};
	int r;

	if (!n)
		return 0;
	gather.memory = large_alloc(RING * bytes);
	if (!gather.memory)
		return -ENOMEM;
	qsort(blocks, n, sizeof *blocks, compare_slots);
	for (guint i = 0; i < RING; i++)
		gather.ring[i].buffer = gather.memory + i * bytes;
	g_mutex_init(&gather.lock);
	g_cond_init(&gather.changed);
	r = gather_run(&gather, visit, data, ret_block);
	g_cond_clear(&gather.changed);
	g_mutex_clear(&gather.lock);
	large_free(gather.memory, RING * bytes);
	return r;
}
