/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The trees of a volume: who descends from whom, and whether the numbers that superblock and table
 * have of them are right.
 */
#include "common/check/check-private.h"

static gboolean has_tree(const Snapshot *snapshot)
{
	return snapshot->state == FORMAT_SNAPSHOT_ALIVE ||
	       snapshot->state == FORMAT_SNAPSHOT_DELETING;
}

static void root_free(gpointer data)
{
	CheckRoot *root = data;

	g_free(root->prefix);
	g_free(root->block);
	g_free(root->node);
	g_free(root->copy);
	g_array_unref(root->lost);
	g_array_unref(root->lost_below);
	g_free(root);
}

static CheckRoot *root_add(Check *check, const CheckRoot *as, char *prefix)
{
	CheckRoot *root = g_new0(CheckRoot, 1);

	*root = *as;
	root->prefix = prefix;
	root->block = g_strconcat(prefix, "block", NULL);
	root->node = g_strconcat(prefix, "node over block", NULL);
	root->copy = g_strconcat(prefix, "copy of the node over block", NULL);
	root->lost = g_array_new(FALSE, FALSE, sizeof(CheckRange));
	root->lost_below = g_array_new(FALSE, FALSE, sizeof(CheckRange));
	g_ptr_array_add(check->roots, root);
	return root;
}

/* A cursor behind the last block stands behind every end. */
static guint64 cursor_at(guint64 cursor, guint64 blocks)
{
	return cursor >= blocks ? G_MAXUINT64 : cursor;
}

static void add_snapshot(Check *check, const Snapshot *snapshot)
{
	const Superblock *sb = &check->said;
	guint64 blocks = blocks_covering(snapshot->size), dying = snapshot->dying_first;
	CheckRoot as = {
		.snapshot = snapshot,
		.generation = snapshot->generation,
		.entry = snapshot->root,
		.levels = snapshot->levels,
		.blocks = blocks,
		.parent = snapshot->parent,
		.floor = snapshot->floor,
		.dying_end = snapshot->dying_end,
	};

	if (sb->dying_generation == snapshot->generation)
		dying = MAX(dying, sb->dying_cursor);
	as.dying_first = snapshot->dying_first < snapshot->dying_end ? cursor_at(dying, blocks)
								     : G_MAXUINT64;
	if (sb->delete_generation == snapshot->generation)
		as.done = cursor_at(sb->delete_cursor, blocks);
	root_add(check, &as,
		 g_strdup_printf("%ssnapshot '%s': ",
				 snapshot->state == FORMAT_SNAPSHOT_DELETING ? "deleted " : "",
				 snapshot->name));
	if (sb->delete_generation == snapshot->generation)
		check->deleting = check_root(check, check->roots->len - 1);
}

static CheckRoot *find_root(const Check *check, guint64 generation)
{
	for (guint i = 0; i < check->roots->len; i++)
		if (check_root(check, i)->generation == generation)
			return check_root(check, i);
	return NULL;
}

/* The nearest ancestor with a tree.  Parents are smaller, so that this ends. */
static CheckRoot *find_above(const Check *check, guint64 parent)
{
	for (guint i = check->snapshots->len; parent && i-- > 0;) {
		const Snapshot *snapshot = &g_array_index(check->snapshots, Snapshot, i);

		if (snapshot->generation != parent)
			continue;
		if (has_tree(snapshot))
			return find_root(check, parent);
		parent = snapshot->parent;
	}
	return NULL;
}

/* R4: with two of them, what they share would be nobody's once the deletion is done. */
static void verify_branches(Check *check)
{
	guint n = 0;

	for (guint i = 0; check->deleting && i < check->roots->len; i++)
		n += check_root(check, i)->above == check->deleting;
	if (n > 1)
		findings_add(check->found, "%sis being taken apart, and %u others descend from it",
			     check->deleting->prefix, n);
}

void check_roots_init(Check *check)
{
	const Superblock *sb = &check->said;
	CheckRoot head = {
		.generation = sb->checkpoint,
		.entry = sb->map_root,
		.levels = sb->levels,
		.blocks = blocks_covering(sb->size),
		.parent = sb->head_parent,
		.floor = sb->head_void,
		.dying_end = sb->dead_end,
	};

	g_ptr_array_set_free_func(check->roots, root_free);
	for (guint i = 0; i < check->snapshots->len; i++) {
		const Snapshot *snapshot = &g_array_index(check->snapshots, Snapshot, i);

		if (has_tree(snapshot))
			add_snapshot(check, snapshot);
	}
	for (guint i = 0; i < check->roots->len; i++)
		check_root(check, i)->above = find_above(check, check_root(check, i)->parent);
	head.above = find_above(check, sb->head_parent);
	check->head = root_add(check, &head, g_strdup(""));
	verify_branches(check);
}

