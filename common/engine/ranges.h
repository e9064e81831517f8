/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on ranges of blocks, for requests that change blocks.  Requests for overlapping ranges are
 * served in the order in which they came, so that none starves: a request also waits for earlier
 * ones that are still waiting.
 *
 * A RangeHold is the caller's memory, on its stack; nothing is allocated.  The list has one entry
 * for each range that is held or waited for, and each request scans the entries before its own.
 *
 * No deadlock: a thread that waits holds no range.  ranges_hold() is for threads that hold none;
 * whoever needs several takes them with ranges_hold_some(), which never waits.
 */
#pragma once

#include "common/base/lock.h"

typedef struct RangeHold RangeHold;

struct RangeHold {
	guint64 first, last; /* inclusive */
	RangeHold *prev, *next;
};

typedef struct {
	Lock lock;
	GCond released;
	RangeHold *head, *tail; /* in order of arrival */
	guint waiting;
} Ranges;

void ranges_init(Ranges *ranges);
void ranges_clear(Ranges *ranges);

/* Waits until no earlier request for an overlapping range is left, then holds [first, last] and
 * returns TRUE.  With `nowait`, returns FALSE instead of waiting, and holds nothing. */
gboolean ranges_hold(Ranges *ranges, RangeHold *hold, guint64 first, guint64 last, gboolean nowait);

/* Holds the first of `n` ranges, as many as it can without waiting, and returns how many.  The
 * caller has filled in `first` and `last` of each.  The first range that another request holds or
 * waits for, or that overlaps one before it, is not held, and none behind it is. */
guint ranges_hold_some(Ranges *ranges, RangeHold *holds, guint n);

/* Ends the holds of ranges_hold_some(), which returned `n`, above 0. */
void ranges_release_some(Ranges *ranges, RangeHold *holds, guint n);

/* Ends a hold.  `hold` may be reused. */
void ranges_release(Ranges *ranges, RangeHold *hold);
