/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/session.h"

#include <errno.h>
#include <sys/random.h>

#include "common/base/error.h"
#include "common/engine/checkpointer-private.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-flatten.h"
#include "common/engine/volume-snapshots.h"
#include "tests/harness.h"
#include "tests/power/base.h"

#define RESIZE_SECONDS 60
#define RANDOMS_OF_FORMAT 4 /* a volume and its clone draw different ones */
#define RANDOMS_BEFORE 8
#define NAMES_BEFORE 8 /* snapshots that a recording may begin with */

gboolean session_holds;

/* Calls of getrandom() by this thread since its session began. */
static __thread guint randoms;

/* Replaces the C library's function, from which a volume takes its UUID and its seed, and a
 * snapshot its UUID, so that a disk can be made again bit by bit. */
ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	TestRandom random = test_random_new(length + 100 * (guint64)randoms++);

	(void)flags;
	test_random_fill(&random, buffer, length);
	return (ssize_t)length;
}

/* Replaces GLib's function, from which a snapshot has its time, for the same reason. */
gint64 g_get_real_time(void)
{
	return G_USEC_PER_SEC;
}

static Image *format(guint64 size, guint64 journal_size, const BaseIdentity *base)
{
	const VolumeParameters parameters = {.size = size, .journal_size = journal_size};
	g_autoptr(Image) empty = image_new();
	g_autoptr(Disk) disk = disk_new(empty);
	g_autoptr(Backing) backing = disk_backing(disk);

	randoms = base ? RANDOMS_OF_FORMAT : 0;
	CHECK(volume_format_linked(backing, &parameters, base, NULL));
	return disk_visible(disk);
}

Image *session_format(guint64 size, guint64 journal_size)
{
	return format(size, journal_size, NULL);
}

static Image *format_linked(Image *base, guint64 journal_size)
{
	g_autoptr(GError) error = NULL;
	BaseIdentity identity;
	Volume *snapshot;
	Image *image;

	base_set(base);
	snapshot = base_open_snapshot(&error);
	if (!CHECK_NO_ERROR(error))
		return image_new();
	volume_as_base(snapshot, "test@" BASE_SNAPSHOT, &identity);
	image = format(volume_size(snapshot), journal_size, &identity);
	volume_close(snapshot, NULL);
	return image;
}

static void open_volume(Session *session)
{
	g_autoptr(GError) error = NULL;

	session->volume =
		volume_open_linked(disk_backing(session->disk), "test", 0, base_open, NULL, &error);
	session->failed |= !CHECK_NO_ERROR(error);
	if (session->volume)
		checkpointer_hold(session->volume->checkpointer, session_holds);
}

void session_start(Session *session, Image *start, const History *history, guint n_threads)
{
	*session = (Session){.disk = disk_new(start)};
	randoms = RANDOMS_BEFORE;
	session->history = history_from(history, history_now(history));
	history_set_threads(session->history, n_threads);
	for (guint i = 0; i < history_snapshots(history); i++) {
		const HistorySnapshot *snapshot = history_snapshot(history, i);

		history_add_snapshot(session->history, snapshot->name, snapshot->content);
		session->names = NAMES_BEFORE;
	}
	open_volume(session);
}

void session_stop(Session *session)
{
	if (session->volume)
		volume_abandon(g_steal_pointer(&session->volume));
}

void session_end(Session *session)
{
	session_stop(session);
	g_clear_pointer(&session->history, history_free);
	g_clear_pointer(&session->disk, disk_free);
}

/* Records that the operation ended. */
static void end(Session *session, guint op, int result)
{
	if (CHECK_INT(result, 0))
		history_end(session->history, session->disk, op);
	else
		session->failed = TRUE;
}

typedef int (*WriteFunction)(Volume *volume, const struct iovec *iov, int n_iov, guint64 offset,
			     guint64 *ret_offset);

/* FALSE if the write would have to wait. */
static gboolean write_by(Session *session, WriteFunction function, guint thread, guint first,
			 guint count)
{
	g_autofree guint8 *data = g_malloc(count * SECTOR_SIZE);
	struct iovec iov = {data, count * SECTOR_SIZE};
	guint32 number;
	guint op = history_begin(session->history, session->disk, OP_WRITE, thread, first, count,
				 &number);
	int r;

	stamp_fill(data, number, first, count);
	r = function(session->volume, &iov, 1, (guint64)first * SECTOR_SIZE, NULL);
	if (r != -EAGAIN)
		end(session, op, r);
	return r != -EAGAIN;
}

void session_write(Session *session, guint thread, guint first, guint count)
{
	session->failed |= !CHECK(write_by(session, volume_write, thread, first, count));
}

gboolean session_write_nowait(Session *session, guint thread, guint first, guint count)
{
	return write_by(session, volume_write_nowait, thread, first, count);
}

