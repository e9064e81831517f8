/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to flush (backing.h says why).  Tickets count the flushes that were begun: whoever
 * asks wants one of a later number than any that has begun already.
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

/* For all who asked before; the lock is held, and dropped meanwhile. */
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
