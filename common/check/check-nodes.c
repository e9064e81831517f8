/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes of maps, read from either copy.  What a root has is read and reported once; what is beside
 * it, of the root above, is read again for comparison, and was reported before.
 */
#include "common/check/check-private.h"

#include <errno.h>

/* Reads and verifies one copy of a node.  0; -EBADMSG: its checksum does not match; or why it
 * cannot be read. */
static int read_copy(Check *check, guint level, guint64 index, guint64 slot, guint32 crc,
		     FormatNode *node)
{
	int r = backing_pread(check->backing, node, sizeof *node, check_slot_offset(check, slot));

	if (!r && !seal_node_fits(&check->seal, level, index, node, crc))
		r = -EBADMSG;
	return r;
}

char *check_name_node(guint level, guint64 index)
{
	if (level == CHECK_TABLE_ROOT)
		return g_strdup("the root of the snapshot table");
	if (level == CHECK_TABLE_PAGE)
		return g_strdup_printf("page %" G_GUINT64_FORMAT " of the snapshot table", index);
	return g_strdup_printf("node %u/%" G_GUINT64_FORMAT, level, index);
}

/* "snapshot 'monday': node 1/0 (slot 17), over blocks 0-65535" */
static char *name_place(const Check *check, guint level, guint64 index, guint64 slot)
{
	guint shift = node_shift(check->layout, level);

	return g_strdup_printf("%snode %u/%" G_GUINT64_FORMAT " (slot %" G_GUINT64_FORMAT
			       "), over blocks %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
			       check->root->prefix, level, index, slot, index << shift,
			       ((index + 1) << shift) - 1);
}

/* Reports a node of which one copy is damaged, and notes it for repair. */
static void note_copy(Check *check, const CheckCopy *copy)
{
	g_autofree char *name = name_place(check, copy->level, copy->index, copy->damaged);

	check_report_copy(check, "%s", name);
	g_array_append_vals(check->copies, copy, 1);
}

gboolean check_read_node(Check *check, guint level, guint64 index, const MapEntry *entry,
			 FormatNode *node)
{
	CheckCopy pair = {entry->slot, entry->slot + FORMAT_COPY_DISTANCE, level, index};
	int r = read_copy(check, level, index, pair.whole, entry->crc, node), other = r;
	g_autofree char *name = NULL;

	if (level)
		other = read_copy(check, level, index, pair.damaged, entry->crc, &check->copy);
	check->result->nodes++;
	if (r && !other) {
		pair = (CheckCopy){pair.damaged, pair.whole, level, index};
		*node = check->copy;
	}
	if (!r != !other)
		note_copy(check, &pair);
	if (!r || !other)
		return TRUE;
	name = name_place(check, level, index, entry->slot);
	findings_add(check->found, "%s: %s%s", name,
		     r == -EBADMSG ? "checksum mismatch" : g_strerror(-r),
		     level ? ", and its copy is damaged, too" : "");
	return FALSE;
}

void check_path_init(CheckPath *path, const CheckRoot *root)
{
	path->root = root;
	memset(path->entered, 0, sizeof path->entered);
}

gboolean check_peek_node(Check *check, guint level, guint64 index, const MapEntry *entry,
			 FormatNode *node)
{
	return !read_copy(check, level, index, entry->slot, entry->crc, node) ||
	       (level && !read_copy(check, level, index, entry->slot + FORMAT_COPY_DISTANCE,
				    entry->crc, node));
}

/* The node that `entry` points to; NULL: it cannot be read. */
static const FormatNode *path_enter(Check *check, CheckPath *path, guint level, guint64 index,
				    const MapEntry *entry)
{
	FormatNode *node = &path->nodes[level];

	if (path->entered[level] == index + 1)
		return path->whole[level] ? node : NULL;
	path->entered[level] = index + 1;
	path->whole[level] = check_peek_node(check, level, index, entry, node);
	return path->whole[level] ? node : NULL;
}

/* The index, `n` levels up, of the node over node `index`. */
static guint64 index_above(const Check *check, guint64 index, int n)
{
	return index >> check->layout.shift * (guint)n;
}

gboolean check_path_look_up(Check *check, CheckPath *path, int level, guint64 index,
			    MapEntry *ret_entry)
{
	int at = (int)path->root->levels - 1;
	MapEntry entry = {0};

	if (level <= at && !index_above(check, index, at - level))
		entry = path->root->entry;
	for (; at > level && entry.slot; at--) {
		guint64 child = index_above(check, index, at - 1 - level);
		const FormatNode *node = path_enter(check, path, (guint)at,
						    node_parent(check->layout, child), &entry);

		if (!node)
			return FALSE;
		entry = entry_at(check->layout, node, node_place(check->layout, child));
		if (entry.dead)
			entry = (MapEntry){0};
	}
	*ret_entry = entry;
	return TRUE;
}
