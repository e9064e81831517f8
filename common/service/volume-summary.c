/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/volume-summary.h"

#include <errno.h>
#include <string.h>

#include "common/backing/backing.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/superblock.h"
#include "common/engine/tenure.h"
#include "common/engine/volume-base.h"
#include "common/service/property-rules.h"

/* What the backing must have at least: a file grows by whole groups, a block device may end within
 * one. */
static guint64 needed_size(const Superblock *sb, const Backing *backing)
{
	guint64 groups = !strcmp(backing->ops->kind, "file") ? sb->groups : 0;

	return sb->groups_offset + groups * FORMAT_GROUP_BYTES;
}

/* Of a direct volume. */
static gboolean summarize_direct(Backing *backing, VolumeSummary *ret_summary, GError **error)
{
	BackingOwner owner = {0};
	Properties properties = {{0}};
	guint8 uuid[16];
	int r = 0;

	if (backing_can_be_taken_over(backing) && !backing_owner(backing, &owner, error))
		return FALSE;
	if (backing->ops->read_properties)
		r = backing->ops->read_properties(backing, properties.text, sizeof properties.text);
	if (r && r != -EBADMSG)
		return error_set_errno(error, r, "%s: read its properties", backing->name);
	*ret_summary = (VolumeSummary){
		.size = backing_size(backing) & ~(guint64)(SECTOR_SIZE - 1),
		.logical_block_size = SECTOR_SIZE,
		.write_through = TRUE,
		.allocated = backing_allocated(backing),
		.properties = properties,
	};
	backing->ops->identity(backing, uuid);
	uuid_format(uuid, ret_summary->uuid);
	if (*owner.client)
		g_snprintf(ret_summary->claimed_by, sizeof ret_summary->claimed_by,
			   "the client of Ceph at %s", owner.client);
	return TRUE;
}

gboolean volume_summary_read(const char *path, VolumeSummary *ret_summary, GError **error)
{
	g_autoptr(Backing) backing = backing_open(path, BACKING_OPEN_READ_ONLY, error);
	g_autofree char *claimed_by = NULL;
	SuperblockPair pair;
	const Superblock *sb = &pair.current;
	guint64 size;

	if (backing && backing->ops->identity)
		return summarize_direct(backing, ret_summary, error);
	if (!backing || !superblock_load(backing, &pair, error))
		return FALSE;
	size = backing_size(backing);
	*ret_summary = (VolumeSummary){
		.size = sb->size,
		.logical_block_size = sb->logical_block_size,
		.write_through = (sb->ro_compatible & FORMAT_RO_WRITE_THROUGH) != 0,
		.scrub_errors = sb->scrub_errors,
		.scrub_time = sb->scrub_time,
		.allocated = backing_allocated(backing),
		.properties = sb->properties,
		.missing_from = size < needed_size(sb, backing) ? size : 0,
	};
	uuid_format(sb->uuid, ret_summary->uuid);
	claimed_by = tenure_describe(backing);
	g_strlcpy(ret_summary->claimed_by, claimed_by ? claimed_by : "",
		  sizeof ret_summary->claimed_by);
	g_strlcpy(ret_summary->base, sb->base.name, sizeof ret_summary->base);
	return TRUE;
}

gboolean volume_summary_inherited(const char *path, Properties *ret_properties, GError **error)
{
	VolumeSummary summary;

	if (!volume_summary_read(path, &summary, error))
		return FALSE;
	*ret_properties = summary.properties;
	properties_inherit(ret_properties);
	return TRUE;
}

gboolean volume_summary_read_snapshot(const char *path, const char *snapshot,
				      VolumeSummary *ret_summary, GError **error)
{
	Backing *backing = backing_open(path, BACKING_OPEN_READ_ONLY, error);
	VolumeSnapshotOpening opening = {.name = snapshot, .look_only = TRUE};
	Volume *volume =
		backing ? volume_open_snapshot_linked(backing, path, &opening, error) : NULL;
	VolumeInfo info;

	if (!volume)
		return FALSE;
	volume_get_info(volume, &info);
	*ret_summary = (VolumeSummary){
		.size = info.size,
		.logical_block_size = info.logical_block_size,
		.allocated = info.backing_bytes,
	};
	memcpy(ret_summary->uuid, info.uuid, sizeof ret_summary->uuid);
	volume_close(volume, NULL);
	return TRUE;
}
