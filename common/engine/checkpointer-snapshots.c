/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots that other threads take, and the walks that free what snapshots gave up.
 */
#include "common/engine/checkpointer-private.h"
#include "common/engine/checkpoint.h"
#include "common/engine/waits.h"

#include <errno.h>

#define WALK_STEPS 256 /* in one go */
#define WALK_LOOKS 16  /* steps between two looks whether somebody waits */

/* ---- instants */

void instants_open(Checkpointer *cp)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	cp->open = TRUE;
	g_cond_broadcast(&cp->done);
}

/* Ends, because nobody waits longer than until its turn, and has it then. */
void instants_close_unlocking(Checkpointer *cp)
{
	guint64 taken = cp->taken;

	while (cp->inside || (cp->awaiting && cp->taken == taken && !cp->engine->frozen))
		lock_wait(&cp->done, &cp->lock);
	cp->open = FALSE;
}

void instants_close(Checkpointer *cp)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	instants_close_unlocking(cp);
}

gboolean instants_awaited(Checkpointer *cp)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	return cp->awaiting > 0;
}

/* Has the thread come to where it lets others in, or finish what is frozen. */
static void kick_locked(Checkpointer *cp)
{
	g_atomic_int_set(&cp->kicked, TRUE);
	g_cond_signal(&cp->wake);
}

/* Waits for this thread's turn.  0; -ETIMEDOUT; -ESHUTDOWN; -ENOSPC: a checkpoint that must be
 * finished before has met a full disk. */
static int instant_await_unlocking(Checkpointer *cp, gint64 until)
{
	guint64 before = cp->attempts;
	int r = 0;

	cp->awaiting++;
	while (!r && (!cp->open || cp->inside || cp->engine->frozen)) {
		kick_locked(cp);
		if (!lock_wait_until(&cp->done, &cp->lock, until))
			r = -ETIMEDOUT;
		else if (engine_has_failed(cp->engine))
			r = -ESHUTDOWN;
		else if (cp->attempts != before && cp->result == -ENOSPC)
			r = -ENOSPC;
	}
	cp->awaiting--;
	return r;
}

static int instant_take_unlocking(Checkpointer *cp, const Snapshot *wish, guint64 *ret_generation)
{
	int r;

	cp->inside = TRUE;
	lock_drop(&cp->lock);
	r = checkpoint_begin_snapshot(cp->engine, wish, ret_generation);
	lock_take(&cp->lock);
	cp->inside = FALSE;
	cp->taken++;
	return r;
}

int checkpointer_snapshot(Checkpointer *cp, const Snapshot *wish, guint64 *ret_generation)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);
	gint64 start = g_get_monotonic_time();
	int r = instant_await_unlocking(cp, start + WAIT_SECONDS * G_TIME_SPAN_SECOND);

	waits_add(start);
	if (!r)
		r = instant_take_unlocking(cp, wish, ret_generation);
	kick_locked(cp);
	g_cond_broadcast(&cp->done);
	return r;
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
	guint64 before = cp->attempts;
	int r;

	while ((r = snapshot_status(cp, generation)) == -EAGAIN) {
		if (cp->attempts != before && cp->result == -ENOSPC)
			return -ENOSPC;
		if (!lock_wait_until(&cp->done, &cp->lock, until))
			return -ETIMEDOUT;
	}
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
