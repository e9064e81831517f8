/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engine's mutexes, each with its level in the one order in which a thread takes several.
 *
 * In a build with a sanitizer, or of type debug, every thread notes what it holds, and the process
 * ends with a message where
 *   - a lock is taken while one of its own level or of a later one is held (two shards may be, in
 *     the order of their addresses),
 *   - a thread sleeps for a condition while it holds another lock,
 *   - the backing is called while one is held that is not allowed to be (lock_check_io),
 *   - a lock was dropped between two places that rely on it (lock_check_turn),
 *   - one is not held where it must be (lock_check_held).
 * That is for tests.  In any other build a Lock is a GMutex, and nothing is noted.
 *
 * Threading: as a GMutex.
 */
#pragma once

#include <glib.h>

#ifndef LOCK_CHECKED
#define LOCK_CHECKED 0
#endif

/* From the outermost to the innermost. */
typedef enum {
	LOCK_CACHE = 1,	   /* the open volumes that share the node cache */
	LOCK_RANGE,	   /* a range of blocks that a request holds: no mutex */
	LOCK_RANGES,	   /* the list of these */
	LOCK_FLUSH,	   /* requests' flushes, who makes one and who waits for it */
	LOCK_CHECKPOINTER, /* what the checkpoint thread is asked for */
	LOCK_MAP,
	LOCK_SHARD, /* of the map's node cache */
	LOCK_JOURNAL,
	LOCK_GROW, /* while the backing grows */
	LOCK_SLOTS,
	LOCK_BACKING, /* who flushes it, and who waits for that */
	LOCK_FAILURE, /* why a volume has failed */
} LockLevel;

typedef struct {
	GMutex mutex;
	LockLevel level;
	guint64 turn; /* how often it was taken; see lock_turn() */
} Lock;

void lock_init(Lock *lock, LockLevel level);
void lock_clear(Lock *lock);

#if LOCK_CHECKED
/* Notes that this thread holds something of that level from now on, and no longer. */
void lock_note(LockLevel level, gconstpointer what);
void lock_forget(gconstpointer what);

/* Nothing is held but this one lock, and ranges. */
void lock_check_wait(const Lock *lock);

/* Nothing is held that must not be while the backing works: only ranges, and LOCK_GROW. */
void lock_check_io(void);

/* This thread holds it. */
void lock_check_held(const Lock *lock);

/* Stands for the time from when this thread took the lock to when it drops it, or sleeps. */
guint64 lock_turn(const Lock *lock);

/* It is still that turn: nobody else can have had the lock. */
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

/* FALSE: somebody else holds it. */
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

/* FALSE: the time (g_get_monotonic_time) came first. */
static inline gboolean lock_wait_until(GCond *cond, Lock *lock, gint64 until)
{
	gboolean in_time;

	lock_check_wait(lock);
	in_time = g_cond_wait_until(cond, &lock->mutex, until);
	lock_begin_turn(lock);
	return in_time;
}

/* Held to the end of the scope:
 *     g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&map->lock); */
typedef Lock LockHold;

static inline LockHold *lock_hold(Lock *lock)
{
	lock_take(lock);
	return lock;
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(LockHold, lock_drop)
