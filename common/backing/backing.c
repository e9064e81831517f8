/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flushing (see backing_flush()).  Each flush has a ticket, counted up.  A caller waits for a flush
 * with a higher ticket than that of any flush that had begun before the call.
 */
#include "common/backing/backing.h"

void backing_init(Backing *backing, const BackingOps *ops, const char *name)
{
	backing->ops = ops;
	backing->name = g_strdup(name);
	lock_init(&backing->flushes.lock, LOCK_BACKING);
	g_cond_init(&backing->flushes.ended);
}

void backing_free(Backing *backing)
{
	if (!backing)
		return;
	lock_clear(&backing->flushes.lock);
	g_cond_clear(&backing->flushes.ended);
	g_free(backing->name);
	backing->ops->free(backing);
}

void backing_condemn(Backing *backing, const char *reason)
{
	const char *none = NULL;

	__atomic_compare_exchange_n(&backing->condemned, &none, reason, FALSE, __ATOMIC_RELEASE,
				    __ATOMIC_RELAXED);
}

/* Flushes for all callers that wait.  The lock is held, and dropped during the I/O. */
static void flush_unlocking(Backing *backing)
{
	BackingFlushes *flushes = &backing->flushes;
	guint64 ticket = ++flushes->begun;
	int r;

	flushes->running = TRUE;
	lock_drop(&flushes->lock);
	r = backing->ops->flush(backing);
	lock_take(&flushes->lock);
	flushes->running = FALSE;
	flushes->ended_with = ticket;
	flushes->error = r;
	g_cond_broadcast(&flushes->ended);
}

int backing_flush(Backing *backing)
{
	BackingFlushes *flushes = &backing->flushes;
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;
	guint64 ticket;

	lock_check_io();
	if (backing_condemned(backing))
		return -ESHUTDOWN;
	locker = lock_hold(&flushes->lock);
	ticket = flushes->begun + 1;
	while (!flushes->error && flushes->ended_with < ticket) {
		if (flushes->running)
			lock_wait(&flushes->ended, &flushes->lock);
		else
			flush_unlocking(backing);
	}
	return flushes->error;
}
