/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/medium-open.h"

#include <string.h>

#include "cli/transfer.h"
#include "common/base/error.h"
#include "common/service/pool.h"

Medium *medium_open_volume(const Config *config, const VolumeName *name, GError **error)
{
	g_autoptr(GError) problem = NULL;
	Volume *volume;

	volume_set_cache_size(config->node_cache);
	volume = pool_volume_open(config, name, VOLUME_OPEN_READ_ONLY, &problem);
	if (volume)
		return medium_new_of_volume(volume);
	if (!name->snapshot && g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY))
		error_set(error, STORAGEOS_ERROR_BUSY, "%s (name a snapshot of it, or detach it)",
			  problem->message);
	else
		g_propagate_error(error, g_steal_pointer(&problem));
	return NULL;
}

Medium *medium_open_file(const char *path, const char *format, MediumQemuFlags flags,
			 GError **error)
{
	int fd;

	if (strcmp(format, "raw") != 0)
		return medium_new_of_qemu(path, format, flags, error);
	fd = transfer_open_input(path, error);
	return fd < 0 ? NULL : medium_new_of_file(fd, path, error);
}
