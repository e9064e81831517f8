/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts of long random workloads: many threads use one volume at once, its checkpoint thread
 * beside them, and what they did is recorded and cut.  Then the process dies, and the next workload
 * continues with the same volume.
 *
 * Each thread has stretches of sectors of its own, which begin and end inside blocks.  What many
 * threads do cannot be repeated, so the recording of a disk that fails is kept in a file in the
 * directory $STORAGEOS_POWER_KEEP or /var/tmp.  The file's name is the first part of the disk's
 * name (trial.h).
 */
#include "tests/power/recording.h"
#include "tests/power/session.h"
#include "tests/power/trial.h"

#define VOLUME_SIZE (5 * MIB + SECTOR_SIZE)
#define SECTORS ((guint)(VOLUME_SIZE / SECTOR_SIZE))
#define THREADS 5
#define OPERATIONS 30 /* operations of each thread in one recording */
#define BATCH 8	      /* writes */
#define STRETCHES 60
#define LONG_STRETCH 2100 /* long enough for a write of 1 MiB */

#define DISKS 4000 /* distinct disks */
#define DISKS_INSTRUMENTED 100

typedef struct {
	guint thread, first, count; /* sectors */
} SectorStretch;

static SectorStretch stretches[STRETCHES];

/* Distributes the sectors over the threads, in stretches of very different lengths. */
static void deal(History *history, TestRandom *random)
{
	guint first = 0, rest = SECTORS - THREADS / 2 * LONG_STRETCH;

	for (guint i = 0; i < STRETCHES; i++) {
		guint left = STRETCHES - i,
		      count = 1 + (guint)test_random_below(random, 2 * rest / left);

		count = left == 1 ? SECTORS - first : MIN(count, rest - left);
		rest -= MIN(rest, count);
		if (i % (STRETCHES / 2) == STRETCHES / 4)
			count += LONG_STRETCH;
		stretches[i] =
			(SectorStretch){(guint)test_random_below(random, THREADS), first, count};
		if (i % (STRETCHES / 2) == STRETCHES / 4)
			stretches[i].thread = i % THREADS;
		history_own(history, stretches[i].thread, first, count);
		first += count;
	}
}

typedef struct {
	Session *session;
	guint thread;
	guint64 seed;
} SessionWorker;

/* Chooses a part of one of the thread's stretches; short parts are more likely. */
static void choose_part(const SessionWorker *worker, TestRandom *random, guint *ret_first,
			guint *ret_count)
{
	const SectorStretch *stretch;
	guint most;

	do
		stretch = &stretches[test_random_below(random, STRETCHES)];
	while (stretch->thread != worker->thread);
	most = test_random_below(random, 12) ? MIN(stretch->count, 40) : MIN(stretch->count, 2048);
	*ret_count = 1 + (guint)test_random_below(random, most);
	if (test_random_below(random, 4) == 0)
		*ret_count = most;
	*ret_first =
		stretch->first + (guint)test_random_below(random, stretch->count - *ret_count + 1);
}

/* Whole blocks, so far as a stretch has any. */
static void write_batch(const SessionWorker *worker, TestRandom *random)
{
	SessionPart parts[BATCH];

	for (guint i = 0; i < BATCH; i++) {
		guint first, count, end;

		choose_part(worker, random, &first, &count);
		end = (first + count) / 8 * 8;
		if ((first + 7) / 8 * 8 < end) {
			first = (first + 7) / 8 * 8;
			count = MIN(end - first, 64);
		}
		parts[i] = (SessionPart){first, count};
	}
	session_write_batch(worker->session, worker->thread, parts, BATCH);
}

/* A linked clone is flattened while it has no snapshot. */
static void flatten_some(Session *session)
{
	while (!session->failed && session_oldest(session) >= 0)
		session_delete_oldest(session, FALSE);
	if (volume_settled(session->volume, volume_settle(session->volume), 60))
		session_flatten(session, MIB / 4);
}

/* Two at a time. */
static void snapshot_or_delete(Session *session)
{
	if (session_oldest(session) >= 0 && session->names % 2 == 0)
		session_delete_oldest(session, FALSE);
	session_snapshot(session);
}

static void work_once(const SessionWorker *worker, TestRandom *random)
{
	Session *session = worker->session;
	guint first, count, what = (guint)test_random_below(random, 41);

	choose_part(worker, random, &first, &count);
	if (worker->thread == 0 && what < 3 && session_is_linked(session))
		flatten_some(session);
	else if (worker->thread == 0 && what < 5)
		snapshot_or_delete(session);
	else if (what < 18)
		session_write(session, worker->thread, first, count);
	else if (what < 22)
		write_batch(worker, random);
	else if (what < 25)
		session_compare_and_write(session, worker->thread, first, count);
	else if (what < 28)
		session_zero(session, worker->thread, first, count);
	else if (what < 31)
		session_discard(session, worker->thread, first, count);
	else if (what < 34)
		session_verify(session, first, count);
	else if (what < 39)
		session_flush(session, worker->thread);
	else if (what < 40)
		session_tidy(session);
	else
		session_checkpoint(session, worker->thread);
}

static gpointer work(gpointer data)
{
	const SessionWorker *worker = data;
	TestRandom random = test_random_new(worker->seed);

	for (guint i = 0; i < OPERATIONS && !worker->session->failed; i++)
		work_once(worker, &random);
	return NULL;
}

