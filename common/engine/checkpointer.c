/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/checkpointer-private.h"

#include <errno.h>

#include "common/base/thread.h"
#include "common/engine/checkpoint.h"
#include "common/engine/waits.h"

#define RECLAIM_STEPS 256	 /* calls of map_reclaim() in one go */
#define RESERVE_STEPS 8		 /* calls of slots_tend_kept() in one go */
#define RECLAIM_LOOKS 16	 /* of these between two looks whether somebody waits */
#define KEEP_IDLE (16 * MIB)	 /* bytes of warm space that trimming leaves an idle volume */
#define KEEP_BUSY (1024 * MIB)	 /* the same while the volume is in use */
#define TRIM_AT_ONCE (256 * MIB) /* bytes that one call of slots_trim() may trim */
#define SYNC_WARM (16 * MIB)	 /* warm bytes kept ready for a load that flushes often */
#define SYNC_RETIRED (16 * MIB)	 /* retired bytes for which such a load gets a checkpoint */

static gboolean reclaim_some(Checkpointer *cp);

/* The freeze has made room for changes: wakes those that checkpointer_throttle() holds back. */
static void note_freeze(Checkpointer *cp)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	throttle_begin(&cp->throttle, g_get_monotonic_time());
	g_cond_broadcast(&cp->done);
}

/* Finishes the checkpoint that is frozen.  While it is made durable, other threads may take a
 * snapshot if `instants`, which is frozen then. */
static int finish_checkpoint(Checkpointer *cp, gboolean instants)
{
	int r;

	note_freeze(cp);
	r = checkpoint_write(cp->engine, FALSE);
	if (r)
		return r;
	if (instants)
		instants_open(cp);
	r = checkpoint_switch(cp->engine);
	if (instants)
		instants_close(cp);
	if (!r)
		checkpoint_release(cp->engine);
	return r;
}

static void note_end_locked(Checkpointer *cp, int r)
{
	throttle_end(&cp->throttle, g_get_monotonic_time(), r == 0);
	cp->result = r;
	cp->attempts++;
	cp->made += r == 0;
	g_cond_broadcast(&cp->done);
}

/* Finishes a snapshot that another thread has taken, or a checkpoint that was interrupted.  Serves
 * nobody who asked for a checkpoint.  Returns whether nothing is frozen any more. */
static gboolean finish_frozen(Checkpointer *cp, gboolean instants)
{
	int r;

	if (!cp->engine->frozen || engine_has_failed(cp->engine))
		return !cp->engine->frozen;
	r = finish_checkpoint(cp, instants);
	lock_take(&cp->lock);
	note_end_locked(cp, r);
	lock_drop(&cp->lock);
	return !cp->engine->frozen;
}

/* Makes one checkpoint, which serves all who asked for one before it begins. */
static void make_checkpoint(Checkpointer *cp)
{
	int r, resized = 0;
	guint64 size, ticket;

	lock_take(&cp->lock);
	ticket = cp->begun = cp->asked;
	size = cp->resize_to;
	cp->resize_to = 0;
	lock_drop(&cp->lock);
	if (g_atomic_int_compare_and_exchange(&cp->full, TRUE, FALSE) && !cp->engine->frozen) {
		reclaim_some(cp);
		walk_some(cp, FALSE);
	}
	r = checkpoint_begin(cp->engine, size, &resized);
	if (!r)
		r = finish_checkpoint(cp, TRUE);
	lock_take(&cp->lock);
	cp->finished = ticket;
	if (size)
		cp->resize_result = resized;
	note_end_locked(cp, r);
	lock_drop(&cp->lock);
	/* No further snapshot meanwhile: whoever waits for a checkpoint has his turn. */
	if (!r)
		finish_frozen(cp, FALSE);
}

/* Frees blocks and nodes below dead pointers: RECLAIM_STEPS steps, or fewer if a checkpoint becomes
 * due.  Returns whether more may be left. */
