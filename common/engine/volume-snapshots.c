/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each change of the table is made by the checkpoint thread between two checkpoints
 * (checkpointer_call()), and a checkpoint makes it durable.
 */
#include "common/engine/volume-snapshots.h"

#include "common/base/names.h"
#include "common/engine/volume-private.h"

#include <errno.h>
#include <string.h>

G_STATIC_ASSERT(VOLUME_SNAPSHOT_NAME_MAX == NAME_LENGTH_MAX);

static Lock *table_lock(Volume *volume)
{
	return slots_lists_lock(volume->engine.slots);
}

static gboolean check_changeable(Volume *volume, GError **error)
{
	int r = volume_check_writable(volume);

	if (!volume_check_thin(volume, error))
		return FALSE;
	if (r == -EROFS)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: it is opened for reading only", volume->engine.name);
	return !r || error_set_errno(error, r, "%s", volume->engine.name);
}

static gboolean check_name(Volume *volume, const char *what, const char *name, GError **error)
{
	return name_valid(name) ||
	       error_set(error, STORAGEOS_ERROR_INVALID, "%s: invalid %s '%s' (%s)",
			 volume->engine.name, what, name ? name : "", NAME_RULE);
}

static gboolean fail_not_found(Volume *volume, const char *name, GError **error)
{
	return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "%s: no snapshot '%s'",
			 volume->engine.name, name);
}

/* ---- taking one */

static gboolean wish_init(Volume *volume, const VolumeSnapshotParameters *parameters,
			  Snapshot *wish, GError **error)
{
	gint64 now = g_get_real_time() / G_USEC_PER_SEC;

	*wish = (Snapshot){.state = FORMAT_SNAPSHOT_ALIVE, .group = parameters->group};
	if (!check_name(volume, "snapshot name", parameters->name, error))
		return FALSE;
	g_strlcpy(wish->name, parameters->name, sizeof wish->name);
	wish->created = (guint64)(parameters->created ? parameters->created : now);
	if (parameters->frozen)
		wish->flags |= FORMAT_SNAPSHOT_FLAG_FROZEN;
	if (parameters->by_policy)
		wish->flags |= FORMAT_SNAPSHOT_FLAG_BY_POLICY;
	if (!parameters->uuid)
		return volume_random_uuid(wish->uuid, error);
	memcpy(wish->uuid, parameters->uuid, sizeof wish->uuid);
	return TRUE;
}

static gboolean fail_snapshot(Volume *volume, int r, const char *name, GError **error)
{
	const char *volume_name = volume->engine.name;

	switch (r) {
	case -EEXIST:
		return error_set(error, STORAGEOS_ERROR_EXISTS,
				 "%s: there is a snapshot '%s' already, or one with that UUID",
				 volume_name, name);
	case -ETIMEDOUT:
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: no checkpoint could begin for 25 s; try again", volume_name);
	case -ENOSPC:
		return error_set(error, STORAGEOS_ERROR_NO_SPACE,
				 "%s: no space for snapshot '%s'; delete another one, or what is "
				 "beside the volume",
				 volume_name, name);
	default:
		return error_set_errno(error, r, "%s: take snapshot '%s'", volume_name, name);
	}
}

gboolean volume_snapshot_begin(Volume *volume, const VolumeSnapshotParameters *parameters,
			       guint64 *ret_generation, GError **error)
{
	Snapshot wish;
	int r;

	if (!check_changeable(volume, error) || !wish_init(volume, parameters, &wish, error))
		return FALSE;
	r = checkpointer_snapshot(volume->checkpointer, &wish, ret_generation);
	return !r || fail_snapshot(volume, r, wish.name, error);
}

gboolean volume_snapshot_wait(Volume *volume, guint64 generation, guint seconds, GError **error)
{
	const char *name = volume->engine.name;
	int r;

	if (!check_changeable(volume, error))
		return FALSE;
	r = checkpointer_await(volume->checkpointer, generation, seconds);
	if (r == -ETIMEDOUT)
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: the snapshot takes longer than %u s to become durable, and "
				 "goes on",
				 name, seconds);
	if (r == -ENOENT)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "%s: no snapshot of generation %" G_GUINT64_FORMAT, name,
				 generation);
	if (r == -ENOSPC)
		return error_set(error, STORAGEOS_ERROR_NO_SPACE,
				 "%s: the disk is full: the snapshot was given up", name);
	return !r || error_set_errno(error, r, "%s: wait for the snapshot", name);
}

