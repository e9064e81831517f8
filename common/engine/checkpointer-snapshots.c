/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots that somebody asks for, one at a time, and the walks that free what snapshots gave up.
 */
#include "common/engine/checkpointer-private.h"
#include "common/engine/checkpoint.h"
#include "common/engine/waits.h"

#include <errno.h>

#define WALK_STEPS 256 /* in one go */
#define WALK_LOOKS 16  /* steps between two looks whether somebody waits */

/* ---- snapshots that are asked for */

gboolean wish_begin(Checkpointer *cp, Snapshot *ret_wish)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	if (cp->wish_state != WISH_ASKED)
		return FALSE;
	cp->wish_state = WISH_TAKEN;
	*ret_wish = cp->wish;
	return TRUE;
}

void wish_end(Checkpointer *cp, int result, guint64 generation)
{
	gboolean given_up;

	lock_take(&cp->lock);
	given_up = cp->wish_state == WISH_GIVEN_UP;
	cp->wish_result = result;
	cp->wish_generation = generation;
	cp->wish_state = given_up ? WISH_NONE : WISH_ANSWERED;
	g_cond_broadcast(&cp->done);
	lock_drop(&cp->lock);
	if (given_up && !result)
		snapshots_give_up_newest(cp->engine->snapshots);
}

/* Waits for a change of cp->wish_state from `state` on.  FALSE: it is `until`. */
static gboolean wish_wait_unlocking(Checkpointer *cp, WishState state, gint64 until)
{
	while (cp->wish_state == state)
		if (!lock_wait_until(&cp->done, &cp->lock, until))
			return FALSE;
	return TRUE;
}

static int wish_answer_locked(Checkpointer *cp, guint64 *ret_generation)
{
	int r = cp->wish_result;

	if (cp->wish_state != WISH_ANSWERED) { /* in time for neither answer */
		cp->wish_state = cp->wish_state == WISH_TAKEN ? WISH_GIVEN_UP : WISH_NONE;
		r = -ETIMEDOUT;
	} else {
		cp->wish_state = WISH_NONE;
	}
	if (!r)
		*ret_generation = cp->wish_generation;
	g_cond_broadcast(&cp->done);
	return r;
}

int checkpointer_snapshot(Checkpointer *cp, const Snapshot *wish, guint64 *ret_generation)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);
	gint64 start = g_get_monotonic_time();
	gint64 until = start + WAIT_SECONDS * G_TIME_SPAN_SECOND;
	int r = 0;

	while (cp->wish_state != WISH_NONE && !r) /* another thread's */
		if (!lock_wait_until(&cp->done, &cp->lock, until))
			r = -ETIMEDOUT;
	if (r)
		return r;
	cp->wish = *wish;
	cp->wish_state = WISH_ASKED;
	cp->asked++;
	g_cond_signal(&cp->wake);
	if (wish_wait_unlocking(cp, WISH_ASKED, until))
		wish_wait_unlocking(cp, WISH_TAKEN, until);
	waits_add(start);
	return wish_answer_locked(cp, ret_generation);
}

/* Whether the snapshot is durable; or that it never will be. */
static int snapshot_status(Checkpointer *cp, guint64 generation)
{
	Engine *engine = cp->engine;
	Lock *lock = slots_lists_lock(engine->slots);
	const Snapshot *snapshot;
	gboolean given_up;

	if (engine_has_failed(engine))
		return -ESHUTDOWN;
	lock_take(lock);
	snapshot = snapshots_find_locked(engine->snapshots, generation);
	given_up = snapshot && snapshot->state == FORMAT_SNAPSHOT_DELETING;
	lock_drop(lock);
	if (!snapshot)
		return -ENOENT;
	if (given_up)
		return -ENOSPC;
	return __atomic_load_n(&engine->durable_generation, __ATOMIC_RELAXED) >= generation
		       ? 0
		       : -EAGAIN;
}

int checkpointer_await(Checkpointer *cp, guint64 generation, guint seconds)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);
	gint64 until = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;
	int r;

	while ((r = snapshot_status(cp, generation)) == -EAGAIN)
		if (!lock_wait_until(&cp->done, &cp->lock, until))
			return -ETIMEDOUT;
	return r;
}

/* ---- the walks */

gboolean walk_some(Checkpointer *cp, gboolean slowly)
{
	guint64 before = snapshot_walk_bytes(cp->walk);

	/* A frozen snapshot's root has no checksum yet. */
	if (cp->engine->frozen)
		return FALSE;
	for (guint i = 0; i < WALK_STEPS && !checkpoint_is_due(cp); i++) {
		int r;

		if (map_pressure(cp->engine->map))
			return FALSE;
		if (i % WALK_LOOKS == WALK_LOOKS - 1 && must_hurry(cp))
			return TRUE;
		r = snapshot_walk_step(cp->walk);
		if (r < 0 && r != -ENOSPC && r != -ENOMEM)
			logging_write_limited(&cp->walk_failures, LOGGING_WARNING,
					      "volume %s: free what snapshots gave up: %s",
					      cp->engine->name, g_strerror(-r));
		if (r <= 0)
			return FALSE;
	}
	if (slowly)
		pace_work(cp, (snapshot_walk_bytes(cp->walk) - before) / 2);
	return TRUE;
}
