/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of steps in which a volume appears: the marker is looked at, the file is made under a
 * temporary name (one that no volume can have), formatted and made durable, renamed where nothing
 * has the name yet, and the directory is made durable.  A death in between leaves a temporary
 * file; the next creation in that pool removes it when nobody holds it.
 */
#include "common/pool.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/backing/file.h"
#include "common/claim.h"
#include "common/error.h"
#include "common/files.h"
#include "common/format.h"
#include "common/json.h"
#include "common/logging.h"
#include "common/names.h"
#include "common/superblock.h"
#include "common/text.h"
#include "common/units.h"

#define SUFFIX ".vol"
#define TEMPORARY_SUFFIX ".new"
#define EDGE MIB /* of a device, where whatever holds it has its mark */
#define MARKER_FORMAT 1
#define MARKER_SIZE_MAX 4096
#define DEVICE_PATH_MAX 200
#define EXCERPT_MAX 150 /* bytes of what is no name, in a message */

gboolean pool_name_valid(const char *name)
{
	return name_valid(name);
}

/* ---- names */

static VolumeName *volume_name_new(const char *pool, const char *name)
{
	VolumeName *parsed = g_new0(VolumeName, 1);

	parsed->pool = g_strdup(pool);
	parsed->name = g_strdup(name);
	return parsed;
}

static VolumeName *device_name_parse(const char *text, GError **error)
{
	g_autofree char *shown = NULL;

	/* Characters that end a cfgstring or a part of it; "//", "/." and a '/' at the end give one
	 * device two names. */
	if (strnlen(text, DEVICE_PATH_MAX + 1) <= DEVICE_PATH_MAX && !strpbrk(text, ":,; \t\n") &&
	    !strstr(text, "//") && !strstr(text, "/.") && !g_str_has_suffix(text, "/"))
		return volume_name_new(NULL, text);
	shown = text_excerpt(text, DEVICE_PATH_MAX);
	error_set(error, STORAGEOS_ERROR_INVALID,
		  "'%s' is not the plain absolute path of a block device", shown);
	return NULL;
}

VolumeName *volume_name_parse(const char *text, GError **error)
{
	const char *slash = strchr(text, '/');
	char pool[NAME_LENGTH_MAX + 2] = CONFIG_DEFAULT_POOL;
	g_autofree char *shown = NULL;

	if (slash == text)
		return device_name_parse(text, error);
	/* One character more than a name may have is kept, so that too long a name stays so. */
	if (slash)
		g_strlcpy(pool, text, MIN(sizeof pool, (gsize)(slash - text) + 1));
	if (name_valid(pool) && name_valid(slash ? slash + 1 : text))
		return volume_name_new(pool, slash ? slash + 1 : text);
	shown = text_excerpt(text, EXCERPT_MAX);
	error_set(error, STORAGEOS_ERROR_INVALID,
		  "'%s' is no volume's name: write NAME or POOL/NAME (each " NAME_RULE ")", shown);
	return NULL;
}

char *volume_name_format(const VolumeName *name)
{
	return name->pool ? g_strconcat(name->pool, "/", name->name, NULL) : g_strdup(name->name);
}

void volume_name_free(VolumeName *name)
{
	if (!name)
		return;
	g_free(name->pool);
	g_free(name->name);
	g_free(name);
}

/* ---- markers */

static char *marker_encode(const char *name)
{
	g_autoptr(Json) marker = json_object_new_object();
	g_autofree char *uuid = g_uuid_string_random();

	json_add_number(marker, "format", MARKER_FORMAT);
	json_add_text(marker, "uuid", uuid);
	json_add_text(marker, "name", name);
	return json_to_text(marker);
}

/* The pool's name according to the marker.  NULL with NOT_FOUND where there is none. */
static char *marker_read(const char *path, GError **error)
{
	g_autofree char *text = files_read(path, MARKER_SIZE_MAX, NULL, error);
	g_autoptr(Json) marker = text ? json_tokener_parse(text) : NULL;
	const char *name, *uuid;
	Json *format;

	if (!text)
		return NULL;
	if (!json_object_is_type(marker, json_type_object) ||
	    !json_object_object_get_ex(marker, "format", &format) ||
	    !json_object_is_type(format, json_type_int)) {
		error_set(error, STORAGEOS_ERROR_CORRUPT, "%s is not a pool's marker", path);
		return NULL;
	}
	if (json_object_get_int64(format) != MARKER_FORMAT) {
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "%s has format %" G_GINT64_FORMAT ", this program knows %d", path,
			  json_object_get_int64(format), MARKER_FORMAT);
		return NULL;
	}
	name = json_get_text(marker, "name");
	uuid = json_get_text(marker, "uuid");
	if (!name_valid(name) || !uuid || !g_uuid_string_is_valid(uuid)) {
		error_set(error, STORAGEOS_ERROR_CORRUPT, "%s has no valid name and uuid", path);
		return NULL;
	}
	return g_strdup(name);
}

