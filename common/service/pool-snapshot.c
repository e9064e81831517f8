/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-private.h"

#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/engine/volume-snapshots.h"
#include "common/service/claim.h"
#include "common/service/readers.h"

/* What is held as long as a snapshot is open. */
typedef struct {
	const char *run_directory; /* while it is being opened */
	int lock;
	Claim *claim; /* NULL: it is not served */
} SnapshotHeld;

static void snapshot_release(gpointer data)
{
	SnapshotHeld *held = data;

	claim_release(held->claim);
	if (held->lock >= 0)
		close(held->lock);
	g_free(held);
}

static gboolean snapshot_join(const char *uuid, guint64 generation, gpointer data, GError **error)
{
	SnapshotHeld *held = data;

	held->lock = readers_join(held->run_directory, uuid, generation, error);
	return held->lock >= 0;
}

/* A snapshot is served once, as two disks of one serial number would be taken for one. */
static gboolean snapshot_claim(const Config *config, Volume *volume, const char *text,
			       const char *as, SnapshotHeld *held, GError **error)
{
	VolumeInfo info;

	volume_get_info(volume, &info);
	held->claim = claim_take(config, info.uuid, text, as, error);
	if (!held->claim)
		g_prefix_error(error, "open snapshot '%s': ", text);
	return held->claim != NULL;
}

Volume *pool_snapshot_open(const Config *config, const VolumeName *name, Backing *backing,
			   gboolean serve, const char *as, GError **error)
{
	g_autofree char *text = volume_name_format(name);
	SnapshotHeld *held = g_new0(SnapshotHeld, 1);
	Volume *volume;

	held->run_directory = config->run_directory;
	held->lock = -1;
	volume = volume_open_snapshot(backing, text, name->snapshot, snapshot_join, held, error);
	if (!volume) {
		snapshot_release(held);
		return NULL;
	}
	held->run_directory = NULL;
	volume_keep(volume, held, snapshot_release);
	if (!serve || snapshot_claim(config, volume, text, as, held, error))
		return volume;
	volume_close(volume, NULL);
	return NULL;
}
