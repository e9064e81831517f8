/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/snapshot-table.h"

#include "common/base/units.h"
#include "common/engine/superblock.h"
#include "tests/harness.h"

#define CREATED 1795000000

/* In a group of its own behind the volume's: root, page 0 and their copies. */
static guint64 table_slot(const Superblock *sb, gboolean page)
{
	return (sb->groups - 1) << FORMAT_GROUP_SHIFT | (FORMAT_FIRST_INDEX + page);
}

guint64 table_offset(const Superblock *sb, gboolean page, guint copy)
{
	return sb->groups_offset +
	       (table_slot(sb, page) + copy * FORMAT_COPY_DISTANCE) * FORMAT_SLOT_SIZE;
}

static gboolean put_twice(Backing *backing, const Superblock *sb, gboolean page, const void *data)
{
	return CHECK_INT(backing_pwrite(backing, data, FORMAT_SLOT_SIZE, table_offset(sb, page, 0)),
			 0) &&
	       CHECK_INT(backing_pwrite(backing, data, FORMAT_SLOT_SIZE, table_offset(sb, page, 1)),
			 0);
}

gboolean table_write(Backing *backing, const Snapshot *snapshots, guint n)
{
	FormatTablePage page = {0};
	FormatNode root = {0};
	SuperblockPair pair;
	Superblock sb;
	MapEntry entry;

	if (!CHECK(superblock_load(backing, &pair, NULL)))
		return FALSE;
	sb = pair.current;
	sb.groups += !sb.snapshot_root.slot;
	sb.generation++;
	sb.ro_compatible = FORMAT_RO_SNAPSHOTS;
	if (!CHECK_INT(backing_grow(backing, sb.groups_offset + sb.groups * FORMAT_GROUP_BYTES), 0))
		return FALSE;
	for (guint i = 0; i < n; i++)
		snapshot_encode(&snapshots[i], &page.records[i + 3]);
	entry = (MapEntry){.slot = table_slot(&sb, TRUE),
			   .birth = sb.checkpoint,
			   .crc = seal_table_page(&(Seal){sb.seed}, 0, &page)};
	entry_put(NODE_LAYOUT_PLAIN, &root, 0, &entry);
	sb.snapshot_root = (MapEntry){.slot = table_slot(&sb, FALSE),
				      .birth = sb.checkpoint,
				      .crc = seal_table_root(&(Seal){sb.seed}, &root)};
	return put_twice(backing, &sb, TRUE, &page) && put_twice(backing, &sb, FALSE, &root) &&
	       CHECK_INT(superblock_store(backing, &pair, &sb), 0);
}

Snapshot table_snapshot_of_now(Backing *backing, const char *name)
{
	SuperblockPair pair = {0};
	Superblock *sb = &pair.current;
	Snapshot snapshot = {.state = FORMAT_SNAPSHOT_ALIVE, .created = CREATED};

	CHECK(superblock_load(backing, &pair, NULL));
	snapshot.generation = sb->checkpoint;
	snapshot.root = sb->map_root;
	snapshot.size = sb->size;
	snapshot.levels = sb->levels;
	snapshot.referenced = sb->data_slots;
	snapshot.nodes = sb->node_slots;
	memset(snapshot.uuid, 0xa5, sizeof snapshot.uuid);
	g_strlcpy(snapshot.name, name, sizeof snapshot.name);
	return snapshot;
}