static gboolean marker_check(const char *path, const char *name, GError **error)
{
	g_autofree char *found = marker_read(path, error);

	if (!found)
		return FALSE;
	return !strcmp(found, name) ||
	       error_set(error, STORAGEOS_ERROR_EXISTS, "%s belongs to the pool '%s'", path, found);
}

gboolean pool_create(const char *name, const char *directory, GError **error)
{
	g_autofree char *path = g_build_filename(directory, POOL_MARKER, NULL);
	g_autoptr(GError) local = NULL;
	g_autofree char *text = NULL;

	if (!name_valid(name)) {
		g_autofree char *shown = text_excerpt(name, EXCERPT_MAX);

		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "'%s' is no name for a pool (" NAME_RULE ")", shown);
	}
	if (!g_path_is_absolute(directory))
		return error_set(error, STORAGEOS_ERROR_INVALID, "'%s' is not an absolute path",
				 directory);
	if (!files_make_directory(directory, error))
		return FALSE;
	text = marker_encode(name);
	if (files_write(path, text, strlen(text), 0644, FILES_NEW, &local))
		return TRUE;
	if (g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_EXISTS))
		return marker_check(path, name, error);
	g_propagate_error(error, g_steal_pointer(&local));
	return FALSE;
}

gboolean pool_check(const ConfigPool *pool, GError **error)
{
	g_autofree char *path = g_build_filename(pool->path, POOL_MARKER, NULL);
	g_autoptr(GError) local = NULL;

	if (marker_check(path, pool->name, &local))
		return TRUE;
	if (g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "pool '%s': no marker %s (is its file system mounted? a new pool "
				 "is made by: storageos pool create %s %s)",
				 pool->name, path, pool->name, pool->path);
	g_propagate_prefixed_error(error, g_steal_pointer(&local), "pool '%s': ", pool->name);
	return FALSE;
}

/* ---- what is in a pool */

/* The volume's name that a file name stands for, or NULL. */
static char *volume_of_file(const char *file)
{
	g_autofree char *name = NULL;

	if (!g_str_has_suffix(file, SUFFIX))
		return NULL;
	name = g_strndup(file, strlen(file) - strlen(SUFFIX));
	return name_valid(name) ? g_steal_pointer(&name) : NULL;
}

static gboolean is_regular_file(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISREG(st.st_mode);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *pool_list(const ConfigPool *pool, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GError) local = NULL;
	g_autoptr(GDir) dir = NULL;
	const char *file;

	if (!pool_check(pool, error))
		return NULL;
	dir = g_dir_open(pool->path, 0, &local);
	if (!dir) {
		error_set(error, STORAGEOS_ERROR_IO, "pool '%s': %s", pool->name, local->message);
		return NULL;
	}
	while ((file = g_dir_read_name(dir))) {
		g_autofree char *name = volume_of_file(file);
		g_autofree char *path = g_build_filename(pool->path, file, NULL);

		if (name && is_regular_file(path))
			g_ptr_array_add(names, g_steal_pointer(&name));
	}
	g_ptr_array_sort(names, compare_names);
	return g_steal_pointer(&names);
}

static const ConfigPool *known_pool(const Config *config, const VolumeName *name, GError **error)
{
	const ConfigPool *pool = config_find_pool(config, name->pool);

	if (!pool)
		error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			  "no pool '%s' in %s (storageos pool list tells which there are)",
			  name->pool, config->file);
	return pool && pool_check(pool, error) ? pool : NULL;
}

char *pool_volume_path(const Config *config, const VolumeName *name, GError **error)
{
	const ConfigPool *pool;

	if (!name->pool)
		return g_strdup(name->name);
	pool = known_pool(config, name, error);
	if (!pool)
		return NULL;
	return g_strdup_printf("%s/%s" SUFFIX, pool->path, name->name);
}

