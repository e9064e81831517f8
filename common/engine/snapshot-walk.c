/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/snapshot-walk.h"

#include "common/base/bounds.h"
#include "common/base/logging.h"
#include "common/engine/tree-compare.h"

#include <errno.h>

/* One step of the dying walk, as far as it was looked at.  The lock is held from its beginning to
 * its end. */
typedef struct {
	ComparedNode nodes[FORMAT_LEVELS_MAX]; /* that the snapshot has alone */
	guint n_nodes;
	guint64 end;		/* where the cursor goes */
	const FormatNode *leaf; /* NULL: no block is freed */
	guint64 leaf_end;
} WalkStep;

struct SnapshotWalk {
	Snapshots *snapshots;
	Map *map;
	Lock *lock; /* the lists' */
	const char *name;
	guint shift;
	TreeWalk *dying;
	TreeCompare *compare;
	/* With that number of snapshots_changes_locked(), nothing was dying, and nothing could be
	 * deleted; 0: unknown. */
	guint64 none_dying, none_deleted;
	LoggingLimit damaged;
};

SnapshotWalk *snapshot_walk_new(Snapshots *snapshots, Map *map, const char *name)
{
	SnapshotWalk *walk = g_try_new0(SnapshotWalk, 1);

	if (!walk)
		return NULL;
	walk->snapshots = snapshots;
	walk->map = map;
	walk->lock = map_lock(map);
	walk->name = name;
	walk->shift = map_layout(map).shift;
	walk->dying = tree_walk_new(map);
	walk->compare = tree_compare_new(map);
	if (walk->dying && walk->compare)
		return walk;
	snapshot_walk_free(walk);
	return NULL;
}

void snapshot_walk_free(SnapshotWalk *walk)
{
	if (!walk)
		return;
	tree_walk_free(walk->dying);
	tree_compare_free(walk->compare);
	g_free(walk);
}

guint64 snapshot_walk_bytes(const SnapshotWalk *walk)
{
	return tree_walk_bytes(walk->dying) + tree_compare_bytes(walk->compare);
}

static void damage_log(SnapshotWalk *walk, guint level, guint64 index)
{
	logging_write_limited(&walk->damaged, LOGGING_WARNING,
			      "volume %s: node %u/%" G_GUINT64_FORMAT
			      " is damaged; what snapshots have below it stays in use",
			      walk->name, level, index);
}

/* ---- freeing */

/* Frees the nodes of a path that end where the cursor goes. */
static void nodes_free(SnapshotWalk *walk, const ComparedNode *nodes, guint n, guint64 cursor)
{
	for (guint i = n; i-- > 0;)
		if (nodes[i].end <= cursor)
			map_return_node_locked(walk->map, nodes[i].level, nodes[i].slot);
}

/* Room for the blocks of a leaf and for a path. */
static int step_reserve(SnapshotWalk *walk)
{
	return map_reserve_locked(walk->map, (1u << walk->shift) + 2 * FORMAT_LEVELS_MAX);
}

/* ---- the dying walk */

/* What of a dying block is freed was written by its snapshot, or by a parent that is being deleted
 * and does not have that place any more. */
static void count_dead_block(SnapshotWalk *walk, const Snapshot *snapshot, guint64 birth,
			     guint64 end)
{
	Snapshots *snapshots = walk->snapshots;
	SnapshotCursor deleting = snapshots_deleting_locked(snapshots);
	const Snapshot *parent = snapshots_find_locked(
		snapshots, snapshots_above_locked(snapshots, snapshot->parent));

	if (birth > snapshot->parent)
		snapshots_subtract_written_locked(snapshots, snapshot->generation, 1);
	if (parent && parent->generation == deleting.generation && end <= deleting.cursor &&
	    birth > parent->parent && birth <= parent->generation)
		snapshots_subtract_written_locked(snapshots, parent->generation, 1);
}

static void dying_free(SnapshotWalk *walk, const Snapshot *snapshot, const WalkStep *step)
{
	guint64 threshold =
		snapshots_threshold_locked(walk->snapshots, snapshot->parent, step->leaf_end);

	for (guint i = 0; step->leaf && i < 1u << walk->shift; i++) {
		MapEntry entry = entry_at(map_layout(walk->map), step->leaf, i);

		if (!entry.slot || entry.birth <= threshold)
			continue;
		map_return_block_locked(walk->map, entry.slot);
		count_dead_block(walk, snapshot, entry.birth, step->leaf_end);
	}
	nodes_free(walk, step->nodes, step->n_nodes, step->end);
}

