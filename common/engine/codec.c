/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/codec.h"

#define VOLUME_BYTES_MIN ((guint64)1 << 20)
#define VOLUME_BYTES_MAX ((guint64)1 << 46)

guint codec_levels(NodeLayout layout, guint64 size)
{
	guint64 nodes = blocks_covering(size);
	guint levels = 0;

	do {
		nodes = node_parent(layout, nodes + node_pointers(layout) - 1);
		levels++;
	} while (nodes > 1);
	return levels;
}

void uuid_format(const guint8 uuid[16], char ret_text[UUID_TEXT])
{
	for (guint i = 0; i < 16; i++)
		ret_text += g_snprintf(ret_text, 4, "%s%02x",
				       i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

gboolean uuid_parse(const char *text, guint8 ret_uuid[16])
{
	guint8 uuid[16];
	char again[UUID_TEXT];
	const char *at = text;

	if (strlen(text) != UUID_TEXT - 1)
		return FALSE;
	for (guint i = 0; i < 16; i++, at += 2) {
		at += *at == '-';
		if (!g_ascii_isxdigit(at[0]) || !g_ascii_isxdigit(at[1]))
			return FALSE;
		uuid[i] = (guint8)(g_ascii_xdigit_value(at[0]) << 4 |
				   (g_ascii_xdigit_value(at[1]) & 15));
	}
	uuid_format(uuid, again);
	if (strcmp(again, text) != 0)
		return FALSE;
	memcpy(ret_uuid, uuid, sizeof uuid);
	return TRUE;
}

/* Without the bit the fields stay zeros, so that programs that do not know it find what they
 * expect. */
static void encode_snapshot_fields(const Superblock *sb, FormatSuperblock *out)
{
	if (!(sb->ro_compatible & FORMAT_RO_SNAPSHOTS))
		return;
	entry_encode(&sb->snapshot_root, &out->snapshot_root);
	out->head_parent = GUINT64_TO_LE(sb->head_parent);
	out->head_void = GUINT64_TO_LE(sb->head_void);
	out->head_written = GUINT64_TO_LE(sb->head_written);
	out->head_data = GUINT64_TO_LE(sb->head_data);
	out->head_nodes = GUINT64_TO_LE(sb->head_nodes);
	out->dying_generation = GUINT64_TO_LE(sb->dying_generation);
	out->dying_cursor = GUINT64_TO_LE(sb->dying_cursor);
	out->dying_written = GUINT64_TO_LE(sb->dying_written);
	out->delete_generation = GUINT64_TO_LE(sb->delete_generation);
	out->delete_cursor = GUINT64_TO_LE(sb->delete_cursor);
	out->delete_written = GUINT64_TO_LE(sb->delete_written);
	out->snapshot_flags =
		GUINT64_TO_LE((sb->head_bound ? FORMAT_HEAD_BOUND : 0) |
			      (sb->head_voids ? FORMAT_HEAD_VOIDS : 0) |
			      (sb->head_written_bound ? FORMAT_HEAD_WRITTEN_BOUND : 0));
}

void superblock_encode(const Superblock *sb, FormatSuperblock *out)
{
	memset(out, 0, sizeof *out);
	memcpy(out->magic, FORMAT_MAGIC, sizeof out->magic);
	memcpy(out->uuid, sb->uuid, sizeof out->uuid);
	out->version = GUINT32_TO_LE(FORMAT_VERSION);
	out->levels = GUINT32_TO_LE(sb->levels);
	out->incompatible = GUINT64_TO_LE(sb->incompatible);
	out->ro_compatible = GUINT64_TO_LE(sb->ro_compatible);
	out->compatible = GUINT64_TO_LE(sb->compatible);
	out->size = GUINT64_TO_LE(sb->size);
	out->logical_block_size = GUINT32_TO_LE(sb->logical_block_size);
	out->flags = GUINT32_TO_LE(sb->clean ? FORMAT_FLAG_CLEAN : 0);
	out->journal_offset = GUINT64_TO_LE(FORMAT_JOURNAL_OFFSET);
	out->journal_size = GUINT64_TO_LE(sb->journal_size);
	out->groups_offset = GUINT64_TO_LE(sb->groups_offset);
	out->groups = GUINT64_TO_LE(sb->groups);
	out->seed = GUINT64_TO_LE(sb->seed);
	out->generation = GUINT64_TO_LE(sb->generation);
	out->checkpoint = GUINT64_TO_LE(sb->checkpoint);
	entry_encode(&sb->map_root, &out->map_root);
	out->journal_position = GUINT64_TO_LE(sb->journal_position);
	out->journal_sequence = GUINT64_TO_LE(sb->journal_sequence);
	out->fence_sequence = GUINT64_TO_LE(sb->fence_sequence);
	out->fence_generation = GUINT64_TO_LE(sb->fence_generation);
	out->dead_first = GUINT64_TO_LE(sb->dead_first);
	out->dead_end = GUINT64_TO_LE(sb->dead_end);
	out->data_slots = GUINT64_TO_LE(sb->data_slots);
	out->node_slots = GUINT64_TO_LE(sb->node_slots);
	out->reserve_slot = GUINT64_TO_LE(sb->reserve_slot);
	for (guint i = 0; i < FORMAT_RESERVE_PAIRS; i++)
		out->reserve_pairs[i] = GUINT64_TO_LE(sb->reserve_pairs[i]);
	out->bitmap_digest = GUINT64_TO_LE(sb->bitmap_digest);
	out->scrub_time = GUINT64_TO_LE(sb->scrub_time);
	out->scrub_blocks = GUINT64_TO_LE(sb->scrub_blocks);
	out->scrub_errors = GUINT64_TO_LE(sb->scrub_errors);
	out->scrub_repaired = GUINT64_TO_LE(sb->scrub_repaired);
	out->grown_from = GUINT64_TO_LE(sb->grown_from);
	encode_snapshot_fields(sb, out);
	base_encode(sb, out);
	if (sb->compatible & FORMAT_COMPATIBLE_PROPERTIES)
		memcpy(out->properties, sb->properties.text, sizeof out->properties);
	out->crc = GUINT32_TO_LE(seal_superblock(out));
}

static gboolean geometry_valid(const Superblock *sb)
{
	return sb->size >= VOLUME_BYTES_MIN && sb->size <= VOLUME_BYTES_MAX &&
	       sb->size % SECTOR_SIZE == 0 &&
	       (sb->logical_block_size == SECTOR_SIZE || sb->logical_block_size == BLOCK_SIZE) &&
	       sb->size % sb->logical_block_size == 0 && sb->journal_size >= FORMAT_JOURNAL_MIN &&
	       sb->journal_size <= FORMAT_JOURNAL_MAX &&
	       sb->journal_size % FORMAT_JOURNAL_UNIT == 0 &&
	       sb->groups_offset == FORMAT_JOURNAL_OFFSET + sb->journal_size &&
	       sb->groups <= FORMAT_GROUPS_MAX;
}

static gboolean state_coherent(const Superblock *sb)
{
	return sb->levels == codec_levels(superblock_layout(sb), sb->size) &&
	       sb->checkpoint <= sb->generation && !sb->map_root.dead &&
	       (!sb->map_root.slot ||
		node_slot_is_usable(sb->levels - 1, sb->map_root.slot, sb->groups)) &&
	       sb->journal_position % FORMAT_RECORD_ALIGN == 0 && sb->dead_first <= sb->dead_end &&
	       sb->dead_end <= blocks_covering(sb->size);
}

/* A cursor belongs to a snapshot; and what is void, or a parent, is not of the future. */
static gboolean snapshots_coherent(const Superblock *sb)
{
	const MapEntry *root = &sb->snapshot_root;

	return (!root->slot || (!root->dead && node_slot_is_usable(1, root->slot, sb->groups))) &&
	       sb->head_parent <= sb->head_void && sb->head_void <= sb->checkpoint &&
	       sb->dying_generation <= sb->checkpoint && sb->delete_generation <= sb->checkpoint &&
	       (root->slot ||
		(!sb->head_parent && !sb->dying_generation && !sb->delete_generation)) &&
	       (sb->dying_generation || !sb->dying_cursor) &&
	       (sb->delete_generation || !sb->delete_cursor);
}

static void decode_snapshot_fields(const FormatSuperblock *in, Superblock *sb)
{
	guint64 flags = GUINT64_FROM_LE(in->snapshot_flags);

	if (!(sb->ro_compatible & FORMAT_RO_SNAPSHOTS)) {
		sb->head_written = sb->head_data = sb->data_slots;
		sb->head_nodes = sb->node_slots;
		return;
	}
	sb->snapshot_root = entry_decode(&in->snapshot_root);
	sb->head_parent = GUINT64_FROM_LE(in->head_parent);
	sb->head_void = GUINT64_FROM_LE(in->head_void);
	sb->head_written = GUINT64_FROM_LE(in->head_written);
	sb->head_data = GUINT64_FROM_LE(in->head_data);
	sb->head_nodes = GUINT64_FROM_LE(in->head_nodes);
	sb->dying_generation = GUINT64_FROM_LE(in->dying_generation);
	sb->dying_cursor = GUINT64_FROM_LE(in->dying_cursor);
	sb->dying_written = GUINT64_FROM_LE(in->dying_written);
	sb->delete_generation = GUINT64_FROM_LE(in->delete_generation);
	sb->delete_cursor = GUINT64_FROM_LE(in->delete_cursor);
	sb->delete_written = GUINT64_FROM_LE(in->delete_written);
	sb->head_bound = (flags & FORMAT_HEAD_BOUND) != 0;
	sb->head_voids = (flags & FORMAT_HEAD_VOIDS) != 0;
	sb->head_written_bound = (flags & FORMAT_HEAD_WRITTEN_BOUND) != 0;
}

static void superblock_fields(const FormatSuperblock *in, Superblock *sb)
{
	*sb = (Superblock){
		.levels = GUINT32_FROM_LE(in->levels),
		.incompatible = GUINT64_FROM_LE(in->incompatible),
		.ro_compatible = GUINT64_FROM_LE(in->ro_compatible),
		.compatible = GUINT64_FROM_LE(in->compatible),
		.size = GUINT64_FROM_LE(in->size),
		.logical_block_size = GUINT32_FROM_LE(in->logical_block_size),
		.clean = (GUINT32_FROM_LE(in->flags) & FORMAT_FLAG_CLEAN) != 0,
		.journal_size = GUINT64_FROM_LE(in->journal_size),
		.groups_offset = GUINT64_FROM_LE(in->groups_offset),
		.groups = GUINT64_FROM_LE(in->groups),
		.seed = GUINT64_FROM_LE(in->seed),
		.generation = GUINT64_FROM_LE(in->generation),
		.checkpoint = GUINT64_FROM_LE(in->checkpoint),
		.map_root = entry_decode(&in->map_root),
		.journal_position = GUINT64_FROM_LE(in->journal_position),
		.journal_sequence = GUINT64_FROM_LE(in->journal_sequence),
		.fence_sequence = GUINT64_FROM_LE(in->fence_sequence),
		.fence_generation = GUINT64_FROM_LE(in->fence_generation),
		.dead_first = GUINT64_FROM_LE(in->dead_first),
		.dead_end = GUINT64_FROM_LE(in->dead_end),
		.data_slots = GUINT64_FROM_LE(in->data_slots),
		.node_slots = GUINT64_FROM_LE(in->node_slots),
		.reserve_slot = GUINT64_FROM_LE(in->reserve_slot),
		.bitmap_digest = GUINT64_FROM_LE(in->bitmap_digest),
		.scrub_time = GUINT64_FROM_LE(in->scrub_time),
		.scrub_blocks = GUINT64_FROM_LE(in->scrub_blocks),
		.scrub_errors = GUINT64_FROM_LE(in->scrub_errors),
		.scrub_repaired = GUINT64_FROM_LE(in->scrub_repaired),
		.grown_from = GUINT64_FROM_LE(in->grown_from),
	};
	memcpy(sb->uuid, in->uuid, sizeof sb->uuid);
	for (guint i = 0; i < FORMAT_RESERVE_PAIRS; i++)
		sb->reserve_pairs[i] = GUINT64_FROM_LE(in->reserve_pairs[i]);
	decode_snapshot_fields(in, sb);
	base_decode(in, sb);
	if (sb->compatible & FORMAT_COMPATIBLE_PROPERTIES)
		memcpy(sb->properties.text, in->properties, sizeof in->properties);
}

gboolean superblock_decode(const FormatSuperblock *in, Superblock *ret_sb, const char *name,
			   GError **error)
{
	guint32 crc = seal_superblock(in);
	guint32 version = GUINT32_FROM_LE(in->version);
	Superblock sb;

	if (memcmp(in->magic, FORMAT_MAGIC, sizeof in->magic))
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "%s: no storageos volume", name);
	/* The checksum comes first: its place is the same in every version, and a flipped bit must
	 * not be reported as a newer version. */
	if (crc != GUINT32_FROM_LE(in->crc))
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s: superblock checksum 0x%08x, computed 0x%08x", name,
				 GUINT32_FROM_LE(in->crc), crc);
	if (version != FORMAT_VERSION)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: format version %u, this program knows %u", name, version,
				 FORMAT_VERSION);
	superblock_fields(in, &sb);
	if (sb.incompatible & ~FORMAT_INCOMPATIBLE_KNOWN)
		return error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
				 "%s: uses features 0x%" G_GINT64_MODIFIER
				 "x that this program does not know",
				 name, sb.incompatible & ~FORMAT_INCOMPATIBLE_KNOWN);
	if (!geometry_valid(&sb) || !state_coherent(&sb) || !snapshots_coherent(&sb) ||
	    !base_coherent(&sb))
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s: superblock contradicts itself", name);
	*ret_sb = sb;
	return TRUE;
}

