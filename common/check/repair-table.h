/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new snapshot table, in place of the one that a check read: without the snapshots that were
 * given up, and with the counts that the check found.  It takes slots that are free by the bitmaps
 * and by the map, so that the old table stays whole until a superblock names the new one (I6).
 */
#pragma once

#include "common/check/check-private.h"

typedef struct {
	GArray *slots; /* of guint64: of each pair, the first; the root's last */
	MapEntry root;
} RepairTable;

void repair_table_clear(RepairTable *table);

/* Whether a snapshot was given up, or a record has other counts than its map. */
gboolean repair_table_is_wrong(const Check *check);

/* Whether what snapshots and volume refer to was counted with what is dying in a snapshot that has
 * the same nodes. */
gboolean repair_counts_are_bounds(const Check *check);

/* Brings the records up to date, and moves the table in the groups' `mapped`.  FALSE: there are not
 * enough free pairs of slots. */
gboolean repair_table_place(RepairTable *table, Check *check);

/* Writes the table.  0 or a negative errno. */
int repair_table_write(RepairTable *table, const Check *check);
