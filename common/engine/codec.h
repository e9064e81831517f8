/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conversion between the structures on disk (format.h) and those of the engine.  Pure functions: no
 * I/O, no state.
 *
 * I9: a decoder checks, in this order, magic, version, bounds, checksum, coherence; of a
 * superblock, the checksum comes before the version.  All values that it returns are within their
 * bounds.  A decoder that fails leaves its ret_ parameters untouched.
 */
#pragma once

#include "common/base/bytes.h"
#include "common/base/error.h"
#include "common/base/host.h"
#include "common/engine/format.h"
#include "common/engine/seal.h"
#include "common/base/units.h"

/* A pointer of the map.  All zeros: null, a hole; of a linked clone, what its base has. */
typedef struct {
	guint64 slot;
	guint64 birth; /* generation in which the pointer was written */
	guint32 crc;
	guint8 dead; /* flag: discarded: reads as zeros; the space below is not free yet */
	guint8 zero; /* flag, with slot 0: reads as zeros, whatever the base has */
} MapEntry;

#define BASE_NAME_SIZE FORMAT_BASE_NAME

/* The base of a linked clone: a snapshot of another volume. */
typedef struct {
	guint8 volume[16], snapshot[16]; /* UUIDs */
	guint64 generation;
	guint64 size;		   /* bytes */
	guint32 root;		   /* checksum of its root */
	char name[BASE_NAME_SIZE]; /* where it was: "POOL/VOLUME@NAME"; a hint */
} BaseIdentity;

/* The text of a volume's properties, whatever it holds (properties.h). */
typedef struct Properties {
	char text[FORMAT_PROPERTIES_SIZE];
} Properties;

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
	/* Snapshots.  Without FORMAT_RO_SNAPSHOTS, head_data and head_written are data_slots,
	 * head_nodes is node_slots, and all else is 0. */
	MapEntry snapshot_root;
	guint64 head_parent, head_void;
	guint64 head_written, head_data, head_nodes;
	guint64 dying_generation, dying_cursor, dying_written;
	guint64 delete_generation, delete_cursor, delete_written;
	gboolean head_bound;	     /* head_data and head_nodes are upper bounds */
	gboolean head_written_bound; /* so is head_written */
	gboolean head_voids;	     /* the head may have void pointers */
	/* A linked clone.  Without FORMAT_INCOMPATIBLE_BASE all is 0. */
	BaseIdentity base;
	guint64 base_blocks; /* the head reads the base before this block only */
	/* Without FORMAT_COMPATIBLE_PROPERTIES it is zeros. */
	Properties properties;
} Superblock;

#define SNAPSHOT_NAME_SIZE 64 /* bytes of a name or tag, with the final NUL */

/* A snapshot, as its record in the table says. */
typedef struct {
	guint64 generation, parent, floor;
	MapEntry root;
	guint64 size; /* bytes */
	guint32 levels;
	guint16 state;			/* FORMAT_SNAPSHOT_* */
	guint64 dying_first, dying_end; /* blocks; equal: nothing is dying */
	guint64 referenced, nodes;	/* slots */
	guint64 written;		/* blocks */
	guint64 created;		/* Unix time, seconds */
	guint64 group;
	guint8 uuid[16];
	char name[SNAPSHOT_NAME_SIZE];
	guint32 flags;	     /* FORMAT_SNAPSHOT_FLAG_* */
	guint64 received;    /* blocks */
	guint64 base_blocks; /* of a linked clone: the base is read before this block only */
	guint place;	     /* number of its record in the table, below FORMAT_SNAPSHOTS_MAX */
} Snapshot;

/* What keeps a snapshot from being deleted. */
typedef struct {
	guint64 generation; /* of the snapshot */
	guint16 class;	    /* FORMAT_HOLD_* */
	guint64 created;    /* Unix time, seconds */
	guint8 uuid[16];    /* of the holder; zeros: none */
	char tag[SNAPSHOT_NAME_SIZE];
	guint place; /* as of a snapshot */
} SnapshotHold;

