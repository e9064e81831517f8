/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/tree-walk.h"

/* One level of the path. */
typedef struct {
	gboolean known;
	guint64 index;
	guint64 slot; /* with the checksum: of which node `data` is */
	guint32 crc;
	FormatNode data;
} TreeStep;

struct TreeWalk {
	Map *map;
	NodeLayout layout;
	MapEntry root;
	guint levels;
	gboolean below_dead;
	TreeStep steps[FORMAT_LEVELS_MAX]; /* by level */
	guint missing_level;
	guint64 missing_index;
	MapEntry missing;
	guint64 bytes;
};

TreeWalk *tree_walk_new(Map *map)
{
	TreeWalk *walk = g_try_new0(TreeWalk, 1);

	if (!walk)
		return NULL;
	walk->map = map;
	walk->layout = map_layout(map);
	return walk;
}

void tree_walk_free(TreeWalk *walk)
{
	g_free(walk);
}

void tree_walk_set(TreeWalk *walk, const MapEntry *root, guint levels, gboolean below_dead)
{
	if (walk->levels == levels && walk->root.slot == root->slot &&
	    walk->root.crc == root->crc && walk->root.birth == root->birth &&
	    walk->below_dead == below_dead)
		return;
	walk->root = *root;
	walk->levels = levels;
	walk->below_dead = below_dead;
	for (guint level = 0; level < FORMAT_LEVELS_MAX; level++)
		walk->steps[level].known = FALSE;
}

guint tree_walk_levels(const TreeWalk *walk)
{
	return walk->levels;
}

guint64 tree_walk_bytes(const TreeWalk *walk)
{
	return walk->bytes;
}

/* Whether the path has the node that `entry` leads to.  If not, the node is what is missing. */
static gboolean step_is_known(TreeWalk *walk, guint level, guint64 index, const MapEntry *entry)
{
	const TreeStep *step = &walk->steps[level];

	if (step->known && step->index == index && step->slot == entry->slot &&
	    step->crc == entry->crc)
		return TRUE;
	walk->missing_level = level;
	walk->missing_index = index;
	walk->missing = *entry;
	return FALSE;
}

/* Goes down from the root: the path is short, and each step is a comparison. */
gboolean tree_walk_pointer(TreeWalk *walk, guint level, guint64 index, MapEntry *ret_entry)
{
	MapEntry entry = walk->root;
	guint shift = walk->layout.shift;

	*ret_entry = (MapEntry){0};
	if (level >= walk->levels || index >> (shift * (walk->levels - 1 - level)))
		return TRUE;
	for (guint l = walk->levels - 1; l > level; l--) {
		guint64 at = index >> (shift * (l - level)),
			child = index >> (shift * (l - 1 - level));

		if (!entry.slot || (entry.dead && !walk->below_dead))
			return TRUE;
		if (!step_is_known(walk, l, at, &entry))
			return FALSE;
		entry = entry_at(walk->layout, &walk->steps[l].data,
				 node_place(walk->layout, child));
	}
	*ret_entry = entry;
	return TRUE;
}

gboolean tree_walk_node(TreeWalk *walk, guint level, guint64 index, const FormatNode **ret_node)
{
	MapEntry entry;

	*ret_node = NULL;
	if (!tree_walk_pointer(walk, level, index, &entry))
		return FALSE;
	if (!entry.slot || (entry.dead && !walk->below_dead))
		return TRUE;
	if (!step_is_known(walk, level, index, &entry))
		return FALSE;
	*ret_node = &walk->steps[level].data;
	return TRUE;
}

static int missing_read(TreeWalk *walk)
{
	TreeStep *step = &walk->steps[walk->missing_level];
	int r;

	step->known = FALSE;
	r = map_read_node(walk->map, walk->missing_level, walk->missing_index, &walk->missing,
			  &step->data);
	if (r)
		return r;
	step->known = TRUE;
	step->index = walk->missing_index;
	step->slot = walk->missing.slot;
	step->crc = walk->missing.crc;
	return TREE_AGAIN;
}

int tree_walk_read_unlocking(TreeWalk *walk, guint *ret_level, guint64 *ret_index)
{
	Lock *lock = map_lock(walk->map);
	int r;

	lock_drop(lock);
	r = missing_read(walk);
	lock_take(lock);
	walk->bytes += FORMAT_SLOT_SIZE;
	*ret_level = walk->missing_level;
	*ret_index = walk->missing_index;
	return r;
}
