/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repairs a volume that nobody has open.  A structure that is kept twice is rewritten from its
 * whole copy, and the bitmaps are rebuilt from the map.  Repair never guesses: blocks that are lost
 * stay unreadable.
 *
 * There are two steps, so that the user can decline: repair_plan() examines the volume and writes
 * nothing; repair_carry_out() does what the plan says:
 *
 *     - A damaged copy of an inner node, a bitmap page, a superblock or a durable-mark is
 *       rewritten.
 *
 *     - Bitmaps that disagree with the map (slots are leaked or missing, or a page is not the
 *       checkpoint's) are rebuilt from the map, and so are the superblock's counts.  This is not
 *       done where nodes of the map or of a snapshot are lost, since the slots below them would
 *       seem to be free, or where two pointers claim one slot.
 *
 *     - Snapshots may be given up, so that the rest can be proved: those whose nodes are lost, or
 *       all of them.  What is being deleted is given up with them.  A snapshot from which several
 *       branches go on (rollbacks make them) can only be given up with all of them but one, as they
 *       share by it alone.  A new snapshot table is written.
 *
 *     - With REPAIR_CUT_JOURNAL, the journal is ended before the record at which open refuses: one
 *       that was flushed and is damaged, or one that cannot be replayed, because it changes blocks
 *       below a lost node or names slots that are in use.  This discards that record and all later
 *       ones: their blocks go back to older content.
 *
 * Repair does not replay the journal.  If `replay` is set, the caller must open and close the
 * volume afterwards.
 *
 * A repair that is interrupted leaves the volume no worse (I6): damaged copies are rewritten from
 * whole ones, bitmap pages go to the homes that do not count, and one superblock makes all of them
 * valid.
 */
#pragma once

#include "common/check/check.h"

typedef enum {
	REPAIR_CUT_JOURNAL = 1 << 0, /* discards flushed writes */
} RepairFlags;

typedef struct RepairWork RepairWork;

typedef struct {
	GPtrArray *actions;  /* of char *: what repair_carry_out() will do, and the replay */
	GPtrArray *left;     /* of char *: damage that remains, apart from lost blocks */
	GPtrArray *given_up; /* of char *: records that ending the journal early discards */
	gboolean replay;     /* after the repair, the volume must be opened and closed */
	gboolean may_cut;    /* REPAIR_CUT_JOURNAL would help, and was not given */
	CheckResult *check;  /* the findings, without the snapshots that are given up; blocks in its
				`lost` stay unreadable */
	RepairWork *work;
} RepairPlan;

/* Takes the writer's lock of the backing, and where other machines can reach it, its tenure
 * (tenure.h), which is all that it writes; and plans the repair.  The backing stays the caller's,
 * until the plan is freed or lets go of it.  NULL with *error set if the volume cannot be repaired:
 * no superblock is whole, the volume is open elsewhere or cannot be read, or only a later version
 * may write it. `give_up`: NULL, or the names of snapshots to give up, up to a NULL;
 * CHECK_ALL_SNAPSHOTS among them means all, also those whose records are lost.  NOT_FOUND: there is
 * no such snapshot.  INVALID: several branches go on from one. */
RepairPlan *repair_plan(Backing *backing, RepairFlags flags, const char *const *give_up,
			CheckProgress progress, gpointer data, GError **error);
void repair_plan_free(RepairPlan *plan);

/* Gives up what the plan holds of the backing, which may be freed then, or opened by others.  The
 * plan cannot be carried out any more.  NULL is allowed. */
void repair_plan_let_go(RepairPlan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RepairPlan, repair_plan_free)

/* Carries the plan out; may be called once for a plan.  After TRUE the repair is durable. */
gboolean repair_carry_out(RepairPlan *plan, GError **error);
