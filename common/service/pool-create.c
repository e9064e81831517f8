/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating a pool: everything is checked first; then the directory is created, then the marker, and
 * the configuration's entry as the last step.  A step that fails removes what was created before
 * it.
 */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/names.h"
#include "common/service/config-edit.h"
#include "common/service/pool-marker.h"
#include "common/service/pool.h"
#include "common/service/registry.h"
#include "common/base/text.h"

#define EXCERPT_MAX 150 /* bytes of an invalid name in a message */

/* ---- where a pool may be */

static gboolean has_control_character(const char *text)
{
	for (const char *c = text; *c; c++)
		if (g_ascii_iscntrl(*c))
			return TRUE;
	return FALSE;
}

/* The directory's absolute path, or NULL. */
static char *directory_path(const char *directory, GError **error)
{
	gsize length = strlen(directory);
	g_autofree char *path = NULL;

	if (!length) {
		error_set(error, STORAGEOS_ERROR_INVALID, "the directory has no name");
		return NULL;
	}
	if (has_control_character(directory) || g_ascii_isspace(directory[0]) ||
	    g_ascii_isspace(directory[length - 1])) {
		g_autofree char *shown = text_printable(directory);

		error_set(error, STORAGEOS_ERROR_INVALID,
			  "'%s' cannot stand in a configuration: blanks at its ends, or control "
			  "characters",
			  shown);
		return NULL;
	}
	path = files_absolute(directory, NULL);
	if (!strcmp(path, "/")) {
		error_set(error, STORAGEOS_ERROR_INVALID, "the root directory cannot be a pool");
		return NULL;
	}
	return g_steal_pointer(&path);
}

/* Both must be real paths. */
static gboolean path_lies_in(const char *path, const char *directory)
{
	gsize length = strlen(directory);

	return !strncmp(path, directory, length) && path[length] == '/';
}

static gboolean is_apart_from(const ConfigPool *other, const char *real, GError **error)
{
	g_autofree char *path = files_real_path(other->path);

	if (!strcmp(real, path))
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is the pool '%s' already", real,
				 other->name);
	if (path_lies_in(real, path) || path_lies_in(path, real))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "%s lies %s the pool '%s' (%s): no pool can be in another one",
				 real, path_lies_in(real, path) ? "in" : "around", other->name,
				 other->path);
	return TRUE;
}

static gboolean has_no_marker_above(const char *real, GError **error)
{
	g_autofree char *at = g_path_get_dirname(real);

	for (;;) {
		g_autofree char *marker = g_build_filename(at, POOL_MARKER, NULL);
		char *parent = g_path_get_dirname(at);

		if (!access(marker, F_OK)) {
			g_free(parent);
			return error_set(error, STORAGEOS_ERROR_INVALID,
					 "%s lies in the pool at %s: no pool can be in another one",
					 real, at);
		}
		if (!strcmp(parent, at)) {
			g_free(parent);
			return TRUE;
		}
		g_free(at);
		at = parent;
	}
}

static gboolean is_apart(const Config *config, const char *name, const char *real, GError **error)
{
	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *other = g_ptr_array_index(config->pools, i);

		if (strcmp(other->name, name) != 0 && !is_apart_from(other, real, error))
			return FALSE;
	}
	return has_no_marker_above(real, error);
}

/* ---- what is known of the pool already */

static gboolean has_volumes(const ConfigPool *pool)
{
	g_autoptr(GPtrArray) volumes = pool_list(pool, NULL);

	return volumes && volumes->len;
}

/* A pool with volumes does not move to another directory, so no volume loses its name. */
static gboolean pool_may_be_at(const Config *config, const ConfigPool *known, const char *real,
			       GError **error)
{
	g_autofree char *there = files_real_path(known->path);

	if (!strcmp(there, real))
		return TRUE;
	if (known->listed)
		return error_set(error, STORAGEOS_ERROR_EXISTS,
				 "it is at %s already (%s); to have it elsewhere: storageos pool "
				 "delete %s, move the directory, then this again",
				 known->path, config->file, known->name);
	return !has_volumes(known) ||
	       error_set(error, STORAGEOS_ERROR_EXISTS,
			 "it is at %s already, with volumes in it (to keep it: storageos pool "
			 "create %s %s; to have it elsewhere: move that directory first)",
			 known->path, known->name, known->path);
}

/* Whether volumes of the pool were ever created or served on this machine. */
static gboolean has_been_used(const Config *config, const char *pool)
{
	g_autoptr(GPtrArray) names = registry_list(config);

	for (guint i = 0; i < names->len; i++)
		if (!strcmp(((const VolumeName *)g_ptr_array_index(names, i))->pool, pool))
			return TRUE;
	return FALSE;
}

/* A pool whose file system is not mounted must not be created anew in the mount point. */
static gboolean pool_may_be_made(const Config *config, const ConfigPool *known, gboolean adopt,
				 GError **error)
{
	g_autofree char *marker = NULL;

	if (!known || !known->listed)
		return TRUE;
	marker = g_build_filename(known->path, POOL_MARKER, NULL);
	if (!access(marker, F_OK)) /* without a UUID, only the name is not that of the pool */
		return (adopt && !known->uuid) || pool_check(known, error);
	if (!known->uuid && !has_been_used(config, known->name))
		return TRUE;
	return error_set(
		error, STORAGEOS_ERROR_NOT_FOUND,
		"it has been made there, and %s is gone: mount its file system (where it is "
		"lost: storageos pool delete %s, then this again)",
		marker, known->name);
}

