/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which a volume is created: check the marker; create the file under a temporary name,
 * which no volume can have; format it and make it durable; rename it, unless the name is taken;
 * make the directory durable.  A crash in between leaves a temporary file; the next creation in
 * that pool removes it if nobody holds it.
 */
#include "common/service/pool-private.h"
#include "common/service/pool-space.h"
#include "common/service/pool-store.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/engine/format.h"
#include "common/base/logging.h"
#include "common/service/registry.h"
#include "common/engine/superblock.h"

#define TEMPORARY_SUFFIX ".new"
#define TEMPORARY_DIGITS 16
#define ROOM_FOR_ONE (8 * (gint64)MIB) /* a new volume takes less */

static gboolean range_is_zero(Backing *backing, guint64 offset, gsize length, char *buffer,
			      GError **error)
{
	int err = backing_pread(backing, buffer, length, offset);

	if (err)
		return error_set_errno(error, err, "read %s", backing->name);
	if (!length || (!buffer[0] && !memcmp(buffer, buffer + 1, length - 1)))
		return TRUE;
	return error_set(error, STORAGEOS_ERROR_EXISTS,
			 "%s is not empty: bytes %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
			 " hold data (wipe it, or use --force)",
			 backing->name, offset, offset + length);
}

/* "." NAME ".vol." 16 hexadecimal digits ".new", as create_file() makes it. */
static gboolean is_temporary_name(const char *file)
{
	gsize length = strlen(file), tail = 1 + TEMPORARY_DIGITS + strlen(TEMPORARY_SUFFIX);
	g_autofree char *name = NULL, *volume = NULL;
	const char *end = file + length - tail;

	if (length <= tail + 1 || *file != '.' || !g_str_has_suffix(file, TEMPORARY_SUFFIX) ||
	    *end != '.' || strspn(end + 1, "0123456789abcdef") != TEMPORARY_DIGITS)
		return FALSE;
	name = g_strndup(file + 1, (gsize)(end - file - 1));
	volume = pool_volume_of_file(name);
	return volume != NULL;
}

/* An unfinished volume consists of zeros, until its superblocks are written at the end. */
static gboolean file_is_unfinished(Backing *backing)
{
	guint64 size = backing_size(backing);
	g_autofree char *buffer = g_try_malloc(POOL_EDGE);
	gboolean empty = buffer && size <= FORMAT_JOURNAL_OFFSET + FORMAT_JOURNAL_MAX;

	if (pool_has_superblock(backing, NULL))
		return TRUE;
	for (guint64 at = 0; at < size && empty; at += POOL_EDGE)
		empty = range_is_zero(backing, at, (gsize)MIN(size - at, POOL_EDGE), buffer, NULL);
	return empty;
}

/* Removes the temporary files of creations that died.  A living creation has its file locked, or
 * the file is less than a minute old. */
static void temporaries_remove(const char *directory)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *file;

	while (dir && (file = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, file, NULL);
		g_autoptr(Backing) backing = NULL;
		struct stat st;

		if (!is_temporary_name(file) || lstat(path, &st) || !S_ISREG(st.st_mode) ||
		    st.st_ctime > time(NULL) - 60)
			continue;
		backing = backing_open(path, 0, NULL);
		if (backing && backing_lock(backing, TRUE, NULL) && file_is_unfinished(backing) &&
		    !unlink(path))
			log_info("removed %s, left by an interrupted creation", path);
	}
}

static gboolean format_file(const char *path, const VolumeParameters *parameters,
			    char ret_uuid[UUID_TEXT], GError **error)
{
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_CREATE, error);
	SuperblockPair pair;

	if (!backing || !volume_format(backing, parameters, error) ||
	    !superblock_load(backing, &pair, error))
		return FALSE;
	uuid_format(pair.current.uuid, ret_uuid);
	return TRUE;
}

char *pool_temporary_path(const char *path)
{
	g_autofree char *directory = g_path_get_dirname(path);
	g_autofree char *base = g_path_get_basename(path);

	temporaries_remove(directory);
	return g_strdup_printf("%s/.%s.%08x%08x" TEMPORARY_SUFFIX, directory, base, g_random_int(),
			       g_random_int());
}

static gboolean create_file(const char *path, const VolumeParameters *parameters,
			    char ret_uuid[UUID_TEXT], GError **error)
{
	g_autofree char *temporary = NULL;

	if (!access(path, F_OK))
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already", path);
	temporary = pool_temporary_path(path);
	if (format_file(temporary, parameters, ret_uuid, error) &&
	    files_publish(temporary, path, error))
		return TRUE;
	unlink(temporary);
	return FALSE;
}

/* Whatever it may hold (file system, partition table, RAID member, a volume) has its mark in the
 * first or the last MiB. */
