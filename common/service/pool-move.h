/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving a volume another name, or another pool.  It keeps its UUID, its snapshots, and whatever
 * finds it by its UUID: the base of a linked clone, and the clones.
 *
 * Within a file system the file is renamed: after a crash the volume has one of both names.
 * Otherwise it is copied under a temporary name; then the volume's file is renamed to
 * pool_volume_moving(), which no volume can have; the copy gets its name; the old file is removed.
 * Each step is durable before the next.  So there are never two volumes with the UUID.  A crash
 * before the last three steps leaves a temporary file, as one in a creation does.  A crash between
 * these steps leaves a file that pool_volume_moving() finds: whoever opens the volume is told, and
 * another call ends the move, or undoes it and begins anew.
 */
#pragma once

#include "common/backing/file-copy.h"
#include "common/service/pool.h"

/* UNSUPPORTED, and why, if the volume can have no other name or pool: a block device, an image of
 * Ceph.  Does not look whether there is such a volume. */
gboolean pool_volume_check_movable(const Config *config, const VolumeName *name, GError **error);

/* Whether pool_volume_move() would do it, as far as this machine knows; changes nothing. */
gboolean pool_volume_may_move(const Config *config, const VolumeName *from, const VolumeName *to,
			      GError **error);

/* Makes `from` the volume `to`.  Nobody may have it open, nor a snapshot of it, nor a linked clone
 * that reads from one.  `progress` (may be NULL) is called while the file is copied.
 *
 * TRUE: that is durable.  FALSE: the volume has its old name, unless the message says otherwise.
 * Errors: NOT_FOUND, EXISTS (the new name is taken), BUSY, INVALID (the new name), UNSUPPORTED (one
 * of both is a block device or an image of Ceph), NO_SPACE, IO, those of file_copy(). */
gboolean pool_volume_move(const Config *config, const VolumeName *from, const VolumeName *to,
			  FileCopyProgress progress, gpointer data, GError **error);
