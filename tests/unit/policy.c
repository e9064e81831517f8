/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/policy.h"

#include <stdlib.h>
#include <time.h>

#include "common/base/names.h"
#include "common/base/units.h"
#include "tests/harness.h"

#define HOUR 3600
#define DAY (24 * HOUR)

/* "2026-11-28 17:15" in UTC. */
static gint64 at(const char *text)
{
	g_autofree char *iso = g_strdup_printf("%.10sT%s:00Z", text, text + 11);
	g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(iso, NULL);

	return time ? g_date_time_to_unix(time) : -1;
}

/* ---- periods */

static const struct {
	PolicyPeriod period;
	const char *first, *second;
	gint64 apart;
} periods[] = {
	{POLICY_HOUR, "2026-11-28 17:00", "2026-11-28 17:59", 0},
	{POLICY_HOUR, "2026-11-28 17:59", "2026-11-28 18:00", 1},
	{POLICY_DAY, "2026-11-28 00:00", "2026-11-28 23:59", 0},
	{POLICY_DAY, "2026-11-28 23:59", "2026-11-29 00:00", 1},
	{POLICY_DAY, "2028-02-28 12:00", "2028-03-01 12:00", 2},
	{POLICY_WEEK, "2026-11-23 00:00", "2026-11-29 23:59", 0}, /* Monday to Sunday */
	{POLICY_WEEK, "2026-11-29 23:59", "2026-11-30 00:00", 1},
	{POLICY_WEEK, "2026-12-31 12:00", "2027-01-03 12:00", 0}, /* across the year's end */
	{POLICY_WEEK, "1969-12-29 00:00", "1970-01-04 23:59", 0},
	{POLICY_WEEK, "1969-12-28 23:59", "1969-12-29 00:00", 1},
	{POLICY_MONTH, "2026-01-31 23:59", "2026-02-01 00:00", 1},
	{POLICY_MONTH, "2028-02-29 23:59", "2028-03-01 00:00", 1},
	{POLICY_MONTH, "2026-12-31 23:59", "2027-01-01 00:00", 1},
	{POLICY_MONTH, "2026-12-01 00:00", "2026-12-31 23:59", 0},
	/* The hour that the clocks of Berlin skip, and the one that they show twice. */
	{POLICY_HOUR, "2026-03-29 00:59", "2026-03-29 01:00", 1},
	{POLICY_HOUR, "2026-10-25 00:30", "2026-10-25 01:30", 1},
	{POLICY_DAY, "2026-10-24 22:00", "2026-10-24 23:59", 0},
};

static void test_periods(const void *data)
{
	(void)data;
	g_setenv("TZ", "Europe/Berlin", TRUE);
	tzset();
	for (guint i = 0; i < G_N_ELEMENTS(periods); i++) {
		test_row("period %d, %s and %s", periods[i].period, periods[i].first,
			 periods[i].second);
		CHECK_INT(policy_period(periods[i].period, at(periods[i].second)) -
				  policy_period(periods[i].period, at(periods[i].first)),
			  periods[i].apart);
	}
}

/* What a damaged record may say. */
static void test_absurd_times(const void *data)
{
	static const gint64 times[] = {G_MININT64, -1, 0, G_MAXINT64};
	const Policy policy = {.keep = {1, 1, 1, 1}};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(times); i++) {
		PolicySnapshot snapshots[] = {{times[i], TRUE, FALSE, FALSE, 0},
					      {at("2026-11-28 17:15"), TRUE, FALSE, FALSE, 0}};

		test_row("%" G_GINT64_FORMAT, times[i]);
		CHECK(policy_is_due(&policy, snapshots, 1, at("2026-11-28 17:15")));
		policy_prune(&policy, snapshots, 2);
		CHECK(snapshots[0].pruned && !snapshots[1].pruned);
	}
}

/* ---- what is due, and what is pruned */

/* Snapshots as a text: "TIME MARK, TIME MARK": 'p' a policy's, 'h' one of these that is held, 'm'
 * made by hand. */
static guint snapshots_parse(const char *text, PolicySnapshot *snapshots)
{
	g_auto(GStrv) parts = g_strsplit(text, ",", -1);
	guint n = 0;

	for (; parts[n] && *parts[n]; n++) {
		char *part = g_strstrip(parts[n]);
		char mark = part[strlen(part) - 1];

		part[16] = '\0';
		snapshots[n] = (PolicySnapshot){at(part), mark != 'm', mark == 'h', FALSE, 0};
	}
	return n;
}

