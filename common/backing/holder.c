/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds the process that holds a flock(2) lock, from /proc/locks, and what else has a block device.
 */
#include "common/backing/backing.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "common/base/files.h"
#include "common/base/stacked.h"

/* Matches a line such as "12: FLOCK  ADVISORY  WRITE 1234 fe:01:131 0 EOF" (process 1234, device
 * fe:01, inode 131).  A line "12: -> FLOCK ..." is of a process that waits, and does not match.
 * The device is the file system's own; on btrfs, stat() returns another one.  Returns 2 if device
 * and inode match, 1 if only the inode does, 0 if neither. */
static int line_fits(const char *line, const struct stat *st, int *ret_pid)
{
	unsigned int number, major, minor;
	unsigned long inode;
	int pid;

	if (sscanf(line, "%u: FLOCK %*s %*s %d %x:%x:%lu", &number, &pid, &major, &minor, &inode) !=
	    5)
		return 0;
	if (inode != st->st_ino)
		return 0;
	*ret_pid = pid;
	return makedev(major, minor) == st->st_dev ? 2 : 1;
}

/* Whether a mounted file system has this device.  Then /proc/locks names the same device as stat(),
 * and a line with another device is of another file with the same inode number. */
static gboolean is_own_device(dev_t device)
{
	g_autofree char *text = files_read_kernel("/proc/self/mountinfo", NULL);
	g_autofree char *field = g_strdup_printf(" %u:%u ", major(device), minor(device));

	return text && strstr(text, field);
}

static int find_pid(const struct stat *st)
{
	int needed = is_own_device(st->st_dev) ? 2 : 1;
	g_autofree char *locks = files_read_kernel("/proc/locks", NULL);
	g_auto(GStrv) lines = NULL;
	int best = 0, best_pid = 0, pid = 0;

	if (!locks)
		return 0;
	lines = g_strsplit(locks, "\n", -1);
	for (char **line = lines; *line; line++) {
		int fits = line_fits(*line, st, &pid);

		if (fits >= needed && fits > best) {
			best = fits;
			best_pid = pid;
		}
	}
	return best_pid;
}

char *backing_holder_of_stat(const struct stat *st)
{
	g_autofree char *path = NULL, *name = NULL;
	int pid = find_pid(st);

	if (pid <= 0) /* 0, -1: a process of another PID namespace or another machine */
		return NULL;
	path = g_strdup_printf("/proc/%d/comm", pid);
	name = files_read_kernel(path, NULL);
	if (!name)
		return g_strdup_printf("process %d", pid);
	return g_strdup_printf("process %d (%s)", pid, g_strchomp(name));
}

/* ---- block devices */

/* Whether it is this disk, or a partition of it. */
static gboolean is_of_disk(dev_t device, dev_t disk)
{
	g_autofree char *above =
		g_strdup_printf("/sys/dev/block/%u:%u/..", major(device), minor(device));
	g_autofree char *number = g_strdup_printf("%u:%u", major(disk), minor(disk));
	g_autofree char *parent = device == disk ? NULL : files_get_attribute(above, "dev");

	return device == disk || !g_strcmp0(parent, number);
}

/* The first file system of this mount namespace that is on the disk.  (btrfs has a device number of
 * its own and is not found.)  A line begins "36 35 98:0 /root /mnt": proc(5). */
static char *mounted_on(dev_t disk)
{
	g_autofree char *text = files_read_kernel("/proc/self/mountinfo", NULL);

	for (const char *line = text; line && *line;
	     line = strchrnul(line, '\n'), line += *line != 0) {
		g_autofree char *directory = NULL;
		unsigned int major, minor;
		char escaped[4096];

		if (sscanf(line, "%*u %*u %u:%u %*s %4095s", &major, &minor, escaped) != 3 ||
		    !is_of_disk(makedev(major, minor), disk))
			continue;
		directory = g_strcompress(escaped);
		return g_strdup_printf("the file system that is mounted on %s", directory);
	}
	return NULL;
}

char *backing_user_of_stat(const struct stat *st)
{
	char *user = backing_holder_of_stat(st);

	if (!user && S_ISBLK(st->st_mode))
		user = stacked_on(st->st_rdev);
	if (!user && S_ISBLK(st->st_mode))
		user = mounted_on(st->st_rdev);
	return user;
}
