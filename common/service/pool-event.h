/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events of pools: one when the pool has become as full as a mark says (key `warn`), and one when
 * it is less full again, by more than POOL_EVENT_SLACK points.
 *
 *     RUN_DIRECTORY/pools/POOL          the last event: JSON with the members pool, mark, before,
 *                                       percent, size, free, time
 *     RUN_DIRECTORY/pool-events/POOL    the same, until `storageos pool events` has taken it
 *
 * Any number of processes may look at a pool: each crossing is an event of one of them, which logs
 * one line.  If a second event comes before the first one was taken, it replaces the first.
 *
 * Threading: any.
 */
#pragma once

#include "common/base/json.h"
#include "common/service/config.h"
#include "common/service/pool-space.h"

#define POOL_EVENT_SLACK 2

typedef struct {
	char *pool;
	guint mark, before; /* the highest mark that is passed, now and until now; 0: none */
	guint percent;	    /* how full it is */
	guint64 size, free; /* as PoolSpace */
	gint64 time;	    /* seconds since 1970 */
} PoolEvent;

/* The highest mark that a pool has passed that is so full; `before`: the mark that it had passed
 * until now. */
guint pool_event_mark(const ConfigMarks *marks, guint percent, guint before);

/* The mark that the last event of the pool left; 0 if there was none. */
guint pool_event_noted(const Config *config, const char *pool);

/* Makes an event of it, if the pool has crossed a mark since the last event.  Waits a second at
 * most for other processes.  FALSE if the event could not be written, so that it will come at the
 * next call. */
gboolean pool_event_note(const Config *config, const ConfigPool *pool, const PoolSpace *space,
			 GError **error);

/* The pools (of char *) with events that nobody has taken.  Free with g_ptr_array_unref(). */
GPtrArray *pool_event_list(const Config *config);

/* Takes a pool's event.  NULL with NOT_FOUND if there is none, as another process has taken it;
 * CORRUPT: it was none, and is gone. */
PoolEvent *pool_event_take(const Config *config, const char *pool, GError **error);

/* Forgets everything of a pool that is no longer in the configuration. */
void pool_event_forget(const Config *config, const char *pool);

void pool_event_free(PoolEvent *event);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PoolEvent, pool_event_free)
