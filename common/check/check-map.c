/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Walks the tree of one root and claims the slots of what is its own.
 *
 * A pointer that was born up to T is shared with the root above (check_owner_above()), which has
 * claimed and verified all that is below it: the walk compares the pointer with the one in that
 * root's tree, and does not go down.  So each node is read once for its owner, and once more when a
 * younger root has another node there, however many snapshots there are.
 *
 * One exception: where the deletion's cursor lies below a shared node, the part before the cursor
 * is not the deleted snapshot's any more, and the walk goes down to claim it.
 */
#include "common/base/bounds.h"
#include "common/check/check-private.h"

#include <errno.h>

/* Reads `n` neighbouring slots and verifies them as blocks [block, block + n). */
static void verify_blocks(Check *check, guint64 block, guint64 slot, guint n, const guint32 *crcs)
{
	CheckRoot *root = check->root;
	int r = backing_pread(check->backing, check->buffer, (gsize)n * BLOCK_SIZE,
			      check_slot_offset(check, slot));

	check->result->blocks += n;
	if (r) {
		for (guint i = 0; i < n; i++)
			findings_add_one(check->found, root->block, block + i, slot + i,
					 g_strerror(-r));
		check_lose_blocks(check, root, block, block + n, FALSE);
		return;
	}
	for (guint i = 0; i < n; i++) {
		if (seal_block_fits(&check->seal, block + i, check->buffer + i * BLOCK_SIZE,
				    crcs[i]))
			continue;
		findings_add_one(check->found, root->block, block + i, slot + i,
				 "checksum mismatch");
		check_lose_blocks(check, root, block + i, block + i + 1, FALSE);
	}
}

/* Claims the slot of a leaf, or both slots of an inner node.  FALSE, with a finding, if one of them
 * cannot be the node's. */
static gboolean claim_node(Check *check, guint level, guint64 index, guint64 slot)
{
	const CheckRoot *root = check->root;
	guint64 block = index << node_shift(check->layout, level);

	if (level && !slot_has_copy(slot)) {
		findings_add_one(check->found, root->node, block, slot,
				 "no place for a node with a copy");
		return FALSE;
	}
	return check_claim_slot(check, slot, root->node, block) &&
	       (!level || check_claim_slot(check, slot + FORMAT_COPY_DISTANCE, root->copy, block));
}

/* Reports a pointer to node (level, index), or with level -1 to a block, unless `owner`, which the
 * root shares it with, has the same. */
static void verify_shared(Check *check, const CheckRoot *owner, int level, guint64 index,
			  const MapEntry *entry)
{
	CheckRoot *root = check->root;
	CheckPath *beside = &check->beside[owner != root->above];
	guint64 block = level < 0 ? index : index << node_shift(check->layout, (guint)level);
	g_autofree char *text = NULL;
	MapEntry other;

	if (!check_path_look_up(check, beside, level, index, &other))
		return;
	if (other.slot == entry->slot && other.crc == entry->crc && other.birth == entry->birth)
		return;
	text = g_strdup_printf("born before snapshot '%s', which has something else there",
			       owner->snapshot->name);
	findings_add_one(check->found, level < 0 ? root->block : root->node, block, entry->slot,
			 text);
}

/* ---- leaves */

/* Blocks in neighbouring slots that are to be verified together. */
typedef struct {
	guint64 block, slot;
	guint n;
	guint32 crcs[FORMAT_POINTERS_MAX];
} CheckRun;

static void run_end(Check *check, CheckRun *run)
{
	if (run->n)
		verify_blocks(check, run->block, run->slot, run->n, run->crcs);
	run->n = 0;
}

static void run_add(Check *check, CheckRun *run, guint64 block, const MapEntry *entry)
{
	if (run->n && (block != run->block + run->n || entry->slot != run->slot + run->n))
		run_end(check, run);
	if (!run->n) {
		run->block = block;
		run->slot = entry->slot;
	}
	run->crcs[run->n++] = entry->crc;
}

/* Reports a zero pointer that the engine would take for damage, or not expect. */
static void verify_zero(Check *check, guint64 block, const MapEntry *entry)
{
	if (!entry->zero)
		return;
	if (entry->slot || entry->dead)
		findings_add_one(check->found, check->root->node, block, entry->slot,
				 "a zero pointer with a slot");
	else if (!(check->sb->incompatible & FORMAT_INCOMPATIBLE_BASE))
		findings_add_one(check->found, check->root->node, block, 0,
				 "a zero pointer, though the volume is no linked clone");
}

static void verify_entry(Check *check, guint64 block, const MapEntry *entry)
{
	const CheckRoot *root = check->root;

	if (block >= root->blocks)
		findings_add_one(check->found, root->block, block, 0,
				 "lies behind the volume's end");
	if (entry->birth > root->generation)
		findings_add_one(check->found, root->block, block, entry->slot,
				 root->snapshot ? "born after the snapshot"
						: "born after the checkpoint");
}

/* Of blocks that are left behind the deletion's cursor, the deleted snapshot's count knows. */
static void count_written(Check *check, const CheckRoot *owner, guint64 birth)
{
	CheckRoot *root = check->root;
	const CheckRoot *deleting = check->deleting;

	root->written += birth > root->parent;
	if (deleting && root->above == deleting && owner != deleting)
		check->delete_written += birth > deleting->parent && birth <= deleting->generation;
}

