/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshots of an open volume: the table in memory, the lineage, and who owns what.
 *
 * A snapshot is the root of one checkpoint that is kept; its generation identifies it.  Parents
 * lead from the head and from each snapshot to older ones.  A pointer's birth tells who owns what
 * it leads to (docs/disk-format.md, "Who has a slot"):
 *
 *     T(R, place)   the generation of the nearest ancestor of R, the head or a snapshot, that has a
 *                   tree and still refers to what it has at that place
 *     birth <= T    shared with that ancestor, which has the same pointer there
 *     birth >  T    R's own: whoever drops the pointer frees the slot
 *
 * The map asks T(head) on every drop, so it has a copy of what it needs for that (MapLineage,
 * map.h), which this module keeps right.
 *
 * What is on the disk changes with checkpoints alone.  A change is made here under the lock, with
 * pairs of slots for the table's pages that it touches, which snapshots_prepare() has fetched; the
 * next checkpoint writes these pages and the root into these pairs.  A freeze therefore never meets
 * a full disk.
 *
 * Threading: the lists' lock (slots_lists_lock(), which is the map's) protects everything.
 * Functions in _locked require it.  All changes are made by the checkpoint thread, between
 * checkpoints (checkpointer_call()) or at a freeze, so that a change of several records is in one
 * checkpoint; that thread may read without the lock.
 *
 * Memory (I7): FORMAT_SNAPSHOTS_MAX records of about 350 bytes, and the pages that change.
 */
#pragma once

#include "common/engine/codec.h"
#include "common/engine/map-scan.h"

typedef struct Snapshots Snapshots;

/* An empty table.  `map` is the head's; it and the others outlive the result. */
Snapshots *snapshots_new(Backing *backing, Slots *slots, const Seal *seal, Map *map,
			 gboolean read_only, GError **error);
void snapshots_free(Snapshots *snapshots); /* NULL is allowed */

/* Loads the table that the superblock names and gives the map its lineage.  Rewrites the damaged
 * copy of a page, unless read-only.  CORRUPT: a page is lost in both copies, or the table
 * contradicts itself or the superblock; read-only, that is only logged: the head reads without
 * snapshots.  IO, or no memory. */
gboolean snapshots_load(Snapshots *snapshots, const Superblock *sb, GError **error);

/* ---- Looking */

/* All snapshots, by generation, the oldest first; valid until the lock is dropped. */
guint snapshots_count_locked(const Snapshots *snapshots);
const Snapshot *snapshots_get_locked(const Snapshots *snapshots, guint i);

/* All holds. */
guint snapshots_count_holds_locked(const Snapshots *snapshots);
const SnapshotHold *snapshots_get_hold_locked(const Snapshots *snapshots, guint i);

/* The one with that generation, or name; NULL: there is none.  A name finds none that is being
 * deleted, unless a bookmark of it is to stay. */
const Snapshot *snapshots_find_locked(const Snapshots *snapshots, guint64 generation);
const Snapshot *snapshots_find_name_locked(const Snapshots *snapshots, const char *name);

/* Whether it has a tree: alive, or being deleted. */
static inline gboolean snapshot_has_tree(const Snapshot *snapshot)
{
	return snapshot->state == FORMAT_SNAPSHOT_ALIVE ||
	       snapshot->state == FORMAT_SNAPSHOT_DELETING;
}

/* Whether something below its dead pointers is not free yet. */
static inline gboolean snapshot_is_dying(const Snapshot *snapshot)
{
	return snapshot->dying_first < snapshot->dying_end;
}

/* The snapshot that the head descends from; 0: none. */
guint64 snapshots_head_parent_locked(const Snapshots *snapshots);

/* The snapshot `generation` itself if it has a tree, otherwise the nearest of its ancestors that
 * has; 0: there is none. */
guint64 snapshots_above_locked(const Snapshots *snapshots, guint64 generation);

/* T of a root with that parent, at a node that ends at block `end` (not cut off at the volume's
 * end); of a block: its leaf. */
guint64 snapshots_threshold_locked(const Snapshots *snapshots, guint64 parent, guint64 end);

/* A number that changes with the list, with the lineage, and with what is dying. */
guint64 snapshots_changes_locked(const Snapshots *snapshots);

/* Those that share a tree with the snapshot and descend from it directly: snapshots whose nearest
 * ancestor with a tree it is, and the head.  R4: one with two waits to be deleted. */
typedef struct {
	guint n;
	gboolean head;	  /* the head is one of them */
	guint64 snapshot; /* another one of them; 0: none */
} SnapshotChildren;
SnapshotChildren snapshots_children_locked(const Snapshots *snapshots, guint64 generation);

