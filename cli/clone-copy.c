/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/clone-copy.h"

#include "cli/image-copy.h"
#include "cli/interrupt.h"
#include "common/service/pool-fill.h"
#include "common/service/volume-summary.h"

typedef struct {
	Volume *snapshot;
	TransferProgress progress;
} Copying;

static gboolean volume_fill(gpointer data, Volume *volume, GError **error)
{
	Copying *copying = data;
	g_autoptr(Medium) from = medium_new_in_volume(copying->snapshot);
	g_autoptr(Medium) to = medium_new_in_volume(volume);
	ImageCopy copy = {.from = from, .to = to, .progress = &copying->progress};

	return image_copy(&copy, error) && interrupt_check(error);
}

static gboolean volume_make(const Cli *cli, Copying *copying, const VolumeName *from,
			    const VolumeName *to, GError **error)
{
	g_autofree char *path = pool_volume_path(cli->config, from, error);
	Properties properties;
	const VolumeParameters parameters = {.size = volume_size(copying->snapshot),
					     .logical_block_size =
						     volume_logical_block_size(copying->snapshot),
					     .properties = &properties};

	return path && volume_summary_inherited(path, &properties, error) &&
	       pool_volume_create_filled(cli->config, to, &parameters, volume_fill, copying, error);
}

gboolean clone_copy(const Cli *cli, const VolumeName *from, const VolumeName *to, GError **error)
{
	g_autofree char *text = volume_name_format(from);
	g_autofree char *what = g_strconcat("copy ", text, NULL);
	Copying copying = {.progress = {.what = what}};
	VolumeInfo info;
	gboolean done;

	copying.snapshot = pool_volume_open(cli->config, from, VOLUME_OPEN_READ_ONLY, error);
	if (!copying.snapshot)
		return FALSE;
	volume_get_info(copying.snapshot, &info);
	copying.progress.bytes = info.data_bytes;
	done = volume_make(cli, &copying, from, to, error);
	volume_close(copying.snapshot, NULL);
	return done;
}
