/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/volume-receive.h"

#include <errno.h>
#include <string.h>

#include "common/base/names.h"
#include "common/engine/volume-private.h"

#define DURABLE_SECONDS 600 /* a checkpoint on a disk that is slow */

static gboolean receiving_copy(Volume *volume, Snapshot *ret_snapshot)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED =
		lock_hold(slots_lists_lock(volume->engine.slots));
	const Snapshot *found = snapshots_receiving_locked(volume->engine.snapshots);

	if (found)
		*ret_snapshot = *found;
	return found != NULL;
}

gboolean volume_receive_get(Volume *volume, VolumeReceiving *ret_receiving)
{
	Snapshot snapshot;

	if (volume_is_direct(volume) || !receiving_copy(volume, &snapshot))
		return FALSE;
	*ret_receiving = (VolumeReceiving){
		.parent = snapshot.parent, .size = snapshot.size, .received = snapshot.received};
	g_strlcpy(ret_receiving->name, snapshot.name, sizeof ret_receiving->name);
	uuid_format(snapshot.uuid, ret_receiving->uuid);
	return TRUE;
}

static gboolean root_is_locked(const Engine *engine, guint64 generation, const MapEntry *root)
{
	const Snapshot *snapshot = snapshots_find_locked(engine->snapshots, generation);

	return snapshot && snapshot_has_tree(snapshot) &&
	       snapshots_head_parent_locked(engine->snapshots) == generation &&
	       snapshot->size == engine_size(engine) && snapshot->root.slot == root->slot &&
	       snapshot->root.crc == root->crc && snapshot->root.birth == root->birth &&
	       snapshot->base_blocks == map_base_blocks(engine->map);
}

gboolean volume_is_snapshot(Volume *volume, guint64 generation)
{
	Engine *engine = &volume->engine;
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	guint top = codec_levels(map_layout(engine->map), engine_size(engine)) - 1;
	MapEntry root;
	int r;

	do {
		r = map_pointer_unlocking(engine->map, top, 0, &root);
	} while (r > 0);
	return !r && root_is_locked(engine, generation, &root);
}

/* ---- changes */

static gboolean receive_failed(Volume *volume, int r, const char *name, GError **error)
{
	if (r == -EEXIST)
		return error_set(error, STORAGEOS_ERROR_EXISTS,
				 "%s: there is a snapshot '%s' already, or one with that UUID",
				 volume->engine.name, name);
	if (r == -ENOSPC)
		return error_set(error, STORAGEOS_ERROR_NO_SPACE,
				 "%s: no space for snapshot '%s': the disk is full, or the volume "
				 "has too many snapshots",
				 volume->engine.name, name);
	return error_set_errno(error, r, "%s: receive snapshot '%s'", volume->engine.name, name);
}

/* Has a checkpoint make the record or the snapshot, and waits until it is durable. */
static gboolean wish_make(Volume *volume, const Snapshot *wish, GError **error)
{
	guint64 generation;
	int r = checkpointer_snapshot(volume->checkpointer, wish, &generation);

	if (!r)
		r = checkpointer_await(volume->checkpointer, generation, DURABLE_SECONDS);
	return !r || receive_failed(volume, r, wish->name, error);
}

gboolean volume_receive_begin(Volume *volume, const VolumeSnapshotParameters *to, guint64 size,
			      GError **error)
{
	Snapshot wish = {.state = FORMAT_SNAPSHOT_RECEIVING,
			 .size = size,
			 .created = (guint64)to->created,
			 .flags = to->frozen ? FORMAT_SNAPSHOT_FLAG_FROZEN : 0};
	int r = volume_check_writable(volume);
	Snapshot other;

	if (!volume_check_thin(volume, error))
		return FALSE;
	if (r)
		return receive_failed(volume, r, to->name, error);
	if (receiving_copy(volume, &other))
		return error_set(error, STORAGEOS_ERROR_BUSY, "%s: it receives snapshot '%s'",
				 volume->engine.name, other.name);
	if (!name_valid(to->name))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s: invalid snapshot name '%s' (" NAME_RULE ")",
				 volume->engine.name, to->name);
	g_strlcpy(wish.name, to->name, sizeof wish.name);
	if (to->uuid)
		memcpy(wish.uuid, to->uuid, sizeof wish.uuid);
	else if (!volume_random_uuid(wish.uuid, error))
		return FALSE;
	return wish_make(volume, &wish, error);
}

typedef struct {
	guint64 received;
	int result;
} Mark;

static void mark_make(Engine *engine, gpointer data)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	const Snapshot *found = snapshots_receiving_locked(engine->snapshots);
	Mark *mark = data;
	Snapshot now;

	mark->result = !found					       ? -ENOENT
		       : mark->received > blocks_covering(found->size) ? -EINVAL
								       : 0;
	if (mark->result)
		return;
	now = *found;
	now.received = mark->received;
	mark->result = snapshots_keep_unlocking(engine->snapshots, 1);
	if (!mark->result)
		snapshots_change_locked(engine->snapshots, &now);
}

gboolean volume_receive_mark(Volume *volume, guint64 received, GError **error)
{
	Mark mark = {.received = received};
	int r = volume_check_writable(volume);

	if (!r) {
		checkpointer_call(volume->checkpointer, mark_make, &mark);
		r = mark.result;
	}
	if (!r)
		r = checkpointer_run(volume->checkpointer);
	return !r || error_set_errno(error, r, "%s: keep what has arrived", volume->engine.name);
}

gboolean volume_receive_end(Volume *volume, GError **error)
{
	Snapshot receiving, wish;

	if (!receiving_copy(volume, &receiving))
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "%s: nothing is being received",
				 volume->engine.name);
	wish = (Snapshot){.state = FORMAT_SNAPSHOT_ALIVE,
			  .created = receiving.created,
			  .flags = receiving.flags};
	memcpy(wish.name, receiving.name, sizeof wish.name);
	memcpy(wish.uuid, receiving.uuid, sizeof wish.uuid);
	return wish_make(volume, &wish, error);
}