static gboolean reclaim_some(Checkpointer *cp)
{
	for (guint i = 0; i < RECLAIM_STEPS; i++) {
		int r = map_reclaim(cp->engine->map);

		if (r < 0 && r != -ENOSPC && r != -ENOMEM)
			logging_write_limited(&cp->reclaim_failures, LOGGING_WARNING,
					      "volume %s: free discarded blocks: %s",
					      cp->engine->name, g_strerror(-r));
		if (r <= 0)
			return FALSE;
		if (checkpoint_is_due(cp) ||
		    (i % RECLAIM_LOOKS == RECLAIM_LOOKS - 1 && instants_awaited(cp)))
			return TRUE;
	}
	return TRUE;
}

static gboolean checkpoint_is_asked(Checkpointer *cp)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	return cp->asked != cp->begun;
}

static gboolean is_stopping(Checkpointer *cp)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	return cp->stop;
}

/* Runs the call that waits in checkpointer_call(), if there is one. */
static void answer_call(Checkpointer *cp)
{
	CheckpointerCall call;

	lock_take(&cp->lock);
	call = cp->call;
	lock_drop(&cp->lock);
	if (!call)
		return;
	call(cp->engine, cp->call_data);
	lock_take(&cp->lock);
	cp->call = NULL;
	cp->calls_done++;
	g_cond_broadcast(&cp->done);
	lock_drop(&cp->lock);
}

/* Lets a thread in that waits for its snapshot, and finishes that. */
static void let_in(Checkpointer *cp)
{
	instants_open(cp);
	instants_close(cp);
	if (!finish_frozen(cp, TRUE))
		finish_frozen(cp, FALSE);
}

/* Called between steps of settling, which may take minutes: does what somebody waits for, and makes
 * the checkpoint that is due.  Returns whether settling goes on. */
static gboolean settling_goes_on(Checkpointer *cp)
{
	let_in(cp);
	answer_call(cp);
	if (checkpoint_is_due(cp) || checkpoint_is_asked(cp))
		make_checkpoint(cp);
	return !is_stopping(cp) && !engine_has_failed(cp->engine) && !cp->engine->frozen;
}

/* Gives some space back to the file system.  FALSE: there is no more to give. */
static gboolean trim_some(Checkpointer *cp, guint64 keep)
{
	guint64 bytes;

	instants_open(cp);
	bytes = slots_trim(cp->engine->slots, keep, TRIM_AT_ONCE);
	instants_close(cp);
	return bytes > 0;
}

/* Frees all discarded blocks, and deleted snapshots if that is asked for, and gives all free space
 * back to the file system. */
static void settle_space(Checkpointer *cp)
{
	gboolean walks;
	guint64 ticket;

	lock_take(&cp->lock);
	ticket = cp->settle_asked;
	walks = cp->settle_walks > cp->settle_done;
	lock_drop(&cp->lock);
	let_in(cp);
	while ((reclaim_some(cp) || (walks && walk_some(cp, FALSE))) && settling_goes_on(cp))
		;
	make_checkpoint(cp);
	make_checkpoint(cp); /* frees the nodes that the reclaiming replaced */
	while (settling_goes_on(cp) && trim_some(cp, 0))
		;
	lock_take(&cp->lock);
	cp->settle_done = ticket;
	g_cond_broadcast(&cp->done);
	lock_drop(&cp->lock);
}

/* For a load that flushes after every few writes, keeps SYNC_WARM bytes of warm space (slots.h)
 * ready: a flush after a write to space that was never written also waits for the file system's
 * metadata.  A checkpoint frees retired slots, which are warm; if there are too few of them, zeros
 * are written to fresh space. */
static void keep_warm(Checkpointer *cp, guint changes, guint flushes)
{
	MapInfo info;

	if (flushes < 8 || changes / flushes >= 64 ||
	    slots_warm_bytes(cp->engine->slots) >= SYNC_WARM)
		return;
	map_get_info(cp->engine->map, &info);
	if (info.retired_bytes >= SYNC_RETIRED)
		make_checkpoint(cp);
	while (slots_warm_bytes(cp->engine->slots) < SYNC_WARM && !instants_awaited(cp))
		if (slots_warm_up(cp->engine->slots))
			break;
}

