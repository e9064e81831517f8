/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A map of any shape with correct checksums: several pointers lead to the same node, pointers lead
 * back up, to bitmap pages or to nothing, and dead pointers are anywhere.
 *
 *     u8        levels of the map (modulo 5, and 1)
 *     u8        the root, as `place` below
 *     u8        bit 0: the bitmap agrees with the tree; otherwise everything is free
 *               bit 1: the superblock allows dead pointers everywhere
 *     16 times  a node: 4 pointers of u8 index, u8 place, u8 flags, u8 birth
 *
 *     place     0: a hole; 1 to 16: the node of that number; 17 to 31: a block; from 32 on: an
 * invalid slot
 *
 * Opening, reading, checking and writing must end.  Before anything is written, a block must read
 * as the tree says, or not at all.
 */
#include <string.h>

#include "tests/backing/memory.h"
#include "common/check/check.h"
#include "common/engine/codec.h"
#include "common/engine/volume.h"
#include "tests/engine/support.h"
#include "tests/fuzz/fuzz.h"

#define SEED 3
#define CHECKPOINT 9
#define HEAD 3
#define NODES 16u
#define POINTERS 4u
#define POINTER 4
#define PLACES 31u /* nodes, then blocks */
#define TARGETS 48

static const Seal seal = {SEED};

typedef struct {
	const guint8 *input; /* of HEAD + NODES * POINTERS * POINTER bytes */
	guint levels;
	FormatNode nodes[NODES];
	enum { UNSEEN, BUILDING, BUILT } state[NODES];
	guint64 targets[TARGETS]; /* blocks to which pointers lead, and their neighbours */
	guint n_targets;
} FuzzTree;

/* The slot of a `place` of the input. */
static guint64 slot_of(guint8 place)
{
	static const guint64 odd[] = {1,
				      2,
				      3,
				      FORMAT_GROUP_SLOTS - 1,
				      FORMAT_LAST_INDEX,
				      FORMAT_GROUP_SLOTS + 4,
				      (guint64)1 << 39,
				      FORMAT_FIRST_INDEX + FORMAT_COPY_DISTANCE};

	if (place <= PLACES)
		return place ? FORMAT_FIRST_INDEX + place - 1 : 0;
	return odd[place % G_N_ELEMENTS(odd)];
}

static guint32 data_crc(guint64 block, guint64 slot)
{
	guint8 bytes[BLOCK_SIZE];

	memset(bytes, (int)slot, sizeof bytes);
	return seal_block(&seal, block, bytes);
}

static guint32 build(FuzzTree *tree, guint level, guint64 index, guint8 place);

static void build_pointer(FuzzTree *tree, guint level, guint64 index, FormatNode *node,
			  const guint8 *in)
{
	guint64 child = index << NODE_LAYOUT_PLAIN.shift | in[0];
	MapEntry entry = {.slot = slot_of(in[1]), .birth = in[3] % (CHECKPOINT + 2)};

	if (!entry.slot)
		return;
	entry.dead = (in[2] & 1) != 0 && level > 0;
	if (level)
		entry.crc = build(tree, level - 1, child, in[1]);
	else
		entry.crc = data_crc(child, entry.slot);
	entry.crc ^= in[2] >> 7; /* the checksum of some pointers is wrong */
	entry_put(NODE_LAYOUT_PLAIN, node, in[0], &entry);
	if (!level && tree->n_targets < TARGETS)
		tree->targets[tree->n_targets++] = child;
}

/* Builds a node unless it exists, and returns its checksum for a pointer at this place. */
static guint32 build(FuzzTree *tree, guint level, guint64 index, guint8 place)
{
	guint n = place - 1u;

	if (n >= NODES || tree->state[n] == BUILDING)
		return 0;
	if (tree->state[n] == UNSEEN) {
		tree->state[n] = BUILDING;
		for (guint i = 0; i < POINTERS; i++)
			build_pointer(tree, level, index, &tree->nodes[n],
				      tree->input + HEAD + (n * POINTERS + i) * POINTER);
		tree->state[n] = BUILT;
	}
	return seal_node(&seal, level, index, &tree->nodes[n]);
}

static void put(Backing *backing, const void *data, guint64 offset)
{
	fuzz_assert(!backing_pwrite(backing, data, FORMAT_SLOT_SIZE, offset));
}

static void put_slots(const FuzzTree *tree, Backing *backing, const Superblock *sb)
{
	guint8 bytes[BLOCK_SIZE];

	for (guint place = 1; place <= PLACES; place++) {
		guint64 offset = sb->groups_offset + slot_of((guint8)place) * FORMAT_SLOT_SIZE;

		memset(bytes, (int)slot_of((guint8)place), sizeof bytes);
		put(backing, place <= NODES ? (const void *)&tree->nodes[place - 1] : bytes,
		    offset);
		if (place <= NODES)
			put(backing, &tree->nodes[place - 1],
			    offset + (guint64)FORMAT_COPY_DISTANCE * FORMAT_SLOT_SIZE);
	}
}