/* ---- Changing, by the checkpoint thread
 *
 * Each change of `n` records needs snapshots_keep_unlocking(n) before, under the same hold of the
 * lock, which makes sure that it cannot fail.  It may drop the lock before it returns.  0, -ENOSPC,
 * -ENOMEM or -EIO. */
int snapshots_keep_unlocking(Snapshots *snapshots, guint n);

/* Whether there is room in the table for `n` more records. */
gboolean snapshots_have_room_locked(const Snapshots *snapshots, guint n);

/* Makes room for the record of a new snapshot.  The next freeze must make it.  `keep`: it is not
 * given up. */
void snapshots_expect_locked(Snapshots *snapshots, gboolean keep, guint *ret_place);

/* The record in state receiving, of which there is one at most; NULL: there is none.  And the same
 * if it is that of the snapshot `wish`. */
const Snapshot *snapshots_receiving_locked(const Snapshots *snapshots);
const Snapshot *snapshots_find_received_locked(const Snapshots *snapshots, const Snapshot *wish);

/* At a freeze: the checkpoint, of that generation, is a snapshot with the identity of `wish` (name,
 * UUID, created, group, flags, state, and the place from snapshots_expect_locked()).  If its state
 * is receiving, it is only a record, of the size in `wish`.  The record in state receiving with its
 * UUID goes. */
void snapshots_add_locked(Snapshots *snapshots, const Snapshot *wish, guint64 generation,
			  guint64 size);

/* Changes a snapshot's identity and state to those of `now`, which has its generation. */
void snapshots_change_locked(Snapshots *snapshots, const Snapshot *now);

/* Removes the record of a snapshot without a tree, and its holds.  Its children become its
 * parent's, and what it has `written` is theirs.  Changes snapshots_count_changes_locked()
 * records. */
void snapshots_remove_locked(Snapshots *snapshots, guint64 generation);
guint snapshots_count_changes_locked(const Snapshots *snapshots, guint64 generation);

void snapshots_add_hold_locked(Snapshots *snapshots, const SnapshotHold *hold);
void snapshots_remove_hold_locked(Snapshots *snapshots, guint64 generation, const char *tag);

/* The head descends from that snapshot now (a rollback). */
void snapshots_set_head_locked(Snapshots *snapshots, guint64 parent);

/* ---- The two walks (snapshot-walk.h)
 *
 * One snapshot at a time is in each; the cursors are in the superblock, not in the records. */
typedef struct {
	guint64 generation; /* 0: none */
	guint64 cursor;	    /* blocks before it are done; G_MAXUINT64: all */
} SnapshotCursor;

SnapshotCursor snapshots_dying_locked(const Snapshots *snapshots);
SnapshotCursor snapshots_deleting_locked(const Snapshots *snapshots);
void snapshots_set_dying_locked(Snapshots *snapshots, SnapshotCursor cursor);
void snapshots_set_deleting_locked(Snapshots *snapshots, SnapshotCursor cursor);

/* So many blocks fewer are `written` by the snapshot. */
void snapshots_subtract_written_locked(Snapshots *snapshots, guint64 generation, guint64 blocks);

/* Ends the dying walk (1 record), or the deletion (1 record): the snapshot has no tree any more. */
void snapshots_end_dying_locked(Snapshots *snapshots);
void snapshots_end_deletion_locked(Snapshots *snapshots);

/* Verifies both copies of what the last checkpoint wrote of the table, and adds to *count; `repair`
 * rewrites damaged ones.  By the checkpoint thread, while nothing is frozen. */
void snapshots_verify(Snapshots *snapshots, gboolean repair, MapNodeCount *count);

/* ---- Checkpoints, by the checkpoint thread */

/* Whether the next checkpoint would write something. */
gboolean snapshots_changed_locked(const Snapshots *snapshots);

/* At the freeze, after the snapshot that it makes was added. */
void snapshots_freeze_locked(Snapshots *snapshots);

/* Writes what the freeze has set aside.  Called once the map's frozen nodes are written.  0 or a
 * negative errno; may be called again. */
int snapshots_write_frozen(Snapshots *snapshots);

/* Puts it into `sb`, the feature bit included. */
void snapshots_frozen_state(Snapshots *snapshots, Superblock *sb);

/* The checkpoint of a freeze that made a snapshot met a full disk: the snapshot is given up, unless
 * it was to be kept.  Returns its generation; 0: none was given up. */
guint64 snapshots_give_up_newest(Snapshots *snapshots);
