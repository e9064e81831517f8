/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollback, by the checkpoint thread, which does nothing else meanwhile:
 *
 *   1. A checkpoint that is a snapshot of what the volume holds now: the head has nothing of its
 * own any more, so that it can be replaced.
 *   2. The head becomes the snapshot's tree, in memory, and descends from it.
 *   3. A checkpoint makes that durable, with one superblock.
 *
 * A crash before step 3 leaves the volume as it was, with one snapshot more.
 */
#include "common/engine/volume-private.h"
#include "common/engine/volume-snapshots.h"

#include <errno.h>
#include <string.h>

typedef struct {
	const char *name;
	VolumeRollbackFlags flags;
	Snapshot undo;	     /* the identity of the snapshot of step 1 */
	guint64 size, wants; /* bytes: of the volume; with -EINVAL: of the snapshot */
	gboolean switched;   /* step 2 is done */
	int result;
} Rollback;

/* 0; -ENOENT; -EINVAL: it has another size; -EISDIR: it has no tree. */
static int rollback_check_locked(const Engine *engine, Rollback *rollback, guint64 *ret_generation)
{
	const Snapshot *to = snapshots_find_name_locked(engine->snapshots, rollback->name);

	if (!to)
		return -ENOENT;
	if (to->state != FORMAT_SNAPSHOT_ALIVE)
		return -EISDIR;
	rollback->wants = to->size;
	*ret_generation = to->generation;
	return to->size == engine->next_size || rollback->flags & VOLUME_ROLLBACK_SIZE_TOO
		       ? 0
		       : -EINVAL;
}

/* Step 2. */
static int rollback_switch_locked(Engine *engine, guint64 generation)
{
	const Snapshot *to = snapshots_find_locked(engine->snapshots, generation);
	MapShare share;

	if (!to)
		return -ENOENT;
	share = (MapShare){.size = to->size,
			   .levels = to->levels,
			   .root = to->root,
			   .referenced = to->referenced,
			   .nodes = to->nodes,
			   .bound = (to->flags & FORMAT_SNAPSHOT_FLAG_BOUND) != 0,
			   .base_blocks = to->base_blocks};
	if (!map_replace_locked(engine->map, &share))
		return -EBUSY;
	snapshots_set_head_locked(engine->snapshots, generation);
	__atomic_store_n(&engine->next_size, to->size, __ATOMIC_RELAXED);
	if (to->size < engine_size(engine))
		__atomic_store_n(&engine->size, to->size, __ATOMIC_RELEASE);
	return 0;
}

static int rollback_steps(Engine *engine, Rollback *rollback)
{
	Lock *lock = slots_lists_lock(engine->slots);
	guint64 generation = 0, undo;
	int r;

	lock_take(lock);
	r = rollback_check_locked(engine, rollback, &generation);
	lock_drop(lock);
	if (!r)
		r = checkpoint_begin_snapshot(engine, &rollback->undo, &undo);
	if (!r)
		r = checkpoint_finish(engine, FALSE);
	if (r)
		return r;
	lock_take(lock);
	r = rollback_switch_locked(engine, generation);
	lock_drop(lock);
	rollback->switched = !r;
	return r ? r : checkpoint_make(engine, FALSE);
}

static void rollback_make(Engine *engine, gpointer data)
{
	Rollback *rollback = data;

	rollback->result =
		engine_has_failed(engine) ? -ESHUTDOWN : rollback_steps(engine, rollback);
}

static gboolean name_is_taken(Volume *volume, const char *name)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED =
		lock_hold(slots_lists_lock(volume->engine.slots));

	return snapshots_find_name_locked(volume->engine.snapshots, name) != NULL;
}

/* There may be several rollbacks in one second. */
static gboolean rollback_init(Volume *volume, Rollback *rollback, GError **error)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%Y%m%dt%H%M%S");
	Snapshot *undo = &rollback->undo;

	undo->created = (guint64)g_date_time_to_unix(now);
	undo->state = rollback->flags & VOLUME_ROLLBACK_DISCARD ? FORMAT_SNAPSHOT_DELETING
								: FORMAT_SNAPSHOT_ALIVE;
	g_snprintf(undo->name, sizeof undo->name, "before-rollback-%sz", time);
	for (guint i = 2; i <= FORMAT_SNAPSHOTS_MAX && name_is_taken(volume, undo->name); i++)
		g_snprintf(undo->name, sizeof undo->name, "before-rollback-%sz-%u", time, i);
	return volume_random_uuid(undo->uuid, error);
}

static gboolean rollback_fail(Volume *volume, const Rollback *rollback, GError **error)
{
	const char *name = volume->engine.name;
	char done[VOLUME_SNAPSHOT_NAME_MAX + 64];

	if (rollback->switched) { /* step 3 has failed */
		g_snprintf(done, sizeof done, "it has gone back to snapshot '%s'", rollback->name);
		return volume_fail_later(volume, rollback->result, done, error);
	}
	switch (rollback->result) {
	case -ENOENT:
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "%s: no snapshot '%s'", name,
				 rollback->name);
	case -EISDIR:
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s: '%s' is a bookmark: it has no data to go back to", name,
				 rollback->name);
	case -EINVAL:
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s: it has %" G_GUINT64_FORMAT " bytes, snapshot '%s' "
				 "%" G_GUINT64_FORMAT ": the size must be allowed to change, too",
				 name, volume_size(volume), rollback->name, rollback->wants);
	default:
		return error_set_errno(error, rollback->result, "%s: go back to snapshot '%s'",
				       name, rollback->name);
	}
}

gboolean volume_rollback(Volume *volume, const char *name, VolumeRollbackFlags flags,
			 char **ret_undo, GError **error)
{
	Rollback rollback = {.name = name, .flags = flags};
	int r = volume_check_writable(volume);

	if (!volume_check_thin(volume, error))
		return FALSE;
	if (r)
		return error_set_errno(error, r, "%s: go back", volume->engine.name);
	if (!rollback_init(volume, &rollback, error))
		return FALSE;
	checkpointer_call(volume->checkpointer, rollback_make, &rollback);
	if (rollback.switched)
		__atomic_fetch_add(&volume->changes, 1, __ATOMIC_RELEASE);
	if (rollback.result)
		return rollback_fail(volume, &rollback, error);
	if (ret_undo)
		*ret_undo = flags & VOLUME_ROLLBACK_DISCARD ? NULL : g_strdup(rollback.undo.name);
	return TRUE;
}
