/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on ranges of blocks, for requests that change blocks.  Requests for overlapping ranges are
 * served in the order in which they came, so that none starves: a request also waits for earlier
 * ones that are still waiting.
 *
 * A RangeHold is the caller's memory, on its stack; nothing is allocated.  A thread holds one range
 * at a time, so there is no deadlock.  The list has one entry for each request in progress, and
 * each request scans the entries before its own.
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

/* Ends a hold.  `hold` may be reused. */
void ranges_release(Ranges *ranges, RangeHold *hold);
