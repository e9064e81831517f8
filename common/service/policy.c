/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/policy.h"

#include <string.h>
#include <time.h>

#define HOUR_SECONDS 3600
#define DAY_SECONDS (24 * HOUR_SECONDS)
#define EPOCH_WEEKDAY 3 /* 1970-01-01 was a Thursday; Monday is 0 */

void policy_free(Policy *policy)
{
	if (!policy)
		return;
	g_free(policy->name);
	g_free(policy);
}

/* ---- periods */

static gint64 floor_divide(gint64 value, gint64 divisor)
{
	return value / divisor - (value % divisor < 0);
}

/* A time that no calendar knows is in a month of its own, behind all others. */
static gint64 month_of(gint64 seconds)
{
	time_t moment = (time_t)seconds;
	struct tm parts;

	return gmtime_r(&moment, &parts) ? (gint64)parts.tm_year * 12 + parts.tm_mon : G_MAXINT64;
}

gint64 policy_period(PolicyPeriod period, gint64 time)
{
	switch (period) {
	case POLICY_HOUR:
		return floor_divide(time, HOUR_SECONDS);
	case POLICY_DAY:
		return floor_divide(time, DAY_SECONDS);
	case POLICY_WEEK:
		return floor_divide(floor_divide(time, DAY_SECONDS) + EPOCH_WEEKDAY, 7);
	case POLICY_MONTH:
		return month_of(time);
	case POLICY_PERIODS:
		break;
	}
	return 0;
}

/* ---- making */

static const PolicySnapshot *newest_find(const PolicySnapshot *snapshots, guint n)
{
	while (n--)
		if (snapshots[n].by_policy)
			return &snapshots[n];
	return NULL;
}

gboolean policy_is_due(const Policy *policy, const PolicySnapshot *snapshots, guint n, gint64 now)
{
	const PolicySnapshot *newest = newest_find(snapshots, n);

	if (!newest)
		return TRUE;
	for (PolicyPeriod period = 0; period < POLICY_PERIODS; period++)
		if (policy->keep[period] &&
		    policy_period(period, newest->created) != policy_period(period, now))
			return TRUE;
	return FALSE;
}

char *policy_snapshot_name(gint64 now, guint copy)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(now);
	g_autofree char *name = time ? g_date_time_format(time, "auto-%Y%m%dt%H%Mz")
				     : g_strdup_printf("auto-%" G_GINT64_FORMAT, now);

	return copy ? g_strdup_printf("%s-%u", name, copy + 1) : g_steal_pointer(&name);
}

/* ---- pruning */

static gboolean may_be_pruned(const PolicySnapshot *snapshot, const PolicySnapshot *newest)
{
	return snapshot->by_policy && !snapshot->held && snapshot != newest;
}

/* Keeps the first snapshot of each of the newest `keep` periods.  A period is as new as its newest
 * snapshot. */
static void keep_by_period(PolicySnapshot *snapshots, guint n, PolicyPeriod period, guint keep)
{
	g_autoptr(GHashTable) firsts =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	GHashTableIter iter;
	gpointer first;

	while (n--) {
		gint64 number = policy_period(period, snapshots[n].created);

		if (snapshots[n].by_policy &&
		    (g_hash_table_contains(firsts, &number) || g_hash_table_size(firsts) < keep))
			g_hash_table_insert(firsts, g_memdup(&number, sizeof number),
					    &snapshots[n]);
	}
	g_hash_table_iter_init(&iter, firsts);
	while (g_hash_table_iter_next(&iter, NULL, &first))
		((PolicySnapshot *)first)->pruned = FALSE;
}

void policy_prune(const Policy *policy, PolicySnapshot *snapshots, guint n)
{
	const PolicySnapshot *newest = newest_find(snapshots, n);

	for (guint i = 0; i < n; i++)
		snapshots[i].pruned = may_be_pruned(&snapshots[i], newest);
	for (PolicyPeriod period = 0; period < POLICY_PERIODS; period++)
		keep_by_period(snapshots, n, period, policy->keep[period]);
}

/* ---- several volumes */

static gboolean is_kept(const PolicySnapshot *snapshot, const PolicySnapshot *newest)
{
	(void)newest;
	return !snapshot->pruned;
}

static gboolean must_stay(const PolicySnapshot *snapshot, const PolicySnapshot *newest)
{
	return snapshot->held || snapshot == newest;
}

/* The instants of which one snapshot is so. */
static GHashTable *groups_find(const PolicyList *lists, guint n,
			       gboolean (*is_so)(const PolicySnapshot *, const PolicySnapshot *))
{
	GHashTable *groups = g_hash_table_new(g_int64_hash, g_int64_equal);

	for (guint i = 0; i < n; i++) {
		const PolicySnapshot *newest = newest_find(lists[i].snapshots, lists[i].n);

		for (guint j = 0; j < lists[i].n; j++) {
			PolicySnapshot *snapshot = &lists[i].snapshots[j];

			if (snapshot->group && is_so(snapshot, newest))
				g_hash_table_add(groups, &snapshot->group);
		}
	}
	return groups;
}

void policy_join(const PolicyList *lists, guint n)
{
	g_autoptr(GHashTable) groups = groups_find(lists, n, must_stay);

	for (guint i = 0; i < n; i++)
		for (guint j = 0; j < lists[i].n; j++)
			if (g_hash_table_contains(groups, &lists[i].snapshots[j].group))
				lists[i].snapshots[j].held = TRUE;
}

void policy_prune_group(const Policy *policy, const PolicyList *lists, guint n)
{
	g_autoptr(GHashTable) groups = NULL;

	policy_join(lists, n);
	for (guint i = 0; i < n; i++)
		policy_prune(policy, lists[i].snapshots, lists[i].n);
	groups = groups_find(lists, n, is_kept);
	for (guint i = 0; i < n; i++)
		for (guint j = 0; j < lists[i].n; j++)
			if (g_hash_table_contains(groups, &lists[i].snapshots[j].group))
				lists[i].snapshots[j].pruned = FALSE;
}

int policy_find_oldest(const PolicySnapshot *snapshots, guint n)
{
	const PolicySnapshot *newest = newest_find(snapshots, n);

	for (guint i = 0; i < n; i++)
		if (may_be_pruned(&snapshots[i], newest))
			return (int)i;
	return -1;
}

guint64 policy_min_free(const Policy *policy, guint64 size)
{
	return policy->min_free_percent ? size / 100 * policy->min_free_percent : policy->min_free;
}

/* ---- names */

gboolean policy_freeze_parse(const char *text, PolicyFreeze *ret_freeze)
{
	static const char *const names[] = {"auto", "require", "never"};

	for (guint i = 0; i < G_N_ELEMENTS(names); i++)
		if (!strcmp(text, names[i])) {
			*ret_freeze = (PolicyFreeze)i;
			return TRUE;
		}
	return FALSE;
}
