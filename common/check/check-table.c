/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The snapshot table: its root, its pages, and whether its records agree with each other and with
 * the superblock.
 */
#include "common/base/error.h"
#include "common/check/check-private.h"

#include <errno.h>

/* The checksum that the root (level CHECK_TABLE_ROOT) or a page has. */
static guint32 seal_table(const Check *check, guint level, guint64 index, const FormatNode *node)
{
	FormatTablePage page;

	if (level == CHECK_TABLE_ROOT)
		return seal_table_root(&check->seal, node);
	memcpy(&page, node, sizeof page);
	return seal_table_page(&check->seal, (guint)index, &page);
}

static gboolean read_table_copy(Check *check, guint level, guint64 index, guint64 slot, guint32 crc,
				FormatNode *node)
{
	return !backing_pread(check->backing, node, sizeof *node, check_slot_offset(check, slot)) &&
	       seal_table(check, level, index, node) == crc;
}

/* Claims and reads the root or a page.  FALSE, with a finding, if it is lost. */
static gboolean read_table_node(Check *check, guint level, guint64 index, const MapEntry *entry,
				FormatNode *node)
{
	CheckCopy pair = {entry->slot, entry->slot + FORMAT_COPY_DISTANCE, level, index};
	g_autofree char *name = check_name_node(level, index);
	gboolean first, second;

	if (!slot_has_copy(entry->slot) ||
	    !check_claim_slot(check, pair.whole, "snapshot table's node", index) ||
	    !check_claim_slot(check, pair.damaged, "copy of the snapshot table's node", index)) {
		findings_add(check->found, "%s: not where a node with a copy may be", name);
		return FALSE;
	}
	g_array_append_val(check->table_slots, entry->slot);
	check->node_slots += 2;
	first = read_table_copy(check, level, index, pair.whole, entry->crc, node);
	second = read_table_copy(check, level, index, pair.damaged, entry->crc,
				 first ? &check->copy : node);
	if (!first && second)
		pair = (CheckCopy){pair.damaged, pair.whole, level, index};
	if (first != second) {
		check_report_copy(check, "%s (slot %" G_GUINT64_FORMAT ")", name, pair.damaged);
		g_array_append_vals(check->copies, &pair, 1);
	}
	if (first || second)
		return TRUE;
	findings_add(check->found, "%s: both copies are damaged; its snapshots are lost", name);
	return FALSE;
}

static void check_record(Check *check, const FormatSnapshot *record, guint place)
{
	static const FormatSnapshot none;
	Snapshot snapshot;
	SnapshotHold hold;

	if (!memcmp(record, &none, sizeof none))
		return;
	switch (snapshot_record_kind(record)) {
	case FORMAT_SNAPSHOT_KIND_SNAPSHOT:
		if (!snapshot_decode(record, check->sb, place, &snapshot))
			break;
		g_array_append_val(check->snapshots, snapshot);
		return;
	case FORMAT_SNAPSHOT_KIND_HOLD:
		if (!hold_decode(record, check->sb, place, &hold))
			break;
		g_array_append_val(check->holds, hold);
		return;
	}
	check->lost_records++;
	findings_add(check->found,
		     "record %u of the snapshot table: of an unknown kind, or invalid", place);
}

static void check_pages(Check *check)
{
	FormatNode node;
	FormatTablePage page;

	for (guint p = 0; p < FORMAT_TABLE_PAGES; p++) {
		MapEntry entry = entry_at(NODE_LAYOUT_PLAIN, &check->table, p);

		if (!entry.slot)
			continue;
		if (!read_table_node(check, CHECK_TABLE_PAGE, p, &entry, &node)) {
			check->lost_nodes++;
			continue;
		}
		memcpy(&page, &node, sizeof page);
		for (guint i = 0; i < FORMAT_TABLE_RECORDS; i++)
			check_record(check, &page.records[i], p * FORMAT_TABLE_RECORDS + i);
	}
}

/* ---- what the records say together */

static const Snapshot *snapshot_at(const Check *check, guint i)
{
	return &g_array_index(check->snapshots, Snapshot, i);
}

