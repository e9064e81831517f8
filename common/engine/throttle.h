/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a change waits for its turn when changes come faster than checkpoints make room.
 * Arithmetic alone: the caller has the clock and the lock.
 *
 * Pressure p is the part of the room that is in use, 0 to 100 (map_pressure()).  A change has a
 * cost, the part of the room that it takes (map_cost()).  What is promised, of a change of `bytes`
 * bytes, from its start on:
 *
 *     p = 0           it does not wait.
 *     0 < p < 100     it waits at least `least` and at most `most`:
 *
 *                         least = 30 ms * (p / 100)^4
 *                         most  = 30 ms * max(1, bytes / THROTTLE_BYTES)
 *
 *     p = 100         it waits until there is room.  The caller bounds that wait.
 *
 * Between `least` and `most`, changes stand in line, and the room that is left is given out evenly
 * over the time that the running checkpoint is expected to take:
 *
 *     pace = (100 - p) / max(expected - elapsed, elapsed / 4)
 *     wait = (cost of the line up to this change) / pace - 1 ms
 *
 * so that room is left until the checkpoint ends, and nobody has to stop.  `expected` comes from
 * earlier checkpoints and may be wrong.  `least` therefore slows every change down near the limit.
 * `most` bounds a wait that the line alone would make longer: it is better that a few changes meet
 * the limit than that all of them crawl.
 *
 * Times are of one monotonic clock, in microseconds.
 */
#pragma once

#include <glib.h>

#define THROTTLE_CROWDED 100u			     /* pressure at which no change goes on */
#define THROTTLE_BYTES ((guint64)64 << 10)	     /* up to which `most` is the same */
#define THROTTLE_LOOK (10 * G_TIME_SPAN_MILLISECOND) /* the longest wait between two looks */

typedef struct {
	gint64 begun;	  /* when the running checkpoint began; 0: none runs */
	gint64 expected;  /* how long a checkpoint takes, estimated */
	double line;	  /* cost of all changes that ever stood in line */
	double served;	  /* cost of those that had their turn by `served_at` */
	gint64 served_at; /* a time */
} Throttle;

/* A change's place in line. */
typedef struct {
	double place; /* the line's cost up to and with this change */
	gint64 start, most;
} ThrottleTurn;

void throttle_init(Throttle *throttle);

/* A checkpoint begins; it has ended, and is counted in `expected` if it was `good`. */
void throttle_begin(Throttle *throttle, gint64 now);
void throttle_end(Throttle *throttle, gint64 now, gboolean good);

/* Puts a change at the end of the line. */
ThrottleTurn throttle_line_up(Throttle *throttle, guint pressure, double cost, guint64 bytes,
			      gint64 now);

/* How long the change waits before it asks again, THROTTLE_LOOK at most; 0: it is its turn. */
gint64 throttle_wait(Throttle *throttle, const ThrottleTurn *turn, guint pressure, gint64 now);

/* The bounds of a wait, as above. */
gint64 throttle_least(guint pressure);
gint64 throttle_most(guint64 bytes);
