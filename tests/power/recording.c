/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/power/recording.h"

#include <stdio.h>

gboolean recording_save(const char *path, Disk *disk, const History *history)
{
	FILE *file = fopen(path, "w");
	gboolean good = file && disk_save(disk, file) && history_save(history, file);

	return file && !fclose(file) && good;
}

gboolean recording_load(const char *path, Disk **ret_disk, History **ret_history)
{
	FILE *file = fopen(path, "r");
	g_autoptr(Disk) disk = file ? disk_load(file) : NULL;
	g_autoptr(History) history = disk ? history_load(file) : NULL;

	if (file)
		fclose(file);
	if (!history)
		return FALSE;
	*ret_disk = g_steal_pointer(&disk);
	*ret_history = g_steal_pointer(&history);
	return TRUE;
}
