/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scrub reads a whole volume while the volume is served, to find damage before a request does.
 * It verifies superblocks, durable-marks and bitmaps; makes a checkpoint, so that all changes are
 * in the map on disk; and verifies every copy of the map's nodes and every mapped block.  A damaged
 * copy is rewritten from a whole one or from memory.  Lost blocks stay unreadable and are listed.
 * The result of a complete scrub is stored in the volume (VolumeInfo) by a checkpoint.
 *
 * A scrub has a thread of its own, which reads at most `rate` bytes a second and holds no lock of
 * the requests during its I/O.  Blocks that are in the kernel's page cache are verified there, not
 * on the disk.
 *
 * Then it verifies what snapshots have and the volume has not.  Lost blocks of these are counted as
 * errors, and not listed: `storageos check` lists them.
 *
 * Of a linked clone it also verifies the blocks that the clone and its snapshots read from the
 * base.  Those that the clone has lost in this way are listed; those that only snapshots have lost
 * are counted.  What the base keeps twice is left to a scrub of the base's own volume.
 *
 * Memory: 3 MiB, and SCRUB_RANGES.
 */
#pragma once

#include "common/engine/volume.h"

#define SCRUB_RANGES 1000u /* ranges that are listed; all errors are counted */
/* Bytes a second, for a scrub of a served volume for which no rate is given. */
#define SCRUB_RATE ((guint64)64 << 20)

typedef struct {
	guint64 first, end; /* blocks [first, end) */
} ScrubRange;

typedef struct {
	gboolean running;
	gboolean complete;   /* it has verified the whole volume */
	guint64 rate;	     /* bytes a second; 0: no limit */
	gint64 begun;	     /* Unix time, in seconds */
	gint64 ended;	     /* the same; 0 while it is running */
	double fraction;     /* how much is done, estimated: 0 to 1 */
	guint64 blocks;	     /* blocks read, lost blocks included */
	guint64 base_blocks; /* of these, read from the base of a linked clone */
	guint64 copies;	     /* copies read: of nodes, bitmap pages, superblocks and marks */
	guint64 errors;	     /* lost blocks, nodes and bitmap pages */
	guint64 repaired;    /* copies rewritten since it began, by the scrub or by requests */
	int problem;	     /* the negative errno that ended it, or 0 */
} ScrubStatus;

typedef struct Scrub Scrub;

typedef enum {
	/* The volume was opened for this scrub: copies that the open rewrote count as repaired. */
	SCRUB_OPENED = 1 << 0,
} ScrubFlags;

/* Starts a scrub, which ends by itself.  `volume` must outlive it.  The caller must not start a
 * second scrub of the volume meanwhile.  Errors: no memory, no thread. */
Scrub *scrub_start(Volume *volume, ScrubFlags flags, guint64 rate, GError **error);

/* Asks the scrub to end soon; returns at once. */
void scrub_stop(Scrub *scrub);

/* Stops the scrub, waits until it has ended (for one read at most) and frees it.  NULL is allowed.
 */
void scrub_free(Scrub *scrub);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scrub, scrub_free)

void scrub_get_status(Scrub *scrub, ScrubStatus *ret_status);

/* Waits until the scrub has ended, `milliseconds` at most.  Returns whether it has. */
gboolean scrub_wait(Scrub *scrub, guint milliseconds);

/* The lost blocks found so far, as an array of ScrubRange.  Free it with g_array_unref(). */
GArray *scrub_get_lost(Scrub *scrub);
