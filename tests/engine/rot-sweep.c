/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/rot-sweep.h"

#include "common/base/bounds.h"
#include "common/check/check.h"
#include "common/base/error.h"
#include "common/check/repair.h"
#include "common/check/scrub.h"

#define CASE_SECONDS 60 /* no case may take longer; a case takes milliseconds */
#define PART_CASES 64u	/* consecutive cases in one part of all */
#define NEWS_ROUNDS 8u
#define NEWS 1000000u /* the number of writes after an open */

RotSweep sweep_begin(const Scene *scene, guint64 of, guint64 sample)
{
	const char *wanted = g_getenv("STORAGEOS_ROT");
	guint64 few = scene->n_snapshots ? sample / 4 : sample; /* each case takes longer */
	RotSweep sweep = {
		.scene = scene,
		.copy = rot_copy_new(scene->image),
		.random = test_random_new(test_seed()),
		.of = of,
		.stride = max_u64(of / (test_is_instrumented() ? few / 16 : few), 1),
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

static gboolean is_listed(const GArray *lost, guint64 block)
{
	for (guint i = 0; lost && i < lost->len; i++) {
		const CheckRange *range = &g_array_index(lost, CheckRange, i);

		if (range->first <= block && block < range->end)
			return TRUE;
	}
	return FALSE;
}

/* What check says is lost to snapshot number `i`; NULL: nothing. */
static const GArray *lost_to_snapshot(const CheckResult *result, guint i)
{
	const char name[] = {'s', (char)('0' + i), '\0'};

	for (guint j = 0; result && j < result->losses->len; j++) {
		const CheckLoss *loss = g_ptr_array_index(result->losses, j);

		if (!strcmp(loss->snapshot, name))
			return loss->lost;
	}
	return NULL;
}

/* Check must list every block that cannot be read. */
static void check_lists_lost(const CheckResult *result, const Sight *sight)
{
	CHECK(is_noticed(result) || !sight->errors);
	for (guint place = 0; place < SCENE_PLACES; place++)
		if (sight->lost[place] &&
		    !is_listed(result ? result->lost : NULL, scene_block(place)))
			FAIL("block %" G_GUINT64_FORMAT
			     " cannot be read, and check does not list it",
			     scene_block(place));
}

static void check_names_place(const GError *error)
{
	static const char *const places[] = {"superblock", "journal",	     "bitmap",
					     "node",	   "snapshot table", "no storageos volume"};

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

/* ---- snapshots */

/* Which places of the snapshots can be read. */
typedef struct {
	gboolean opens[SCENE_SNAPSHOTS];
	guint8 lost[SCENE_SNAPSHOTS][SCENE_PLACES];
} SnapshotsSight;

/* Reads the snapshots.  Check must list what cannot be read, of each that has it. */
static SnapshotsSight look_at_snapshots(RotSweep *sweep, const CheckResult *result)
{
	SnapshotsSight sight = {0};

	for (guint i = 0; i < sweep->scene->n_snapshots; i++) {
		const GArray *listed = lost_to_snapshot(result, i);

		sight.opens[i] = scene_read_snapshot(sweep->scene, i, sweep->copy, sight.lost[i]);
		CHECK(sight.opens[i] || is_noticed(result));
		for (guint place = 0; place < SCENE_PLACES; place++)
			if (sight.lost[i][place] && result &&
			    !is_listed(listed, scene_block(place)))
				FAIL("block %" G_GUINT64_FORMAT " of snapshot s%u cannot be read, "
				     "and check does not list it",
				     scene_block(place), i);
	}
	return sight;
}

/* Whatever was done to the volume meanwhile, no snapshot has lost more. */
static void look_again(RotSweep *sweep, const SnapshotsSight *before)
{
	for (guint i = 0; i < sweep->scene->n_snapshots; i++) {
		guint8 lost[SCENE_PLACES] = {0};

		if (!before->opens[i])
			continue;
		CHECK(scene_read_snapshot(sweep->scene, i, sweep->copy, lost));
		for (guint place = 0; place < SCENE_PLACES; place++)
			CHECK(!lost[place] || before->lost[i][place]);
	}
}

/* ---- use */

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

/* Scrub mends what has a second copy. */
static void open_and_scrub(RotSweep *sweep, const CheckResult *result)
{
	Volume *volume = try_open(sweep, 0, is_noticed(result));
	g_autoptr(CheckResult) after = NULL;
	g_autoptr(Scrub) scrub = NULL;

	if (!volume)
		return;
	scrub = scrub_start(volume, 0, 0, NULL);
	CHECK(scrub && scrub_wait(scrub, CASE_SECONDS * 1000));
	scrub_free(g_steal_pointer(&scrub));
	if (!volume_close(volume, NULL) || !result || result->errors > result->copies)
		return;
	after = checked(sweep->copy);
	if (!after || after->errors)
		FAIL("after the scrub, check says '%s'",
		     after ? (const char *)g_ptr_array_index(after->messages, 0) : "nothing");
}

void sweep_judge(RotSweep *sweep, SweepUse use)
{
	g_autoptr(CheckResult) result = checked(sweep->copy);
	SnapshotsSight snapshots;
	gboolean opened;

	sweep->cases++;
	sweep->used += use != SWEEP_READ;
	sweep->noticed += is_noticed(result);
	opened = look(sweep, result, use == SWEEP_WRITE ? SCENE_MOST : SCENE_FEW);
	snapshots = look_at_snapshots(sweep, result);
	if (use == SWEEP_WRITE)
		open_and_write(sweep, result);
	else if (use == SWEEP_MEND)
		mend(sweep, opened);
	else if (use == SWEEP_SCRUB)
		open_and_scrub(sweep, result);
	if (use != SWEEP_READ)
		look_again(sweep, &snapshots);
}
