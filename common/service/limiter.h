/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The limits of a served volume: how many requests and bytes a second, of reads and of writes, each
 * for itself (bucket.h).  Requests that exceed them wait in a queue, not in a thread, and go on in
 * the order in which they came, reads and writes independently of each other.
 *
 *     if (limiter_limits(limiter, direction) &&     one load where there is no limit
 *         limiter_holds(limiter, &item, kind, bytes))
 *             return;                               owner.go() will be called with the item
 *     ...                                           it goes on now
 *
 * One thread of the process, which all Limiters share, lets go what is due, at most once in
 * LIMITER_PAUSE; what a pause costs comes back, as the buckets collect credit meanwhile.  The
 * thread exists from the first limit on, until the last Limiter that had one is cleared.  It never
 * waits for a volume, so a volume at its limits slows no other one down.
 *
 * A limit can be changed at any time; what waits obeys the new one at once.
 *
 * How long a request may wait: where initiators give up, a queue must not be longer than they have
 * patience.  So a front end asks limiter_is_full() before, and refuses a request that would have to
 * wait for more than LIMITER_PATIENCE.  A request that is in the queue waits for no longer than
 * that, unless a limit is lowered meanwhile.  The lowest limits (LIMITER_IOPS_LEAST,
 * LIMITER_BYTES_LEAST) are such that 256 requests, or 10 MiB, wait for no longer.
 *
 * Threading: any.  One lock of the process is held for a few instructions; nothing is taken under
 * it.
 */
#pragma once

#include "common/service/bucket.h"
#include "common/service/metrics.h"

#define LIMITER_PATIENCE 10 /* s */
#define LIMITER_PAUSE 1000  /* us */

#define LIMITER_IOPS_LEAST 30
#define LIMITER_IOPS_MOST 100000000
#define LIMITER_BYTES_LEAST ((guint64)1 << 20)
#define LIMITER_BYTES_MOST ((guint64)1 << 40)

/* The lowest burst, in parts of the rate, and the one where none is given; and the highest, in
 * seconds of the rate.  One that is given is brought into these bounds.  With less than a hundredth
 * the rate would not be reached at LIMITER_PAUSE. */
#define LIMITER_BURST_LEAST 100
#define LIMITER_BURST_DEFAULT 10
#define LIMITER_BURST_MOST 3600

/* A discard counts as a write without bytes, whatever its length; a flush and a query as nothing.
 */
typedef enum {
	LIMITER_READ,
	LIMITER_WRITE,
	LIMITER_DIRECTIONS,
	LIMITER_NEITHER = LIMITER_DIRECTIONS, /* has no limits */
} LimiterDirection;
typedef enum { LIMITER_IOPS, LIMITER_BYTES, LIMITER_UNITS } LimiterUnit;

typedef struct {
	guint64 rate;  /* a second; 0: no limit */
	guint64 burst; /* 0: as LIMITER_BURST_DEFAULT says */
} Limit;

typedef struct {
	Limit limits[LIMITER_DIRECTIONS][LIMITER_UNITS];
} Limits;

/* "read_iops", "read_bytes", "write_iops", "write_bytes", and with `burst` "read_iops_burst"... */
const char *limits_name(LimiterDirection direction, LimiterUnit unit, gboolean burst);

/* The lowest and the highest rate. */
guint64 limits_least(LimiterUnit unit);
guint64 limits_most(LimiterUnit unit);

typedef struct Limiter Limiter;
typedef struct LimiterItem LimiterItem;

/* A request that waits.  Belongs to the caller; the members are the limiter's. */
struct LimiterItem {
	LimiterItem *next;
	guint64 bytes;
	gint64 since;
};

typedef struct {
	/* Carries on with a request that waited.  Must not wait for anything. */
	void (*go)(gpointer data, LimiterItem *item);
	gpointer data;
} LimiterOwner;

/* What happened because of the limits of one direction. */
typedef struct {
	guint64 waiting;      /* requests that wait now */
	guint64 waits;	      /* requests that waited, and went on */
	guint64 microseconds; /* how long they did, together */
	guint64 refused;      /* limiter_is_full() was TRUE */
} LimiterStats;

/* Private, but for its size. */
struct Limiter {
	LimiterOwner owner;
	gint limited[LIMITER_DIRECTIONS + 1]; /* atomic */
	/* The rest is under the lock. */
	Limits limits;
	Bucket buckets[LIMITER_DIRECTIONS][LIMITER_UNITS];
	struct {
		LimiterItem *first, *last;
		guint64 ahead[LIMITER_UNITS]; /* units of all that are in the queue */
		LimiterStats stats;
	} queues[LIMITER_DIRECTIONS];
	gboolean joined; /* it keeps the thread */
	gboolean cleared;
	gboolean listed; /* it is in the list of those in which requests wait */
	Limiter *next;	 /* in that list */
};

/* Of zeroed memory.  There is no limit until limiter_set(). */
void limiter_init(Limiter *limiter, const LimiterOwner *owner);

/* Calls go() for all that wait, and waits for calls under way.  No request may come any more, and
 * limiter_set() fails.  Allowed for zeroed memory. */
void limiter_clear(Limiter *limiter);

/* Changes the limits.  FALSE with *error, and nothing is changed: INVALID, one of them is too low
 * or too high; BUSY, the limiter was cleared; or there is no thread. */
gboolean limiter_set(Limiter *limiter, const Limits *limits, GError **error);
void limiter_get(Limiter *limiter, Limits *ret_limits);
void limiter_get_stats(Limiter *limiter, LimiterDirection direction, LimiterStats *ret_stats);

/* Whether requests of that direction are limited at present. */
static inline gboolean limiter_limits(const Limiter *limiter, LimiterDirection direction)
{
	return __atomic_load_n(&limiter->limited[direction], __ATOMIC_RELAXED);
}

static inline LimiterDirection limiter_direction(MetricsKind kind)
{
	switch (kind) {
	case METRICS_READ:
		return LIMITER_READ;
	case METRICS_WRITE:
	case METRICS_DISCARD:
	case METRICS_COMPARE_AND_WRITE:
		return LIMITER_WRITE;
	case METRICS_FLUSH:
	case METRICS_UNCOUNTED:
		break;
	}
	return LIMITER_NEITHER;
}

/* Whether a request that comes now would wait for longer than LIMITER_PATIENCE. */
gboolean limiter_is_full(Limiter *limiter, LimiterDirection direction);

/* FALSE: the request goes on now, and is counted.  TRUE: it waits; go() will be called, perhaps
 * before this returns. */
gboolean limiter_holds(Limiter *limiter, LimiterItem *item, MetricsKind kind, guint64 bytes);

/* For a caller that cannot wait.  TRUE: the request goes on now, and is counted.  FALSE: it would
 * have to wait. */
gboolean limiter_passes(Limiter *limiter, MetricsKind kind, guint64 bytes);

/* A request that has passed was not carried out, and does not count. */
void limiter_return(Limiter *limiter, MetricsKind kind, guint64 bytes);

/* Takes the item off the queue; the request counts as not made.  FALSE: it is in none; go() was
 * called, or will be. */
gboolean limiter_cancel(Limiter *limiter, LimiterItem *item);

/* {"read": {"iops", "iops_burst", "bytes", "bytes_burst", "waiting", "waits", "wait_ns",
 * "refused"}, "write": ...}; without the members of a limit that is not set. */
Json *limiter_to_json(Limiter *limiter);