void bitmap_seal(FormatBitmap *page, const Seal *seal, guint64 group, guint64 generation)
{
	page->magic = GUINT32_TO_LE(FORMAT_BITMAP_MAGIC);
	page->generation = GUINT64_TO_LE(generation);
	page->crc = GUINT32_TO_LE(seal_bitmap(seal, group, page));
}

gboolean bitmap_verify(const FormatBitmap *page, const Seal *seal, guint64 group,
		       guint64 *ret_generation)
{
	if (GUINT32_FROM_LE(page->magic) != FORMAT_BITMAP_MAGIC ||
	    GUINT32_FROM_LE(page->crc) != seal_bitmap(seal, group, page))
		return FALSE;
	*ret_generation = GUINT64_FROM_LE(page->generation);
	return TRUE;
}

/* The finalizer of splitmix64: checksums that differ in one bit have unrelated terms. */
guint64 bitmap_term(const FormatBitmap *page, guint64 group)
{
	guint64 x = (guint64)GUINT32_FROM_LE(page->crc) << 32 ^ group * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

guint32 record_length(guint16 kind, guint n_runs, guint64 blocks)
{
	guint32 length = sizeof(FormatRecord);

	if (kind == FORMAT_RECORD_WRITE)
		length += n_runs * 8 + (guint32)blocks * 4;
	return (length + FORMAT_RECORD_ALIGN - 1) & ~(FORMAT_RECORD_ALIGN - 1);
}

void record_encode(const Record *record, const Seal *seal, guint8 *out)
{
	guint32 length = record_length(record->kind, record->n_runs, record->blocks);
	FormatRecord header = {
		.kind = GUINT16_TO_LE(record->kind),
		.runs = GUINT16_TO_LE((guint16)record->n_runs),
		.length = GUINT32_TO_LE(length),
		.magic = GUINT32_TO_LE(FORMAT_RECORD_MAGIC),
		.sequence = GUINT64_TO_LE(record->sequence),
		.generation = GUINT64_TO_LE(record->generation),
		.first = GUINT64_TO_LE(record->first),
		.blocks = GUINT64_TO_LE(record->blocks),
	};
	guint8 *p = out + sizeof header;

	memcpy(out, &header, sizeof header);
	if (record->kind == FORMAT_RECORD_WRITE) {
		for (guint i = 0; i < record->n_runs; i++, p += 8)
			put_le64(p, record->runs[i].slot | (guint64)record->runs[i].count
								   << FORMAT_SLOT_BITS);
		for (guint i = 0; i < record->blocks; i++, p += 4)
			put_le32(p, record->crcs[i]);
		memset(p, 0, (gsize)(out + length - p));
	}
	put_le32(out, seal_record(seal, record->sequence, out, length));
}

/* Decodes runs and checksums.  I9: FALSE unless every run lies within the usable slots of one
 * group, and all runs together have as many slots as the record has blocks. */
static gboolean decode_payload(const guint8 *p, Record *record, SlotRun *runs, guint32 *crcs)
{
	guint64 slots = 0;

	for (guint i = 0; i < record->n_runs; i++, p += 8) {
		guint64 v = get_le64(p);

		runs[i].slot = v & (((guint64)1 << FORMAT_SLOT_BITS) - 1);
		runs[i].count = (guint32)(v >> FORMAT_SLOT_BITS);
		slots += runs[i].count;
		if (!runs[i].count || slot_index(runs[i].slot) < FORMAT_FIRST_INDEX ||
		    slot_index(runs[i].slot) + runs[i].count - 1 > FORMAT_LAST_INDEX)
			return FALSE;
	}
	for (guint i = 0; i < record->blocks; i++, p += 4)
		crcs[i] = get_le32(p);
	record->runs = runs;
	record->crcs = crcs;
	return slots == record->blocks;
}

guint32 record_decode(const guint8 *in, gsize available, const Seal *seal, guint64 sequence,
		      Record *ret_record, SlotRun *runs, guint32 *crcs)
{
	FormatRecord header;
	Record record;
	guint32 length;

	if (available < sizeof header)
		return 0;
	memcpy(&header, in, sizeof header);
	length = GUINT32_FROM_LE(header.length);
	record = (Record){
		.kind = GUINT16_FROM_LE(header.kind),
		.sequence = GUINT64_FROM_LE(header.sequence),
		.generation = GUINT64_FROM_LE(header.generation),
		.first = GUINT64_FROM_LE(header.first),
		.blocks = GUINT64_FROM_LE(header.blocks),
		.n_runs = GUINT16_FROM_LE(header.runs),
	};
	if (GUINT32_FROM_LE(header.magic) != FORMAT_RECORD_MAGIC || record.sequence != sequence)
		return 0;
	if (record.kind == FORMAT_RECORD_WRITE &&
	    (!record.blocks || record.blocks > FORMAT_RECORD_BLOCKS_MAX ||
	     record.n_runs > record.blocks))
		return 0;
	if (record.kind != FORMAT_RECORD_WRITE && record.n_runs)
		return 0;
	if (length != record_length(record.kind, record.n_runs, record.blocks) ||
	    length > available)
		return 0;
	if (GUINT32_FROM_LE(header.crc) != seal_record(seal, sequence, in, length))
		return 0;
	if (record.kind == FORMAT_RECORD_WRITE &&
	    !decode_payload(in + sizeof header, &record, runs, crcs))
		return 0;
	*ret_record = record;
	return length;
}
