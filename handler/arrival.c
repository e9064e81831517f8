/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/arrival.h"

#include "common/base/error.h"
#include "common/base/logging.h"
#include "handler/aside.h"

/* For the first attempt, of the runner's main thread.  A new device ends in an error then. */
static const AsidePatience patience_new = {10 * G_TIME_SPAN_SECOND, 3 * G_TIME_SPAN_SECOND};
static const AsidePatience patience_again = {5 * G_TIME_SPAN_SECOND, 100 * G_TIME_SPAN_MILLISECOND};

struct Arrival {
	ArrivalOwner owner;
	const char *name;
	Aside *aside;
	ArrivalResult first; /* before it is settled the thread's */
	GError *reason;	     /* of the first attempt */

	GMutex lock;
	GCond stop;
	gboolean stopping;
};

/* FALSE when it is freed. */
static gboolean wait_a_second(Arrival *arrival)
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

static gboolean try_once(Arrival *arrival, gboolean first, GError **error)
{
	Volume *volume = opening_try(arrival->owner.opening, first, error);

	if (volume)
		arrival->owner.came(arrival->owner.data, volume);
	return volume != NULL;
}

static ArrivalResult try_first(Arrival *arrival)
{
	const Opening *opening = arrival->owner.opening;

	if (try_once(arrival, TRUE, &arrival->reason))
		return ARRIVAL_CAME;
	if (!opening_may_come(arrival->reason) ||
	    !(opening_is_again(opening) || opening_pool_is_away(opening)))
		return ARRIVAL_FAILED;
	log_warning("%s: not ready, waiting for the volume: %s", arrival->name,
		    arrival->reason->message);
	return ARRIVAL_EXPECTED;
}

static void note_end(const Arrival *arrival, const GError *error)
{
	if (error)
		arrival->owner.lost(arrival->owner.data, error);
	else
		log_info("%s: the volume is there now", arrival->name);
}

static void run(Aside *aside, gpointer data)
{
	Arrival *arrival = data;
	gboolean in_time;

	arrival->first = try_first(arrival);
	in_time = aside_settle(aside);
	if (arrival->first != ARRIVAL_EXPECTED) {
		if (!in_time)
			note_end(arrival, arrival->reason);
		return;
	}
	while (wait_a_second(arrival)) {
		g_autoptr(GError) error = NULL;

		if (try_once(arrival, FALSE, &error) || !opening_may_come(error)) {
			note_end(arrival, error);
			return;
		}
	}
}

static ArrivalResult late(const Arrival *arrival, GError **error)
{
	if (opening_is_again(arrival->owner.opening)) {
		log_warning(
			"%s: not ready, the volume is still being opened: does its disk answer?",
			arrival->name);
		return ARRIVAL_EXPECTED;
	}
	error_set(error, STORAGEOS_ERROR_IO, "%s is still being opened: does its disk answer?",
		  arrival->name);
	return ARRIVAL_FAILED;
}

ArrivalResult arrival_begin(const ArrivalOwner *owner, Arrival **ret_arrival, GError **error)
{
	Arrival *arrival = g_try_new0(Arrival, 1);

	*ret_arrival = arrival;
	if (!arrival) {
		error_set(error, STORAGEOS_ERROR_NO_SPACE, "out of memory");
		return ARRIVAL_FAILED;
	}
	arrival->owner = *owner;
	arrival->name = opening_name(owner->opening);
	g_mutex_init(&arrival->lock);
	g_cond_init(&arrival->stop);
	arrival->aside = aside_start(opening_group(owner->opening), run, arrival, error);
	if (!arrival->aside)
		return ARRIVAL_FAILED;
	if (!aside_wait(arrival->aside,
			opening_is_again(owner->opening) ? patience_again : patience_new))
		return late(arrival, error);
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
