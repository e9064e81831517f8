/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mending a volume that nobody has open, without guessing: what is kept twice from its whole copy,
 * the bitmaps from the map.  Nothing is invented: blocks that are lost stay errors.
 *
 * In two steps, so that somebody can say no: repair_plan() looks and writes nothing, and
 * repair_carry_out() does what the plan says:
 *
 *     - a damaged copy of an inner node, a bitmap page, a superblock or a durable-mark is written
 * anew
 *     - bitmaps that are not what the map says (slots leaked, slots missing, a page of another
 * time) are made of the map, and so are the superblock's counts; not where nodes of the map are
 * lost (slots below them would pass for free) or two claim one slot
 *     - REPAIR_CUT_JOURNAL: where a record that was flushed is damaged, or changes what is below a
 *       node that is lost, so that open refuses, the journal is ended there.  That gives up what it
 *       and the records behind it did: older content comes back.
 *
 *     - what a crash left: records to be replayed, a torn tail.  An open does that; the plan only
 * says so, and whether one is wanted (`replay`).
 *
 * Interrupted anywhere, it leaves the volume no worse: copies are written from what is whole, pages
 * into their homes that do not count, and one superblock makes all of it valid.
 */
#pragma once

#include "common/check/check.h"

typedef enum {
	REPAIR_CUT_JOURNAL = 1 << 0,
} RepairFlags;

typedef struct RepairWork RepairWork;

typedef struct {
	GPtrArray *actions;  /* of char *: what will be done */
	GPtrArray *left;     /* of char *: damage that stays, but for lost blocks */
	GPtrArray *given_up; /* of char *: what ending the journal early gives up */
	gboolean replay;     /* once it is carried out, the volume wants to be opened and closed */
	gboolean may_cut;    /* the journal could be ended early, and was not asked to be */
	CheckResult *check;  /* what was found; its `lost` are the blocks that stay errors */
	RepairWork *work;
} RepairPlan;

/* Locks the backing, which stays the caller's and outlives the plan, for writing.  NULL with *error
 * where nothing can be done: no superblock is whole, it is open elsewhere, it cannot be read, or
 * only a later version may write it. */
RepairPlan *repair_plan(Backing *backing, RepairFlags flags, CheckProgress progress, gpointer data,
			GError **error);
void repair_plan_free(RepairPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RepairPlan, repair_plan_free)

/* Once for a plan; all of it is durable after TRUE. */
gboolean repair_carry_out(RepairPlan *plan, GError **error);
