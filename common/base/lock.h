/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's mutexes.  Each has a level; a thread that takes several must take them in the order
 * of their levels.
 *
 * In builds for tests (with a sanitizer, or of type debug) each thread records the locks that it
 * holds, and the process ends with a message if
 *   - a thread takes a lock while it holds one of the same or a later level (except shards, which
 *     are taken in the order of their addresses),
 *   - a thread waits for a condition while it holds another lock than the condition's,
 *   - a thread calls the backing while it holds a lock that forbids this (lock_check_io),
 *   - a lock was dropped between two places that rely on it (lock_check_turn),
 *   - a lock is not held where it must be (lock_check_held).
 * In any other build a Lock is a plain GMutex.
 *
 * Threading: like a GMutex.
 */
#pragma once

#include <glib.h>

#ifndef LOCK_CHECKED
#define LOCK_CHECKED 0
#endif

/* From the outermost to the innermost. */
typedef enum {
	LOCK_CACHE = 1,	   /* the open volumes that share the node cache */
	LOCK_RANGE,	   /* a range of blocks that a request holds; not a mutex */
	LOCK_RANGES,	   /* the list of held ranges */
	LOCK_GATE,	   /* the gate before all changes */
	LOCK_FLUSH,	   /* which request flushes, and which ones wait for it */
	LOCK_CHECKPOINTER, /* the requests to the checkpoint thread */
	LOCK_MAP,
	LOCK_SHARD, /* of the map's node cache */
	LOCK_JOURNAL,
	LOCK_GROW, /* while the backing grows */
	LOCK_SLOTS,
	LOCK_BACKING, /* which thread flushes the backing, and which ones wait for it */
	LOCK_FAILURE, /* the reason why a volume has failed */
} LockLevel;

typedef struct {
	GMutex mutex;
	LockLevel level;
	guint64 turn; /* number of times that the lock was taken; see lock_turn() */
} Lock;

void lock_init(Lock *lock, LockLevel level);
void lock_clear(Lock *lock);

#if LOCK_CHECKED
/* Record that the calling thread holds `what`, of this level; and that it no longer does. */
void lock_note(LockLevel level, gconstpointer what);
void lock_forget(gconstpointer what);

/* Checks that the thread holds this lock, ranges, and no other lock. */
void lock_check_wait(const Lock *lock);

/* Checks that the thread may call the backing: it holds ranges and LOCK_GROW at most. */
void lock_check_io(void);

/* Checks that the thread holds the lock. */
void lock_check_held(const Lock *lock);

/* Identifies the time from taking the lock until dropping it or waiting for a condition. */
guint64 lock_turn(const Lock *lock);

/* Checks that the turn is still the same: no other thread has held the lock meanwhile. */
void lock_check_turn(const Lock *lock, guint64 turn);

static inline void lock_begin_turn(Lock *lock)
{
	lock->turn++;
}
#else
static inline void lock_note(LockLevel level, gconstpointer what)
{
	(void)level, (void)what;
}

static inline void lock_forget(gconstpointer what)
{
	(void)what;
}

static inline void lock_check_wait(const Lock *lock)
{
	(void)lock;
}

static inline void lock_check_io(void)
{
}

static inline void lock_check_held(const Lock *lock)
{
	(void)lock;
}

static inline guint64 lock_turn(const Lock *lock)
{
	return lock->turn;
}

static inline void lock_check_turn(const Lock *lock, guint64 turn)
{
	(void)lock, (void)turn;
}

static inline void lock_begin_turn(Lock *lock)
{
	(void)lock;
}
#endif

static inline void lock_take(Lock *lock)
{
	lock_note(lock->level, lock);
	g_mutex_lock(&lock->mutex);
	lock_begin_turn(lock);
}

/* FALSE if another thread holds the lock. */
static inline gboolean lock_try(Lock *lock)
{
	if (!g_mutex_trylock(&lock->mutex))
		return FALSE;
	lock_note(lock->level, lock);
	lock_begin_turn(lock);
	return TRUE;
}

static inline void lock_drop(Lock *lock)
{
	g_mutex_unlock(&lock->mutex);
	lock_forget(lock);
}

static inline void lock_wait(GCond *cond, Lock *lock)
{
	lock_check_wait(lock);
	g_cond_wait(cond, &lock->mutex);
	lock_begin_turn(lock);
}

/* FALSE if `until` (g_get_monotonic_time) has passed. */
static inline gboolean lock_wait_until(GCond *cond, Lock *lock, gint64 until)
{
	gboolean in_time;

	lock_check_wait(lock);
	in_time = g_cond_wait_until(cond, &lock->mutex, until);
	lock_begin_turn(lock);
	return in_time;
}

/* Holds a lock to the end of the scope:
 *     g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock); */
typedef Lock LockHold;

static inline LockHold *lock_hold(Lock *lock)
{
	lock_take(lock);
	return lock;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(LockHold, lock_drop)
