/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked clones: volumes that begin with the content of a snapshot of another volume, their base,
 * and copy nothing.  A clone has its own backing; what it does not map it reads from the base,
 * which it only reads.  It is opened beside the clone, as a snapshot is (volume-snapshots.h), and
 * may be a clone's snapshot itself.
 *
 * Promises:
 *   - A read returns what the clone holds, or an error (I4): the base is found by its UUID, and
 * must be the snapshot that the clone was made of.
 *   - The clone accepts nothing before its base is open.
 *   - An error of the base's backing fails the reads that need it.  It does not make the clone
 *     FAILED.
 *   - A base is needed until volume_flatten() has ended (volume-flatten.h).  Who deletes it must
 *     find the hold that its clones have on it (volume_snapshot_hold_clone()).
 *
 * Threading: as volume.h.
 */
#pragma once

#include "common/engine/codec.h"
#include "common/engine/volume-snapshots.h"

/* How many bases may be below a clone: each needs a descriptor, a lock, a part of the node cache,
 * and 32 KiB of the stack of whoever reads. */
#define VOLUME_BASES_MAX 16u

/* Opens the base as a snapshot, with whatever it needs itself.  NULL with an error that says what
 * to do. */
typedef Volume *(*VolumeBaseOpen)(const BaseIdentity *base, gpointer data, GError **error);

typedef struct {
	const char *name;   /* of the snapshot; or NULL and ... */
	const guint8 *uuid; /* ... its UUID, 16 bytes, whatever its name is now */
	VolumeSnapshotJoin join;
	gpointer join_data;
	VolumeBaseOpen open_base; /* if the snapshot is a linked clone's */
	gpointer base_data;
	gboolean look_only; /* only volume_get_info() will be called: without the base */
} VolumeSnapshotOpening;

/* As volume_open() and volume_open_snapshot(), which refuse a linked clone with UNSUPPORTED. */
Volume *volume_open_linked(Backing *backing, const char *name, VolumeOpenFlags flags,
			   VolumeBaseOpen open_base, gpointer data, GError **error);
Volume *volume_open_snapshot_linked(Backing *backing, const char *name,
				    const VolumeSnapshotOpening *opening, GError **error);

/* What a clone must know of an open snapshot to find it again, at `name`. */
void volume_as_base(const Volume *snapshot, const char *name, BaseIdentity *ret_base);

/* As volume_format(): the new volume is a linked clone of `base`.  `parameters` has the base's
 * size. */
gboolean volume_format_linked(Backing *backing, const VolumeParameters *parameters,
			      const BaseIdentity *base, GError **error);

/* How many bases are below an open volume or snapshot. */
guint volume_depth(Volume *volume);

/* FALSE with CORRUPT unless an open snapshot is the base that the clone `name` was made of. */
gboolean volume_base_fits(const Volume *base, const BaseIdentity *wanted, const char *name,
			  GError **error);

/* FALSE: the volume in the backing is no linked clone, or no volume. */
gboolean volume_find_base(Backing *backing, BaseIdentity *ret_base);

/* ---- Holds
 *
 * The hold of a clone on its base: class clone, its tag is VOLUME_CLONE_TAG and the clone's UUID.
 */
#define VOLUME_CLONE_TAG "clone-"

/* The UUID for a clone that will be made: its hold comes first. */
gboolean volume_random_uuid(guint8 uuid[16], GError **error);

/* Put the hold of a clone on the snapshot that is `base`, whatever its name is by now, and release
 * it.  Durable when they return TRUE.  NOT_FOUND (also of another volume), EXISTS, NO_SPACE,
 * INVALID (the snapshot has no content any more). */
gboolean volume_snapshot_hold_clone(Volume *volume, const BaseIdentity *base,
				    const guint8 clone[16], GError **error);
gboolean volume_snapshot_release_clone(Volume *volume, const BaseIdentity *base,
				       const guint8 clone[16], GError **error);

/* The holds of clones on the snapshots of the volume in a backing: an array of `char *`, "SNAPSHOT
 * clone-UUID".  NULL with an error if they cannot be read, which may be so for a moment while
 * somebody has the volume open for writing.  Free with g_ptr_array_unref(). */
GPtrArray *volume_list_clone_holds(Backing *backing, GError **error);
