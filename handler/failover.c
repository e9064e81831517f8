/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/failover.h"

#include <errno.h>
#include <string.h>

#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/base/thread.h"

#define LOOK_INTERVAL (1 * G_TIME_SPAN_SECOND)	/* at an owner that may be gone */
#define CHECK_INTERVAL (2 * G_TIME_SPAN_SECOND) /* at our own handle */
#define RETRY_INTERVAL (1 * G_TIME_SPAN_SECOND) /* after the storage has failed */
#define NEVER G_MAXINT64

struct Failover {
	FailoverOps ops;
	gpointer data;
	char *name;
	GThread *thread;

	GMutex lock; /* not held while `ops` are called */
	GCond wanted;
	gboolean ends;
	gboolean roused; /* the thread is to take a step at once */
	FailoverState state;
	gint64 since;
	guint under_way;     /* requests between their begin and their end */
	gint64 refuse_until; /* changes are answered 2/040B in STANDBY */
	gint64 retry_at;     /* no takeover before: the last one met an error */
	guint64 takeovers, fencings;
	BackingOwner owner; /* at the last look */

	/* The thread's own: the takeover under way; that the fencing was logged. */
	gboolean looking;
	gint64 looked; /* when at first */
	BackingOwner first;
	gboolean told;
	LoggingLimit refusals, failures;
};

const char *failover_state_name(FailoverState state)
{
	static const char *const names[] = {"standby", "takeover", "owner", "fenced"};

	return names[state];
}

static gint64 now_of(Failover *failover)
{
	return failover->ops.now ? failover->ops.now(failover->data) : g_get_monotonic_time();
}

/* ---- states */

static void rouse_locked(Failover *failover)
{
	failover->roused = TRUE;
	g_cond_signal(&failover->wanted);
}

static void enter_locked(Failover *failover, FailoverState state)
{
	failover->state = state;
	failover->since = now_of(failover);
	if (failover->ops.changed)
		failover->ops.changed(failover->data, state);
}

static void become_fenced_locked(Failover *failover)
{
	if (failover->state == FAILOVER_FENCED)
		return;
	failover->fencings += failover->state == FAILOVER_OWNER;
	enter_locked(failover, FAILOVER_FENCED);
	failover->refuse_until = failover->since + FAILOVER_PAUSE;
	rouse_locked(failover);
}

/* ---- requests */

static int admit_change_locked(Failover *failover)
{
	gint64 now;

	switch (failover->state) {
	case FAILOVER_OWNER:
		return 0;
	case FAILOVER_TAKEOVER:
		return -EAGAIN;
	case FAILOVER_FENCED:
		return -ESTALE;
	case FAILOVER_STANDBY:
		break;
	}
	now = now_of(failover);
	if (now < failover->refuse_until)
		return -ESTALE;
	if (now >= failover->retry_at) {
		enter_locked(failover, FAILOVER_TAKEOVER);
		rouse_locked(failover);
	}
	return -EAGAIN;
}

int failover_begin(Failover *failover, FailoverKind kind)
{
	int r;

	g_mutex_lock(&failover->lock);
	if (kind == FAILOVER_CHANGES)
		r = admit_change_locked(failover);
	else
		r = failover->state == FAILOVER_FENCED ? -ESTALE : 0;
	failover->under_way += !r;
	g_mutex_unlock(&failover->lock);
	return r;
}

/* The handle is the one with which the request began, so its being fenced concerns the request. */
int failover_verdict(Failover *failover, int result)
{
	gboolean fenced = result == -ESHUTDOWN || result == -EROFS ||
			  (result && failover->ops.is_fenced(failover->data));

	g_mutex_lock(&failover->lock);
	if (fenced)
		become_fenced_locked(failover);
	if (failover->state == FAILOVER_FENCED)
		result = -ESTALE;
	g_mutex_unlock(&failover->lock);
	return result;
}

void failover_end(Failover *failover)
{
	g_mutex_lock(&failover->lock);
	failover->under_way--;
	if (!failover->under_way && failover->state == FAILOVER_FENCED)
		rouse_locked(failover);
	g_mutex_unlock(&failover->lock);
}

