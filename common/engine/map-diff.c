/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both trees are walked together, by (level, index), which mean the same blocks in both.  A tree
 * with fewer levels has a root further below: at all places above that root, what it maps is below
 * the first pointer.
 */
#include "common/engine/map-diff.h"

#include "common/engine/map-load.h"
#include "common/engine/map-pointers.h"

typedef struct {
	Map *to, *from;
	MapEntry from_root;
	guint from_top; /* the level of from_root */
	guint64 since, first, blocks;
	MapDiffVisit visit;
	gpointer data;
	guint64 holes, holes_end; /* not visited yet; equal: none */
	gboolean holes_base;	  /* these are the base's */
	guint64 position;	  /* of the node that is being read */
} Diff;

static gboolean is_hole(const MapEntry *entry)
{
	return !entry->slot || entry->dead;
}

/* Whether a hole of that map, which begins at block `first`, is the base's. */
static gboolean is_base(const Map *map, const MapEntry *entry, guint64 first)
{
	return map && map_entry_is_base(map, entry, first);
}

static gboolean is_same(const MapEntry *a, const MapEntry *b)
{
	return a->slot == b->slot && a->dead == b->dead && a->birth == b->birth && a->crc == b->crc;
}

static int node_fetch(Diff *diff, Map *map, guint level, guint64 index, const MapEntry *entry,
		      FormatNode *out)
{
	diff->position = node_first(map, level, index);
	return node_read(map, level, index, entry, out);
}

/* ---- what is visited */

static int holes_visit(Diff *diff)
{
	MapDiffRun run = {diff->holes, diff->holes_end - diff->holes, NULL, diff->holes_base};

	diff->holes = diff->holes_end;
	return run.n ? diff->visit(diff->data, &run) : 0;
}

static int holes_extend(Diff *diff, guint64 first, guint64 end, gboolean base)
{
	int r = 0;

	if (first >= end)
		return 0;
	if (first != diff->holes_end || base != diff->holes_base) {
		r = holes_visit(diff);
		diff->holes = first;
		diff->holes_base = base;
	}
	diff->holes_end = end;
	return r;
}

/* The end of what `from` reads of the base, too, of a hole of `to` whose blocks [first, end) are
 * the base's. */
static guint64 base_known(const Diff *diff, const MapEntry *from, guint64 first, guint64 end)
{
	if (!diff->from)
		return diff->since ? end : first;
	if (!is_hole(from) || !is_base(diff->from, from, first))
		return first;
	return min_u64(end, diff->from->state.base_blocks);
}

/* A hole of `to`, of which the base may have the first part. */
static int holes_add(Diff *diff, const MapEntry *entry, const MapEntry *from, guint64 first,
		     guint64 end)
{
	guint64 middle =
		is_base(diff->to, entry, first) ? min_u64(end, diff->to->state.base_blocks) : first;
	int r = holes_extend(diff, base_known(diff, from, first, middle), middle, TRUE);

	return r ? r : holes_extend(diff, middle, end, FALSE);
}

static int data_visit(Diff *diff, guint64 first, guint64 n, const MapEntry *entries)
{
	MapDiffRun run = {first, n, entries, FALSE};
	int r = holes_visit(diff);

	return r ? r : diff->visit(diff->data, &run);
}

/* ---- the walk */

/* A pair of nodes at the same place. */
typedef struct {
	guint level;
	guint64 index;
	FormatNode to, from;
	MapEntry from_entry; /* of the node `from`, which is read when it is asked for */
	gboolean from_read;
} Pair;

/* The pointer of `from` at (level - 1, index), which is below the pair. */
static int from_child(Diff *diff, Pair *pair, guint64 index, MapEntry *ret_entry)
{
	int r = 0;

	*ret_entry = (MapEntry){.slot = 0};
	if (!diff->from)
		return 0;
	if (pair->level > diff->from_top) {
		if (!index)
			*ret_entry = diff->from_root;
		return 0;
	}
	if (is_hole(&pair->from_entry)) {
		ret_entry->zero = pair->from_entry.zero || pair->from_entry.dead;
		return 0;
	}
	if (!pair->from_read)
		r = node_fetch(diff, diff->from, pair->level, pair->index, &pair->from_entry,
			       &pair->from);
	if (r)
		return r;
	pair->from_read = TRUE;
	*ret_entry = entry_at(diff->to->layout, &pair->from, node_place(diff->to->layout, index));
	return 0;
}

/* Whether a hole of `to`, the blocks [first, end), may read otherwise than what `from` has there.
 * What `to` has from the base, every ancestor has from the base: nothing brings a pointer to the
 * base back.  But the two may read the base to different ends: behind its end, the same null
 * pointer reads as zeros.  How far a bookmark read, nobody knows. */
static gboolean hole_differs(const Diff *diff, const MapEntry *entry, const MapEntry *from,
			     guint64 first, guint64 end)
{
	gboolean base = is_base(diff->to, entry, first);
	guint64 read = diff->to->state.base_blocks;

	if (!diff->from && !diff->since)
		return base;
	if (!diff->from)
		return base ? end > read : !(entry->zero && entry->birth <= diff->since);
	return !is_hole(from) || base != is_base(diff->from, from, first) ||
	       (base && min_u64(end, diff->from->state.base_blocks) != min_u64(end, read));
}

/* Whether this pointer may lead to something that `from` does not have, of which *ret_from is the
 * pointer at the same place.  1: yes, 0: no, or a negative errno. */