/* Has space allocated that is to be kept (slots.h), and is not there: after an open. */
static void back_reserve(Checkpointer *cp)
{
	int r = 1;

	instants_open(cp);
	for (guint i = 0; i < RESERVE_STEPS && r == 1; i++)
		r = slots_tend_kept(cp->engine->slots);
	instants_close(cp);
	if (r == 1)
		g_atomic_int_set(&cp->kicked, TRUE);
	else if (r)
		logging_write_limited(&cp->reserve_failures, LOGGING_WARNING,
				      "volume %s: its reserve cannot be allocated: %s: a full disk "
				      "can stop its writes",
				      cp->engine->name, g_strerror(-r));
}

/* Sleeps until there is something to do, TICK at most.  FALSE: the thread must end. */
static gboolean wait_for_work(Checkpointer *cp, gboolean *ret_settle)
{
	gint64 until = g_get_monotonic_time() + TICK;
	gboolean go_on;

	lock_take(&cp->lock);
	cp->open = TRUE;
	g_cond_broadcast(&cp->done);
	while (!cp->stop && cp->asked == cp->begun && cp->settle_asked == cp->settle_done &&
	       !cp->call && !g_atomic_int_get(&cp->kicked))
		if (!lock_wait_until(&cp->wake, &cp->lock, until))
			break;
	instants_close_unlocking(cp);
	g_atomic_int_set(&cp->kicked, FALSE);
	*ret_settle = cp->settle_asked != cp->settle_done;
	go_on = !cp->stop;
	lock_drop(&cp->lock);
	return go_on;
}

/* Frees some discarded blocks, and gives some free space back to the file system. */
static void give_back_space(Checkpointer *cp, gboolean idle)
{
	if (g_atomic_int_get(&cp->held))
		return;
	if (reclaim_some(cp))
		g_atomic_int_set(&cp->kicked, TRUE); /* go on with the rest without a sleep */
	cp->walking = walk_some(cp, !idle);
	if (cp->walking)
		g_atomic_int_set(&cp->kicked, TRUE);
	if (!checkpoint_is_due(cp))
		trim_some(cp, idle ? KEEP_IDLE : KEEP_BUSY);
}

/* ---- tidying */

static void tidy_from_start(Engine *engine, gpointer data)
{
	Checkpointer *cp = data;

	(void)engine;
	tidy_begin(cp->tidy);
}

static void tidy_until_checkpoint(Engine *engine, gpointer data)
{
	Checkpointer *cp = data;

	while (!engine->frozen && tidy_step(cp->tidy))
		;
	tidy_pause(cp->tidy);
}

void checkpointer_tidy(Checkpointer *cp)
{
	checkpointer_call(cp, tidy_from_start, cp);
	while (tidy_is_under_way(cp->tidy) && !checkpointer_run(cp))
		checkpointer_call(cp, tidy_until_checkpoint, cp);
}

void checkpointer_note_read(Checkpointer *cp, guint64 first, guint n, const MapEntry *entries)
{
	tidy_note_read(cp->tidy, first, n, entries);
}

void checkpointer_get_tidy_info(Checkpointer *cp, TidyInfo *ret_info)
{
	tidy_get_info(cp->tidy, ret_info);
}

/* ---- the thread */

/* Whether a checkpoint would write something. */
static gboolean is_changed(Engine *engine)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;

	if (map_is_changed(engine->map))
		return TRUE;
	locker = lock_hold(slots_lists_lock(engine->slots));
	return snapshots_changed_locked(engine->snapshots);
}

