/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/snapshot-volume.h"

#include <string.h>

#include "cli/served.h"
#include "common/base/error.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "common/service/snapshot-commands.h"

#define ANSWER_SECONDS 60 /* a server waits up to 25 s for a checkpoint */
#define READ_SECONDS 5	  /* for others that have the volume: an import may take hours */

static void snapshot_volume_free(SnapshotVolume *volume)
{
	volume_close(volume->volume, NULL);
	places_free(volume->places);
	volume_name_free(volume->name);
	json_object_put(volume->list);
	g_free(volume->text);
	g_free(volume->socket);
	g_free(volume);
}

static Json *answer_get(SnapshotVolume *volume, const char *command, Json *request, GError **error)
{
	if (volume->volume)
		return snapshot_command(volume->volume, volume->config->run_directory, command,
					request, error);
	json_add_text(request, "command", command);
	return control_call(volume->config, volume->socket, request, ANSWER_SECONDS, error);
}

Json *snapshot_volume_ask(SnapshotVolume *volume, const char *command, Json *request,
			  GError **error)
{
	g_autoptr(Json) owned = request ? request : json_object_new_object();

	return answer_get(volume, command, owned, error);
}

gboolean snapshot_volume_relist(SnapshotVolume *volume, GError **error)
{
	Json *list = snapshot_volume_ask(volume, "snapshot-list", NULL, error);

	if (!list)
		return FALSE;
	json_object_put(volume->list);
	volume->list = list;
	return TRUE;
}

/* With the lock of those who attach: none of them may meet the volume open here. */
static gboolean volume_open_here(SnapshotVolume *volume, SnapshotVolumeUse use, GError **error)
{
	volume_set_cache_size(volume->config->node_cache);
	volume->places = places_new(volume->config, volume->name);
	if (use == SNAPSHOT_VOLUME_READ ? !places_lock_within(volume->places, READ_SECONDS, error)
					: !places_lock(volume->places, error))
		return FALSE;
	volume->volume =
		pool_volume_open(volume->config, volume->name,
				 use == SNAPSHOT_VOLUME_READ ? VOLUME_OPEN_READ_ONLY : 0, error);
	return volume->volume != NULL;
}

static gboolean volume_reach(SnapshotVolume *volume, SnapshotVolumeUse use, GError **error)
{
	gint64 since = g_get_monotonic_time();
	g_autoptr(GError) problem = NULL;

	do {
		if (!served_check(volume->config, volume->name, error))
			return FALSE;
		if (snapshot_volume_relist(volume, &problem))
			return TRUE;
		if (use == SNAPSHOT_VOLUME_SERVED ||
		    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			break;
		g_clear_error(&problem);
		if (volume_open_here(volume, use, &problem))
			return snapshot_volume_relist(volume, error);
		places_free(g_steal_pointer(&volume->places));
	} while (served_just_begins(since, &problem));
	g_propagate_error(error, g_steal_pointer(&problem));
	return FALSE;
}

SnapshotVolume *snapshot_volume_open(const Config *config, const VolumeName *name,
				     SnapshotVolumeUse use, GError **error)
{
	const VolumeName plain = {.pool = name->pool, .name = name->name};
	SnapshotVolume *volume = g_new0(SnapshotVolume, 1);

	volume->config = config;
	volume->text = volume_name_format(&plain);
	volume->name = volume_name_parse(volume->text, NULL);
	volume->socket = control_name(&plain);
	if (pool_check_thin(config, &plain, error) && volume_reach(volume, use, error))
		return volume;
	g_prefix_error(error, "%s: ", volume->text);
	snapshot_volume_free(volume);
	return NULL;
}

gboolean snapshot_volume_close(SnapshotVolume *volume, GError **error)
{
	gboolean closed = volume_close(g_steal_pointer(&volume->volume), error);

	if (!closed)
		g_prefix_error(error, "%s: ", volume->text);
	snapshot_volume_free(volume);
	return closed;
}

/* ---- the list */

guint snapshot_volume_count(const SnapshotVolume *volume)
{
	Json *array = json_get_list(volume->list, "snapshots");

	return array ? (guint)json_object_array_length(array) : 0;
}

Json *snapshot_volume_get(const SnapshotVolume *volume, guint index)
{
	return json_object_array_get_idx(json_get_list(volume->list, "snapshots"), index);
}

gboolean snapshot_is_deleting(Json *snapshot)
{
	return !g_strcmp0(json_get_text(snapshot, "state"), "deleting");
}

Json *snapshot_find(Json *list, const char *member, const char *value)
{
	Json *snapshots = json_get_list(list, "snapshots");
	gboolean all = !strcmp(member, "uuid");

	for (gsize i = 0; value && snapshots && i < json_object_array_length(snapshots); i++) {
		Json *snapshot = json_object_array_get_idx(snapshots, i);

		if ((all || !snapshot_is_deleting(snapshot)) &&
		    !g_strcmp0(json_get_text(snapshot, member), value))
			return snapshot;
	}
	return NULL;
}

Json *snapshot_volume_find(const SnapshotVolume *volume, const char *name, GError **error)
{
	Json *snapshot = snapshot_find(volume->list, "name", name);

	if (!snapshot)
		error_set(error, STORAGEOS_ERROR_NOT_FOUND,
			  "%s has no snapshot '%s' (see: storageos snapshot list %s)", volume->text,
			  name, volume->text);
	return snapshot;
}
