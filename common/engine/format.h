/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The on-disk format, version 2: all its structures, and nothing else.  docs/disk-format.md is the
 * normative text.  All integers are little-endian.  Only codec*.c and codec.h decode and encode
 * these structures; the rest of the engine uses the types of codec.h.
 *
 *   0             64 KiB         512 KiB       1 MiB          groups_offset
 *   +-------------+--------------+-------------+--------------+-------------------------------+
 *   | superblock A| superblock B | bitmap      | journal ring | allocation groups of 128 MiB  |
 *   |             |              | copies      |              |                               |
 *   +-------------+--------------+-------------+--------------+-------------------------------+
 *
 *   group:  slot 0       1          2            3            4 ... 32643        32644 ... 32767
 *           +----------+----------+------------+------------+------------------+--------------+
 *           | bitmap A | bitmap B | copy of the next group's  | usable slots, a  | reserved     |
 *           |          |          | bitmap A   | bitmap B   | bit each         |              |
 *           +----------+----------+------------+------------+------------------+--------------+
 *
 * Structures whose loss would lose more than their own bytes are stored twice, far apart:
 *   - the superblock;
 *   - bitmap pages: the copies lie in the group before, those of group 0 at 512 KiB;
 *   - inner nodes of the map, and the snapshot table: the copy lies FORMAT_COPY_DISTANCE slots
 *     behind the node;
 *   - the journal's newest durable-mark: two more copies lie at 128 KiB and at 132 KiB.
 * A durable-mark of the newest checkpoint lies at 256 KiB, and at 192 KiB, if other machines can
 * reach the backing, who has it open (FormatTenure).
 *
 * A slot's number is group << 15 | index in the group; its bytes begin at
 * groups_offset + number * 4096.  Slot 0 is the home of a bitmap page, so 0 means "no slot".
 */
#pragma once

#include <glib.h>

#define FORMAT_MAGIC "STORAGOS"
#define FORMAT_VERSION 2u

#define FORMAT_SUPERBLOCK_SIZE 4096u
#define FORMAT_SUPERBLOCK_A ((guint64)0)
#define FORMAT_SUPERBLOCK_B ((guint64)64 << 10)
#define FORMAT_MARKS_OFFSET ((guint64)128 << 10) /* copies of the newest durable-mark */
#define FORMAT_MARKS 2u				 /* copies, in consecutive blocks */
#define FORMAT_MARK_DISTANCE 4096u
#define FORMAT_CHECKPOINT_MARK_OFFSET ((guint64)256 << 10)
#define FORMAT_TENURE_OFFSET ((guint64)192 << 10) /* of a shared backing: who has it */
#define FORMAT_TENURE_SIZE 4096u
#define FORMAT_PULSE_OFFSET (FORMAT_TENURE_OFFSET + FORMAT_TENURE_SIZE)
#define FORMAT_JOURNAL_OFFSET ((guint64)1 << 20)
#define FORMAT_JOURNAL_MIN ((guint64)64 << 10)
#define FORMAT_JOURNAL_MAX ((guint64)64 << 20)
#define FORMAT_JOURNAL_UNIT FORMAT_JOURNAL_MIN /* the ring's size is a multiple of this */

#define FORMAT_SLOT_SIZE 4096u
#define FORMAT_GROUP_SHIFT 15
#define FORMAT_GROUP_SLOTS (1u << FORMAT_GROUP_SHIFT)
#define FORMAT_GROUP_BYTES ((guint64)FORMAT_GROUP_SLOTS * FORMAT_SLOT_SIZE)
#define FORMAT_BITMAP_A 0u
#define FORMAT_BITMAP_B 1u
#define FORMAT_BITMAP_COPIES 2u /* index of the copy of the next group's A; B's follows */
#define FORMAT_FIRST_COPIES ((guint64)512 << 10) /* of the copies of group 0's pages */
#define FORMAT_FIRST_INDEX 4u
#define FORMAT_BITMAP_BITS 32640u /* usable slots of a group */
#define FORMAT_LAST_INDEX (FORMAT_FIRST_INDEX + FORMAT_BITMAP_BITS - 1)
#define FORMAT_SLOT_BITS 40
#define FORMAT_GROUPS_MAX ((guint64)1 << (FORMAT_SLOT_BITS - FORMAT_GROUP_SHIFT))

