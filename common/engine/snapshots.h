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
 * Memory (I7): FORMAT_SNAPSHOTS_MAX records of about 320 bytes, and the pages that change.
 */
#pragma once

#include "common/engine/codec.h"
#include "common/engine/map.h"

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

/* All snapshots, by generation, the oldest first; valid until the lock is dropped. */
guint snapshots_count_locked(const Snapshots *snapshots);
const Snapshot *snapshots_get_locked(const Snapshots *snapshots, guint i);

/* The one with that generation, or name; NULL: there is none.  A name finds none that is being
 * deleted. */
const Snapshot *snapshots_find_locked(const Snapshots *snapshots, guint64 generation);
const Snapshot *snapshots_find_name_locked(const Snapshots *snapshots, const char *name);

/* Its holds. */
guint snapshots_count_holds_locked(const Snapshots *snapshots, guint64 generation);

/* Whether it has a tree: alive, or being deleted. */
static inline gboolean snapshot_has_tree(const Snapshot *snapshot)
{
	return snapshot->state == FORMAT_SNAPSHOT_ALIVE ||
	       snapshot->state == FORMAT_SNAPSHOT_DELETING;
}

/* The snapshot `generation` itself if it has a tree, otherwise the nearest of its ancestors that
 * has; 0: there is none. */
guint64 snapshots_above_locked(const Snapshots *snapshots, guint64 generation);

/* T of a root with that parent, at a node that ends at block `end` (not cut off at the volume's
 * end); of a block: its leaf. */
guint64 snapshots_threshold_locked(const Snapshots *snapshots, guint64 parent, guint64 end);
