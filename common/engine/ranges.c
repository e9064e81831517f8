/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/ranges.h"

void ranges_init(Ranges *ranges)
{
	*ranges = (Ranges){0};
	lock_init(&ranges->lock, LOCK_RANGES);
	g_cond_init(&ranges->released);
}

void ranges_clear(Ranges *ranges)
{
	lock_clear(&ranges->lock);
	g_cond_clear(&ranges->released);
}

static gboolean must_wait(const RangeHold *hold)
{
	for (const RangeHold *other = hold->prev; other; other = other->prev)
		if (other->first <= hold->last && hold->first <= other->last)
			return TRUE;
	return FALSE;
}

static void remove_locked(Ranges *ranges, RangeHold *hold)
{
	if (hold->prev)
		hold->prev->next = hold->next;
	else
		ranges->head = hold->next;
	if (hold->next)
		hold->next->prev = hold->prev;
	else
		ranges->tail = hold->prev;
}

static void append_locked(Ranges *ranges, RangeHold *hold)
{
	if (ranges->tail)
		ranges->tail->next = hold;
	else
		ranges->head = hold;
	ranges->tail = hold;
}

gboolean ranges_hold(Ranges *ranges, RangeHold *hold, guint64 first, guint64 last, gboolean nowait)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;

	lock_note(LOCK_RANGE, hold);
	locker = lock_hold(&ranges->lock);
	*hold = (RangeHold){.first = first, .last = last, .prev = ranges->tail};
	if (nowait && must_wait(hold)) {
		lock_forget(hold);
		return FALSE;
	}
	append_locked(ranges, hold);
	ranges->waiting++;
	while (must_wait(hold))
		lock_wait(&ranges->released, &ranges->lock);
	ranges->waiting--;
	return TRUE;
}

guint ranges_hold_some(Ranges *ranges, RangeHold *holds, guint n)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;
	guint held = 0;

	lock_note(LOCK_RANGE, holds); /* for all of them */
	locker = lock_hold(&ranges->lock);
	for (; held < n; held++) {
		holds[held].prev = ranges->tail;
		holds[held].next = NULL;
		if (must_wait(&holds[held]))
			break;
		append_locked(ranges, &holds[held]);
	}
	if (!held)
		lock_forget(holds);
	return held;
}

void ranges_release_some(Ranges *ranges, RangeHold *holds, guint n)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&ranges->lock);

	for (guint i = 0; i < n; i++)
		remove_locked(ranges, &holds[i]);
	lock_forget(holds);
	if (ranges->waiting)
		g_cond_broadcast(&ranges->released);
}

void ranges_release(Ranges *ranges, RangeHold *hold)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&ranges->lock);

	remove_locked(ranges, hold);
	lock_forget(hold);
	if (ranges->waiting)
		g_cond_broadcast(&ranges->released);
}
