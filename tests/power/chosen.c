/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts that the sweeps hardly ever reach; each test builds the situation step by step.
 */
#include "common/engine/format.h"
#include "tests/power/session.h"
#include "tests/power/trial.h"

#define VOLUME_SIZE (2 * MIB)
#define SECTORS ((guint)(VOLUME_SIZE / SECTOR_SIZE))
#define JOURNAL_SIZE FORMAT_JOURNAL_MIN

static void start(Session *session)
{
	g_autoptr(Image) image = session_format(VOLUME_SIZE, JOURNAL_SIZE);
	g_autoptr(History) nothing = history_new(SECTORS, 1);

	session_start(session, image, nothing, 1);
	session_write(session, 0, 0, 64);
	session_checkpoint_and_wait(session, 0);
}

/* --- A ring that is full while the superblocks are switched ----------------------------------- */

#define FLUSHED (JOURNAL_SIZE / 8 * 3) /* less than the amount at which a checkpoint begins */
#define WRITES_MAX 3000		       /* far more than the ring has records */

static guint64 journal_used(Session *session)
{
	VolumeInfo info;

	volume_get_info(session->volume, &info);
	return info.journal_used;
}

static gpointer checkpoint_main(gpointer session)
{
	session_checkpoint(session, 0);
	return NULL;
}

/* Writes until the journal has no room.  FALSE if that does not happen. */
static gboolean fill_journal(Session *session)
{
	for (guint i = 0; i < WRITES_MAX && !session->failed; i++)
		if (!session_write_nowait(session, 0, i % 4 * 8, 8))
			return TRUE;
	return FALSE;
}

/* Flushes records that fill less than half of the ring, then fills the rest while a checkpoint's
 * superblock is being written.  The power is cut there. */
static guint64 record_full_ring(Session *session)
{
	GThread *other;
	guint64 cut;

	start(session);
	while (!session->failed && journal_used(session) < FLUSHED)
		session_write(session, 0, 16, 8);
	session_flush(session, 0);
	disk_hold_flush(session->disk, 2); /* the first flush is for the nodes */
	other = g_thread_new("checkpoint", checkpoint_main, session);
	if (CHECK(disk_await_hold(session->disk)))
		CHECK(fill_journal(session) && journal_used(session) > JOURNAL_SIZE / 4 * 3);
	cut = disk_now(session->disk).position;
	disk_release(session->disk);
	g_thread_join(other);
	session_stop(session);
	return cut;
}

static const char *replay;

/* Records that were flushed before a checkpoint must stay in the ring until the new superblock
 * counts. */
static void test_full_ring(const void *data)
{
	g_autoptr(Trials) trials = trials_new("test-power-chosen", 0);
	g_autoptr(Cutter) cutter = NULL;
	Session session;
	guint64 cut = record_full_ring(&session);
	Recording recording = {
		.name = "full-ring", .disk = session.disk, .history = session.history};

	(void)data;
	cutter = cutter_new(session.disk);
	cutter_go(cutter, cut);
	if (replay)
		trial_replay(trials, &recording, replay + strcspn(replay, ":"), TRUE);
	else
		trial_run(trials, &recording, cutter, cut, CHOICE_ALL_BUT(0)); /* the superblock */
	trials_report(trials, !replay);
	session_end(&session);
}

/* --- A volume that is tidied ------------------------------------------------------------------ */

/* Scatters all of the volume's data.  What was flushed is what the pass moves, so it must be there
 * wherever the pass is cut. */