static const struct {
	const char *what;
	guint keep[POLICY_PERIODS];
	const char *snapshots, *now;
	gboolean due;
} dues[] = {
	{"none yet", {1, 0, 0, 0}, "", "2026-11-28 17:15", TRUE},
	{"only one made by hand", {1, 0, 0, 0}, "2026-11-28 17:01 m", "2026-11-28 17:15", TRUE},
	{"made this hour", {24, 7, 0, 0}, "2026-11-28 17:01 p", "2026-11-28 17:59", FALSE},
	{"a new hour", {24, 7, 0, 0}, "2026-11-28 17:59 p", "2026-11-28 18:00", TRUE},
	{"a new hour, but days are kept",
	 {0, 7, 0, 0},
	 "2026-11-28 00:00 p",
	 "2026-11-28 23:59",
	 FALSE},
	{"a new day", {0, 7, 0, 0}, "2026-11-28 23:59 p", "2026-11-29 00:00", TRUE},
	{"runs missed for days", {0, 7, 0, 0}, "2026-11-20 00:00 p", "2026-11-28 23:00", TRUE},
	{"a new month inside a week",
	 {0, 0, 4, 12},
	 "2026-11-30 00:00 p",
	 "2026-12-01 00:00",
	 TRUE},
	{"a new week inside a month",
	 {0, 0, 4, 12},
	 "2026-11-01 00:00 p",
	 "2026-11-02 00:00",
	 TRUE},
	{"neither", {0, 0, 4, 12}, "2026-12-01 00:00 p", "2026-12-06 23:00", FALSE},
	{"the clock was set back by a year",
	 {24, 0, 0, 0},
	 "2025-11-28 17:15 p, 2026-11-28 17:15 p",
	 "2025-11-28 17:30",
	 TRUE},
	{"and one was made since",
	 {24, 0, 0, 0},
	 "2025-11-28 17:15 p, 2026-11-28 17:15 p, 2025-11-28 17:30 p",
	 "2025-11-28 17:45",
	 FALSE},
	{"the newest is held", {24, 0, 0, 0}, "2026-11-28 17:01 h", "2026-11-28 17:30", FALSE},
};

static void test_due(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(dues); i++) {
		PolicySnapshot snapshots[8];
		Policy policy = {0};
		guint n = snapshots_parse(dues[i].snapshots, snapshots);

		memcpy(policy.keep, dues[i].keep, sizeof policy.keep);
		test_row("%s", dues[i].what);
		CHECK_INT(policy_is_due(&policy, snapshots, n, at(dues[i].now)), dues[i].due);
	}
}

static const struct {
	const char *what;
	guint keep[POLICY_PERIODS];
	const char *snapshots;
	const char *kept; /* '-': pruned */
	int oldest;
} prunings[] = {
	{"nothing there", {1, 1, 1, 1}, "", "", -1},
	{"fewer than are kept", {3, 0, 0, 0}, "2026-11-28 15:00 p, 2026-11-28 16:00 p", "kk", 0},
	{"the oldest hours",
	 {2, 0, 0, 0},
	 "2026-11-28 14:00 p, 2026-11-28 15:00 p, 2026-11-28 16:00 p, 2026-11-28 17:00 p",
	 "--kk",
	 0},
	{"made by hand, and held",
	 {1, 0, 0, 0},
	 "2026-11-28 14:00 m, 2026-11-28 15:00 h, 2026-11-28 16:00 p, 2026-11-28 17:00 p",
	 "kk-k",
	 2},
	{"one made by hand takes no place",
	 {2, 0, 0, 0},
	 "2026-11-28 15:00 p, 2026-11-28 16:00 p, 2026-11-28 17:00 m",
	 "kkk",
	 0},
	{"hours that were missed take no place",
	 {2, 0, 0, 0},
	 "2026-11-01 14:00 p, 2026-11-11 15:00 p, 2026-11-28 16:00 p",
	 "-kk",
	 0},
	{"the first of each day",
	 {1, 3, 0, 0},
	 "2026-11-26 00:10 p, 2026-11-26 12:00 p, 2026-11-27 01:00 p, 2026-11-27 23:00 p, "
	 "2026-11-28 00:00 p, 2026-11-28 01:00 p, 2026-11-28 02:00 p",
	 "k-k-k-k",
	 0},
	{"the first of each month, weeks beside",
	 {0, 0, 2, 2},
	 "2026-10-31 00:00 p, 2026-11-01 00:00 p, 2026-11-23 00:00 p, 2026-11-30 00:00 p, "
	 "2026-12-01 00:00 p",
	 "-kkkk",
	 0},
	{"the newest stays after the clock was set back",
	 {1, 0, 0, 0},
	 "2025-11-28 17:00 p, 2026-11-28 17:00 p, 2025-11-28 17:30 p",
	 "k-k",
	 0},
	{"the clock at each start is that of the year 2000",
	 {0, 0, 0, 2},
	 "2000-01-01 00:00 p, 2026-10-01 00:00 p, 2000-01-01 00:00 p, 2026-11-01 00:00 p, "
	 "2000-01-01 00:00 p, 2026-11-02 00:00 p",
	 "k--k-k",
	 0},
	{"only the newest", {1, 0, 0, 0}, "2026-11-28 17:00 p", "k", -1},
	{"all held", {1, 0, 0, 0}, "2026-11-28 16:00 h, 2026-11-28 17:00 h", "kk", -1},
};

