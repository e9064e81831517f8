/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first attempt for a new device involves two threads: the runner's main thread in
 * arrival_begin(), and the attempt's own in first_run().  Exactly one of them reports the attempt.
 * aside.h decides which, under its lock: aside_wait() returns TRUE to the main thread if and only
 * if aside_settle() returns TRUE to the other.
 *
 *     first attempt            main thread returns          afterwards
 *     in time, succeeded       CAME
 *     in time, may succeed     EXPECTED                     a retry each second
 *     in time, failed          FAILED and its error
 *     late                     FAILED ("still being...")    logged; the owner frees the arrival
 *
 * All other attempts are items of the openers' queue.  The ticker queues each retry.
 */
#include "handler/arrival.h"

#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/base/ticker.h"
#include "handler/aside.h"
#include "handler/openers.h"

/* How long the runner's main thread waits for the first attempt. */
static const AsidePatience patience = {10 * G_TIME_SPAN_SECOND, 3 * G_TIME_SPAN_SECOND};

/* When an attempt in the background is said to take long. */
#define LATE_SECONDS 5

struct Arrival {
	WorkItem item; /* first */
	Ticker ticker;
	gboolean ticks; /* `ticker` was added */
	ArrivalOwner owner;
	const char *name;
	Openers *openers;
	gboolean tried; /* an attempt has failed; the attempt's own */

	/* Of a new device's first attempt.  Written by that thread before it settles; the main
	 * thread reads them after aside_wait() has returned TRUE. */
	Aside *aside;
	ArrivalResult first;
	GError *reason;

	GMutex lock;
	GCond ended; /* an attempt in the background */
	gboolean stopping;
	gboolean under_way; /* from queueing the item until its end */
	gboolean again;	    /* another attempt is to follow */
	gint64 begun;	    /* the attempt, monotonic; 0: it waits in the queue */
	gboolean warned;    /* that an attempt takes long */
};

static gboolean arrival_attempt(Arrival *arrival, gboolean first, GError **error)
{
	Volume *volume = opening_try(arrival->owner.opening, first, error);

	if (volume)
		arrival->owner.came(arrival->owner.data, volume);
	return volume != NULL;
}

static gboolean is_worth_waiting(const Opening *opening, const GError *reason)
{
	return g_error_matches(reason, STORAGEOS_ERROR, STORAGEOS_ERROR_AWAITED) ||
	       (opening_may_come(reason) &&
		(opening_served_before(opening) || opening_pool_is_missing(opening, reason)));
}

static void warn_of_waiting(const Arrival *arrival, const GError *reason)
{
	log_warning("%s: not ready, waiting for the volume: %s", arrival->name, reason->message);
}

/* ---- in the background */

/* The ticker watches the attempt. */
static void background_begin_locked(Arrival *arrival)
{
	arrival->under_way = TRUE;
	arrival->again = FALSE;
	workers_push(openers_workers(arrival->openers), &arrival->item);
	ticker_set(&arrival->ticker);
}

static void warn_if_late_locked(Arrival *arrival)
{
	if (!arrival->begun || arrival->warned ||
	    g_get_monotonic_time() - arrival->begun < LATE_SECONDS * G_USEC_PER_SEC)
		return;
	log_warning("%s: not ready, the volume is still being opened: does its disk answer?",
		    arrival->name);
	arrival->warned = TRUE;
}

static gboolean background_tick(Ticker *ticker)
{
	Arrival *arrival = (void *)((char *)ticker - G_STRUCT_OFFSET(Arrival, ticker));
	gboolean under_way;

	g_mutex_lock(&arrival->lock);
	if (arrival->again && !arrival->stopping)
		background_begin_locked(arrival);
	else
		warn_if_late_locked(arrival);
	under_way = arrival->under_way;
	g_mutex_unlock(&arrival->lock);
	return under_way;
}

/* Returns whether there will be another attempt. */
static gboolean background_attempt(Arrival *arrival)
{
	g_autoptr(GError) error = NULL;

	if (arrival_attempt(arrival, FALSE, &error)) {
		log_info(arrival->tried ? "%s: the volume is there now" : "%s: open",
			 arrival->name);
		return FALSE;
	}
	if (!opening_may_come(error)) {
		arrival->owner.lost(arrival->owner.data, error);
		return FALSE;
	}
	if (!arrival->tried)
		warn_of_waiting(arrival, error);
	arrival->tried = TRUE;
	return TRUE;
}