void session_write_batch(Session *session, guint thread, const SessionPart *parts, guint n)
{
	g_autofree VolumeWrite *writes = g_new0(VolumeWrite, n);
	g_autofree struct iovec *iov = g_new(struct iovec, n);
	g_autofree guint *ops = g_new(guint, n);
	guint32 number;

	for (guint i = 0; i < n; i++) {
		gsize length = parts[i].count * SECTOR_SIZE;

		ops[i] = history_begin(session->history, session->disk, OP_WRITE, thread,
				       parts[i].first, parts[i].count, &number);
		iov[i] = (struct iovec){g_malloc(length), length};
		stamp_fill(iov[i].iov_base, number, parts[i].first, parts[i].count);
		writes[i] = (VolumeWrite){.iov = &iov[i],
					  .n_iov = 1,
					  .offset = (guint64)parts[i].first * SECTOR_SIZE};
	}
	volume_write_batch(session->volume, writes, n);
	for (guint i = 0; i < n; i++) {
		end(session, ops[i], writes[i].result);
		g_free(iov[i].iov_base);
	}
}

/* What the sectors should hold.  Free the result. */
static guint8 *stamps_now(Session *session, guint first, guint count)
{
	guint8 *data = g_malloc0(count * SECTOR_SIZE);
	const guint32 *now = history_now(session->history) + first;

	for (guint i = 0; i < count; i++)
		if (now[i])
			stamp_fill(data + i * SECTOR_SIZE, now[i], first + i, 1);
	return data;
}

void session_compare_and_write(Session *session, guint thread, guint first, guint count)
{
	g_autofree guint8 *data = g_malloc(count * SECTOR_SIZE);
	g_autofree guint8 *expected = stamps_now(session, first, count);
	struct iovec iov = {data, count * SECTOR_SIZE}, want = {expected, count * SECTOR_SIZE};
	guint32 number;
	guint op = history_begin(session->history, session->disk, OP_WRITE, thread, first, count,
				 &number);
	stamp_fill(data, number, first, count);
	end(session, op,
	    volume_compare_and_write(session->volume, &want, 1, &iov, 1,
				     (guint64)first * SECTOR_SIZE, NULL));
}

void session_zero(Session *session, guint thread, guint first, guint count)
{
	guint op =
		history_begin(session->history, session->disk, OP_ZERO, thread, first, count, NULL);

	end(session, op,
	    volume_zero(session->volume, (guint64)first * SECTOR_SIZE,
			(guint64)count * SECTOR_SIZE));
}

void session_discard(Session *session, guint thread, guint first, guint count)
{
	guint op =
		history_begin(session->history, session->disk, OP_ZERO, thread, first, count, NULL);

	end(session, op,
	    volume_discard(session->volume, (guint64)first * SECTOR_SIZE,
			   (guint64)count * SECTOR_SIZE));
}

void session_verify(Session *session, guint first, guint count)
{
	g_autofree guint8 *data = g_malloc(count * SECTOR_SIZE);
	g_autofree guint8 *expected = stamps_now(session, first, count);
	struct iovec iov = {data, count * SECTOR_SIZE};

	session->failed |= !CHECK_INT(volume_read(session->volume, &iov, 1,
						  (guint64)first * SECTOR_SIZE, NULL),
				      0) ||
			   !CHECK_MEM(data, expected, count * SECTOR_SIZE);
}

static guint begin_flush(Session *session, guint thread)
{
	return history_begin(session->history, session->disk, OP_FLUSH, thread, 0, 0, NULL);
}

void session_flush(Session *session, guint thread)
{
	guint op = begin_flush(session, thread);

	end(session, op, volume_flush(session->volume));
}

void session_checkpoint(Session *session, guint thread)
{
	guint op = begin_flush(session, thread);

	end(session, op, volume_checkpoint(session->volume));
}

void session_tidy(Session *session)
{
	volume_tidy(session->volume);
}

guint session_size(const Session *session)
{
	return (guint)(volume_size(session->volume) / SECTOR_SIZE);
}

void session_resize(Session *session, guint sectors)
{
	guint before = session_size(session);
	guint ops[3], n = 0;
	gboolean done;

	if (sectors == before)
		return;
	if (sectors < before)
		ops[n++] = history_begin(session->history, session->disk, OP_ZERO, 0, sectors,
					 before - sectors, NULL);
	ops[n++] = history_begin_resize(session->history, session->disk, sectors);
	ops[n++] = begin_flush(session, 0);
	done = volume_resize(session->volume, (guint64)sectors * SECTOR_SIZE,
			     VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD, RESIZE_SECONDS, NULL);
	for (guint i = 0; i < n; i++)
		end(session, ops[i], done ? 0 : -EIO);
}

/* The checkpoint thread's work after a checkpoint, at a moment of its own choice, ends before the
 * next checkpoint. */
void session_checkpoint_and_wait(Session *session, guint thread)
{
	session_checkpoint(session, thread);
	session_checkpoint(session, thread);
}

