/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/engine/codec.h"

void base_encode(const Superblock *sb, FormatSuperblock *out)
{
	const BaseIdentity *base = &sb->base;

	if (!(sb->incompatible & FORMAT_INCOMPATIBLE_BASE))
		return;
	memcpy(out->base_volume, base->volume, sizeof out->base_volume);
	memcpy(out->base_snapshot, base->snapshot, sizeof out->base_snapshot);
	out->base_generation = GUINT64_TO_LE(base->generation);
	out->base_size = GUINT64_TO_LE(base->size);
	out->base_root = GUINT32_TO_LE(base->root);
	out->base_blocks = GUINT64_TO_LE(sb->base_blocks);
	memcpy(out->base_name, base->name, strnlen(base->name, sizeof base->name - 1));
}

void base_decode(const FormatSuperblock *in, Superblock *sb)
{
	BaseIdentity *base = &sb->base;

	if (!(sb->incompatible & FORMAT_INCOMPATIBLE_BASE))
		return;
	memcpy(base->volume, in->base_volume, sizeof base->volume);
	memcpy(base->snapshot, in->base_snapshot, sizeof base->snapshot);
	base->generation = GUINT64_FROM_LE(in->base_generation);
	base->size = GUINT64_FROM_LE(in->base_size);
	base->root = GUINT32_FROM_LE(in->base_root);
	sb->base_blocks = GUINT64_FROM_LE(in->base_blocks);
	memcpy(base->name, in->base_name, sizeof base->name - 1);
}

/* I9: nothing is read behind the base's end, or the volume's. */
gboolean base_coherent(const Superblock *sb)
{
	if (!(sb->incompatible & FORMAT_INCOMPATIBLE_BASE))
		return !sb->map_root.zero;
	return sb->base.size >= MIB && sb->base.size <= (guint64)1 << 46 &&
	       sb->base.size % SECTOR_SIZE == 0 && sb->base.generation &&
	       sb->base_blocks <= blocks_covering(sb->base.size) &&
	       sb->base_blocks <= blocks_covering(sb->size) &&
	       (!sb->map_root.zero || !sb->map_root.slot) &&
	       g_utf8_validate(sb->base.name, -1, NULL);
}

G_STATIC_ASSERT(BASE_NAME_SIZE == sizeof(((FormatSuperblock *)NULL)->base_name));
