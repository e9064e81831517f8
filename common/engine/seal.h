/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a volume's bytes are protected: every block, node, bitmap page and journal record has a
 * CRC32C that also covers the volume's seed and the place where the bytes belong (I4).  Bytes of
 * another volume, or of another place of this one, do not match.  docs/disk-format.md, "Checksums
 * and places", has the formula; seal.c is the only code that knows it.
 *
 * Everybody who writes or verifies a volume's bytes calls these functions: requests, checkpoints,
 * recovery, check, repair and scrub.
 *
 * Pure, any thread.  A Seal is constant once it is initialized, and must outlive whoever was given
 * its address.
 */
#pragma once

#include "common/base/bytes.h"
#include "common/engine/format.h"

typedef struct {
	guint64 seed; /* the superblock's */
} Seal;

/* The checksum to store for the BLOCK_SIZE bytes of block `block`. */
guint32 seal_block(const Seal *seal, guint64 block, const void *data);

/* Whether the BLOCK_SIZE bytes at `data` are those of block `block` that `crc` was stored for. */
gboolean seal_block_fits(const Seal *seal, guint64 block, const void *data, guint32 crc);

/* The same two for the next BLOCK_SIZE bytes of a vector.  The cursor moves on, whatever the
 * result. */
guint32 seal_block_vector(const Seal *seal, guint64 block, IovCursor *cursor);
gboolean seal_block_vector_fits(const Seal *seal, guint64 block, IovCursor *cursor, guint32 crc);

/* Nodes of the map: level 0 is a leaf. */
guint32 seal_node(const Seal *seal, guint level, guint64 index, const FormatNode *node);
gboolean seal_node_fits(const Seal *seal, guint level, guint64 index, const FormatNode *node,
			guint32 crc);

/* The snapshot table: its node, and its pages. */
guint32 seal_table_root(const Seal *seal, const FormatNode *node);
guint32 seal_table_page(const Seal *seal, guint page, const FormatTablePage *data);

/* A bitmap page: everything behind its `crc`. */
guint32 seal_bitmap(const Seal *seal, guint64 group, const FormatBitmap *page);

/* A journal record of `length` bytes: everything behind its first 4 bytes, the checksum. */
guint32 seal_record(const Seal *seal, guint64 sequence, const guint8 *record, guint32 length);

/* Who has a shared backing, and that he lives: everything behind the `crc`.  Whoever reads them may
 * not know the volume yet, so the seed is 0. */
guint32 seal_tenure(const FormatTenure *tenure);
guint32 seal_pulse(const FormatPulse *pulse);

/* A superblock: everything before its `crc`.  Not seeded, since the seed stands in it. */
guint32 seal_superblock(const FormatSuperblock *sb);
