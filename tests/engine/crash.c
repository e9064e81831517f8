/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crash sweep.  Each script is run again and again.  In run n, everything stops at operation n
 * that changes the backing; that operation may be torn.  Then the power is cut in several
 * ways.  After each cut the volume must be consistent (I5) and usable, and hold a prefix of the
 * steps: at least those that were flushed (I1, I3) or, where only the process died, all that
 * were acknowledged (I2).  Recoveries are swept in the same way, on what some of the crashes
 * left.
 */
#include <errno.h>
#include <malloc.h>

#include "tests/backing/faulty.h"
#include "common/base/logging.h"
#include "tests/engine/script.h"

#define PROCESS_DIED G_MAXUINT64
#define RANDOM_SEEDS 2
#define POINTS_MAX 3000 /* far more operations than any script has */

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* The operations at which a sweep stops: a sample that differs from run to run. tests/power
 * covers all of them; here, the engine also sees its last operation fail. */
static guint64 stride(void)
{
	return test_is_instrumented() ? 41 : 13;
}

static guint64 first_point(TestRandom *random)
{
	return test_random_below(random, stride());
}

static Backing *copy(Backing *backing)
{
	return backing_faulty_crash(backing, PROCESS_DIED);
}

/* The volume takes writes, keeps them, and closes without an error. */
static void check_goes_on(Backing *backing, Volume *volume, const Content *content)
{
	Content now;

	CHECK_INT(volume_put_value(volume, 0, 3 * SECTOR_SIZE, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
	backing_check(backing);
	volume = backing_open_volume(backing);
	if (volume && content_read(volume, &now)) {
		CHECK_ZERO(now.numbers, 3);
		CHECK_MEM(now.numbers + 3, content->numbers + 3, SCRIPT_SECTORS - 3);
	}
	volume_abandon(volume);
}

/* Checks that the backing holds a consistent volume with an allowed prefix of the steps. */
static void check_left(const Run *run, Backing *left, guint low)
{
	Volume *volume;
	Content content;

	if (!backing_check(left))
		return;
	volume = backing_open_volume(left);
	if (!volume)
		return;
	if (content_read(volume, &content) && run_check_prefix(run, low, &content))
		check_goes_on(left, volume, &content);
	else
		volume_abandon(volume);
}

static guint64 choose_seed(TestRandom *random, guint i)
{
	return i == 0 ? 0 : i == 1 ? PROCESS_DIED : test_random(random);
}

/* Cuts the power in several ways, and checks what each leaves. */
static void check_crash(const Run *run, Backing *backing, guint64 point, TestRandom *random)
{
	for (guint i = 0; i < 2 + RANDOM_SEEDS && !test_failed(); i++) {
		guint64 seed = choose_seed(random, i);
		g_autoptr(Backing) left = backing_faulty_crash(backing, seed);

		test_row("%s, stopped at operation %" G_GUINT64_FORMAT ", seed %" G_GUINT64_FORMAT,
			 run->script->name, point, seed);
		check_left(run, left, seed == PROCESS_DIED ? run->acknowledged : run->flushed);
	}
}

/* Runs the script up to operation `point`.  FALSE if it ended before. */
static gboolean run_to(Run *run, Backing *backing, guint64 point)
{
	Volume *volume = backing_open_volume(backing);
	guint64 before = backing_faulty_count(backing, FAULTY_MODIFY);

	if (!volume)
		return FALSE;
	backing_faulty_fail(backing, FAULTY_MODIFY, point, EIO, TRUE, TRUE);
	run_steps(run, backing, &volume, FALSE);
	if (volume)
		volume_abandon(volume);
	return backing_faulty_count(backing, FAULTY_MODIFY) - before > point;
}

static void sweep(const Script *script, TestRandom *random)
{
	Content before;
	g_autoptr(Backing) start = script_prepare(script, &before);
	gboolean stopped = TRUE;
	guint64 point = first_point(random);

	for (; stopped && point < POINTS_MAX && !test_failed(); point += stride()) {
		g_autoptr(Backing) backing = copy(start);
		Run run;

		run_init(&run, script, &before);
		test_row("%s, stopped at operation %" G_GUINT64_FORMAT, script->name, point);
		stopped = run_to(&run, backing, point);
		CHECK(stopped || run.acknowledged == run.n_steps);
		check_crash(&run, backing, point, random);
	}
	test_note("%s: %" G_GUINT64_FORMAT " operations", script->name, point - stride());
	CHECK(point > 3);
}

static void test_sweep(const void *data)
{
	TestRandom random = test_random_new(test_seed());

	sweep(data, &random);
}

static void test_random_scripts(const void *data)
{
	TestRandom random = test_random_new(test_seed());

	(void)data;
	for (guint i = 0; i < 2 && !test_failed(); i++) {
		Script script;

		script_random(&script, &random, 12);
		sweep(&script, &random);
	}
}

static gboolean read_all(Backing *backing, Content *ret_content)
{
	Volume *volume = backing_open_volume(backing);
	gboolean ok = volume && content_read(volume, ret_content);

	if (volume)
		volume_abandon(volume);
	return ok;
}

/* A recovery that stops at operation `point`, and a power cut.  The next recovery must find
 * `expected`.  FALSE if the first one ended before `point`. */
static gboolean recover_to(Backing *backing, guint64 point, const Content *expected,
			   TestRandom *random)
{
	guint64 before = backing_faulty_count(backing, FAULTY_MODIFY);
	g_autoptr(GError) error = NULL;
	gboolean stopped;
	Volume *volume;

	backing_faulty_fail(backing, FAULTY_MODIFY, point, EIO, TRUE, TRUE);
	volume = volume_open(backing_borrow(backing), "test", 0, &error);
	CHECK(volume || error);
	stopped = backing_faulty_count(backing, FAULTY_MODIFY) - before > point;
	if (volume)
		volume_abandon(volume);
	for (guint i = 0; i < 2 + RANDOM_SEEDS && !test_failed(); i++) {
		g_autoptr(Backing) left = backing_faulty_crash(backing, choose_seed(random, i));
		Content content;

		test_row("recovery stopped at operation %" G_GUINT64_FORMAT ", loss %u", point, i);
		backing_check(left);
		if (read_all(left, &content))
			CHECK_MEM(content.numbers, expected->numbers, SCRIPT_SECTORS);
	}
	return stopped;
}

/* Sweeps the recovery of a volume that lost its power at the end of the script. */
static void test_recovery(const void *data)
{
	const Script *script = data;
	TestRandom random = test_random_new(test_seed());
	Content before, expected;
	g_autoptr(Backing) backing = script_prepare(script, &before);
	Run run;

	run_init(&run, script, &before);
	run_to(&run, backing, POINTS_MAX);
	for (guint i = 0; i < 2 + RANDOM_SEEDS && !test_failed(); i++) {
		g_autoptr(Backing) left = backing_faulty_crash(backing, choose_seed(&random, i));
		g_autoptr(Backing) once = copy(left);
		gboolean stopped = TRUE;

		if (!read_all(once, &expected))
			return;
		for (guint64 point = first_point(&random);
		     stopped && point < POINTS_MAX && !test_failed(); point += stride()) {
			g_autoptr(Backing) again = copy(left);

			stopped = recover_to(again, point, &expected, &random);
		}
	}
}

typedef struct {
	gint left; /* atomic: operations until the process dies */
} ProcessLife;

static gboolean is_alive(guint64 offset, guint64 length, gpointer data)
{
	(void)offset, (void)length;
	return g_atomic_int_add(&((ProcessLife *)data)->left, -1) > 0;
}

/* Runs the script in a process that dies before operation `point`.  FALSE if the script ended
 * before. */
static gboolean run_until_death(Run *run, Backing *backing, gint point)
{
	ProcessLife life = {.left = point};
	Volume *volume =
		volume_open(backing_borrow_gated(backing, is_alive, &life), "test", 0, NULL);

	if (volume)
		run_steps(run, backing, &volume, FALSE);
	if (volume)
		volume_abandon(volume);
	return life.left < 0;
}

/* The process dies, and a power cut interrupts the next process's recovery.  Writes that were not
 * flushed may then be lost, although the second process saw them.  FALSE if the recovery ended
 * before. */
static gboolean die_and_recover(const Script *script, Backing *start, const Content *before,
				gint death, guint64 point, TestRandom *random)
{
	g_autoptr(Backing) backing = copy(start);
	guint64 count;
	Volume *volume;
	Run run;

	run_init(&run, script, before);
	run_until_death(&run, backing, death);
	count = backing_faulty_count(backing, FAULTY_MODIFY);
	backing_faulty_fail(backing, FAULTY_MODIFY, point, EIO, TRUE, TRUE);
	volume = volume_open(backing_borrow(backing), "test", 0, NULL);
	if (volume)
		volume_abandon(volume);
	for (guint i = 0; i < RANDOM_SEEDS && !test_failed(); i++) {
		guint64 seed = i ? test_random(random) : 0;
		g_autoptr(Backing) left = backing_faulty_crash(backing, seed);

		test_row("%s, died before operation %d, recovery stopped at operation "
			 "%" G_GUINT64_FORMAT ", seed %" G_GUINT64_FORMAT,
			 script->name, death, point, seed);
		check_left(&run, left, run.flushed);
	}
	return backing_faulty_count(backing, FAULTY_MODIFY) - count > point;
}

static void test_death_and_recovery(const void *data)
{
	const Script *script = data;
	TestRandom random = test_random_new(test_seed());
	Content before;
	g_autoptr(Backing) start = script_prepare(script, &before);
	gboolean died = TRUE;

	for (gint death = 1 + (gint)first_point(&random);
	     died && death < (gint)POINTS_MAX && !test_failed(); death += (gint)stride()) {
		g_autoptr(Backing) backing = copy(start);
		gboolean stopped = TRUE;
		Run run;

		run_init(&run, script, &before);
		died = run_until_death(&run, backing, death);
		for (guint64 point = first_point(&random) % 3; stopped && !test_failed();
		     point += 3)
			stopped = die_and_recover(script, start, &before, death, point, &random);
	}
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	mallopt(M_MMAP_THRESHOLD, 64 * MIB); /* otherwise much time goes into page faults */
	mallopt(M_TRIM_THRESHOLD, G_MAXINT);
	for (guint i = 0; i < n_scripts; i++) {
		g_autofree char *name = g_strdup_printf("crash: %s", scripts[i].name);
		g_autofree char *recovery =
			g_strdup_printf("crash while recovering from: %s", scripts[i].name);

		test_add(name, test_sweep, &scripts[i]);
		test_add(recovery, test_recovery, &scripts[i]);
		if (strstr("checkpoint close", scripts[i].name)) {
			g_autofree char *death = g_strdup_printf(
				"death, then crash while recovering from: %s", scripts[i].name);

			test_add(death, test_death_and_recovery, &scripts[i]);
		}
	}
	test_add("crash: random steps", test_random_scripts, NULL);
	return test_run(argc, argv);
}
