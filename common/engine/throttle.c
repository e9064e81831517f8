/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/throttle.h"

#define SLOWEST (30 * G_TIME_SPAN_MILLISECOND)
#define AHEAD G_TIME_SPAN_MILLISECOND		/* how long before its turn a change may go on */
#define EXPECTED_FIRST (G_TIME_SPAN_SECOND / 2) /* `expected` until a checkpoint has ended */

void throttle_init(Throttle *throttle)
{
	*throttle = (Throttle){.expected = EXPECTED_FIRST};
}

void throttle_begin(Throttle *throttle, gint64 now)
{
	throttle->begun = now;
}

void throttle_end(Throttle *throttle, gint64 now, gboolean good)
{
	if (good)
		throttle->expected = (throttle->expected + now - throttle->begun) / 2;
	throttle->begun = 0;
}

gint64 throttle_least(guint pressure)
{
	double part = (double)pressure / THROTTLE_CROWDED;

	return (gint64)(part * part * part * part * SLOWEST);
}

gint64 throttle_most(guint64 bytes)
{
	return SLOWEST * (gint64)MAX(bytes / THROTTLE_BYTES, 1);
}

/* The cost that may go on in each microsecond. */
static double pace_now(const Throttle *throttle, guint pressure, gint64 now)
{
	gint64 elapsed = throttle->begun ? now - throttle->begun : 0;
	gint64 left = MAX(throttle->expected - elapsed, elapsed / 4);
	guint room = THROTTLE_CROWDED - MIN(pressure, THROTTLE_CROWDED);

	return (double)room / (double)MAX(left, 1);
}

static void line_move(Throttle *throttle, double pace, gint64 now)
{
	double served = throttle->served + (double)(now - throttle->served_at) * pace;

	throttle->served = MIN(served, throttle->line);
	throttle->served_at = now;
}

ThrottleTurn throttle_line_up(Throttle *throttle, guint pressure, double cost, guint64 bytes,
			      gint64 now)
{
	line_move(throttle, pace_now(throttle, pressure, now), now);
	throttle->line += cost;
	return (ThrottleTurn){.place = throttle->line, .start = now, .most = throttle_most(bytes)};
}

gint64 throttle_wait(Throttle *throttle, const ThrottleTurn *turn, guint pressure, gint64 now)
{
	double pace = pace_now(throttle, pressure, now), wait;
	double least = (double)throttle_least(pressure), most = (double)turn->most;
	gint64 until;

	line_move(throttle, pace, now);
	if (pressure >= THROTTLE_CROWDED)
		return THROTTLE_LOOK;
	wait = (double)(now - turn->start) + (turn->place - throttle->served) / pace - AHEAD;
	wait = CLAMP(wait, least, most);
	until = turn->start + (gint64)wait;
	if (pressure && until > now)
		return MIN(until - now, THROTTLE_LOOK);
	throttle->served = MAX(throttle->served, turn->place - AHEAD * pace);
	return 0;
}