/* Claims the slots that a leaf points to, and verifies its blocks unless they are dead. */
static void walk_leaf(Check *check, guint64 index, const FormatNode *leaf, gboolean dying,
		      CheckCount *count)
{
	CheckRoot *root = check->root;
	guint64 first = index << check->layout.shift, end = first + node_pointers(check->layout);
	CheckRoot *owner = check_owner_above(check, root, end);
	CheckRun run = {0};

	for (guint i = 0; i < node_pointers(check->layout); i++) {
		MapEntry e = entry_at(check->layout, leaf, i);
		guint64 block = first + i;

		verify_zero(check, block, &e);
		if (!e.slot)
			continue;
		count->data++;
		root->dead += dying;
		verify_entry(check, block, &e);
		if (owner && e.birth <= owner->generation) {
			run_end(check, &run);
			verify_shared(check, owner, -1, block, &e);
			if (!dying)
				check_inherit_lost(check, root, owner, block, block + 1);
			continue;
		}
		check->data_slots++;
		count_written(check, owner, e.birth);
		if (check_claim_slot(check, e.slot, root->block, block) && !dying)
			run_add(check, &run, block, &e);
	}
	run_end(check, &run);
}

/* ---- nodes */

static void walk_node(Check *check, guint level, guint64 index, MapEntry entry, gboolean dying,
		      CheckCount *count);

static void count_add(CheckCount *count, const CheckCount *more)
{
	count->data += more->data;
	count->nodes += more->nodes;
	count->unknown = count->unknown || more->unknown;
}

static void walk_children(Check *check, guint level, guint64 index, gboolean dying,
			  CheckCount *count)
{
	FormatNode *node = &check->nodes[level];

	if (level == 0) {
		walk_leaf(check, index, node, dying, count);
		return;
	}
	for (guint i = 0; i < node_pointers(check->layout); i++)
		walk_node(check, level - 1, index << check->layout.shift | i,
			  entry_at(check->layout, node, i), dying, count);
}

static void walk_own(Check *check, guint level, guint64 index, const MapEntry *entry,
		     gboolean dying, CheckCount *count)
{
	CheckRoot *root = check->root;
	guint shift = node_shift(check->layout, level), copies = level ? 2 : 1;
	CheckCount below = {.nodes = copies};

	if (!claim_node(check, level, index, entry->slot)) {
		count->unknown = TRUE;
		return;
	}
	check->node_slots += copies;
	if (!check_read_node(check, level, index, entry, &check->nodes[level])) {
		check->lost_nodes++;
		count->unknown = TRUE;
		if (!dying)
			check_lose_blocks(check, root, index << shift, (index + 1) << shift, TRUE);
		return;
	}
	walk_children(check, level, index, dying, &below);
	if (check->counts && !dying && !below.unknown &&
	    !check_counts_put(check->counts, entry->slot, &below))
		check->problem = -ENOMEM;
	count_add(count, &below);
}

static void walk_shared(Check *check, CheckRoot *owner, guint level, guint64 index,
			const MapEntry *entry, gboolean dying, CheckCount *count)
{
	guint shift = node_shift(check->layout, level);
	guint64 first = index << shift, end = (index + 1) << shift;
	CheckCount below = {.unknown = TRUE};

	verify_shared(check, owner, (int)level, index, entry);
	if (level && owner == check->deleting && first < owner->done && owner->done < end &&
	    check_peek_node(check, level, index, entry, &check->nodes[level])) {
		below = (CheckCount){.nodes = 2};
		walk_children(check, level, index, dying, &below);
	} else {
		check_counts_get(check->counts, entry->slot, &below);
		if (!dying)
			check_inherit_lost(check, check->root, owner, first, end);
	}
	count_add(count, &below);
}

/* Reports a dead pointer that nobody would look for. */
static void verify_dead(Check *check, guint level, guint64 index, const MapEntry *entry)
{
	const CheckRoot *root = check->root;
	guint shift = node_shift(check->layout, level);
	guint64 first = index << shift, end = (index + 1) << shift;

	if (first >= root->dying_end || (!root->snapshot && end <= check->sb->dead_first))
		findings_add_one(check->found, root->node, first, entry->slot,
				 "dead, where nothing is to be freed");
}

/* `dying`: a pointer above is dead. */
static void walk_node(Check *check, guint level, guint64 index, MapEntry entry, gboolean dying,
		      CheckCount *count)
{
	CheckRoot *root = check->root, *owner;
	guint64 end = (index + 1) << node_shift(check->layout, level);

	verify_zero(check, index << node_shift(check->layout, level), &entry);
	if (!entry.slot || (entry.dead && entry.birth <= root->floor))
		return;
	if (end <= (dying || entry.dead ? root->dying_first : root->done))
		return;
	if (entry.birth > root->generation)
		findings_add_one(check->found, root->node,
				 index << node_shift(check->layout, level), entry.slot,
				 root->snapshot ? "born after the snapshot"
						: "born after the checkpoint");
	owner = check_owner_above(check, root, end);
	if (entry.dead && !dying)
		verify_dead(check, level, index, &entry);
	if (owner && !entry.dead && entry.birth <= owner->generation)
		walk_shared(check, owner, level, index, &entry, dying, count);
	else
		walk_own(check, level, index, &entry, dying || entry.dead, count);
}

void check_map(Check *check, CheckRoot *root)
{
	check->root = root;
	check_path_init(&check->beside[0], root->above);
	check_path_init(&check->beside[1], root->above ? root->above->above : NULL);
	walk_node(check, root->levels - 1, 0, root->entry, FALSE, &root->count);
	check->result->dead_blocks += root->dead;
}
