/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-private.h"

#include <unistd.h>

#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/service/claim.h"
#include "common/service/pool-base.h"
#include "common/service/readers.h"

static gboolean snapshot_join(const char *uuid, guint64 generation, gpointer data, GError **error)
{
	return pool_reader_join(data, uuid, generation, error);
}

/* A snapshot is served once, as two disks of one serial number would be taken for one. */
static gboolean snapshot_claim(const Config *config, Volume *volume, const char *text,
			       const char *as, PoolReader *reader, GError **error)
{
	VolumeInfo info;

	volume_get_info(volume, &info);
	reader->claim = claim_take(config, info.uuid, text, as, error);
	if (!reader->claim)
		g_prefix_error(error, "open snapshot '%s': ", text);
	return reader->claim != NULL;
}

Volume *pool_snapshot_open(const Config *config, const VolumeName *name, Backing *backing,
			   gboolean serve, const char *as, GError **error)
{
	g_autofree char *text = volume_name_format(name);
	PoolReader *reader = pool_reader_new(config);
	PoolBases bases = {config, 0};
	VolumeSnapshotOpening opening = {.name = name->snapshot,
					 .join = snapshot_join,
					 .join_data = reader,
					 .open_base = pool_base_open,
					 .base_data = &bases};
	Volume *volume = volume_open_snapshot_linked(backing, text, &opening, error);

	if (!volume) {
		pool_reader_free(reader);
		return NULL;
	}
	volume_keep(volume, reader, pool_reader_free);
	if (!serve || snapshot_claim(config, volume, text, as, reader, error))
		return volume;
	volume_close(volume, NULL);
	return NULL;
}