/* The path of one that is there and is what it should be: a file, and no link to one elsewhere, or
 * a block device. */
static char *existing_path(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *path = pool_volume_path(config, name, error);
	struct stat st;

	if (!path)
		return NULL;
	if (name->pool ? lstat(path, &st) : stat(path, &st)) {
		if (errno == ENOENT)
			error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				  "there is none (no %s); see: storageos list", path);
		else
			error_set_errno(error, errno, "look at %s", path);
		return NULL;
	}
	if (name->pool ? !S_ISREG(st.st_mode) : !S_ISBLK(st.st_mode)) {
		error_set(error, STORAGEOS_ERROR_INVALID, "%s is not a %s", path,
			  name->pool ? "regular file" : "block device");
		return NULL;
	}
	return g_steal_pointer(&path);
}

/* ---- creating */

/* Temporary files of creations that died.  Those that live are locked, or younger than a minute. */
static void sweep(const char *directory)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *file;

	while (dir && (file = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, file, NULL);
		g_autoptr(Backing) backing = NULL;
		struct stat st;

		if (*file != '.' || !g_str_has_suffix(file, TEMPORARY_SUFFIX) || lstat(path, &st) ||
		    !S_ISREG(st.st_mode) || st.st_ctime > time(NULL) - 60)
			continue;
		backing = backing_file_open(path, 0, NULL);
		if (backing && backing_lock(backing, TRUE, NULL) && !unlink(path))
			log_info("removed %s, left over from a creation that died", path);
	}
}

static gboolean format_file(const char *path, const VolumeParameters *parameters, GError **error)
{
	g_autoptr(Backing) backing = backing_file_open(path, BACKING_FILE_CREATE, error);

	return backing && volume_format(backing, parameters, error);
}

static gboolean create_file(const char *path, const VolumeParameters *parameters, GError **error)
{
	g_autofree char *directory = g_path_get_dirname(path);
	g_autofree char *base = g_path_get_basename(path);
	g_autofree char *temporary = NULL;

	if (!access(path, F_OK))
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already", path);
	sweep(directory);
	temporary = g_strdup_printf("%s/.%s.%08x%08x" TEMPORARY_SUFFIX, directory, base,
				    g_random_int(), g_random_int());
	if (format_file(temporary, parameters, error) && files_publish(temporary, path, error))
		return TRUE;
	unlink(temporary);
	return FALSE;
}

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
			 " hold something, a file system perhaps (wipe it, or use --force)",
			 backing->name, offset, offset + length);
}

/* Whatever it may hold (file system, partition table, RAID member, a volume) has its mark in the
 * first or the last MiB. */
static gboolean device_is_empty(Backing *backing, GError **error)
{
	guint64 size = backing_size(backing);
	gsize edge = (gsize)MIN(size, EDGE);
	g_autofree char *buffer = g_try_malloc(EDGE);

	if (!buffer)
		return error_set_errno(error, ENOMEM, "read %s", backing->name);
	return range_is_zero(backing, 0, edge, buffer, error) &&
	       range_is_zero(backing, size - edge, edge, buffer, error);
}

static gboolean create_on_device(const Config *config, const VolumeName *name,
				 const VolumeParameters *parameters, gboolean force, GError **error)
{
	g_autofree char *path = existing_path(config, name, error);
	g_autoptr(Backing) backing = path ? backing_file_open(path, 0, error) : NULL;

	if (!backing || (!force && !device_is_empty(backing, error)))
		return FALSE;
	return volume_format(backing, parameters, error);
}

/* Puts "WHAT volume 'NAME': " in front of an error.  Always FALSE. */
static gboolean fail(const char *what, const VolumeName *name, GError **error)
{
	g_autofree char *text = volume_name_format(name);

	g_prefix_error(error, "%s volume '%s': ", what, text);
	return FALSE;
}

gboolean pool_volume_create(const Config *config, const VolumeName *name,
			    const VolumeParameters *parameters, gboolean force, GError **error)
{
	g_autofree char *path = NULL;

	if (!name->pool)
		return create_on_device(config, name, parameters, force, error) ||
		       fail("create", name, error);
	path = pool_volume_path(config, name, error);
	return (path && create_file(path, parameters, error)) || fail("create", name, error);
}

/* ---- opening, deleting */