/* Reads the node that the tree misses.  0: it is lost, and the step goes behind it; or as
 * tree_walk_read_unlocking(). */
static int dying_read_unlocking(SnapshotWalk *walk, WalkStep *step)
{
	guint level;
	guint64 index;
	int r = tree_walk_read_unlocking(walk->dying, &level, &index);

	if (r != -EBADMSG)
		return r;
	damage_log(walk, level, index);
	step->end = (index + 1) << node_shift(map_layout(walk->map), level);
	step->leaf = NULL;
	return 0;
}

/* Looks down to the leaf over the cursor.  0: *step says what is to be done. */
static int dying_look_unlocking(SnapshotWalk *walk, const Snapshot *snapshot, guint64 cursor,
				WalkStep *step)
{
	NodeLayout layout = map_layout(walk->map);
	gboolean inside = FALSE;

	for (guint level = snapshot->levels - 1;; level--) {
		guint64 index = cursor >> node_shift(layout, level), end;
		MapEntry entry;

		if (!tree_walk_pointer(walk->dying, level, index, &entry))
			return dying_read_unlocking(walk, step);
		step->end = end = (index + 1) << node_shift(layout, level);
		if (!entry.slot || (entry.dead && entry.birth <= snapshot->floor))
			return 0;
		if (inside && !entry.dead &&
		    entry.birth <=
			    snapshots_threshold_locked(walk->snapshots, snapshot->parent, end))
			return 0;
		inside = inside || entry.dead;
		if (inside)
			step->nodes[step->n_nodes++] = (ComparedNode){level, entry.slot, end};
		if (level)
			continue;
		step->leaf_end = end;
		return inside && !tree_walk_node(walk->dying, 0, index, &step->leaf)
			       ? dying_read_unlocking(walk, step)
			       : 0;
	}
}

static int dying_step_unlocking(SnapshotWalk *walk, const Snapshot *snapshot, guint64 cursor)
{
	WalkStep step = {0};
	int r;

	tree_walk_set(walk->dying, &snapshot->root, snapshot->levels, TRUE);
	r = dying_look_unlocking(walk, snapshot, cursor, &step);
	if (!r)
		r = step_reserve(walk);
	if (r)
		return r;
	if (step.end >= snapshot->dying_end)
		step.end = G_MAXUINT64;
	dying_free(walk, snapshot, &step);
	snapshots_set_dying_locked(walk->snapshots,
				   (SnapshotCursor){snapshot->generation, step.end});
	return 1;
}

/* The snapshot whose dying walk goes on or begins; NULL: there is none. */
static const Snapshot *dying_find_locked(SnapshotWalk *walk, SnapshotCursor *cursor)
{
	guint64 changes = snapshots_changes_locked(walk->snapshots);

	*cursor = snapshots_dying_locked(walk->snapshots);
	if (cursor->generation)
		return snapshots_find_locked(walk->snapshots, cursor->generation);
	if (walk->none_dying == changes)
		return NULL;
	for (guint i = 0; i < snapshots_count_locked(walk->snapshots); i++) {
		const Snapshot *snapshot = snapshots_get_locked(walk->snapshots, i);

		if (!snapshot_is_dying(snapshot))
			continue;
		*cursor = (SnapshotCursor){snapshot->generation, snapshot->dying_first};
		return snapshot;
	}
	walk->none_dying = changes;
	return NULL;
}

static int dying_go_on_unlocking(SnapshotWalk *walk, const Snapshot *snapshot,
				 SnapshotCursor cursor)
{
	int r;

	if (cursor.cursor != G_MAXUINT64)
		return dying_step_unlocking(walk, snapshot, cursor.cursor);
	r = snapshots_keep_unlocking(walk->snapshots, 1);
	if (r)
		return r;
	snapshots_end_dying_locked(walk->snapshots);
	return 1;
}

/* ---- the deletion */

/* Frees what was compared, up to where the cursor goes. */
static void deletion_free(SnapshotWalk *walk, const Snapshot *snapshot,
			  const Comparison *comparison, guint64 cursor)
{
	NodeLayout layout = map_layout(walk->map);
	MapEntry entry;

	for (guint i = 0; i < node_pointers(layout); i++) {
		if (!comparison_has_alone(comparison, layout, i, &entry))
			continue;
		map_return_block_locked(walk->map, entry.slot);
		if (entry.birth > snapshot->parent)
			snapshots_subtract_written_locked(walk->snapshots, snapshot->generation, 1);
	}
	nodes_free(walk, comparison->nodes, comparison->n_nodes, cursor);
}

