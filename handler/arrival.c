/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads are involved: the runner's main thread in arrival_begin(), and the arrival's own in
 * arrival_run().  Exactly one of them reports the first attempt.  aside.h decides which, under its
 * lock: aside_wait() returns TRUE to the main thread if and only if aside_settle() returns TRUE to
 * the other.
 *
 *     first attempt            main thread returns          arrival's thread then
 *     in time, succeeded       CAME                         ends
 *     in time, may succeed     EXPECTED                     retries each second
 *     in time, failed          FAILED and its error         ends
 *     late, served before      EXPECTED                     logs or calls lost(), or retries
 *     late, new device         FAILED ("still being...")    the same; the owner frees the arrival
 */
#include "handler/arrival.h"

#include "common/base/error.h"
#include "common/base/logging.h"
#include "handler/aside.h"

/* How long the runner's main thread waits for the first attempt. */
static const AsidePatience patience_new = {10 * G_TIME_SPAN_SECOND, 3 * G_TIME_SPAN_SECOND};
static const AsidePatience patience_again = {5 * G_TIME_SPAN_SECOND, 100 * G_TIME_SPAN_MILLISECOND};

struct Arrival {
	ArrivalOwner owner;
	const char *name;
	Aside *aside;
	/* Of the first attempt.  Written by the arrival's thread before it settles; the main thread
	 * reads them after aside_wait() has returned TRUE. */
	ArrivalResult first;
	GError *reason;

	GMutex lock;
	GCond stop;
	gboolean stopping;
};

/* Sleeps for a second.  FALSE if the arrival is being freed. */
static gboolean arrival_pause(Arrival *arrival)
{
	gint64 end = g_get_monotonic_time() + G_USEC_PER_SEC;
	gboolean go_on;

	g_mutex_lock(&arrival->lock);
	while (!arrival->stopping && g_cond_wait_until(&arrival->stop, &arrival->lock, end))
		;
	go_on = !arrival->stopping;
	g_mutex_unlock(&arrival->lock);
	return go_on;
}

static gboolean arrival_attempt(Arrival *arrival, gboolean first, GError **error)
{
	Volume *volume = opening_try(arrival->owner.opening, first, error);

	if (volume)
		arrival->owner.came(arrival->owner.data, volume);
	return volume != NULL;
}

static gboolean is_worth_waiting(const Opening *opening, const GError *reason)
{
	return opening_may_come(reason) &&
	       (opening_served_before(opening) || opening_pool_is_missing(opening));
}

static ArrivalResult arrival_attempt_first(Arrival *arrival)
{
	if (arrival_attempt(arrival, TRUE, &arrival->reason))
		return ARRIVAL_CAME;
	if (!is_worth_waiting(arrival->owner.opening, arrival->reason))
		return ARRIVAL_FAILED;
	log_warning("%s: not ready, waiting for the volume: %s", arrival->name,
		    arrival->reason->message);
	return ARRIVAL_EXPECTED;
}

/* Reports what arrival_begin() could not: success if `error` is NULL. */
static void arrival_report(const Arrival *arrival, const GError *error)
{
	if (error)
		arrival->owner.lost(arrival->owner.data, error);
	else
		log_info("%s: the volume is there now", arrival->name);
}

static void arrival_retry(Arrival *arrival)
{
	while (arrival_pause(arrival)) {
		g_autoptr(GError) error = NULL;

		if (arrival_attempt(arrival, FALSE, &error) || !opening_may_come(error)) {
			arrival_report(arrival, error);
			return;
		}
	}
}

static void arrival_run(Aside *aside, gpointer data)
{
	Arrival *arrival = data;
	gboolean in_time;

	arrival->first = arrival_attempt_first(arrival);
	in_time = aside_settle(aside);
	if (arrival->first == ARRIVAL_EXPECTED)
		arrival_retry(arrival);
	else if (!in_time)
		arrival_report(arrival, arrival->reason);
}

/* The first attempt is late.  A device that was served before must stay open, so that its commands
 * are answered; a new one is refused. */
static ArrivalResult first_is_late(const Arrival *arrival, GError **error)
{
	if (opening_served_before(arrival->owner.opening)) {
		log_warning(
			"%s: not ready, the volume is still being opened: does its disk answer?",
			arrival->name);
		return ARRIVAL_EXPECTED;
	}
	error_set(error, STORAGEOS_ERROR_IO, "%s is still being opened: does its disk answer?",
		  arrival->name);
	return ARRIVAL_FAILED;
}

static Arrival *arrival_new(const ArrivalOwner *owner)
{
	Arrival *arrival = g_try_new0(Arrival, 1);

	if (!arrival)
		return NULL;
	arrival->owner = *owner;
	arrival->name = opening_name(owner->opening);
	g_mutex_init(&arrival->lock);
	g_cond_init(&arrival->stop);
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
	arrival->aside = aside_start(opening_group(owner->opening), arrival_run, arrival, error);
	if (!arrival->aside)
		return ARRIVAL_FAILED;
	if (!aside_wait(arrival->aside,
			opening_served_before(owner->opening) ? patience_again : patience_new))
		return first_is_late(arrival, error);
	if (arrival->first == ARRIVAL_FAILED)
		g_propagate_error(error, g_steal_pointer(&arrival->reason));
	return arrival->first;
}

void arrival_free(Arrival *arrival)
{
	if (!arrival)
		return;
	g_mutex_lock(&arrival->lock);
	arrival->stopping = TRUE;
	g_cond_signal(&arrival->stop);
	g_mutex_unlock(&arrival->lock);
	aside_free(arrival->aside);
	g_clear_error(&arrival->reason);
	g_mutex_clear(&arrival->lock);
	g_cond_clear(&arrival->stop);
	g_free(arrival);
}
