/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/mounted-on.h"

#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/files.h"
#include "common/machine/mounts.h"

#define DEPTH_MAX 16u /* of stacked devices */

static void mounted_on_free(gpointer data)
{
	MountedOn *mounted = data;

	g_free(mounted->directory);
	g_free(mounted->device);
	g_array_unref(mounted->of);
	g_free(mounted);
}

typedef struct {
	GPtrArray *found;
	GHashTable *seen; /* names of devices, of those on device `of` */
	MountTable *mounts;
	guint of;
} Search;

static dev_t device_number(const char *sys)
{
	g_autofree char *text = files_get_attribute(sys, "dev");
	guint major_number, minor_number;

	if (!text || sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		return 0;
	return makedev(major_number, minor_number);
}

static char *device_path(const char *sys, const char *name)
{
	g_autofree char *mapper = files_get_attribute(sys, "dm/name");

	return mapper ? g_build_filename("/dev/mapper", mapper, NULL)
		      : g_build_filename("/dev", name, NULL);
}

/* A directory where the device is mounted; a path through /proc where only processes in other mount
 * namespaces see it. */
static char *mount_find(const Search *search, dev_t number, const char *path)
{
	char *directory = mounts_of_device(search->mounts, number, path);
	g_autofree char *root = NULL, *there = NULL;
	MountElsewhere elsewhere;

	if (directory || !mounts_of_device_elsewhere(number, path, &elsewhere))
		return directory;
	there = elsewhere.directory;
	root = g_strdup_printf("/proc/%d/root", (int)elsewhere.pid);
	return g_build_filename(root, there, NULL);
}

static MountedOn *found_find(const Search *search, dev_t number)
{
	for (guint i = 0; i < search->found->len; i++) {
		MountedOn *mounted = g_ptr_array_index(search->found, i);

		if (mounted->number == number)
			return mounted;
	}
	return NULL;
}

/* A file system may be on several of the devices: a logical volume, a RAID. */
static void search_mount(Search *search, const char *sys, const char *name)
{
	dev_t number = device_number(sys);
	MountedOn *mounted = number ? found_find(search, number) : NULL;
	g_autofree char *path = device_path(sys, name);
	g_autofree char *directory = number && !mounted ? mount_find(search, number, path) : NULL;

	if (directory) {
		mounted = g_new0(MountedOn, 1);
		mounted->directory = g_steal_pointer(&directory);
		mounted->device = g_steal_pointer(&path);
		mounted->number = number;
		mounted->of = g_array_new(FALSE, FALSE, sizeof search->of);
		g_ptr_array_add(search->found, mounted);
	}
	if (mounted)
		g_array_append_val(mounted->of, search->of);
}

static void search_device(Search *search, const char *name, guint depth);

static void search_holders(Search *search, const char *sys, guint depth)
{
	g_autofree char *path = g_build_filename(sys, "holders", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir)))
		search_device(search, entry, depth + 1);
}

static void search_partitions(Search *search, const char *sys, guint depth)
{
	g_autoptr(GDir) dir = g_dir_open(sys, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *mark = g_build_filename(sys, entry, "partition", NULL);

		if (!access(mark, F_OK))
			search_device(search, entry, depth + 1);
	}
}

static void search_device(Search *search, const char *name, guint depth)
{
	g_autofree char *sys = g_build_filename("/sys/class/block", name, NULL);

	if (depth > DEPTH_MAX || !g_hash_table_add(search->seen, g_strdup(name)))
		return;
	search_mount(search, sys, name);
	search_partitions(search, sys, depth);
	search_holders(search, sys, depth);
}

GPtrArray *mounted_on_devices(const GPtrArray *devices)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(MountTable) mounts = mounts_of_process("self");
	Search search = {g_ptr_array_new_with_free_func(mounted_on_free), seen, mounts, 0};

	for (; search.of < devices->len; search.of++) {
		g_autofree char *name = g_path_get_basename(g_ptr_array_index(devices, search.of));

		g_hash_table_remove_all(seen);
		search_device(&search, name, 0);
	}
	return search.found;
}
