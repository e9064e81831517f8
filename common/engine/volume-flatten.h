/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Flattening a linked clone: what it still has from its base is copied, until the clone needs the
 * base no more.
 *
 * It goes from the last block to the first, in steps, while the clone is in use.  Everything behind
 * map_base_blocks() is done, and each checkpoint keeps that: after a crash, the next call goes on
 * there.  A block is copied while its range is held, and only if it is still the base's, so that
 * nothing written meanwhile is overwritten.  In the end the map is looked through for zero
 * pointers, which only a linked clone may have, and a checkpoint drops the base together with the
 * feature bit. The hold on the base is the caller's, who must release it after that.
 *
 * Threading: any thread, one at a time for each volume.
 */
#pragma once

#include "common/engine/volume-base.h"

typedef struct {
	guint64 copied; /* bytes, by this call */
	guint64 left;	/* bytes of the volume that were not looked at yet */
	gboolean done;	/* durable: the volume has no base any more */
} VolumeFlattening;

/* Makes a step: copies about `bytes` bytes, or looks at as many nodes as take no longer.  The last
 * step waits for checkpoints, and for the space of discarded blocks; 25 s at most each.
 *
 * Errors: INVALID (it has no base), BUSY (it has snapshots, which may need the base: they must be
 * deleted before; or a wait took longer), CORRUPT (a block of the base is damaged; the message says
 * which), NO_SPACE, IO, UNSUPPORTED (opened for reading only).  What was copied stays. */
gboolean volume_flatten(Volume *volume, guint64 bytes, VolumeFlattening *ret_flattening,
			GError **error);
