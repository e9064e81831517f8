/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools: directories that hold volumes, and the names by which people call those.
 *
 * A pool is a directory with a marker file (pool-marker.h).  One without the marker, or with the
 * marker of another pool than the configuration wants there, is never written to: an unmounted
 * mount point must not fill up with new, empty volumes.  A volume is the file NAME.vol in it.
 * Written POOL/NAME, or NAME in the default pool; an absolute path is a block device that is a
 * volume of its own.
 *
 * Names of pools and volumes match [a-z0-9][a-z0-9._-]{0,62}.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/service/config.h"
#include "common/service/volume-name.h"
#include "common/engine/volume.h"

gboolean pool_name_valid(const char *name);

/* Makes `directory` (made absolute) the pool `name`: the directory and its parents, the marker, the
 * configuration's entry with the pool's UUID; all that, or nothing is left of it.  A directory that
 * is this pool already is entered as it is; with `adopt` also one that its marker calls otherwise,
 * as on the machine that it came from.
 *
 * Errors: INVALID (what cannot be a pool's directory; in or around another pool), EXISTS (the
 * directory is another pool, or the pool is elsewhere), NOT_FOUND (it was made there, and is not
 * there now). */
gboolean pool_create(const Config *config, const char *name, const char *directory, gboolean adopt,
		     GError **error);

/* The directory and the marker alone, or the marker that is there, unless that has another name.
 * *ret_uuid, to be freed, may be NULL. */
gboolean pool_mark(const char *name, const char *directory, char **ret_uuid, GError **error);

/* Whether the pool that the configuration wants is there; NOT_FOUND: another one is, or none, as
 * where its file system is not mounted. */
gboolean pool_check(const ConfigPool *pool, GError **error);

/* Its UUID, or NULL as above; free the result. */
char *pool_uuid(const ConfigPool *pool, GError **error);

/* The names of the volumes of a pool, sorted.  Free with g_ptr_array_unref(). */
GPtrArray *pool_list(const ConfigPool *pool, GError **error);

/* The path of a volume's file or device; NOT_FOUND if the pool is not known.  Checks the pool's
 * marker but not that the volume is there. */
char *pool_volume_path(const Config *config, const VolumeName *name, GError **error);

/* Where that would be, whatever the pool's directory is: nothing is read.  NULL if the pool is not
 * known; free the result. */
char *pool_volume_place(const Config *config, const VolumeName *name);

typedef enum {
	POOL_CREATE_FORCE = 1 << 0, /* on a block device that holds something */
	/* Only if there never was one of that name on this machine (registry.h): NOT_FOUND where
	 * there was, and is not any more. */
	POOL_CREATE_ONCE = 1 << 1,
} PoolCreateFlags;

/* Makes a new volume; when it returns TRUE it is durable under its name, and otherwise nothing is
 * left (it is written under a temporary name first).  A block device must not hold a volume, file
 * system or partition table already, unless that is forced. */
gboolean pool_volume_create(const Config *config, const VolumeName *name,
			    const VolumeParameters *parameters, PoolCreateFlags flags,
			    GError **error);

/* Opens one that is there. */
Volume *pool_volume_open(const Config *config, const VolumeName *name, VolumeOpenFlags flags,
			 GError **error);

/* The same, to serve it: takes the claim to its UUID (claim.h), and has it until the volume is
 * closed. BUSY where a copy of it is served, too.  `as`: what it is served as, for the messages of
 * others; may be NULL. */
Volume *pool_volume_serve(const Config *config, const VolumeName *name, const char *as,
			  GError **error);

/* Deletes one that nobody has open (BUSY otherwise); a block device loses its superblocks.  That
 * there was one stays known (registry.h). */
gboolean pool_volume_delete(const Config *config, const VolumeName *name, GError **error);
