/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which volumes there were on this machine: for each POOL/NAME, the last volume that was created or
 * served under that name.  The registry lies outside of the pools, and so tells a volume that is
 * missing (its file was removed, its pool is not mounted or is another one) from one that never
 * existed: an initiator that gets a new, empty disk in place of the one it knew has lost its data.
 *
 *     STATE_DIRECTORY/registry/POOL:NAME     JSON: volume, uuid, pool_uuid, since, deleted,
 *                                            clone, to
 *
 * Volumes on block devices are not in it, as they are not created by name.
 *
 * Threading: any; of two concurrent writers of one name, one wins.
 */
#pragma once

#include "common/engine/codec.h"
#include "common/service/config.h"
#include "common/service/volume-name.h"

#define REGISTRY_NAME_SIZE 128 /* of POOL/NAME and a zero byte */

typedef struct {
	char uuid[UUID_TEXT];
	char pool_uuid[UUID_TEXT];
	gint64 since;	/* when it was first noted, seconds since 1970 */
	gint64 deleted; /* when it was deleted by name, or 0 */
	gboolean clone; /* it began as a clone of another volume */
	/* "POOL/NAME" that the volume has got since, or "".  Unless `deleted` is set, its file
	 * tells under which of both names it is. */
	char to[REGISTRY_NAME_SIZE];
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

/* Notes that the volume `from` is about to get the name `to`: to be called before it is renamed, so
 * that whoever finds it under its new name knows its history.  registry_note() of `from` undoes
 * that.  `uuid` and `pool_uuid` are of the volume `from`. */
gboolean registry_note_renaming(const Config *config, const VolumeName *from, const VolumeName *to,
				const char uuid[UUID_TEXT], const char *pool_uuid, GError **error);

/* Notes that the volume has the name `to` now, in the pool with that UUID: to be called after it
 * was renamed. */
gboolean registry_note_renamed(const Config *config, const VolumeName *from, const VolumeName *to,
			       const char *pool_uuid, GError **error);

/* Of a volume that was renamed several times: makes `to` the name that it got last. */
void registry_follow(const Config *config, RegistryEntry *entry);

/* The name from which the volume with that UUID was about to get the name `name`, if nobody has
 * noted the end of that; or NULL.  Free with volume_name_free(). */
VolumeName *registry_find_renaming(const Config *config, const VolumeName *name,
				   const char uuid[UUID_TEXT]);

/* For a pool that gets another name: notes all volumes of `from` under `to` as well; whether there
 * are any of a pool of this UUID; removes the entries of a pool.  Each can be repeated. */
gboolean registry_copy_pool(const Config *config, const char *from, const char *to, GError **error);
gboolean registry_has_pool(const Config *config, const char *pool, const char *pool_uuid);
gboolean registry_forget_pool(const Config *config, const char *pool, GError **error);

/* Removes the entry of that name.  FALSE with NOT_FOUND if there is none. */
gboolean registry_forget(const Config *config, const VolumeName *name, GError **error);

/* "it was made on 2026-01-31 12:00 UTC (UUID ...), and deleted on ..."; or ", and renamed to ...".
 * Free the result. */
char *registry_describe(const RegistryEntry *entry);

/* The names (VolumeName *) of the volumes that were not deleted, nor renamed.  Free with
 * g_ptr_array_unref(). */
GPtrArray *registry_list(const Config *config);
