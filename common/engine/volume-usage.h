/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What deleting snapshots frees, exactly: data and metadata that they have and nothing else has
 * (the pages of the snapshot table, 8 KiB for 16 snapshots, left out).
 *
 * To count is to go through the trees of those snapshots beside those of their descendants, as the
 * deletion itself does (tree-compare.h): two nodes read for each that they have alone.  That may
 * take minutes, so it is done in pieces.  What was counted is kept: the next call, with the same
 * question or another, goes on from there, and counts only what depends on a snapshot that was made
 * or deleted meanwhile, or on the volume, if that was written.
 *
 * The number for snapshots below which another snapshot stays does not depend on the volume.  The
 * number for the others grows while the volume is overwritten, one request after the other, and
 * never falls; then it is of an instant between the beginning of the count and its end, up to one
 * request (`moving`).
 *
 * Threading: any.  Calls for one volume take turns.  Reads in the checkpoint thread, for 20 ms at a
 * time at most, and one read.
 *
 * Memory: 100 KiB, and 150 bytes for each snapshot, from the first call on.
 */
#pragma once

#include "common/engine/volume.h"

typedef struct {
	guint64 generation; /* of a snapshot; of several together 0 */
	guint64 bytes;	    /* that deleting frees; so far, unless done */
	guint waiting; /* that many are branch points, and free nothing until one branch is gone */
	gboolean moving;  /* the volume was written while this was counted */
	gboolean damaged; /* what is below nodes that are lost is not counted, nor ever freed */
} VolumeUsageCount;

typedef struct {
	gboolean done;
	double fraction; /* how much of the way is done, estimated: 0 to 1 */
	GArray *counts;	 /* of VolumeUsageCount */
} VolumeUsage;

typedef struct {
	const guint64 *generations; /* of snapshots that are deleted together ... */
	guint n;		    /* ... 0: each of all snapshots alone */
	gboolean begin; /* the first call: what was counted before the volume was written is void */
	guint64 rate;	/* bytes a second; 0: no limit */
	guint milliseconds; /* that the call may take */
} VolumeUsageQuestion;

/* Goes on counting.  NOT_FOUND: one of the snapshots is none that could be deleted; IO, or no
 * memory.  The caller must call volume_usage_clear(). */
gboolean volume_usage(Volume *volume, const VolumeUsageQuestion *question, VolumeUsage *ret_usage,
		      GError **error);
void volume_usage_clear(VolumeUsage *usage);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(VolumeUsage, volume_usage_clear)

/* Frees what is kept of an open volume. */
typedef struct UsageState UsageState;
void usage_state_free(UsageState *state); /* NULL is allowed */
