/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/direct-growth.h"

#include <errno.h>

#include "common/base/lock.h"
#include "common/base/thread.h"

struct DirectGrowth {
	Backing *backing;
	Lock lock;
	GCond done;
	GThread *thread; /* NULL: there is nothing to tell */
	gboolean running;
	guint64 size; /* of the thread */
	int result;   /* of the thread, when it is done */
};

DirectGrowth *direct_growth_new(Backing *backing)
{
	DirectGrowth *growth = g_try_new0(DirectGrowth, 1);

	if (!growth)
		return NULL;
	growth->backing = backing;
	lock_init(&growth->lock, LOCK_GROW);
	g_cond_init(&growth->done);
	return growth;
}

void direct_growth_free(DirectGrowth *growth)
{
	if (!growth)
		return;
	if (growth->thread)
		g_thread_join(growth->thread);
	lock_clear(&growth->lock);
	g_cond_clear(&growth->done);
	g_free(growth);
}

static gpointer growth_main(gpointer data)
{
	DirectGrowth *growth = data;
	int r = backing_grow(growth->backing, growth->size);

	if (!r)
		r = backing_flush(growth->backing);
	lock_take(&growth->lock);
	growth->result = r;
	growth->running = FALSE;
	g_cond_broadcast(&growth->done);
	lock_drop(&growth->lock);
	return NULL;
}

static int begin_locked(DirectGrowth *growth, guint64 size)
{
	growth->size = size;
	growth->running = TRUE;
	growth->thread = thread_start("storageos-grow", growth_main, growth, NULL);
	if (growth->thread)
		return 0;
	growth->running = FALSE;
	return -EAGAIN;
}

/* What the last growth was, and forgets it.  A thread that is not `running` any more ends at once.
 */
static int end_locked(DirectGrowth *growth)
{
	g_thread_join(g_steal_pointer(&growth->thread));
	return growth->result;
}

int direct_growth_run(DirectGrowth *growth, guint64 size, guint seconds)
{
	gint64 until = g_get_monotonic_time() + seconds * G_USEC_PER_SEC;
	int r = 0;

	lock_take(&growth->lock);
	if (growth->thread && !growth->running && growth->size != size)
		end_locked(growth);
	if (!growth->thread)
		r = begin_locked(growth, size);
	while (!r && growth->running && growth->size == size)
		if (!lock_wait_until(&growth->done, &growth->lock, until))
			break;
	if (!r)
		r = growth->running || !growth->thread || growth->size != size ? -EBUSY
									       : end_locked(growth);
	lock_drop(&growth->lock);
	return r;
}
