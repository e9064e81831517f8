/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/snapshot-walk.h"

#include "common/base/bounds.h"
#include "common/base/logging.h"
#include "common/engine/tree-walk.h"

#include <errno.h>

#define STEP_AGAIN 2 /* the lock was dropped: the step begins anew */

/* A node on the way from the root to the leaf. */
typedef struct {
	guint level;
	guint64 slot;
	guint64 end; /* the first block behind it, not cut off */
} WalkNode;

/* One step, as far as it was looked at.  The lock is held from its beginning to its end. */
typedef struct {
	WalkNode nodes[FORMAT_LEVELS_MAX]; /* that the snapshot has alone */
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
	TreeWalk *own, *child;
	guint64 own_of, child_of; /* whose trees these are; 0: nobody's */
	guint64 bytes;
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
	return walk;
}

void snapshot_walk_free(SnapshotWalk *walk)
{
	if (!walk)
		return;
	tree_walk_free(walk->own);
	tree_walk_free(walk->child);
	g_free(walk);
}

guint64 snapshot_walk_bytes(const SnapshotWalk *walk)
{
	return walk->bytes;
}

/* ---- trees */

static int tree_choose(SnapshotWalk *walk, TreeWalk **tree, guint64 *of, const Snapshot *snapshot,
		       gboolean below_dead)
{
	guint64 mark = snapshot->generation << 1 | (guint64)below_dead;

	if (!*tree)
		*tree = tree_walk_new(walk->map);
	if (!*tree)
		return -ENOMEM;
	if (*of != mark)
		tree_walk_set(*tree, &snapshot->root, snapshot->levels, below_dead);
	*of = mark;
	return 0;
}

/* Reads the node that a tree misses, with the lock dropped.  STEP_AGAIN; -EBADMSG: the node is
 * lost, and ends at *ret_end; or another negative errno. */
static int tree_read_unlocking(SnapshotWalk *walk, TreeWalk *tree, guint64 *ret_end)
{
	guint level;
	guint64 index;
	int r;

	lock_drop(walk->lock);
	r = tree_walk_read(tree);
	lock_take(walk->lock);
	walk->bytes += FORMAT_SLOT_SIZE;
	tree_walk_get_missing(tree, &level, &index);
	*ret_end = (index + 1) << node_shift(map_layout(walk->map), level);
	if (r == -EBADMSG)
		logging_write_limited(&walk->damaged, LOGGING_WARNING,
				      "volume %s: node %u/%" G_GUINT64_FORMAT
				      " of a snapshot is damaged; what is below it stays in use",
				      walk->name, level, index);
	return r ? r : STEP_AGAIN;
}

/* ---- freeing */

static void step_add_node(WalkStep *step, guint level, guint64 slot, guint64 end)
{
	step->nodes[step->n_nodes++] = (WalkNode){level, slot, end};
}

/* Frees the nodes of the path that end where the cursor goes. */
static void step_free_nodes(SnapshotWalk *walk, const WalkStep *step)
{
	for (guint i = step->n_nodes; i-- > 0;)
		if (step->nodes[i].end <= step->end)
			map_return_node_locked(walk->map, step->nodes[i].level,
					       step->nodes[i].slot);
}

/* Room for the blocks of a leaf and for a path. */
static int step_reserve(SnapshotWalk *walk)
{
	return map_reserve_locked(walk->map, (1u << walk->shift) + 2 * FORMAT_LEVELS_MAX);
}

/* A damaged node: goes behind it, and leaves what is below it in use. */
static int step_skip(WalkStep *step, guint64 end)
{
	step->end = end;
	step->leaf = NULL;
	return 0;
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
	step_free_nodes(walk, step);
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

		if (!tree_walk_pointer(walk->own, level, index, &entry)) {
			int r = tree_read_unlocking(walk, walk->own, &end);

			return r == -EBADMSG ? step_skip(step, end) : r;
		}
		step->end = end = (index + 1) << node_shift(layout, level);
		if (!entry.slot || (entry.dead && entry.birth <= snapshot->floor))
			return 0;
		if (inside && !entry.dead &&
		    entry.birth <=
			    snapshots_threshold_locked(walk->snapshots, snapshot->parent, end))
			return 0;
		inside = inside || entry.dead;
		if (inside)
			step_add_node(step, level, entry.slot, end);
		if (level)
			continue;
		step->leaf_end = end;
		if (inside && !tree_walk_node(walk->own, 0, index, &step->leaf)) {
			int r = tree_read_unlocking(walk, walk->own, &end);

			return r == -EBADMSG ? step_skip(step, end) : r;
		}
		return 0;
	}
}