CheckRoot *check_owner_above(const Check *check, const CheckRoot *root, guint64 end)
{
	CheckRoot *above = root->above;

	return above && above == check->deleting && end <= above->done ? above->above : above;
}

/* ---- counts */

static gboolean count_fits(const CheckCount *count, guint64 data, guint64 nodes, gboolean bound)
{
	if (count->unknown)
		return TRUE;
	return bound ? count->data <= data && count->nodes <= nodes
		     : count->data == data && count->nodes == nodes;
}

static gboolean written_fits(guint64 found, guint64 said, gboolean bound)
{
	return bound ? found <= said : found == said;
}

/* What superblock or table say of a root. */
typedef struct {
	guint64 data, nodes, written;
	gboolean bound, written_bound; /* upper bounds */
} SaidCounts;

static void compare_counts(Check *check, const CheckRoot *root, const SaidCounts *said)
{
	const char *who = root->snapshot ? root->prefix : "the volume without snapshots ";

	if (!count_fits(&root->count, said->data, said->nodes, said->bound))
		findings_add(check->found,
			     "%shas %s%" G_GUINT64_FORMAT " blocks and %" G_GUINT64_FORMAT
			     " nodes by its counts, and %" G_GUINT64_FORMAT
			     " and %" G_GUINT64_FORMAT " by its map",
			     who, said->bound ? "at most " : "", said->data, said->nodes,
			     root->count.data, root->count.nodes);
	if (!root->count.unknown &&
	    !written_fits(root->written, said->written, said->written_bound))
		findings_add(
			check->found,
			"%shas %s%" G_GUINT64_FORMAT
			" blocks written since its parent by its counts, and %" G_GUINT64_FORMAT
			" by its map",
			who, said->written_bound ? "at most " : "", said->written, root->written);
}

static SaidCounts head_counts(const Check *check)
{
	const Superblock *sb = check->sb;

	return (SaidCounts){.data = sb->head_data,
			    .nodes = sb->head_nodes,
			    .written = sb->head_written,
			    .bound = sb->head_bound,
			    .written_bound = sb->head_written_bound};
}

gboolean check_head_counts_fit(const Check *check)
{
	const CheckRoot *head = check->head;
	SaidCounts said = head_counts(check);

	return !(check->sb->ro_compatible & FORMAT_RO_SNAPSHOTS) || head->count.unknown ||
	       (count_fits(&head->count, said.data, said.nodes, said.bound) &&
		written_fits(head->written, said.written, said.written_bound));
}

/* Of a snapshot that is being taken apart, the superblock counts the blocks that were written in
 * its time, whoever has them now. */
static void compare_deletion(Check *check, const CheckRoot *root, gboolean bound)
{
	guint64 found = root->written + check->delete_written;
	guint64 said = check->said.delete_written;

	if (!root->count.unknown && !written_fits(found, said, bound))
		findings_add(check->found,
			     "%shas %" G_GUINT64_FORMAT
			     " blocks written left by the superblock, and %" G_GUINT64_FORMAT
			     " by the maps",
			     root->prefix, said, found);
}

static void compare_snapshot(Check *check, const CheckRoot *root)
{
	const Snapshot *snapshot = root->snapshot;
	SaidCounts said = {
		.data = snapshot->referenced,
		.nodes = snapshot->nodes,
		.written = snapshot->written,
		.bound = (snapshot->flags & FORMAT_SNAPSHOT_FLAG_BOUND) != 0,
		.written_bound = (snapshot->flags & FORMAT_SNAPSHOT_FLAG_WRITTEN_BOUND) != 0,
	};

	if (check->said.dying_generation == snapshot->generation)
		said.written = check->said.dying_written;
	if (check->said.delete_generation == snapshot->generation)
		compare_deletion(check, root, said.written_bound);
	else
		compare_counts(check, root, &said);
}

void check_roots_compare(Check *check)
{
	const Superblock *sb = check->sb;
	SaidCounts head;

	if (check->data_slots != sb->data_slots || check->node_slots != sb->node_slots)
		findings_add(check->found,
			     "the superblock counts %" G_GUINT64_FORMAT
			     " blocks and %" G_GUINT64_FORMAT
			     " nodes, the map has %" G_GUINT64_FORMAT " and %" G_GUINT64_FORMAT,
			     sb->data_slots, sb->node_slots, check->data_slots, check->node_slots);
	if (!(sb->ro_compatible & FORMAT_RO_SNAPSHOTS))
		return;
	for (guint i = 0; i < check->roots->len - 1; i++)
		compare_snapshot(check, check_root(check, i));
	head = head_counts(check);
	compare_counts(check, check->head, &head);
}
