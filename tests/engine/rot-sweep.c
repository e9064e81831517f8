/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/rot-sweep.h"

#include "common/base/bounds.h"
#include "common/check/check.h"
#include "common/base/error.h"
#include "common/check/repair.h"

#define CASE_SECONDS 60 /* no case may take longer; a case takes milliseconds */
#define PART_CASES 64u	/* consecutive cases in one part of all */
#define NEWS_ROUNDS 8u
#define NEWS 1000000u /* the number of writes after an open */

RotSweep sweep_begin(const Scene *scene, guint64 of, guint64 sample)
{
	const char *wanted = g_getenv("STORAGEOS_ROT");
	RotSweep sweep = {
		.scene = scene,
		.copy = rot_copy_new(scene->image),
		.random = test_random_new(test_seed()),
		.of = of,
		.stride = max_u64(of / (test_is_instrumented() ? sample / 16 : sample), 1),
		.n_parts = 1,
	};
	char *rest;

	if (!wanted)
		return sweep;
	sweep.stride = max_u64(g_ascii_strtoull(wanted, &rest, 10), 1);
	if (*rest == '/') { /* one part of all */
		sweep.part = sweep.stride - 1;
		sweep.n_parts = max_u64(g_ascii_strtoull(rest + 1, NULL, 10), 1);
		sweep.stride = 1;
	}
	return sweep;
}

gboolean sweep_takes(RotSweep *sweep)
{
	guint64 number = sweep->met++;

	if (sweep->stride > 1)
		return test_random_below(&sweep->random, sweep->stride) == 0 && !test_failed();
	return number / PART_CASES % sweep->n_parts == sweep->part && !test_failed();
}

void sweep_end(RotSweep *sweep)
{
	test_alarm(0, NULL);
	backing_free(sweep->copy);
	test_note("%s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " cases, %" G_GUINT64_FORMAT
		  " of them used as well; check noticed %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
		  " not opened, blocks lost in %" G_GUINT64_FORMAT,
		  sweep->scene->name, sweep->cases, sweep->of, sweep->used, sweep->noticed,
		  sweep->refused, sweep->lost);
}

void sweep_name(RotSweep *sweep, const char *format, ...)
{
	g_autofree char *what = NULL, *now = NULL;
	va_list list;

	va_start(list, format);
	what = g_strdup_vprintf(format, list);
	va_end(list);
	now = g_strdup_printf("%s: %s", sweep->scene->name, what);
	test_row("%s", now);
	test_alarm(CASE_SECONDS, now);
}

/* ---- what is required of a damaged volume */

static CheckResult *checked(Backing *backing)
{
	return check_run(backing, NULL, NULL, NULL);
}

/* Whether check reports anything. */
static gboolean is_noticed(const CheckResult *result)
{
	return !result || result->errors;
}

static gboolean is_listed(const CheckResult *result, guint64 block)
{
	for (guint i = 0; result && i < result->lost->len; i++) {
		const CheckRange *range = &g_array_index(result->lost, CheckRange, i);

		if (range->first <= block && block < range->end)
			return TRUE;
	}
	return FALSE;
}

/* Check must list every block that cannot be read. */
static void check_lists_lost(const CheckResult *result, const Sight *sight)
{
	CHECK(is_noticed(result) || !sight->errors);
	for (guint place = 0; place < SCENE_PLACES; place++)
		if (sight->lost[place] && !is_listed(result, scene_block(place)))
			FAIL("block %" G_GUINT64_FORMAT
			     " cannot be read, and check does not list it",
			     scene_block(place));
}

static void check_names_place(const GError *error)
{
	static const char *const places[] = {"superblock", "journal", "bitmap", "node",
					     "no storageos volume"};

	for (guint i = 0; i < G_N_ELEMENTS(places); i++)
		if (strstr(error->message, places[i]))
			return;
	FAIL("the error names no place: %s", error->message);
}

static Volume *try_open(RotSweep *sweep, VolumeOpenFlags flags, gboolean noticed)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = volume_open(backing_borrow(sweep->copy), "test", flags, &error);

	if (volume)
		return volume;
	check_names_place(error);
	if (!noticed)
		FAIL("open says '%s', check nothing", error->message);
	sweep->refused += flags == VOLUME_OPEN_READ_ONLY;
	return NULL;
}

/* Writes to every other place again and again, so that many slots that count as free are
 * taken.  Then all places must read as they should. */
static void write_on(RotSweep *sweep, Volume *volume, const Sight *before)
{
	const Scene *scene = sweep->scene;
	guint32 news[SCENE_PLACES] = {0};
	Sight after;

	for (guint round = 0; round < NEWS_ROUNDS; round++)
		for (guint place = 0; place < SCENE_PLACES; place += 2)
			if (!scene_write(volume, place, NEWS + round))
				news[place] = NEWS + round;
	volume_checkpoint(volume);
	after = scene_read(scene, volume, before->allowed, news, SCENE_MOST);
	for (guint place = 0; place < SCENE_PLACES; place++)
		CHECK(!after.lost[place] || before->lost[place]);
	if (!volume_close(volume, NULL))
		return;
	volume = volume_open(backing_borrow(sweep->copy), "test", VOLUME_OPEN_READ_ONLY, NULL);
	if (!CHECK(volume != NULL))
		return;
	scene_read(scene, volume, before->allowed, news, SCENE_FEW);
	volume_abandon(volume);
}

/* Judges the copy without writing to it.  Returns whether it can be opened. */
static gboolean look(RotSweep *sweep, const CheckResult *result, SceneExtent extent)
{
	const Scene *scene = sweep->scene;
	Volume *volume = try_open(sweep, VOLUME_OPEN_READ_ONLY, is_noticed(result));
	Sight sight;

	if (!volume)
		return FALSE;
	sight = scene_read(scene, volume, scene_all_states(scene), NULL, extent);
	sweep->lost += sight.errors != 0;
	check_lists_lost(result, &sight);
	volume_abandon(volume);
	return TRUE;
}

static void open_and_write(RotSweep *sweep, const CheckResult *result)
{
	const Scene *scene = sweep->scene;
	Volume *volume = try_open(sweep, 0, is_noticed(result));
	Sight sight;

	if (!volume)
		return;
	sight = scene_read(scene, volume, scene_all_states(scene), NULL, SCENE_FEW);
	check_lists_lost(result, &sight);
	write_on(sweep, volume, &sight);
}

/* Repair must do what its plan says, and leave everything as right as before.  It may end the
 * journal only of a volume that cannot be opened. */
static void mend(RotSweep *sweep, gboolean opened)
{
	g_autoptr(RepairPlan) plan = repair_plan(sweep->copy, 0, NULL, NULL, NULL, NULL);
	g_autoptr(CheckResult) result = NULL;

	if (!plan) {
		CHECK(!opened);
		return;
	}
	CHECK(!opened || !plan->may_cut);
	CHECK(repair_carry_out(plan, NULL));
	result = checked(sweep->copy);
	CHECK(look(sweep, result, SCENE_FEW) || (!opened && !plan->replay));
}

void sweep_judge(RotSweep *sweep, SweepUse use)
{
	g_autoptr(CheckResult) result = checked(sweep->copy);
	gboolean opened;

	sweep->cases++;
	sweep->used += use != SWEEP_READ;
	sweep->noticed += is_noticed(result);
	opened = look(sweep, result, use == SWEEP_WRITE ? SCENE_MOST : SCENE_FEW);
	if (use == SWEEP_WRITE)
		open_and_write(sweep, result);
	else if (use == SWEEP_MEND)
		mend(sweep, opened);
}