static int dying_step_unlocking(SnapshotWalk *walk, const Snapshot *snapshot, guint64 cursor)
{
	WalkStep step = {0};
	int r = tree_choose(walk, &walk->own, &walk->own_of, snapshot, TRUE);

	if (!r)
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
	*cursor = snapshots_dying_locked(walk->snapshots);
	if (cursor->generation)
		return snapshots_find_locked(walk->snapshots, cursor->generation);
	for (guint i = 0; i < snapshots_count_locked(walk->snapshots); i++) {
		const Snapshot *snapshot = snapshots_get_locked(walk->snapshots, i);

		if (!snapshot_is_dying(snapshot))
			continue;
		*cursor = (SnapshotCursor){snapshot->generation, snapshot->dying_first};
		return snapshot;
	}
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

typedef struct {
	const Snapshot *snapshot;
	guint64 above; /* its nearest ancestor with a tree */
	gboolean has_child, head;
} Deletion;

/* The child's pointer at that place. */
static int child_pointer_unlocking(SnapshotWalk *walk, const Deletion *deletion, guint level,
				   guint64 index, MapEntry *ret_entry, guint64 *ret_end)
{
	int r = 0;

	*ret_entry = (MapEntry){0};
	if (deletion->head)
		r = map_pointer_unlocking(walk->map, level, index, ret_entry);
	else if (deletion->has_child && !tree_walk_pointer(walk->child, level, index, ret_entry))
		return tree_read_unlocking(walk, walk->child, ret_end);
	*ret_end = (index + 1) << node_shift(map_layout(walk->map), level + 1);
	return r > 0 ? STEP_AGAIN : r;
}

static int child_leaf_unlocking(SnapshotWalk *walk, const Deletion *deletion, guint64 index,
				const FormatNode **ret_leaf, guint64 *ret_end)
{
	int r = 0;

	*ret_leaf = NULL;
	*ret_end = (index + 1) << node_shift(map_layout(walk->map), 0);
	if (deletion->head)
		r = map_leaf_unlocking(walk->map, index, ret_leaf);
	else if (deletion->has_child && !tree_walk_node(walk->child, 0, index, ret_leaf))
		return tree_read_unlocking(walk, walk->child, ret_end);
	return r > 0 ? STEP_AGAIN : r;
}

static void deletion_free(SnapshotWalk *walk, const Deletion *deletion, const WalkStep *step,
			  const FormatNode *child)
{
	NodeLayout layout = map_layout(walk->map);
	const Snapshot *snapshot = deletion->snapshot;

	for (guint i = 0; step->leaf && i < node_pointers(layout); i++) {
		MapEntry entry = entry_at(layout, step->leaf, i);

		if (!entry.slot || entry.birth <= deletion->above ||
		    (child && entry_at(layout, child, i).slot == entry.slot))
			continue;
		map_return_block_locked(walk->map, entry.slot);
		if (entry.birth > snapshot->parent)
			snapshots_subtract_written_locked(walk->snapshots, snapshot->generation, 1);
	}
	step_free_nodes(walk, step);
}

/* Looks at one leaf that differs from the child's. */
static int deletion_look_at_leaf_unlocking(SnapshotWalk *walk, const Deletion *deletion,
					   guint64 index, WalkStep *step,
					   const FormatNode **ret_child)
{
	guint64 end;
	int r;

	if (!tree_walk_node(walk->own, 0, index, &step->leaf))
		r = tree_read_unlocking(walk, walk->own, &end);
	else
		r = child_leaf_unlocking(walk, deletion, index, ret_child, &end);
	return r == -EBADMSG ? step_skip(step, end) : r;
}

/* Looks down to the leaf over the cursor, in both trees. */
static int deletion_look_unlocking(SnapshotWalk *walk, const Deletion *deletion, guint64 cursor,
				   WalkStep *step, const FormatNode **ret_child)
{
	NodeLayout layout = map_layout(walk->map);

	for (guint level = deletion->snapshot->levels - 1;; level--) {
		guint64 index = cursor >> node_shift(layout, level), end;
		MapEntry entry, child;
		int r;

		if (!tree_walk_pointer(walk->own, level, index, &entry)) {
			r = tree_read_unlocking(walk, walk->own, &end);
			return r == -EBADMSG ? step_skip(step, end) : r;
		}
		step->end = (index + 1) << node_shift(layout, level);
		if (!entry.slot || entry.dead || entry.birth <= deletion->above)
			return 0;
		r = child_pointer_unlocking(walk, deletion, level, index, &child, &end);
		if (r)
			return r == -EBADMSG ? step_skip(step, end) : r;
		if (child.slot == entry.slot && !child.dead)
			return 0;
		step_add_node(step, level, entry.slot, step->end);
		if (!level)
			return deletion_look_at_leaf_unlocking(walk, deletion, index, step,
							       ret_child);
	}
}

static int deletion_choose_trees(SnapshotWalk *walk, Deletion *deletion)
{
	SnapshotChildren children =
		snapshots_children_locked(walk->snapshots, deletion->snapshot->generation);
	int r = tree_choose(walk, &walk->own, &walk->own_of, deletion->snapshot, FALSE);

	deletion->above = snapshots_above_locked(walk->snapshots, deletion->snapshot->parent);
	deletion->head = children.head;
	deletion->has_child = children.n > 0;
	if (!r && children.snapshot)
		r = tree_choose(walk, &walk->child, &walk->child_of,
				snapshots_find_locked(walk->snapshots, children.snapshot), FALSE);
	return r;
}

static int deletion_step_unlocking(SnapshotWalk *walk, const Snapshot *snapshot, guint64 cursor)
{
	Deletion deletion = {.snapshot = snapshot};
	const FormatNode *child = NULL;
	WalkStep step = {0};
	int r = deletion_choose_trees(walk, &deletion);

	if (!r)
		r = deletion_look_unlocking(walk, &deletion, cursor, &step, &child);
	if (r)
		return r;
	if (step.end >= blocks_covering(snapshot->size))
		step.end = G_MAXUINT64;
	/* R5: what the head has dying there must be freed first. */
	if (deletion.head && map_is_dying_locked(walk->map, cursor, step.end)) {
		lock_drop(walk->lock);
		r = map_reclaim(walk->map);
		lock_take(walk->lock);
		return r < 0 ? r : 1;
	}
	r = step_reserve(walk);
	if (r)
		return r;
	deletion_free(walk, &deletion, &step, child);
	snapshots_set_deleting_locked(walk->snapshots,
				      (SnapshotCursor){snapshot->generation, step.end});
	return 1;
}

/* The snapshot whose deletion goes on or begins; NULL: there is none. */
static const Snapshot *deleting_find_locked(SnapshotWalk *walk, SnapshotCursor *cursor)
{
	Snapshots *snapshots = walk->snapshots;

	*cursor = snapshots_deleting_locked(snapshots);
	if (cursor->generation)
		return snapshots_find_locked(snapshots, cursor->generation);
	for (guint i = 0; i < snapshots_count_locked(snapshots); i++) {
		const Snapshot *snapshot = snapshots_get_locked(snapshots, i);

		/* R4: a branch point waits until it is none. */
		if (snapshot->state != FORMAT_SNAPSHOT_DELETING ||
		    snapshots_children_locked(snapshots, snapshot->generation).n > 1)
			continue;
		*cursor = (SnapshotCursor){snapshot->generation, 0};
		return snapshot;
	}
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
	while (r == STEP_AGAIN);
	return r;
}