static void test_pruned(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(prunings); i++) {
		PolicySnapshot snapshots[8];
		Policy policy = {0};
		guint n = snapshots_parse(prunings[i].snapshots, snapshots);
		char kept[9] = {0};

		memcpy(policy.keep, prunings[i].keep, sizeof policy.keep);
		test_row("%s", prunings[i].what);
		policy_prune(&policy, snapshots, n);
		for (guint j = 0; j < n; j++)
			kept[j] = snapshots[j].pruned ? '-' : 'k';
		CHECK_STR(kept, prunings[i].kept);
		CHECK_INT(policy_find_oldest(snapshots, n), prunings[i].oldest);
	}
}

/* ---- the volumes of a group */

static char *kept_describe(const PolicyList *list)
{
	GString *kept = g_string_new(NULL);

	for (guint i = 0; i < list->n; i++)
		g_string_append_c(kept, list->snapshots[i].pruned ? '-' : 'k');
	return g_string_free(kept, FALSE);
}

static void check_group(const char *first, const char *second, const char *want_first,
			const char *want_second, int oldest)
{
	const Policy policy = {.keep = {2, 0, 0, 0}};
	PolicySnapshot a[8], b[8];
	const PolicyList lists[] = {{a, snapshots_parse(first, a)},
				    {b, snapshots_parse(second, b)}};
	g_autofree char *kept_first = NULL, *kept_second = NULL;

	/* Those of the same hour are of one instant. */
	for (guint i = 0; i < G_N_ELEMENTS(lists); i++)
		for (guint j = 0; j < lists[i].n; j++)
			lists[i].snapshots[j].group =
				(guint64)policy_period(POLICY_HOUR, lists[i].snapshots[j].created);
	policy_prune_group(&policy, lists, G_N_ELEMENTS(lists));
	kept_first = kept_describe(&lists[0]);
	kept_second = kept_describe(&lists[1]);
	CHECK_STR(kept_first, want_first);
	CHECK_STR(kept_second, want_second);
	CHECK_INT(policy_find_oldest(a, lists[0].n), oldest);
}

static void test_group(const void *data)
{
	const char *four = "2026-11-28 14:00 p, 2026-11-28 15:00 p, 2026-11-28 16:00 p, "
			   "2026-11-28 17:00 p";

	(void)data;
	test_row("the same in both");
	check_group(four, four, "--kk", "--kk", 0);
	test_row("the newest is gone from the second, which keeps an older one");
	check_group(four, "2026-11-28 14:00 p, 2026-11-28 15:00 p, 2026-11-28 16:00 p", "-kkk",
		    "-kk", 0);
	test_row("one is held in the second");
	check_group(four, "2026-11-28 14:00 h, 2026-11-28 15:00 p, 2026-11-28 17:00 p", "kkkk",
		    "kkk", 1);
	test_row("no two are of one instant");
	check_group(four, "2026-11-27 14:00 h, 2026-11-27 15:00 p, 2026-11-27 16:00 p", "--kk",
		    "kkk", 0);
	test_row("the second has none");
	check_group(four, "", "--kk", "", 0);
}