/* The snapshot's tree beside that of its one child, if it has one. */
static SnapshotChildren deletion_choose_trees(SnapshotWalk *walk, const Snapshot *snapshot)
{
	SnapshotChildren children =
		snapshots_children_locked(walk->snapshots, snapshot->generation);
	const Snapshot *child = snapshots_find_locked(walk->snapshots, children.snapshot);
	const MapEntry none = {0};

	tree_compare_set(walk->compare, &snapshot->root, snapshot->levels,
			 children.head ? NULL
			 : child       ? &child->root
				       : &none,
			 child ? child->levels : 1);
	return children;
}

static int deletion_step_unlocking(SnapshotWalk *walk, const Snapshot *snapshot, guint64 cursor)
{
	SnapshotChildren children = deletion_choose_trees(walk, snapshot);
	Comparison step;
	int r = tree_compare_unlocking(walk->compare,
				       snapshots_above_locked(walk->snapshots, snapshot->parent),
				       cursor, &step);

	if (r)
		return r;
	if (step.damaged)
		damage_log(walk, step.level, step.index);
	if (step.end >= blocks_covering(snapshot->size))
		step.end = G_MAXUINT64;
	/* R5: what the head has dying there must be freed first. */
	if (children.head && map_is_dying_locked(walk->map, cursor, step.end)) {
		lock_drop(walk->lock);
		r = map_reclaim(walk->map);
		lock_take(walk->lock);
		return r < 0 ? r : 1;
	}
	r = step_reserve(walk);
	if (r)
		return r;
	deletion_free(walk, snapshot, &step, step.end);
	snapshots_set_deleting_locked(walk->snapshots,
				      (SnapshotCursor){snapshot->generation, step.end});
	return 1;
}

/* The snapshot whose deletion goes on or begins; NULL: there is none. */
static const Snapshot *deleting_find_locked(SnapshotWalk *walk, SnapshotCursor *cursor)
{
	Snapshots *snapshots = walk->snapshots;
	guint64 changes = snapshots_changes_locked(snapshots);

	*cursor = snapshots_deleting_locked(snapshots);
	if (cursor->generation)
		return snapshots_find_locked(snapshots, cursor->generation);
	if (walk->none_deleted == changes)
		return NULL;
	for (guint i = 0; i < snapshots_count_locked(snapshots); i++) {
		const Snapshot *snapshot = snapshots_get_locked(snapshots, i);

		/* R4: a branch point waits until it is none. */
		if (snapshot->state != FORMAT_SNAPSHOT_DELETING ||
		    snapshots_children_locked(snapshots, snapshot->generation).n > 1)
			continue;
		*cursor = (SnapshotCursor){snapshot->generation, 0};
		return snapshot;
	}
	walk->none_deleted = changes;
	return NULL;
}

/* All is freed: the record goes, or a bookmark stays. */
static int deletion_end_unlocking(SnapshotWalk *walk, const Snapshot *snapshot)
{
	Snapshots *snapshots = walk->snapshots;
	guint64 generation = snapshot->generation;
	gboolean keep = (snapshot->flags & FORMAT_SNAPSHOT_FLAG_KEEP) != 0;
	int r = snapshots_keep_unlocking(snapshots,
					 snapshots_count_changes_locked(snapshots, generation) + 1);

	if (r)
		return r;
	snapshots_end_deletion_locked(snapshots);
	if (!keep)
		snapshots_remove_locked(snapshots, generation);
	return 1;
}

static int deletion_go_on_unlocking(SnapshotWalk *walk, const Snapshot *snapshot,
				    SnapshotCursor cursor)
{
	return cursor.cursor == G_MAXUINT64
		       ? deletion_end_unlocking(walk, snapshot)
		       : deletion_step_unlocking(walk, snapshot, cursor.cursor);
}

static int walk_step_unlocking(SnapshotWalk *walk)
{
	SnapshotCursor cursor;
	const Snapshot *snapshot = dying_find_locked(walk, &cursor);

	if (snapshot)
		return dying_go_on_unlocking(walk, snapshot, cursor);
	snapshot = deleting_find_locked(walk, &cursor);
	return snapshot ? deletion_go_on_unlocking(walk, snapshot, cursor) : 0;
}

int snapshot_walk_step(SnapshotWalk *walk)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(walk->lock);
	int r;

	do
		r = walk_step_unlocking(walk);
	while (r == TREE_AGAIN);
	return r;
}
