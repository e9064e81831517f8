/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies: when a snapshot of a volume is due, and which snapshots are no longer kept.
 *
 * A policy keeps one snapshot for each of the newest hours, days, weeks and months that have one:
 * the first of that hour, day, week or month.  A period without a snapshot, as while the machine
 * was off, takes no place of another.  All periods are those of UTC; a week begins on Monday.
 *
 * Only what a policy has made counts, and of that nothing is pruned that somebody holds.  The
 * newest is never pruned.  Snapshots of several volumes that are of one instant stay together: each
 * alone would be of little use.  "Newest" is by the order in which the snapshots were made: a clock
 * that was set back, or runs wild, leads to more snapshots, but never to none.
 *
 * Pure functions over what a volume's list of snapshots says: nothing is read or changed.
 */
#pragma once

#include <glib.h>

typedef enum { POLICY_HOUR, POLICY_DAY, POLICY_WEEK, POLICY_MONTH, POLICY_PERIODS } PolicyPeriod;

#define POLICY_KEEP_MAX 4000u /* of one kind of period */

typedef enum {
	POLICY_FREEZE_AUTO,    /* file systems on the volume are frozen where that is safe */
	POLICY_FREEZE_REQUIRE, /* without that, no snapshot */
	POLICY_FREEZE_NEVER,
} PolicyFreeze;

typedef struct {
	char *name;
	guint keep[POLICY_PERIODS]; /* at most POLICY_KEEP_MAX each; not all 0 */
	PolicyFreeze freeze;
	guint64 min_free;	/* bytes of the file system; 0: no limit */
	guint min_free_percent; /* of the file system, instead of min_free */
	guint64 max_held;	/* bytes that only snapshots still need; 0: no limit */
} Policy;

void policy_free(Policy *policy);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Policy, policy_free)

/* What a policy must know of a snapshot. */
typedef struct {
	gint64 created; /* Unix time, any value */
	gboolean by_policy, held;
	gboolean pruned; /* set by policy_prune() */
	guint64 group;	 /* the same for snapshots of one instant; 0: it is alone */
} PolicySnapshot;

/* The snapshots of one volume, oldest first. */
typedef struct {
	PolicySnapshot *snapshots;
	guint n;
} PolicyList;

/* The period that this moment is in, as a number that grows by 1 from one period to the next. */
gint64 policy_period(PolicyPeriod period, gint64 time);

/* Whether the newest snapshot is of another hour, day, week or month than `now`, of those that the
 * policy keeps.  `snapshots`: the volume's, oldest first. */
gboolean policy_is_due(const Policy *policy, const PolicySnapshot *snapshots, guint n, gint64 now);

/* Sets `pruned` in each snapshot. */
void policy_prune(const Policy *policy, PolicySnapshot *snapshots, guint n);

/* The same for the volumes of a group, after policy_join(): what is kept in one of them is kept in
 * all. */
void policy_prune_group(const Policy *policy, const PolicyList *lists, guint n);

/* Sets `held` in all snapshots of an instant of which one is held, or is its volume's newest. */
void policy_join(const PolicyList *lists, guint n);

/* The snapshot to delete first where space is short: the oldest one that may be pruned, whatever
 * the policy keeps.  -1: there is none. */
int policy_find_oldest(const PolicySnapshot *snapshots, guint n);

/* The bytes that must stay free in a file system of `size` bytes. */
guint64 policy_min_free(const Policy *policy, guint64 size);

/* "auto-20261128t1715z", in UTC; with "-2", "-3" behind it for another `copy` than 0.  Free the
 * result. */
char *policy_snapshot_name(gint64 now, guint copy);

/* FALSE: no such mode. */
gboolean policy_freeze_parse(const char *text, PolicyFreeze *ret_freeze);
