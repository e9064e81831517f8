/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The on-disk format, version 2: every structure of it, and nothing else.  docs/disk-format.md is
 * the normative text.  All integers are little-endian; only codec.c reads or writes these types,
 * the rest of the engine has its own.
 *
 *   0             64 KiB         512 KiB       1 MiB          groups_offset
 *   +-------------+--------------+-------------+--------------+-------------------------------+
 *   | superblock A| superblock B | bitmap      | journal ring | allocation groups of 128 MiB  |
 *   |             |              | copies      |              |                               |
 *   +-------------+--------------+-------------+--------------+-------------------------------+
 *
 *   group:  slot 0       1          2            3            4 ... 32643        32644 ... 32767
 *           +----------+----------+------------+------------+------------------+--------------+
 *           | bitmap A | bitmap B | copy of the next group's  | slots that the   | reserved     |
 *           |          |          | bitmap A   | bitmap B   | bitmap speaks of |              |
 *           +----------+----------+------------+------------+------------------+--------------+
 *
 * What all else hangs on is kept twice, apart: superblocks; bitmap pages, whose copies lie one
 * group before (the first group's at 512 KiB); inner nodes of the map, whose copy lies
 * FORMAT_COPY_DISTANCE slots behind; the journal's newest durable-mark, which stands at 128 and at
 * 132 KiB, too.  At 256 KiB there is one of the newest checkpoint.
 *
 * A slot's number is group << 15 | index in the group; its bytes begin at
 * groups_offset + number * 4096.  Number 0 is a bitmap's home, so it serves as "none".
 */
#pragma once

#include <glib.h>

#define FORMAT_MAGIC "STORAGOS"
#define FORMAT_VERSION 2u

#define FORMAT_SUPERBLOCK_SIZE 4096u
#define FORMAT_SUPERBLOCK_A ((guint64)0)
#define FORMAT_SUPERBLOCK_B ((guint64)64 << 10)
#define FORMAT_MARKS_OFFSET ((guint64)128 << 10) /* the newest durable-mark, once more */
#define FORMAT_MARKS 2u				 /* times, in blocks that follow each other */
#define FORMAT_MARK_DISTANCE 4096u
#define FORMAT_CHECKPOINT_MARK_OFFSET ((guint64)256 << 10)
#define FORMAT_JOURNAL_OFFSET ((guint64)1 << 20)
#define FORMAT_JOURNAL_MIN ((guint64)64 << 10)
#define FORMAT_JOURNAL_MAX ((guint64)64 << 20)
#define FORMAT_JOURNAL_UNIT FORMAT_JOURNAL_MIN /* its size is a multiple of that */

#define FORMAT_SLOT_SIZE 4096u
#define FORMAT_GROUP_SHIFT 15
#define FORMAT_GROUP_SLOTS (1u << FORMAT_GROUP_SHIFT)
#define FORMAT_GROUP_BYTES ((guint64)FORMAT_GROUP_SLOTS * FORMAT_SLOT_SIZE)
#define FORMAT_BITMAP_A 0u
#define FORMAT_BITMAP_B 1u
#define FORMAT_BITMAP_COPIES 2u /* index of the next group's A, copied; its B follows */
#define FORMAT_FIRST_COPIES ((guint64)512 << 10) /* those of group 0, bytes */
#define FORMAT_FIRST_INDEX 4u
#define FORMAT_BITMAP_BITS 32640u /* usable slots of a group */
#define FORMAT_LAST_INDEX (FORMAT_FIRST_INDEX + FORMAT_BITMAP_BITS - 1)
#define FORMAT_SLOT_BITS 40
#define FORMAT_GROUPS_MAX ((guint64)1 << (FORMAT_SLOT_BITS - FORMAT_GROUP_SHIFT))

/* Bits of a bitmap come in stripes: a slot of an even stripe may hold an inner node, whose copy is
 * at the same place of the stripe that follows. */
#define FORMAT_COPY_DISTANCE 3264u

#define FORMAT_POINTERS_MAX 256u /* of one node */
#define FORMAT_LEVELS_MAX 5	 /* 64 TiB is 2^34 blocks */

#define FORMAT_RESERVE_PAIRS 64u

/* Feature bits.  An unknown incompatible bit: do not open.  An unknown read-only-compatible bit:
 * open for reading only.  An unknown compatible bit: ignore, and clear it when writing. */
#define FORMAT_INCOMPATIBLE_KNOWN ((guint64)0)
#define FORMAT_RO_COMPATIBLE_KNOWN ((guint64)0)

/* A pointer of the map, or "null" (all zero: a hole). */
typedef struct {
	guint64 slot_flags_birth; /* bits 0-39 slot, 40-47 flags, 48-63 birth's low 16 bits */
	guint32 crc;	    /* of the 4096 bytes, seeded with the volume's seed and the place */
	guint32 birth_high; /* birth's bits 16-47 */
} FormatPointer;

#define FORMAT_POINTER_DEAD 0x01u /* discarded: reads as a hole; its space is yet to be freed */

/* A node of the map: its pointers, one behind the other, as a NodeLayout (codec.h) describes. */
typedef struct {
	guint8 bytes[FORMAT_SLOT_SIZE];
} FormatNode;

typedef struct {
	guint8 magic[8];
	guint32 version;
	guint32 levels; /* of the map: the root is a node of level levels - 1, a leaf of level 0 */
	guint64 incompatible;
	guint64 ro_compatible;
	guint64 compatible;
	guint8 uuid[16];
	guint64 size; /* of the volume, bytes */
	guint32 logical_block_size;
	guint32 flags;
	guint64 journal_offset;
	guint64 journal_size;
	guint64 groups_offset;
	guint64 groups;	    /* that have a bitmap page; those behind are free */
	guint64 seed;	    /* of every checksum in this volume */
	guint64 generation; /* of this superblock: the higher one counts */
	guint64 checkpoint; /* generation of the map's root and the newest bitmap pages that count
			     */
	FormatPointer map_root;
	FormatPointer snapshot_root; /* null: no snapshot was ever taken */
	guint64 journal_position;    /* where replay begins; modulo journal_size in the ring */
	guint64 journal_sequence;    /* of the record there */
	guint64 fence_sequence;	  /* records from here on count only if their generation is ... */
	guint64 fence_generation; /* ... at least this */
	guint64 dead_first;	  /* blocks that may have dead pointers over them: ... */
	guint64 dead_end;	  /* ... [dead_first, dead_end) */
	guint64 data_slots;	  /* mapped by the map, dead ones included */
	guint64 node_slots;	  /* of the map, dead ones included */
	guint64 reserve_slot;	  /* where the space kept for leaves was; a hint */
	guint64 reserve_pairs[FORMAT_RESERVE_PAIRS]; /* slots kept for inner nodes, with their
							copies' */
	guint64 bitmap_digest; /* of the bitmap pages that count: bitmap_term() of each, added */
	guint64 scrub_time;    /* when the last scrub ended, seconds of Unix time; 0: never */
	guint64 scrub_blocks, scrub_errors,
		scrub_repaired; /* what it verified, found, and mended */
	guint64 grown_from;	/* the least size that it grew from; 0: none */
	guint8 reserved[3300];
	guint32 crc; /* of everything before it */
} FormatSuperblock;

#define FORMAT_FLAG_CLEAN 0x1u /* closed in order; nothing to replay */

/* Of a superblock of generation g, stamps (births, bitmap pages, records) of up to g + 2 may be on
 * disk. */
#define FORMAT_STAMPS_AHEAD 2u

typedef struct {
	guint32 crc; /* of everything behind it, seeded with the volume's seed and the group */
	guint32 magic;
	guint64 generation;
	guint8 bits[FORMAT_BITMAP_BITS / 8]; /* bit i (of byte i / 8): index i + 4 is in use */
} FormatBitmap;

#define FORMAT_BITMAP_MAGIC 0x4d424f53u /* "SOBM" */

/* A journal record: this header; for a write its runs (slot in bits 0-39, length in 40-63) and one
 * checksum for each block; zeros up to a multiple of 8.  A record does not cross the ring's end:
 * a wrap record, or less room than a header takes, says that the next is at the ring's start. */
typedef struct {
	guint32 crc; /* of everything behind it, seeded with the volume's seed and the sequence */
	guint16 kind;
	guint16 runs;
	guint32 length; /* of the record, bytes */
	guint32 magic;
	guint64 sequence;
	guint64 generation;
	guint64 first;	/* block; durable-mark: the sequence up to which all is on disk */
	guint64 blocks; /* how many */
} FormatRecord;

#define FORMAT_RECORD_MAGIC 0x4c4a4f53u /* "SOJL" */
#define FORMAT_RECORD_ALIGN 8u

enum {
	FORMAT_RECORD_WRITE = 1,
	FORMAT_RECORD_ZERO = 2,
	FORMAT_RECORD_SNAPSHOT = 3, /* reserved */
	FORMAT_RECORD_DURABLE = 4,
	FORMAT_RECORD_WRAP = 5,
};

#define FORMAT_RECORD_BLOCKS_MAX 257u /* of a write: 1 MiB that begins inside a block */
#define FORMAT_RECORD_LENGTH_MAX                                                                   \
	(sizeof(FormatRecord) + FORMAT_RECORD_BLOCKS_MAX * 8u + (FORMAT_RECORD_BLOCKS_MAX + 1) * 4u)

G_STATIC_ASSERT(sizeof(FormatPointer) == 16);
G_STATIC_ASSERT(sizeof(FormatNode) == FORMAT_SLOT_SIZE);
G_STATIC_ASSERT(FORMAT_POINTERS_MAX * sizeof(FormatPointer) == FORMAT_SLOT_SIZE);
G_STATIC_ASSERT(sizeof(FormatSuperblock) == FORMAT_SUPERBLOCK_SIZE);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSuperblock, generation) == 112);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSuperblock, map_root) == 128);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSuperblock, crc) == 4092);
G_STATIC_ASSERT(sizeof(FormatBitmap) == FORMAT_SLOT_SIZE);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatBitmap, bits) == 16);
G_STATIC_ASSERT(sizeof(FormatRecord) == 48);
G_STATIC_ASSERT(FORMAT_RECORD_LENGTH_MAX % FORMAT_RECORD_ALIGN == 0);
G_STATIC_ASSERT(FORMAT_BITMAP_BITS % 64 == 0);
G_STATIC_ASSERT(FORMAT_COPY_DISTANCE % 64 == 0);
G_STATIC_ASSERT(FORMAT_BITMAP_BITS % (2 * FORMAT_COPY_DISTANCE) == 0);
G_STATIC_ASSERT(FORMAT_LAST_INDEX < FORMAT_GROUP_SLOTS);
