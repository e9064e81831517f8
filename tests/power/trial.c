/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/trial.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/check/check.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/engine/volume-snapshots.h"
#include "tests/power/base.h"
#include "tests/power/set.h"

#define SUBSETS_MAX 3 /* all subsets are tried of at most so many entries */
#define CUTS_OF_16 1  /* of 16 cuts, a sweep makes so many, unless --disks is given */
#define FAILURES_MAX 5
#define AGAIN 12     /* on one of so many disks, the power is cut again ... */
#define CUTS_AGAIN 2 /* ... this many times ... */
#define DEPTH_MAX 2  /* ... and on the resulting disks, too, down to this depth */
#define GO_ON 6	     /* one of so many volumes continues to be used */
#define SECTORS_LARGE 8192
#define DIE 16 /* at one of so many cuts, only the process dies */

struct Trials {
	const char *program;
	guint64 enough; /* number of disks to try; 0: all */
	GMutex mutex;	/* all below */
	Set *distinct, *seen;
	guint64 n_distinct; /* disks of different content */
	guint64 opened;	    /* distinct disks, and those whose required content differed */
	guint64 again;	    /* disks among these from a cut of a recovery, or of what followed it */
	guint64 died;	    /* deaths of the process alone */
	guint64 went_on;
	guint64 failures;
};

/* --- The run ---------------------------------------------------------------------------------- */

static gint64 option_disks;
static gint option_jobs = 2;
static gboolean option_keep_going;
static char *option_replay;

static const GOptionEntry entries[] = {
	{.long_name = "disks", .arg = G_OPTION_ARG_INT64, .arg_data = &option_disks},
	{.long_name = "jobs", .arg = G_OPTION_ARG_INT, .arg_data = &option_jobs},
	{.long_name = "keep-going", .arg = G_OPTION_ARG_NONE, .arg_data = &option_keep_going},
	{.long_name = "replay", .arg = G_OPTION_ARG_STRING, .arg_data = &option_replay},
	{0},
};

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

const char *trials_parse(int *argc, char **argv)
{
	GOptionContext *context = g_option_context_new(NULL);
	g_autoptr(GError) error = NULL;

	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, &argv, &error)) {
		fprintf(stderr, "%s\n", error->message);
		exit(2);
	}
	g_option_context_free(context);
	logging_set_sink(no_log);
	mallopt(M_MMAP_THRESHOLD, 64 << 20); /* page faults of fresh memory would take much time */
	mallopt(M_TRIM_THRESHOLD, G_MAXINT);
	return option_replay;
}

Trials *trials_new(const char *program, guint64 disks)
{
	Trials *trials = g_new0(Trials, 1);

	trials->program = program;
	trials->enough = option_disks ? (guint64)option_disks : disks;
	g_mutex_init(&trials->mutex);
	trials->distinct = set_new();
	trials->seen = set_new();
	return trials;
}

void trials_free(Trials *trials)
{
	set_free(trials->distinct);
	set_free(trials->seen);
	g_mutex_clear(&trials->mutex);
	g_free(trials);
}

static guint64 count_distinct(Trials *trials)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&trials->mutex);

	return trials->n_distinct;
}

static guint64 count_failures(Trials *trials)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&trials->mutex);

	return trials->failures;
}

gboolean trials_failed(Trials *trials)
{
	return count_failures(trials) > 0;
}

gboolean trials_enough(Trials *trials)
{
	return (count_failures(trials) >= FAILURES_MAX && !option_keep_going) ||
	       (trials->enough && count_distinct(trials) >= trials->enough);
}

gboolean trials_go_on(Trials *trials, guint64 round)
{
	return trials->enough ? !trials_enough(trials) : round == 0;
}

void trials_work(Trials *trials, GThreadFunc work, gpointer data)
{
	g_autofree GThread **threads = g_new0(GThread *, option_jobs);

	(void)trials;
	for (gint i = 0; i < option_jobs; i++)
		threads[i] = g_thread_new("trials", work, data);
	for (gint i = 0; i < option_jobs; i++)
		g_thread_join(threads[i]);
}

