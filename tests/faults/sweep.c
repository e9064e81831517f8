/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sweep: the life of a volume is repeated again and again.  The n-th time, the n-th call that
 * can fail is made to fail, once or from then on: operations of the backing, system calls below a
 * file, allocations, threads.  The tables say what part of the points is tried.  Builds with
 * sanitizers, which also look for leaks, try fewer points; with STORAGEOS_TEST_LONG set, every
 * point is tried.
 */
#include <errno.h>
#include <malloc.h>

#include "tests/backing/faulty.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "tests/faults/inject.h"
#include "tests/faults/life.h"

#define POINTS_MAX 5000
#define FEWER 4 /* a build with sanitizers tries one point in FEWER */

static guint64 lives, faults;

static const LifeRules io = {-EIO, STORAGEOS_ERROR_IO, FALSE, TRUE, FALSE};
static const LifeRules reading = {-EIO, STORAGEOS_ERROR_IO, TRUE, TRUE, FALSE};
static const LifeRules space = {-ENOSPC, STORAGEOS_ERROR_NO_SPACE, FALSE, TRUE, TRUE};
static const LifeRules space_only = {-ENOSPC, STORAGEOS_ERROR_NO_SPACE, FALSE, FALSE, TRUE};
static const LifeRules memory = {-ENOMEM, STORAGEOS_ERROR_NO_SPACE, TRUE, FALSE, FALSE};
static const LifeRules memory_below = {-ENOMEM, STORAGEOS_ERROR_NO_SPACE, FALSE, TRUE, FALSE};
static const LifeRules flushing = {-EIO, STORAGEOS_ERROR_NO_SPACE, FALSE, TRUE, FALSE};
static const LifeRules start = {-EIO, STORAGEOS_ERROR_IO, FALSE, FALSE, FALSE};
static const LifeRules busy = {-EIO, STORAGEOS_ERROR_BUSY, FALSE, FALSE, FALSE};
static const LifeRules nothing = {0, 0, FALSE, FALSE, FALSE};

typedef struct {
	const char *name;
	FaultyKind kinds;
	int err;
	gboolean for_ever, torn;
	const LifeRules *rules;
	guint stride; /* one point in `stride` is tried, on average; 0: only the first */
} SweepFailure;

static const SweepFailure failures[] = {
	{"EIO once", FAULTY_MODIFY, EIO, FALSE, TRUE, &io, 1},
	{"EIO for ever", FAULTY_MODIFY, EIO, TRUE, TRUE, &io, 2},
	{"EIO of every flush", FAULTY_FLUSH, EIO, TRUE, FALSE, &io, 1},
	{"ENOSPC once", FAULTY_WRITE | FAULTY_GROW, ENOSPC, FALSE, FALSE, &space, 1},
	{"ENOSPC for ever", FAULTY_WRITE | FAULTY_GROW, ENOSPC, TRUE, TRUE, &space, 1},
	{"ENOSPC of a flush", FAULTY_FLUSH, ENOSPC, FALSE, FALSE, &flushing, 1},
	{"ENOSPC when growing", FAULTY_GROW, ENOSPC, TRUE, FALSE, &space_only, 1},
	{"EIO once, reading", FAULTY_READ, EIO, FALSE, FALSE, &reading, 1},
	{"EIO for ever, reading", FAULTY_READ, EIO, TRUE, FALSE, &reading, 1},
	{"ENOMEM of a flush", FAULTY_FLUSH, ENOMEM, FALSE, FALSE, &flushing, 1},
	{"ENOMEM once", FAULTY_WRITE, ENOMEM, FALSE, FALSE, &memory_below, 2},
};

typedef struct {
	Injection injection;
	const LifeRules *rules;
	guint stride;
} SweepFault;

#define TRANSFERS (INJECT_READ | INJECT_WRITE)
#define CHANGES (INJECT_WRITE | INJECT_FLUSH | INJECT_SPACE)

static const SweepFault injections[] = {
	{{"EINTR once", TRANSFERS | CHANGES | INJECT_LOCK | INJECT_OPEN, EINTR, FALSE},
	 &nothing,
	 2},
	{{"a short transfer", TRANSFERS, INJECT_SHORT, FALSE}, &nothing, 2},
	{{"short transfers for ever", TRANSFERS, INJECT_SHORT, TRUE}, &nothing, 0},
	{{"EIO once", CHANGES, EIO, FALSE}, &io, 2},
	{{"EIO for ever", CHANGES, EIO, TRUE}, &io, 3},
	{{"ENOSPC once", INJECT_WRITE | INJECT_SPACE, ENOSPC, FALSE}, &space, 2},
	{{"EDQUOT for ever", INJECT_WRITE | INJECT_SPACE, EDQUOT, TRUE}, &space, 3},
	{{"EAGAIN once", CHANGES, EAGAIN, FALSE}, &io, 3},
	{{"ENXIO once, of a device that is gone", TRANSFERS | CHANGES, ENXIO, FALSE}, &reading, 3},
	{{"EBADMSG once, of the file system's own", TRANSFERS, EBADMSG, FALSE}, &reading, 3},
	{{"EUCLEAN once, of the file system's own", TRANSFERS | CHANGES, EUCLEAN, FALSE},
	 &reading,
	 3},
	{{"EIO once, reading", INJECT_READ, EIO, FALSE}, &reading, 1},
	{{"EIO for ever, reading", INJECT_READ, EIO, TRUE}, &reading, 2},
	{{"EMFILE once", INJECT_OPEN, EMFILE, FALSE}, &start, 1},
	{{"a lock that is taken", INJECT_LOCK, EWOULDBLOCK, FALSE}, &busy, 1},
	{{"no locks on this file system", INJECT_LOCK, ENOLCK, FALSE}, &start, 1},
	{{"no memory once", INJECT_MEMORY, ENOMEM, FALSE}, &memory, 1},
	{{"no memory for ever", INJECT_MEMORY, ENOMEM, TRUE}, &memory, 1},
	{{"no thread once", INJECT_THREAD, EAGAIN, FALSE}, &start, 1},
	{{"no thread for ever", INJECT_THREAD, EAGAIN, TRUE}, &start, 1},
};

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* The distance to the next point.  `all`: builds with sanitizers skip no more points than others.
 */
