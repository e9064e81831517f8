/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/bounds.h"
#include "common/base/names.h"
#include "common/engine/codec.h"

G_STATIC_ASSERT(SNAPSHOT_NAME_SIZE == NAME_LENGTH_MAX + 1);
G_STATIC_ASSERT(SNAPSHOT_NAME_SIZE == sizeof(((FormatSnapshot *)NULL)->name));

void snapshot_encode(const Snapshot *snapshot, FormatSnapshot *out)
{
	*out = (FormatSnapshot){
		.generation = GUINT64_TO_LE(snapshot->generation),
		.parent = GUINT64_TO_LE(snapshot->parent),
		.floor = GUINT64_TO_LE(snapshot->floor),
		.size = GUINT64_TO_LE(snapshot->size),
		.levels = GUINT32_TO_LE(snapshot->levels),
		.kind = GUINT16_TO_LE(FORMAT_SNAPSHOT_KIND_SNAPSHOT),
		.state = GUINT16_TO_LE(snapshot->state),
		.dying_first = GUINT64_TO_LE(snapshot->dying_first),
		.dying_end = GUINT64_TO_LE(snapshot->dying_end),
		.referenced = GUINT64_TO_LE(snapshot->referenced),
		.nodes = GUINT64_TO_LE(snapshot->nodes),
		.written = GUINT64_TO_LE(snapshot->written),
		.created = GUINT64_TO_LE(snapshot->created),
		.group = GUINT64_TO_LE(snapshot->group),
		.flags = GUINT32_TO_LE(snapshot->flags),
		.received = GUINT64_TO_LE(snapshot->received),
		.base_blocks = GUINT64_TO_LE(snapshot->base_blocks),
	};
	entry_encode(&snapshot->root, &out->root);
	memcpy(out->uuid, snapshot->uuid, sizeof out->uuid);
	memcpy(out->name, snapshot->name, strlen(snapshot->name));
}

void hold_encode(const SnapshotHold *hold, FormatSnapshot *out)
{
	*out = (FormatSnapshot){
		.generation = GUINT64_TO_LE(hold->generation),
		.kind = GUINT16_TO_LE(FORMAT_SNAPSHOT_KIND_HOLD),
		.state = GUINT16_TO_LE(hold->class),
		.created = GUINT64_TO_LE(hold->created),
	};
	memcpy(out->uuid, hold->uuid, sizeof out->uuid);
	memcpy(out->name, hold->tag, strlen(hold->tag));
}

guint16 snapshot_record_kind(const FormatSnapshot *in)
{
	return GUINT16_FROM_LE(in->kind);
}

/* FALSE unless the bytes are a valid name and zeros behind it. */
static gboolean decode_name(const guint8 bytes[SNAPSHOT_NAME_SIZE],
			    char ret_name[SNAPSHOT_NAME_SIZE])
{
	gsize length = strnlen((const char *)bytes, SNAPSHOT_NAME_SIZE);
	char name[SNAPSHOT_NAME_SIZE] = {0};

	if (length >= SNAPSHOT_NAME_SIZE)
		return FALSE;
	memcpy(name, bytes, length);
	if (!name_valid(name) || memcmp(name, bytes, sizeof name))
		return FALSE;
	memcpy(ret_name, name, sizeof name);
	return TRUE;
}

static gboolean has_tree(const Snapshot *snapshot)
{
	return snapshot->state == FORMAT_SNAPSHOT_ALIVE ||
	       snapshot->state == FORMAT_SNAPSHOT_DELETING;
}

static gboolean root_valid(const Snapshot *snapshot, const Superblock *sb)
{
	const MapEntry *root = &snapshot->root;

	if (!root->slot)
		return !root->zero || sb->incompatible & FORMAT_INCOMPATIBLE_BASE;
	return has_tree(snapshot) && !root->dead && root->birth <= snapshot->generation &&
	       node_slot_is_usable(snapshot->levels - 1, root->slot, sb->groups);
}

static gboolean snapshot_valid(const Snapshot *snapshot, const Superblock *sb)
{
	guint64 blocks = blocks_covering(snapshot->size);

	return snapshot->generation && snapshot->generation <= sb->checkpoint &&
	       snapshot->parent < snapshot->generation && snapshot->floor < snapshot->generation &&
	       snapshot->state >= FORMAT_SNAPSHOT_ALIVE &&
	       snapshot->state <= FORMAT_SNAPSHOT_RECEIVING && snapshot->size >= MIB &&
	       snapshot->size <= (guint64)1 << 46 && snapshot->size % SECTOR_SIZE == 0 &&
	       snapshot->levels == codec_levels(superblock_layout(sb), snapshot->size) &&
	       snapshot->dying_first <= snapshot->dying_end && snapshot->dying_end <= blocks &&
	       (has_tree(snapshot) || snapshot->dying_first == snapshot->dying_end) &&
	       snapshot->received <= blocks && root_valid(snapshot, sb) &&
	       snapshot->base_blocks <= min_u64(blocks, blocks_covering(sb->base.size));
}

gboolean snapshot_decode(const FormatSnapshot *in, const Superblock *sb, guint place,
			 Snapshot *ret_snapshot)
{
	Snapshot snapshot = {
		.generation = GUINT64_FROM_LE(in->generation),
		.parent = GUINT64_FROM_LE(in->parent),
		.floor = GUINT64_FROM_LE(in->floor),
		.root = entry_decode(&in->root),
		.size = GUINT64_FROM_LE(in->size),
		.levels = GUINT32_FROM_LE(in->levels),
		.state = GUINT16_FROM_LE(in->state),
		.dying_first = GUINT64_FROM_LE(in->dying_first),
		.dying_end = GUINT64_FROM_LE(in->dying_end),
		.referenced = GUINT64_FROM_LE(in->referenced),
		.nodes = GUINT64_FROM_LE(in->nodes),
		.written = GUINT64_FROM_LE(in->written),
		.created = GUINT64_FROM_LE(in->created),
		.group = GUINT64_FROM_LE(in->group),
		.flags = GUINT32_FROM_LE(in->flags),
		.received = GUINT64_FROM_LE(in->received),
		.base_blocks = GUINT64_FROM_LE(in->base_blocks),
		.place = place,
	};

	if (snapshot_record_kind(in) != FORMAT_SNAPSHOT_KIND_SNAPSHOT ||
	    !snapshot_valid(&snapshot, sb) || !decode_name(in->name, snapshot.name))
		return FALSE;
	memcpy(snapshot.uuid, in->uuid, sizeof snapshot.uuid);
	*ret_snapshot = snapshot;
	return TRUE;
}

gboolean hold_decode(const FormatSnapshot *in, const Superblock *sb, guint place,
		     SnapshotHold *ret_hold)
{
	SnapshotHold hold = {
		.generation = GUINT64_FROM_LE(in->generation),
		.class = GUINT16_FROM_LE(in->state),
		.created = GUINT64_FROM_LE(in->created),
		.place = place,
	};

	if (snapshot_record_kind(in) != FORMAT_SNAPSHOT_KIND_HOLD || !hold.generation ||
	    hold.generation > sb->checkpoint || hold.class < FORMAT_HOLD_USER ||
	    hold.class > FORMAT_HOLD_SEND || !decode_name(in->name, hold.tag))
		return FALSE;
	memcpy(hold.uuid, in->uuid, sizeof hold.uuid);
	*ret_hold = hold;
	return TRUE;
}