static void background_run(WorkItem *item)
{
	Arrival *arrival = (Arrival *)item;
	gboolean again;

	g_mutex_lock(&arrival->lock);
	arrival->begun = g_get_monotonic_time();
	g_mutex_unlock(&arrival->lock);
	again = background_attempt(arrival);
	g_mutex_lock(&arrival->lock);
	arrival->begun = 0;
	arrival->under_way = FALSE;
	arrival->again = again;
	if (again && !arrival->stopping)
		ticker_set(&arrival->ticker);
	g_cond_signal(&arrival->ended);
	g_mutex_unlock(&arrival->lock);
}

/* ---- the first attempt for a new device */

static ArrivalResult first_attempt(Arrival *arrival)
{
	if (arrival_attempt(arrival, TRUE, &arrival->reason))
		return ARRIVAL_CAME;
	return is_worth_waiting(arrival->owner.opening, arrival->reason) ? ARRIVAL_EXPECTED
									 : ARRIVAL_FAILED;
}

/* A late attempt is its owner's no more, who was told that it had failed. */
static void first_run(Aside *aside, gpointer data)
{
	Arrival *arrival = data;

	arrival->first = first_attempt(arrival);
	if (aside_settle(aside))
		return;
	if (arrival->first == ARRIVAL_CAME)
		log_info("%s: the volume is there now", arrival->name);
	else
		log_error("%s: %s", arrival->name, arrival->reason->message);
}

static ArrivalResult first_await(Arrival *arrival, GError **error)
{
	arrival->aside =
		aside_start(opening_group(arrival->owner.opening), first_run, arrival, error);
	if (!arrival->aside)
		return ARRIVAL_FAILED;
	if (!aside_wait(arrival->aside, patience)) {
		error_set(error, STORAGEOS_ERROR_IO,
			  "%s is still being opened: does its disk answer?", arrival->name);
		return ARRIVAL_FAILED;
	}
	aside_free(g_steal_pointer(&arrival->aside));
	if (arrival->first == ARRIVAL_FAILED)
		g_propagate_error(error, g_steal_pointer(&arrival->reason));
	if (arrival->first == ARRIVAL_EXPECTED) {
		warn_of_waiting(arrival, arrival->reason);
		/* Alone with it.  What is found out by waiting is to be told, too. */
		arrival->tried =
			!g_error_matches(arrival->reason, STORAGEOS_ERROR, STORAGEOS_ERROR_AWAITED);
		arrival->again = TRUE;
		ticker_set(&arrival->ticker);
	}
	return arrival->first;
}

/* ---- beginning and ending */

static Arrival *arrival_new(const ArrivalOwner *owner)
{
	Arrival *arrival = g_try_new0(Arrival, 1);

	if (!arrival)
		return NULL;
	arrival->item.run = background_run;
	arrival->ticker.run = background_tick;
	arrival->owner = *owner;
	arrival->name = opening_name(owner->opening);
	g_mutex_init(&arrival->lock);
	g_cond_init(&arrival->ended);
	return arrival;
}

ArrivalResult arrival_begin(const ArrivalOwner *owner, Arrival **ret_arrival, GError **error)
{
	Arrival *arrival = arrival_new(owner);

	*ret_arrival = arrival;
	if (!arrival) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
		return ARRIVAL_FAILED;
	}
	arrival->openers = openers_get(opening_group(owner->opening), error);
	arrival->ticks = arrival->openers && ticker_add(&arrival->ticker, error);
	if (!arrival->ticks)
		return ARRIVAL_FAILED;
	if (!opening_served_before(owner->opening))
		return first_await(arrival, error);
	g_mutex_lock(&arrival->lock);
	background_begin_locked(arrival);
	g_mutex_unlock(&arrival->lock);
	return ARRIVAL_EXPECTED;
}

static void background_stop(Arrival *arrival)
{
	g_mutex_lock(&arrival->lock);
	arrival->stopping = TRUE;
	g_mutex_unlock(&arrival->lock);
	if (arrival->ticks)
		ticker_remove(&arrival->ticker);
	if (arrival->openers && workers_cancel(openers_workers(arrival->openers), &arrival->item))
		return;
	g_mutex_lock(&arrival->lock);
	while (arrival->under_way)
		g_cond_wait(&arrival->ended, &arrival->lock);
	g_mutex_unlock(&arrival->lock);
}

void arrival_free(Arrival *arrival)
{
	if (!arrival)
		return;
	background_stop(arrival);
	aside_free(arrival->aside);
	openers_leave(arrival->openers);
	g_clear_error(&arrival->reason);
	g_mutex_clear(&arrival->lock);
	g_cond_clear(&arrival->ended);
	g_free(arrival);
}
