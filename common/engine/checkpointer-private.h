/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the checkpointer share.  checkpointer.c has the thread; the others have what it
 * does between checkpoints, and call nothing of checkpointer.c.
 */
#pragma once

#include "common/base/logging.h"
#include "common/engine/checkpointer.h"
#include "common/engine/snapshot-walk.h"
#include "common/engine/throttle.h"

#define TICK (250 * G_TIME_SPAN_MILLISECOND) /* the thread's longest sleep */
#define WAIT_SECONDS 25			     /* the longest wait of a request (I9) */
#define IDLE (2 * G_TIME_SPAN_SECOND)	     /* time without a change that makes a volume idle */

/* How busy the volume is.  The requests of a tick are changes, and lookups in the map that the pass
 * did not make itself. */
typedef struct {
	gint64 begun;	  /* when the tick began; 0: nobody has looked for a while */
	gint64 since;	  /* since when every tick was quiet */
	guint64 requests; /* when the tick began */
	guint64 own;	  /* lookups of the pass */
} Quiet;

struct Checkpointer {
	Engine *engine;
	GThread *thread;
	Tidy *tidy;
	SnapshotWalk *walk;
	gboolean walking;      /* the thread's: there is more to walk */
	Quiet quiet;	       /* the thread's */
	gint changes, flushes; /* atomic: counts of requests; they may wrap around */
	gint kicked;	       /* atomic: the thread must not sleep */
	gint full;	       /* atomic: a request met a full backing */
	gint held;	       /* atomic: see checkpointer_hold() */
	LoggingLimit reserve_failures;

	Lock lock;
	GCond wake; /* wakes the thread */
	GCond done; /* wakes those who wait for the thread */
	gboolean stop;
	guint64 asked, begun, finished; /* tickets of checkpoints */
	guint64 attempts, made;		/* checkpoints that ended, and those that succeeded */
	Throttle throttle;
	int result;	   /* of the last checkpoint */
	guint64 resize_to; /* size for the next checkpoint; 0: no change */
	int resize_result; /* of the last change of size */
	gboolean open;	   /* another thread may take a snapshot: see instants_open() */
	gboolean inside;   /* one does */
	guint awaiting;	   /* threads that want to */
	guint64 taken;	   /* how often one has tried */
	guint64 settle_asked, settle_done; /* tickets of checkpointer_settle() */
	guint64 settle_walks;  /* the last of them that wants what deleted snapshots had, too */
	CheckpointerCall call; /* the call that waits for the thread, or NULL */
	gpointer call_data;
	guint64 calls, calls_done; /* tickets of calls */
	LoggingLimit reclaim_failures, walk_failures;
};

static inline gboolean checkpoint_is_due(Checkpointer *cp)
{
	return journal_wants_checkpoint(cp->engine->journal) ||
	       map_wants_checkpoint(cp->engine->map);
}

/* ---- checkpointer-snapshots.c */

/* A snapshot is taken by the thread that wants it, whenever the checkpoint thread lets it in: while
 * that flushes, trims or sleeps.  Between the two calls the checkpoint thread touches neither
 * snapshots nor what the next freeze changes; when they are over, cp->engine->frozen says whether a
 * snapshot was taken.
 *
 * instants_close() lets one thread in that waits already, so that none waits longer than one thing
 * that the checkpoint thread does in between.  In _unlocking, cp->lock is held. */
void instants_open(Checkpointer *cp);
void instants_close(Checkpointer *cp);
void instants_close_unlocking(Checkpointer *cp);

/* Whether a thread waits for its snapshot. */
gboolean instants_awaited(Checkpointer *cp);

/* Frees some of what snapshots gave up; `slowly`: at the pace of background work.  Returns whether
 * there is more to do now. */
gboolean walk_some(Checkpointer *cp, gboolean slowly);

/* ---- checkpointer-tidy.c */

/* Says how much free space large writes may leave in the file while the volume is in use. */
void lend_space(Checkpointer *cp);

/* Something is more urgent than tidying.  `data`: the checkpointer. */
gboolean must_hurry(gpointer data);

/* Sleeps as long as work of so many bytes must take.  FALSE: something else is to be done. */
gboolean pace_work(Checkpointer *cp, guint64 bytes);

/* Tidies for a tick, if the volume is quiet.  Returns whether there is more to do. */
gboolean tidy_for_a_tick(Checkpointer *cp);
