/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-move.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/engine/superblock.h"
#include "common/service/pool-private.h"
#include "common/service/readers.h"
#include "common/service/registry.h"

typedef struct {
	const Config *config;
	const VolumeName *from, *to;
	char *source, *moving, *target; /* paths */
	char *from_pool, *to_pool;	/* UUIDs */
	FileCopyProgress progress;
	gpointer data;
} Moving;

static void moving_clear(Moving *moving)
{
	g_free(moving->source);
	g_free(moving->moving);
	g_free(moving->target);
	g_free(moving->from_pool);
	g_free(moving->to_pool);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Moving, moving_clear)

/* ---- whether it can be moved at all */

gboolean pool_volume_check_movable(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *place = pool_volume_place(config, name);

	if (!name->pool)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s is a block device: its name is that of the device, and its "
				 "data stays there",
				 name->name);
	return !pool_is_ceph(config, name) ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "%s is an image of Ceph (see: rbd rename, rbd migration, rbd export)",
			 place);
}

static gboolean moving_init(Moving *moving, GError **error)
{
	const ConfigPool *from, *to;

	if (!pool_volume_check_movable(moving->config, moving->from, error) ||
	    !pool_volume_check_movable(moving->config, moving->to, error) ||
	    !pool_check_new_name(moving->config, moving->to, error))
		return FALSE;
	from = pool_find(moving->config, moving->from, error);
	to = from ? pool_find(moving->config, moving->to, error) : NULL;
	moving->from_pool = to ? pool_uuid(from, error) : NULL;
	moving->to_pool = moving->from_pool ? pool_uuid(to, error) : NULL;
	if (!moving->to_pool)
		return FALSE;
	moving->source = pool_file_path(from, moving->from);
	moving->moving = pool_moving_path(from, moving->from);
	moving->target = pool_file_path(to, moving->to);
	return TRUE;
}

/* ---- an earlier move that was interrupted */

static gboolean is_one_file(const char *a, const char *b)
{
	struct stat first, second;

	return !lstat(a, &first) && !lstat(b, &second) && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

static gboolean file_remove(const char *path, GError **error)
{
	if (unlink(path))
		return error_set_errno(error, errno, "remove %s", path);
	return files_sync_parent(path, error);
}

static gboolean file_has_uuid(const char *path, const char *uuid)
{
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_READ_ONLY, NULL);
	char found[UUID_TEXT];
	SuperblockPair pair;

	if (!backing || !superblock_load(backing, &pair, NULL))
		return FALSE;
	uuid_format(pair.current.uuid, found);
	return !strcmp(found, uuid);
}

/* Whether the volume of an interrupted move has reached its new place, as the registry knows it. */
static gboolean moved_check(const Moving *moving, const RegistryEntry *entry, gboolean *ret_moved,
			    GError **error)
{
	g_autoptr(VolumeName) to = volume_name_parse(entry->to, error);
	g_autofree char *path = NULL, *uuid_of_pool = NULL;

	*ret_moved = entry->deleted != 0; /* noted by whoever has found it there */
	if (!to || *ret_moved)
		return to != NULL;
	path = pool_volume_path(moving->config, to, error);
	if (!path)
		return FALSE;
	*ret_moved = file_has_uuid(path, entry->uuid);
	uuid_of_pool =
		*ret_moved ? pool_uuid(config_find_pool(moving->config, to->pool), error) : NULL;
	if (uuid_of_pool)
		pool_note_renamed(moving->config, to, entry->uuid, uuid_of_pool);
	return uuid_of_pool || !*ret_moved;
}

/* Ends a move that died between its last steps: removes the old file, if the volume is at its new
 * place; otherwise gives it its name again. */
static gboolean interrupted_end(const Moving *moving, gboolean *ret_moved, GError **error)
{
	g_autofree char *wanted = volume_name_format(moving->to);
	RegistryEntry entry = {0};

	*ret_moved = FALSE;
	if (!access(moving->source, F_OK) || access(moving->moving, F_OK))
		return TRUE;
	if (!registry_find(moving->config, moving->from, &entry, NULL) || !*entry.to)
		return error_set(error, STORAGEOS_ERROR_EXISTS,
				 "%s is left by a move that was interrupted, and the registry does "
				 "not know where to: if no pool has the volume, rename it to %s",
				 moving->moving, moving->source);
	if (!moved_check(moving, &entry, ret_moved, error))
		return FALSE;
	if (!*ret_moved)
		return files_publish(moving->moving, moving->source, error);
	return file_remove(moving->moving, error) &&
	       (!strcmp(entry.to, wanted) ||
		error_set(error, STORAGEOS_ERROR_EXISTS,
			  "an earlier move, which was interrupted, is ended now: the volume is %s",
			  entry.to));
}

/* ---- moving */

/* Nobody has the volume open, nor a snapshot.  Keeps the lock.  A damaged volume has no UUID that
 * could be read, and no snapshots. */
static Backing *source_lock(const Moving *moving, char ret_uuid[UUID_TEXT], GError **error)
{
	g_autofree char *path = pool_existing_path(moving->config, moving->from, error);
	g_autoptr(Backing) backing = path ? backing_open(path, 0, error) : NULL;
	SuperblockPair pair = {0};
	gboolean readable;

	if (!backing || !backing_lock(backing, TRUE, error))
		return NULL;
	readable = superblock_load(backing, &pair, NULL);
	uuid_format(pair.current.uuid, ret_uuid);
	if (readable && !readers_check_none(moving->config->run_directory, ret_uuid, error))
		return NULL;
	return g_steal_pointer(&backing);
}

