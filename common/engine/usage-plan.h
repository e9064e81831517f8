/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which trees are to be compared to learn what deleting snapshots frees.
 *
 * A slot is freed when all who have it are gone.  They are connected in the lineage, and the oldest
 * of them owns the slot.  So the plan is, for each snapshot that goes: what it has that was born
 * after its nearest ancestor that stays or goes with it, and that its nearest descendant that stays
 * has not.  A branch point with two descendants that stay does not go (R4), and one that waits to
 * be deleted goes, too, once it has one left.
 *
 * What is being deleted already is no part of the plan: it is freed in any case, however far its
 * deletion is.
 *
 * Threading: any; it works on copies.
 */
#pragma once

#include <glib.h>

/* A snapshot that has a tree. */
typedef struct {
	guint64 generation;
	guint64 above; /* its nearest ancestor with a tree; 0: none */
	gboolean deleting;
} UsageNode;

#define USAGE_BESIDE_HEAD G_MAXUINT64

/* Two trees: what `generation` has that was born after `threshold`, and `beside` has not. */
typedef struct {
	guint64 generation, threshold;
	guint64 beside; /* 0: nothing; USAGE_BESIDE_HEAD */
} UsagePair;

typedef struct UsageLineage UsageLineage;

/* `nodes`: all of the volume, by generation, which are copied.  NULL: no memory. */
UsageLineage *usage_lineage_new(const UsageNode *nodes, guint n, guint64 head_above);
void usage_lineage_free(UsageLineage *lineage); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UsageLineage, usage_lineage_free)

/* What must be counted to learn what deleting these `n` snapshots together frees: *ret_n pairs in
 * `pairs`, which has room for as many as there are nodes.  Returns how many of the `n` snapshots
 * free nothing yet, because they are branch points. */
guint usage_plan(UsageLineage *lineage, const guint64 *generations, guint n, UsagePair *pairs,
		 guint *ret_n);
