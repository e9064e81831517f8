/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the disk's form of things (format.h) and the engine's.  Pure: no I/O, no state.
 *
 * Decoding checks in this order: magic, version, bounds, checksum, coherence (a superblock's
 * checksum comes before its version); what it accepts is within its bounds.  A decode that fails
 * leaves its outputs untouched.
 */
#pragma once

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/engine/format.h"
#include "common/engine/seal.h"
#include "common/base/units.h"

/* A pointer of the map.  All zero: a hole. */
typedef struct {
	guint64 slot;
	guint64 birth; /* generation in which it was written */
	guint32 crc;
	gboolean dead; /* discarded: a hole for readers, space still to be released */
} MapEntry;

typedef struct {
	guint32 levels;
	guint64 incompatible, ro_compatible, compatible;
	guint8 uuid[16];
	guint64 size;
	guint32 logical_block_size;
	gboolean clean;
	guint64 journal_size;
	guint64 groups_offset;
	guint64 groups;
	guint64 seed;
	guint64 generation;
	guint64 checkpoint;
	MapEntry map_root;
	guint64 journal_position;
	guint64 journal_sequence;
	guint64 fence_sequence, fence_generation;
	guint64 dead_first, dead_end;
	guint64 data_slots, node_slots;
	guint64 reserve_slot, reserve_pairs[FORMAT_RESERVE_PAIRS];
	guint64 bitmap_digest;
	guint64 scrub_time, scrub_blocks, scrub_errors, scrub_repaired;
	guint64 grown_from;
} Superblock;

/* `count` slots from `slot` on; within one group. */
typedef struct {
	guint64 slot;
	guint32 count;
} SlotRun;

typedef struct {
	guint16 kind; /* FORMAT_RECORD_* */
	guint64 sequence, generation;
	guint64 first, blocks;
	guint n_runs;
	SlotRun *runs; /* a write's: FORMAT_RECORD_BLOCKS_MAX at most */
	guint32 *crcs; /* a write's: one for each block */
} Record;

static inline MapEntry entry_decode(const FormatPointer *p)
{
	guint64 a = GUINT64_FROM_LE(p->slot_flags_birth);

	return (MapEntry){
		.slot = a & (((guint64)1 << FORMAT_SLOT_BITS) - 1),
		.birth = a >> 48 | (guint64)GUINT32_FROM_LE(p->birth_high) << 16,
		.crc = GUINT32_FROM_LE(p->crc),
		.dead = (a >> FORMAT_SLOT_BITS & FORMAT_POINTER_DEAD) != 0,
	};
}

static inline void entry_encode(const MapEntry *e, FormatPointer *p)
{
	guint64 flags = e->dead ? FORMAT_POINTER_DEAD : 0;

	p->slot_flags_birth = GUINT64_TO_LE(e->slot | flags << FORMAT_SLOT_BITS | e->birth << 48);
	p->crc = GUINT32_TO_LE(e->crc);
	p->birth_high = GUINT32_TO_LE((guint32)(e->birth >> 16));
}

static inline gboolean entry_is_null(const FormatPointer *p)
{
	return p->slot_flags_birth == 0;
}

static inline gboolean entry_is_dead(const FormatPointer *p)
{
	return (GUINT64_FROM_LE(p->slot_flags_birth) >> FORMAT_SLOT_BITS & FORMAT_POINTER_DEAD) !=
	       0;
}

/* How a node of the map holds its pointers: 1 << shift of them, of `size` bytes each; together
 * they take FORMAT_SLOT_SIZE bytes at most. */
typedef struct {
	guint shift;
	guint size;
} NodeLayout;

/* The one layout of this version. */
#define NODE_LAYOUT_PLAIN ((NodeLayout){.shift = 8, .size = sizeof(FormatPointer)})

/* The layout of a volume's nodes. */
static inline NodeLayout superblock_layout(const Superblock *sb)
{
	(void)sb;
	return NODE_LAYOUT_PLAIN;
}

static inline guint node_pointers(NodeLayout layout)
{
	return 1u << layout.shift;
}

/* How many blocks a node of that level covers, as a shift. */
static inline guint node_shift(NodeLayout layout, guint level)
{
	return layout.shift * (level + 1);
}

/* The index, one level up, of the node that points to node (or block) `index`. */
static inline guint64 node_parent(NodeLayout layout, guint64 index)
{
	return index >> layout.shift;
}

/* Which pointer of that node it is. */
static inline guint node_place(NodeLayout layout, guint64 index)
{
	return (guint)index & (node_pointers(layout) - 1);
}

