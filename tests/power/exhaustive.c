/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts, all of them up to a bound: every sequence of up to three operations, cut after each
 * operation, and after its writes, punches, growths and flushes: after each of them if more
 * disks are requested than an ordinary run tries, otherwise after a random share.  The volume is
 * small.
 *
 * The name of a sequence is a digit for the state of the volume at the start, and a letter for each
 * operation (see below).  The name of a disk is a sequence and its cuts (trial.h).  `--replay NAME`
 * makes one disk again and tries it.
 */
#include "common/base/bounds.h"
#include "common/engine/format.h"
#include "tests/power/session.h"
#include "tests/power/trial.h"

/* Two leaves of the map, the second with few blocks, and an incomplete last block.  The volume can
 * shrink to one leaf without a root over it, and grow. */
#define VOLUME_SIZE (MIB + 32 * KIB + SECTOR_SIZE)
#define JOURNAL_SIZE FORMAT_JOURNAL_MIN
#define SECTORS ((guint)(VOLUME_SIZE / SECTOR_SIZE))
#define SECTORS_MIN ((guint)(MIB / SECTOR_SIZE))
#define SECTORS_MAX (SECTORS + 83)
#define BEFORE 280 /* sectors that are written before the sequence */
#define LENGTH 3

/* A replay may make another disk, because the checkpoint thread depends on the clock: on a machine
 * that stalls for a quarter of a second, it may act in between.  So a replay is tried this often.
 */
#define REPLAYS_MAX 100

/* Builds with sanitizers try one sequence in so many. */
#define STRIDE_INSTRUMENTED 199

/* --- Operations ------------------------------------------------------------------------------- */

static guint64 journal_head(Session *session)
{
	return disk_last_write(session->disk, FORMAT_JOURNAL_OFFSET,
			       FORMAT_JOURNAL_OFFSET + JOURNAL_SIZE);
}

/* Writes until `goal` bytes are left before the journal's ring wraps or, if `wrap`, until it has
 * wrapped. */
static void go_round(Session *session, guint64 goal, gboolean wrap)
{
	guint64 end = FORMAT_JOURNAL_OFFSET + JOURNAL_SIZE - goal, head = 0, before;
	VolumeInfo info;

	for (guint i = 0; !session->failed; i++) {
		before = head;
		session_write(session, 0, i % 4 * 8, 8);
		head = journal_head(session);
		if (wrap ? head < before : head >= end)
			return;
		if (i % 64 != 63)
			continue;
		volume_get_info(session->volume, &info);
		if (info.journal_used < info.journal_size / 3)
			continue;
		/* Makes the checkpoint here, because the thread's own moment is not predictable. */
		session_checkpoint_and_wait(session, 0);
		disk_forget(session->disk);
	}
}

static void write_sector(Session *session)
{
	session_write(session, 0, 27, 1);
}

static void write_block(Session *session)
{
	session_write(session, 0, 1200, 8);
}

static void write_unaligned(Session *session)
{
	session_write(session, 0, 2041, session_size(session) - 2041);
}

static void write_long(Session *session)
{
	session_write(session, 0, 3, (guint)min_u64(2048, session_size(session) - 3));
}

static void overwrite(Session *session)
{
	session_write(session, 0, 24, 16);
}

/* Two existing blocks, a hole, and the first block again. */
static void write_together(Session *session)
{
	static const SessionPart parts[] = {{24, 8}, {1208, 8}, {48, 16}, {24, 8}};

	session_write_batch(session, 0, parts, G_N_ELEMENTS(parts));
}

static void zero(Session *session)
{
	session_zero(session, 0, 21, 100);
}

static void discard(Session *session)
{
	session_discard(session, 0, 16, 240);
}

static void discard_all(Session *session)
{
	session_discard(session, 0, 0, session_size(session));
}

static void flush(Session *session)
{
	session_flush(session, 0);
}

static void compare_and_write(Session *session)
{
	session_compare_and_write(session, 0, 30, 5);
}

static void checkpoint(Session *session)
{
	session_checkpoint_and_wait(session, 0);
}

static void grow(Session *session)
{
	session_resize(session, session_size(session) < SECTORS ? SECTORS : SECTORS_MAX);
}

static void shrink(Session *session)
{
	session_resize(session, session_size(session) > SECTORS ? SECTORS : SECTORS_MIN);
}

static gpointer flush_main(gpointer session)
{
	flush(session);
	return NULL;
}