/* ---- changing the table */

typedef struct TableChange TableChange;

/* Makes a change with the lock held, which it may drop until it has made sure that the change
 * cannot fail.  0 or a negative errno, and nothing was changed. */
typedef int (*TableChangeMake)(Engine *engine, TableChange *change);

struct TableChange {
	TableChangeMake make;
	const char *name, *to;	  /* of a snapshot; its new name, or a tag */
	guint64 generation;	  /* of the snapshot; 0: it is found by its name */
	const guint8 *clone;	  /* a hold's: of a linked clone, its UUID; or NULL */
	const BaseIdentity *base; /* with `clone`: must be that snapshot, of that volume */
	gboolean bookmark;
	gint64 created;
	char holder[SNAPSHOT_NAME_SIZE]; /* set with -EBUSY: a tag that holds it */
	int result;
};

static void change_make(Engine *engine, gpointer data)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	TableChange *change = data;

	change->result = engine_has_failed(engine) ? -ESHUTDOWN : change->make(engine, change);
}

static gboolean change_fail(Volume *volume, const TableChange *change, GError **error)
{
	const char *name = volume->engine.name;

	switch (change->result) {
	case -ENOENT:
		return fail_not_found(volume, change->name, error);
	case -EEXIST:
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s: there is '%s' already", name,
				 change->to);
	case -ESRCH:
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "%s: '%s' does not hold snapshot '%s'", name, change->to,
				 change->name);
	case -EBUSY:
		return error_set(error, STORAGEOS_ERROR_BUSY,
				 "%s: snapshot '%s' is held by '%s'; release it first", name,
				 change->name, change->holder);
	case -EINVAL:
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s: '%s' is a bookmark, or is being received", name,
				 change->name);
	default:
		return error_set_errno(error, change->result, "%s: change snapshot '%s'", name,
				       change->name);
	}
}

/* Makes the change, and makes it durable. */
static gboolean change_run(Volume *volume, TableChange *change, GError **error)
{
	g_autofree char *what = NULL;

	if (!check_changeable(volume, error))
		return FALSE;
	checkpointer_call(volume->checkpointer, change_make, change);
	if (change->result)
		return change_fail(volume, change, error);
	what = g_strdup_printf("snapshot '%s'", change->name);
	return volume_make_change_durable(volume, what, error);
}

static gboolean is_that_base(const Engine *engine, const Snapshot *snapshot,
			     const BaseIdentity *base)
{
	const guint8 *uuid = engine->superblock.current.uuid;

	return !memcmp(uuid, base->volume, sizeof base->volume) &&
	       !memcmp(snapshot->uuid, base->snapshot, sizeof base->snapshot);
}

/* 0 with *ret_snapshot, or -ENOENT. */
static int change_find(const Engine *engine, const TableChange *change, Snapshot *ret_snapshot)
{
	const Snapshot *found =
		change->generation ? snapshots_find_locked(engine->snapshots, change->generation)
				   : snapshots_find_name_locked(engine->snapshots, change->name);

	/* By its name, too, none is found that is being deleted. */
	if (!found || snapshots_find_name_locked(engine->snapshots, found->name) != found ||
	    (change->base && !is_that_base(engine, found, change->base)))
		return -ENOENT;
	*ret_snapshot = *found;
	return 0;
}

static const SnapshotHold *hold_find(const Engine *engine, guint64 generation, const char *tag)
{
	for (guint i = 0; i < snapshots_count_holds_locked(engine->snapshots); i++) {
		const SnapshotHold *hold = snapshots_get_hold_locked(engine->snapshots, i);

		if (hold->generation == generation && (!tag || !strcmp(hold->tag, tag)))
			return hold;
	}
	return NULL;
}

/* ---- deleting */

/* What has no tree goes at once. */
static int remove_record(Engine *engine, guint64 generation)
{
	int r = snapshots_keep_unlocking(
		engine->snapshots, snapshots_count_changes_locked(engine->snapshots, generation));

	if (!r)
		snapshots_remove_locked(engine->snapshots, generation);
	return r;
}

