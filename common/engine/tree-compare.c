/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/tree-compare.h"

#include <errno.h>

#define AHEAD 64 /* nodes of a tree that are asked for before they are read */

struct TreeCompare {
	Map *map;
	TreeWalk *own, *beside;
	gboolean head; /* the other tree is the head's */
	/* Slots to ask the disk for; and of each level, the first node that was not looked at. */
	guint64 ahead[2 * AHEAD];
	guint n_ahead;
	guint64 ahead_index[FORMAT_LEVELS_MAX];
};

TreeCompare *tree_compare_new(Map *map)
{
	TreeCompare *compare = g_try_new0(TreeCompare, 1);

	if (!compare)
		return NULL;
	compare->map = map;
	compare->own = tree_walk_new(map);
	compare->beside = tree_walk_new(map);
	if (compare->own && compare->beside)
		return compare;
	tree_compare_free(compare);
	return NULL;
}

void tree_compare_free(TreeCompare *compare)
{
	if (!compare)
		return;
	tree_walk_free(compare->own);
	tree_walk_free(compare->beside);
	g_free(compare);
}

void tree_compare_set(TreeCompare *compare, const MapEntry *root, guint levels,
		      const MapEntry *beside, guint beside_levels)
{
	compare->head = !beside;
	tree_walk_set(compare->own, root, levels, FALSE);
	if (beside)
		tree_walk_set(compare->beside, beside, beside_levels, FALSE);
}

guint64 tree_compare_bytes(const TreeCompare *compare)
{
	return tree_walk_bytes(compare->own) + tree_walk_bytes(compare->beside);
}

/* ---- the other tree */

/* Its pointer at that place.  As tree_compare_unlocking(); -EBADMSG: level and index say which node
 * is lost. */
static int beside_pointer_unlocking(TreeCompare *compare, guint level, guint64 index,
				    MapEntry *ret_entry, Comparison *comparison)
{
	int r = 0;

	if (compare->head) {
		r = map_pointer_unlocking(compare->map, level, index, ret_entry);
		comparison->level = level + 1;
		comparison->index = index >> map_layout(compare->map).shift;
	} else if (!tree_walk_pointer(compare->beside, level, index, ret_entry)) {
		r = tree_walk_read_unlocking(compare->beside, &comparison->level,
					     &comparison->index);
	}
	return r;
}

static int beside_leaf_unlocking(TreeCompare *compare, guint64 index, Comparison *comparison)
{
	int r = 0;

	comparison->level = 0;
	comparison->index = index;
	if (compare->head)
		r = map_leaf_unlocking(compare->map, index, &comparison->beside);
	else if (!tree_walk_node(compare->beside, 0, index, &comparison->beside))
		r = tree_walk_read_unlocking(compare->beside, &comparison->level,
					     &comparison->index);
	return r;
}

/* ---- both */

/* Both pointers to a node, if they are in memory. */
static gboolean pointers_get_locked(TreeCompare *compare, guint level, guint64 index,
				    MapEntry *ret_own, MapEntry *ret_beside)
{
	return tree_walk_pointer(compare->own, level, index, ret_own) &&
	       (compare->head ? map_pointer_locked(compare->map, level, index, ret_beside)
			      : tree_walk_pointer(compare->beside, level, index, ret_beside));
}

/* Notes which nodes a walk is going to read behind node (level, index), of those below the same
 * node: the two pointers to them differ. */
static void look_ahead_locked(TreeCompare *compare, guint64 threshold, guint level, guint64 index)
{
	guint64 *next = &compare->ahead_index[level], end = index + AHEAD;
	guint64 last = (index | (node_pointers(map_layout(compare->map)) - 1)) + 1;
	MapEntry own, beside;

	if (*next > index + AHEAD / 2 && *next <= end)
		return;
	if (*next <= index || *next > end)
		*next = index + 1;
	for (end = MIN(end, last);
	     *next < end && compare->n_ahead + 2 <= G_N_ELEMENTS(compare->ahead); ++*next) {
		if (!pointers_get_locked(compare, level, *next, &own, &beside))
			return;
		if (!own.slot || own.dead || own.birth <= threshold ||
		    (beside.slot == own.slot && !beside.dead))
			continue;
		compare->ahead[compare->n_ahead++] = own.slot;
		if (beside.slot && !beside.dead)
			compare->ahead[compare->n_ahead++] = beside.slot;
	}
}

/* Asks for what was noted.  0, or TREE_AGAIN. */
static int ahead_ask_unlocking(TreeCompare *compare)
{
	Lock *lock = map_lock(compare->map);

	if (!compare->n_ahead)
		return 0;
	lock_drop(lock);
	map_prefetch_nodes(compare->map, compare->ahead, compare->n_ahead);
	compare->n_ahead = 0;
	lock_take(lock);
	return TREE_AGAIN;
}

static int leaves_look_unlocking(TreeCompare *compare, guint64 index, Comparison *comparison)
{
	if (!tree_walk_node(compare->own, 0, index, &comparison->leaf))
		return tree_walk_read_unlocking(compare->own, &comparison->level,
						&comparison->index);
	return beside_leaf_unlocking(compare, index, comparison);
}

static int path_look_unlocking(TreeCompare *compare, guint64 cursor, Comparison *comparison)
{
	NodeLayout layout = map_layout(compare->map);

	for (guint level = tree_walk_levels(compare->own) - 1;; level--) {
		guint64 index = cursor >> node_shift(layout, level);
		MapEntry entry, beside;
		int r;

		if (!tree_walk_pointer(compare->own, level, index, &entry))
			return tree_walk_read_unlocking(compare->own, &comparison->level,
							&comparison->index);
		comparison->end = (index + 1) << node_shift(layout, level);
		if (!entry.slot || entry.dead || entry.birth <= comparison->threshold)
			return 0;
		r = beside_pointer_unlocking(compare, level, index, &beside, comparison);
		if (r)
			return r;
		if (beside.slot == entry.slot && !beside.dead)
			return 0;
		comparison->nodes[comparison->n_nodes++] =
			(ComparedNode){level, entry.slot, comparison->end};
		look_ahead_locked(compare, comparison->threshold, level, index);
		r = ahead_ask_unlocking(compare);
		if (r)
			return r;
		if (!level)
			return leaves_look_unlocking(compare, index, comparison);
	}
}

int tree_compare_unlocking(TreeCompare *compare, guint64 threshold, guint64 cursor,
			   Comparison *ret_comparison)
{
	Comparison comparison = {.threshold = threshold};
	int r = path_look_unlocking(compare, cursor, &comparison);

	if (r && r != -EBADMSG)
		return r > 0 ? TREE_AGAIN : r;
	if (r) {
		comparison.damaged = TRUE;
		comparison.leaf = NULL;
		comparison.end = (comparison.index + 1)
				 << node_shift(map_layout(compare->map), comparison.level);
	}
	*ret_comparison = comparison;
	return 0;
}

gboolean comparison_has_alone(const Comparison *comparison, NodeLayout layout, guint i,
			      MapEntry *ret_entry)
{
	if (!comparison->leaf)
		return FALSE;
	*ret_entry = entry_at(layout, comparison->leaf, i);
	return ret_entry->slot && ret_entry->birth > comparison->threshold &&
	       !(comparison->beside &&
		 entry_at(layout, comparison->beside, i).slot == ret_entry->slot);
}
