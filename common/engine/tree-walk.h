/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A path through an immutable tree: a snapshot's.  It holds one node of each level, those over the
 * place that was looked at last, so that a walk in the order of the blocks reads each node once.
 * It uses no cache.
 *
 *     if (!tree_walk_pointer(walk, level, index, &entry))
 *             return tree_walk_read_unlocking(walk, &level, &index);
 *
 * Everything is read as the tree has it: a dead pointer is returned as such, and below it there is
 * nothing, except to a walk that looks below dead pointers.
 *
 * The slots of the tree must keep their content: of an open snapshot, or in the checkpoint thread.
 *
 * Threading: one thread.
 */
#pragma once

#include "common/engine/map.h"

typedef struct TreeWalk TreeWalk;

/* `map`: to read by; any map over the same backing.  NULL: no memory (24 KiB). */
TreeWalk *tree_walk_new(Map *map);
void tree_walk_free(TreeWalk *walk); /* NULL is allowed */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TreeWalk, tree_walk_free)

/* Chooses the tree.  What the walk holds of another one is forgotten.  `below_dead`: dead pointers
 * are followed. */
void tree_walk_set(TreeWalk *walk, const MapEntry *root, guint levels, gboolean below_dead);
guint tree_walk_levels(const TreeWalk *walk);

/* The pointer to node (level, index), or null: levels from the tree's `levels` on have none. FALSE:
 * tree_walk_read_unlocking() must be called first. */
gboolean tree_walk_pointer(TreeWalk *walk, guint level, guint64 index, MapEntry *ret_entry);

/* Node (level, index), or NULL where there is none; valid until the walk goes elsewhere.  FALSE as
 * above. */
gboolean tree_walk_node(TreeWalk *walk, guint level, guint64 index, const FormatNode **ret_node);

#define TREE_AGAIN 2 /* the lock was dropped: begin anew */

/* Reads what the call before found missing.  The map's lock is held, and dropped meanwhile:
 * TREE_AGAIN when the node was read.  -EBADMSG: the node *ret_level, *ret_index is damaged in every
 * copy.  Or another negative errno. */
int tree_walk_read_unlocking(TreeWalk *walk, guint *ret_level, guint64 *ret_index);

/* Bytes that it has read since it was made. */
guint64 tree_walk_bytes(const TreeWalk *walk);
