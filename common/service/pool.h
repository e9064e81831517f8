/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools: directories that hold volumes, and pools of Ceph that hold images (pool-store.h).
 *
 * A pool is a directory with a marker file (pool-marker.h).  A directory without a marker, or with
 * the marker of another pool than the configuration names, is never written to: an unmounted mount
 * point must not fill up with new, empty volumes.  A volume is the file NAME.vol in its pool, or a
 * whole block device (volume-name.h).
 */
#pragma once

#include "common/backing/backing.h"
#include "common/service/config.h"
#include "common/service/volume-name.h"
#include "common/engine/volume.h"

gboolean pool_name_valid(const char *name);

/* Makes `directory` (made absolute) the pool `name`: creates the directory with its parents, the
 * marker, and the configuration's entry with the pool's UUID.  On failure, what it has created is
 * removed again.  A directory that is this pool already is entered as it is; with `adopt`, also one
 * whose marker has another name, as a pool from another machine may have.
 *
 * Errors: INVALID (not fit for a pool; inside or around another pool), EXISTS (the directory is
 * another pool, or the pool is elsewhere), NOT_FOUND (the pool was made there and is missing now).
 */
gboolean pool_create(const Config *config, const char *name, const char *directory, gboolean adopt,
		     GError **error);

/* Whether the pool that is in `directory` may be called `name` here: the errors that pool_create()
 * with `adopt` would have; NOT_FOUND also if there is none.  Changes nothing. */
gboolean pool_check_adopt(const Config *config, const char *name, const char *directory,
			  GError **error);

/* Creates the directory and the marker alone; a marker with the same name is kept.  *ret_uuid is to
 * be freed; `ret_uuid` may be NULL. */
gboolean pool_mark(const char *name, const char *directory, char **ret_uuid, GError **error);

/* Whether the pool that the configuration names is at its path.  FALSE with NOT_FOUND if another
 * one is, or none, for example because its file system is not mounted.  Of a pool of Ceph it only
 * tells whether this machine can ask for it. */
gboolean pool_check(const ConfigPool *pool, GError **error);

/* The pool's UUID; NULL with the errors of pool_check().  Free the result. */
char *pool_uuid(const ConfigPool *pool, GError **error);

/* The names of the volumes of a pool, sorted.  Free with g_ptr_array_unref(). */
GPtrArray *pool_list(const ConfigPool *pool, GError **error);

/* The same, and in `strangers` (of char *, or NULL) the images of Ceph that no volume can have the
 * name of. */
GPtrArray *pool_list_all(const ConfigPool *pool, GPtrArray *strangers, GError **error);

/* Whether the volume is an image of Ceph. */
gboolean pool_is_ceph(const Config *config, const VolumeName *name);

/* UNSUPPORTED, and what does it instead, if the volume is an image of Ceph: it has no snapshots,
 * clones, checks and properties of ours. */
gboolean pool_check_thin(const Config *config, const VolumeName *name, GError **error);

/* What backing_open() opens: the path of a volume's file or device, or the URI of an image.  NULL
 * with NOT_FOUND if the pool is unknown or missing.  Does not check that the volume exists.  Free
 * the result. */
char *pool_volume_path(const Config *config, const VolumeName *name, GError **error);

/* The same path without looking at the pool's directory; of an image, what it is called in
 * messages.  NULL if the pool is unknown.  Free the result. */
char *pool_volume_place(const Config *config, const VolumeName *name);

/* The names of the volumes of which pool_volume_moving() is true.  Free with g_ptr_array_unref().
 */
GPtrArray *pool_list_moving(const ConfigPool *pool);

/* The volume's file, if its move to another pool (pool-move.h) was interrupted while the volume had
 * neither name; otherwise NULL.  Free the result. */
char *pool_volume_moving(const Config *config, const VolumeName *name);

/* FALSE with NOT_FOUND, and what is known of a volume that has no file at `path`: its new name, for
 * one. */
gboolean pool_volume_refuse_missing(const Config *config, const VolumeName *name, const char *path,
				    GError **error);

typedef enum {
	POOL_CREATE_FORCE = 1 << 0, /* even on a block device that is not empty */
	/* Only if no volume of that name ever existed on this machine (registry.h): NOT_FOUND if
	 * one did and is gone. */
	POOL_CREATE_ONCE = 1 << 1,
} PoolCreateFlags;

/* Creates a volume.  TRUE: it is durable under its name.  FALSE: nothing is left, as it is written
 * under a temporary name first.  A block device must not hold a volume, file system or partition
 * table, unless POOL_CREATE_FORCE is given. */
gboolean pool_volume_create(const Config *config, const VolumeName *name,
			    const VolumeParameters *parameters, PoolCreateFlags flags,
			    GError **error);

/* Opens an existing volume; or a snapshot, always for reading only. */
Volume *pool_volume_open(const Config *config, const VolumeName *name, VolumeOpenFlags flags,
			 GError **error);

/* Opens an existing volume, or a snapshot, to serve it: also takes the claim to its UUID (claim.h),
 * which is released when the volume is closed.  BUSY also if a copy of the volume is served, and if
 * it is opened for reading only while anybody has it open for writing.  `as`
 * is what it is served as, for messages of other processes; may be NULL. */
Volume *pool_volume_serve(const Config *config, const VolumeName *name, VolumeOpenFlags flags,
			  const char *as, GError **error);

/* Deletes a volume that nobody has open, nor a snapshot of it (else BUSY); on a block device, wipes
 * its superblocks.  The registry keeps that it existed (registry.h). */
gboolean pool_volume_delete(const Config *config, const VolumeName *name, GError **error);

/* Whether that would be done, as far as this machine knows; changes nothing.  UNSUPPORTED of an
 * image of Ceph. */
gboolean pool_volume_may_delete(const Config *config, const VolumeName *name, GError **error);