void session_reopen(Session *session)
{
	g_autoptr(GError) error = NULL;
	guint op = begin_flush(session, 0);

	volume_close(session->volume, &error);
	CHECK_NO_ERROR(error);
	end(session, op, error ? -1 : 0);
	open_volume(session);
}

void session_die(Session *session)
{
	volume_abandon(session->volume);
	open_volume(session);
}

/* ---- snapshots */

guint session_begin_snapshot(Session *session, guint64 *ret_generation)
{
	guint8 uuid[16] = {(guint8)++session->names};
	g_autofree char *name = g_strdup_printf("s%u", session->names);
	VolumeSnapshotParameters parameters = {.name = name, .uuid = uuid, .created = 1};
	g_autoptr(GError) error = NULL;
	guint snapshot = history_begin_snapshot(session->history, session->disk, name);

	volume_snapshot_begin(session->volume, &parameters, ret_generation, &error);
	session->failed |= !CHECK_NO_ERROR(error);
	return snapshot;
}

void session_end_snapshot(Session *session, guint snapshot, guint64 generation)
{
	g_autoptr(GError) error = NULL;

	if (session->failed)
		return;
	volume_snapshot_wait(session->volume, generation, RESIZE_SECONDS, &error);
	session->failed |= !CHECK_NO_ERROR(error);
	if (!session->failed)
		history_end_snapshot(session->history, session->disk, snapshot);
}

void session_snapshot(Session *session)
{
	guint64 generation = 0;
	guint snapshot = session_begin_snapshot(session, &generation);

	session_end_snapshot(session, snapshot, generation);
}

int session_oldest(const Session *session)
{
	for (guint i = 0; i < history_snapshots(session->history); i++)
		if (history_snapshot(session->history, i)->delete_begun.position == G_MAXUINT64)
			return (int)i;
	return -1;
}

void session_delete_oldest(Session *session, gboolean bookmark)
{
	int oldest = session_oldest(session);
	g_autoptr(GError) error = NULL;

	if (oldest < 0)
		return;
	history_begin_deletion(session->history, session->disk, (guint)oldest);
	volume_snapshot_delete(session->volume,
			       history_snapshot(session->history, (guint)oldest)->name,
			       bookmark ? VOLUME_SNAPSHOT_DELETE_BOOKMARK : 0, &error);
	session->failed |= !CHECK_NO_ERROR(error);
	history_end_deletion(session->history, session->disk, (guint)oldest);
}

void session_rollback_to_oldest(Session *session)
{
	int oldest = session_oldest(session);
	const HistorySnapshot *snapshot;
	g_autoptr(GError) error = NULL;
	guint ops[2];

	if (oldest < 0)
		return;
	snapshot = history_snapshot(session->history, (guint)oldest);
	if (snapshot->content[history_sectors(session->history)] != session_size(session))
		return;
	ops[0] = history_begin_rollback(session->history, session->disk, (guint)oldest);
	ops[1] = begin_flush(session, 0);
	volume_rollback(session->volume, snapshot->name, VOLUME_ROLLBACK_DISCARD, NULL, &error);
	CHECK_NO_ERROR(error);
	for (guint i = 0; i < G_N_ELEMENTS(ops); i++)
		end(session, ops[i], error ? -EIO : 0);
}

static void make_steps(Engine *engine, gpointer data)
{
	guint *steps = data;
	SnapshotWalk *walk = snapshot_walk_new(engine->snapshots, engine->map, engine->name);

	while (walk && *steps && snapshot_walk_step(walk) > 0)
		--*steps;
	snapshot_walk_free(walk);
}

void session_walk(Session *session, guint steps)
{
	checkpointer_call(session->volume->checkpointer, make_steps, &steps);
	session_checkpoint_and_wait(session, 0);
}

/* ---- linked clones */

void session_flatten(Session *session, guint64 bytes)
{
	VolumeFlattening flattening;
	g_autoptr(GError) error = NULL;

	/* One that has no base any more has nothing to do. */
	if (!volume_flatten(session->volume, bytes, &flattening, &error) &&
	    !g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_INVALID))
		session->failed |= !CHECK_NO_ERROR(error);
}

gboolean session_is_linked(const Session *session)
{
	return volume_depth(session->volume) > 0;
}

void session_end_as_base(Session *session, guint64 journal_size, Image **ret_image,
			 History **ret_history)
{
	const VolumeSnapshotParameters parameters = {.name = BASE_SNAPSHOT, .created = 1};
	g_autoptr(GError) error = NULL;
	g_autoptr(Image) base = NULL;
	guint64 generation;

	if (volume_snapshot_begin(session->volume, &parameters, &generation, &error))
		volume_snapshot_wait(session->volume, generation, RESIZE_SECONDS, &error);
	session->failed |= !CHECK_NO_ERROR(error);
	if (!session->failed)
		session_reopen(session);
	session_stop(session);
	base = disk_visible(session->disk);
	*ret_image = format_linked(base, journal_size);
	*ret_history = history_from(session->history, history_now(session->history));
	session_end(session);
}
