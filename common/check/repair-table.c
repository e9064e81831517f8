/* SPDX-License-Identifier: Apache-2.0 */
#include "common/check/repair-table.h"

#include "common/base/bounds.h"

void repair_table_clear(RepairTable *table)
{
	if (table->slots)
		g_array_unref(table->slots);
}

/* ---- records */

/* What the superblock or the record says that the snapshot has written. */
static guint64 said_written(const Check *check, const Snapshot *snapshot)
{
	return check->said.dying_generation == snapshot->generation ? check->said.dying_written
								    : snapshot->written;
}

/* What is being taken apart has no final counts. */
static gboolean is_counted(const Check *check, const CheckRoot *root)
{
	return root->snapshot && !root->count.unknown && root != check->deleting;
}

/* Nor has, of all that it refers to, what is dying. */
static gboolean is_settled(const CheckRoot *root)
{
	return root->dying_first == G_MAXUINT64;
}

static gboolean written_is_wrong(const Check *check, const CheckRoot *root)
{
	const Snapshot *snapshot = root->snapshot;
	guint64 said = said_written(check, snapshot);

	return root->written > said ||
	       (!(snapshot->flags & FORMAT_SNAPSHOT_FLAG_WRITTEN_BOUND) && root->written != said);
}

static gboolean counts_are_wrong(const CheckRoot *root)
{
	const Snapshot *snapshot = root->snapshot;
	gboolean bound = (snapshot->flags & FORMAT_SNAPSHOT_FLAG_BOUND) != 0;

	return root->count.data > snapshot->referenced || root->count.nodes > snapshot->nodes ||
	       (!bound &&
		(root->count.data != snapshot->referenced || root->count.nodes != snapshot->nodes));
}

gboolean repair_table_is_wrong(const Check *check)
{
	for (guint i = 0; i < check->roots->len; i++) {
		const CheckRoot *root = check_root(check, i);

		if (is_counted(check, root) &&
		    (written_is_wrong(check, root) || (is_settled(root) && counts_are_wrong(root))))
			return TRUE;
	}
	return check->given_up->len || (check->gives_up_all && check->sb->snapshot_root.slot);
}

gboolean repair_counts_are_bounds(const Check *check)
{
	for (guint i = 0; i < check->roots->len; i++)
		if (check_root(check, i)->snapshot && !is_settled(check_root(check, i)))
			return TRUE;
	return FALSE;
}

static void settle_records(Check *check)
{
	gboolean bound = repair_counts_are_bounds(check);

	for (guint i = 0; i < check->roots->len; i++) {
		const CheckRoot *root = check_root(check, i);
		Snapshot *snapshot = (Snapshot *)root->snapshot;

		if (!is_counted(check, root))
			continue;
		snapshot->written = root->written;
		snapshot->flags &= ~FORMAT_SNAPSHOT_FLAG_WRITTEN_BOUND;
		if (check->said.dying_generation == snapshot->generation)
			check->said.dying_written = root->written;
		if (!is_settled(root))
			continue;
		snapshot->referenced = root->count.data;
		snapshot->nodes = root->count.nodes;
		snapshot->flags &= ~FORMAT_SNAPSHOT_FLAG_BOUND;
		if (bound)
			snapshot->flags |= FORMAT_SNAPSHOT_FLAG_BOUND;
	}
}

/* ---- slots */

static gboolean slot_is_free(const Check *check, guint64 slot)
{
	const CheckGroup *group = check->groups[slot_group(slot)];
	guint64 bit = slot_index(slot) - FORMAT_FIRST_INDEX;
	guint8 used = group->disk.bits[bit / 8] | group->claimed[bit / 8] | group->mapped[bit / 8];

	return group->found && !(used >> bit % 8 & 1);
}

static void slot_mark(Check *check, guint64 slot, gboolean used)
{
	CheckGroup *group = check->groups[slot_group(slot)];
	guint64 bit = slot_index(slot) - FORMAT_FIRST_INDEX;

	if (used)
		group->mapped[bit / 8] |= (guint8)(1u << bit % 8);
	else
		group->mapped[bit / 8] &= (guint8) ~(1u << bit % 8);
}

static void pair_mark(Check *check, guint64 slot, gboolean used)
{
	slot_mark(check, slot, used);
	slot_mark(check, slot + FORMAT_COPY_DISTANCE, used);
}

