/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/limiter.h"

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/thread.h"

static GMutex lock;
static GCond wake;	 /* `due` is earlier, or the last Limiter has left */
static GCond ended;	 /* the call of owner.go() has */
static guint users;	 /* Limiters that keep the thread */
static gboolean runs;	 /* the thread */
static gint64 due;	 /* when the thread has to look next, microseconds */
static Limiter *waiting; /* Limiters in which requests wait */
static Limiter *batch;	 /* those of them at which the thread has not looked in this round */
static Limiter *let_go;	 /* whose owner.go() the thread calls */

/* ---- limits */

static const char *const names[LIMITER_DIRECTIONS][LIMITER_UNITS][2] = {
	[LIMITER_READ] = {[LIMITER_IOPS] = {"read_iops", "read_iops_burst"},
			  [LIMITER_BYTES] = {"read_bytes", "read_bytes_burst"}},
	[LIMITER_WRITE] = {[LIMITER_IOPS] = {"write_iops", "write_iops_burst"},
			   [LIMITER_BYTES] = {"write_bytes", "write_bytes_burst"}},
};

static const struct {
	guint64 least, most;
	const char *why;
} ranges[LIMITER_UNITS] = {
	[LIMITER_IOPS] = {LIMITER_IOPS_LEAST, LIMITER_IOPS_MOST, "256 requests"},
	[LIMITER_BYTES] = {LIMITER_BYTES_LEAST, LIMITER_BYTES_MOST, "10 MiB"},
};

const char *limits_name(LimiterDirection direction, LimiterUnit unit, gboolean burst)
{
	return names[direction][unit][burst ? 1 : 0];
}

guint64 limits_least(LimiterUnit unit)
{
	return ranges[unit].least;
}

guint64 limits_most(LimiterUnit unit)
{
	return ranges[unit].most;
}

static guint64 part_of(guint64 rate, guint64 part)
{
	return rate / part + (rate % part != 0);
}

static gboolean rate_check(guint64 rate, LimiterUnit unit, const char *name, GError **error)
{
	if (rate && rate < ranges[unit].least)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "invalid %s %" G_GUINT64_FORMAT " (at least %" G_GUINT64_FORMAT
				 ", so that %s that wait are served before initiators give up)",
				 name, rate, ranges[unit].least, ranges[unit].why);
	return rate <= ranges[unit].most ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "invalid %s %" G_GUINT64_FORMAT " (at most %" G_GUINT64_FORMAT ")", name,
			 rate, ranges[unit].most);
}

static gboolean limits_check(const Limits *limits, GError **error)
{
	for (guint d = 0; d < LIMITER_DIRECTIONS; d++)
		for (guint u = 0; u < LIMITER_UNITS; u++)
			if (!rate_check(limits->limits[d][u].rate, u, limits_name(d, u, FALSE),
					error))
				return FALSE;
	return TRUE;
}

static guint64 limit_burst(const Limit *limit)
{
	if (!limit->burst)
		return part_of(limit->rate, LIMITER_BURST_DEFAULT);
	return clamp_u64(limit->burst, part_of(limit->rate, LIMITER_BURST_LEAST),
			 limit->rate * LIMITER_BURST_MOST);
}

/* ---- queues */

static gint64 direction_wait_locked(const Limiter *limiter, LimiterDirection direction, gint64 now)
{
	const Bucket *buckets = limiter->buckets[direction];

	return max_i64(bucket_wait(&buckets[LIMITER_IOPS], 0, now),
		       bucket_wait(&buckets[LIMITER_BYTES], 0, now));
}

static void direction_take_locked(Limiter *limiter, LimiterDirection direction, guint64 bytes,
				  gint64 now)
{
	bucket_take(&limiter->buckets[direction][LIMITER_IOPS], 1, now);
	bucket_take(&limiter->buckets[direction][LIMITER_BYTES], bytes, now);
}

static void item_append_locked(Limiter *limiter, LimiterDirection direction, LimiterItem *item)
{
	LimiterItem *last = limiter->queues[direction].last;

	item->next = NULL;
	*(last ? &last->next : &limiter->queues[direction].first) = item;
	limiter->queues[direction].last = item;
	limiter->queues[direction].ahead[LIMITER_IOPS]++;
	limiter->queues[direction].ahead[LIMITER_BYTES] += item->bytes;
	limiter->queues[direction].stats.waiting++;
}

