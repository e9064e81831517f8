/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/unmount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/swap.h>
#include <unistd.h>

#include "cli/block-stack.h"
#include "cli/bounded.h"
#include "cli/cli.h"
#include "cli/device-use.h"
#include "cli/interrupt.h"
#include "cli/mounted-on.h"
#include "cli/process.h"
#include "cli/service.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/machine/mounts.h"

#define SERVICES_SECONDS 600
#define BUSY_SECONDS 120
#define STEP_SECONDS 600 /* to write what the page cache has of one file system */
#define SYNC_SECONDS 30
#define MD_STOP _IO(9, 0x32) /* STOP_ARRAY of linux/raid/md_u.h */

/* ---- the steps, each in a child process: see process_call() for what is allowed there */

static int directory_unmount(gconstpointer directory)
{
	return umount2(directory, UMOUNT_NOFOLLOW) ? errno : 0;
}

static int swap_end(gconstpointer device)
{
	return swapoff(device) ? errno : 0;
}

static int mapper_remove(gconstpointer name)
{
	struct dm_ioctl request = {.version = {DM_VERSION_MAJOR, 0, 0},
				   .data_size = sizeof request,
				   .data_start = sizeof request};
	int fd = fd_open("/dev/mapper/control", O_RDWR, 0);

	g_strlcpy(request.name, name, sizeof request.name);
	return fd < 0 || ioctl(fd, DM_DEV_REMOVE, &request) ? errno : 0;
}

static int raid_stop(gconstpointer device)
{
	int fd = fd_open(device, O_RDONLY, 0);

	return fd < 0 || ioctl(fd, MD_STOP, NULL) ? errno : 0;
}

static int directory_sync(gconstpointer directory)
{
	int fd = fd_open(directory, O_RDONLY | O_DIRECTORY, 0);

	return fd < 0 || syncfs(fd) ? errno : 0;
}

/* ---- one device */

static void device_unmount(const BlockDevice *device)
{
	g_autoptr(MountTable) mounts = mounts_of_process("self");
	g_autoptr(GPtrArray) directories = mounts_upon_device(mounts, device->number, device->path);

	for (guint i = 0; i < directories->len; i++)
		process_call(directory_unmount, g_ptr_array_index(directories, i), STEP_SECONDS);
}

static void device_end_swap(const BlockDevice *device)
{
	g_autofree char *text = files_read_kernel("/proc/swaps", NULL);
	g_autofree char *line = g_strconcat(device->kernel, " ", NULL);

	if (text && strstr(text, line))
		process_call(swap_end, device->kernel, STEP_SECONDS);
}

/* The kernel refuses what is in use. */
static void device_remove(const BlockDevice *device)
{
	g_autofree char *raid = g_build_filename(device->sys, "md", NULL);

	if (device->mapper)
		process_call(mapper_remove, device->mapper, STEP_SECONDS);
	else if (!access(raid, F_OK))
		process_call(raid_stop, device->kernel, STEP_SECONDS);
}

/* ---- all of them */

static gboolean is_in_use(const GPtrArray *disks)
{
	for (guint i = 0; i < disks->len; i++) {
		g_autofree char *use = device_use_find(g_ptr_array_index(disks, i));

		if (use) {
			cli_progress("waiting: %s", use);
			return TRUE;
		}
	}
	return FALSE;
}

static void disk_release(const char *disk)
{
	g_autoptr(GPtrArray) stack = block_stack(disk);

	for (guint i = 0; i < stack->len; i++) {
		const BlockDevice *device = g_ptr_array_index(stack, i);

		if (!device->number)
			continue;
		device_unmount(device);
		device_end_swap(device);
		device_remove(device);
	}
}

/* Between the end of one service and the next there may be a moment without any. */
static void services_await(const GPtrArray *disks)
{
	gint64 end = g_get_monotonic_time() + SERVICES_SECONDS * G_USEC_PER_SEC;
	guint quiet = 0;

	while (quiet < 2 && is_in_use(disks) && service_is_shutdown() &&
	       g_get_monotonic_time() < end && interrupt_check(NULL)) {
		quiet = service_others_stop() ? 0 : quiet + 1;
		g_usleep(G_USEC_PER_SEC);
	}
}

static void left_synchronise(const GPtrArray *disks)
{
	g_autoptr(GPtrArray) left = mounted_on_devices(disks);

	for (guint i = 0; i < left->len; i++) {
		const MountedOn *mounted = g_ptr_array_index(left, i);
		int err = process_call(directory_sync, mounted->directory, SYNC_SECONDS);

		cli_say("%s on %s is in use and stays mounted: %s%s", mounted->device,
			mounted->directory, err ? "synchronising it: " : "synchronised",
			err ? g_strerror(err) : "");
	}
}

void unmount_devices(const GPtrArray *disks)
{
	gint64 end;

	services_await(disks);
	end = g_get_monotonic_time() + BUSY_SECONDS * G_USEC_PER_SEC;
	while (is_in_use(disks) && g_get_monotonic_time() < end && interrupt_check(NULL)) {
		for (guint i = 0; i < disks->len && g_get_monotonic_time() < end; i++)
			disk_release(g_ptr_array_index(disks, i));
		if (is_in_use(disks))
			g_usleep(G_USEC_PER_SEC / 2);
	}
	left_synchronise(disks);
}
