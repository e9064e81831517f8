/* SPDX-License-Identifier: Apache-2.0 */
#include "handler/opening.h"

#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/service/registry.h"

struct Opening {
	CfgString *cfgstring;
	char *as; /* what the volume is served as (claim.h); NULL if unknown */
	Config *config;
	char *name;
	VolumeParameters parameters; /* of the device, and of a volume created for it */
	gboolean served_before;
};

Opening *opening_new(const OpeningDevice *device, GError **error)
{
	g_autoptr(Opening) opening = g_new0(Opening, 1);

	opening->parameters.size = device->size;
	opening->parameters.logical_block_size = device->block_size;
	opening->served_before = device->served_before;
	if (device->backstore)
		opening->as = g_strconcat("the backstore ", device->backstore, NULL);
	opening->cfgstring = cfgstring_parse(device->cfgstring, error);
	if (!opening->cfgstring)
		return NULL;
	opening->parameters.write_through = opening->cfgstring->write_through;
	opening->name = volume_name_format(opening->cfgstring->volume);
	opening->config = config_load(NULL, error);
	if (!opening->config)
		return NULL;
	volume_set_cache_size(opening->config->node_cache);
	return g_steal_pointer(&opening);
}

void opening_free(Opening *opening)
{
	if (!opening)
		return;
	cfgstring_free(opening->cfgstring);
	config_free(opening->config);
	g_free(opening->name);
	g_free(opening->as);
	g_free(opening);
}

const char *opening_name(const Opening *opening)
{
	return opening->name;
}

const VolumeName *opening_volume_name(const Opening *opening)
{
	return opening->cfgstring->volume;
}

const Config *opening_config(const Opening *opening)
{
	return opening->config;
}

const char *opening_group(const Opening *opening)
{
	const VolumeName *name = opening->cfgstring->volume;

	return name->pool ? name->pool : name->name;
}

gboolean opening_served_before(const Opening *opening)
{
	return opening->served_before;
}

gboolean opening_is_read_only(const Opening *opening)
{
	return opening->cfgstring->volume->snapshot || opening->cfgstring->read_only;
}

gboolean opening_has_failover(const Opening *opening)
{
	const VolumeName *name = opening->cfgstring->volume;
	const ConfigPool *pool = name->pool ? config_find_pool(opening->config, name->pool) : NULL;

	return pool && pool->failover && !opening_is_read_only(opening);
}

static Volume *open_or_create(const Opening *opening, gboolean first, GError **error)
{
	const VolumeName *name = opening->cfgstring->volume;
	g_autoptr(GError) reason = NULL;
	VolumeOpenFlags flags = (first ? VOLUME_OPEN_HASTY : 0) |
				(opening->cfgstring->read_only ? VOLUME_OPEN_READ_ONLY : 0) |
				(opening_has_failover(opening) ? VOLUME_OPEN_STANDBY : 0);
	Volume *volume = pool_volume_serve(opening->config, name, flags, opening->as, &reason);

	if (volume)
		return volume;
	if (!opening->cfgstring->create || opening->served_before || !first ||
	    !g_error_matches(reason, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&reason));
		return NULL;
	}
	if (!pool_volume_create(opening->config, name, &opening->parameters, POOL_CREATE_ONCE,
				error))
		return NULL;
	log_info("%s: created the volume with %" G_GUINT64_FORMAT " bytes, as its cfgstring asks",
		 opening->name, opening->parameters.size);
	return pool_volume_serve(opening->config, name, flags, opening->as, error);
}

/* The size must be the volume's present size, or one that it had before it grew.  A write cache
 * where none is expected would lose what was acknowledged. */
static gboolean check_fits(const Opening *opening, const Volume *volume, GError **error)
{
	const VolumeParameters *device = &opening->parameters;

	if (volume_size(volume) != device->size && !volume_had_size(volume, device->size))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "the device has %" G_GUINT64_FORMAT " bytes, the volume %s has "
				 "%" G_GUINT64_FORMAT "; give targetcli the volume's size",
				 device->size, opening->name, volume_size(volume));
	if (volume_logical_block_size(volume) != device->logical_block_size)
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "the device has blocks of %u bytes, the volume %s of %u; "
				 "give targetcli control=hw_block_size=%u",
				 device->logical_block_size, opening->name,
				 volume_logical_block_size(volume),
				 volume_logical_block_size(volume));
	if (device->write_through && !volume_is_write_through(volume))
		return error_set(
			error, STORAGEOS_ERROR_INVALID,
			"the cfgstring says write_cache=off, and the volume %s has a write "
			"cache (storageos set %s write_cache=off)",
			opening->name, opening->name);
	return TRUE;
}

/* The target was saved before the volume grew. */
static void warn_of_old_size(const Opening *opening, const Volume *volume)
{
	if (volume_size(volume) != opening->parameters.size)
		log_warning("%s: the device was made with %" G_GUINT64_FORMAT
			    " bytes, and has the volume's %" G_GUINT64_FORMAT,
			    opening->name, opening->parameters.size, volume_size(volume));
}

Volume *opening_try(const Opening *opening, gboolean first, GError **error)
{
	Volume *volume = open_or_create(opening, first, error);

	if (!volume)
		return NULL;
	if (!check_fits(opening, volume, error)) {
		volume_close(volume, NULL);
		return NULL;
	}
	warn_of_old_size(opening, volume);
	return volume;
}

gboolean opening_may_come(const GError *error)
{
	return g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND) ||
	       g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY) ||
	       g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_AWAITED) ||
	       g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_IO);
}

/* A default pool that no configuration lists has existed if the volume was ever made in it. */
static gboolean pool_was_made(const Opening *opening, const ConfigPool *pool)
{
	RegistryEntry entry;

	return pool->listed ||
	       registry_find(opening->config, opening->cfgstring->volume, &entry, NULL);
}

gboolean opening_pool_is_missing(const Opening *opening, const GError *reason)
{
	const char *name = opening->cfgstring->volume->pool;
	const ConfigPool *pool = name ? config_find_pool(opening->config, name) : NULL;
	g_autoptr(GError) error = NULL;

	if (pool && pool->ceph)
		return g_error_matches(reason, STORAGEOS_ERROR, STORAGEOS_ERROR_IO);
	return pool && pool_was_made(opening, pool) && !pool_check(pool, &error) &&
	       g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND);
}

/* Whether the configuration itself is wrong, rather than unreadable for the moment. */
static gboolean is_permanent(const GError *problem)
{
	return !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_IO) &&
	       !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NO_SPACE);
}

gboolean opening_check(const CfgString *cfgstring, GError **error)
{
	const char *name = cfgstring->volume->pool;
	g_autoptr(GError) problem = NULL;
	g_autoptr(Config) config = NULL;
	const ConfigPool *pool;

	if (!name)
		return TRUE;
	config = config_load_quietly(NULL, &problem);
	if (!config && is_permanent(problem)) {
		g_propagate_error(error, g_steal_pointer(&problem));
		return FALSE;
	}
	if (!config)
		return TRUE;
	pool = config_find_pool(config, name);
	return (pool && pool->listed) ||
	       error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			 "no pool '%s' in %s (storageos pool create %s DIRECTORY makes one)", name,
			 config->file, name);
}