static gboolean pool_may_be_created(const Config *config, const char *name, const char *path,
				    gboolean adopt, GError **error)
{
	const ConfigPool *known = config_find_pool(config, name);
	g_autofree char *real = files_real_path(path);

	return (!known || pool_may_be_at(config, known, real, error)) &&
	       is_apart(config, name, real, error) && pool_may_be_made(config, known, adopt, error);
}

/* ---- creating it */

static gboolean check_name(const char *name, GError **error)
{
	g_autofree char *shown = text_excerpt(name, EXCERPT_MAX);

	return name_valid(name) || error_set(error, STORAGEOS_ERROR_INVALID,
					     "invalid pool name '%s': must be " NAME_RULE, shown);
}

/* The directory's marker, which is created if necessary; NULL on failure. */
static PoolMarker *marker_ensure(const char *name, const char *directory, GError **error)
{
	g_autoptr(GError) local = NULL;

	if (!check_name(name, error))
		return NULL;
	if (!g_path_is_absolute(directory)) {
		error_set(error, STORAGEOS_ERROR_INVALID, "'%s' is not an absolute path",
			  directory);
		return NULL;
	}
	if (!files_make_directory(directory, error))
		return NULL;
	if (pool_marker_write(directory, name, &local) ||
	    g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_EXISTS))
		return pool_marker_read(directory, error);
	g_propagate_error(error, g_steal_pointer(&local));
	return NULL;
}

static gboolean is_called(const PoolMarker *marker, const char *name, const char *directory,
			  GError **error)
{
	return !strcmp(marker->name, name) ||
	       error_set(error, STORAGEOS_ERROR_EXISTS,
			 "%s belongs to the pool '%s'; to have it here as '%s': storageos pool "
			 "import %s --name %s",
			 directory, marker->name, name, directory, name);
}

gboolean pool_mark(const char *name, const char *directory, char **ret_uuid, GError **error)
{
	g_autoptr(PoolMarker) marker = marker_ensure(name, directory, error);

	if (!marker || !is_called(marker, name, directory, error))
		return FALSE;
	if (ret_uuid)
		*ret_uuid = g_strdup(marker->uuid);
	return TRUE;
}

/* A copy of a pool, which has its UUID, is not a second pool. */
static gboolean is_only_one(const Config *config, const char *name, const PoolMarker *marker,
			    GError **error)
{
	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *other = g_ptr_array_index(config->pools, i);

		if (strcmp(other->name, name) != 0 && !g_strcmp0(other->uuid, marker->uuid))
			return error_set(error, STORAGEOS_ERROR_EXISTS,
					 "it has the UUID of the pool '%s' (%s): a copy?",
					 other->name, other->path);
	}
	return TRUE;
}

static gboolean pool_enter(const Config *config, const char *name, const char *path, gboolean adopt,
			   GError **error)
{
	g_autoptr(PoolMarker) marker = marker_ensure(name, path, error);
	ConfigPool entry = {.name = (char *)name, .path = (char *)path};

	if (!marker || (!adopt && !is_called(marker, name, path, error)) ||
	    !is_only_one(config, name, marker, error))
		return FALSE;
	entry.uuid = marker->uuid;
	return config_add_pool(config, &entry, error);
}

/* Removes what pool_enter() has created.  `missing` is the topmost directory that did not exist. */
static void pool_take_back(const char *path, gboolean marked, const char *missing)
{
	g_autofree char *marker = g_build_filename(path, POOL_MARKER, NULL);
	g_autofree char *at = g_strdup(path);

	if (!marked)
		unlink(marker);
	while (missing && strlen(at) >= strlen(missing) && !rmdir(at)) {
		char *parent = g_path_get_dirname(at);

		g_free(at);
		at = parent;
	}
}

static gboolean pool_make(const Config *config, const char *name, const char *path, gboolean adopt,
			  GError **error)
{
	g_autofree char *marker = g_build_filename(path, POOL_MARKER, NULL);
	g_autofree char *missing = files_first_missing(path);
	gboolean marked = !access(marker, F_OK);
	gboolean done = pool_enter(config, name, path, adopt, error);

	if (!done)
		pool_take_back(path, marked, missing);
	return done;
}

gboolean pool_check_adopt(const Config *config, const char *name, const char *directory,
			  GError **error)
{
	g_autofree char *path = directory_path(directory, error);
	g_autoptr(PoolMarker) marker = path ? pool_marker_read(path, error) : NULL;

	return marker && pool_may_be_created(config, name, path, TRUE, error) &&
	       is_only_one(config, name, marker, error);
}

gboolean pool_create(const Config *config, const char *name, const char *directory, gboolean adopt,
		     GError **error)
{
	g_autofree char *path = directory_path(directory, error);
	g_autoptr(Config) now = NULL;

	if (!path || !pool_may_be_created(config, name, path, adopt, error))
		return FALSE;
	autofd lock = config_lock(config, error);
	now = lock < 0 ? NULL : config_load_again(config, error);
	return now && pool_may_be_created(now, name, path, adopt, error) &&
	       pool_make(now, name, path, adopt, error);
}
