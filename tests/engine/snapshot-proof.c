/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/snapshot-proof.h"

#include "common/engine/bitmap-pages.h"
#include "common/engine/volume-private.h"
#include "tests/engine/support.h"

typedef struct {
	Backing *backing;
	Volume *volume; /* opened read-only */
	const Superblock *sb;
	NodeLayout layout;
	GHashTable *nodes, *blocks; /* slots, as pointers */
	const Snapshot *snapshot;   /* whose tree is walked; NULL: the head's */
	guint64 parent, floor, done, dead_done;
	guint64 written, referenced, dead_blocks;
	ProofVisit visit;
	gpointer data;
	gboolean good;
} Proof;

static void fail(Proof *proof, const char *what, guint64 slot)
{
	if (proof->good)
		FAIL("%s (%" G_GUINT64_FORMAT ", snapshot %" G_GUINT64_FORMAT ")", what, slot,
		     proof->snapshot ? proof->snapshot->generation : 0);
	proof->good = FALSE;
}

static void claim(GHashTable *set, guint64 slot)
{
	g_hash_table_add(set, GSIZE_TO_POINTER(slot));
}

static void claim_node(Proof *proof, guint level, guint64 slot)
{
	claim(proof->nodes, slot);
	if (level)
		claim(proof->nodes, slot + FORMAT_COPY_DISTANCE);
}

static void walk_block(Proof *proof, guint64 block, const MapEntry *entry, gboolean inside)
{
	guint8 data[BLOCK_SIZE];
	gboolean alive = !proof->snapshot || proof->snapshot->state == FORMAT_SNAPSHOT_ALIVE;

	claim(proof->blocks, entry->slot);
	if (inside) {
		proof->dead_blocks++;
		return;
	}
	proof->referenced++;
	proof->written += entry->birth > proof->parent;
	if (!alive)
		return;
	if (backing_pread(proof->backing, data, sizeof data,
			  slots_offset(proof->volume->engine.slots, entry->slot)) ||
	    !seal_block_fits(&proof->volume->engine.seal, block, data, entry->crc))
		fail(proof, "a block does not verify", block);
	else if (proof->visit)
		proof->visit(proof->snapshot ? proof->snapshot->generation : 0, block, data[0],
			     proof->data);
}

static void walk_node(Proof *proof, guint level, guint64 index, const MapEntry *entry,
		      gboolean inside)
{
	guint64 end = (index + 1) << node_shift(proof->layout, level);
	FormatNode *node;

	if (!entry->slot || (entry->dead && entry->birth <= proof->floor))
		return;
	inside = inside || entry->dead;
	if (end <= (inside ? proof->dead_done : proof->done))
		return;
	claim_node(proof, level, entry->slot);
	node = g_new(FormatNode, 1);
	if (map_read_node(proof->volume->engine.map, level, index, entry, node))
		fail(proof, "a node cannot be read", index);
	else
		for (guint i = 0; i < node_pointers(proof->layout); i++) {
			MapEntry below = entry_at(proof->layout, node, i);
			guint64 at = (index << proof->layout.shift) + i;

			if (level)
				walk_node(proof, level - 1, at, &below, inside);
			else if (below.slot)
				walk_block(proof, at, &below, inside);
		}
	g_free(node);
}

static void walk_snapshot(Proof *proof, const Snapshot *snapshot)
{
	const Superblock *sb = proof->sb;
	gboolean exact = !(snapshot->flags & FORMAT_SNAPSHOT_FLAG_BOUND);
	gboolean dying = snapshot_is_dying(snapshot);

	if (!snapshot_has_tree(snapshot))
		return;
	proof->snapshot = snapshot;
	proof->parent = snapshot->parent;
	proof->floor = snapshot->floor;
	proof->done = sb->delete_generation == snapshot->generation ? sb->delete_cursor : 0;
	proof->dead_done = dying ? snapshot->dying_first : G_MAXUINT64;
	if (sb->dying_generation == snapshot->generation)
		proof->dead_done = sb->dying_cursor;
	proof->referenced = proof->written = proof->dead_blocks = 0;
	walk_node(proof, snapshot->levels - 1, 0, &snapshot->root, FALSE);
	proof->snapshot = snapshot;
	if (snapshot->state == FORMAT_SNAPSHOT_ALIVE && !dying) {
		if (snapshot->flags & FORMAT_SNAPSHOT_FLAG_WRITTEN_BOUND
			    ? proof->written > snapshot->written
			    : proof->written != snapshot->written)
			fail(proof, "a snapshot's `written` is wrong", proof->written);
		if (exact ? proof->referenced != snapshot->referenced
			  : proof->referenced > snapshot->referenced)
			fail(proof, "a snapshot's `referenced` is wrong", proof->referenced);
	}
	proof->snapshot = NULL;
}