void trials_report(Trials *trials, guint64 least)
{
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&trials->mutex);

	test_note("%" G_GUINT64_FORMAT " distinct disks (%" G_GUINT64_FORMAT
		  " opened, of which %" G_GUINT64_FORMAT
		  " of a second or third cut; %" G_GUINT64_FORMAT
		  " deaths alone; %" G_GUINT64_FORMAT
		  " written and opened again): %" G_GUINT64_FORMAT " failed",
		  trials->n_distinct, trials->opened, trials->again, trials->died, trials->went_on,
		  trials->failures);
	CHECK(trials->n_distinct >= (trials->enough ? trials->enough : least));
}

/* --- One disk --------------------------------------------------------------------------------- */

/* The trial of one disk. */
typedef struct {
	Trials *trials;
	const Recording *from;
	guint64 cut, choice;
	gboolean again; /* the power will be cut again on this disk */
	guint64 hash;	/* of the disk's content */
	char *name;	/* owned */
} Trial;

static void G_GNUC_PRINTF(2, 3) fail(const Trial *trial, const char *format, ...)
{
	g_autofree char *why = NULL;
	va_list args;

	va_start(args, format);
	why = g_strdup_vprintf(format, args);
	va_end(args);
	g_mutex_lock(&trial->trials->mutex);
	trial->trials->failures++;
	g_mutex_unlock(&trial->trials->mutex);
	FAIL("%s --replay %s@%" G_GINT64_MODIFIER "x: %s", trial->trials->program, trial->name,
	     trial->hash, why);
}

/* Counts a disk.  FALSE if the same disk was tried before. */
static gboolean is_new(const Trial *trial)
{
	Trials *trials = trial->trials;
	guint64 wanted = history_hash(trial->from->history, trial->cut);
	g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&trials->mutex);

	if (!set_add(trials->seen, mix(trial->hash, wanted)))
		return FALSE;
	trials->n_distinct += set_add(trials->distinct, trial->hash);
	trials->opened++;
	trials->again += trial->from->depth > 0;
	return TRUE;
}

/* Checks that the disk is whole: one checkpoint, and each slot in exactly one place (I5, I6). */
static gboolean check_whole(const Trial *trial, Image *image, const char *when)
{
	g_autoptr(Disk) disk = disk_new_plain(image);
	g_autoptr(Backing) backing = disk_backing(disk);
	g_autoptr(GError) error = NULL;
	g_autoptr(CheckResult) result = check_run(backing, NULL, NULL, &error);

	if (!result)
		fail(trial, "%s: check: %s", when, error->message);
	else if (result->errors)
		fail(trial, "%s: check: %s", when, (char *)g_ptr_array_index(result->messages, 0));
	return result && !result->errors;
}

/* Reads a snapshot of the disk.  Returns FALSE if it fails; *ret_there: whether there is one. */
static gboolean read_snapshot(const Trial *trial, Disk *disk, const char *name, guint sectors,
			      gboolean *ret_there, guint32 *content)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *why = NULL;
	const VolumeSnapshotOpening opening = {.name = name, .open_base = base_open};
	Volume *volume = volume_open_snapshot_linked(disk_backing(disk), "test", &opening, &error);
	gboolean good = TRUE;

	*ret_there = volume != NULL;
	if (volume)
		good = stamp_read(volume, sectors, content, &why);
	else if (!g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND) &&
		 !g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_INVALID))
		why = g_strdup(error->message);
	if (why)
		fail(trial, "snapshot %s: %s", name, why);
	volume_close(volume, NULL);
	return good && !why;
}

/* Checks that each snapshot is there if it must be, and has what it must have.  Those that are
 * there are added to *next, unless that is NULL. */
static gboolean check_snapshots(const Trial *trial, Image *image, const History *history,
				guint64 cut, History *next)
{
	g_autofree guint32 *content = g_new(guint32, history_numbers(history));
	g_autoptr(Disk) disk = history_snapshots(history) ? disk_new_plain(image) : NULL;

	for (guint i = 0; i < history_snapshots(history); i++) {
		const HistorySnapshot *snapshot = history_snapshot(history, i);
		g_autofree char *why = NULL;
		gboolean there;

		if (!read_snapshot(trial, disk, snapshot->name, history_sectors(history), &there,
				   content))
			return FALSE;
		if (there ? !history_snapshot_may(snapshot, cut)
			  : history_snapshot_must(snapshot, cut)) {
			fail(trial, "snapshot %s is %sthere", snapshot->name, there ? "" : "not ");
			return FALSE;
		}
		if (there && !history_check_snapshot(history, snapshot, cut, content, &why)) {
			fail(trial, "snapshot %s: %s", snapshot->name, why);
			return FALSE;
		}
		if (there && next)
			history_add_snapshot(next, snapshot->name, content);
	}
	return TRUE;
}