static int child_differs(Diff *diff, Pair *pair, guint64 index, const MapEntry *entry,
			 MapEntry *ret_from)
{
	guint shift = pair->level ? node_shift(diff->to->layout, pair->level - 1) : 0;
	int r;

	if (!is_hole(entry) && entry->birth <= diff->since)
		return 0;
	if (!pair->level && diff->since && !is_hole(entry))
		return 1;
	r = from_child(diff, pair, index, ret_from);
	if (r)
		return r;
	if (!is_hole(entry))
		return !is_same(entry, ret_from);
	return hole_differs(diff, entry, ret_from, index << shift, (index + 1) << shift);
}

/* Visits the blocks of a leaf that differ, in runs. */
static int leaf_walk(Diff *diff, Pair *pair)
{
	NodeLayout layout = diff->to->layout;
	guint64 block = max_u64(diff->first, pair->index << layout.shift);
	guint64 end = min_u64(diff->blocks, (pair->index + 1) << layout.shift);
	MapEntry run[FORMAT_POINTERS_MAX], from;
	guint n = 0;
	int r = 0;

	for (; block < end; block++) {
		MapEntry entry = entry_at(layout, &pair->to, node_place(layout, block));
		int differs = child_differs(diff, pair, block, &entry, &from);

		if (differs > 0 && !is_hole(&entry)) {
			run[n++] = entry;
			continue;
		}
		if (n)
			r = data_visit(diff, block - n, n, run);
		n = 0;
		if (!r && differs)
			r = differs < 0 ? differs
					: holes_add(diff, &entry, &from, block, block + 1);
		if (r)
			return r;
	}
	return n ? data_visit(diff, block - n, n, run) : 0;
}

static void node_prefetch(const Map *map, const MapEntry *entry)
{
	if (!is_hole(entry))
		backing_prefetch(map->backing, slots_offset(map->slots, entry->slot),
				 FORMAT_SLOT_SIZE);
}

/* Asks for the nodes below that are going to be read. */
static int children_prefetch(Diff *diff, Pair *pair)
{
	NodeLayout layout = diff->to->layout;

	for (guint i = 0; i < node_pointers(layout); i++) {
		MapEntry entry = entry_at(layout, &pair->to, i), from;
		int r = is_hole(&entry)
				? 0
				: child_differs(diff, pair, (pair->index << layout.shift) + i,
						&entry, &from);

		if (r < 0)
			return r;
		if (!r)
			continue;
		node_prefetch(diff->to, &entry);
		if (diff->from)
			node_prefetch(diff->from, &from);
	}
	return 0;
}

static int pair_walk(Diff *diff, guint level, guint64 index, const MapEntry *to,
		     const MapEntry *from);

static int inner_walk(Diff *diff, Pair *pair)
{
	NodeLayout layout = diff->to->layout;
	guint shift = node_shift(layout, pair->level - 1);
	guint64 child = max_u64(diff->first >> shift, pair->index << layout.shift);
	guint64 end = (pair->index + 1) << layout.shift;
	int r = children_prefetch(diff, pair);

	if (r)
		return r;
	for (; child < end && child << shift < diff->blocks; child++) {
		MapEntry entry = entry_at(layout, &pair->to, node_place(layout, child)), from;

		r = child_differs(diff, pair, child, &entry, &from);
		if (r > 0)
			r = is_hole(&entry)
				    ? holes_add(diff, &entry, &from,
						max_u64(child << shift, diff->first),
						min_u64((child + 1) << shift, diff->blocks))
				    : pair_walk(diff, pair->level - 1, child, &entry, &from);
		if (r)
			return r;
	}
	return 0;
}

static int pair_walk(Diff *diff, guint level, guint64 index, const MapEntry *to,
		     const MapEntry *from)
{
	Pair pair = {.level = level, .index = index, .from_entry = *from};
	int r = node_fetch(diff, diff->to, level, index, to, &pair.to);

	if (r)
		return r;
	return level ? inner_walk(diff, &pair) : leaf_walk(diff, &pair);
}

/* ---- */

static MapEntry root_get(Map *map)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(map->lock);

	return pointer_get_locked(map, map->levels - 1, 0);
}

/* Goes down from the root of `from` to the level of the other root, which covers fewer blocks. */
static int from_lower(Diff *diff, guint level)
{
	FormatNode node;

	for (; diff->from_top > level && !is_hole(&diff->from_root); diff->from_top--) {
		int r = node_fetch(diff, diff->from, diff->from_top, 0, &diff->from_root, &node);

		if (r)
			return r;
		diff->from_root = entry_at(diff->from->layout, &node, 0);
	}
	diff->from_top = MIN(diff->from_top, level);
	return 0;
}

static int roots_walk(Diff *diff)
{
	guint top = diff->to->levels - 1;
	MapEntry to = root_get(diff->to);
	int r = diff->from ? from_lower(diff, top) : 0;

	if (r || diff->first >= diff->blocks || (!is_hole(&to) && to.birth <= diff->since))
		return r;
	if (!is_hole(&to))
		return diff->from && is_same(&to, &diff->from_root)
			       ? 0
			       : pair_walk(diff, top, 0, &to, &diff->from_root);
	return hole_differs(diff, &to, &diff->from_root, 0, diff->blocks)
		       ? holes_add(diff, &to, &diff->from_root, diff->first, diff->blocks)
		       : 0;
}

int map_diff(Map *to, Map *from, guint64 since, guint64 first, MapDiffVisit visit, gpointer data,
	     guint64 *ret_block)
{
	Diff diff = {.to = to,
		     .from = from,
		     .since = since,
		     .first = first,
		     .blocks = to->blocks,
		     .visit = visit,
		     .data = data};
	int r;

	if (from) {
		diff.from_root = root_get(from);
		diff.from_top = from->levels - 1;
	}
	r = roots_walk(&diff);
	if (!r)
		r = holes_visit(&diff);
	else
		*ret_block = diff.position;
	return r;
}
