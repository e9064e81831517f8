/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of snapshots share.  Each calls only those before it in this list:
 *   snapshots-lineage.c  the list and the lineage
 *   snapshots-table.c    the table on the disk
 *   snapshots.c          changes
 */
#pragma once

#include "common/base/logging.h"
#include "common/engine/checked.h"
#include "common/engine/snapshots.h"

/* Who shares a tree with a snapshot: what snapshots_above_locked() and snapshots_children_locked()
 * return. */
typedef struct {
	guint64 above; /* of its parent */
	SnapshotChildren children;
} SnapshotLinks;

/* A page of the table. */
typedef struct {
	MapEntry entry;	  /* null: it has no record */
	guint records;	  /* in it */
	gboolean changed; /* since the last freeze: `entry` names the pair that it gets */
} TablePage;

/* A page of the checkpoint that is being made. */
typedef struct {
	guint number;
	guint64 slot;
	FormatTablePage data;
} FrozenPage;

/* What the superblock says of the snapshots, apart from the map's counts. */
typedef struct {
	guint64 parent, floor; /* of the head */
	guint64 dying, dying_cursor, dying_written;
	guint64 deleting, delete_cursor, delete_written;
	guint count; /* records */
} SnapshotsState;

struct Snapshots {
	Backing *backing;
	Slots *slots;
	const Seal *seal;
	Map *map;
	gboolean read_only;

	Snapshot *list;	      /* by generation */
	SnapshotLinks *links; /* of the list; void if `linked` is not `changes` */
	guint64 changes, linked;
	SnapshotHold *holds;
	guint n_list, n_holds;
	guint list_room, holds_room;	       /* for how many there is memory; so much for links */
	guint n_records;		       /* in the table */
	guint8 used[FORMAT_SNAPSHOTS_MAX / 8]; /* bit p: place p of the table has a record */

	guint64 head; /* the head's parent */
	guint64 dying, dying_cursor;
	guint64 deleting, delete_cursor;

	TablePage pages[FORMAT_TABLE_PAGES];
	MapEntry root;
	gboolean changed; /* since the last freeze: `root` names the pair that it gets */

	FrozenPage *frozen;	/* pages of the running checkpoint */
	guint n_frozen, room;	/* pages, and for how many there is memory */
	guint n_changed;	/* pages that changed since the freeze */
	FormatNode frozen_node; /* the root's */
	MapEntry frozen_root;
	gboolean frozen_changed; /* the checkpoint has another root than the last one */
	SnapshotsState frozen_state;
	guint64 newest; /* the snapshot that the running checkpoint makes; 0: none */
	gboolean keep;	/* it is not given up */
	LoggingLimit damaged;
};

static inline guint snapshot_page(guint place)
{
	return place / FORMAT_TABLE_RECORDS;
}

/* Makes room in both arrays for `n` more.  FALSE: no memory. */
gboolean snapshots_grow(Snapshots *snapshots, guint n);

/* The list is going to be changed, or who descends from whom, who has a tree, or what is dying. */
static inline void lineage_change_locked(Snapshots *snapshots)
{
	snapshots->changes++;
}

/* The snapshot, to be changed; NULL: there is none. */
Snapshot *snapshot_find_locked(const Snapshots *snapshots, guint64 generation);

/* What the map has taken over since it was last asked counts as written by it, no longer by the
 * snapshot that is being deleted. */
void settle_written_locked(Snapshots *snapshots);

/* Gives the map its lineage anew. */
void lineage_update_locked(Snapshots *snapshots);

/* The page with that record is going to change.  snapshots_keep_unlocking() made room. */
void table_change_locked(Snapshots *snapshots, guint place);

/* Takes a free place for a record, and gives it back. */
guint table_take_place_locked(Snapshots *snapshots);
void table_free_place_locked(Snapshots *snapshots, guint place);
