/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bases of linked clones (volume-base.h): where they are, and who has them.
 *
 * A base is looked for where it was, and then in all volumes of all pools, by UUID: it may have
 * been renamed, or moved.  It is opened as a snapshot that somebody reads (readers.h), and not
 * claimed. Nobody is waited for.
 */
#pragma once

#include "common/engine/volume-base.h"
#include "common/service/config.h"
#include "common/service/volume-name.h"

typedef struct {
	const Config *config;
	guint depth; /* how many bases are being opened */
} PoolBases;

/* A VolumeBaseOpen; `data` is a PoolBases.  NOT_FOUND (no pool has it), BUSY (it is being deleted),
 * INVALID (there are more than VOLUME_BASES_MAX), those of volume_open_snapshot(). */
Volume *pool_base_open(const BaseIdentity *base, gpointer data, GError **error);

/* The volume that has the base, as it is called now.  NULL with NOT_FOUND.  Free with
 * volume_name_free(). */
VolumeName *pool_base_find(const Config *config, const BaseIdentity *base, GError **error);

/* How many bases are below a linked clone of `base`, as far as they are found. */
guint pool_base_depth(const Config *config, const BaseIdentity *base);

/* The base of a volume, which somebody may serve; FALSE: it has none.  *ret_uuid: the volume's. */
gboolean pool_clone_base(const Config *config, const VolumeName *name, BaseIdentity *ret_base,
			 char ret_uuid[UUID_TEXT]);

/* FALSE if the volume is a linked clone and something is wrong with its base: it is not found,
 * cannot be opened, or is another (those of pool_base_open(), CORRUPT), or it is not held for the
 * clone (NOT_FOUND).  Does not read the base's data. */
gboolean pool_check_base(const Config *config, const VolumeName *name, GError **error);

/* The name of the linked clone that has this UUID; NULL: no pool and no block device of this
 * machine has such a clone.  Free the result. */
char *pool_clone_find(const Config *config, const char *uuid);

/* FALSE with BUSY, and the clones' names, if linked clones hold snapshots of the volume in a
 * backing, which is locked. */
gboolean pool_check_no_clones(const Config *config, const VolumeName *name, Backing *backing,
			      GError **error);

/* FALSE with BUSY if others find the volume by its UUID: its base, if it is a linked clone; its
 * linked clones, unless another volume has the same UUID, which then is their base. */
gboolean pool_check_uuid_unneeded(const Config *config, const VolumeName *name, GError **error);