static gpointer checkpointer_main(gpointer data)
{
	Checkpointer *cp = data;
	gint64 changed_at = g_get_monotonic_time();
	guint seen = 0, seen_flushes = 0;
	gboolean wants_settle, tidying = FALSE;
	thread_give_way();

	lend_space(cp);
	while (wait_for_work(cp, &wants_settle)) {
		guint changes = (guint)g_atomic_int_get(&cp->changes);
		guint flushes = (guint)g_atomic_int_get(&cp->flushes);
		gboolean idle;

		finish_frozen(cp, TRUE);
		answer_call(cp);
		journal_settle_marks(cp->engine->journal);
		if (changes != seen) {
			changed_at = g_get_monotonic_time();
			lend_space(cp);
		}
		idle = g_get_monotonic_time() - changed_at >= IDLE;
		if (checkpoint_is_asked(cp) || checkpoint_is_due(cp) ||
		    (idle && !tidying && !cp->walking && !cp->engine->frozen &&
		     is_changed(cp->engine)))
			make_checkpoint(cp);
		if (wants_settle)
			settle_space(cp);
		if (!engine_has_failed(cp->engine) && !cp->engine->frozen) {
			back_reserve(cp);
			keep_warm(cp, changes - seen, flushes - seen_flushes);
			give_back_space(cp, idle && !tidying);
			tidying = !cp->engine->frozen && tidy_for_a_tick(cp);
		} else {
			tidying = FALSE;
		}
		seen = changes;
		seen_flushes = flushes;
	}
	return NULL;
}

Checkpointer *checkpointer_new(Engine *engine, GError **error)
{
	Checkpointer *cp = g_try_new0(Checkpointer, 1);

	if (!cp) {
		error_set_errno(error, ENOMEM, "%s: checkpointer", engine->name);
		return NULL;
	}
	cp->engine = engine;
	throttle_init(&cp->throttle);
	lock_init(&cp->lock, LOCK_CHECKPOINTER);
	g_cond_init(&cp->wake);
	g_cond_init(&cp->done);
	cp->tidy = tidy_new(engine, must_hurry, cp);
	if (!cp->tidy) {
		error_set_errno(error, ENOMEM, "%s: tidy", engine->name);
		checkpointer_free(cp);
		return NULL;
	}
	cp->walk = snapshot_walk_new(engine->snapshots, engine->map, engine->name);
	if (!cp->walk) {
		error_set_errno(error, ENOMEM, "%s: snapshot walk", engine->name);
		checkpointer_free(cp);
		return NULL;
	}
	cp->thread = thread_start("storageos-cp", checkpointer_main, cp, error);
	if (!cp->thread) {
		g_prefix_error(error, "%s: ", engine->name);
		checkpointer_free(cp);
		return NULL;
	}
	return cp;
}

void checkpointer_free(Checkpointer *cp)
{
	if (!cp)
		return;
	lock_take(&cp->lock);
	cp->stop = TRUE;
	g_cond_signal(&cp->wake);
	lock_drop(&cp->lock);
	if (cp->thread)
		g_thread_join(cp->thread);
	tidy_free(cp->tidy);
	snapshot_walk_free(cp->walk);
	lock_clear(&cp->lock);
	g_cond_clear(&cp->wake);
	g_cond_clear(&cp->done);
	g_free(cp);
}

void checkpointer_kick(Checkpointer *cp)
{
	if (!g_atomic_int_compare_and_exchange(&cp->kicked, FALSE, TRUE))
		return;
	lock_take(&cp->lock);
	g_cond_signal(&cp->wake);
	lock_drop(&cp->lock);
}

/* Asks for a checkpoint that begins after the call, and waits for its end.  Returns its result, or
 * -ETIMEDOUT at `until`: the checkpoint goes on.  The lock is held, and dropped during the wait. */
static int await_checkpoint_unlocking(Checkpointer *cp, gint64 until)
{
	guint64 ticket = ++cp->asked;
	gint64 start = g_get_monotonic_time();
	gboolean in_time = TRUE;

	g_cond_signal(&cp->wake);
	while (cp->finished < ticket && in_time)
		in_time = lock_wait_until(&cp->done, &cp->lock, until);
	waits_add(start);
	return in_time ? cp->result : -ETIMEDOUT;
}

