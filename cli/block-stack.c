/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/block-stack.h"

#include <stdio.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/files.h"

#define DEPTH_MAX 16u /* of stacked devices */

static void block_device_free(gpointer data)
{
	BlockDevice *device = data;

	g_free(device->sys);
	g_free(device->path);
	g_free(device->kernel);
	g_free(device->mapper);
	g_free(device);
}

dev_t block_number(const char *sys)
{
	g_autofree char *text = files_get_attribute(sys, "dev");
	guint major_number, minor_number;

	if (!text || sscanf(text, "%u:%u", &major_number, &minor_number) != 2)
		return 0;
	return makedev(major_number, minor_number);
}

static BlockDevice *block_device_new(const char *sys, const char *name)
{
	BlockDevice *device = g_new0(BlockDevice, 1);

	device->sys = g_strdup(sys);
	device->kernel = g_build_filename("/dev", name, NULL);
	device->mapper = files_get_attribute(sys, "dm/name");
	device->path = device->mapper ? g_build_filename("/dev/mapper", device->mapper, NULL)
				      : g_strdup(device->kernel);
	device->number = block_number(sys);
	return device;
}

typedef struct {
	GPtrArray *devices;
	GHashTable *seen; /* their names */
} Stack;

static void stack_add(Stack *stack, const char *name, guint depth);

static void stack_add_holders(Stack *stack, const char *sys, guint depth)
{
	g_autofree char *path = g_build_filename(sys, "holders", NULL);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir)))
		stack_add(stack, entry, depth + 1);
}

static void stack_add_partitions(Stack *stack, const char *sys, guint depth)
{
	g_autoptr(GDir) dir = g_dir_open(sys, 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *mark = g_build_filename(sys, entry, "partition", NULL);

		if (!access(mark, F_OK))
			stack_add(stack, entry, depth + 1);
	}
}

static void stack_add(Stack *stack, const char *name, guint depth)
{
	g_autofree char *sys = g_build_filename("/sys/class/block", name, NULL);

	if (depth > DEPTH_MAX || !g_hash_table_add(stack->seen, g_strdup(name)))
		return;
	stack_add_holders(stack, sys, depth);
	stack_add_partitions(stack, sys, depth);
	g_ptr_array_add(stack->devices, block_device_new(sys, name));
}

GPtrArray *block_stack(const char *disk)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *name = g_path_get_basename(disk);
	Stack stack = {g_ptr_array_new_with_free_func(block_device_free), seen};

	stack_add(&stack, name, 0);
	return stack.devices;
}
