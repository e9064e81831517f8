/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fileio-export.h"

#include "common/base/files.h"
#include "common/machine/mounts.h"

#define CORE "/sys/kernel/config/target/core"

/* Whether storageos-fuse shows the volume in this directory. */
static gboolean is_shown_in(MountTable *mounts, const char *volume, const char *directory)
{
	g_autofree char *source = g_strconcat("storageos:", volume, NULL);
	g_autofree char *type = mounts_type_at(mounts, directory, source);

	return type && g_str_has_prefix(type, "fuse.");
}

static gboolean backstore_exports(const char *backstore, MountTable *mounts, const char *volume)
{
	g_autofree char *file = files_get_attribute(backstore, "udev_path");
	g_autofree char *directory = file ? g_path_get_dirname(file) : NULL;

	return directory && is_shown_in(mounts, volume, directory);
}

static char *find_backstore(const char *hba, MountTable *mounts, const char *volume)
{
	g_autoptr(GDir) stores = g_dir_open(hba, 0, NULL);
	const char *name;

	while (stores && (name = g_dir_read_name(stores))) {
		g_autofree char *backstore = g_build_filename(hba, name, NULL);

		if (backstore_exports(backstore, mounts, volume))
			return g_strdup(name);
	}
	return NULL;
}

char *fileio_export_find(const char *volume)
{
	g_autoptr(MountTable) mounts = mounts_of_process("self");
	g_autoptr(GDir) hbas = g_dir_open(CORE, 0, NULL);
	char *found = NULL;
	const char *hba;

	while (!found && hbas && (hba = g_dir_read_name(hbas))) {
		g_autofree char *path = g_build_filename(CORE, hba, NULL);

		if (g_str_has_prefix(hba, "fileio_"))
			found = find_backstore(path, mounts, volume);
	}
	return found;
}