static Backing *open_backing(const Config *config, const VolumeName *name, BackingFileFlags flags,
			     GError **error)
{
	g_autofree char *path = existing_path(config, name, error);
	Backing *backing = path ? backing_file_open(path, flags, error) : NULL;

	if (!backing)
		fail("open", name, error);
	return backing;
}

Volume *pool_volume_open(const Config *config, const VolumeName *name, VolumeOpenFlags flags,
			 GError **error)
{
	g_autofree char *text = volume_name_format(name);
	Backing *backing = open_backing(
		config, name, flags & VOLUME_OPEN_READ_ONLY ? BACKING_FILE_READ_ONLY : 0, error);

	return backing ? volume_open(backing, text, flags, error) : NULL;
}

/* Of a volume that somebody serves, also what as. */
static void explain_busy(const Config *config, const char *uuid, GError **error)
{
	g_autofree char *as = claim_holder_as(config, uuid);
	g_autofree char *text = as && error ? g_strdup((*error)->message) : NULL;

	if (!text)
		return;
	g_clear_error(error);
	error_set(error, STORAGEOS_ERROR_BUSY, "%s: it is %s already", text, as);
}

/* The lock of the volume's file first: its UUID may change before, and who has that file is told
 * before who has its UUID. */
static Claim *claim_backing(const Config *config, Backing *backing, const char *text,
			    const char *as, GError **error)
{
	gboolean locked = backing_lock(backing, TRUE, error);
	char uuid[UUID_TEXT];
	SuperblockPair pair;

	if (!superblock_load(backing, &pair, locked ? error : NULL))
		return NULL;
	uuid_format(pair.current.uuid, uuid);
	if (locked)
		return claim_take(config, uuid, text, as, error);
	explain_busy(config, uuid, error);
	return NULL;
}

Volume *pool_volume_serve(const Config *config, const VolumeName *name, const char *as,
			  GError **error)
{
	g_autofree char *text = volume_name_format(name);
	g_autoptr(Backing) backing = open_backing(config, name, 0, error);
	g_autoptr(Claim) claim = NULL;
	Volume *volume;

	if (!backing)
		return NULL;
	claim = claim_backing(config, backing, text, as, error);
	if (!claim) {
		fail("open", name, error);
		return NULL;
	}
	volume = volume_open(g_steal_pointer(&backing), text, 0, error);
	if (volume)
		volume_keep(volume, g_steal_pointer(&claim), (GDestroyNotify)claim_release);
	return volume;
}

static gboolean has_superblock(Backing *backing, GError **error)
{
	static const guint64 homes[] = {FORMAT_SUPERBLOCK_A, FORMAT_SUPERBLOCK_B};
	guint8 block[FORMAT_SUPERBLOCK_SIZE];
	gboolean found = FALSE;
	int err = 0;

	for (guint i = 0; i < G_N_ELEMENTS(homes) && !err; i++) {
		err = backing_pread(backing, block, sizeof block, homes[i]);
		found |= !err && !memcmp(block, FORMAT_MAGIC, strlen(FORMAT_MAGIC));
	}
	if (err)
		return error_set_errno(error, err, "read %s", backing->name);
	return found || error_set(error, STORAGEOS_ERROR_NOT_FOUND, "%s holds none", backing->name);
}

/* Both ends, where a device is looked at before it is used; at the first are the superblocks. */
static gboolean wipe_device(Backing *backing, GError **error)
{
	guint64 size = backing_size(backing);
	gsize edge = (gsize)MIN(size, EDGE);
	g_autofree char *zeros = g_try_malloc0(EDGE);
	int err = zeros ? 0 : -ENOMEM;

	if (!has_superblock(backing, error))
		return FALSE;
	if (!err)
		err = backing_pwrite(backing, zeros, edge, 0);
	if (!err)
		err = backing_pwrite(backing, zeros, edge, size - edge);
	if (!err)
		err = backing_flush(backing);
	return !err || error_set_errno(error, err, "wipe %s", backing->name);
}

gboolean pool_volume_delete(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *path = existing_path(config, name, error);
	g_autoptr(Backing) backing = path ? backing_file_open(path, 0, error) : NULL;
	gboolean done = backing && backing_lock(backing, TRUE, error);

	if (done && !name->pool)
		done = wipe_device(backing, error);
	else if (done)
		done = !unlink(path) || error_set_errno(error, errno, "remove %s", path);
	if (done && name->pool)
		done = files_sync_parent(path, error);
	return done || fail("delete", name, error);
}
