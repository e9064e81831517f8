/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What volumes there were on this machine: for each POOL/NAME the last volume that was made or
 * served under it.  It lies outside of the pools, and so tells a volume that is gone (its file was
 * removed, its pool is not mounted or is another one) from one that never was: an initiator that is
 * given a new, empty disk in the place of the one it knew has lost its data.
 *
 *     STATE_DIRECTORY/registry/POOL:NAME     JSON: volume, uuid, pool_uuid, since, deleted
 *
 * Volumes on block devices are not made by name, and not in it.
 *
 * Threading: any; of two writers of one name one wins.
 */
#pragma once

#include "common/engine/codec.h"
#include "common/service/config.h"
#include "common/service/volume-name.h"

typedef struct {
	char uuid[UUID_TEXT];
	char pool_uuid[UUID_TEXT];
	gint64 since;	/* when it was first known here, Unix time, seconds */
	gint64 deleted; /* when it was deleted by its name; 0: it was not */
} RegistryEntry;

/* FALSE with NOT_FOUND: there never was one, as far as is known here; CORRUPT, IO: not known. */
gboolean registry_find(const Config *config, const VolumeName *name, RegistryEntry *ret_entry,
		       GError **error);

/* Notes that the volume of that name is this one; durable when it returns TRUE.  Writes nothing
 * where that is known. */
gboolean registry_note(const Config *config, const VolumeName *name, const char uuid[UUID_TEXT],
		       const char *pool_uuid, GError **error);

/* The same, and that it is deleted. */
gboolean registry_note_deleted(const Config *config, const VolumeName *name,
			       const char uuid[UUID_TEXT], const char *pool_uuid, GError **error);

/* Forgets that there ever was one.  NOT_FOUND where nothing is known of it. */
gboolean registry_forget(const Config *config, const VolumeName *name, GError **error);

/* "it was made on 2026-01-31 12:00 UTC (UUID ...), and was deleted on ...".  Free the result. */
char *registry_describe(const RegistryEntry *entry);

/* The names of the volumes that were not deleted (VolumeName); free with g_ptr_array_unref(). */
GPtrArray *registry_list(const Config *config);