/* Pointer i of a node, i < node_pointers(layout). */
static inline FormatPointer pointer_at(NodeLayout layout, const FormatNode *node, guint i)
{
	FormatPointer pointer;

	memcpy(&pointer, node->bytes + i * layout.size, sizeof pointer);
	return pointer;
}

static inline MapEntry entry_at(NodeLayout layout, const FormatNode *node, guint i)
{
	FormatPointer pointer = pointer_at(layout, node, i);

	return entry_decode(&pointer);
}

/* Pointers [i, i + n) of a node. */
static inline void entries_get(NodeLayout layout, const FormatNode *node, guint i, guint n,
			       MapEntry *ret_entries)
{
	const guint8 *at = node->bytes + i * layout.size;

	for (; n; n--, at += layout.size) {
		FormatPointer pointer;

		memcpy(&pointer, at, sizeof pointer);
		*ret_entries++ = entry_decode(&pointer);
	}
}

static inline void entry_put(NodeLayout layout, FormatNode *node, guint i, const MapEntry *entry)
{
	FormatPointer pointer;

	entry_encode(entry, &pointer);
	memcpy(node->bytes + i * layout.size, &pointer, sizeof pointer);
}

static inline gboolean entry_at_is_null(NodeLayout layout, const FormatNode *node, guint i)
{
	FormatPointer pointer = pointer_at(layout, node, i);

	return entry_is_null(&pointer);
}

static inline gboolean entry_at_is_dead(NodeLayout layout, const FormatNode *node, guint i)
{
	FormatPointer pointer = pointer_at(layout, node, i);

	return entry_is_dead(&pointer);
}

static inline guint64 slot_group(guint64 slot)
{
	return slot >> FORMAT_GROUP_SHIFT;
}

static inline guint64 slot_index(guint64 slot)
{
	return slot & (FORMAT_GROUP_SLOTS - 1);
}

/* Levels of the map of a volume of `size` bytes: the fewest whose root covers all its blocks. */
guint codec_levels(NodeLayout layout, guint64 size);

/* Whether a slot is one that may hold a block or node, of a volume with so many groups. */
static inline gboolean slot_is_usable(guint64 slot, guint64 groups)
{
	guint64 index = slot_index(slot);

	return slot_group(slot) < groups && index >= FORMAT_FIRST_INDEX &&
	       index <= FORMAT_LAST_INDEX;
}

/* Whether an inner node may be there, so that its copy's slot is slot + FORMAT_COPY_DISTANCE. */
static inline gboolean slot_has_copy(guint64 slot)
{
	return (slot_index(slot) - FORMAT_FIRST_INDEX) / FORMAT_COPY_DISTANCE % 2 == 0;
}

/* Whether a pointer from the disk to a node of that level names a slot that there can be. */
static inline gboolean node_slot_is_usable(guint level, guint64 slot, guint64 groups)
{
	return slot_is_usable(slot, groups) && (level == 0 || slot_has_copy(slot));
}

#define UUID_TEXT 37 /* bytes of a UUID as text, lower case, its end included */
void uuid_format(const guint8 uuid[16], char ret_text[UUID_TEXT]);

void superblock_encode(const Superblock *sb, FormatSuperblock *out);

/* `name` is for the message. */
gboolean superblock_decode(const FormatSuperblock *in, Superblock *ret_sb, const char *name,
			   GError **error);

/* Fills in header and checksum over the bits that are there. */
void bitmap_seal(FormatBitmap *page, const Seal *seal, guint64 group, guint64 generation);

/* Whether it is whole and belongs to that group. */
gboolean bitmap_verify(const FormatBitmap *page, const Seal *seal, guint64 group,
		       guint64 *ret_generation);

/* What a sealed page adds to the digest of all that count, modulo 2^64. */
guint64 bitmap_term(const FormatBitmap *page, guint64 group);

/* The record's length on disk. */
guint32 record_length(guint16 kind, guint n_runs, guint64 blocks);

/* Writes record_length() bytes at `out`. */
void record_encode(const Record *record, const Seal *seal, guint8 *out);

/* Decodes the record at `in`, of which `available` bytes may be read; `runs` and `crcs` have room
 * for FORMAT_RECORD_BLOCKS_MAX each and are what ret_record points to.  Accepts only the record
 * with that sequence number.  Returns its length, 0 if there is none. */
guint32 record_decode(const guint8 *in, gsize available, const Seal *seal, guint64 sequence,
		      Record *ret_record, SlotRun *runs, guint32 *crcs);
