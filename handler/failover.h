/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of several gateways changes a LUN whose content they all reach: at any time at most one,
 * and when another one takes over, nothing of the former arrives later.
 *
 *                  a change comes               the lock is ours
 *     STANDBY -----------------> TAKEOVER -----------------> OWNER
 *       ^  ^                         |                         |
 *       |  '-------------------------'                         | another one has broken it
 *       |     the owner serves                                 |
 *       '--------------------------- FENCED <------------------'
 *               a new handle
 *
 *                 changes                           reads, flushes
 *     STANDBY     BUSY, and a takeover begins       carried out
 *     TAKEOVER    BUSY                              carried out
 *     OWNER       carried out                       carried out
 *     FENCED      2/040B                            2/040B
 *
 * 2/040B is NOT READY, LOGICAL UNIT NOT ACCESSIBLE, TARGET PORT IN STANDBY STATE: the initiator
 * tries its other path.  BUSY: it tries again on this one.
 *
 * A takeover looks at the lock.  If nobody has it, it is taken.  Whoever has it counts up each
 * second in which it carries out changes, and is looked at each second: if it has counted twice,
 * other initiators reach the owner, and it stays; changes are answered 2/040B for FAILOVER_REFUSAL.
 * If it has not within FAILOVER_LOOK, it serves nobody, or it is dead or frozen: its lock is
 * broken, which fences it off.  So two initiators that do not see the same paths do not take the
 * LUN from each other all the time.  Once is not enough: that may be of what an initiator sent it
 * until it moved all of its writes here.
 *
 * FENCED ends once nothing is under way on the old handle, whatever its result: it is replaced by a
 * new one.  No takeover begins for FAILOVER_PAUSE after the fencing, when changes are answered
 * 2/040B: what initiators had sent before it is not a reason for one.
 *
 * A request that was under way when the unit was found fenced is answered 2/040B and never GOOD,
 * though it may have been carried out before.
 *
 * Threading: failover_begin(), _verdict(), _end() and _describe() from any thread; they do not
 * sleep.  Everything that waits for the storage, however long, is done by a thread of the
 * failover's own, or by whoever calls failover_step() in a failover without one.
 */
#pragma once

#include "common/engine/volume.h"

#define FAILOVER_LOOK (3 * G_TIME_SPAN_SECOND)
#define FAILOVER_REFUSAL (2 * G_TIME_SPAN_SECOND)
#define FAILOVER_PAUSE (10 * G_TIME_SPAN_SECOND)

typedef enum {
	FAILOVER_STANDBY,
	FAILOVER_TAKEOVER,
	FAILOVER_OWNER,
	FAILOVER_FENCED,
} FailoverState;

typedef struct {
	/* Called by the failover's thread alone; they may wait for the storage.
	 *
	 * owner: who has the lock (backing.h).
	 * take: takes it: with `client` NULL, if nobody has it; otherwise from that client, which
	 * is fenced off before.  FALSE with BUSY: another one has it. reopen: replaces the handle,
	 * on which nothing is under way, by a new one without the lock. */
	gboolean (*owner)(gpointer data, BackingOwner *ret_owner, GError **error);
	gboolean (*take)(gpointer data, const char *client, GError **error);
	gboolean (*reopen)(gpointer data, GError **error);

	/* Whether this handle is fenced off, as far as is known; must not wait. */
	gboolean (*is_fenced)(gpointer data);

	/* A state begins; called under a lock, and must not wait.  May be NULL. */
	void (*changed)(gpointer data, FailoverState state);

	/* NULL: g_get_monotonic_time(). */
	gint64 (*now)(gpointer data);
} FailoverOps;

typedef struct Failover Failover;

/* In STANDBY, with a handle.  `name` is for log lines, and copied.  NULL: there is no memory. */
Failover *failover_new(const FailoverOps *ops, gpointer data, const char *name);

/* Starts the thread.  FALSE with *error if it cannot be created. */
gboolean failover_start(Failover *failover, GError **error);

/* Joins the thread, however long it waits for the storage.  NULL is allowed. */
void failover_free(Failover *failover);

typedef enum { FAILOVER_READS, FAILOVER_CHANGES } FailoverKind;

/* A request comes.  0: it may be carried out, and failover_end() must follow; -EAGAIN: to be
 * answered BUSY; -ESTALE: 2/040B.  The handle is not replaced before its end. */
int failover_begin(Failover *failover, FailoverKind kind);

/* What to answer for a request that has ended with `result`, 0 or a negative errno: the same, or
 * -ESTALE.  Between its begin and its end. */
int failover_verdict(Failover *failover, int result);

void failover_end(Failover *failover);

typedef struct {
	FailoverState state;
	gint64 since;	    /* when that began, microseconds of the clock above */
	guint64 takeovers;  /* how often the lock was taken */
	guint64 fencings;   /* how often it was lost */
	BackingOwner owner; /* at the last look; "" if that was us, or never */
} FailoverInfo;

void failover_describe(Failover *failover, FailoverInfo *ret_info);

/* "standby", "takeover", "owner", "fenced". */
const char *failover_state_name(FailoverState state);

/* One step of what the thread does.  Returns when the next is due; G_MAXINT64: when a request has
 * changed something.  For tests. */
gint64 failover_step(Failover *failover);
