/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cloning a volume by a reflink of its file: the clone shares the file's extents, and neither the
 * volume nor the clone knows of the other.
 *
 * The live file is cloned, which is what a loss of power at that instant would leave; the clone is
 * recovered from that, and rolled back to the snapshot.
 */
#pragma once

#include "common/service/pool.h"

#define POOL_CLONE_EXTENTS_MAX 100000u /* writes to the file wait while its extents are shared */

/* Makes the volume `to`, of what `from` held when its snapshot `snapshot` was taken.  `from` may be
 * in use.  TRUE: the clone is durable; its space that only other snapshots need becomes free once
 * it is open.  FALSE: nothing is left.
 *
 * Errors: UNSUPPORTED (the file system cannot share extents, the pools are on different ones, the
 * file has too many extents, one of both is a block device), NOT_FOUND (the volume or the
 * snapshot), EXISTS, INVALID (the new name), NO_SPACE, IO. */
gboolean pool_volume_clone(const Config *config, const VolumeName *from, const char *snapshot,
			   const VolumeName *to, GError **error);