static void put_bitmap(const FuzzTree *tree, Backing *backing, Superblock *sb)
{
	FormatBitmap page;

	memset(&page, 0, sizeof page);
	for (guint place = 1; place <= PLACES && tree->input[2] & 1; place++) {
		guint64 bit = slot_of((guint8)place) - FORMAT_FIRST_INDEX;

		page.bits[bit / 8] |= (guint8)(1u << (bit % 8));
		bit += FORMAT_COPY_DISTANCE;
		if (place <= NODES)
			page.bits[bit / 8] |= (guint8)(1u << (bit % 8));
	}
	bitmap_seal(&page, &seal, 0, CHECKPOINT);
	sb->bitmap_digest = bitmap_term(&page, 0);
	put(backing, &page, sb->groups_offset + FORMAT_BITMAP_A * FORMAT_SLOT_SIZE);
	put(backing, &page, FORMAT_FIRST_COPIES);
}

static Backing *make_volume(FuzzTree *tree)
{
	static const guint64 sizes[] = {MIB, 256 * MIB, 64 * GIB, 16 * 1024 * GIB, 64 * 1024 * GIB};
	guint8 root = tree->input[1] % (NODES + 1);
	Superblock sb = {.size = sizes[tree->levels - 1],
			 .levels = tree->levels,
			 .logical_block_size = SECTOR_SIZE,
			 .journal_size = FORMAT_JOURNAL_MIN,
			 .groups_offset = FORMAT_JOURNAL_OFFSET + FORMAT_JOURNAL_MIN,
			 .groups = 1,
			 .seed = SEED,
			 .generation = CHECKPOINT,
			 .checkpoint = CHECKPOINT,
			 .journal_sequence = 1,
			 .fence_sequence = 1,
			 .fence_generation = CHECKPOINT + 1};
	Backing *backing = backing_memory_new(0);
	FormatSuperblock raw;

	fuzz_assert(backing && !backing_grow(backing, sb.groups_offset + FORMAT_GROUP_BYTES));
	sb.map_root.crc = build(tree, tree->levels - 1, 0, root);
	sb.map_root.slot = slot_of(root);
	if (tree->input[2] & 2)
		sb.dead_end = blocks_covering(sb.size);
	put_slots(tree, backing, &sb);
	put_bitmap(tree, backing, &sb);
	superblock_encode(&sb, &raw);
	put(backing, &raw, FORMAT_SUPERBLOCK_A);
	put(backing, &raw, FORMAT_SUPERBLOCK_B);
	return backing;
}

/* The slot of a block according to the tree, 0 for a hole.  FALSE if a node on the way is not
 * sound. */
static gboolean find(const FuzzTree *tree, guint64 block, guint64 *ret_slot)
{
	guint8 place = tree->input[1] % (NODES + 1);

	*ret_slot = 0;
	for (guint level = tree->levels; level-- > 0 && place;) {
		NodeLayout layout = NODE_LAYOUT_PLAIN;
		MapEntry entry;

		if (place > NODES)
			return FALSE;
		entry = entry_at(layout, &tree->nodes[place - 1],
				 node_place(layout, block >> layout.shift * level));
		if (!entry.slot || entry.dead)
			return TRUE;
		if (level == 0)
			*ret_slot = entry.slot;
		else if (entry.slot > slot_of(PLACES) || entry.slot < FORMAT_FIRST_INDEX)
			return FALSE;
		else
			place = (guint8)(entry.slot - FORMAT_FIRST_INDEX + 1);
	}
	return TRUE;
}

static void read_targets(const FuzzTree *tree, Volume *volume)
{
	guint8 bytes[BLOCK_SIZE], wanted[BLOCK_SIZE];

	for (guint i = 0; i < tree->n_targets; i++) {
		guint64 slot;

		if (volume_get(volume, bytes, BLOCK_SIZE, blocks_to_bytes(tree->targets[i])))
			continue;
		fuzz_assert(find(tree, tree->targets[i], &slot));
		/* Otherwise the block has the bytes of a node. */
		if (slot > slot_of(NODES) || !slot) {
			memset(wanted, (int)slot, BLOCK_SIZE);
			fuzz_assert(!memcmp(bytes, wanted, BLOCK_SIZE));
		}
	}
}

static void change(const FuzzTree *tree, Volume *volume)
{
	for (guint i = 0; i < tree->n_targets; i++) {
		guint64 offset = blocks_to_bytes(tree->targets[i]);

		if (i % 3 == 0)
			volume_discard(volume, offset & ~(MIB - 1), MIB);
		else
			volume_put_value(volume, 7, BLOCK_SIZE, offset);
	}
	volume_checkpoint(volume);
	volume_discard(volume, 0, volume_size(volume));
	volume_checkpoint(volume);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	guint8 input[HEAD + NODES * POINTERS * POINTER] = {0};
	g_autoptr(CheckResult) result = NULL;
	g_autoptr(Backing) backing = NULL;
	g_autofree FuzzTree *tree = g_new0(FuzzTree, 1);
	Volume *volume;

	memcpy(input, data, MIN(size, sizeof input));
	tree->input = input;
	tree->levels = 1 + input[0] % FORMAT_LEVELS_MAX;
	backing = make_volume(tree);
	result = check_run(backing, NULL, NULL, NULL);
	volume = volume_open(backing_borrow(backing), "fuzz", VOLUME_OPEN_READ_ONLY, NULL);
	if (volume) {
		read_targets(tree, volume);
		volume_close(volume, NULL);
	}
	volume = volume_open(backing_borrow(backing), "fuzz", 0, NULL);
	if (volume) {
		change(tree, volume);
		volume_close(volume, NULL);
	}
	return 0;
}
