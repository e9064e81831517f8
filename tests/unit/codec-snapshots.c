/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of the snapshot table: decoded values are within their bounds, one row for each way to be
 * wrong.  And the superblock's fields for snapshots, which are zeros where there are none.
 */
#include "common/engine/codec.h"
#include "tests/harness.h"

#include <string.h>

static Superblock table_superblock(void)
{
	return (Superblock){.size = 64 * MIB,
			    .levels = 2,
			    .logical_block_size = SECTOR_SIZE,
			    .journal_size = FORMAT_JOURNAL_MIN,
			    .groups_offset = FORMAT_JOURNAL_OFFSET + FORMAT_JOURNAL_MIN,
			    .groups = 1,
			    .seed = 77,
			    .generation = 5,
			    .checkpoint = 5,
			    .ro_compatible = FORMAT_RO_SNAPSHOTS,
			    .snapshot_root = {.slot = FORMAT_FIRST_INDEX, .birth = 4},
			    .data_slots = 7,
			    .node_slots = 8,
			    .head_parent = 3,
			    .head_void = 4,
			    .head_written = 9,
			    .head_data = 10,
			    .head_nodes = 11,
			    .dying_generation = 2,
			    .dying_cursor = 256,
			    .dying_written = 12,
			    .delete_generation = 3,
			    .delete_cursor = 512,
			    .delete_written = 13,
			    .head_bound = TRUE};
}

static void test_fields(const void *data)
{
	Superblock sb = table_superblock(), out;
	FormatSuperblock raw;

	(void)data;
	superblock_encode(&sb, &raw);
	CHECK(superblock_decode(&raw, &out, "test", NULL));
	CHECK(!memcmp(&out, &sb, sizeof out));
	sb.head_bound = FALSE;
	sb.head_voids = TRUE;
	sb.head_written_bound = TRUE;
	superblock_encode(&sb, &raw);
	CHECK(superblock_decode(&raw, &out, "test", NULL));
	CHECK(!memcmp(&out, &sb, sizeof out));
}

static void test_no_snapshots(const void *data)
{
	Superblock sb = table_superblock(), out;
	FormatSuperblock raw;

	(void)data;
	sb.ro_compatible = 0;
	superblock_encode(&sb, &raw);
	CHECK_ZERO((guint8 *)&raw + 144, 16);
	CHECK_ZERO((guint8 *)&raw + 792, 4092 - 792);
	CHECK(superblock_decode(&raw, &out, "test", NULL));
	CHECK_UINT(out.head_data, 7);
	CHECK_UINT(out.head_nodes, 8);
	CHECK(!out.snapshot_root.slot && !out.head_parent && !out.head_void);
	CHECK_UINT(out.head_written, 7);
	CHECK(!out.dying_generation && !out.delete_generation && !out.head_bound);
}

static Snapshot sound_snapshot(void)
{
	return (Snapshot){.generation = 4,
			  .parent = 3,
			  .floor = 3,
			  .root = {.slot = FORMAT_FIRST_INDEX, .birth = 4, .crc = 5},
			  .size = 64 * MIB,
			  .levels = 2,
			  .state = FORMAT_SNAPSHOT_ALIVE,
			  .dying_first = 256,
			  .dying_end = 512,
			  .referenced = 11,
			  .nodes = 12,
			  .written = 13,
			  .created = 14,
			  .group = 15,
			  .uuid = {16, 17},
			  .name = "monday",
			  .flags = FORMAT_SNAPSHOT_FLAG_FROZEN,
			  .received = 19,
			  .place = 20};
}

#define CHANGE(name, ...)                                                                          \
	static void name(Snapshot *s)                                                              \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
	}
CHANGE(sound, (void)s)
CHANGE(empty, s->root = (MapEntry){0})
CHANGE(deleting, s->state = FORMAT_SNAPSHOT_DELETING)
CHANGE(bookmark, s->state = FORMAT_SNAPSHOT_BOOKMARK, s->root = (MapEntry){0},
       s->dying_first = s->dying_end)
CHANGE(no_generation, s->generation = s->parent = s->floor = s->root.birth = 0)
CHANGE(of_the_future, s->generation = 6)
CHANGE(younger_parent, s->parent = 4)
CHANGE(younger_floor, s->floor = 4)
CHANGE(younger_root, s->root.birth = 5)
CHANGE(dead_root, s->root.dead = TRUE)
CHANGE(root_beyond, s->root.slot += FORMAT_GROUP_SLOTS)
CHANGE(root_is_copy, s->root.slot += FORMAT_COPY_DISTANCE)
CHANGE(bookmark_with_tree, s->state = FORMAT_SNAPSHOT_BOOKMARK, s->dying_first = s->dying_end)
CHANGE(bookmark_dying, s->state = FORMAT_SNAPSHOT_BOOKMARK, s->root = (MapEntry){0})
CHANGE(no_state, s->state = 0)
CHANGE(unknown_state, s->state = 5)
CHANGE(small, s->size = MIB / 2, s->levels = 1, s->dying_end = s->dying_first = s->received = 0)
CHANGE(large, s->size = (guint64)1 << 47, s->levels = 5)
CHANGE(odd_size, s->size += 100)
CHANGE(wrong_levels, s->levels = 3)
CHANGE(backwards, s->dying_first = 513)
CHANGE(dying_beyond, s->dying_end = 64 * MIB)
CHANGE(received_beyond, s->received = 64 * MIB)
CHANGE(no_name, memset(s->name, 0, sizeof s->name))
CHANGE(bad_name, g_strlcpy(s->name, "../etc", sizeof s->name))

