/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/seal.h"

#include "common/base/units.h"
#include "common/engine/crc32c.h"

/* Places.  The highest byte tells the kinds apart: 0 a block, 1 to 5 a node, 0x10 a bitmap page,
 * 0x20 a journal record, 0x30 a page of the snapshot table, 0x31 that table's root, 0x40 who has a
 * shared backing, 0x41 that he lives. */
static inline guint64 place_of_block(guint64 block)
{
	return block;
}

static inline guint64 place_of_node(guint level, guint64 index)
{
	return (guint64)(level + 1) << 56 | index;
}

static inline guint64 place_of_bitmap(guint64 group)
{
	return (guint64)0x10 << 56 | group;
}

static inline guint64 place_of_table_page(guint page)
{
	return (guint64)0x30 << 56 | page;
}

static inline guint64 place_of_table_root(void)
{
	return (guint64)0x31 << 56;
}

static inline guint64 place_of_tenure(void)
{
	return (guint64)0x40 << 56;
}

static inline guint64 place_of_pulse(void)
{
	return (guint64)0x41 << 56;
}

static inline guint64 place_of_record(guint64 sequence)
{
	return (guint64)0x20 << 56 ^ sequence;
}

/* The start value for the checksum of what belongs at `place`. */
static inline guint32 crc_start(const Seal *seal, guint64 place)
{
	guint64 both[2] = {GUINT64_TO_LE(seal->seed), GUINT64_TO_LE(place)};

	return crc32c(0, both, sizeof both);
}

guint32 seal_block(const Seal *seal, guint64 block, const void *data)
{
	return crc32c(crc_start(seal, place_of_block(block)), data, BLOCK_SIZE);
}

gboolean seal_block_fits(const Seal *seal, guint64 block, const void *data, guint32 crc)
{
	return seal_block(seal, block, data) == crc;
}

guint32 seal_block_vector(const Seal *seal, guint64 block, IovCursor *cursor)
{
	guint32 crc = crc_start(seal, place_of_block(block));

	for (gsize left = BLOCK_SIZE; left;) {
		gsize piece = left;
		const void *data = iov_next(cursor, &piece);

		if (!data)
			break;
		crc = crc32c(crc, data, piece);
		left -= piece;
	}
	return crc;
}

gboolean seal_block_vector_fits(const Seal *seal, guint64 block, IovCursor *cursor, guint32 crc)
{
	return seal_block_vector(seal, block, cursor) == crc;
}

guint32 seal_node(const Seal *seal, guint level, guint64 index, const FormatNode *node)
{
	return crc32c(crc_start(seal, place_of_node(level, index)), node, sizeof *node);
}

gboolean seal_node_fits(const Seal *seal, guint level, guint64 index, const FormatNode *node,
			guint32 crc)
{
	return seal_node(seal, level, index, node) == crc;
}

guint32 seal_table_root(const Seal *seal, const FormatNode *node)
{
	return crc32c(crc_start(seal, place_of_table_root()), node, sizeof *node);
}

guint32 seal_table_page(const Seal *seal, guint page, const FormatTablePage *data)
{
	return crc32c(crc_start(seal, place_of_table_page(page)), data, sizeof *data);
}

guint32 seal_bitmap(const Seal *seal, guint64 group, const FormatBitmap *page)
{
	return crc32c(crc_start(seal, place_of_bitmap(group)), &page->magic,
		      sizeof *page - G_STRUCT_OFFSET(FormatBitmap, magic));
}

guint32 seal_record(const Seal *seal, guint64 sequence, const guint8 *record, guint32 length)
{
	return crc32c(crc_start(seal, place_of_record(sequence)), record + 4, length - 4);
}

static const Seal no_seal = {0};

guint32 seal_tenure(const FormatTenure *tenure)
{
	return crc32c(crc_start(&no_seal, place_of_tenure()), &tenure->magic,
		      sizeof *tenure - G_STRUCT_OFFSET(FormatTenure, magic));
}

guint32 seal_pulse(const FormatPulse *pulse)
{
	return crc32c(crc_start(&no_seal, place_of_pulse()), &pulse->magic,
		      sizeof *pulse - G_STRUCT_OFFSET(FormatPulse, magic));
}

guint32 seal_superblock(const FormatSuperblock *sb)
{
	return crc32c(0, sb, G_STRUCT_OFFSET(FormatSuperblock, crc));
}