static guint64 step(TestRandom *random, guint stride, gboolean all)
{
	if (!stride)
		return POINTS_MAX;
	if (g_getenv("STORAGEOS_TEST_LONG"))
		return 1;
	if (test_is_instrumented() && !all)
		stride *= FEWER;
	return 1 + test_random_below(random, 2 * stride - 1);
}

/* A life counts as slow only if it was slow twice, because once may be due to the machine. */
static void check_quick(Life *life, gboolean again, gboolean *ret_again)
{
	*ret_again = life_was_slow(life) && !again && !test_is_instrumented();
	if (life_was_slow(life) && again)
		FAIL("a step took longer than a second, twice");
}

/* FALSE if the life was over before the fault struck. */
static gboolean live_with_failure(const SweepFailure *failure, guint64 point, gboolean again)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(Life) life = life_new(&(LifeGround){.faulty = backing}, failure->rules);
	guint64 count;
	gboolean slow = FALSE;

	test_row("%s at operation %" G_GUINT64_FORMAT, failure->name, point);
	backing_faulty_fail(backing, failure->kinds, point, failure->err, failure->for_ever,
			    failure->torn);
	life_run(life);
	count = backing_faulty_count(backing, failure->kinds);
	backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	life_check(life);
	lives++;
	if (count > point)
		faults += failure->for_ever ? count - point : 1;
	if (failure->rules->quick)
		check_quick(life, again, &slow);
	return slow ? live_with_failure(failure, point, TRUE) : count > point;
}

static void test_failure(const void *data)
{
	const SweepFailure *failure = data;
	TestRandom random = test_random_new(test_seed());
	guint64 lives_before = lives, faults_before = faults;
	guint64 point = step(&random, failure->stride, FALSE) - 1;

	while (point < POINTS_MAX && !test_failed() && live_with_failure(failure, point, FALSE))
		point += step(&random, failure->stride, FALSE);
	CHECK(point < POINTS_MAX);
	test_note("%" G_GUINT64_FORMAT " lives, %" G_GUINT64_FORMAT " faults", lives - lives_before,
		  faults - faults_before);
}

static gboolean live_with_injection(const SweepFault *fault, guint64 point, gboolean again)
{
	g_autofree char *path = test_path("volume");
	g_autoptr(Life) life = life_new(&(LifeGround){.path = path}, fault->rules);
	gboolean slow = FALSE;
	guint64 count;

	test_row("%s at call %" G_GUINT64_FORMAT, fault->injection.name, point);
	inject_begin(&fault->injection, point);
	life_run(life);
	count = inject_end();
	life_check(life);
	remove(path);
	lives++;
	if (fault->rules->quick)
		check_quick(life, again, &slow);
	return slow ? live_with_injection(fault, point, TRUE) : count > point;
}

static void test_injection(const void *data)
{
	const SweepFault *fault = data;
	const gboolean all = (fault->injection.kinds & (INJECT_MEMORY | INJECT_THREAD)) != 0;
	TestRandom random = test_random_new(test_seed());
	guint64 lives_before = lives, before = inject_total();
	guint64 point = fault->stride ? step(&random, fault->stride, all) - 1 : 0;

	while (point < POINTS_MAX && !test_failed() && live_with_injection(fault, point, FALSE))
		point += step(&random, fault->stride, all);
	CHECK(point < POINTS_MAX || !fault->stride);
	faults += inject_total() - before;
	test_note("%" G_GUINT64_FORMAT " lives, %" G_GUINT64_FORMAT " faults", lives - lives_before,
		  inject_total() - before);
}

static void test_count(const void *data)
{
	(void)data;
	CHECK(lives > 0 && faults > 0);
	test_note("%" G_GUINT64_FORMAT " lives, %" G_GUINT64_FORMAT " faults injected", lives,
		  faults);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	mallopt(M_MMAP_THRESHOLD, 64 * MIB); /* page faults of fresh memory would take much time */
	mallopt(M_TRIM_THRESHOLD, G_MAXINT);
	for (guint i = 0; i < G_N_ELEMENTS(failures); i++) {
		g_autofree char *name = g_strdup_printf("the backing: %s", failures[i].name);

		test_add(name, test_failure, &failures[i]);
	}
	for (guint i = 0; i < G_N_ELEMENTS(injections); i++) {
		g_autofree char *name = g_strdup_printf("a file: %s", injections[i].injection.name);

		test_add(name, test_injection, &injections[i]);
	}
	test_add("all of them together", test_count, NULL);
	return test_run(argc, argv);
}
