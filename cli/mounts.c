/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/mounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "cli/process.h"

typedef struct {
	guint64 id;
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
	ret_mount->id = g_ascii_strtoull(fields[0], NULL, 10);
	ret_mount->device = makedev(major_number, minor_number);
	ret_mount->directory = fields[4];
	ret_mount->type = fields[dash + 1];
	ret_mount->source = fields[dash + 2];
	return TRUE;
}

typedef gboolean (*MountTest)(const Mount *mount, gconstpointer data);

typedef gboolean (*MountTest)(const Mount *mount, gconstpointer data);

static char *mountinfo(const char *pid)
{
	g_autofree char *path = g_build_filename("/proc", pid, "mountinfo", NULL);
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

/* The last one that passes of those that the process sees: the topmost, where several are on one
 * directory.  The escapes of its directory are undone. */
static gboolean find_mount(const char *pid, MountTest test, gconstpointer data,
			   char **ret_directory, char **ret_type)
{
	g_autofree char *text = mountinfo(pid);
	g_auto(GStrv) lines = text ? g_strsplit(text, "\n", 0) : NULL;
	gboolean found = FALSE;
	Mount mount;

	for (guint i = lines ? g_strv_length(lines) : 0; i > 0 && !found; i--) {
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

	find_mount("self", is_at, directory, &found, &type);
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

static char *directory_of_device(const char *pid, dev_t device, const char *path)
{
	const DeviceQuery query = {device, path};
	g_autofree char *type = NULL;
	char *directory = NULL;

	find_mount(pid, is_on, &query, &directory, &type);
	return directory;
}

char *mounts_of_device(dev_t device, const char *path)
{
	return directory_of_device("self", device, path);
}

/* ---- other namespaces */

/* "mnt:[4026531840]" */
static char *namespace_of(const char *pid)
{
	g_autofree char *path = g_build_filename("/proc", pid, "ns/mnt", NULL);

	return g_file_read_link(path, NULL);
}

static char *describe_elsewhere(const char *pid, const char *namespace, const char *directory)
{
	g_autofree char *process = process_describe((pid_t)atoi(pid));
	guint64 number = 0;

	sscanf(namespace, "mnt:[%" G_GUINT64_FORMAT, &number);
	return g_strdup_printf("%s in the mount namespace %" G_GUINT64_FORMAT " (%s)", directory,
			       number, process);
}

char *mounts_of_device_elsewhere(dev_t device, const char *path)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
	char *own = namespace_of("self"), *found = NULL;
	const char *pid;

	if (!own)
		return NULL;
	g_hash_table_add(seen, own);
	while (!found && dir && (pid = g_dir_read_name(dir))) {
		char *namespace = g_ascii_isdigit(*pid) ? namespace_of(pid) : NULL;
		g_autofree char *directory = NULL;

		if (!namespace || g_hash_table_contains(seen, namespace)) {
			g_free(namespace);
			continue;
		}
		g_hash_table_add(seen, namespace);
		directory = directory_of_device(pid, device, path);
		found = directory ? describe_elsewhere(pid, namespace, directory) : NULL;
	}
	return found;
}

/* ---- in memory */

struct MountSet {
	GHashTable *ids;
};

static gboolean note_in_memory(const Mount *mount, gconstpointer data)
{
	static const char *const types[] = {"devtmpfs", "tmpfs", "ramfs", NULL};
	const MountSet *set = data;

	if (g_strv_contains(types, mount->type))
		g_hash_table_add(set->ids, g_memdup(&mount->id, sizeof mount->id));
	return FALSE;
}

MountSet *mounts_in_memory(const char *pid)
{
	MountSet *set = g_new0(MountSet, 1);
	g_autofree char *directory = NULL, *type = NULL;

	set->ids = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	find_mount(pid, note_in_memory, set, &directory, &type);
	return set;
}

gboolean mounts_have(const MountSet *set, guint64 mount)
{
	return g_hash_table_contains(set->ids, &mount);
}

void mounts_set_free(MountSet *set)
{
	if (!set)
		return;
	g_hash_table_unref(set->ids);
	g_free(set);
}

gboolean mounts_of_descriptor(const char *pid, const char *fd, guint64 *ret_mount)
{
	g_autofree char *path = g_build_filename("/proc", pid, "fdinfo", fd, NULL);
	g_autofree char *text = NULL;
	const char *line;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return FALSE;
	line = strstr(text, "mnt_id:");
	return line && sscanf(line, "mnt_id: %" G_GUINT64_FORMAT, ret_mount) == 1;
}
