/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/lock.h"

#include <stdio.h>
#include <stdlib.h>

void lock_init(Lock *lock, LockLevel level)
{
	g_mutex_init(&lock->mutex);
	lock->level = level;
	lock->turn = 0;
}

void lock_clear(Lock *lock)
{
	g_mutex_clear(&lock->mutex);
}

#if LOCK_CHECKED
#define HELD_MAX 40 /* every shard of a map at once, and what is held above them */

typedef struct {
	LockLevel level;
	gconstpointer what;
} Held;

static _Thread_local Held held[HELD_MAX];
static _Thread_local guint n_held;

static const char *level_name(LockLevel level)
{
	switch (level) {
	case LOCK_CACHE:
		return "cache";
	case LOCK_RANGE:
		return "range";
	case LOCK_RANGES:
		return "list of ranges";
	case LOCK_GATE:
		return "gate";
	case LOCK_FLUSH:
		return "flush";
	case LOCK_CHECKPOINTER:
		return "checkpointer";
	case LOCK_MAP:
		return "map";
	case LOCK_SHARD:
		return "shard";
	case LOCK_JOURNAL:
		return "journal";
	case LOCK_GROW:
		return "grow";
	case LOCK_SLOTS:
		return "slots";
	case LOCK_BACKING:
		return "backing";
	case LOCK_FAILURE:
		return "failure";
	}
	return "?";
}

static void lock_order_broken(const char *what, LockLevel level)
{
	fprintf(stderr, "lock order: %s (%s) while held:", what, level_name(level));
	for (guint i = 0; i < n_held; i++)
		fprintf(stderr, " %s", level_name(held[i].level));
	fputc('\n', stderr);
	abort();
}

static gboolean lock_may_follow(const Held *first, LockLevel level, gconstpointer what)
{
	if (first->level == LOCK_SHARD && level == LOCK_SHARD)
		return first->what < what;
	return first->level < level;
}

void lock_note(LockLevel level, gconstpointer what)
{
	for (guint i = 0; i < n_held; i++)
		if (!lock_may_follow(&held[i], level, what))
			lock_order_broken("a lock is taken", level);
	if (n_held == HELD_MAX)
		lock_order_broken("too many locks are taken", level);
	held[n_held++] = (Held){level, what};
}

/* Locks may be dropped in any order; most often the last one taken goes first. */
void lock_forget(gconstpointer what)
{
	guint i = n_held;

	while (i > 0 && held[i - 1].what != what)
		i--;
	if (!i)
		lock_order_broken("a lock is dropped that is not held", 0);
	for (n_held--; i <= n_held; i++)
		held[i - 1] = held[i];
}

void lock_check_wait(const Lock *lock)
{
	for (guint i = 0; i < n_held; i++)
		if (held[i].what != lock && held[i].level != LOCK_RANGE)
			lock_order_broken("the thread sleeps", lock->level);
}

void lock_check_held(const Lock *lock)
{
	for (guint i = 0; i < n_held; i++)
		if (held[i].what == lock)
			return;
	lock_order_broken("a lock is not held", lock->level);
}

guint64 lock_turn(const Lock *lock)
{
	lock_check_held(lock);
	return lock->turn;
}

void lock_check_turn(const Lock *lock, guint64 turn)
{
	if (lock_turn(lock) != turn)
		lock_order_broken("a lock was dropped meanwhile", lock->level);
}

void lock_check_io(void)
{
	for (guint i = 0; i < n_held; i++)
		if (held[i].level != LOCK_RANGE && held[i].level != LOCK_GROW)
			lock_order_broken("the backing is called", held[i].level);
}
#endif
