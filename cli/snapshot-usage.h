/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What deleting snapshots of a volume frees: asked again and again, of whoever has the volume open,
 * until it is counted.
 *
 * Threading: single-threaded.
 */
#pragma once

#include "cli/snapshot-volume.h"

/* The `counts` of `snapshot-usage` (snapshot-commands.h), which the caller owns: of the snapshots
 * from generation `to` back to `from` together, or (`to` 0) of each snapshot alone.  Shows its
 * progress.  NULL with BUSY: interrupted. */
Json *snapshot_usage(SnapshotVolume *volume, guint64 from, guint64 to, GError **error);

/* "1.5 MiB"; with ">= " before it if the volume was written meanwhile.  Free the result. */
char *snapshot_usage_format(guint64 bytes, gboolean moving);