/* The first free pair from *slot on, all of it within the backing. */
static gboolean find_pair(const Check *check, guint64 *slot)
{
	guint64 end = MIN(check->n_groups, check->sb->groups) << FORMAT_GROUP_SHIFT;
	guint64 size = backing_size(check->backing);

	for (; *slot < end; ++*slot)
		if (slot_is_usable(*slot, check->n_groups) && slot_has_copy(*slot) &&
		    check_slot_offset(check, *slot + FORMAT_COPY_DISTANCE + 1) <= size &&
		    slot_is_free(check, *slot) && slot_is_free(check, *slot + FORMAT_COPY_DISTANCE))
			return TRUE;
	return FALSE;
}

static gboolean page_has_records(const Check *check, guint page)
{
	for (guint i = 0; i < check->snapshots->len; i++)
		if (g_array_index(check->snapshots, Snapshot, i).place / FORMAT_TABLE_RECORDS ==
		    page)
			return TRUE;
	for (guint i = 0; i < check->holds->len; i++)
		if (g_array_index(check->holds, SnapshotHold, i).place / FORMAT_TABLE_RECORDS ==
		    page)
			return TRUE;
	return FALSE;
}

gboolean repair_table_place(RepairTable *table, Check *check)
{
	guint pages = 0;
	guint64 slot = 0;

	settle_records(check);
	table->slots = g_array_new(FALSE, FALSE, sizeof(guint64));
	for (guint p = 0; p < FORMAT_TABLE_PAGES; p++)
		pages += page_has_records(check, p);
	for (guint i = 0; pages && i < pages + 1; i++, slot++) {
		if (!find_pair(check, &slot))
			return FALSE;
		g_array_append_val(table->slots, slot);
		pair_mark(check, slot, TRUE);
	}
	for (guint i = 0; i < check->table_slots->len; i++)
		pair_mark(check, g_array_index(check->table_slots, guint64, i), FALSE);
	check->node_slots -= 2 * check->table_slots->len;
	check->node_slots += 2 * table->slots->len;
	return TRUE;
}

/* ---- writing */

static void encode_page(const Check *check, guint page, FormatTablePage *ret_page)
{
	memset(ret_page, 0, sizeof *ret_page);
	for (guint i = 0; i < check->snapshots->len; i++) {
		const Snapshot *s = &g_array_index(check->snapshots, Snapshot, i);

		if (s->place / FORMAT_TABLE_RECORDS == page)
			snapshot_encode(s, &ret_page->records[s->place % FORMAT_TABLE_RECORDS]);
	}
	for (guint i = 0; i < check->holds->len; i++) {
		const SnapshotHold *h = &g_array_index(check->holds, SnapshotHold, i);

		if (h->place / FORMAT_TABLE_RECORDS == page)
			hold_encode(h, &ret_page->records[h->place % FORMAT_TABLE_RECORDS]);
	}
}

static int write_pair(const Check *check, guint64 slot, const void *data)
{
	int r = backing_pwrite(check->backing, data, FORMAT_SLOT_SIZE,
			       check_slot_offset(check, slot));

	return r ? r
		 : backing_pwrite(check->backing, data, FORMAT_SLOT_SIZE,
				  check_slot_offset(check, slot + FORMAT_COPY_DISTANCE));
}

int repair_table_write(RepairTable *table, const Check *check)
{
	MapEntry entry = {0};
	FormatNode root = {0};
	FormatTablePage page;
	guint next = 0;
	int r = 0;

	table->root = (MapEntry){0};
	if (!table->slots->len)
		return 0;
	for (guint p = 0; p < FORMAT_TABLE_PAGES && !r; p++) {
		if (!page_has_records(check, p))
			continue;
		encode_page(check, p, &page);
		entry.slot = g_array_index(table->slots, guint64, next++);
		entry.crc = seal_table_page(&check->seal, p, &page);
		entry_put(NODE_LAYOUT_PLAIN, &root, p, &entry);
		r = write_pair(check, entry.slot, &page);
	}
	entry.slot = g_array_index(table->slots, guint64, next);
	entry.crc = seal_table_root(&check->seal, &root);
	table->root = entry;
	return r ? r : write_pair(check, entry.slot, &root);
}
