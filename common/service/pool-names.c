/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where pools and their volumes are.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/error.h"
#include "common/base/names.h"
#include "common/service/pool-marker.h"
#include "common/service/pool-private.h"
#include "common/service/pool-store.h"
#include "common/service/registry.h"

gboolean pool_name_valid(const char *name)
{
	return name_valid(name);
}

/* ---- the pool */

static gboolean pool_refuse_missing(const ConfigPool *pool, GError **error)
{
	if (pool->uuid)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
				 "pool '%s': no marker %s/" POOL_MARKER
				 " (is its file system mounted?)",
				 pool->name, pool->path);
	return error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			 "pool '%s': no marker %s/" POOL_MARKER
			 " (%s never made: storageos pool create %s %s)",
			 pool->name, pool->path,
			 pool->listed ? "is its file system mounted? if it was" : "it was",
			 pool->name, pool->path);
}

static gboolean pool_check_marker(const ConfigPool *pool, const PoolMarker *marker, GError **error)
{
	if (!pool->uuid)
		return !strcmp(marker->name, pool->name) ||
		       error_set(error, STORAGEOS_ERROR_EXISTS,
				 "pool '%s': %s/" POOL_MARKER
				 " belongs to the pool '%s' (to take it over: storageos pool "
				 "create %s %s --adopt)",
				 pool->name, pool->path, marker->name, pool->name, pool->path);
	return !strcmp(pool->uuid, marker->uuid) ||
	       error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			 "pool '%s': %s has the pool with UUID %s, the configuration wants %s (is "
			 "its "
			 "file system mounted?)",
			 pool->name, pool->path, marker->uuid, pool->uuid);
}

char *pool_uuid(const ConfigPool *pool, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(PoolMarker) marker = NULL;

	if (pool->ceph)
		return pool_store_check(pool, error) ? g_strdup(pool->uuid) : NULL;
	marker = pool_marker_read(pool->path, &local);
	if (marker)
		return pool_check_marker(pool, marker, error) ? g_strdup(marker->uuid) : NULL;
	if (g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		pool_refuse_missing(pool, error);
	else
		g_propagate_prefixed_error(error, g_steal_pointer(&local),
					   "pool '%s': ", pool->name);
	return NULL;
}

gboolean pool_check(const ConfigPool *pool, GError **error)
{
	g_autofree char *uuid = pool_uuid(pool, error);

	return uuid != NULL;
}

/* ---- what is in a pool */

char *pool_volume_of_file(const char *file)
{
	g_autofree char *name = NULL;

	if (!g_str_has_suffix(file, POOL_VOLUME_SUFFIX))
		return NULL;
	name = g_strndup(file, strlen(file) - strlen(POOL_VOLUME_SUFFIX));
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

static gboolean names_add_files(GPtrArray *names, const ConfigPool *pool, GError **error)
{
	g_autoptr(GError) local = NULL;
	g_autoptr(GDir) dir = NULL;
	const char *file;

	if (!pool_check(pool, error))
		return FALSE;
	dir = g_dir_open(pool->path, 0, &local);
	if (!dir)
		return error_set(error, STORAGEOS_ERROR_IO, "pool '%s': %s", pool->name,
				 local->message);
	while ((file = g_dir_read_name(dir))) {
		g_autofree char *name = pool_volume_of_file(file);
		g_autofree char *path = g_build_filename(pool->path, file, NULL);

		if (name && is_regular_file(path))
			g_ptr_array_add(names, g_steal_pointer(&name));
	}
	return TRUE;
}

static gboolean names_add_images(GPtrArray *names, const ConfigPool *pool, GPtrArray *strangers,
				 GError **error)
{
	g_autoptr(GPtrArray) images = pool_store_list(pool, error);

	for (guint i = 0; images && i < images->len; i++) {
		const char *image = g_ptr_array_index(images, i);
		GPtrArray *to = name_valid(image) ? names : strangers;

		if (to)
			g_ptr_array_add(to, g_strdup(image));
	}
	return images != NULL;
}

GPtrArray *pool_list_all(const ConfigPool *pool, GPtrArray *strangers, GError **error)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	if (pool->ceph ? !names_add_images(names, pool, strangers, error)
		       : !names_add_files(names, pool, error))
		return NULL;
	g_ptr_array_sort(names, compare_names);
	return g_steal_pointer(&names);
}

GPtrArray *pool_list(const ConfigPool *pool, GError **error)
{
	return pool_list_all(pool, NULL, error);
}

const ConfigPool *pool_find(const Config *config, const VolumeName *name, GError **error)
{
	const ConfigPool *pool = config_find_pool(config, name->pool);

	if (!pool)
		error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			  "no pool '%s' in %s (storageos pool list tells which there are)",
			  name->pool, config->file);
	return pool;
}

