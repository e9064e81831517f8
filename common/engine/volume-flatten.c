/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/volume-flatten.h"

#include <errno.h>

#include "common/base/bounds.h"
#include "common/base/large.h"
#include "common/engine/volume-private.h"

#define CHUNK_BLOCKS 4096u /* what is looked at before map_base_blocks() sinks: 16 MiB */
#define CHUNKS_MAX 4096u   /* of one step, where the base has nothing */
#define WAIT_SECONDS 25
#define LEAVE_SECONDS 25
#define LEAVE_PAUSE_US 1000

typedef struct {
	Volume *volume, *base;
	guint8 *buffer;	  /* of VOLUME_ATOMIC_MAX bytes */
	guint64 copied;	  /* bytes */
	guint64 bad;	  /* with -EBADMSG: the damaged byte */
	gboolean of_base; /* the error is the base's */
} Flatten;

/* ---- copying */

/* Copies `n` blocks of the base.  Their range is held. */
static int run_copy(Flatten *flatten, guint64 block, guint n)
{
	gsize length = (gsize)n * BLOCK_SIZE;
	struct iovec iov = {flatten->buffer, length};
	IovCursor to = iov_cursor(&iov, 1), from = to;
	guint64 offset = blocks_to_bytes(block);
	int r = volume_read_piece(flatten->base, &to, offset, length, BACKING_WAIT, &flatten->bad);

	flatten->of_base = r != 0;
	if (r)
		return r;
	/* A cut-off last block is written whole: behind the end there are zeros. */
	r = volume_write_held(flatten->volume, &from, offset, length, FALSE, &flatten->bad);
	flatten->copied += r ? 0 : length;
	return r;
}

/* Copies those of `n` blocks that are still the base's.  Their range is held. */
static int piece_copy_held(Flatten *flatten, guint64 block, guint n)
{
	MapEntry entries[FORMAT_POINTERS_MAX];
	guint epoch, run;
	int r = map_lookup(flatten->volume->engine.map, block, n, entries, FALSE, &epoch);

	if (r)
		return r;
	map_lookup_end(flatten->volume->engine.map, epoch);
	for (guint i = 0; i < n && !r; i += run) {
		run = 1;
		if (!map_found_base(&entries[i]))
			continue;
		while (i + run < n && map_found_base(&entries[i + run]))
			run++;
		r = run_copy(flatten, block + i, run);
	}
	return r;
}

static int piece_copy(Flatten *flatten, guint64 block, guint n)
{
	Volume *volume = flatten->volume;
	RangeHold hold;
	int r = volume_throttle(volume, blocks_to_bytes(n), 1, FALSE);

	if (r)
		return r;
	ranges_hold(&volume->ranges, &hold, block, block + n - 1, FALSE);
	r = piece_copy_held(flatten, block, n);
	ranges_release(&volume->ranges, &hold);
	return r;
}

/* Copies what the base has in blocks [first, end). */
static int chunk_copy(Flatten *flatten, guint64 first, guint64 end)
{
	int r = 0;

	while (first < end && !r) {
		guint64 length, n;
		gboolean mapped;

		flatten->bad = blocks_to_bytes(first);
		r = volume_extent(flatten->base, blocks_to_bytes(first), &mapped, &length);
		flatten->of_base = r != 0;
		if (r)
			return r;
		n = min_u64(blocks_covering(length), end - first);
		if (mapped) {
			n = min_u64(n, map_leaf_end(flatten->volume->engine.map, first) - first);
			r = piece_copy(flatten, first, (guint)n);
		}
		first += n;
	}
	return r;
}

/* Everything from block `first` on is the clone's own now. */
static void base_sink(Volume *volume, guint64 first)
{
	Map *map = volume->engine.map;
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map_lock(map));

	if (map_base_blocks(map) > first)
		map_set_base_blocks_locked(map, first);
}

static int chunks_copy(Flatten *flatten, guint64 bytes)
{
	Map *map = flatten->volume->engine.map;
	int r = 0;

	for (guint i = 0; i < CHUNKS_MAX && flatten->copied < bytes && !r; i++) {
		guint64 end = map_base_blocks(map), first;

		if (!end)
			return 0;
		first = (end - 1) / CHUNK_BLOCKS * CHUNK_BLOCKS;
		r = chunk_copy(flatten, first, end);
		if (!r)
			base_sink(flatten->volume, first);
	}
	return r;
}

/* ---- the end */

/* Nulls the zero pointers of the head.  -ENOSPC where a checkpoint brings space is tried again. */
static int zeros_sweep(Volume *volume)
{
	guint64 block = 0;
	int r = 1;

	for (guint attempt = 0; r == 1;) {
		r = volume_throttle(volume, 0, 1, FALSE);
		if (!r)
			r = map_sweep_zeros(volume->engine.map, &block);
		if (r == -ENOSPC && attempt++ < 3 && !checkpointer_make_room(volume->checkpointer))
			r = 1;
	}
	return r;
}

