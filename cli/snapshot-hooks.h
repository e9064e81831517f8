/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Executables that prepare applications for a snapshot: those in the directory snapshot.d
 * (hooks.h).  Each is run as
 *
 *     EXECUTABLE before VOLUME...
 *     EXECUTABLE after VOLUME...       once the snapshot's instant has passed, or was given up
 *
 * and killed with its children after SNAPSHOT_HOOK_SECONDS.
 */
#pragma once

#include "common/service/config.h"

#define SNAPSHOT_HOOK_SECONDS 30

typedef struct SnapshotHooks SnapshotHooks;

/* Runs all with "before" and the volumes' names.  If one fails, runs those that ran, this one among
 * them, with "after", and returns NULL with IO and the last line that it printed. */
SnapshotHooks *snapshot_hooks_before(const Config *config, const GPtrArray *volumes,
				     GError **error);

/* Runs all with "after", the last one first; warns of each that fails.  Frees `hooks`; NULL is
 * allowed. */
void snapshot_hooks_after(SnapshotHooks *hooks);
