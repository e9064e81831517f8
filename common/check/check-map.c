/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks a map from its root, verifies each node and block, and claims their slots.
 */
#include "common/base/bounds.h"
#include "common/check/check-private.h"

#include <errno.h>

void check_lose_blocks(Check *check, guint64 first, guint64 n)
{
	GArray *lost = check->result->lost;
	CheckRange range = {first, min_u64(first + n, blocks_covering(check->sb->size))};
	CheckRange *last = lost->len ? &g_array_index(lost, CheckRange, lost->len - 1) : NULL;

	if (last && last->end == first)
		last->end = range.end;
	else if (lost->len < CHECK_RANGES)
		g_array_append_val(lost, range);
}

/* Lists all blocks below a node as lost. */
static void lose_node(Check *check, guint level, guint64 index)
{
	guint shift = node_shift(check->layout, level);
	CheckRange range = {index << shift,
			    min_u64((index + 1) << shift, blocks_covering(check->sb->size))};

	check_lose_blocks(check, range.first, range.end - range.first);
	if (check->lost_below->len < CHECK_RANGES)
		g_array_append_val(check->lost_below, range);
}

/* Reads `n` neighbouring slots and verifies them as blocks [block, block + n). */
static void verify_blocks(Check *check, guint64 block, guint64 slot, guint n, const guint32 *crcs)
{
	int r = backing_pread(check->backing, check->buffer, (gsize)n * BLOCK_SIZE,
			      check_slot_offset(check, slot));

	check->result->blocks += n;
	if (r) {
		for (guint i = 0; i < n; i++)
			findings_add_one(check->found, "block", block + i, slot + i,
					 g_strerror(-r));
		check_lose_blocks(check, block, n);
		return;
	}
	for (guint i = 0; i < n; i++) {
		if (seal_block_fits(&check->seal, block + i, check->buffer + i * BLOCK_SIZE,
				    crcs[i]))
			continue;
		findings_add_one(check->found, "block", block + i, slot + i, "checksum mismatch");
		check_lose_blocks(check, block + i, 1);
	}
}

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

/* "node 1/0 (slot 17), over blocks 0-65535" */
static char *name_node(const Check *check, guint level, guint64 index, guint64 slot)
{
	guint shift = node_shift(check->layout, level);

	return g_strdup_printf("node %u/%" G_GUINT64_FORMAT " (slot %" G_GUINT64_FORMAT
			       "), over blocks %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT,
			       level, index, slot, index << shift, ((index + 1) << shift) - 1);
}

/* Reports a node of which one copy is damaged, and notes it for repair. */
static void note_copy(Check *check, const CheckCopy *copy)
{
	g_autofree char *name = name_node(check, copy->level, copy->index, copy->damaged);

	check_report_copy(check, "%s", name);
	g_array_append_vals(check->copies, copy, 1);
}

/* Reads a node, both copies of an inner node.  FALSE, with a finding, if no copy is whole. */
static gboolean read_node(Check *check, guint level, guint64 index, const MapEntry *entry,
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
	name = name_node(check, level, index, entry->slot);
	findings_add(check->found, "%s: %s%s", name,
		     r == -EBADMSG ? "checksum mismatch" : g_strerror(-r),
		     level ? ", and its copy is damaged, too" : "");
	return FALSE;
}

/* Claims the slot of a leaf, or both slots of an inner node.  FALSE, with a finding, if one of them
 * cannot be the node's. */
static gboolean claim_node(Check *check, guint level, guint64 index, guint64 slot)
{
	guint64 block = index << node_shift(check->layout, level);

	if (level && !slot_has_copy(slot)) {
		findings_add_one(check->found, "node over block", block, slot,
				 "no place for a node with a copy");
		return FALSE;
	}
	return check_claim_slot(check, slot, "node over block", block) &&
	       (!level || check_claim_slot(check, slot + FORMAT_COPY_DISTANCE,
					   "copy of the node over block", block));
}

/* Claims the slots that a leaf points to, and verifies its blocks unless they are dead.
 * Neighbouring slots are read together. */
static void check_leaf(Check *check, guint64 index, const FormatNode *leaf, gboolean dead)
{
	guint32 crcs[FORMAT_POINTERS_MAX];
	guint64 block = index << check->layout.shift, start = 0, slot = 0;
	guint n = 0;

	for (guint i = 0; i < node_pointers(check->layout); i++) {
		MapEntry e = entry_at(check->layout, leaf, i);
		gboolean good = e.slot && check_claim_slot(check, e.slot, "block", block + i);

		check->data_slots += e.slot != 0;
		check->result->dead_blocks += e.slot && dead;
		if (e.slot && block + i >= blocks_covering(check->sb->size))
			findings_add_one(check->found, "block", block + i, 0,
					 "lies behind the volume's end");
		if (e.slot && e.birth > check->sb->checkpoint)
			findings_add_one(check->found, "block", block + i, e.slot,
					 "born after the checkpoint");
		good = good && !dead;
		if (n && (!good || e.slot != slot + n)) {
			verify_blocks(check, start, slot, n, crcs);
			n = 0;
		}
		if (!good)
			continue;
		if (!n) {
			start = block + i;
			slot = e.slot;
		}
		crcs[n++] = e.crc;
	}
	if (n)
		verify_blocks(check, start, slot, n, crcs);
}

void check_node(Check *check, guint level, guint64 index, MapEntry entry, gboolean dead)
{
	FormatNode *node = &check->nodes[level];

	if (!entry.slot || !claim_node(check, level, index, entry.slot))
		return;
	check->node_slots += level ? 2 : 1;
	dead = dead || entry.dead;
	if (!read_node(check, level, index, &entry, node)) {
		check->lost_nodes++;
		if (!dead)
			lose_node(check, level, index);
		return;
	}
	if (level == 0) {
		check_leaf(check, index, node, dead);
		return;
	}
	for (guint i = 0; i < node_pointers(check->layout); i++)
		check_node(check, level - 1, index << check->layout.shift | i,
			   entry_at(check->layout, node, i), dead);
}