void failover_describe(Failover *failover, FailoverInfo *ret_info)
{
	g_mutex_lock(&failover->lock);
	*ret_info = (FailoverInfo){.state = failover->state,
				   .since = failover->since,
				   .takeovers = failover->takeovers,
				   .fencings = failover->fencings,
				   .owner = failover->owner};
	g_mutex_unlock(&failover->lock);
}

/* ---- takeover */

static const char *name_of(const BackingOwner *owner)
{
	return owner->host[0] ? owner->host : "another machine";
}

static void note_owner(Failover *failover, const BackingOwner *owner)
{
	g_mutex_lock(&failover->lock);
	failover->owner = *owner;
	g_mutex_unlock(&failover->lock);
}

/* Whoever has it keeps it. */
static gint64 takeover_refuse(Failover *failover, const char *why)
{
	g_mutex_lock(&failover->lock);
	if (failover->state == FAILOVER_TAKEOVER) {
		enter_locked(failover, FAILOVER_STANDBY);
		failover->refuse_until = failover->since + FAILOVER_REFUSAL;
	}
	g_mutex_unlock(&failover->lock);
	logging_write_limited(&failover->refusals, LOGGING_INFO, "%s: stays on standby: %s",
			      failover->name, why);
	return 0;
}

/* Nothing is known of the lock, or it was not to be had: changes wait. */
static gint64 takeover_fail(Failover *failover, const GError *error)
{
	g_mutex_lock(&failover->lock);
	if (failover->state == FAILOVER_TAKEOVER) {
		enter_locked(failover, FAILOVER_STANDBY);
		failover->retry_at = failover->since + RETRY_INTERVAL;
	}
	g_mutex_unlock(&failover->lock);
	logging_write_limited(&failover->failures, LOGGING_ERROR, "%s: cannot take it over: %s",
			      failover->name, error->message);
	return 0;
}

/* From `owner`, whose client is "" if there is none. */
static gint64 takeover_take(Failover *failover, const BackingOwner *owner)
{
	g_autoptr(GError) error = NULL;
	const char *client = owner->client[0] ? owner->client : NULL;
	gboolean moved;

	if (!failover->ops.take(failover->data, client, &error))
		return g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY)
			       ? takeover_refuse(failover, error->message)
			       : takeover_fail(failover, error);
	g_mutex_lock(&failover->lock);
	moved = failover->state == FAILOVER_TAKEOVER;
	if (moved) {
		enter_locked(failover, FAILOVER_OWNER);
		failover->takeovers++;
		memset(&failover->owner, 0, sizeof failover->owner);
	}
	g_mutex_unlock(&failover->lock);
	if (moved && client)
		log_warning("%s: taken over from %s (Ceph's client %s), which is fenced off",
			    failover->name, name_of(owner), client);
	else if (moved)
		log_info("%s: served by this machine from now on", failover->name);
	return 0;
}

/* It has carried out changes since the first look, or has only just got the lock.  What it counts
 * at first may be of before that look. */
static gboolean is_serving(const Failover *failover, const BackingOwner *owner)
{
	return strcmp(owner->client, failover->first.client) != 0 ||
	       owner->count - failover->first.count > 1;
}

static gint64 takeover_step(Failover *failover)
{
	g_autoptr(GError) error = NULL;
	BackingOwner owner = {.count = 0};
	gint64 now;

	if (!failover->ops.owner(failover->data, &owner, &error)) {
		failover->looking = FALSE;
		return takeover_fail(failover, error);
	}
	note_owner(failover, &owner);
	now = now_of(failover);
	if (owner.client[0] && !failover->looking) {
		failover->looking = TRUE;
		failover->looked = now;
		failover->first = owner;
		return now + LOOK_INTERVAL;
	}
	if (owner.client[0] && is_serving(failover, &owner)) {
		g_autofree char *why = g_strdup_printf("%s serves it (Ceph's client %s)",
						       name_of(&owner), owner.client);

		failover->looking = FALSE;
		return takeover_refuse(failover, why);
	}
	if (owner.client[0] && now - failover->looked < FAILOVER_LOOK)
		return now + LOOK_INTERVAL;
	failover->looking = FALSE;
	return takeover_take(failover, &owner);
}