/* `before`: the item before it in the queue, or NULL. */
static void item_unlink_locked(Limiter *limiter, LimiterDirection direction, LimiterItem *before,
			       LimiterItem *item)
{
	*(before ? &before->next : &limiter->queues[direction].first) = item->next;
	if (limiter->queues[direction].last == item)
		limiter->queues[direction].last = before;
	limiter->queues[direction].ahead[LIMITER_IOPS]--;
	limiter->queues[direction].ahead[LIMITER_BYTES] -= item->bytes;
	limiter->queues[direction].stats.waiting--;
}

/* Takes off a queue what may go on, and adds it to the list that ends at *end.  With `all`,
 * everything.  Returns when there is more to do. */
static gint64 queue_take_locked(Limiter *limiter, LimiterDirection direction, gboolean all,
				gint64 now, LimiterItem ***end)
{
	LimiterStats *stats = &limiter->queues[direction].stats;
	LimiterItem *item;

	while ((item = limiter->queues[direction].first)) {
		gint64 wait = all ? 0 : direction_wait_locked(limiter, direction, now);

		if (wait)
			return now + wait;
		item_unlink_locked(limiter, direction, NULL, item);
		direction_take_locked(limiter, direction, item->bytes, now);
		stats->waits++;
		stats->microseconds += (guint64)max_i64(now - item->since, 0);
		item->next = NULL;
		**end = item;
		*end = &item->next;
	}
	return G_MAXINT64;
}

/* All that may go on; *ret_due is when there is more to do. */
static LimiterItem *items_take_locked(Limiter *limiter, gboolean all, gint64 *ret_due)
{
	LimiterItem *list = NULL, **end = &list;
	gint64 now = g_get_monotonic_time(), next = G_MAXINT64;

	for (guint d = 0; d < LIMITER_DIRECTIONS; d++)
		next = min_i64(next, queue_take_locked(limiter, d, all, now, &end));
	*ret_due = next;
	return list;
}

static void items_let_go(Limiter *limiter, LimiterItem *list)
{
	for (LimiterItem *next; list; list = next) {
		next = list->next;
		limiter->owner.go(limiter->owner.data, list);
	}
}

/* ---- the thread */

static void due_hasten_locked(gint64 when)
{
	if (when >= due)
		return;
	due = when;
	g_cond_signal(&wake);
}

static void limiter_list_locked(Limiter *limiter)
{
	if (limiter->listed)
		return;
	limiter->listed = TRUE;
	limiter->next = waiting;
	waiting = limiter;
}

static void list_remove(Limiter **list, const Limiter *limiter)
{
	while (*list && *list != limiter)
		list = &(*list)->next;
	if (*list)
		*list = limiter->next;
}

static void limiter_look_unlocking(Limiter *limiter)
{
	gint64 when;
	LimiterItem *list = items_take_locked(limiter, FALSE, &when);

	limiter->listed = FALSE;
	if (when < G_MAXINT64) {
		limiter_list_locked(limiter);
		due_hasten_locked(when);
	}
	if (!list)
		return;
	let_go = limiter;
	g_mutex_unlock(&lock);
	items_let_go(limiter, list);
	g_mutex_lock(&lock);
	let_go = NULL;
	g_cond_broadcast(&ended);
}

/* Returns when something may be due; LIMITER_PAUSE after `looked` at the earliest. */
static void await_due_unlocking(gint64 looked)
{
	while (users) {
		gint64 until = due == G_MAXINT64 ? due : max_i64(due, looked + LIMITER_PAUSE);

		if (g_get_monotonic_time() >= until)
			return;
		if (until == G_MAXINT64)
			g_cond_wait(&wake, &lock);
		else
			g_cond_wait_until(&wake, &lock, until);
	}
}

