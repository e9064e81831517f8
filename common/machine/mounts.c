/* SPDX-License-Identifier: Apache-2.0 */
#include "common/machine/mounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/files.h"

typedef struct libmnt_iter MountIterator;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountIterator, mnt_free_iter)

MountTable *mounts_load(const char *mountinfo)
{
	return mnt_new_table_from_file(mountinfo);
}

MountTable *mounts_of_process(const char *pid)
{
	g_autofree char *path = g_build_filename("/proc", pid, "mountinfo", NULL);

	return mounts_load(path);
}

typedef gboolean (*MountTest)(struct libmnt_fs *mount, gconstpointer data);

/* The last mount in the table that passes the test.  Of several mounts on one directory, the last
 * is the topmost. */
static struct libmnt_fs *mount_find(MountTable *table, MountTest test, gconstpointer data)
{
	g_autoptr(MountIterator) iterator = mnt_new_iter(MNT_ITER_BACKWARD);
	struct libmnt_fs *mount;

	while (table && iterator && !mnt_table_next_fs(table, iterator, &mount))
		if (test(mount, data))
			return mount;
	return NULL;
}

typedef struct {
	const char *directory, *source;
} MountPoint;

static gboolean mount_is_at(struct libmnt_fs *mount, gconstpointer data)
{
	const MountPoint *point = data;

	return !g_strcmp0(mnt_fs_get_target(mount), point->directory) &&
	       (!point->source || !g_strcmp0(mnt_fs_get_source(mount), point->source));
}

char *mounts_type_at(MountTable *table, const char *directory, const char *source)
{
	const MountPoint point = {directory, source};
	struct libmnt_fs *mount = mount_find(table, mount_is_at, &point);

	return mount ? g_strdup(mnt_fs_get_fstype(mount)) : NULL;
}

char *mounts_around(MountTable *table, const char *path, char **ret_type)
{
	g_autofree char *at = g_strdup(path);
	char *type;

	while (!(type = mounts_type_at(table, at, NULL))) {
		char *parent = g_path_get_dirname(at);

		if (!strcmp(parent, at)) {
			g_free(parent);
			return NULL;
		}
		g_free(at);
		at = parent;
	}
	*ret_type = type;
	return g_steal_pointer(&at);
}

static gboolean mount_is_of_type(struct libmnt_fs *mount, gconstpointer data)
{
	return !g_strcmp0(mnt_fs_get_fstype(mount), data);
}

char *mounts_of_type(MountTable *table, const char *type)
{
	struct libmnt_fs *mount = mount_find(table, mount_is_of_type, type);

	return mount ? g_strdup(mnt_fs_get_target(mount)) : NULL;
}

typedef struct {
	dev_t device;
	const char *path;
} MountedDevice;

/* Whether the source of a btrfs is another name of the device: btrfs shows the one by which it was
 * mounted, such as a link in our device directory. */
static gboolean source_is_device(struct libmnt_fs *mount, dev_t device)
{
	const char *source = mnt_fs_get_source(mount);
	struct stat st;

	return source && !g_strcmp0(mnt_fs_get_fstype(mount), "btrfs") && !stat(source, &st) &&
	       S_ISBLK(st.st_mode) && st.st_rdev == device;
}

static gboolean mount_is_of_device(struct libmnt_fs *mount, gconstpointer data)
{
	const MountedDevice *mounted = data;

	return mnt_fs_get_devno(mount) == mounted->device ||
	       !g_strcmp0(mnt_fs_get_source(mount), mounted->path) ||
	       source_is_device(mount, mounted->device);
}

char *mounts_of_device(MountTable *table, dev_t device, const char *path)
{
	const MountedDevice mounted = {device, path};
	struct libmnt_fs *mount = mount_find(table, mount_is_of_device, &mounted);

	return mount ? g_strdup(mnt_fs_get_target(mount)) : NULL;
}

static gboolean mount_has_id(struct libmnt_fs *mount, gconstpointer data)
{
	return mnt_fs_get_id(mount) == *(const int *)data;
}

/* Whether the mount is of the device, or on a mount that is. */
static gboolean mount_is_upon(MountTable *table, struct libmnt_fs *mount,
			      const MountedDevice *mounted)
{
	while (mount && !mount_is_of_device(mount, mounted)) {
		int parent = mnt_fs_get_parent_id(mount);

		mount = parent == mnt_fs_get_id(mount) ? NULL
						       : mount_find(table, mount_has_id, &parent);
	}
	return mount != NULL;
}

GPtrArray *mounts_upon_device(MountTable *table, dev_t device, const char *path)
{
	const MountedDevice mounted = {device, path};
	GPtrArray *directories = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(MountIterator) iterator = mnt_new_iter(MNT_ITER_BACKWARD);
	struct libmnt_fs *mount;

	while (table && iterator && !mnt_table_next_fs(table, iterator, &mount))
		if (mount_is_upon(table, mount, &mounted))
			g_ptr_array_add(directories, g_strdup(mnt_fs_get_target(mount)));
	return directories;
}

gboolean mounts_in_memory(MountTable *table, int id)
{
	static const char *const types[] = {"devtmpfs", "tmpfs", "ramfs", NULL};
	struct libmnt_fs *mount = mount_find(table, mount_has_id, &id);
	const char *type = mount ? mnt_fs_get_fstype(mount) : NULL;

	return type && g_strv_contains(types, type);
}

gboolean mounts_of_descriptor(const char *pid, const char *fd, int *ret_id)
{
	g_autofree char *path = g_build_filename("/proc", pid, "fdinfo", fd, NULL);
	g_autofree char *text = files_read_kernel(path, NULL);
	const char *line = text ? strstr(text, "mnt_id:") : NULL;

	return line && sscanf(line, "mnt_id: %d", ret_id) == 1;
}

/* ---- other namespaces */

/* The inode number of the process's mount namespace; 0 if it cannot be read. */
static guint64 namespace_of(const char *pid)
{
	g_autofree char *path = g_build_filename("/proc", pid, "ns/mnt", NULL);
	g_autofree char *link = g_file_read_link(path, NULL);
	guint64 number = 0;

	return link && sscanf(link, "mnt:[%" G_GUINT64_FORMAT "]", &number) == 1 ? number : 0;
}

/* Returns TRUE the first time it is called with a namespace. */
static gboolean namespace_note(GHashTable *seen, guint64 number)
{
	return number && g_hash_table_add(seen, g_memdup(&number, sizeof number));
}

gboolean mounts_of_device_elsewhere(dev_t device, const char *path, MountElsewhere *ret_mount)
{
	g_autoptr(GHashTable) seen =
		g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	g_autoptr(GDir) dir = g_dir_open("/proc", 0, NULL);
	const char *pid;

	if (!namespace_note(seen, namespace_of("self")))
		return FALSE;
	while (dir && (pid = g_dir_read_name(dir))) {
		guint64 number = g_ascii_isdigit(*pid) ? namespace_of(pid) : 0;
		g_autoptr(MountTable) table = NULL;
		char *directory;

		if (!namespace_note(seen, number))
			continue;
		table = mounts_of_process(pid);
		directory = mounts_of_device(table, device, path);
		if (directory) {
			*ret_mount = (MountElsewhere){directory, number, (pid_t)atoi(pid)};
			return TRUE;
		}
	}
	return FALSE;
}