/* ---- the other states */

static gint64 check_step(Failover *failover)
{
	if (!failover->ops.is_fenced(failover->data))
		return now_of(failover) + CHECK_INTERVAL;
	g_mutex_lock(&failover->lock);
	become_fenced_locked(failover);
	g_mutex_unlock(&failover->lock);
	return 0;
}

/* What was under way when the unit was fenced may take long: nothing waits for it but this. */
static gint64 fenced_step(Failover *failover)
{
	g_autoptr(GError) error = NULL;
	gboolean idle;

	if (!failover->told)
		log_warning("%s: another machine has taken it over, or Ceph has blocklisted this "
			    "one: fenced off",
			    failover->name);
	failover->told = TRUE;
	failover->looking = FALSE;
	g_mutex_lock(&failover->lock);
	idle = !failover->under_way;
	g_mutex_unlock(&failover->lock);
	if (!idle)
		return NEVER;
	if (failover->ops.reopen(failover->data, &error)) {
		log_info("%s: on standby, with a new connection", failover->name);
		failover->told = FALSE;
		g_mutex_lock(&failover->lock);
		enter_locked(failover, FAILOVER_STANDBY);
		g_mutex_unlock(&failover->lock);
		return 0;
	}
	logging_write_limited(&failover->failures, LOGGING_ERROR,
			      "%s: cannot be opened again after it was fenced off: %s",
			      failover->name, error->message);
	return now_of(failover) + RETRY_INTERVAL;
}

gint64 failover_step(Failover *failover)
{
	FailoverState state;

	g_mutex_lock(&failover->lock);
	state = failover->state;
	g_mutex_unlock(&failover->lock);
	switch (state) {
	case FAILOVER_STANDBY:
	case FAILOVER_OWNER:
		return check_step(failover);
	case FAILOVER_TAKEOVER:
		return takeover_step(failover);
	case FAILOVER_FENCED:
		return fenced_step(failover);
	}
	return NEVER;
}

/* ---- its thread, its life */

static gboolean wait_until(Failover *failover, gint64 due)
{
	gboolean ends;

	g_mutex_lock(&failover->lock);
	while (!failover->ends && !failover->roused && due > g_get_monotonic_time())
		if (due == NEVER)
			g_cond_wait(&failover->wanted, &failover->lock);
		else
			g_cond_wait_until(&failover->wanted, &failover->lock, due);
	failover->roused = FALSE;
	ends = failover->ends;
	g_mutex_unlock(&failover->lock);
	return !ends;
}

static gpointer thread_main(gpointer data)
{
	Failover *failover = data;
	gint64 due = 0;

	while (wait_until(failover, due))
		due = failover_step(failover);
	return NULL;
}

Failover *failover_new(const FailoverOps *ops, gpointer data, const char *name)
{
	Failover *failover = g_try_new0(Failover, 1);

	if (!failover)
		return NULL;
	failover->ops = *ops;
	failover->data = data;
	failover->name = g_strdup(name);
	g_mutex_init(&failover->lock);
	g_cond_init(&failover->wanted);
	enter_locked(failover, FAILOVER_STANDBY);
	return failover;
}

gboolean failover_start(Failover *failover, GError **error)
{
	failover->thread = thread_start("storageos-over", thread_main, failover, error);
	return failover->thread != NULL;
}

void failover_free(Failover *failover)
{
	if (!failover)
		return;
	g_mutex_lock(&failover->lock);
	failover->ends = TRUE;
	g_cond_signal(&failover->wanted);
	g_mutex_unlock(&failover->lock);
	if (failover->thread)
		g_thread_join(failover->thread);
	g_mutex_clear(&failover->lock);
	g_cond_clear(&failover->wanted);
	g_free(failover->name);
	g_free(failover);
}
