/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which volumes there were on this machine: for each POOL/NAME, the last volume that was created or
 * served under that name.  The registry lies outside of the pools, and so tells a volume that is
 * missing (its file was removed, its pool is not mounted or is another one) from one that never
 * existed: an initiator that gets a new, empty disk in place of the one it knew has lost its data.
 *
 *     STATE_DIRECTORY/registry/POOL:NAME     JSON: volume, uuid, pool_uuid, since, deleted
 *
 * Volumes on block devices are not in it, as they are not created by name.
 *
 * Threading: any; of two concurrent writers of one name, one wins.
 */
#pragma once

#include "common/engine/codec.h"
#include "common/service/config.h"
#include "common/service/volume-name.h"

typedef struct {
	char uuid[UUID_TEXT];
	char pool_uuid[UUID_TEXT];
	gint64 since;	/* when it was first noted, seconds since 1970 */
	gint64 deleted; /* when it was deleted by name, or 0 */
	gboolean clone; /* it began as a clone of another volume */
} RegistryEntry;

/* FALSE with NOT_FOUND if no volume of that name was ever noted; CORRUPT or IO if that is unknown.
 */
gboolean registry_find(const Config *config, const VolumeName *name, RegistryEntry *ret_entry,
		       GError **error);

/* Notes that the volume of that name has this UUID; durable when it returns TRUE.  Writes nothing
 * if that is noted already. */
gboolean registry_note(const Config *config, const VolumeName *name, const char uuid[UUID_TEXT],
		       const char *pool_uuid, GError **error);

/* Notes that the volume, which was noted before, is a clone: what it holds has the UUIDs and labels
 * of what another volume holds. */
gboolean registry_note_clone(const Config *config, const VolumeName *name, GError **error);

/* As registry_note(), and that it was deleted. */
gboolean registry_note_deleted(const Config *config, const VolumeName *name,
			       const char uuid[UUID_TEXT], const char *pool_uuid, GError **error);

/* Removes the entry of that name.  FALSE with NOT_FOUND if there is none. */
gboolean registry_forget(const Config *config, const VolumeName *name, GError **error);

/* "it was made on 2026-01-31 12:00 UTC (UUID ...), and was deleted on ...".  Free the result. */
char *registry_describe(const RegistryEntry *entry);

/* The names (VolumeName *) of the volumes that were not deleted.  Free with g_ptr_array_unref(). */
GPtrArray *registry_list(const Config *config);
