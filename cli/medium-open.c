/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/medium-open.h"

#include <string.h>

#include "cli/interrupt.h"
#include "cli/transfer.h"
#include "common/base/error.h"
#include "common/service/pool.h"

static Medium *name_open(const Config *config, const VolumeName *name, GError **error)
{
	Volume *volume = pool_volume_open(config, name, VOLUME_OPEN_READ_ONLY, error);

	return volume ? medium_new_of_volume(volume) : NULL;
}

/* `busy`: why the volume itself cannot be opened. */
static Medium *temporary_open(const Config *config, const VolumeName *name, const GError *busy,
			      TemporarySnapshot *ret_temporary, GError **error)
{
	g_autoptr(GError) problem = NULL;

	interrupt_hold();
	if (temporary_snapshot_take(config, name, TRUE, POLICY_FREEZE_NEVER, ret_temporary,
				    &problem))
		return name_open(config, ret_temporary->name, error);
	if (g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		error_set(error, STORAGEOS_ERROR_BUSY, "%s (name a snapshot of it)", busy->message);
	else
		error_set(error, STORAGEOS_ERROR_BUSY,
			  "it is in use, and a snapshot to read cannot be taken: %s",
			  problem->message);
	return NULL;
}

Medium *medium_open_volume(const Config *config, const VolumeName *name,
			   TemporarySnapshot *ret_temporary, GError **error)
{
	g_autoptr(GError) problem = NULL;
	Medium *medium;

	volume_set_cache_size(config->node_cache);
	medium = name_open(config, name, &problem);
	if (medium)
		return medium;
	if (!name->snapshot && g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_BUSY))
		return temporary_open(config, name, problem, ret_temporary, error);
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
