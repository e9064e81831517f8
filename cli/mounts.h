/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted, from /proc/PID/mountinfo, which asks no file system's server.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* The type of what is mounted on `directory`, topmost; NULL if nothing is.  Touches nothing of it,
 * so that a dead server does no harm. */
char *mounts_type_at(const char *directory);

/* The same in another mount namespace: "/srv in the mount namespace 4026531840 (process 12
 * (sleep))". */
char *mounts_of_device_elsewhere(dev_t device, const char *path);

/* The mounts that a process sees of file systems which live in memory (devtmpfs, tmpfs, ramfs):
 * whatever one asks of those is answered at once. */
typedef struct MountSet MountSet;
MountSet *mounts_in_memory(const char *pid);
gboolean mounts_have(const MountSet *set, guint64 mount);
void mounts_set_free(MountSet *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MountSet, mounts_set_free)

/* The mount that a descriptor of a process is on. */
gboolean mounts_of_descriptor(const char *pid, const char *fd, guint64 *ret_mount);

/* Where a file system that lives on this device is mounted, or NULL. */
char *mounts_of_device(dev_t device, const char *path);
