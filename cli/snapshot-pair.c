/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/snapshot-pair.h"

#include <string.h>

#include "cli/snapshot-volume.h"
#include "common/base/error.h"
#include "common/service/pool.h"

void snapshot_pair_clear(SnapshotPair *pair)
{
	volume_close(g_steal_pointer(&pair->to_volume), NULL);
	volume_close(g_steal_pointer(&pair->from_volume), NULL);
	json_object_put(pair->list);
	pair->list = NULL;
	g_clear_pointer(&pair->text, g_free);
}

/* ---- the list */

static gboolean list_get(const Config *config, const VolumeName *name, SnapshotPair *pair,
			 GError **error)
{
	SnapshotVolume *volume = snapshot_volume_open(config, name, SNAPSHOT_VOLUME_READ, error);

	if (!volume)
		return FALSE;
	pair->list = json_object_get(volume->list);
	return snapshot_volume_close(volume, error);
}

/* Parents may be snapshots that are being deleted: they are in the list, too. */
static Json *parent_find(const SnapshotPair *pair, Json *snapshot)
{
	return snapshot_find(pair->list, "uuid", json_get_text(snapshot, "parent_uuid"));
}

static gboolean descends(const SnapshotPair *pair)
{
	for (Json *each = pair->to; each; each = parent_find(pair, each))
		if (each == pair->from)
			return TRUE;
	return FALSE;
}

/* ---- opening */

static Volume *snapshot_open(const Config *config, const VolumeName *name, Json *snapshot,
			     GError **error)
{
	const VolumeName whole = {name->pool, name->name, (char *)json_get_text(snapshot, "name")};
	Volume *volume = pool_volume_open(config, &whole, VOLUME_OPEN_READ_ONLY, error);
	VolumeInfo info;

	if (!volume)
		return NULL;
	volume_get_info(volume, &info);
	if (!g_strcmp0(info.uuid, json_get_text(snapshot, "uuid")))
		return volume;
	volume_close(volume, NULL);
	error_set(error, STORAGEOS_ERROR_BUSY, "snapshot '%s' was replaced at this moment",
		  whole.snapshot);
	return NULL;
}

static gboolean from_find(const VolumeName *to, const char *from, SnapshotPair *pair,
			  GError **error)
{
	g_autoptr(VolumeName) name = strchr(from, '@') ? volume_name_parse_any(from, error) : NULL;

	if (strchr(from, '@') && !name)
		return FALSE;
	if (name && (g_strcmp0(name->pool, to->pool) || g_strcmp0(name->name, to->name)))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "'%s' is a snapshot of another volume", from);
	pair->from = snapshot_find(pair->list, "name", name ? name->snapshot : from);
	if (!pair->from && !name)
		pair->from = snapshot_find(pair->list, "uuid", from);
	if (pair->from && snapshot_is_deleting(pair->from))
		pair->from = NULL;
	return pair->from != NULL || error_set(error, STORAGEOS_ERROR_NOT_FOUND,
					       "there is no snapshot or bookmark '%s'", from);
}

static gboolean from_open(const Config *config, const VolumeName *to, const char *from,
			  SnapshotPair *pair, GError **error)
{
	if (!from_find(to, from, pair, error))
		return FALSE;
	pair->ancestor = descends(pair);
	if (!g_strcmp0(json_get_text(pair->from, "state"), "ok")) {
		pair->from_volume = snapshot_open(config, to, pair->from, error);
		return pair->from_volume != NULL;
	}
	return pair->ancestor ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "'%s' is a bookmark, and the snapshot does not descend from it", from);
}

gboolean snapshot_pair_open(const Config *config, const VolumeName *to, const char *from,
			    SnapshotPair *ret_pair, GError **error)
{
	g_auto(SnapshotPair) pair = {.text = volume_name_format(to)};

	if (!list_get(config, to, &pair, error))
		return FALSE;
	pair.to = snapshot_find(pair.list, "name", to->snapshot);
	if (!pair.to)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "there is no snapshot '%s'",
				 pair.text);
	pair.to_volume = snapshot_open(config, to, pair.to, error);
	if (!pair.to_volume || (from && !from_open(config, to, from, &pair, error)))
		return FALSE;
	*ret_pair = pair;
	pair = (SnapshotPair){0};
	return TRUE;
}

gboolean snapshot_pair_open_volume(const Config *config, const VolumeName *name,
				   SnapshotPair *ret_pair, GError **error)
{
	Volume *volume = pool_volume_open(config, name, VOLUME_OPEN_READ_ONLY, error);

	if (volume)
		*ret_pair = (SnapshotPair){.text = volume_name_format(name), .to_volume = volume};
	return volume != NULL;
}

/* ---- what they are for */

StreamSource snapshot_pair_source(const SnapshotPair *pair)
{
	guint64 generation = pair->from ? (guint64)json_get_number(pair->from, "generation") : 0;

	return (StreamSource){.to = pair->to_volume,
			      .from = pair->from_volume,
			      .since = pair->ancestor ? generation : 0,
			      .head = !pair->to};
}

guint64 snapshot_pair_bytes(const SnapshotPair *pair)
{
	guint64 referenced, written = 0;
	VolumeInfo info;

	volume_get_info(pair->to_volume, &info);
	referenced = pair->to ? (guint64)json_get_number(pair->to, "referenced") : info.head_bytes;
	if (!pair->ancestor)
		return referenced;
	for (Json *each = pair->to; each && each != pair->from; each = parent_find(pair, each))
		written += (guint64)json_get_number(each, "written");
	return MIN(written, referenced);
}

static void snapshot_describe(Json *snapshot, StreamSnapshot *ret_snapshot)
{
	g_strlcpy(ret_snapshot->uuid, json_get_text(snapshot, "uuid"), sizeof ret_snapshot->uuid);
	g_strlcpy(ret_snapshot->name, json_get_text(snapshot, "name"), sizeof ret_snapshot->name);
	ret_snapshot->generation = (guint64)json_get_number(snapshot, "generation");
}

StreamBegin snapshot_pair_begin(const SnapshotPair *pair, guint64 resume)
{
	StreamBegin begin = {
		.incremental = pair->from != NULL,
		.created = json_get_number(pair->to, "created"),
		.size = volume_size(pair->to_volume),
		.block_size = volume_logical_block_size(pair->to_volume),
		.frozen = json_get_flag(pair->to, "frozen"),
		.resume = resume,
		.bytes = snapshot_pair_bytes(pair),
	};

	g_strlcpy(begin.volume, json_get_text(pair->list, "uuid"), sizeof begin.volume);
	snapshot_describe(pair->to, &begin.to);
	if (pair->from)
		snapshot_describe(pair->from, &begin.from);
	return begin;
}