static const Snapshot *find_snapshot(const Check *check, guint64 generation)
{
	for (guint low = 0, high = check->snapshots->len; low < high;) {
		guint middle = low + (high - low) / 2;
		const Snapshot *snapshot = snapshot_at(check, middle);

		if (snapshot->generation == generation)
			return snapshot;
		if (snapshot->generation < generation)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Reports that `generation`, unless it is 0, is no snapshot's. */
static void verify_generation(Check *check, guint64 generation, const char *who, const char *name)
{
	if (!generation || find_snapshot(check, generation))
		return;
	check->lost_records++;
	findings_add(check->found, "%s%s: there is no snapshot of generation %" G_GUINT64_FORMAT,
		     who, name, generation);
}

static int compare_generations(gconstpointer a, gconstpointer b)
{
	guint64 first = ((const Snapshot *)a)->generation;
	guint64 second = ((const Snapshot *)b)->generation;

	return (first > second) - (first < second);
}

static void verify_names(Check *check)
{
	g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);

	for (guint i = 0; i < check->snapshots->len; i++) {
		const Snapshot *s = snapshot_at(check, i);

		if (i && s->generation == snapshot_at(check, i - 1)->generation) {
			check->lost_records++;
			findings_add(check->found, "snapshot '%s': another has its generation, too",
				     s->name);
		}
		if ((s->state != FORMAT_SNAPSHOT_DELETING ||
		     s->flags & FORMAT_SNAPSHOT_FLAG_KEEP) &&
		    !g_hash_table_add(names, (gpointer)s->name))
			findings_add(check->found, "snapshot '%s': another has its name, too",
				     s->name);
	}
}

static void verify_lineage(Check *check)
{
	const Superblock *sb = check->sb;
	const Snapshot *deleting = find_snapshot(check, sb->delete_generation);

	verify_names(check);
	for (guint i = 0; i < check->snapshots->len; i++)
		verify_generation(check, snapshot_at(check, i)->parent, "parent of snapshot ",
				  snapshot_at(check, i)->name);
	for (guint i = 0; i < check->holds->len; i++) {
		const SnapshotHold *hold = &g_array_index(check->holds, SnapshotHold, i);

		verify_generation(check, hold->generation, "hold ", hold->tag);
	}
	verify_generation(check, sb->head_parent, "parent of the volume", "");
	verify_generation(check, sb->dying_generation, "the walk that frees what was discarded",
			  "");
	verify_generation(check, sb->delete_generation, "the deletion", "");
	if (deleting && deleting->state != FORMAT_SNAPSHOT_DELETING)
		findings_add(check->found,
			     "snapshot '%s' is being taken apart, and was not deleted",
			     deleting->name);
}

void check_table(Check *check)
{
	const MapEntry *root = &check->sb->snapshot_root;
	guint64 refused = check->refused;

	if (!root->slot)
		return;
	if (read_table_node(check, CHECK_TABLE_ROOT, 0, root, &check->table))
		check_pages(check);
	else
		check->lost_nodes++;
	check->refused_table = check->refused - refused;
	g_array_sort(check->snapshots, compare_generations);
	verify_lineage(check);
}

/* ---- giving up */

static void remove_holds(Check *check, guint64 generation)
{
	for (guint i = check->holds->len; i-- > 0;)
		if (g_array_index(check->holds, SnapshotHold, i).generation == generation)
			g_array_remove_index(check->holds, i);
}

/* Snapshot number i has no tree any more; what it shared is its children's. */
static void tree_remove(Check *check, guint i)
{
	Snapshot *snapshot = &g_array_index(check->snapshots, Snapshot, i);
	Superblock *said = &check->said;

	snapshot->state = FORMAT_SNAPSHOT_BOOKMARK;
	snapshot->root = (MapEntry){0};
	snapshot->dying_first = snapshot->dying_end = snapshot->referenced = snapshot->nodes = 0;
	if (said->dying_generation == snapshot->generation)
		said->dying_generation = said->dying_cursor = said->dying_written = 0;
	if (said->delete_generation == snapshot->generation)
		said->delete_generation = said->delete_cursor = said->delete_written = 0;
}

static void record_remove(Check *check, guint i)
{
	Snapshot gone = g_array_index(check->snapshots, Snapshot, i);

	tree_remove(check, i);
	remove_holds(check, gone.generation);
	for (guint j = i + 1; j < check->snapshots->len; j++) {
		Snapshot *child = &g_array_index(check->snapshots, Snapshot, j);

		if (child->parent == gone.generation)
			child->parent = gone.parent;
	}
	if (check->said.head_parent == gone.generation)
		check->said.head_parent = gone.parent;
	g_ptr_array_add(check->given_up, g_strdup(gone.name));
	g_array_remove_index(check->snapshots, i);
}

static gboolean has_tree(const Snapshot *snapshot)
{
	return snapshot->state == FORMAT_SNAPSHOT_ALIVE ||
	       snapshot->state == FORMAT_SNAPSHOT_DELETING;
}

static gboolean has_name(const Snapshot *snapshot, const char *name)
{
	return (snapshot->state != FORMAT_SNAPSHOT_DELETING ||
		snapshot->flags & FORMAT_SNAPSHOT_FLAG_KEEP) &&
	       !strcmp(snapshot->name, name);
}

static void give_up_all(Check *check)
{
	while (check->snapshots->len)
		record_remove(check, check->snapshots->len - 1);
	check->gives_up_all = TRUE;
	check->lost_nodes = check->lost_records = 0;
	check->refused -= check->refused_table;
	check->said.head_parent = 0;
	check->said.dying_generation = check->said.dying_cursor = 0;
	check->said.delete_generation = check->said.delete_cursor = 0;
	g_array_set_size(check->holds, 0);
}

/* What goes of a snapshot. */
typedef enum { KEPT, TREE_GONE, RECORD_GONE } Gone;

/* Marks those of that name. */
static gboolean mark_name(const Check *check, const char *name, Gone *gone, GError **error)
{
	gboolean found = FALSE;

	for (guint i = 0; i < check->snapshots->len; i++) {
		if (!has_name(snapshot_at(check, i), name))
			continue;
		gone[i] = RECORD_GONE;
		found = TRUE;
	}
	return found || error_set(error, STORAGEOS_ERROR_NOT_FOUND, "%s: there is no snapshot '%s'",
				  check->backing->name, name);
}

static void add_heirs(const Check *check, guint64 parent, guint n, guint *heirs)
{
	for (guint i = 0; i < check->snapshots->len; i++)
		if (snapshot_at(check, i)->generation == parent)
			heirs[i] += n;
}

/* Marks what is being deleted, as what it shares with its one heir may be given up.  Not a branch
 * point (R4): its heirs share with each other by it alone.  So no marked one may be a branch point.
 */
static gboolean mark_deleted(const Check *check, Gone *gone, GError **error)
{
	g_autofree guint *heirs = g_new0(guint, check->snapshots->len);

	add_heirs(check, check->said.head_parent, 1, heirs);
	for (guint i = check->snapshots->len; i-- > 0;) { /* children first */
		const Snapshot *snapshot = snapshot_at(check, i);
		gboolean tree = has_tree(snapshot);

		if (tree && gone[i] && heirs[i] > 1)
			return error_set(error, STORAGEOS_ERROR_INVALID,
					 "%s: the snapshot '%s' cannot be given up, as %u branches "
					 "go on from it and share what it has; give up all but one "
					 "of them, too",
					 check->backing->name, snapshot->name, heirs[i]);
		if (snapshot->state == FORMAT_SNAPSHOT_DELETING && heirs[i] < 2)
			gone[i] = MAX(gone[i], snapshot->flags & FORMAT_SNAPSHOT_FLAG_KEEP
						       ? TREE_GONE
						       : RECORD_GONE);
		add_heirs(check, snapshot->parent, tree && !gone[i] ? 1 : heirs[i], heirs);
	}
	return TRUE;
}

gboolean check_give_up(Check *check, const char *const *names, GError **error)
{
	g_autofree Gone *gone = g_new0(Gone, check->snapshots->len);

	if (g_strv_contains(names, CHECK_ALL_SNAPSHOTS)) {
		give_up_all(check);
		return TRUE;
	}
	for (guint i = 0; names[i]; i++)
		if (!mark_name(check, names[i], gone, error))
			return FALSE;
	if (!mark_deleted(check, gone, error))
		return FALSE;
	for (guint i = check->snapshots->len; i-- > 0;)
		if (gone[i] == RECORD_GONE)
			record_remove(check, i);
		else if (gone[i] == TREE_GONE)
			tree_remove(check, i);
	return TRUE;
}