/* The slots of a group form stripes of this length.  A slot of an even stripe may hold an inner
 * node; the node's copy is then at the same place of the next stripe. */
#define FORMAT_COPY_DISTANCE 3264u

#define FORMAT_POINTERS_MAX 256u /* of one node */
#define FORMAT_LEVELS_MAX 5	 /* 64 TiB is 2^34 blocks */

#define FORMAT_RESERVE_PAIRS 64u

/* Feature bits.  A program that does not know an incompatible bit must not open the volume.  One
 * that does not know a read-only-compatible bit may only read.  One that does not know a compatible
 * bit may do everything, and must clear the bit when it writes. */
#define FORMAT_INCOMPATIBLE_KNOWN FORMAT_INCOMPATIBLE_BASE
#define FORMAT_RO_COMPATIBLE_KNOWN                                                                 \
	(FORMAT_RO_SNAPSHOTS | FORMAT_RO_WRITE_THROUGH | FORMAT_RO_TENURE)
#define FORMAT_COMPATIBLE_KNOWN FORMAT_COMPATIBLE_PROPERTIES

/* Incompatible: the volume is a linked clone: what it does not map may be its base's, pointers may
 * be ZERO, and the fields of the superblock from base_volume on count.  Without the bit they are
 * zeros. */
#define FORMAT_INCOMPATIBLE_BASE ((guint64)1 << 0)

/* Read-only-compatible: slots belong to snapshots, too, and the fields of the superblock from
 * head_parent on count.  Without the bit they are zeros. */
#define FORMAT_RO_SNAPSHOTS ((guint64)1 << 0)

/* Read-only-compatible: the volume has no write cache.  Who serves it acknowledges a change only
 * when the change is durable, so a program that does not know the bit must not write. */
#define FORMAT_RO_WRITE_THROUGH ((guint64)1 << 1)

/* Read-only-compatible: the volume is open for writing on a backing that other machines can reach,
 * or whoever had it open has died.  A program that does not know the bit does not look at
 * FormatTenure, so it must not write.  Closing clears it. */
#define FORMAT_RO_TENURE ((guint64)1 << 2)

/* Compatible: `properties` counts; without the bit it is zeros.  A program that does not know the
 * bit drops all properties when it writes. */
#define FORMAT_COMPATIBLE_PROPERTIES ((guint64)1 << 0)

/* A pointer of the map.  All zeros: null, a hole. */
typedef struct {
	guint64 slot_flags_birth; /* bits 0-39 slot, 40-47 flags, 48-63 birth's low 16 bits */
	guint32 crc; /* of the slot's 4096 bytes; seeded with the volume's seed and the place */
	guint32 birth_high; /* birth's bits 16-47 */
} FormatPointer;

#define FORMAT_POINTER_DEAD 0x01u /* discarded: a hole for readers, yet to be freed */

/* Of a volume with FORMAT_INCOMPATIBLE_BASE, at any level, with slot 0: zeros, although the base
 * may have something there. */
#define FORMAT_POINTER_ZERO 0x02u

#define FORMAT_BASE_NAME 256u /* bytes of the base's name, with the final NUL */
#define FORMAT_PROPERTIES_SIZE 2048u

/* A node of the map: an array of pointers.  NodeLayout (codec.h) says how many, and their size. */
typedef struct {
	guint8 bytes[FORMAT_SLOT_SIZE];
} FormatNode;