static int make_deletion(Engine *engine, TableChange *change)
{
	const SnapshotHold *hold;
	Snapshot snapshot;
	int r = change_find(engine, change, &snapshot);

	if (r)
		return r;
	hold = hold_find(engine, snapshot.generation, NULL);
	if (hold) {
		g_strlcpy(change->holder, hold->tag, sizeof change->holder);
		return -EBUSY;
	}
	if (!snapshot_has_tree(&snapshot))
		return change->bookmark ? 0 : remove_record(engine, snapshot.generation);
	snapshot.state = FORMAT_SNAPSHOT_DELETING;
	snapshot.flags &= ~FORMAT_SNAPSHOT_FLAG_KEEP;
	if (change->bookmark)
		snapshot.flags |= FORMAT_SNAPSHOT_FLAG_KEEP;
	r = snapshots_keep_unlocking(engine->snapshots, 1);
	if (!r)
		snapshots_change_locked(engine->snapshots, &snapshot);
	return r;
}

gboolean volume_snapshot_delete(Volume *volume, const char *name, VolumeSnapshotDeleteFlags flags,
				GError **error)
{
	return volume_snapshot_delete_exactly(volume, 0, name, flags, error);
}

gboolean volume_snapshot_delete_exactly(Volume *volume, guint64 generation, const char *name,
					VolumeSnapshotDeleteFlags flags, GError **error)
{
	TableChange change = {.make = make_deletion,
			      .name = name,
			      .generation = generation,
			      .bookmark = (flags & VOLUME_SNAPSHOT_DELETE_BOOKMARK) != 0};

	return change_run(volume, &change, error);
}

/* ---- renaming, holding */

static int make_rename(Engine *engine, TableChange *change)
{
	Snapshot snapshot;
	int r = change_find(engine, change, &snapshot);

	if (r)
		return r;
	if (snapshots_find_name_locked(engine->snapshots, change->to))
		return -EEXIST;
	g_strlcpy(snapshot.name, change->to, sizeof snapshot.name);
	r = snapshots_keep_unlocking(engine->snapshots, 1);
	if (!r)
		snapshots_change_locked(engine->snapshots, &snapshot);
	return r;
}

gboolean volume_snapshot_rename(Volume *volume, const char *name, const char *to, GError **error)
{
	TableChange change = {.make = make_rename, .name = name, .to = to};

	return check_name(volume, "snapshot name", to, error) && change_run(volume, &change, error);
}

static int make_hold(Engine *engine, TableChange *change)
{
	SnapshotHold hold = {.class = change->clone ? FORMAT_HOLD_CLONE : FORMAT_HOLD_USER,
			     .created = (guint64)change->created};
	Snapshot snapshot;
	int r = change_find(engine, change, &snapshot);

	if (r)
		return r;
	if (hold_find(engine, snapshot.generation, change->to))
		return -EEXIST;
	if (!snapshots_have_room_locked(engine->snapshots, 1))
		return -ENOSPC;
	if (change->clone && snapshot.state != FORMAT_SNAPSHOT_ALIVE)
		return -EINVAL;
	hold.generation = snapshot.generation;
	if (change->clone)
		memcpy(hold.uuid, change->clone, sizeof hold.uuid);
	g_strlcpy(hold.tag, change->to, sizeof hold.tag);
	r = snapshots_keep_unlocking(engine->snapshots, 1);
	if (!r)
		snapshots_add_hold_locked(engine->snapshots, &hold);
	return r;
}

gboolean volume_snapshot_hold(Volume *volume, const char *name, const char *tag, GError **error)
{
	TableChange change = {.make = make_hold,
			      .name = name,
			      .to = tag,
			      .created = g_get_real_time() / G_USEC_PER_SEC};

	return check_name(volume, "tag", tag, error) && change_run(volume, &change, error);
}

static int make_release(Engine *engine, TableChange *change)
{
	Snapshot snapshot;
	int r = change_find(engine, change, &snapshot);

	if (r)
		return r;
	if (!hold_find(engine, snapshot.generation, change->to))
		return -ESRCH;
	r = snapshots_keep_unlocking(engine->snapshots, 1);
	if (!r)
		snapshots_remove_hold_locked(engine->snapshots, snapshot.generation, change->to);
	return r;
}

gboolean volume_snapshot_release(Volume *volume, const char *name, const char *tag, GError **error)
{
	TableChange change = {.make = make_release, .name = name, .to = tag};

	return check_name(volume, "tag", tag, error) && change_run(volume, &change, error);
}