/* A snapshot's tree may have pointers to the base, and zero pointers; *ret_name: of one. */
static gboolean has_trees_locked(const Engine *engine, char ret_name[SNAPSHOT_NAME_SIZE])
{
	for (guint i = 0; i < snapshots_count_locked(engine->snapshots); i++) {
		const Snapshot *snapshot = snapshots_get_locked(engine->snapshots, i);

		if (!snapshot_has_tree(snapshot))
			continue;
		g_strlcpy(ret_name, snapshot->name, SNAPSHOT_NAME_SIZE);
		return TRUE;
	}
	return FALSE;
}

static gboolean check_snapshots(Volume *volume, gboolean drop, GError **error)
{
	Engine *engine = &volume->engine;
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	char name[SNAPSHOT_NAME_SIZE];

	if (has_trees_locked(engine, name))
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: its snapshot '%s' may need the base, too: delete its "
				 "snapshots first",
				 engine->name, name);
	if (drop)
		map_drop_base_locked(engine->map);
	return TRUE;
}

static gboolean flatten_fail(const Flatten *flatten, int r, GError **error)
{
	const char *name = flatten->volume->engine.name;

	if (flatten->of_base && r == -EBADMSG)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s: its base '%s' is damaged at byte %" G_GUINT64_FORMAT
				 "; writing to or discarding these blocks of the clone, or "
				 "restoring the base, lets flatten go on",
				 name, flatten->volume->base_identity.name, flatten->bad);
	if (flatten->of_base)
		return error_set_errno(error, r, "%s: read its base '%s'", name,
				       flatten->volume->base_identity.name);
	return error_set_errno(error, r, "%s: flatten", name);
}

/* All is copied.  What is dying may still have zero pointers on the disk. */
static gboolean flatten_end(Flatten *flatten, GError **error)
{
	Volume *volume = flatten->volume;
	int r = zeros_sweep(volume);

	if (!r && !volume_settled(volume, volume_settle_own(volume), WAIT_SECONDS))
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: freeing its discarded blocks takes longer than %u s; try "
				 "again",
				 volume->engine.name, WAIT_SECONDS);
	if (r)
		return flatten_fail(flatten, r, error);
	if (!check_snapshots(volume, TRUE, error))
		return FALSE;
	r = checkpointer_run(volume->checkpointer);
	return !r || error_set_errno(error, r, "%s: drop the base", volume->engine.name);
}

static gboolean flatten_step(Flatten *flatten, guint64 bytes, VolumeFlattening *flattening,
			     GError **error)
{
	Volume *volume = flatten->volume;
	int r = chunks_copy(flatten, bytes);

	flattening->copied = flatten->copied;
	flattening->left = blocks_to_bytes(map_base_blocks(volume->engine.map));
	if (r)
		return flatten_fail(flatten, r, error);
	if (flattening->left)
		return TRUE;
	flattening->done = flatten_end(flatten, error);
	return flattening->done;
}

/* Closes the base once nobody reads it; nothing is read from it any more (map_base_blocks() is 0).
 * If a request does not come back from the base's backing, the base stays open with the clone. */
static void base_drop(Volume *volume)
{
	Volume *base = __atomic_exchange_n(&volume->base, NULL, __ATOMIC_SEQ_CST);
	gint64 until = g_get_monotonic_time() + LEAVE_SECONDS * G_TIME_SPAN_SECOND;

	while (base && __atomic_load_n(&volume->base_users, __ATOMIC_SEQ_CST) &&
	       g_get_monotonic_time() < until)
		g_usleep(LEAVE_PAUSE_US);
	if (__atomic_load_n(&volume->base_users, __ATOMIC_SEQ_CST))
		volume->base_left = base;
	else
		volume_close(base, NULL);
}

gboolean volume_flatten(Volume *volume, guint64 bytes, VolumeFlattening *ret_flattening,
			GError **error)
{
	Flatten flatten = {.volume = volume, .base = volume_base_enter(volume)};
	VolumeFlattening flattening = {0};
	gboolean done = FALSE;
	int r = volume_check_writable(volume);

	if (!flatten.base)
		return error_set(error, STORAGEOS_ERROR_INVALID, "%s: it has no base",
				 volume->engine.name);
	flatten.buffer = r ? NULL : large_alloc(VOLUME_ATOMIC_MAX);
	if (r || !flatten.buffer)
		error_set_errno(error, r ? r : -ENOMEM, "%s: flatten", volume->engine.name);
	else
		done = check_snapshots(volume, FALSE, error) &&
		       flatten_step(&flatten, bytes, &flattening, error);
	if (flatten.buffer)
		large_free(flatten.buffer, VOLUME_ATOMIC_MAX);
	volume_base_leave(volume, flatten.base);
	if (flattening.done)
		base_drop(volume);
	*ret_flattening = flattening;
	return done;
}