gboolean pool_device_is_empty(Backing *backing, GError **error)
{
	guint64 size = backing_size(backing);
	gsize edge = (gsize)MIN(size, POOL_EDGE);
	g_autofree char *buffer = g_try_malloc(POOL_EDGE);

	if (!buffer)
		return error_set_errno(error, ENOMEM, "read %s", backing->name);
	return range_is_zero(backing, 0, edge, buffer, error) &&
	       range_is_zero(backing, size - edge, edge, buffer, error);
}

static gboolean create_on_device(const Config *config, const VolumeName *name,
				 const VolumeParameters *parameters, gboolean force, GError **error)
{
	g_autofree char *path = pool_existing_path(config, name, error);
	g_autoptr(Backing) backing = path ? backing_open(path, 0, error) : NULL;

	/* The lock comes first: what is read without it may be of before another machine wrote. */
	if (!backing || !backing_lock(backing, TRUE, error) ||
	    (!force && !pool_device_is_empty(backing, error)))
		return FALSE;
	return volume_format(backing, parameters, error);
}

/* A volume that existed before is not created again by `;create`. */
static gboolean volume_check_never_made(const Config *config, const VolumeName *name,
					const char *path, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autofree char *history = NULL;
	RegistryEntry entry;

	if (!registry_find(config, name, &entry, &local)) {
		if (g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			return TRUE;
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	registry_follow(config, &entry);
	history = registry_describe(&entry);
	return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			 "%s, and there is no %s now: ;create makes a volume once (restore it, or "
			 "make it anew: storageos create %s/%s --size SIZE)",
			 history, path, name->pool, name->name);
}

/* If the registry cannot note the volume, it is removed, as it could be created a second time; so
 * is an entry that may have been written after all. */
static gboolean volume_note_made_once(const Config *config, const VolumeName *name,
				      const char *uuid, const char *uuid_of_pool, const char *path,
				      GError **error)
{
	char unused[UUID_TEXT];

	if (registry_note(config, name, uuid, uuid_of_pool, error))
		return TRUE;
	if (pool_is_ceph(config, name))
		pool_store_delete(config_find_pool(config, name->pool), name->name, unused, NULL);
	else
		unlink(path);
	registry_forget(config, name, NULL);
	return FALSE;
}

gboolean pool_check_new_name(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *stem = pool_volume_of_file(name->name);
	g_autofree char *moving = NULL;

	if (stem)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "a volume name must not end in '" POOL_VOLUME_SUFFIX
				 "' (its file name does): use %s",
				 stem);
	moving = pool_volume_moving(config, name);
	return !moving || error_set(error, STORAGEOS_ERROR_EXISTS,
				    "the move of a volume of that name was interrupted, and its "
				    "file is %s (to end that: storageos move %s/%s POOL)",
				    moving, name->pool, name->name);
}

gboolean pool_quota_suffices(const ConfigPool *pool, GError **error)
{
	PoolSpace space;

	return pool->ceph || !pool->quota ||
	       (pool_space_read(pool, &space, error) &&
		(space.left >= ROOM_FOR_ONE ||
		 error_set(error, STORAGEOS_ERROR_NO_SPACE,
			   "the quota of the pool '%s' is used up (see: storageos pool show %s)",
			   pool->name, pool->name)));
}

static gboolean create_in_pool(const Config *config, const VolumeName *name,
			       const VolumeParameters *parameters, PoolCreateFlags flags,
			       GError **error)
{
	const ConfigPool *pool = pool_find(config, name, error);
	g_autofree char *uuid_of_pool = pool ? pool_uuid(pool, error) : NULL;
	gboolean once = flags & POOL_CREATE_ONCE;
	g_autofree char *path = NULL;
	char uuid[UUID_TEXT];

	if (!uuid_of_pool || !pool_check_new_name(config, name, error) ||
	    !volume_check_parameters(parameters, name->name, error) ||
	    !pool_quota_suffices(pool, error))
		return FALSE;
	path = pool->ceph ? pool_volume_place(config, name) : pool_file_path(pool, name);
	if (once && !pool->ceph && !access(path, F_OK))
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already", path);
	if (once && !volume_check_never_made(config, name, path, error))
		return FALSE;
	if (pool->ceph ? !pool_store_create(pool, name->name, parameters, uuid, error)
		       : !create_file(path, parameters, uuid, error))
		return FALSE;
	if (once)
		return volume_note_made_once(config, name, uuid, uuid_of_pool, path, error);
	pool_note(config, name, uuid, uuid_of_pool);
	return TRUE;
}

gboolean pool_volume_create(const Config *config, const VolumeName *name,
			    const VolumeParameters *parameters, PoolCreateFlags flags,
			    GError **error)
{
	gboolean done = name->pool ? create_in_pool(config, name, parameters, flags, error)
				   : create_on_device(config, name, parameters,
						      flags & POOL_CREATE_FORCE, error);

	return done || pool_fail("create", name, error);
}
