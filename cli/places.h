/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The paths and names that belong to an attached volume.  All of them follow from the volume's
 * name, so that a later command finds what a process that died has left behind.
 *
 *     POOL/NAME       key POOL:NAME           (no name has a ':')
 *     /dev/sdb        key _device:dev:sdb     (no pool's name begins with '_')
 *     POOL/NAME@SNAP  key POOL:NAME@SNAP      and so on: a snapshot is attached like a volume
 */
#pragma once

#include "common/service/config.h"
#include "common/service/pool.h"

typedef struct {
	const Config *config; /* borrowed; must outlive the Places */
	VolumeName *name;
	char *text;	      /* as volume_name_format() */
	char *key;	      /* the same as one word; also the name of the backstore */
	char *link;	      /* /dev/storageos/POOL/NAME */
	char *mount;	      /* directory where storageos-fuse mounts it */
	char *file;	      /* the file in that directory that is the volume */
	char *state_file;     /* see state.h */
	char *pid_file;	      /* of storageos-fuse */
	char *lock_file;      /* locked while the volume is attached or detached */
	int lock;	      /* descriptor that holds the lock, or -1 */
	char *read_only_file; /* exists while `attach` has the volume served for reading only */
	char *mark_file;      /* exists while a process withdraws the links, see links.h */
	char *target_name; /* of the loopback target: naa.5001405 and 9 digits of the key's hash */
} Places;

Places *places_new(const Config *config, const VolumeName *name);
void places_free(Places *places);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Places, places_free)

/* Makes the directories and takes the lock that a process must hold to attach, detach or delete the
 * volume.  Waits for another holder for up to 120 s.  places_free() drops the lock and removes its
 * file. */
gboolean places_lock(Places *places, GError **error);

/* The same, waiting for up to that many seconds; without waiting. */
gboolean places_lock_within(Places *places, guint seconds, GError **error);
gboolean places_try_lock(Places *places);

/* Makes that file, or removes it, before the volume is served. */
gboolean places_set_read_only(const Places *places, gboolean read_only, GError **error);
gboolean places_is_read_only(const Places *places);

/* Removes the volume's link, state, mark, and the directories that are empty then. */
void places_remove(const Places *places);

/* The volume whose `file` has this path, or NULL.  Looks at the path only. */
VolumeName *places_volume_of_file(const Config *config, const char *file);

/* The volume that this path in the device directory belongs to, as its link or a link of one of its
 * partitions; or NULL.  Looks at the path only. */
VolumeName *places_volume_of_link(const Config *config, const char *link);

/* The names of all volumes that have a state file; free with g_ptr_array_unref(). */
GPtrArray *places_known(const Config *config);
