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

/* Around the I/O of a flush or a durable write, for which the lock is dropped. */
static void flushes_enter_unlocking(BackingFlushes *flushes)
{
	flushes->running = TRUE;
	lock_drop(&flushes->lock);
}

static void flushes_leave_locking(BackingFlushes *flushes, int result)
{
	lock_take(&flushes->lock);
	flushes->running = FALSE;
	flushes->error = result;
	g_cond_broadcast(&flushes->ended);
}

/* Flushes for all callers that wait.  The lock is held, and dropped during the I/O. */
static void flush_unlocking(Backing *backing)
{
	BackingFlushes *flushes = &backing->flushes;
	guint64 ticket = ++flushes->begun;

	flushes_enter_unlocking(flushes);
	flushes_leave_locking(flushes, backing->ops->flush(backing));
	flushes->ended_with = ticket;
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
		if (flushes->running || flushes->durable_writes)
			lock_wait(&flushes->ended, &flushes->lock);
		else
			flush_unlocking(backing);
	}
	return flushes->error;
}

int backing_write_durably(Backing *backing, const void *data, gsize length, guint64 offset)
{
	BackingFlushes *flushes = &backing->flushes;
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;

	if (!backing->ops->write_durably) {
		int r = backing_pwrite(backing, data, length, offset);

		return r ? r : backing_flush(backing);
	}
	lock_check_io();
	if (backing_condemned(backing))
		return -ESHUTDOWN;
	locker = lock_hold(&flushes->lock);
	flushes->durable_writes++;
	while (flushes->running)
		lock_wait(&flushes->ended, &flushes->lock);
	flushes->durable_writes--;
	if (!flushes->error) {
		flushes_enter_unlocking(flushes);
		flushes_leave_locking(flushes,
				      backing->ops->write_durably(backing, data, length, offset));
	}
	return flushes->error;
}
