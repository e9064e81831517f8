/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where everything about an attached volume is, all of it following from the volume's name, so
 * that whoever comes later finds what a process that died has left.
 *
 *     POOL/NAME       key POOL:NAME           (no name has a ':')
 *     /dev/sdb        key _device:dev:sdb     (no pool's name begins with '_')
 */
#pragma once

#include "common/service/config.h"
#include "common/service/pool.h"

typedef struct {
	const Config *config; /* outlives it */
	VolumeName *name;
	char *text;	   /* "POOL/NAME", or the path of a block device */
	char *key;	   /* the same as one word: the backstore's name, too */
	char *link;	   /* /dev/storageos/POOL/NAME */
	char *mount;	   /* where storageos-fuse serves it */
	char *file;	   /* the volume there */
	char *state_file;  /* see state.h */
	char *pid_file;	   /* of storageos-fuse */
	char *lock_file;   /* held by who attaches or detaches it */
	int lock;	   /* on that, or -1 */
	char *mark_file;   /* of who withdraws its links, see links.h */
	char *target_name; /* of the loopback target: naa.5001405 and 9 digits that the key gives */
} Places;

Places *places_new(const Config *config, const VolumeName *name);
void places_free(Places *places);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Places, places_free)

/* Makes the directories and takes the lock under which a volume is attached, detached and deleted,
 * until places_free(), which leaves no file of it.  Waits for others that do so, two minutes at
 * most. */
gboolean places_lock(Places *places, GError **error);

/* The same without waiting. */
gboolean places_try_lock(Places *places);

/* Removes link, state, mark and empty directories. */
void places_remove(const Places *places);

/* Whose `file` that is, or NULL.  Looks at the name only. */
VolumeName *places_volume_of_file(const Config *config, const char *file);

/* Whose link, or link of a partition, a path in the device directory is, or NULL.  Looks at the
 * name only. */
VolumeName *places_volume_of_link(const Config *config, const char *link);

/* The names of all volumes that there is a state file of; free with g_ptr_array_unref(). */
GPtrArray *places_known(const Config *config);