static gboolean space_check(const Moving *moving, Backing *source, GError **error)
{
	g_autofree char *needed = size_format(backing_allocated(source)), *room = NULL;
	g_autofree char *directory = g_path_get_dirname(moving->target);
	struct statvfs fs;

	if (statvfs(directory, &fs))
		return error_set_errno(error, errno, "look at %s", directory);
	room = size_format((guint64)fs.f_bavail * fs.f_frsize);
	return backing_allocated(source) < (guint64)fs.f_bavail * fs.f_frsize ||
	       error_set(error, STORAGEOS_ERROR_NO_SPACE,
			 "the volume takes %s, and the file system of %s has %s free", needed,
			 directory, room);
}

/* The last steps; the copy is complete and durable. */
static gboolean copy_put_in_place(const Moving *moving, const char *copy, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (!files_publish(moving->source, moving->moving, error)) {
		if (access(moving->source, F_OK)) /* renamed, not flushed */
			files_rename(moving->moving, moving->source);
		return FALSE;
	}
	if (files_publish(copy, moving->target, error) && file_remove(moving->moving, error))
		return TRUE;
	if (is_one_file(copy, moving->target) || access(copy, F_OK)) /* it has its name */
		g_prefix_error(error, "the volume is at %s already, its old file still at %s: ",
			       moving->target, moving->moving);
	else if (!files_publish(moving->moving, moving->source, &problem))
		g_prefix_error(error, "the volume's file is %s now (%s): ", moving->moving,
			       problem->message);
	return FALSE;
}

static gboolean volume_move_by_copy(const Moving *moving, Backing *source, GError **error)
{
	g_autofree char *temporary = pool_temporary_path(moving->target);
	g_autoptr(Backing) copy = NULL;

	if (!space_check(moving, source, error))
		return FALSE;
	copy = backing_open(temporary, BACKING_OPEN_CREATE, error);
	if (!copy)
		return FALSE;
	/* The lock tells others that the temporary file is in use. */
	if (backing_lock(copy, TRUE, error) &&
	    file_copy(moving->source, temporary, moving->progress, moving->data, error) &&
	    copy_put_in_place(moving, temporary, error))
		return TRUE;
	unlink(temporary);
	return FALSE;
}

static gboolean names_flush(const Moving *moving, GError **error)
{
	if (files_sync_parent(moving->target, error) && files_sync_parent(moving->source, error))
		return TRUE;
	g_prefix_error(error, "the volume is at %s now, unless power fails: ", moving->target);
	return FALSE;
}

static gboolean volume_move(const Moving *moving, Backing *source, GError **error)
{
	int err = files_rename(moving->source, moving->target);

	if (!err)
		return names_flush(moving, error);
	if (err == EXDEV)
		return volume_move_by_copy(moving, source, error);
	if (err == EEXIST)
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already",
				 moving->target);
	return error_set_errno(error, err, "rename %s to %s", moving->source, moving->target);
}

/* The volume is moved, whether or not the registry can be written. */
static gboolean moving_end(const Moving *moving)
{
	g_autoptr(GError) problem = NULL;

	if (!registry_note_renamed(moving->config, moving->from, moving->to, moving->to_pool,
				   &problem))
		log_warning("volume %s/%s: cannot note in the registry that it was %s/%s: %s",
			    moving->to->pool, moving->to->name, moving->from->pool,
			    moving->from->name, problem->message);
	return TRUE;
}

static gboolean target_is_free(const Moving *moving, GError **error)
{
	return access(moving->target, F_OK) ||
	       error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already", moving->target);
}

static gboolean moving_carry_out(const Moving *moving, GError **error)
{
	g_autoptr(Backing) source = NULL;
	char uuid[UUID_TEXT];

	source = source_lock(moving, uuid, error);
	if (!source)
		return FALSE;
	pool_note_renamed(moving->config, moving->from, uuid, moving->from_pool);
	/* A rename by link() and unlink() died between these. */
	if (is_one_file(moving->source, moving->target))
		return file_remove(moving->source, error) && moving_end(moving);
	if (!target_is_free(moving, error) ||
	    !registry_note_renaming(moving->config, moving->from, moving->to, uuid,
				    moving->from_pool, error))
		return FALSE;
	if (volume_move(moving, source, error))
		return moving_end(moving);
	if (!access(moving->source, F_OK))
		registry_note(moving->config, moving->from, uuid, moving->from_pool, NULL);
	return FALSE;
}

gboolean pool_volume_move(const Config *config, const VolumeName *from, const VolumeName *to,
			  FileCopyProgress progress, gpointer data, GError **error)
{
	g_auto(Moving) moving = {
		.config = config, .from = from, .to = to, .progress = progress, .data = data};
	gboolean moved;

	if (!moving_init(&moving, error) || !interrupted_end(&moving, &moved, error))
		return FALSE;
	return moved || moving_carry_out(&moving, error);
}

static gboolean is_on_another_file_system(const Moving *moving)
{
	g_autofree char *directory = g_path_get_dirname(moving->target);
	struct stat source, target;

	return !stat(moving->source, &source) && !stat(directory, &target) &&
	       source.st_dev != target.st_dev;
}

gboolean pool_volume_may_move(const Config *config, const VolumeName *from, const VolumeName *to,
			      GError **error)
{
	g_auto(Moving) moving = {.config = config, .from = from, .to = to};
	g_autoptr(Backing) source = NULL;
	char uuid[UUID_TEXT];

	if (!moving_init(&moving, error))
		return FALSE;
	if (access(moving.source, F_OK) && !access(moving.moving, F_OK)) /* it would be ended */
		return TRUE;
	source = source_lock(&moving, uuid, error);
	if (!source)
		return FALSE;
	return is_one_file(moving.source, moving.target) ||
	       (target_is_free(&moving, error) &&
		(!is_on_another_file_system(&moving) || space_check(&moving, source, error)));
}