static gpointer checkpoint_main(gpointer session)
{
	checkpoint(session);
	return NULL;
}

/* Writes while the backing's `n`-th flush on behalf of another thread's operation runs. */
static void write_during(Session *session, GThreadFunc operation, guint n)
{
	GThread *other;

	disk_hold_flush(session->disk, n);
	other = g_thread_new("other", operation, session);
	if (CHECK(disk_await_hold(session->disk))) {
		overwrite(session);
		write_long(session);
	}
	disk_release(session->disk);
	g_thread_join(other);
}

static gpointer grow_main(gpointer session)
{
	grow(session);
	return NULL;
}

/* A volume that already has its largest size shrinks before it grows. */
static void write_during_growth(Session *session)
{
	if (session_size(session) == SECTORS_MAX)
		shrink(session);
	write_during(session, grow_main, 2);
}

static void write_during_flush(Session *session)
{
	write_sector(session); /* so that there is something to flush */
	write_during(session, flush_main, 1);
}

static void write_during_checkpoint(Session *session)
{
	write_during(session, checkpoint_main, 1);
}

/* At this moment the new superblock is written but not flushed. */
static void write_during_switch(Session *session)
{
	write_during(session, checkpoint_main, 2);
}

/* The snapshot's instant is in a checkpoint's flush; with it, changes of three generations are on
 * their way to the disk. */
static void snapshot_during_checkpoint(Session *session)
{
	guint64 generation = 0;
	guint snapshot = 0;
	GThread *other;

	disk_hold_flush(session->disk, 1);
	other = g_thread_new("other", checkpoint_main, session);
	if (CHECK(disk_await_hold(session->disk))) {
		overwrite(session);
		snapshot = session_begin_snapshot(session, &generation);
		overwrite(session);
	} else {
		session->failed = TRUE;
	}
	disk_release(session->disk);
	g_thread_join(other);
	session_end_snapshot(session, snapshot, generation);
}

static void wrap_journal(Session *session)
{
	go_round(session, 0, TRUE);
}

static void delete_oldest(Session *session)
{
	session_delete_oldest(session, FALSE);
}

static void bookmark_oldest(Session *session)
{
	session_delete_oldest(session, TRUE);
}

static void walk_once(Session *session)
{
	session_walk(session, 1);
}

static void walk_to_the_end(Session *session)
{
	session_walk(session, 100);
}

/* What is discarded is not freed before the snapshot, and so becomes the snapshot's dying part. */
static void snapshot_dying(Session *session)
{
	session_discard(session, 0, 0, SECTORS_MIN);
	session_snapshot(session);
}

/* All that the clone has from its base, and the base itself. */
static void flatten(Session *session)
{
	session_flatten(session, VOLUME_SIZE);
}

static gpointer flatten_main(gpointer session)
{
	flatten(session);
	return NULL;
}

/* The last of its flushes are those of the checkpoint that drops the base. */
static void write_during_flatten(Session *session)
{
	if (session_is_linked(session))
		write_during(session, flatten_main, 1);
}

static const struct {
	char letter; /* in the names of sequences */
	void (*run)(Session *session);
} operations[] = {
	{'s', write_sector},		/* one sector of an existing block */
	{'b', write_block},		/* one block that is a hole */
	{'u', write_unaligned},		/* across two leaves of the map, to the volume's end */
	{'m', write_long},		/* 1 MiB that begins inside a block */
	{'o', overwrite},		/* two existing blocks */
	{'t', write_together},		/* four writes at once */
	{'z', zero},			/* in two halves */
	{'d', discard},			/* whole blocks */
	{'D', discard_all},		/* the whole volume */
	{'f', flush},			/* of everything acknowledged */
	{'c', compare_and_write},	/* across two blocks */
	{'k', checkpoint},		/* two checkpoints */
	{'F', write_during_flush},	/* writes during a flush */
	{'K', write_during_checkpoint}, /* writes during a checkpoint */
	{'L', write_during_switch},	/* writes while a checkpoint switches superblocks */
	{'g', grow},			/* to the next of three sizes */
	{'h', shrink},			/* back to the previous size */
	{'G', write_during_growth},	/* writes while the volume switches to a larger size */
	{'w', wrap_journal},		/* writes until the journal wraps */
	{'r', session_reopen},		/* closes in order */
	{'x', session_die},		/* the process dies, and the next one opens the volume */

	{'S', session_snapshot},	   /* takes a snapshot */
	{'Y', snapshot_dying},		   /* takes one of what is about to be freed */
	{'T', snapshot_during_checkpoint}, /* takes one during a checkpoint's flush */
	{'X', delete_oldest},		   /* deletes the oldest snapshot */
	{'B', bookmark_oldest},		   /* the same, and leaves a bookmark */
	{'e', walk_once},		   /* one step of freeing what snapshots gave up */
	{'E', walk_to_the_end},		   /* all of them */
	{'R', session_rollback_to_oldest}, /* rolls back, and gives up what there was */

	{'n', flatten},		     /* copies what the base has, and drops it */
	{'N', write_during_flatten}, /* writes during its first flush */
};
#define N_OPERATIONS G_N_ELEMENTS(operations)