/* Who has a shared backing. */
typedef struct {
	guint64 turn; /* random */
	Host host;
	guint64 device;	  /* the backing's number on that machine */
	guint32 interval; /* milliseconds, 1 to FORMAT_TENURE_INTERVAL_MAX */
} TenureRecord;

/* That he lives. */
typedef struct {
	guint64 turn;
	guint64 sequence; /* random */
	gboolean open;	  /* not given back */
} PulseRecord;

/* `count` consecutive slots from `slot` on, all in one group. */
typedef struct {
	guint64 slot;
	guint32 count;
} SlotRun;

typedef struct {
	guint16 kind; /* FORMAT_RECORD_* */
	guint64 sequence, generation;
	guint64 first, blocks;
	guint n_runs;
	SlotRun *runs; /* of a write: at most FORMAT_RECORD_BLOCKS_MAX */
	guint32 *crcs; /* of a write: one for each block */
} Record;

static inline MapEntry entry_decode(const FormatPointer *p)
{
	guint64 a = GUINT64_FROM_LE(p->slot_flags_birth);

	return (MapEntry){
		.slot = a & (((guint64)1 << FORMAT_SLOT_BITS) - 1),
		.birth = a >> 48 | (guint64)GUINT32_FROM_LE(p->birth_high) << 16,
		.crc = GUINT32_FROM_LE(p->crc),
		.dead = (a >> FORMAT_SLOT_BITS & FORMAT_POINTER_DEAD) != 0,
		.zero = (a >> FORMAT_SLOT_BITS & FORMAT_POINTER_ZERO) != 0,
	};
}