/* Snapshots of large volumes are read on a share of the disks: that takes as long as all else. */
static gboolean snapshots_are_read(const Trial *trial)
{
	return history_sectors(trial->from->history) < SECTORS_LARGE || trial->hash % 4 == 0;
}

static Volume *open_volume(const Trial *trial, Disk *disk, const char *when)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = volume_open_linked(disk_backing(disk), "test", 0, base_open, NULL, &error);

	if (!volume)
		fail(trial, "%s: %s", when, error->message);
	return volume;
}

/* Reads everything, and compares it with what the history allows. */
static gboolean check_content(const Trial *trial, Volume *volume, const History *history,
			      guint64 cut, gboolean all, const char *when, guint32 *ret_content)
{
	g_autofree char *why = NULL;

	if (stamp_read(volume, history_sectors(history), ret_content, &why) &&
	    history_check(history, cut, all, ret_content, &why))
		return TRUE;
	fail(trial, "%s: %s", when, why);
	return FALSE;
}

/* --- After the recovery ----------------------------------------------------------------------- */

static gboolean put(Volume *volume, Disk *disk, History *history, guint first, guint count)
{
	g_autofree guint8 *data = g_malloc(count * SECTOR_SIZE);
	struct iovec iov = {data, count * SECTOR_SIZE};
	guint32 number;
	guint op = history_begin(history, disk, OP_WRITE, 0, first, count, &number);

	stamp_fill(data, number, first, count);
	if (volume_write(volume, &iov, 1, (guint64)first * SECTOR_SIZE, NULL))
		return FALSE;
	history_end(history, disk, op);
	return TRUE;
}

static gboolean flush(Volume *volume, Disk *disk, History *history)
{
	guint op = history_begin(history, disk, OP_FLUSH, 0, 0, 0, NULL);

	if (volume_flush(volume))
		return FALSE;
	history_end(history, disk, op);
	return TRUE;
}

static gboolean discard(Volume *volume, Disk *disk, History *history, guint first, guint count)
{
	guint op = history_begin(history, disk, OP_ZERO, 0, first, count, NULL);

	if (volume_discard(volume, (guint64)first * SECTOR_SIZE, (guint64)count * SECTOR_SIZE))
		return FALSE;
	history_end(history, disk, op);
	return TRUE;
}

static gboolean shut(Volume *volume, Disk *disk, History *history)
{
	guint op = history_begin(history, disk, OP_FLUSH, 0, 0, 0, NULL);

	if (!volume_close(volume, NULL))
		return FALSE;
	history_end(history, disk, op);
	return TRUE;
}

/* Changes the volume, as `how` says, and ends it: closed, or abandoned. */
static gboolean change(Volume *volume, const Recording *next, guint64 how)
{
	guint sectors = (guint)(volume_size(volume) / SECTOR_SIZE);
	guint first = (guint)(how >> 8) % 64, count = 1 + (guint)(how >> 16) % 24;
	gboolean good = put(volume, next->disk, next->history, first, count);

	if (good && how & 1)
		good = flush(volume, next->disk, next->history);
	if (good && how & 2)
		good = discard(volume, next->disk, next->history, 7, sectors - 8);
	if (good && how & 4)
		good = put(volume, next->disk, next->history, 2 * first, 9) &&
		       flush(volume, next->disk, next->history);
	if (good && how & 8)
		return shut(volume, next->disk, next->history);
	volume_abandon(volume);
	return good;
}

/* Checks that the volume accepts and keeps changes, and is whole. */
static gboolean go_on(const Trial *trial, Volume *volume, const Recording *next)
{
	guint64 how = mix(trial->cut, trial->choice);
	g_autofree guint32 *content = g_new(guint32, history_numbers(next->history));
	g_autoptr(Image) image = NULL;
	g_autoptr(Disk) disk = NULL;
	gboolean good;

	if (!change(volume, next, how)) {
		fail(trial, "going on: a request failed");
		return FALSE;
	}
	image = disk_visible(next->disk);
	if (!check_whole(trial, image, "going on") ||
	    !check_snapshots(trial, image, next->history, CUT_NONE, NULL))
		return FALSE;
	disk = disk_new_plain(image);
	volume = open_volume(trial, disk, "going on");
	good = volume &&
	       check_content(trial, volume, next->history, CUT_NONE, TRUE, "going on", content);
	if (volume)
		volume_abandon(volume);
	g_mutex_lock(&trial->trials->mutex);
	trial->trials->went_on++;
	g_mutex_unlock(&trial->trials->mutex);
	return good;
}