typedef struct {
	guint8 magic[8];
	guint32 version;
	guint32 levels; /* of the map: the root has level levels - 1, a leaf has level 0 */
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
	guint64 groups;	    /* with a bitmap page; all slots of later groups are free */
	guint64 seed;	    /* of every checksum in this volume */
	guint64 generation; /* of this superblock; the copy with the higher one counts */
	guint64 checkpoint; /* generation of the root; bitmap pages above it do not count */
	FormatPointer map_root;
	FormatPointer snapshot_root; /* of the snapshot table; null: it has no record */
	guint64 journal_position;    /* where replay begins; modulo journal_size in the ring */
	guint64 journal_sequence;    /* of the record there */
	guint64 fence_sequence;	     /* from this record on, records of a generation below ... */
	guint64 fence_generation;    /* ... this do not count */
	guint64 dead_first;	     /* the blocks below dead pointers all lie in ... */
	guint64 dead_end;	     /* ... [dead_first, dead_end) */
	guint64 data_slots;	     /* slots that hold blocks, whoever has them */
	guint64 node_slots;	     /* slots that hold nodes and the snapshot table, likewise */
	guint64 reserve_slot;	     /* a slot of the space kept for leaves; a hint */
	guint64 reserve_pairs[FORMAT_RESERVE_PAIRS]; /* slots kept for inner nodes; a hint */
	guint64 bitmap_digest;	   /* sum of bitmap_term() over the pages that count */
	guint64 scrub_time;	   /* end of the last scrub, Unix time in seconds; 0: never */
	guint64 scrub_blocks;	   /* verified by the last scrub */
	guint64 scrub_errors;	   /* found by it */
	guint64 scrub_repaired;	   /* copies that it rewrote */
	guint64 grown_from;	   /* least size in bytes that the volume grew from; 0: none */
	guint64 head_parent;	   /* the snapshot that the head descends from; 0: none */
	guint64 head_void;	   /* the head's dead pointers born up to here are void: holes */
	guint64 head_written;	   /* blocks of the head that were born after head_parent */
	guint64 head_data;	   /* slots with blocks of the head, its dead ones included */
	guint64 head_nodes;	   /* slots with its nodes, likewise */
	guint64 dying_generation;  /* the snapshot whose dying part is being freed; 0: none */
	guint64 dying_cursor;	   /* its blocks before this one are done */
	guint64 dying_written;	   /* its `written` by now */
	guint64 delete_generation; /* the snapshot that is being taken apart; 0: none */
	guint64 delete_cursor;	   /* its blocks before this one are done */
	guint64 delete_written;	   /* its `written` by now */
	guint64 snapshot_flags;	   /* FORMAT_HEAD_* */
	guint8 base_volume[16];	   /* UUID of the volume whose snapshot the base is */
	guint8 base_snapshot[16];  /* UUID of that snapshot */
	guint64 base_generation;   /* of that snapshot */
	guint64 base_size;	   /* of that snapshot, bytes */
	guint32 base_root;	   /* checksum in the pointer to that snapshot's root; null: 0 */
	guint32 base_padding;
	guint64 base_blocks;		    /* the head reads the base before this block only */
	guint8 base_name[FORMAT_BASE_NAME]; /* a hint: where the base was; padded with zeros */
	guint8 properties[FORMAT_PROPERTIES_SIZE]; /* "KEY=VALUE\n", sorted; padded with zeros */
	guint8 reserved[836];
	guint32 crc; /* of all bytes before */
} FormatSuperblock;

#define FORMAT_FLAG_CLEAN 0x1u /* closed cleanly: nothing to replay */

/* Of snapshot_flags.  BOUND: head_data and head_nodes are upper bounds, since a shared subtree was
 * discarded whole.  VOIDS: the head may have void pointers.  WRITTEN_BOUND: head_written is an
 * upper bound, since a bookmark was deleted. */
#define FORMAT_HEAD_BOUND ((guint64)1 << 0)
#define FORMAT_HEAD_VOIDS ((guint64)1 << 1)
#define FORMAT_HEAD_WRITTEN_BOUND ((guint64)1 << 2)

/* While the newest superblock has generation g, stamps (births, bitmap pages, records) of
 * generations up to g + 2 may be on the disk. */
#define FORMAT_STAMPS_AHEAD 2u

/* The snapshot table: one node whose pointers lead to pages of 16 records.  The node and the pages
 * are stored twice, as inner nodes are.  A hold, which keeps a snapshot from being deleted, has a
 * record of its own: its class is in `state`, its holder in `uuid`, its tag in `name`. */