void checkpointer_call(Checkpointer *cp, CheckpointerCall call, gpointer data)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);
	guint64 ticket;

	while (cp->call) /* another thread's call */
		lock_wait(&cp->done, &cp->lock);
	cp->call = call;
	cp->call_data = data;
	ticket = ++cp->calls;
	g_cond_signal(&cp->wake);
	while (cp->calls_done < ticket)
		lock_wait(&cp->done, &cp->lock);
}

void checkpointer_hold(Checkpointer *cp, gboolean hold)
{
	g_atomic_int_set(&cp->held, hold);
}

int checkpointer_run(Checkpointer *cp)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	return await_checkpoint_unlocking(cp, G_MAXINT64);
}

int checkpointer_make_room(Checkpointer *cp)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	g_atomic_int_set(&cp->full, TRUE);
	return await_checkpoint_unlocking(cp, g_get_monotonic_time() +
						      WAIT_SECONDS * G_TIME_SPAN_SECOND);
}

int checkpointer_resize(Checkpointer *cp, guint64 size, guint seconds)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);
	int r;

	cp->resize_to = MAX(size, cp->resize_to);
	r = await_checkpoint_unlocking(cp, g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND);
	return r ? r : cp->resize_result;
}

static ThrottleTurn line_up_locked(Checkpointer *cp, guint64 bytes, guint changes, gint64 now)
{
	Map *map = cp->engine->map;
	double cost = changes * map_cost(map, bytes / changes);

	return throttle_line_up(&cp->throttle, map_pressure(map), cost, bytes, now);
}

static gint64 time_to_turn_locked(Checkpointer *cp, const ThrottleTurn *turn)
{
	return throttle_wait(&cp->throttle, turn, map_pressure(cp->engine->map),
			     g_get_monotonic_time());
}

int checkpointer_throttle(Checkpointer *cp, guint64 bytes, guint changes)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);
	ThrottleTurn turn = line_up_locked(cp, bytes, changes, g_get_monotonic_time());
	gint64 end = turn.start + WAIT_SECONDS * G_TIME_SPAN_SECOND, wait;
	guint64 before = cp->attempts;
	int r = 0;

	while (!r && (wait = time_to_turn_locked(cp, &turn)) > 0) {
		g_atomic_int_set(&cp->kicked, TRUE);
		g_cond_signal(&cp->wake);
		lock_wait_until(&cp->done, &cp->lock, g_get_monotonic_time() + wait);
		if (engine_has_failed(cp->engine))
			r = -ESHUTDOWN;
		else if (cp->attempts != before && cp->result == -ENOSPC &&
			 map_pressure(cp->engine->map) >= THROTTLE_CROWDED)
			r = -ENOSPC;
		else if (g_get_monotonic_time() > end)
			r = -ETIMEDOUT;
	}
	waits_add(turn.start);
	return r;
}

guint64 checkpointer_settle(Checkpointer *cp, gboolean snapshots)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	g_cond_signal(&cp->wake);
	cp->settle_asked++;
	if (snapshots)
		cp->settle_walks = cp->settle_asked;
	return cp->settle_asked;
}

gboolean checkpointer_settled(Checkpointer *cp, guint64 ticket, guint seconds)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);
	gint64 until = g_get_monotonic_time() + seconds * G_TIME_SPAN_SECOND;

	while (cp->settle_done < ticket)
		if (!lock_wait_until(&cp->done, &cp->lock, until))
			return FALSE;
	return TRUE;
}

guint64 checkpointer_count(Checkpointer *cp)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&cp->lock);

	return cp->made;
}

void checkpointer_note_change(Checkpointer *cp)
{
	g_atomic_int_inc(&cp->changes);
}

void checkpointer_note_flush(Checkpointer *cp)
{
	g_atomic_int_inc(&cp->flushes);
}