static gboolean goes_on(const Trial *trial)
{
	return trial->choice != CHOICE_ALL && mix(trial->choice, trial->cut) % GO_ON == 0;
}

/* Opens the disk and records its recovery; some volumes continue to be used.  FALSE if something is
 * wrong; otherwise *next is the new recording, with a history of its own. */
static gboolean recover(const Trial *trial, Cutter *cutter, Image *image, Recording *next)
{
	const History *history = trial->from->history;
	gboolean died = trial->choice == CHOICE_ALL;
	g_autofree guint32 *content = g_new(guint32, history_numbers(history));
	Volume *volume;

	next->disk = died	    ? cutter_die(cutter)
		     : trial->again ? disk_new(image)
				    : disk_new_plain(image);
	next->depth = trial->from->depth + 1;
	next->name = trial->name;
	volume = open_volume(trial, next->disk, "open");
	if (!volume)
		return FALSE;
	if (!check_content(trial, volume, history, trial->cut, died, "open", content)) {
		volume_abandon(volume);
		return FALSE;
	}
	next->history = died ? history_until(history, trial->cut) : history_from(history, content);
	if (snapshots_are_read(trial) &&
	    !check_snapshots(trial, image, history, trial->cut, died ? NULL : next->history)) {
		volume_abandon(volume);
		return FALSE;
	}
	if (goes_on(trial))
		return go_on(trial, volume, next);
	volume_abandon(volume);
	return TRUE;
}

/* --- Cuts ------------------------------------------------------------------------------------- */

static int compare_cuts(const void *a, const void *b)
{
	guint64 x = *(const guint64 *)a, y = *(const guint64 *)b;

	return x < y ? -1 : x > y;
}

/* A choice for `n` entries: in one of four cases all but one of them, in another one a subset. */
static guint64 choose(guint64 random, guint n)
{
	guint64 mask = n >= CHOICE_MASK_BITS ? ((guint64)1 << CHOICE_MASK_BITS) - 1
					     : ((guint64)1 << n) - 1;

	if (random & 1 && random & 2 && n)
		return CHOICE_ALL_BUT((random >> 8) % n);
	if (random & 1 && n <= CHOICE_MASK_BITS)
		return CHOICE_MASKS | (random >> 8 & mask);
	return CHOICE_CHANCE | random >> 8;
}

static void cut_again(Trials *trials, const Recording *next, guint64 from, guint64 seed)
{
	g_autoptr(Cutter) cutter = cutter_new(next->disk);
	guint64 span = disk_now(next->disk).position - from + 1, cuts[CUTS_AGAIN];

	for (guint i = 0; i < CUTS_AGAIN; i++)
		cuts[i] = from + mix(seed, i) % span;
	qsort(cuts, CUTS_AGAIN, sizeof *cuts, compare_cuts);
	for (guint i = 0; i < CUTS_AGAIN; i++) {
		guint n = cutter_go(cutter, cuts[i]);

		trial_run(trials, next, cutter, cuts[i], choose(mix(~seed, i), n));
	}
}

static gboolean is_cut_again(guint depth, guint64 cut, guint64 choice)
{
	return depth < DEPTH_MAX && (choice == CHOICE_ALL || mix(choice, ~cut) % AGAIN == 0);
}

static void trial_image(const Trial *trial, Cutter *cutter, Image *image)
{
	Recording next = {0};
	guint64 from = trial->choice == CHOICE_ALL ? trial->cut : 0;

	if (check_whole(trial, image, "as it was left") && recover(trial, cutter, image, &next) &&
	    trial->again)
		cut_again(trial->trials, &next, from, mix(trial->cut, trial->choice));
	disk_free(next.disk);
	g_clear_pointer(&next.history, history_free);
}

static Trial trial_new(Trials *trials, const Recording *recording, guint64 cut, guint64 choice)
{
	return (Trial){.trials = trials,
		       .from = recording,
		       .cut = cut,
		       .choice = choice,
		       .again = is_cut_again(recording->depth, cut, choice),
		       .name = g_strdup_printf("%s:%" G_GUINT64_FORMAT ":%" G_GINT64_MODIFIER "x",
					       recording->name, cut, choice)};
}

