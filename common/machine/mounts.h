/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mount tables, read by libmount from /proc/PID/mountinfo.
 *
 * No function opens or stats a mounted file system, so one whose server is dead cannot delay the
 * caller.  Where several file systems are mounted on one directory, the topmost one counts.
 *
 * A NULL table is an empty one.  Strings are returned unescaped; free them.
 */
#pragma once

#include <glib.h>
#include <libmount/libmount.h>
#include <sys/types.h>

typedef struct libmnt_table MountTable;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountTable, mnt_unref_table)

/* The table in a file of that format; NULL if it cannot be read. */
MountTable *mounts_load(const char *mountinfo);

/* The mounts that a process sees; `pid` is a number, or "self". */
MountTable *mounts_of_process(const char *pid);

/* The type of the file system mounted on `directory`, or NULL.  Where `source` is not NULL, only
 * mounts of this source count. */
char *mounts_type_at(MountTable *table, const char *directory, const char *source);

/* Where the file system is mounted that `path` lies in: an absolute path without links.  *ret_type:
 * its type.  NULL, and *ret_type untouched: the table has none. */
char *mounts_around(MountTable *table, const char *path, char **ret_type);

/* A directory where a file system of this type is mounted, or NULL. */
char *mounts_of_type(MountTable *table, const char *type);

/* A directory where a file system that lives on this device is mounted, or NULL.  `path` is the
 * device's: btrfs shows a device number of its own, and is recognised by its source, which may be
 * another name of the device. */
char *mounts_of_device(MountTable *table, dev_t device, const char *path);

/* All such directories (char *), and those of what is mounted below them, in the order to unmount
 * them. Free with g_ptr_array_unref(). */
GPtrArray *mounts_upon_device(MountTable *table, dev_t device, const char *path);

/* Whether the mount with this ID is of a file system that lives in memory (devtmpfs, tmpfs, ramfs),
 * and so answers every request at once. */
gboolean mounts_in_memory(MountTable *table, int id);

/* The ID of the mount that a process's descriptor was opened on; FALSE if it cannot be read. */
gboolean mounts_of_descriptor(const char *pid, const char *fd, int *ret_id);

/* A mount in another mount namespace. */
typedef struct {
	char *directory;
	guint64 mount_namespace; /* its inode number, as in "mnt:[4026531840]" */
	pid_t pid;		 /* of one process in it */
} MountElsewhere;

/* As mounts_of_device(), in the mount namespaces of all processes but our own. */
gboolean mounts_of_device_elsewhere(dev_t device, const char *path, MountElsewhere *ret_mount);