static gboolean clone_change(Volume *volume, TableChangeMake make, const BaseIdentity *base,
			     const guint8 *clone, GError **error)
{
	char tag[sizeof VOLUME_CLONE_TAG + UUID_TEXT] = VOLUME_CLONE_TAG;
	TableChange change = {.make = make,
			      .name = base->name,
			      .to = tag,
			      .generation = base->generation,
			      .clone = clone,
			      .base = base,
			      .created = g_get_real_time() / G_USEC_PER_SEC};

	uuid_format(clone, tag + strlen(VOLUME_CLONE_TAG));
	return change_run(volume, &change, error);
}

gboolean volume_snapshot_hold_clone(Volume *volume, const BaseIdentity *base,
				    const guint8 clone[16], GError **error)
{
	return clone_change(volume, make_hold, base, clone, error);
}

gboolean volume_snapshot_release_clone(Volume *volume, const BaseIdentity *base,
				       const guint8 clone[16], GError **error)
{
	return clone_change(volume, make_release, base, clone, error);
}

/* ---- listing */

static VolumeSnapshotState state_of(const Snapshot *snapshot)
{
	switch (snapshot->state) {
	case FORMAT_SNAPSHOT_DELETING:
		return snapshot->flags & FORMAT_SNAPSHOT_FLAG_KEEP ? VOLUME_SNAPSHOT_BOOKMARK
								   : VOLUME_SNAPSHOT_DELETING;
	case FORMAT_SNAPSHOT_BOOKMARK:
		return VOLUME_SNAPSHOT_BOOKMARK;
	case FORMAT_SNAPSHOT_RECEIVING:
		return VOLUME_SNAPSHOT_RECEIVING;
	default:
		return VOLUME_SNAPSHOT_ALIVE;
	}
}

static VolumeSnapshotInfo info_of(const Snapshots *snapshots, const Snapshot *snapshot)
{
	const Snapshot *parent = snapshots_find_locked(snapshots, snapshot->parent);
	VolumeSnapshotInfo info = {
		.generation = snapshot->generation,
		.parent = snapshot->parent,
		.created = (gint64)snapshot->created,
		.size = snapshot->size,
		.referenced_bytes = snapshot->referenced * FORMAT_SLOT_SIZE,
		.referenced_is_bound = (snapshot->flags & FORMAT_SNAPSHOT_FLAG_BOUND) != 0,
		.written_bytes = snapshot->written * FORMAT_SLOT_SIZE,
		.state = state_of(snapshot),
		.frozen = (snapshot->flags & FORMAT_SNAPSHOT_FLAG_FROZEN) != 0,
		.by_policy = (snapshot->flags & FORMAT_SNAPSHOT_FLAG_BY_POLICY) != 0,
		.waiting = snapshot->state == FORMAT_SNAPSHOT_DELETING &&
			   snapshots_children_locked(snapshots, snapshot->generation).n > 1,
		.group = snapshot->group,
	};

	g_strlcpy(info.name, snapshot->name, sizeof info.name);
	uuid_format(snapshot->uuid, info.uuid);
	if (parent)
		uuid_format(parent->uuid, info.parent_uuid);
	for (guint i = 0; i < snapshots_count_holds_locked(snapshots); i++)
		info.holds +=
			snapshots_get_hold_locked(snapshots, i)->generation == snapshot->generation;
	return info;
}

GArray *volume_snapshots(Volume *volume)
{
	const Snapshots *snapshots = volume->engine.snapshots;
	GArray *infos = g_array_new(FALSE, TRUE, sizeof(VolumeSnapshotInfo));
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;
	guint n;

	if (!snapshots)
		return infos;
	locker = lock_hold(table_lock(volume));
	n = snapshots_count_locked(snapshots);
	for (guint i = 0; i < n; i++) {
		VolumeSnapshotInfo info = info_of(snapshots, snapshots_get_locked(snapshots, i));

		g_array_append_val(infos, info);
	}
	return infos;
}

GPtrArray *volume_snapshot_tags(Volume *volume, guint64 generation)
{
	const Snapshots *snapshots = volume->engine.snapshots;
	GPtrArray *tags = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(LockHold) locker G_GNUC_UNUSED = NULL;

	if (!snapshots)
		return tags;
	locker = lock_hold(table_lock(volume));
	for (guint i = 0; i < snapshots_count_holds_locked(snapshots); i++) {
		const SnapshotHold *hold = snapshots_get_hold_locked(snapshots, i);

		if (hold->generation == generation)
			g_ptr_array_add(tags, g_strdup(hold->tag));
	}
	return tags;
}
