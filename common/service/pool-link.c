/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order: open the base, which nobody can delete from then on; format the clone under a
 * temporary name; put its hold on the base; rename.  Whoever meets the clone meets the hold.
 */
#include "common/service/pool-link.h"

#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/engine/superblock.h"
#include "common/engine/volume-base.h"
#include "common/service/pool-private.h"
#include "common/service/registry.h"

typedef struct {
	const Config *config;
	const VolumeName *to;
	BaseIdentity base;
	VolumeParameters parameters;
	PoolLinkHold hold;
	gpointer data;
	char uuid[UUID_TEXT]; /* of the clone */
} Linking;

static gboolean backing_format(Linking *linking, Backing *backing, GError **error)
{
	SuperblockPair pair;

	if (!volume_format_linked(backing, &linking->parameters, &linking->base, error) ||
	    !superblock_load(backing, &pair, error))
		return FALSE;
	uuid_format(pair.current.uuid, linking->uuid);
	return TRUE;
}

static gboolean file_format(Linking *linking, const char *path, GError **error)
{
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_CREATE, error);

	return backing && backing_format(linking, backing, error);
}

static gboolean file_make(Linking *linking, const char *path, GError **error)
{
	g_autofree char *temporary = NULL;

	if (!access(path, F_OK))
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already", path);
	temporary = pool_temporary_path(path);
	if (file_format(linking, temporary, error) &&
	    linking->hold(linking->data, linking->uuid, TRUE, error)) {
		if (files_publish(temporary, path, error))
			return TRUE;
		linking->hold(linking->data, linking->uuid, FALSE, NULL);
	}
	unlink(temporary);
	return FALSE;
}

static gboolean link_in_pool(Linking *linking, GError **error)
{
	const ConfigPool *pool = pool_find(linking->config, linking->to, error);
	g_autofree char *uuid_of_pool = pool ? pool_uuid(pool, error) : NULL;
	g_autoptr(GError) problem = NULL;
	g_autofree char *path = NULL;

	if (!uuid_of_pool || !pool_check_new_name(linking->to, error))
		return FALSE;
	path = pool_file_path(pool, linking->to);
	if (!file_make(linking, path, error))
		return FALSE;
	pool_note(linking->config, linking->to, linking->uuid, uuid_of_pool);
	if (!registry_note_clone(linking->config, linking->to, &problem))
		log_warning("volume %s/%s: cannot note in the registry that it is a clone: %s",
			    linking->to->pool, linking->to->name, problem->message);
	return TRUE;
}

/* A device that is formatted and not held has no base that is protected: the device is wiped. */
static gboolean link_on_device(Linking *linking, GError **error)
{
	g_autofree char *path = pool_existing_path(linking->config, linking->to, error);
	g_autoptr(Backing) backing = path ? backing_open(path, 0, error) : NULL;

	if (!backing || !pool_device_is_empty(backing, error) ||
	    !backing_format(linking, backing, error))
		return FALSE;
	if (linking->hold(linking->data, linking->uuid, TRUE, error))
		return TRUE;
	pool_wipe_device(backing, NULL);
	return FALSE;
}

gboolean pool_volume_link(const Config *config, const VolumeName *from, const VolumeName *to,
			  PoolLinkHold hold, gpointer data, GError **error)
{
	g_autofree char *text = volume_name_format(from);
	Linking linking = {.config = config, .to = to, .hold = hold, .data = data};
	Volume *base = pool_volume_open(config, from, 0, error);
	gboolean done = FALSE;

	if (!base)
		return pool_fail("make the clone", to, error);
	volume_as_base(base, text, &linking.base);
	linking.parameters = (VolumeParameters){
		.size = volume_size(base), .logical_block_size = volume_logical_block_size(base)};
	if (volume_depth(base) + 1 > VOLUME_BASES_MAX)
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "%s has %u bases below it already; flatten it first", text,
			  VOLUME_BASES_MAX);
	else
		done = to->pool ? link_in_pool(&linking, error) : link_on_device(&linking, error);
	volume_close(base, NULL);
	return done || pool_fail("make the clone", to, error);
}