char *pool_file_path(const ConfigPool *pool, const VolumeName *name)
{
	if (pool->ceph)
		return pool_store_uri(pool, name->name);
	return g_strdup_printf("%s/%s" POOL_VOLUME_SUFFIX, pool->path, name->name);
}

#define MOVING_SUFFIX ".moving"

char *pool_moving_path(const ConfigPool *pool, const VolumeName *name)
{
	return g_strdup_printf("%s/.%s" POOL_VOLUME_SUFFIX MOVING_SUFFIX, pool->path, name->name);
}

char *pool_volume_moving(const Config *config, const VolumeName *name)
{
	const ConfigPool *pool = name->pool ? config_find_pool(config, name->pool) : NULL;
	g_autofree char *path = pool && !pool->ceph ? pool_moving_path(pool, name) : NULL;

	return path && is_regular_file(path) ? g_steal_pointer(&path) : NULL;
}

char *pool_volume_place(const Config *config, const VolumeName *name)
{
	const ConfigPool *pool = name->pool ? pool_find(config, name, NULL) : NULL;

	if (!name->pool)
		return g_strdup(name->name);
	if (pool && pool->ceph)
		return g_strconcat(pool->path, "/", name->name, NULL);
	return pool ? pool_file_path(pool, name) : NULL;
}

gboolean pool_is_ceph(const Config *config, const VolumeName *name)
{
	const ConfigPool *pool = name->pool ? config_find_pool(config, name->pool) : NULL;

	return pool && pool->ceph;
}

gboolean pool_check_thin(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *place = NULL;

	if (!pool_is_ceph(config, name))
		return TRUE;
	place = pool_volume_place(config, name);
	return error_set(
		error, STORAGEOS_ERROR_UNSUPPORTED,
		"%s is an image of Ceph, which does that itself (see: rbd snap, rbd clone, "
		"rbd export, rbd export-diff; checksums: deep scrubs)",
		place);
}

char *pool_volume_path(const Config *config, const VolumeName *name, GError **error)
{
	const ConfigPool *pool;

	if (!name->pool)
		return g_strdup(name->name);
	pool = pool_find(config, name, error);
	return pool && pool_check(pool, error) ? pool_file_path(pool, name) : NULL;
}

GPtrArray *pool_list_moving(const ConfigPool *pool)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GDir) dir = pool->ceph ? NULL : g_dir_open(pool->path, 0, NULL);
	const char *file;

	while (dir && (file = g_dir_read_name(dir))) {
		g_autofree char *plain = NULL, *name = NULL;

		if (*file != '.' || !g_str_has_suffix(file, MOVING_SUFFIX))
			continue;
		plain = g_strndup(file + 1, strlen(file) - 1 - strlen(MOVING_SUFFIX));
		name = pool_volume_of_file(plain);
		if (name)
			g_ptr_array_add(names, g_steal_pointer(&name));
	}
	return names;
}

/* What has become of a volume whose file does not exist; what to do if nothing is known. */
static char *volume_describe_gone(const Config *config, const VolumeName *name)
{
	g_autofree char *moving = pool_volume_moving(config, name);
	RegistryEntry entry;

	if (moving)
		return g_strdup_printf(
			"its move to another pool was interrupted, and its file is %s "
			"(to end that: storageos move %s/%s POOL)",
			moving, name->pool, name->name);
	if (name->pool && registry_find(config, name, &entry, NULL) && *entry.to) {
		registry_follow(config, &entry);
		return g_strdup_printf("it was renamed to %s", entry.to);
	}
	return g_strdup("see: storageos list");
}

gboolean pool_volume_refuse_missing(const Config *config, const VolumeName *name, const char *path,
				    GError **error)
{
	g_autofree char *gone = volume_describe_gone(config, name);

	return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "no such volume (%s does not exist); %s",
			 path, gone);
}

char *pool_existing_path(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *path = pool_volume_path(config, name, error);
	struct stat st;

	if (!path)
		return NULL;
	if (pool_is_ceph(config, name))
		return !name->snapshot || pool_check_thin(config, name, error)
			       ? g_steal_pointer(&path)
			       : NULL;
	if (name->pool ? lstat(path, &st) : stat(path, &st)) {
		if (errno == ENOENT)
			pool_volume_refuse_missing(config, name, path, error);
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

gboolean pool_fail(const char *what, const VolumeName *name, GError **error)
{
	g_autofree char *text = volume_name_format(name);

	g_prefix_error(error, "%s volume '%s': ", what, text);
	return FALSE;
}