static gpointer limiter_main(gpointer data)
{
	gint64 looked = 0;

	(void)data;
	g_mutex_lock(&lock);
	while (users) {
		await_due_unlocking(looked);
		looked = g_get_monotonic_time();
		due = G_MAXINT64;
		batch = waiting;
		waiting = NULL;
		while (batch) {
			Limiter *limiter = batch;

			batch = limiter->next;
			limiter_look_unlocking(limiter);
		}
	}
	runs = FALSE;
	g_mutex_unlock(&lock);
	return NULL;
}

static gboolean thread_join_locked(Limiter *limiter, GError **error)
{
	if (limiter->joined)
		return TRUE;
	if (!runs) {
		due = G_MAXINT64;
		runs = thread_start_detached("storageos-limit", limiter_main, NULL, error);
	}
	limiter->joined = runs;
	users += runs;
	return runs;
}

static void thread_leave_locked(Limiter *limiter)
{
	if (!limiter->joined)
		return;
	limiter->joined = FALSE;
	if (!--users)
		g_cond_signal(&wake);
}

/* ---- the whole */

void limiter_init(Limiter *limiter, const LimiterOwner *owner)
{
	limiter->owner = *owner;
}

void limiter_clear(Limiter *limiter)
{
	LimiterItem *list;
	gint64 when;

	g_mutex_lock(&lock);
	while (let_go == limiter)
		g_cond_wait(&ended, &lock);
	list = items_take_locked(limiter, TRUE, &when);
	list_remove(&waiting, limiter);
	list_remove(&batch, limiter);
	thread_leave_locked(limiter);
	limiter->cleared = TRUE;
	g_mutex_unlock(&lock);
	items_let_go(limiter, list);
}

static gboolean direction_is_limited(const Limits *limits, LimiterDirection direction)
{
	return limits->limits[direction][LIMITER_IOPS].rate ||
	       limits->limits[direction][LIMITER_BYTES].rate;
}

static void limits_apply_locked(Limiter *limiter, const Limits *limits, gint64 now)
{
	limiter->limits = *limits;
	for (guint d = 0; d < LIMITER_DIRECTIONS; d++) {
		for (guint u = 0; u < LIMITER_UNITS; u++) {
			const Limit *limit = &limits->limits[d][u];

			bucket_set(&limiter->buckets[d][u], limit->rate, limit_burst(limit), now);
		}
		__atomic_store_n(&limiter->limited[d], direction_is_limited(limits, d),
				 __ATOMIC_RELAXED);
	}
}

gboolean limiter_set(Limiter *limiter, const Limits *limits, GError **error)
{
	gboolean any = direction_is_limited(limits, LIMITER_READ) ||
		       direction_is_limited(limits, LIMITER_WRITE);
	gboolean done;

	if (!limits_check(limits, error))
		return FALSE;
	g_mutex_lock(&lock);
	done = limiter->cleared ? error_set(error, STORAGEOS_ERROR_BUSY, "it is being closed")
				: !any || thread_join_locked(limiter, error);
	if (done) {
		limits_apply_locked(limiter, limits, g_get_monotonic_time());
		due_hasten_locked(0);
	}
	g_mutex_unlock(&lock);
	return done;
}

void limiter_get(Limiter *limiter, Limits *ret_limits)
{
	g_mutex_lock(&lock);
	*ret_limits = limiter->limits;
	g_mutex_unlock(&lock);
}

void limiter_get_stats(Limiter *limiter, LimiterDirection direction, LimiterStats *ret_stats)
{
	g_mutex_lock(&lock);
	*ret_stats = limiter->queues[direction].stats;
	g_mutex_unlock(&lock);
}

/* At any moment at least one of the buckets empties, at its full rate; so the sum is a bound. */
gboolean limiter_is_full(Limiter *limiter, LimiterDirection direction)
{
	gint64 now, wait = 0;
	gboolean full;

	g_mutex_lock(&lock);
	now = g_get_monotonic_time();
	for (guint u = 0; u < LIMITER_UNITS; u++)
		wait += bucket_wait(&limiter->buckets[direction][u],
				    limiter->queues[direction].ahead[u], now);
	full = wait > LIMITER_PATIENCE * G_USEC_PER_SEC;
	limiter->queues[direction].stats.refused += full;
	g_mutex_unlock(&lock);
	return full;
}