/* What sequences consist of: without snapshots all of the other operations. */
#define PLAIN "sbumotzdDfckFKLghGwrx"
#define WITH_SNAPSHOTS "oDfkKrxSYTXBeER"
#define LINKED "sumtzdDfkKxrghnN"

static void run_operation(Session *session, char letter)
{
	for (guint i = 0; i < N_OPERATIONS; i++)
		if (operations[i].letter == letter)
			operations[i].run(session);
}

/* --- What was before -------------------------------------------------------------------------- */

typedef struct {
	const char *name;
	gboolean crashed; /* its journal has records to replay */
	gboolean snapshots;
	gboolean linked;
	guint64 least; /* fewer distinct disks mean that something is no longer tried */
	const char *letters;
	Image *image;
	History *history;
} Start;

static Start starts[] = {
	{.name = "a volume that was closed", .least = 33000, .letters = PLAIN},
	{.name = "a volume that crashed", .crashed = TRUE, .least = 31000, .letters = PLAIN},
	{.name = "a volume with snapshots",
	 .crashed = TRUE,
	 .snapshots = TRUE,
	 .least = 6500,
	 .letters = WITH_SNAPSHOTS},
	{.name = "a linked clone",
	 .crashed = TRUE,
	 .linked = TRUE,
	 .least = 7500,
	 .letters = LINKED},
};

/* Two snapshots, the first with a dying part, and a third one that is being taken apart. */
static void prepare_snapshots(Session *session)
{
	session_snapshot(session);
	write_long(session);
	snapshot_dying(session);
	write_together(session);
	session_snapshot(session);
	overwrite(session);
	delete_oldest(session);
	walk_once(session);
}

static History *history_of_now(const Session *session)
{
	History *history = history_from(session->history, history_now(session->history));

	for (guint i = 0; i < history_snapshots(session->history); i++) {
		const HistorySnapshot *snapshot = history_snapshot(session->history, i);

		if (history_snapshot_must(snapshot, CUT_NONE))
			history_add_snapshot(history, snapshot->name, snapshot->content);
	}
	return history;
}

/* Replaces an empty volume by a linked clone, whose base has data here and there. */
static void prepare_clone(Image **image, History **history)
{
	Session session;

	session_start(&session, *image, *history, 1);
	session_write(&session, 0, 5, 190);
	session_write(&session, 0, 1000, 8);
	session_write(&session, 0, 2000, SECTORS - 2000);
	image_free(*image);
	history_free(*history);
	session_end_as_base(&session, JOURNAL_SIZE, image, history);
}

static void prepare(Start *start)
{
	g_autoptr(Image) image = session_format(VOLUME_SIZE, JOURNAL_SIZE);
	g_autoptr(History) nothing = history_new(SECTORS_MAX, 1);
	Session session;

	session_holds = start->snapshots;
	history_set_size(nothing, SECTORS);
	if (start->linked)
		prepare_clone(&image, &nothing);
	session_start(&session, image, nothing, 1);
	session_write(&session, 0, start->linked ? 100 : 0, start->linked ? 30 : BEFORE);
	if (start->linked)
		session_discard(&session, 0, 8, 40);
	session_checkpoint_and_wait(&session, 0);
	if (start->snapshots)
		prepare_snapshots(&session);
	go_round(&session, 600, FALSE);
	session_write(&session, 0, 8, 30);
	session_flush(&session, 0);
	if (!start->crashed)
		session_reopen(&session);
	if (!start->crashed)
		CHECK(volume_close(g_steal_pointer(&session.volume), NULL));
	start->image = disk_visible(session.disk);
	start->history = history_of_now(&session);
	image_hash(start->image);
	session_end(&session);
}

