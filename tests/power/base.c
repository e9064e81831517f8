/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/base.h"

#include "tests/harness.h"
#include "tests/power/disk.h"

static Image *base_image;

void base_set(Image *image)
{
	image_free(base_image);
	base_image = image ? image_clone(image) : NULL;
	if (base_image)
		image_hash(base_image);
}

/* Called when the snapshot is closed. */
static void disk_end(gpointer data)
{
	Disk *disk = data;
	g_autoptr(Image) image = disk_visible(disk);

	CHECK_UINT(image_hash(image), image_hash(base_image));
	disk_free(disk);
}

static Volume *snapshot_open(const char *name, const guint8 *uuid, GError **error)
{
	Disk *disk = disk_new_plain(base_image);
	const VolumeSnapshotOpening opening = {.name = name, .uuid = uuid};
	Volume *volume = volume_open_snapshot_linked(disk_backing(disk), "base", &opening, error);

	if (volume)
		volume_keep(volume, disk, disk_end);
	else
		disk_free(disk);
	return volume;
}

Volume *base_open_snapshot(GError **error)
{
	return snapshot_open(BASE_SNAPSHOT, NULL, error);
}

Volume *base_open(const BaseIdentity *base, gpointer data, GError **error)
{
	(void)data;
	return snapshot_open(NULL, base->snapshot, error);
}
