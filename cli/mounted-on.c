/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/mounted-on.h"

#include "cli/block-stack.h"
#include "common/machine/mounts.h"

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
	MountTable *mounts;
	guint of;
} Search;

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
static void search_mount(Search *search, const BlockDevice *device)
{
	MountedOn *mounted = device->number ? found_find(search, device->number) : NULL;
	g_autofree char *directory = device->number && !mounted
					     ? mount_find(search, device->number, device->path)
					     : NULL;

	if (directory) {
		mounted = g_new0(MountedOn, 1);
		mounted->directory = g_steal_pointer(&directory);
		mounted->device = g_strdup(device->path);
		mounted->number = device->number;
		mounted->of = g_array_new(FALSE, FALSE, sizeof search->of);
		g_ptr_array_add(search->found, mounted);
	}
	if (mounted)
		g_array_append_val(mounted->of, search->of);
}

GPtrArray *mounted_on_devices(const GPtrArray *devices)
{
	g_autoptr(MountTable) mounts = mounts_of_process("self");
	Search search = {g_ptr_array_new_with_free_func(mounted_on_free), mounts, 0};

	for (; search.of < devices->len; search.of++) {
		g_autoptr(GPtrArray) stack = block_stack(g_ptr_array_index(devices, search.of));

		for (guint i = stack->len; i-- > 0;)
			search_mount(&search, g_ptr_array_index(stack, i));
	}
	return search.found;
}
