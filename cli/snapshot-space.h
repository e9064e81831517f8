/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much room there is where a volume lives.
 */
#pragma once

#include "cli/snapshot-volume.h"

typedef struct {
	char *path;	     /* of the volume's file */
	guint64 room, whole; /* bytes of its file system: free, with what the file has in reserve */
} SnapshotSpace;

void snapshot_space_clear(SnapshotSpace *space);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(SnapshotSpace, snapshot_space_clear)

/* FALSE: nobody knows, as of a block device.  By the volume's list as it was last asked. */
gboolean snapshot_space_get(const SnapshotVolume *volume, SnapshotSpace *ret_space);

/* NO_SPACE if the file system is all but full: a snapshot keeps what is overwritten from then on,
 * and the writes to all of its volumes would soon fail. */
gboolean snapshot_space_suffices(const SnapshotVolume *volume, GError **error);
