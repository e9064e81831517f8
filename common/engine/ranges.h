/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locks on ranges of blocks, for what changes them: overlapping holders take turns in the order in
 * which they came, so that none starves.
 *
 * A hold is the caller's memory (its stack); nothing is allocated.  One thread holds one range at a
 * time, so there is no deadlock.  The list is as long as there are requests under way.
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

/* Waits until [first, last] overlaps nobody who came before.  With `nowait` FALSE is returned
 * instead of waiting, and nothing is held. */
gboolean ranges_hold(Ranges *ranges, RangeHold *hold, guint64 first, guint64 last, gboolean nowait);
void ranges_release(Ranges *ranges, RangeHold *hold);
