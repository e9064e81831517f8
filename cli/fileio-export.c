/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fileio-export.h"

#define CORE "/sys/kernel/config/target/core"

/* Whether storageos-fuse shows the volume in this directory. */
static gboolean is_shown_in(const char *volume, const char *directory)
{
	g_autofree char *mounts = NULL;
	g_autofree char *wanted = g_strdup_printf("storageos:%s %s fuse.", volume, directory);
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents("/proc/self/mounts", &mounts, NULL, NULL))
		return FALSE;
	lines = g_strsplit(mounts, "\n", -1);
	for (char **line = lines; *line; line++)
		if (g_str_has_prefix(*line, wanted))
			return TRUE;
	return FALSE;
}

static gboolean exports(const char *backstore, const char *volume)
{
	g_autofree char *path = g_build_filename(backstore, "udev_path", NULL);
	g_autofree char *file = NULL, *directory = NULL;

	if (!g_file_get_contents(path, &file, NULL, NULL))
		return FALSE;
	directory = g_path_get_dirname(g_strchomp(file));
	return is_shown_in(volume, directory);
}

static char *find_in(const char *hba, const char *volume)
{
	g_autoptr(GDir) stores = g_dir_open(hba, 0, NULL);
	const char *name;

	while (stores && (name = g_dir_read_name(stores))) {
		g_autofree char *backstore = g_build_filename(hba, name, NULL);

		if (exports(backstore, volume))
			return g_strdup(name);
	}
	return NULL;
}

char *fileio_export_find(const char *volume)
{
	g_autoptr(GDir) hbas = g_dir_open(CORE, 0, NULL);
	char *found = NULL;
	const char *hba;

	while (!found && hbas && (hba = g_dir_read_name(hbas))) {
		g_autofree char *path = g_build_filename(CORE, hba, NULL);

		if (g_str_has_prefix(hba, "fileio_"))
			found = find_in(path, volume);
	}
	return found;
}
