/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pool-names.c (where pools and volumes are), pool.c (opening, deleting), pool-reader.c,
 * pool-snapshot.c, pool-base.c, pool-create-volume.c and pool-clone.c share.
 */
#pragma once

#include "common/service/claim.h"
#include "common/service/pool-watch.h"
#include "common/service/pool.h"
#include "common/base/units.h"

#define POOL_VOLUME_SUFFIX ".vol"
#define POOL_EDGE MIB /* both ends of a device that may hold a signature */

/* The volume's name for a file name; NULL if it is not the name of a volume's file. */
char *pool_volume_of_file(const char *file);

/* The volume's pool in the configuration; NULL with NOT_FOUND.  Does not look at its directory. */
const ConfigPool *pool_find(const Config *config, const VolumeName *name, GError **error);

/* The path of a volume's file, or the URI of an image. */
char *pool_file_path(const ConfigPool *pool, const VolumeName *name);

/* Where the file of a volume is while it changes its pool; a name that no volume can have. */
char *pool_moving_path(const ConfigPool *pool, const VolumeName *name);

/* The path of an existing volume: a regular file that is no link, or a block device; or the URI of
 * an image, which need not exist. */
char *pool_existing_path(const Config *config, const VolumeName *name, GError **error);

/* Limits what is written to a backing in the pool to what the pool's quota leaves; NULL: it has no
 * quota, or cannot be watched, which is logged.  The backing must be gone before it is left. */
PoolWatch *pool_quota_watch(const Config *config, const VolumeName *name, Backing *backing);

/* NO_SPACE if the pool's quota leaves no room for a new volume. */
gboolean pool_quota_suffices(const ConfigPool *pool, GError **error);

/* Opens a snapshot in the backing, of which the call takes ownership, and keeps it from being
 * deleted.  `serve`: also takes the claim to its UUID, for what it is served `as`. */
Volume *pool_snapshot_open(const Config *config, const VolumeName *name, Backing *backing,
			   gboolean serve, const char *as, GError **error);

/* What keeps a snapshot from being deleted as long as it is open (readers.h); for volume_keep(). */
typedef struct {
	const char *run_directory; /* while the snapshot is being opened */
	int lock;
	Claim *claim; /* NULL: it is not served */
} PoolReader;
PoolReader *pool_reader_new(const Config *config); /* which outlives pool_reader_join() */
gboolean pool_reader_join(PoolReader *reader, const char *uuid, guint64 generation, GError **error);
void pool_reader_free(gpointer reader);

/* EXISTS unless both ends of the device are zeros. */
gboolean pool_device_is_empty(Backing *backing, GError **error);

/* Wipes the superblocks, and both ends, which are checked before a device is used. */
gboolean pool_wipe_device(Backing *backing, GError **error);

/* A path beside `path`, which no volume can have, for a volume that is being made.  Removes what
 * creations that died have left there.  Free the result. */
char *pool_temporary_path(const char *path);

/* INVALID for a name that looks like that of a volume's file; EXISTS for that of a volume whose
 * move was interrupted (pool_volume_moving()). */
gboolean pool_check_new_name(const Config *config, const VolumeName *name, GError **error);

gboolean pool_has_superblock(Backing *backing, GError **error);

/* Notes in the registry that the volume exists; logs a failure. */
void pool_note(const Config *config, const VolumeName *name, const char *uuid,
	       const char *uuid_of_pool);

/* Ends in the registry what a renaming to this name had begun that died, so that it is known what
 * the volume with that UUID was before. */
void pool_note_renamed(const Config *config, const VolumeName *name, const char *uuid,
		       const char *uuid_of_pool);

/* Puts "WHAT volume 'NAME': " in front of an error.  Always FALSE. */
gboolean pool_fail(const char *what, const VolumeName *name, GError **error);