static inline void entry_encode(const MapEntry *e, FormatPointer *p)
{
	guint64 flags = (e->dead ? FORMAT_POINTER_DEAD : 0) | (e->zero ? FORMAT_POINTER_ZERO : 0);

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

/* How a node of the map holds its pointers: 1 << shift pointers of `size` bytes each,
 * size << shift <= FORMAT_SLOT_SIZE. */
typedef struct {
	guint shift;
	guint size;
} NodeLayout;

/* The only layout of this version of the format. */
#define NODE_LAYOUT_PLAIN ((NodeLayout){.shift = 8, .size = sizeof(FormatPointer)})

/* The layout of the nodes of that superblock's map. */
static inline NodeLayout superblock_layout(const Superblock *sb)
{
	(void)sb;
	return NODE_LAYOUT_PLAIN;
}

static inline guint node_pointers(NodeLayout layout)
{
	return 1u << layout.shift;
}

/* A node of that level covers 1 << node_shift() blocks. */
static inline guint node_shift(NodeLayout layout, guint level)
{
	return layout.shift * (level + 1);
}

/* The index, one level up, of the node that points to node or block `index`. */
static inline guint64 node_parent(NodeLayout layout, guint64 index)
{
	return index >> layout.shift;
}

/* Which pointer of its parent leads to node or block `index`. */
static inline guint node_place(NodeLayout layout, guint64 index)
{
	return (guint)index & (node_pointers(layout) - 1);
}

/* Pointer number i of a node, i < node_pointers(layout). */
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

/* The number of levels of the map of a volume of `size` bytes: the fewest with which the root
 * covers all blocks. */
guint codec_levels(NodeLayout layout, guint64 size);

/* Whether the slot can hold a block or a node, in a volume of that many groups. */
static inline gboolean slot_is_usable(guint64 slot, guint64 groups)
{
	guint64 index = slot_index(slot);

	return slot_group(slot) < groups && index >= FORMAT_FIRST_INDEX &&
	       index <= FORMAT_LAST_INDEX;
}

/* Whether the slot can hold an inner node, whose copy is then at slot + FORMAT_COPY_DISTANCE. */
static inline gboolean slot_has_copy(guint64 slot)
{
	return (slot_index(slot) - FORMAT_FIRST_INDEX) / FORMAT_COPY_DISTANCE % 2 == 0;
}

/* I9: whether a pointer from the disk to a node of that level may name that slot.  A block counts
 * as level 0. */
static inline gboolean node_slot_is_usable(guint level, guint64 slot, guint64 groups)
{
	return slot_is_usable(slot, groups) && (level == 0 || slot_has_copy(slot));
}

#define UUID_TEXT 37 /* bytes of a UUID as text in lower case, with the final NUL */
void uuid_format(const guint8 uuid[16], char ret_text[UUID_TEXT]);

/* FALSE unless the text is one that uuid_format() makes. */
gboolean uuid_parse(const char *text, guint8 ret_uuid[16]);

/* Whether the pointer may stand in a map of that many groups, at a place that leads to a node of
 * that level or, with level 0, to a leaf or a block (I9). */
static inline gboolean entry_is_sane(const MapEntry *entry, guint level, guint64 groups)
{
	return entry->zero ? !entry->slot && !entry->dead
			   : node_slot_is_usable(level, entry->slot, groups);
}

void superblock_encode(const Superblock *sb, FormatSuperblock *out);

/* The fields of a linked clone, of codec-base.c. */
void base_encode(const Superblock *sb, FormatSuperblock *out);
void base_decode(const FormatSuperblock *in, Superblock *sb);
gboolean base_coherent(const Superblock *sb);

/* `name`: of the backing, for the error message. */
gboolean superblock_decode(const FormatSuperblock *in, Superblock *ret_sb, const char *name,
			   GError **error);

/* Records of the snapshot table.  `place` and of a hold's `class` are as the structure says; the
 * rest of the record is zeros. */
void snapshot_encode(const Snapshot *snapshot, FormatSnapshot *out);
void hold_encode(const SnapshotHold *hold, FormatSnapshot *out);

/* FORMAT_SNAPSHOT_KIND_*, 0 (no record), or a kind that this program does not know. */
guint16 snapshot_record_kind(const FormatSnapshot *in);

/* I9: FALSE unless every value is within its bounds, for a table that this superblock leads to.
 * Whether its parent is there, and the name is its alone, the table must tell. */
gboolean snapshot_decode(const FormatSnapshot *in, const Superblock *sb, guint place,
			 Snapshot *ret_snapshot);
gboolean hold_decode(const FormatSnapshot *in, const Superblock *sb, guint place,
		     SnapshotHold *ret_hold);

/* `out` is complete, with its checksum. */
void tenure_encode(const TenureRecord *record, FormatTenure *out);
gboolean tenure_decode(const FormatTenure *in, TenureRecord *ret_record);
void pulse_encode(const PulseRecord *record, FormatPulse *out);
gboolean pulse_decode(const FormatPulse *in, PulseRecord *ret_record);

/* Completes a page whose bits are set: fills in the header, with the checksum. */
void bitmap_seal(FormatBitmap *page, const Seal *seal, guint64 group, guint64 generation);

/* Whether the page is intact and belongs to that group. */
gboolean bitmap_verify(const FormatBitmap *page, const Seal *seal, guint64 group,
		       guint64 *ret_generation);

/* The page's contribution to the superblock's digest, which is the sum over all pages that count,
 * modulo 2^64.  The page is sealed. */
guint64 bitmap_term(const FormatBitmap *page, guint64 group);

/* The length of a record on disk, in bytes. */
guint32 record_length(guint16 kind, guint n_runs, guint64 blocks);

/* Writes record_length() bytes to `out`. */
void record_encode(const Record *record, const Seal *seal, guint8 *out);

/* Decodes the record at `in`, where `available` bytes may be read.  Only a record with that
 * sequence number is accepted.  `runs` and `crcs` have room for FORMAT_RECORD_BLOCKS_MAX elements
 * each; ret_record points to them.  Returns the record's length in bytes; 0: there is no such
 * record. */
guint32 record_decode(const guint8 *in, gsize available, const Seal *seal, guint64 sequence,
		      Record *ret_record, SlotRun *runs, guint32 *crcs);
