/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools: directories that hold volumes, and the names by which people call those.
 *
 * A pool is a directory with a marker file `.storageos-pool` (JSON: format, uuid, name).  One
 * without the marker is never written to: an unmounted mount point must not fill up with new,
 * empty volumes.  A volume is the file NAME.vol in it.  Written POOL/NAME, or NAME in the default
 * pool; an absolute path is a block device that is a volume of its own.
 *
 * Names of pools and volumes match [a-z0-9][a-z0-9._-]{0,62}.
 */
#pragma once

#include "common/backing.h"
#include "common/config.h"
#include "common/volume.h"

#define POOL_MARKER ".storageos-pool"

gboolean pool_name_valid(const char *name);

/* What a user wrote, taken apart.  Nothing is looked up. */
typedef struct {
	char *pool; /* NULL for a block device */
	char *name; /* of the volume; for a block device its absolute path */
} VolumeName;

/* "NAME", "POOL/NAME" or "/dev/...". */
VolumeName *volume_name_parse(const char *text, GError **error);
char *volume_name_format(const VolumeName *name); /* "POOL/NAME" or the path */
void volume_name_free(VolumeName *name);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VolumeName, volume_name_free)

/* Makes `directory` (and its parents) if need be and writes the marker, unless one of the same
 * name is there; adds nothing to the configuration.  EXISTS if the marker has another name. */
gboolean pool_create(const char *name, const char *directory, GError **error);

/* Whether the directory has a marker of that name. */
gboolean pool_check(const ConfigPool *pool, GError **error);

/* The names of the volumes of a pool, sorted.  Free with g_ptr_array_unref(). */
GPtrArray *pool_list(const ConfigPool *pool, GError **error);

/* The path of a volume's file or device; NOT_FOUND if the pool is not known.  Checks the pool's
 * marker but not that the volume is there. */
char *pool_volume_path(const Config *config, const VolumeName *name, GError **error);

/* Makes a new volume; when it returns TRUE it is durable under its name, and otherwise nothing is
 * left (it is written under a temporary name first).  A block device must not hold a volume, file
 * system or partition table already unless `force`. */
gboolean pool_volume_create(const Config *config, const VolumeName *name,
			    const VolumeParameters *parameters, gboolean force, GError **error);

/* Opens one that is there. */
Volume *pool_volume_open(const Config *config, const VolumeName *name, VolumeOpenFlags flags,
			 GError **error);

/* The same, to serve it: takes the claim to its UUID (claim.h), and has it until the volume is closed.
 * BUSY where a copy of it is served, too.  `as`: what it is served as, for the messages of others;
 * may be NULL. */
Volume *pool_volume_serve(const Config *config, const VolumeName *name, const char *as,
			  GError **error);

/* Deletes one that nobody has open (BUSY otherwise); a block device loses its superblocks. */
gboolean pool_volume_delete(const Config *config, const VolumeName *name, GError **error);
