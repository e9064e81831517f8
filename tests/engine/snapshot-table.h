/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshot tables made by hand in closed volumes, so that each of their states can be met.  Their
 * slots lie in a group of their own, which the bitmaps do not know: such a volume is to be read
 * only.
 */
#pragma once

#include "common/backing/backing.h"
#include "common/engine/codec.h"

/* The volume's checkpoint as a snapshot, alive; its UUID is all 0xa5. */
Snapshot table_snapshot_of_now(Backing *backing, const char *name);

/* Makes the `n` snapshots, at most 13, the table of the volume, in a new superblock.  Checks that
 * this succeeds. */
gboolean table_write(Backing *backing, const Snapshot *snapshots, guint n);

/* Where a copy of the table's root, or of its only page, begins in the backing. */
guint64 table_offset(const Superblock *sb, gboolean page, guint copy);
