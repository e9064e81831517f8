/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order: open the base, which nobody can delete from then on; draw the clone's UUID, and put
 * its hold on the base; format the clone, of a file under a temporary name; rename that.  Whoever
 * meets the clone meets the hold.
 */
#include "common/service/pool-link.h"

#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/service/pool-private.h"
#include "common/service/registry.h"
#include "common/service/volume-summary.h"

typedef struct {
	const Config *config;
	const VolumeName *to;
	BaseIdentity base;
	VolumeParameters parameters;
	Properties properties;
	PoolLinkHold hold;
	gpointer data;
	guint8 uuid[16]; /* of the clone */
	char uuid_text[UUID_TEXT];
} Linking;

/* A hold that could not be made durable may be there all the same. */
static gboolean base_hold(const Linking *linking, GError **error)
{
	g_autoptr(GError) problem = NULL;

	if (linking->hold(linking->data, &linking->base, linking->uuid_text, TRUE, &problem))
		return TRUE;
	if (!g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND) &&
	    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY))
		linking->hold(linking->data, &linking->base, linking->uuid_text, FALSE, NULL);
	g_propagate_error(error, g_steal_pointer(&problem));
	return FALSE;
}

static void base_release(const Linking *linking)
{
	g_autoptr(GError) problem = NULL;

	if (!linking->hold(linking->data, &linking->base, linking->uuid_text, FALSE, &problem))
		log_warning("%s stays held by " VOLUME_CLONE_TAG "%s, which was not made: %s",
			    linking->base.name, linking->uuid_text, problem->message);
}

static gboolean file_format(const Linking *linking, const char *path, GError **error)
{
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_CREATE, error);

	return backing &&
	       volume_format_linked(backing, &linking->parameters, &linking->base, error);
}

static gboolean file_make(const Linking *linking, const char *path, GError **error)
{
	g_autofree char *temporary = NULL;

	if (!access(path, F_OK))
		return error_set(error, STORAGEOS_ERROR_EXISTS, "%s is there already", path);
	if (!base_hold(linking, error))
		return FALSE;
	temporary = pool_temporary_path(path);
	if (file_format(linking, temporary, error) && files_publish(temporary, path, error))
		return TRUE;
	unlink(temporary);
	base_release(linking);
	return FALSE;
}

static gboolean link_in_pool(const Linking *linking, GError **error)
{
	const ConfigPool *pool = pool_find(linking->config, linking->to, error);
	g_autofree char *uuid_of_pool = pool ? pool_uuid(pool, error) : NULL;
	g_autoptr(GError) problem = NULL;
	g_autofree char *path = NULL;

	if (!uuid_of_pool || !pool_check_new_name(linking->config, linking->to, error))
		return FALSE;
	path = pool_file_path(pool, linking->to);
	if (!file_make(linking, path, error))
		return FALSE;
	pool_note(linking->config, linking->to, linking->uuid_text, uuid_of_pool);
	if (!registry_note_clone(linking->config, linking->to, &problem))
		log_warning("volume %s/%s: cannot note in the registry that it is a clone: %s",
			    linking->to->pool, linking->to->name, problem->message);
	return TRUE;
}

/* A device that may be half formatted needs the hold until it is wiped. */
static gboolean link_on_device(const Linking *linking, GError **error)
{
	g_autofree char *path = pool_existing_path(linking->config, linking->to, error);
	g_autoptr(Backing) backing = path ? backing_open(path, 0, error) : NULL;
	g_autoptr(GError) problem = NULL;

	if (!backing || !pool_device_is_empty(backing, error) || !base_hold(linking, error))
		return FALSE;
	if (volume_format_linked(backing, &linking->parameters, &linking->base, error))
		return TRUE;
	if (pool_wipe_device(backing, &problem))
		base_release(linking);
	else
		log_warning("%s stays held, as %s may be its clone: %s", linking->base.name, path,
			    problem->message);
	return FALSE;
}

/* The base is open. */
static gboolean clone_make(Linking *linking, GError **error)
{
	if (!volume_random_uuid(linking->uuid, error))
		return FALSE;
	uuid_format(linking->uuid, linking->uuid_text);
	linking->parameters.uuid = linking->uuid;
	return linking->to->pool ? link_in_pool(linking, error) : link_on_device(linking, error);
}

static gboolean properties_take_over(Linking *linking, const VolumeName *from, GError **error)
{
	g_autofree char *path = pool_existing_path(linking->config, from, error);

	return path && volume_summary_inherited(path, &linking->properties, error);
}

gboolean pool_volume_link(const Config *config, const VolumeName *from, const VolumeName *to,
			  PoolLinkHold hold, gpointer data, GError **error)
{
	g_autofree char *text = volume_name_format(from);
	Linking linking = {.config = config, .to = to, .hold = hold, .data = data};
	Volume *base = pool_check_thin(config, to, error) ? pool_volume_open(config, from, 0, error)
							  : NULL;
	gboolean done = FALSE;

	if (!base)
		return pool_fail("make the clone", to, error);
	volume_as_base(base, text, &linking.base);
	linking.parameters = (VolumeParameters){
		.size = volume_size(base),
		.logical_block_size = volume_logical_block_size(base),
		.properties = &linking.properties,
	};
	if (volume_depth(base) + 1 > VOLUME_BASES_MAX)
		error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			  "%s has %u bases below it already; flatten it first", text,
			  VOLUME_BASES_MAX);
	else
		done = properties_take_over(&linking, from, error) && clone_make(&linking, error);
	volume_close(base, NULL);
	return done || pool_fail("make the clone", to, error);
}