typedef struct {
	guint64 generation; /* of the checkpoint that the snapshot is; a hold: which one it holds */
	guint64 parent;	    /* the snapshot that it descends from; 0: none */
	guint64 floor;	    /* its dead pointers born up to here are void: holes */
	FormatPointer root; /* null: an empty map, or none (bookmark, receiving) */
	guint64 size;	    /* of the volume at that time, bytes */
	guint32 levels;	    /* of the map, likewise */
	guint16 kind;	    /* FORMAT_SNAPSHOT_KIND_*; 0: no record */
	guint16 state;	    /* FORMAT_SNAPSHOT_* or, of a hold, FORMAT_HOLD_* */
	guint64 dying_first; /* what is below its dead pointers is not free yet in blocks ... */
	guint64 dying_end;   /* ... [dying_first, dying_end) */
	guint64 referenced;  /* slots with blocks that it maps */
	guint64 nodes;	     /* slots with nodes */
	guint64 written;     /* blocks born after `parent` */
	guint64 created;     /* Unix time in seconds */
	guint64 group;	     /* the same for snapshots that were taken at one instant; 0: none */
	guint8 uuid[16];
	guint8 name[64]; /* padded with zeros */
	guint32 flags;	 /* FORMAT_SNAPSHOT_FLAG_* */
	guint32 padding;
	guint64 received;    /* state receiving: blocks before this one have arrived */
	guint64 base_blocks; /* of a linked clone: the base is read before this block only */
	guint8 reserved[40];
} FormatSnapshot;

enum {
	FORMAT_SNAPSHOT_KIND_SNAPSHOT = 1,
	FORMAT_SNAPSHOT_KIND_HOLD = 2,
};

enum {
	FORMAT_SNAPSHOT_ALIVE = 1,
	FORMAT_SNAPSHOT_DELETING = 2,  /* given up; its slots become free step by step */
	FORMAT_SNAPSHOT_BOOKMARK = 3,  /* its tree was given up, its place in the lineage stays */
	FORMAT_SNAPSHOT_RECEIVING = 4, /* a stream is being received into the head */
};

enum {
	FORMAT_HOLD_USER = 1,
	FORMAT_HOLD_CLONE = 2,
	FORMAT_HOLD_SEND = 3,
};

#define FORMAT_SNAPSHOT_FLAG_FROZEN 0x1u    /* the file systems on the volume were frozen */
#define FORMAT_SNAPSHOT_FLAG_BY_POLICY 0x2u /* a schedule made it, and may delete it */
#define FORMAT_SNAPSHOT_FLAG_BOUND 0x4u	    /* `referenced` and `nodes` are upper bounds */
#define FORMAT_SNAPSHOT_FLAG_KEEP 0x8u	    /* state deleting: a bookmark is to stay */

#define FORMAT_SNAPSHOT_FLAG_WRITTEN_BOUND 0x10u /* `written` is an upper bound */

#define FORMAT_TABLE_RECORDS 16u /* of one page */
#define FORMAT_TABLE_PAGES FORMAT_POINTERS_MAX
#define FORMAT_SNAPSHOTS_MAX (FORMAT_TABLE_PAGES * FORMAT_TABLE_RECORDS)

typedef struct {
	FormatSnapshot records[FORMAT_TABLE_RECORDS];
} FormatTablePage;

typedef struct {
	guint32 crc; /* of all bytes after; seeded with the volume's seed and the group */
	guint32 magic;
	guint64 generation;
	guint8 bits[FORMAT_BITMAP_BITS / 8]; /* bit i % 8 of byte i / 8: index i + 4 is in use */
} FormatBitmap;

#define FORMAT_BITMAP_MAGIC 0x4d424f53u /* "SOBM" */

/* A journal record is this header; for a write, then its runs (slot in bits 0-39, number of slots
 * in bits 40-63) and one checksum for each block; then zeros up to a multiple of 8 bytes.  A record
 * does not cross the ring's end: after a wrap record, or where less than a header is left, the next
 * record begins at the ring's start. */
typedef struct {
	guint32 crc; /* of all bytes after; seeded with the volume's seed and the sequence */
	guint16 kind;
	guint16 runs;
	guint32 length; /* of the record, in bytes */
	guint32 magic;
	guint64 sequence;
	guint64 generation;
	guint64 first;	/* block; durable-mark: every record before this sequence is on the disk */
	guint64 blocks; /* number of blocks */
} FormatRecord;

#define FORMAT_RECORD_MAGIC 0x4c4a4f53u /* "SOJL" */
#define FORMAT_RECORD_ALIGN 8u