static void walk_head(Proof *proof)
{
	const Superblock *sb = proof->sb;

	proof->snapshot = NULL;
	proof->parent = sb->head_parent;
	proof->floor = sb->head_void;
	proof->done = proof->dead_done = 0;
	walk_node(proof, sb->levels - 1, 0, &sb->map_root, FALSE);
	if (sb->head_bound ? proof->referenced > sb->head_data
			   : proof->referenced + proof->dead_blocks != sb->head_data)
		fail(proof, "the head's blocks are counted wrong", proof->referenced);
	if (!proof->dead_blocks && (sb->head_written_bound ? proof->written > sb->head_written
							   : proof->written != sb->head_written))
		fail(proof, "the head's `written` is wrong", proof->written);
}

static void walk_table(Proof *proof)
{
	FormatNode node;

	if (!proof->sb->snapshot_root.slot)
		return;
	claim_node(proof, 1, proof->sb->snapshot_root.slot);
	for (guint copy = 0; copy < 2; copy++)
		if (backing_pread(proof->backing, &node, sizeof node,
				  slots_offset(proof->volume->engine.slots,
					       proof->sb->snapshot_root.slot +
						       copy * FORMAT_COPY_DISTANCE)) ||
		    seal_table_root(&proof->volume->engine.seal, &node) !=
			    proof->sb->snapshot_root.crc)
			fail(proof, "a copy of the table's root is damaged", copy);
	for (guint i = 0; i < FORMAT_TABLE_PAGES; i++)
		if (!entry_at_is_null(NODE_LAYOUT_PLAIN, &node, i))
			claim_node(proof, 1, entry_at(NODE_LAYOUT_PLAIN, &node, i).slot);
}

/* Every slot that is claimed is in use, and no other. */
static void compare_bitmaps(Proof *proof)
{
	BitmapPlace place = {proof->backing, proof->sb->groups_offset, &proof->volume->engine.seal};
	BitmapChoice *choice = g_new0(BitmapChoice, 1);

	for (guint64 g = 0; g < proof->sb->groups; g++) {
		if (bitmap_choose(&place, g, proof->sb->checkpoint, TRUE, choice) ||
		    !choice->found) {
			fail(proof, "no bitmap page", g);
			break;
		}
		for (guint bit = 0; bit < FORMAT_BITMAP_BITS; bit++) {
			gpointer slot = GSIZE_TO_POINTER(g << FORMAT_GROUP_SHIFT |
							 (bit + FORMAT_FIRST_INDEX));
			gboolean node = g_hash_table_contains(proof->nodes, slot);
			gboolean block = g_hash_table_contains(proof->blocks, slot);
			gboolean used = choice->page.bits[bit / 8] >> (bit % 8) & 1;

			if (node && block)
				fail(proof, "a slot is a node and a block", GPOINTER_TO_SIZE(slot));
			if (used && !node && !block)
				fail(proof, "a slot leaked", GPOINTER_TO_SIZE(slot));
			if (!used && (node || block))
				fail(proof, "a slot in use is free", GPOINTER_TO_SIZE(slot));
		}
	}
	g_free(choice);
}

gboolean snapshots_prove(Backing *backing, ProofVisit visit, gpointer data)
{
	Proof proof = {.backing = backing, .visit = visit, .data = data, .good = TRUE};

	proof.volume = volume_open(backing_borrow(backing), "proof", VOLUME_OPEN_READ_ONLY, NULL);
	CHECK(proof.volume != NULL);
	if (!proof.volume)
		return FALSE;
	proof.sb = &proof.volume->engine.superblock.current;
	proof.layout = superblock_layout(proof.sb);
	proof.nodes = g_hash_table_new(NULL, NULL);
	proof.blocks = g_hash_table_new(NULL, NULL);
	walk_table(&proof);
	walk_head(&proof);
	for (guint i = 0; i < snapshots_count_locked(proof.volume->engine.snapshots); i++)
		walk_snapshot(&proof, snapshots_get_locked(proof.volume->engine.snapshots, i));
	compare_bitmaps(&proof);
	if (g_hash_table_size(proof.blocks) != proof.sb->data_slots)
		fail(&proof, "the superblock's blocks", g_hash_table_size(proof.blocks));
	if (g_hash_table_size(proof.nodes) != proof.sb->node_slots)
		fail(&proof, "the superblock's nodes", g_hash_table_size(proof.nodes));
	g_hash_table_unref(proof.nodes);
	g_hash_table_unref(proof.blocks);
	volume_close(proof.volume, NULL);
	return proof.good;
}