void trial_run(Trials *trials, const Recording *recording, Cutter *cutter, guint64 cut,
	       guint64 choice)
{
	Trial trial = trial_new(trials, recording, cut, choice);
	g_autoptr(Image) image = cutter_make(cutter, choice);

	trial.hash = image_hash(image);
	if (choice == CHOICE_ALL) {
		g_mutex_lock(&trials->mutex);
		trials->died++;
		g_mutex_unlock(&trials->mutex);
	}
	if (choice == CHOICE_ALL || is_new(&trial))
		trial_image(&trial, cutter, image);
	g_free(trial.name);
}

/* Tries all subsets with the last entry; the subsets without it were tried at the previous cut. */
static void sweep_subsets(Trials *trials, const Recording *recording, Cutter *cutter, guint64 cut,
			  guint n)
{
	guint64 last = n ? (guint64)1 << (n - 1) : 0;

	for (guint64 mask = last; mask < MAX(2 * last, 1); mask++)
		trial_run(trials, recording, cutter, cut, CHOICE_MASKS | mask);
}

void trial_cut(Trials *trials, const Recording *recording, Cutter *cutter, guint64 cut,
	       guint64 random)
{
	guint n = cutter_go(cutter, cut);

	if (n <= SUBSETS_MAX)
		sweep_subsets(trials, recording, cutter, cut, n);
	else
		trial_run(trials, recording, cutter, cut, choose(mix(random, 0) | 1, n));
	if (n && random & 1)
		trial_run(trials, recording, cutter, cut, choose(mix(random, 1) & ~(guint64)1, n));
	if (mix(random, 2) % DIE == 0)
		trial_run(trials, recording, cutter, cut, CHOICE_ALL);
}

void trial_sweep(Trials *trials, const Recording *recording, guint64 from, guint64 to, guint64 seed)
{
	g_autoptr(Cutter) cutter = cutter_new(recording->disk);

	for (guint64 cut = from; cut <= to && !trials_enough(trials); cut++)
		if (cut == to || option_disks || mix(~seed, cut) % 16 < CUTS_OF_16)
			trial_cut(trials, recording, cutter, cut, mix(seed, cut));
}

/* --- Again ------------------------------------------------------------------------------------ */

static gboolean parse_pair(const char **path, guint64 *cut, guint64 *choice)
{
	char *end;

	if (**path != ':')
		return FALSE;
	*cut = g_ascii_strtoull(*path + 1, &end, 10);
	if (*end != ':')
		return FALSE;
	*choice = g_ascii_strtoull(end + 1, &end, 16);
	*path = end;
	return TRUE;
}

/* Whether the hash at a path's end, if there is one, is that of the image. */
static gboolean is_wanted(const char *end, guint64 hash)
{
	return *end != '@' || g_ascii_strtoull(end + 1, NULL, 16) == hash;
}

gboolean trial_replay(Trials *trials, const Recording *recording, const char *path, gboolean anyway)
{
	g_autoptr(Cutter) cutter = cutter_new(recording->disk);
	g_autoptr(Image) image = NULL;
	Recording next = {0};
	guint64 cut = 0, choice = 0;
	gboolean done = TRUE;
	Trial trial;

	if (!CHECK(parse_pair(&path, &cut, &choice)) ||
	    !CHECK(cut >= disk_forgotten(recording->disk)))
		return TRUE;
	if (cut > disk_now(recording->disk).position && !anyway)
		return FALSE;
	if (!CHECK(cut <= disk_now(recording->disk).position))
		return TRUE;
	cutter_go(cutter, cut);
	image = cutter_make(cutter, choice);
	if (!anyway && !is_wanted(path, image_hash(image)))
		return FALSE;
	trial = trial_new(trials, recording, cut, choice);
	trial.again = TRUE;
	trial.hash = image_hash(image);
	test_note("%s@%" G_GINT64_MODIFIER "x", trial.name, trial.hash);
	if (check_whole(&trial, image, "as it was left") && recover(&trial, cutter, image, &next) &&
	    *path == ':')
		done = trial_replay(trials, &next, path, anyway);
	disk_free(next.disk);
	g_clear_pointer(&next.history, history_free);
	g_free(trial.name);
	return done;
}
