/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scrubbing: reading all of a volume, while it is served, to find what rots before somebody needs
 * it.  Verifies superblocks, durable-marks and bitmaps; then, after a checkpoint, so that
 * everything is in its place, every copy of the map's nodes, and every mapped block.  A damaged
 * copy is written anew from a whole one, or from memory; blocks that are lost stay errors and are
 * listed.  The result of one that went to the end is kept in the volume (VolumeInfo), and made
 * durable by a checkpoint.
 *
 * One thread of its own, which reads no more than `rate` bytes in a second and takes no lock over
 * I/O that requests take.  What the kernel has in memory of the backing is verified there, not on
 * the disk.
 *
 * Memory: 1 MiB, and SCRUB_RANGES.
 */
#pragma once

#include "common/engine/volume.h"

#define SCRUB_RANGES 1000u /* that are listed; all are counted */
#define SCRUB_RATE                                                                                 \
	((guint64)64 << 20) /* bytes a second, where a volume is served and none is said */

typedef struct {
	guint64 first, end; /* blocks [first, end) */
} ScrubRange;

typedef struct {
	gboolean running;
	gboolean complete; /* it went to the end */
	guint64 rate;	   /* bytes a second; 0: no limit */
	gint64 begun;	   /* seconds since 1970 */
	gint64 ended;	   /* the same; 0 while it is running */
	double fraction;   /* how far it is: 0..1, about */
	guint64 blocks;	   /* verified, lost ones included */
	guint64 copies;	   /* of nodes, bitmaps, superblocks, durable-marks: verified */
	guint64 errors;	   /* blocks, nodes, bitmaps that are lost */
	guint64 repaired;  /* copies written anew since it began, by whoever read them first */
	int problem;	   /* negative errno that ended it, or 0 */
} ScrubStatus;

typedef struct Scrub Scrub;

typedef enum {
	SCRUB_OPENED = 1 << 0, /* the volume was opened for it: what that has mended counts, too */
} ScrubFlags;

/* Begins; `volume` outlives it.  Ends by itself; there is one at a time for a volume (the caller
 * sees to it).  Errors: no memory, no thread. */
Scrub *scrub_start(Volume *volume, ScrubFlags flags, guint64 rate, GError **error);

/* Asks it to end soon; returns at once. */
void scrub_stop(Scrub *scrub);

/* Stops it, waits for its end (a request's I/O at most), frees it.  NULL is allowed. */
void scrub_free(Scrub *scrub);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scrub, scrub_free)

void scrub_get_status(Scrub *scrub, ScrubStatus *ret_status);

/* Waits for its end, for so many milliseconds at most.  Whether it has ended. */
gboolean scrub_wait(Scrub *scrub, guint milliseconds);

/* The ranges of blocks that are lost, as far as it is: ScrubRange.  Free with g_array_unref(). */
GArray *scrub_get_lost(Scrub *scrub);