/* --- Sequences -------------------------------------------------------------------------------- */

typedef struct {
	Trials *trials;
	Start *start;
	guint64 seed;
	guint64 stride; /* every `stride`-th sequence ... */
	guint64 first;	/* ... from this number on */
	gint next;	/* atomic: the next sequence */
} SequenceSweep;

/* Records a sequence, which ends at *ret_to.  *ret_from is where the sequence's own part begins:
 * cuts before it are made by a shorter sequence. */
static gboolean record(Session *session, const Start *start, const char *letters, guint64 *ret_from,
		       guint64 *ret_to)
{
	guint64 from = 0;

	session_start(session, start->image, start->history, 2);
	for (guint i = 0; letters[i] && !session->failed; i++) {
		if (i && letters[i] != *start->letters)
			from = disk_now(session->disk).position;
		run_operation(session, letters[i]);
	}
	*ret_from = max_u64(from, disk_forgotten(session->disk));
	*ret_to = disk_now(session->disk).position;
	session_stop(session);
	return !session->failed;
}

static void sweep_sequence(SequenceSweep *sweep, guint64 number)
{
	char name[LENGTH + 2] = {(char)('0' + (sweep->start - starts))};
	Recording recording = {.name = name};
	guint64 seed = mix(sweep->seed, number), n = strlen(sweep->start->letters), from, to;
	Session session;

	for (guint i = LENGTH; i > 0; i--, number /= n)
		name[i] = sweep->start->letters[number % n];
	if (record(&session, sweep->start, name + 1, &from, &to)) {
		recording.disk = session.disk;
		recording.history = session.history;
		trial_sweep(sweep->trials, &recording, from, to, seed);
	}
	session_end(&session);
}

static gpointer sweep_main(gpointer data)
{
	SequenceSweep *sweep = data;
	guint64 letters = strlen(sweep->start->letters), n = letters * letters * letters;

	while (!trials_enough(sweep->trials)) {
		guint64 number = (guint)g_atomic_int_add(&sweep->next, 1);

		number = number * sweep->stride + sweep->first;
		if (number >= n)
			break;
		/* In mixed order, so that an incomplete sweep is a sample. */
		sweep_sequence(sweep, number * 1237 % n);
	}
	return NULL;
}

/* Once through the sequences. */
static void sweep_all(Trials *trials, Start *start, guint64 round)
{
	SequenceSweep sweep = {.trials = trials, .start = start, .seed = mix(test_seed(), round)};

	sweep.stride = test_is_instrumented() ? STRIDE_INSTRUMENTED : 1;
	sweep.first = sweep.seed % sweep.stride;
	trials_work(trials, sweep_main, &sweep);
}

static void test_sequences(const void *data)
{
	Start *start = (Start *)data;
	g_autoptr(Trials) trials = trials_new("test-power-exhaustive", 0);
	guint64 round = 0;

	prepare(start);
	while (!test_failed() && trials_go_on(trials, round))
		sweep_all(trials, start, round++);
	trials_report(trials, test_is_instrumented() ? start->least / 330 : start->least);
}

/* --- One of them again ------------------------------------------------------------------------ */

static const char *replay;

static void test_replay(const void *data)
{
	g_autoptr(Trials) trials = trials_new("test-power-exhaustive", 0);
	g_autofree char *name = g_strndup(replay, strcspn(replay, ":"));
	Recording recording = {.name = name};
	guint number = (guint)(*name - '0');
	Session session;
	guint64 from, to;

	(void)data;
	if (!CHECK(number < G_N_ELEMENTS(starts)) || !CHECK(strlen(name) == LENGTH + 1))
		return;
	prepare(&starts[number]);
	for (guint attempt = 1, done = FALSE; !done; attempt++) {
		done = TRUE;
		if (record(&session, &starts[number], name + 1, &from, &to)) {
			recording.disk = session.disk;
			recording.history = session.history;
			done = trial_replay(trials, &recording, replay + strlen(name),
					    attempt == REPLAYS_MAX);
		}
		session_end(&session);
	}
}

int main(int argc, char **argv)
{
	replay = trials_parse(&argc, argv);
	if (replay)
		test_add("the disk that is asked for", test_replay, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(starts) && !replay; i++) {
		g_autofree char *name =
			g_strdup_printf("sequences of %d operations: %s", LENGTH, starts[i].name);

		test_add(name, test_sequences, &starts[i]);
	}
	return test_run(argc, argv);
}
