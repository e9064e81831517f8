/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/mounts.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

typedef struct {
	dev_t device;
	char *directory, *type, *source; /* in the line that was split */
} Mount;

/* "36 35 98:0 /root /directory options - type source options", octal escapes in each. */
static gboolean mount_parse(char **fields, Mount *ret_mount)
{
	guint n = g_strv_length(fields), major_number, minor_number, dash = 6;

	while (dash < n && strcmp(fields[dash], "-"))
		dash++;
	if (dash + 2 >= n || sscanf(fields[2], "%u:%u", &major_number, &minor_number) != 2)
		return FALSE;
	ret_mount->device = makedev(major_number, minor_number);
	ret_mount->directory = fields[4];
	ret_mount->type = fields[dash + 1];
	ret_mount->source = fields[dash + 2];
	return TRUE;
}

typedef gboolean (*MountTest)(const Mount *mount, gconstpointer data);

/* The last one that passes: the topmost, where several are on one directory.  The escapes of its
 * directory are undone. */
static gboolean find_mount(MountTest test, gconstpointer data, char **ret_directory,
			   char **ret_type)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	gboolean found = FALSE;
	Mount mount;

	if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
		return FALSE;
	lines = g_strsplit(text, "\n", 0);
	for (guint i = g_strv_length(lines); i > 0 && !found; i--) {
		g_auto(GStrv) fields = g_strsplit(lines[i - 1], " ", 0);

		if (!mount_parse(fields, &mount) || !test(&mount, data))
			continue;
		*ret_directory = g_strcompress(mount.directory);
		*ret_type = g_strdup(mount.type);
		found = TRUE;
	}
	return found;
}

static gboolean is_at(const Mount *mount, gconstpointer data)
{
	g_autofree char *directory = g_strcompress(mount->directory);

	return !strcmp(directory, data);
}

char *mounts_type_at(const char *directory)
{
	g_autofree char *found = NULL;
	char *type = NULL;

	find_mount(is_at, directory, &found, &type);
	return type;
}

typedef struct {
	dev_t device;
	const char *path;
} DeviceQuery;

/* By name, too: btrfs shows a device number of its own. */
static gboolean is_on(const Mount *mount, gconstpointer data)
{
	const DeviceQuery *query = data;
	g_autofree char *source = NULL;

	if (mount->device == query->device)
		return TRUE;
	source = g_strcompress(mount->source);
	return !strcmp(source, query->path);
}

char *mounts_of_device(dev_t device, const char *path)
{
	const DeviceQuery query = {device, path};
	g_autofree char *type = NULL;
	char *directory = NULL;

	find_mount(is_on, &query, &directory, &type);
	return directory;
}