static const struct {
	const char *name;
	void (*change)(Snapshot *s);
	gboolean good;
} rows[] = {
	{"nothing wrong", sound, TRUE},
	{"an empty map", empty, TRUE},
	{"deleting", deleting, TRUE},
	{"bookmark", bookmark, TRUE},
	{"no generation", no_generation, FALSE},
	{"of the future", of_the_future, FALSE},
	{"parent not older", younger_parent, FALSE},
	{"floor not older", younger_floor, FALSE},
	{"root younger than the snapshot", younger_root, FALSE},
	{"root that was discarded", dead_root, FALSE},
	{"root in no group", root_beyond, FALSE},
	{"root where copies are", root_is_copy, FALSE},
	{"bookmark with a tree", bookmark_with_tree, FALSE},
	{"bookmark with a dying part", bookmark_dying, FALSE},
	{"no state", no_state, FALSE},
	{"unknown state", unknown_state, FALSE},
	{"too small", small, FALSE},
	{"too large", large, FALSE},
	{"size of half a sector", odd_size, FALSE},
	{"levels not by the size", wrong_levels, FALSE},
	{"dying interval backwards", backwards, FALSE},
	{"dying interval beyond the end", dying_beyond, FALSE},
	{"received beyond the end", received_beyond, FALSE},
	{"no name", no_name, FALSE},
	{"a path as name", bad_name, FALSE},
};

static void test_snapshots(const void *data)
{
	const Superblock sb = table_superblock();

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		Snapshot snapshot = sound_snapshot(), out = {.group = 1};
		FormatSnapshot raw, again;

		test_row("%s", rows[i].name);
		rows[i].change(&snapshot);
		snapshot_encode(&snapshot, &raw);
		CHECK_INT(snapshot_decode(&raw, &sb, 20, &out), rows[i].good);
		if (!rows[i].good) {
			CHECK_UINT(out.group, 1); /* unchanged on failure */
			continue;
		}
		snapshot_encode(&out, &again);
		CHECK_MEM(&again, &raw, sizeof raw);
		CHECK_UINT(out.place, 20);
	}
}

/* What cannot be encoded: other kinds, and names with bytes behind their end. */
static void test_bytes(const void *data)
{
	const Superblock sb = table_superblock();
	const Snapshot snapshot = sound_snapshot();
	FormatSnapshot raw;
	SnapshotHold hold;
	Snapshot out;

	(void)data;
	snapshot_encode(&snapshot, &raw);
	CHECK_UINT(snapshot_record_kind(&raw), FORMAT_SNAPSHOT_KIND_SNAPSHOT);
	CHECK(!hold_decode(&raw, &sb, 20, &hold));
	raw.kind = GUINT16_TO_LE(3);
	CHECK(!snapshot_decode(&raw, &sb, 20, &out));
	snapshot_encode(&snapshot, &raw);
	raw.name[40] = 'x';
	CHECK(!snapshot_decode(&raw, &sb, 20, &out));
	memset(raw.name, 'x', sizeof raw.name);
	CHECK(!snapshot_decode(&raw, &sb, 20, &out));
	raw.name[63] = 0;
	CHECK(snapshot_decode(&raw, &sb, 20, &out));
	CHECK_UINT(strlen(out.name), 63);
}

static void test_holds(const void *data)
{
	static const SnapshotHold sound_hold = {.generation = 4,
						.class = FORMAT_HOLD_CLONE,
						.created = 14,
						.uuid = {1, 2},
						.tag = "clone",
						.place = 21};
	const Superblock sb = table_superblock();
	SnapshotHold holds[] = {sound_hold, sound_hold, sound_hold, sound_hold, sound_hold};

	(void)data;
	holds[1].generation = 0;
	holds[2].generation = 6;
	holds[3].class = 4;
	g_strlcpy(holds[4].tag, "not a tag", sizeof holds[4].tag);
	for (guint i = 0; i < G_N_ELEMENTS(holds); i++) {
		SnapshotHold out = {0};
		FormatSnapshot raw, again;

		test_row("hold %u", i);
		hold_encode(&holds[i], &raw);
		CHECK_UINT(snapshot_record_kind(&raw), FORMAT_SNAPSHOT_KIND_HOLD);
		CHECK_INT(hold_decode(&raw, &sb, 21, &out), i == 0);
		CHECK_UINT(out.place, i == 0 ? 21 : 0); /* unchanged on failure */
		if (i == 0) {
			hold_encode(&out, &again);
			CHECK_MEM(&again, &raw, sizeof raw);
		}
	}
}

int main(int argc, char **argv)
{
	test_add("the superblock's fields for snapshots come back", test_fields, NULL);
	test_add("without snapshots these fields are zeros on the disk", test_no_snapshots, NULL);
	test_add("a snapshot's record that contradicts itself is refused", test_snapshots, NULL);
	test_add("a record of another kind, or with a bad name, is refused", test_bytes, NULL);
	test_add("a hold's record that contradicts itself is refused", test_holds, NULL);
	return test_run(argc, argv);
}