static void test_tidied(const void *data)
{
	g_autoptr(Trials) trials = trials_new("test-power-chosen", 0);
	Session session;
	Recording recording = {.name = "tidied"};
	VolumeInfo before, after;
	guint64 from;

	(void)data;
	start(&session);
	session_write(&session, 0, 0, 2048);
	session_checkpoint_and_wait(&session, 0);
	for (guint i = 0; i < 128; i++)
		session_write(&session, 0, i * 80 % 2048, 8);
	session_checkpoint_and_wait(&session, 0);
	session_flush(&session, 0);
	volume_get_info(session.volume, &before);
	from = disk_now(session.disk).position;
	session_tidy(&session);
	volume_get_info(session.volume, &after);
	CHECK(after.tidied_bytes - before.tidied_bytes >= MIB);
	session_stop(&session);
	recording.disk = session.disk;
	recording.history = session.history;
	if (replay)
		trial_replay(trials, &recording, replay + strcspn(replay, ":"), TRUE);
	else
		trial_sweep(trials, &recording, from, disk_now(session.disk).position, test_seed());
	trials_report(trials, !replay);
	session_end(&session);
}

/* --- The same data once more ------------------------------------------------------------------ */

static Volume *open_disk(Disk *disk)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = volume_open(disk_backing(disk), "test", 0, &error);

	CHECK_NO_ERROR(error);
	return volume;
}

/* The number in a sector. */
static guint32 number_at(Volume *volume, guint sector)
{
	g_autofree guint32 *content = g_new0(guint32, SECTORS + 1);
	g_autofree char *why = NULL;

	if (!stamp_read(volume, SECTORS, content, &why))
		FAIL("%s", why);
	return content[sector];
}

/* What a loss of power leaves at that cut: all entries before it except `lost`. */
static Image *lose(Disk *disk, guint64 cut, guint64 lost)
{
	g_autoptr(Cutter) cutter = cutter_new(disk);
	guint number = cutter_go(cutter, lost); /* of changes that no flush covers */

	cutter_go(cutter, cut);
	return cutter_make(cutter, CHOICE_ALL_BUT(number));
}

/* Opens the disk and writes a number to eight sectors.  The power is lost when only the payload is
 * on the disk.  *ret_at: the payload's place. */
static Image *write_again(Image *image, guint first, guint32 number, guint64 *ret_at)
{
	g_autoptr(Disk) disk = disk_new(image);
	Volume *volume = open_disk(disk);
	guint64 begun = disk_now(disk).position;
	guint8 data[8 * SECTOR_SIZE];
	struct iovec iov = {data, sizeof data};

	if (!volume)
		return NULL;
	stamp_fill(data, number, first, 8);
	CHECK_INT(volume_write(volume, &iov, 1, first * SECTOR_SIZE, NULL), 0);
	volume_abandon(volume);
	*ret_at = disk_written_at(disk, begun);
	return lose(disk, begun + 1, begun + 1);
}

/* A recovery ends at a record whose payload is missing.  Then the client repeats the same write,
 * and it goes to the same slot.  Without the fence, the rejected record would verify again, and
 * with it the next record, whose loss a reader has seen. */
static void test_same_again(const void *data)
{
	const guint first = 128, second = 256;
	g_autoptr(Image) left = NULL, again = NULL;
	g_autoptr(Disk) disk = NULL;
	guint64 begun, at = 0;
	Session session;
	Volume *volume;

	(void)data;
	start(&session);
	session_reopen(&session);
	begun = disk_now(session.disk).position;
	session_write(&session, 0, first, 8);
	session_write(&session, 0, second, 8);
	session_stop(&session);
	left = lose(session.disk, disk_now(session.disk).position, begun);
	again = write_again(left, first, history_now(session.history)[first], &at);
	CHECK_UINT(at, disk_written_at(session.disk, begun));
	disk = again ? disk_new(again) : NULL;
	volume = disk ? open_disk(disk) : NULL;
	if (volume)
		CHECK_UINT(number_at(volume, second), 0);
	if (volume)
		volume_abandon(volume);
	session_end(&session);
}

int main(int argc, char **argv)
{
	replay = trials_parse(&argc, argv);
	if (!replay || g_str_has_prefix(replay, "full-ring"))
		test_add("a journal that is full while the superblocks are switched",
			 test_full_ring, NULL);
	if (!replay || g_str_has_prefix(replay, "tidied"))
		test_add("a volume that is tidied", test_tidied, NULL);
	if (!replay)
		test_add("what was lost is written once more, to the same place", test_same_again,
			 NULL);
	return test_run(argc, argv);
}
