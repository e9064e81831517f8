/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/usage-proof.h"

#include <string.h>

#include "common/engine/snapshots-private.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-usage.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"
#include "tests/harness.h"

#define SECONDS 60

guint64 usage_generation(Volume *volume, const char *name)
{
	g_autoptr(GArray) infos = volume_snapshots(volume);

	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);

		if (info->state == VOLUME_SNAPSHOT_ALIVE && !strcmp(info->name, name))
			return info->generation;
	}
	return 0;
}

guint64 usage_ask(Volume *volume, const guint64 *generations, guint n, gboolean *ret_moving)
{
	VolumeUsageQuestion question = {
		.generations = generations, .n = n, .begin = TRUE, .milliseconds = 1000};
	gboolean done = FALSE, moving = FALSE;
	guint64 bytes = 0;

	for (guint call = 0; !done && call < SECONDS && !test_failed(); call++) {
		g_autoptr(GError) error = NULL;
		g_auto(VolumeUsage) usage = {0};

		if (!CHECK(volume_usage(volume, &question, &usage, &error)) ||
		    !CHECK_NO_ERROR(error))
			return 0;
		question.begin = FALSE;
		done = usage.done;
		bytes = 0;
		for (guint i = 0; i < usage.counts->len; i++) {
			const VolumeUsageCount *count =
				&g_array_index(usage.counts, VolumeUsageCount, i);

			bytes += count->bytes;
			moving = moving || count->moving;
		}
	}
	CHECK(done);
	if (ret_moving)
		*ret_moving = moving;
	return bytes;
}

/* What is in use, the pages of the snapshot table left out. */
static guint64 used_bytes(Volume *volume)
{
	const Snapshots *snapshots = volume->engine.snapshots;
	guint64 slots = snapshots->root.slot ? 2 : 0;
	VolumeInfo info;

	for (guint i = 0; i < FORMAT_TABLE_PAGES; i++)
		slots += snapshots->pages[i].entry.slot ? 2 : 0;
	volume_get_info(volume, &info);
	return info.data_bytes + info.metadata_bytes - slots * FORMAT_SLOT_SIZE;
}

/* What is in use on a copy of the disk once these snapshots are deleted and all is freed.  The
 * check recounts what the volume counts (`data_slots`, `node_slots`). */
static guint64 used_without(Backing *backing, const char *const *names, guint n)
{
	g_autoptr(Backing) disk = backing_faulty_crash(backing, G_MAXUINT64);
	Volume *volume = backing_open_volume(disk);
	guint64 used;

	if (!CHECK(volume != NULL))
		return 0;
	for (guint i = 0; i < n; i++) {
		g_autoptr(GError) error = NULL;

		CHECK(volume_snapshot_delete(volume, names[i], 0, &error));
		CHECK_NO_ERROR(error);
	}
	CHECK(volume_settled(volume, volume_settle(volume), SECONDS));
	used = used_bytes(volume);
	close_volume(volume);
	CHECK(backing_check(disk));
	return used;
}

gboolean usage_prove(Volume *volume, Backing *backing, const char *const *names, guint n)
{
	g_autofree guint64 *generations = g_new0(guint64, n);
	gboolean moving = TRUE;
	guint64 said;

	for (guint i = 0; i < n; i++) {
		generations[i] = usage_generation(volume, names[i]);
		if (!CHECK(generations[i] > 0))
			return FALSE;
	}
	said = usage_ask(volume, generations, n, &moving);
	return CHECK(!moving) &&
	       CHECK_UINT(said, used_without(backing, NULL, 0) - used_without(backing, names, n));
}