/* ---- two years of runs */

typedef struct {
	PolicySnapshot snapshots[1000];
	guint n;
	GArray *made; /* gint64: when */
} History;

/* Whether a snapshot of each of the newest `keep` periods is there that ever had one. */
static void check_kept(const History *history, PolicyPeriod period, guint keep)
{
	gint64 last = G_MAXINT64;

	for (guint i = history->made->len; i-- && keep;) {
		gint64 number = policy_period(period, g_array_index(history->made, gint64, i));
		gboolean there = FALSE;

		if (number == last)
			continue;
		last = number;
		keep--;
		for (guint j = 0; j < history->n; j++)
			there |= policy_period(period, history->snapshots[j].created) == number;
		if (!there)
			FAIL("a snapshot of period %d, %" G_GINT64_FORMAT ", is gone", period,
			     number);
	}
}

static void history_run(History *history, const Policy *policy, gint64 now)
{
	guint left = 0, most = 0;

	if (!policy_is_due(policy, history->snapshots, history->n, now))
		return;
	history->snapshots[history->n++] = (PolicySnapshot){now, TRUE, FALSE, FALSE, 0};
	g_array_append_val(history->made, now);
	policy_prune(policy, history->snapshots, history->n);
	for (guint i = 0; i < history->n; i++)
		if (!history->snapshots[i].pruned)
			history->snapshots[left++] = history->snapshots[i];
	history->n = left;
	for (PolicyPeriod period = 0; period < POLICY_PERIODS; period++) {
		check_kept(history, period, policy->keep[period]);
		most += policy->keep[period];
	}
	CHECK(left <= most);
	CHECK_INT(history->snapshots[left - 1].created, now);
}

static void test_years(const void *data)
{
	const Policy policy = {.keep = {24, 7, 4, 12}};
	TestRandom random = test_random_new(test_seed());
	History history = {.made = g_array_new(FALSE, FALSE, sizeof(gint64))};
	gint64 now = at("2026-11-28 17:15");

	(void)data;
	for (gint64 end = now + 730 * DAY; now < end && !test_failed();) {
		history_run(&history, &policy, now);
		now += 15 * 60 + (gint64)test_random_below(&random, 60);
		if (!test_random_below(&random, 200)) /* it was off */
			now += (gint64)test_random_below(&random, 5 * DAY);
	}
	CHECK(history.made->len > 2000);
	CHECK(history.n >= 24 + 6);
	g_array_unref(history.made);
}

/* ---- names and limits */

static void test_snapshot_names(const void *data)
{
	g_autofree char *first = policy_snapshot_name(at("2026-11-28 17:15") + 59, 0);
	g_autofree char *third = policy_snapshot_name(at("2026-01-02 03:04"), 2);
	g_autofree char *least = policy_snapshot_name(G_MININT64, G_MAXUINT - 1);
	g_autofree char *most = policy_snapshot_name(G_MAXINT64, G_MAXUINT - 1);

	(void)data;
	CHECK_STR(first, "auto-20261128t1715z");
	CHECK_STR(third, "auto-20260102t0304z-3");
	CHECK(name_valid(first) && name_valid(third) && name_valid(least) && name_valid(most));
}

static void test_min_free(const void *data)
{
	const Policy percent = {.min_free_percent = 10}, bytes = {.min_free = 3 * GIB}, none = {0};

	(void)data;
	CHECK_UINT(policy_min_free(&percent, 1000), 100);
	CHECK_UINT(policy_min_free(&percent, G_MAXUINT64), G_MAXUINT64 / 100 * 10);
	CHECK_UINT(policy_min_free(&bytes, 1000), 3 * GIB);
	CHECK_UINT(policy_min_free(&none, 1000), 0);
}

int main(int argc, char **argv)
{
	test_add("hours, days, weeks and months are those of UTC", test_periods, NULL);
	test_add("a damaged time does no harm", test_absurd_times, NULL);
	test_add("what is due", test_due, NULL);
	test_add("what is pruned, and what first where space is short", test_pruned, NULL);
	test_add("what is kept in one volume of a group is kept in all", test_group, NULL);
	test_add("two years of runs keep what the policy promises", test_years, NULL);
	test_add("names", test_snapshot_names, NULL);
	test_add("how much must stay free", test_min_free, NULL);
	return test_run(argc, argv);
}