/* Records one workload, and the end of its process.  *ret_linked: the volume still has a base. */
static void record(Session *session, guint64 seed, gboolean *ret_linked)
{
	SessionWorker workers[THREADS];
	GThread *threads[THREADS];

	disk_slow_down(session->disk);
	for (guint i = 0; i < THREADS; i++) {
		workers[i] = (SessionWorker){session, i, mix(seed, i)};
		threads[i] = g_thread_new("worker", work, &workers[i]);
	}
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	while (!session->failed && session_oldest(session) >= 0)
		session_delete_oldest(session, FALSE);
	*ret_linked = session_is_linked(session);
	session_stop(session);
}

/* --- Cuts ------------------------------------------------------------------------------------- */

typedef struct {
	Trials *trials;
	Recording recording;
	guint64 seed, end;
	gint next; /* atomic: the next cut */
} CutSweep;

static gpointer sweep_main(gpointer data)
{
	CutSweep *sweep = data;
	g_autoptr(Cutter) cutter = cutter_new(sweep->recording.disk);

	while (!trials_enough(sweep->trials)) {
		guint64 cut = (guint)g_atomic_int_add(&sweep->next, 1);

		if (cut > sweep->end)
			break;
		trial_cut(sweep->trials, &sweep->recording, cutter, cut, mix(sweep->seed, cut));
	}
	return NULL;
}

static void sweep(Trials *trials, Session *session, guint64 seed)
{
	const char *directory = g_getenv("STORAGEOS_POWER_KEEP");
	g_autofree char *path = g_strdup_printf("%s/storageos-power-%" G_GINT64_MODIFIER "x",
						directory ? directory : "/var/tmp", mix(seed, 1));
	CutSweep all = {
		.trials = trials,
		.recording = {.name = path, .disk = session->disk, .history = session->history},
		.seed = seed,
		.end = disk_now(session->disk).position};

	trials_work(trials, sweep_main, &all);
	if (trials_failed(trials))
		CHECK(recording_save(path, session->disk, session->history));
}

/* Starts the next workload on the volume of the previous one. */
static void start_next(Session *session, Image **image, History **history, TestRandom *random)
{
	session_start(session, *image, *history, THREADS);
	deal(session->history, random);
}

typedef struct {
	guint64 journal_size;
	gboolean linked;
} Kind;

static void format(const Kind *kind, Image **ret_image, History **ret_history)
{
	Session session;

	*ret_image = session_format(VOLUME_SIZE, kind->journal_size);
	*ret_history = history_new(SECTORS, 1);
	if (!kind->linked)
		return;
	session_start(&session, *ret_image, *ret_history, 1);
	for (guint i = 0; i < SECTORS - 800; i += 900)
		session_write(&session, 0, i, 5 + i / 20);
	image_free(*ret_image);
	history_free(*ret_history);
	session_end_as_base(&session, kind->journal_size, ret_image, ret_history);
}

static void test_workloads(const void *data)
{
	const Kind *kind = data;
	g_autoptr(Trials) trials = trials_new("test-power-random",
					      test_is_instrumented() ? DISKS_INSTRUMENTED : DISKS);
	g_autoptr(Image) image = NULL;
	g_autoptr(History) history = NULL;
	TestRandom random = test_random_new(test_seed());

	format(kind, &image, &history);
	for (guint64 round = 0; trials_go_on(trials, round) && !test_failed(); round++) {
		gboolean linked;
		Session session;
		guint64 seed = test_random(&random);

		start_next(&session, &image, &history, &random);
		record(&session, seed, &linked);
		if (!session.failed)
			sweep(trials, &session, seed);
		image_free(image);
		history_free(history);
		image = disk_visible(session.disk);
		history = history_from(session.history, history_now(session.history));
		session_end(&session);
		if (kind->linked && !linked) {
			image_free(image);
			history_free(history);
			format(kind, &image, &history);
		}
	}
	trials_report(trials, 0);
}

/* --- One of them again ------------------------------------------------------------------------ */

static const char *replay;

static void test_replay(const void *data)
{
	g_autoptr(Trials) trials = trials_new("test-power-random", 0);
	g_autofree char *path = g_strndup(replay, strcspn(replay, ":"));
	Recording recording = {.name = path};
	g_autoptr(Image) image = NULL;
	g_autoptr(History) history = NULL;

	format(data, &image, &history); /* the base, which is always the same */
	REQUIRE(recording_load(path, &recording.disk, &recording.history));
	trial_replay(trials, &recording, replay + strlen(path), TRUE);
	history_free(recording.history);
	disk_free(recording.disk);
}

int main(int argc, char **argv)
{
	static const Kind small = {64 * KIB, FALSE}, common = {4 * MIB, FALSE},
			  linked = {64 * KIB, TRUE};

	replay = trials_parse(&argc, argv);
	if (replay) {
		test_add("the disk that is asked for", test_replay, &linked);
		return test_run(argc, argv);
	}
	test_add("many threads, and checkpoints all the time", test_workloads, &small);
	test_add("many threads", test_workloads, &common);
	test_add("a linked clone, and flatten", test_workloads, &linked);
	return test_run(argc, argv);
}
