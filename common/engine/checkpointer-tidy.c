/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/bounds.h"
#include "common/engine/checkpointer-private.h"

#define LOAN_MAX (512 * MIB) /* of free space in the file, for large writes ... */
#define LOAN_PART 8	     /* ... an eighth of what the file system below has left, at most */
#define QUIET_REQUESTS 8     /* in a tick; more keep the volume from being tidied */

void lend_space(Checkpointer *cp)
{
	guint64 available = backing_available(cp->engine->backing);

	slots_lend(cp->engine->slots, min_u64(LOAN_MAX, available / LOAN_PART));
}

gboolean must_hurry(gpointer data)
{
	Checkpointer *cp = data;
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;

	if (g_atomic_int_get(&cp->kicked))
		return TRUE;
	locker = lock_hold(&cp->lock);
	return cp->stop || cp->asked != cp->begun || cp->settle_asked != cp->settle_done ||
	       cp->awaiting;
}

static guint64 count_requests(Checkpointer *cp)
{
	MapInfo info;

	map_get_info(cp->engine->map, &info);
	return info.hits + info.misses + (guint)g_atomic_int_get(&cp->changes);
}

/* Whether the volume has been quiet for IDLE. */
static gboolean is_quiet(Checkpointer *cp)
{
	Quiet *quiet = &cp->quiet;
	gint64 now = g_get_monotonic_time(), elapsed = now - quiet->begun;
	guint64 requests = count_requests(cp) - quiet->own;
	guint64 most = QUIET_REQUESTS * (guint64)MAX(elapsed / TICK, 1);

	if (!quiet->begun || requests - quiet->requests > most)
		quiet->since = now;
	if (!quiet->begun || elapsed >= TICK) {
		quiet->begun = now;
		quiet->requests = requests;
	}
	return now - quiet->since >= IDLE;
}

gboolean pace_work(Checkpointer *cp, guint64 bytes)
{
	gint64 until = g_get_monotonic_time() + (gint64)(bytes * G_USEC_PER_SEC / TIDY_RATE);
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	while (!cp->stop && cp->asked == cp->begun && cp->settle_asked == cp->settle_done &&
	       !cp->call && !cp->awaiting && !g_atomic_int_get(&cp->kicked))
		if (!lock_wait_until(&cp->wake, &cp->lock, until))
			return TRUE;
	return FALSE;
}

/* Makes one step, and leaves what it looks up out of the requests. */
static guint64 tidy_some(Checkpointer *cp)
{
	guint64 before = count_requests(cp), cost = tidy_step(cp->tidy);

	cp->quiet.own += count_requests(cp) - before;
	return cost;
}

gboolean tidy_for_a_tick(Checkpointer *cp)
{
	gint64 end = g_get_monotonic_time() + TICK;

	if (!tidy_wants(cp->tidy)) {
		cp->quiet.begun = 0;
		return FALSE;
	}
	while (is_quiet(cp)) {
		guint64 cost = tidy_some(cp);

		if (!cost)
			break;
		if (!pace_work(cp, cost) || g_get_monotonic_time() >= end) {
			g_atomic_int_set(&cp->kicked, TRUE); /* go on without a sleep */
			return TRUE;
		}
	}
	tidy_pause(cp->tidy);
	return FALSE;
}