/* How long a request that comes now has to wait; if it does not, it is counted. */
static gint64 request_wait_locked(Limiter *limiter, LimiterDirection direction, guint64 bytes,
				  gint64 now, gboolean *ret_waits)
{
	gint64 wait = direction_wait_locked(limiter, direction, now);

	*ret_waits = wait || limiter->queues[direction].first;
	if (!*ret_waits)
		direction_take_locked(limiter, direction, bytes, now);
	return wait;
}

static guint64 bytes_counted(MetricsKind kind, guint64 bytes)
{
	return kind == METRICS_DISCARD ? 0 : bytes;
}

gboolean limiter_holds(Limiter *limiter, LimiterItem *item, MetricsKind kind, guint64 bytes)
{
	LimiterDirection direction = limiter_direction(kind);
	gboolean waits;
	gint64 now, wait;

	if (direction == LIMITER_NEITHER)
		return FALSE;
	bytes = bytes_counted(kind, bytes);
	g_mutex_lock(&lock);
	now = g_get_monotonic_time();
	wait = request_wait_locked(limiter, direction, bytes, now, &waits);
	if (waits) {
		item->bytes = bytes;
		item->since = now;
		item_append_locked(limiter, direction, item);
		limiter_list_locked(limiter);
		due_hasten_locked(now + wait);
	}
	g_mutex_unlock(&lock);
	return waits;
}

gboolean limiter_passes(Limiter *limiter, MetricsKind kind, guint64 bytes)
{
	LimiterDirection direction = limiter_direction(kind);
	gboolean waits;

	if (direction == LIMITER_NEITHER)
		return TRUE;
	g_mutex_lock(&lock);
	request_wait_locked(limiter, direction, bytes_counted(kind, bytes), g_get_monotonic_time(),
			    &waits);
	g_mutex_unlock(&lock);
	return !waits;
}

void limiter_return(Limiter *limiter, MetricsKind kind, guint64 bytes)
{
	LimiterDirection direction = limiter_direction(kind);

	if (direction == LIMITER_NEITHER)
		return;
	g_mutex_lock(&lock);
	bucket_return(&limiter->buckets[direction][LIMITER_IOPS], 1);
	bucket_return(&limiter->buckets[direction][LIMITER_BYTES], bytes_counted(kind, bytes));
	g_mutex_unlock(&lock);
}

gboolean limiter_cancel(Limiter *limiter, LimiterItem *item)
{
	gboolean found = FALSE;

	g_mutex_lock(&lock);
	for (guint d = 0; d < LIMITER_DIRECTIONS && !found; d++) {
		LimiterItem *before = NULL, *at = limiter->queues[d].first;

		for (; at && at != item; at = at->next)
			before = at;
		found = at != NULL;
		if (found)
			item_unlink_locked(limiter, d, before, item);
	}
	g_mutex_unlock(&lock);
	return found;
}

/* ---- what is told */

static Json *direction_to_json(Limiter *limiter, const Limits *limits, LimiterDirection direction)
{
	static const char *const keys[LIMITER_UNITS][2] = {{"iops", "iops_burst"},
							   {"bytes", "bytes_burst"}};
	Json *object = json_object_new_object();
	LimiterStats stats;

	limiter_get_stats(limiter, direction, &stats);
	for (guint u = 0; u < LIMITER_UNITS; u++) {
		const Limit *limit = &limits->limits[direction][u];

		if (!limit->rate)
			continue;
		json_add_number(object, keys[u][0], limit->rate);
		json_add_number(object, keys[u][1], limit_burst(limit));
	}
	json_add_number(object, "waiting", stats.waiting);
	json_add_number(object, "waits", stats.waits);
	json_add_number(object, "wait_ns", stats.microseconds * 1000);
	json_add_number(object, "refused", stats.refused);
	return object;
}

Json *limiter_to_json(Limiter *limiter)
{
	Json *object = json_object_new_object();
	Limits limits;

	limiter_get(limiter, &limits);
	json_object_object_add(object, "read", direction_to_json(limiter, &limits, LIMITER_READ));
	json_object_object_add(object, "write", direction_to_json(limiter, &limits, LIMITER_WRITE));
	return object;
}