enum {
	FORMAT_RECORD_WRITE = 1,
	FORMAT_RECORD_ZERO = 2,
	FORMAT_RECORD_SNAPSHOT = 3, /* reserved; a snapshot has no record in the journal */
	FORMAT_RECORD_DURABLE = 4,
	FORMAT_RECORD_WRAP = 5,
};

/* Who has a shared backing open for writing, or had it last (tenure.h): written when it is opened.
 * It fits in a sector, which disks write whole; the rest of its 4096 bytes is zeros.  All zeros:
 * nobody ever had it. */
typedef struct {
	guint32 crc; /* of all bytes after; seeded with seed 0 and the place */
	guint32 magic;
	guint64 turn;	    /* random */
	guint8 machine[16]; /* of /etc/machine-id, or zeros */
	guint8 boot[16];    /* of that boot of the machine, or zeros */
	guint64 device;	    /* the backing's device number there */
	guint32 process;
	guint32 interval; /* milliseconds between two pulses: 1 to FORMAT_TENURE_INTERVAL_MAX */
	guint8 host[64];  /* name of the machine; padded with zeros */
	guint8 reserved[384];
} FormatTenure;

/* That whoever has it lives: in the next 4096 bytes, written anew in each interval, and at the end.
 * That of another turn than FormatTenure's says nothing. */
typedef struct {
	guint32 crc; /* as above, with a place of its own */
	guint32 magic;
	guint64 turn;
	guint64 sequence; /* random, another one with each write */
	guint32 state;	  /* FORMAT_TENURE_* */
	guint8 reserved[484];
} FormatPulse;

#define FORMAT_TENURE_MAGIC 0x4e544f53u /* "SOTN" */
#define FORMAT_PULSE_MAGIC 0x50544f53u	/* "SOTP" */
#define FORMAT_TENURE_INTERVAL_MAX 60000u

enum {
	FORMAT_TENURE_OPEN = 1,
	FORMAT_TENURE_CLOSED = 2, /* given back: nobody has it */
};

#define FORMAT_RECORD_BLOCKS_MAX 257u /* of one write: 1 MiB that begins inside a block */
#define FORMAT_RECORD_LENGTH_MAX                                                                   \
	(sizeof(FormatRecord) + FORMAT_RECORD_BLOCKS_MAX * 8u + (FORMAT_RECORD_BLOCKS_MAX + 1) * 4u)

G_STATIC_ASSERT(sizeof(FormatPointer) == 16);
G_STATIC_ASSERT(sizeof(FormatNode) == FORMAT_SLOT_SIZE);
G_STATIC_ASSERT(FORMAT_POINTERS_MAX * sizeof(FormatPointer) == FORMAT_SLOT_SIZE);
G_STATIC_ASSERT(sizeof(FormatSuperblock) == FORMAT_SUPERBLOCK_SIZE);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSuperblock, generation) == 112);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSuperblock, map_root) == 128);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSuperblock, head_parent) == 792);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSuperblock, base_volume) == 888);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSuperblock, properties) == 1208);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSuperblock, crc) == 4092);
G_STATIC_ASSERT(sizeof(FormatSnapshot) == 256);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSnapshot, name) == 128);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatSnapshot, base_blocks) == 208);
G_STATIC_ASSERT(sizeof(FormatTablePage) == FORMAT_SLOT_SIZE);
G_STATIC_ASSERT(sizeof(FormatBitmap) == FORMAT_SLOT_SIZE);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatBitmap, bits) == 16);
G_STATIC_ASSERT(sizeof(FormatRecord) == 48);
G_STATIC_ASSERT(sizeof(FormatTenure) == 512);
G_STATIC_ASSERT(G_STRUCT_OFFSET(FormatTenure, host) == 64);
G_STATIC_ASSERT(sizeof(FormatPulse) == 512);
G_STATIC_ASSERT(FORMAT_RECORD_LENGTH_MAX % FORMAT_RECORD_ALIGN == 0);
G_STATIC_ASSERT(FORMAT_BITMAP_BITS % 64 == 0);
G_STATIC_ASSERT(FORMAT_COPY_DISTANCE % 64 == 0);
G_STATIC_ASSERT(FORMAT_BITMAP_BITS % (2 * FORMAT_COPY_DISTANCE) == 0);
G_STATIC_ASSERT(FORMAT_LAST_INDEX < FORMAT_GROUP_SLOTS);
