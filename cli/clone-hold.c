/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/clone-hold.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/snapshot-volume.h"
#include "common/base/error.h"
#include "common/service/pool-base.h"

static gboolean hold_ask(SnapshotVolume *volume, const BaseIdentity *base, const char *uuid,
			 gboolean hold, GError **error)
{
	Json *request = json_object_new_object();
	g_autoptr(Json) answer = NULL;
	char of_volume[UUID_TEXT], of_snapshot[UUID_TEXT];

	uuid_format(base->volume, of_volume);
	uuid_format(base->snapshot, of_snapshot);
	json_add_text(request, "clone", uuid);
	json_add_text(request, "name", base->name);
	json_add_text(request, "volume_uuid", of_volume);
	json_add_text(request, "snapshot_uuid", of_snapshot);
	json_add_number(request, "generation", base->generation);
	answer = snapshot_volume_ask(volume, hold ? "snapshot-hold" : "snapshot-release", request,
				     error);
	return answer != NULL;
}

gboolean clone_hold(const Config *config, const BaseIdentity *base, const char *uuid, gboolean hold,
		    GError **error)
{
	g_autoptr(VolumeName) name = pool_base_find(config, base, error);
	SnapshotVolume *volume =
		name ? snapshot_volume_open(config, name, SNAPSHOT_VOLUME_CHANGE, error) : NULL;
	gboolean done = volume && hold_ask(volume, base, uuid, hold, error);

	return volume && snapshot_volume_close(volume, done ? error : NULL) && done;
}

void clone_release(const Config *config, const BaseIdentity *base, const char *uuid)
{
	/* A copy that was made with cp, or what the volume was moved to. */
	g_autofree char *other = pool_clone_find(config, uuid);
	g_autoptr(GError) error = NULL;

	if (other)
		cli_say("its base '%s' stays held: %s has the same UUID, and needs it", base->name,
			other);
	else if (!clone_hold(config, base, uuid, FALSE, &error))
		cli_say("its base '%s' is still held: %s (by hand: storageos snapshot release "
			"%s " VOLUME_CLONE_TAG "%s)",
			base->name, error->message, base->name, uuid);
}

/* The clone that a tag is of; NULL: it is of none, or of one that is gone. */
static char *clone_of_tag(const Config *config, const char *tag)
{
	return g_str_has_prefix(tag, VOLUME_CLONE_TAG)
		       ? pool_clone_find(config, tag + strlen(VOLUME_CLONE_TAG))
		       : NULL;
}

gboolean clone_check_gone(const Config *config, const char *tag, GError **error)
{
	gboolean of_clone = g_str_has_prefix(tag, VOLUME_CLONE_TAG);
	g_autofree char *clone = clone_of_tag(config, tag);

	/* A pool that cannot be looked into may have it. */
	for (guint i = 0; of_clone && !clone && i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);
		g_autoptr(GPtrArray) names = pool->ceph ? NULL : pool_list(pool, error);

		if (!names && !pool->ceph) {
			g_prefix_error(error,
				       "the linked clone may be in a pool that cannot be read: ");
			return FALSE;
		}
	}
	return !clone || error_set(error, STORAGEOS_ERROR_BUSY,
				   "the linked clone %s needs it (to end that: storageos flatten "
				   "%s, or storageos delete %s)",
				   clone, clone, clone);
}

char *clone_describe_tag(const Config *config, const char *tag)
{
	g_autofree char *clone = clone_of_tag(config, tag);

	return clone ? g_strdup_printf("the linked clone %s (to end that: storageos flatten %s, or "
				       "storageos delete %s)",
				       clone, clone, clone)
		     : NULL;
}
