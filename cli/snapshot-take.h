/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking snapshots, of several volumes at one instant: prepares applications (snapshot-hooks.h),
 * freezes file systems (fs-freeze.h), closes the gates of the volumes' servers, takes the
 * snapshots, undoes all that, and waits until the snapshots are durable.
 */
#pragma once

#include "cli/snapshot-volume.h"
#include "common/service/policy.h"

/* One snapshot to be taken. */
typedef struct {
	SnapshotVolume *volume; /* borrowed */
	char *name;
	/* Set by snapshots_take(): */
	guint64 generation;
	gboolean asked, begun, frozen; /* asked, not begun: it may have been taken */
} SnapshotTake;

/* TRUE: all are durable.  FALSE: none is left, or the message says which.  PolicyFreeze says what
 * happens if file systems cannot be frozen: AUTO: that is said, and the snapshots are taken.
 * `seconds`: how long to wait for the disks, at most; 0: as long as it takes.  BUSY: longer.
 * NO_SPACE also before the disk is full (snapshot-space.h). */
gboolean snapshots_take(const Config *config, SnapshotTake *takes, guint n, PolicyFreeze freeze,
			gboolean by_policy, guint seconds, GError **error);
