/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order: format a file under a temporary name; open it, have it filled, close it; rename it.
 */
#include "common/service/pool-fill.h"

#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/service/pool-private.h"

typedef struct {
	const Config *config;
	const VolumeName *name;
	const VolumeParameters *parameters;
	PoolFill fill;
	gpointer data;
	char uuid[UUID_TEXT];
} Filling;

static gboolean content_write(Filling *filling, const char *path, GError **error)
{
	Backing *backing = backing_open(path, 0, error);
	g_autoptr(PoolWatch) watch G_GNUC_UNUSED =
		backing ? pool_quota_watch(filling->config, filling->name, backing) : NULL;
	Volume *volume = backing ? volume_open(backing, filling->name->name, 0, error) : NULL;
	gboolean done, closed;

	if (!volume)
		return FALSE;
	volume_get_uuid(volume, filling->uuid);
	done = filling->fill(filling->data, volume, error);
	closed = volume_close(volume, done ? error : NULL);
	return done && closed;
}

static gboolean file_format(const Filling *filling, const char *path, GError **error)
{
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_CREATE, error);

	return backing && volume_format(backing, filling->parameters, error);
}

static gboolean file_make(Filling *filling, const char *path, GError **error)
{
	g_autofree char *temporary = NULL;

	if (!access(path, F_OK))
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already", path);
	temporary = pool_temporary_path(path);
	if (file_format(filling, temporary, error) && content_write(filling, temporary, error) &&
	    files_publish(temporary, path, error))
		return TRUE;
	unlink(temporary);
	return FALSE;
}

static gboolean fill_in_pool(Filling *filling, GError **error)
{
	const ConfigPool *pool = pool_find(filling->config, filling->name, error);
	g_autofree char *uuid_of_pool = pool ? pool_uuid(pool, error) : NULL;
	g_autofree char *path = NULL;

	if (!uuid_of_pool || !pool_check_new_name(filling->config, filling->name, error) ||
	    !volume_check_parameters(filling->parameters, filling->name->name, error) ||
	    !pool_quota_suffices(pool, error))
		return FALSE;
	path = pool_file_path(pool, filling->name);
	if (!file_make(filling, path, error))
		return FALSE;
	pool_note(filling->config, filling->name, filling->uuid, uuid_of_pool);
	return TRUE;
}

static gboolean fill_on_device(Filling *filling, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (!pool_volume_create(filling->config, filling->name, filling->parameters, 0, error))
		return FALSE;
	if (content_write(filling, filling->name->name, error))
		return TRUE;
	if (!pool_volume_delete(filling->config, filling->name, &problem))
		log_warning("%s holds a part of what was to be written: %s", filling->name->name,
			    problem->message);
	return FALSE;
}

gboolean pool_volume_create_filled(const Config *config, const VolumeName *name,
				   const VolumeParameters *parameters, PoolFill fill, gpointer data,
				   GError **error)
{
	Filling filling = {config, name, parameters, fill, data, ""};

	if (!pool_check_thin(config, name, error))
		return pool_fail("create", name, error);
	if (!name->pool)
		return fill_on_device(&filling, error);
	return fill_in_pool(&filling, error) || pool_fail("create", name, error);
}

/* ---- a reserve */

typedef struct {
	const Property *reserve;
	const VolumeReserveWatch *watch;
} Reserving;

static gboolean reserve_fill(gpointer data, Volume *volume, GError **error)
{
	const Reserving *reserving = data;

	return volume_set_properties_watched(volume, reserving->reserve, 1, reserving->watch,
					     error);
}

gboolean pool_volume_create_reserved(const Config *config, const VolumeName *name,
				     const VolumeParameters *parameters, const Property *reserve,
				     const VolumeReserveWatch *watch, GError **error)
{
	Reserving reserving = {reserve, watch};

	return pool_volume_create_filled(config, name, parameters, reserve_fill, &reserving, error);
}
