/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proves from the backing alone that a volume is whole: the checksum of every node and block, every
 * slot in exactly one place (I5), bitmaps that agree with the map, and the journal's records.  It
 * writes nothing.  It takes three bits of memory per slot, one path of nodes, and its findings; if
 * the volume has snapshots, also some 32 bytes for each node.
 *
 * Superblocks, inner nodes, bitmap pages and the durable-mark are kept twice.  One damaged copy of
 * these is a finding, though nothing is lost: damage to the other copy would lose it.  A copy that
 * a crash left half written is not a finding.
 */
#pragma once

#include "common/backing/backing.h"

/* Blocks [first, end). */
typedef struct {
	guint64 first, end;
} CheckRange;

/* What is lost to a snapshot. */
typedef struct {
	char *snapshot; /* its name */
	GArray *lost;	/* of CheckRange */
} CheckLoss;

typedef struct {
	guint64 errors;	     /* number of findings */
	guint64 copies;	     /* findings that are one damaged copy of two: nothing is lost */
	GPtrArray *messages; /* of char *: the findings as lines (findings.h) */
	GArray *lost;	     /* of CheckRange: blocks that are lost to the volume */
	GPtrArray *losses;   /* of CheckLoss: what is lost to snapshots, shared blocks included */
	guint snapshots;     /* and bookmarks, those that are being deleted included */
	guint64 nodes;	     /* nodes read and verified */
	guint64 blocks;	     /* blocks read and verified, payload in the journal included */
	guint64 dead_blocks; /* discarded blocks whose slots are not yet free */
	guint64 records;     /* writes and zeros that the next open will replay */
	guint64 free_slots, used_slots, metadata_slots;
	guint64 generation; /* of the checkpoint */
	gboolean clean;	    /* the volume was closed: nothing to replay */
	char *claimed_by;   /* who has it open on another machine, or has died with it, such as
			     * "gw1 (process 123)": there the findings may be what it was writing;
			     * or NULL */
} CheckResult;

#define CHECK_ALL_SNAPSHOTS "*"
#define CHECK_RANGES 100000u /* of the volume and of all snapshots together */

/* Called after every 4096 slots with the fraction of the check that is done, about 0 to 1.  May be
 * NULL. */
typedef void (*CheckProgress)(double fraction, gpointer data);

/* Locks the backing as a reader and checks the volume.  Returns the findings, or NULL with *error
 * set if the volume could not be checked: it is open elsewhere, is no volume, cannot be read, or
 * has features that only a later version may write. The backing stays the caller's. */
CheckResult *check_run(Backing *backing, CheckProgress progress, gpointer data, GError **error);
void check_result_free(CheckResult *result);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CheckResult, check_result_free)
