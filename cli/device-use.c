/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/device-use.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/block-stack.h"
#include "cli/bounded.h"
#include "cli/process.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/fd.h"
#include "common/base/files.h"
#include "common/base/stacked.h"
#include "common/machine/mounts.h"

#define OPEN_SECONDS 30

static char *mounted_on(const char *path, const char *directory)
{
	return g_strdup_printf("%s is mounted on %s", path, directory);
}

static char *use_by_mount(const char *sys, const char *name)
{
	g_autofree char *path = g_build_filename("/dev", name, NULL);
	g_autoptr(MountTable) mounts = mounts_of_process("self");
	g_autofree char *directory = mounts_of_device(mounts, block_number(sys), path);

	return directory ? mounted_on(path, directory) : NULL;
}

static char *use_by_mount_elsewhere(const char *sys, const char *name)
{
	g_autofree char *path = g_build_filename("/dev", name, NULL);
	g_autofree char *process = NULL, *directory = NULL;
	MountElsewhere elsewhere;

	if (!mounts_of_device_elsewhere(block_number(sys), path, &elsewhere))
		return NULL;
	directory = elsewhere.directory;
	process = process_describe(elsewhere.pid);
	return g_strdup_printf("%s is mounted on %s in the mount namespace %" G_GUINT64_FORMAT
			       " (%s)",
			       path, directory, elsewhere.mount_namespace, process);
}

static char *use_by_swap(const char *sys, const char *name)
{
	g_autofree char *text = files_read_kernel("/proc/swaps", NULL);
	g_autofree char *path = g_strconcat("/dev/", name, " ", NULL);

	(void)sys;
	if (!text || !strstr(text, path))
		return NULL;
	return g_strdup_printf("%sis used as swap", path);
}

static char *use_by_stacked(const char *sys, const char *name)
{
	g_autofree char *stacked = stacked_on(block_number(sys));

	return stacked ? g_strdup_printf("%s is stacked on /dev/%s", stacked, name) : NULL;
}

/* Whether stat() on another process's descriptor is safe: only if its path is below /dev and the
 * mount is a file system in memory.  On a file system whose server is dead, stat() would wait for
 * ever. */
static gboolean is_on_device_node(const char *pid, const char *fd, const char *target,
				  MountTable **mounts)
{
	int id;

	if (!g_str_has_prefix(target, "/dev/") || !mounts_of_descriptor(pid, fd, &id))
		return FALSE;
	if (!*mounts)
		*mounts = mounts_of_process(pid);
	return mounts_in_memory(*mounts, id);
}

static gboolean process_has_open(const char *pid, dev_t number)
{
	g_autofree char *fds = g_build_filename("/proc", pid, "fd", NULL);
	g_autoptr(GDir) dir = g_dir_open(fds, 0, NULL);
	g_autoptr(MountTable) mounts = NULL;
	const char *fd;

	while (dir && (fd = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(fds, fd, NULL);
		g_autofree char *target = g_file_read_link(path, NULL);
		struct stat st;

		if (target && is_on_device_node(pid, fd, target, &mounts) && !stat(path, &st) &&
		    S_ISBLK(st.st_mode) && st.st_rdev == number)
			return TRUE;
	}
	return FALSE;
}

/* The first process that has the device open, or 0.  Ignores us, and udev, which opens every device
 * that changed: a udev process that reads from a device whose server is dead ends only when that
 * device is removed. */
static pid_t device_opener(dev_t number)
{
	g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
	const char *entry;

	while (dir && (entry = g_dir_read_name(dir))) {
		pid_t pid = (pid_t)atoi(entry);

		if (pid > 0 && pid != getpid() && process_has_open(entry, number) &&
		    !process_is_of_udev(pid))
			return pid;
	}
	return 0;
}

static char *use_by_opener(const char *sys, const char *name)
{
	pid_t pid = device_opener(block_number(sys));
	g_autofree char *process = pid ? process_describe(pid) : NULL;

	return pid ? g_strdup_printf("/dev/%s is open in %s", name, process) : NULL;
}

typedef char *(*UseFinder)(const char *sys, const char *name);

/* Applies the finder to the disk, then to its partitions. */
static char *use_find_in(const char *disk, UseFinder finder)
{
	g_autofree char *sys = g_build_filename("/sys/block", disk, NULL);
	g_autoptr(GDir) dir = g_dir_open(sys, 0, NULL);
	char *found = finder(sys, disk);
	const char *entry;

	while (!found && dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *partition = g_build_filename(sys, entry, NULL);
		g_autofree char *mark = g_build_filename(partition, "partition", NULL);

		if (!access(mark, F_OK))
			found = finder(partition, entry);
	}
	return found;
}

char *device_use_find(const char *device)
{
	static const UseFinder finders[] = {use_by_mount, use_by_mount_elsewhere, use_by_swap,
					    use_by_stacked, use_by_opener};
	g_autofree char *disk = g_path_get_basename(device);
	char *found = NULL;

	for (guint i = 0; !found && i < G_N_ELEMENTS(finders); i++)
		found = use_find_in(disk, finders[i]);
	return found;
}

int device_use_claim(const char *device, GError **error)
{
	autofd fd = bounded_open(device, O_RDONLY | O_EXCL, OPEN_SECONDS);
	int err = fd < 0 ? errno : 0;
	g_autofree char *use = device_use_find(device);

	if (fd >= 0 && !use)
		return autofd_steal(&fd);
	if (use || err == EBUSY)
		error_set(error, STORAGEOS_ERROR_BUSY, "it is in use: %s",
			  use ? use : "the device is opened exclusively");
	else
		error_set_errno(error, err, "open %s", device);
	return -1;
}
