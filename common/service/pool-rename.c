/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-rename.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/names.h"
#include "common/service/config-edit.h"
#include "common/service/pool-event.h"
#include "common/service/pool-marker.h"
#include "common/service/pool.h"
#include "common/service/registry.h"

/* That of Ceph keeps the name that it was made under: the configuration always has its UUID. */
static gboolean marker_rename(const ConfigPool *pool, const char *to, GError **error)
{
	return pool->ceph || pool_marker_rename(pool->path, to, error);
}

static gboolean rename_finish(const Config *config, const ConfigPool *pool, const char *from,
			      const char *to, GError **error)
{
	if (!marker_rename(pool, to, error) || !registry_forget_pool(config, from, error))
		return FALSE;
	pool_event_forget(config, from);
	return TRUE;
}

/* Whether the pool `to` was called `from`, and an earlier call was interrupted. */
static gboolean is_half_done(const Config *config, const char *from, const ConfigPool *pool)
{
	g_autoptr(PoolMarker) marker =
		pool && pool->uuid && !pool->ceph ? pool_marker_read(pool->path, NULL) : NULL;

	if (!pool || !pool->listed || !pool->uuid)
		return FALSE;
	if (marker && !strcmp(marker->uuid, pool->uuid) && !strcmp(marker->name, from))
		return TRUE;
	return registry_has_pool(config, from, pool->uuid);
}

static gboolean may_rename(const ConfigPool *pool, const ConfigPool *taken, const char *to,
			   GError **error)
{
	if (!name_valid(to))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "invalid pool name '%s': must be " NAME_RULE, to);
	if (taken && taken->listed)
		return error_set(error, STORAGEOS_ERROR_EXISTS, "there is a pool '%s' already", to);
	return pool->uuid ? pool_check(pool, error)
			  : error_set(error, STORAGEOS_ERROR_INVALID,
				      "the configuration has no UUID for this pool; to add it: "
				      "storageos pool create %s %s",
				      pool->name, pool->path);
}

gboolean pool_rename(const Config *config, const char *from, const char *to, GError **error)
{
	const ConfigPool *pool = config_find_pool(config, from);
	const ConfigPool *taken = config_find_pool(config, to);

	if (!pool || !pool->listed)
		return is_half_done(config, from, taken)
			       ? rename_finish(config, taken, from, to, error)
			       : error_set(error, STORAGEOS_ERROR_NOT_FOUND, "no such pool in %s",
					   config->file);
	return may_rename(pool, taken, to, error) && registry_copy_pool(config, from, to, error) &&
	       config_rename_pool(config, from, to, error) &&
	       rename_finish(config, pool, from, to, error);
}
