/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoded values are within their bounds: one row for each way to be wrong, with a correct
 * checksum.
 */
#include "common/engine/codec.h"
#include "tests/harness.h"

#include <string.h>

#define SEED 77

static const Seal seal = {SEED}, other_seal = {SEED + 1};

/* ---- superblocks */

static Superblock sound_superblock(void)
{
	return (Superblock){.size = 64 * MIB,
			    .levels = 2,
			    .logical_block_size = SECTOR_SIZE,
			    .journal_size = FORMAT_JOURNAL_MIN,
			    .groups_offset = FORMAT_JOURNAL_OFFSET + FORMAT_JOURNAL_MIN,
			    .groups = 1,
			    .seed = SEED,
			    .generation = 5,
			    .checkpoint = 5};
}

static void odd_size(Superblock *sb)
{
	sb->size += 100;
}
static void small_size(Superblock *sb)
{
	sb->size = MIB / 2, sb->levels = 1;
}
static void large_size(Superblock *sb)
{
	sb->size = (guint64)1 << 47, sb->levels = 5;
}
static void odd_block_size(Superblock *sb)
{
	sb->logical_block_size = 1024;
}
static void cut_block(Superblock *sb)
{
	sb->size += SECTOR_SIZE, sb->logical_block_size = 4096;
}
static void small_journal(Superblock *sb)
{
	sb->journal_size = 0;
}
static void large_journal(Superblock *sb)
{
	sb->journal_size = 2 * FORMAT_JOURNAL_MAX;
}
static void odd_journal(Superblock *sb)
{
	sb->journal_size += 4096;
}
static void far_groups(Superblock *sb)
{
	sb->groups_offset += 4096;
}
static void many_groups(Superblock *sb)
{
	sb->groups = (guint64)1 << 26;
}
static void wrong_levels(Superblock *sb)
{
	sb->levels = 3;
}
static void later_checkpoint(Superblock *sb)
{
	sb->checkpoint = 6;
}
static void root_in_bitmap(Superblock *sb)
{
	sb->map_root.slot = FORMAT_BITMAP_B;
}
static void root_beyond(Superblock *sb)
{
	sb->map_root.slot = FORMAT_GROUP_SLOTS + 8;
}
static void root_is_copy(Superblock *sb)
{
	sb->map_root.slot = FORMAT_FIRST_INDEX + FORMAT_COPY_DISTANCE;
}
static void root_is_dead(Superblock *sb)
{
	sb->map_root.slot = FORMAT_FIRST_INDEX, sb->map_root.dead = TRUE;
}

static void odd_position(Superblock *sb)
{
	sb->journal_position = 4;
}
static void dead_backwards(Superblock *sb)
{
	sb->dead_first = 2, sb->dead_end = 1;
}
static void dead_beyond(Superblock *sb)
{
	sb->dead_end = 64 * MIB;
}
static void new_feature(Superblock *sb)
{
	sb->incompatible = (guint64)1 << 60;
}
static void with_snapshots(Superblock *sb)
{
	sb->ro_compatible = FORMAT_RO_SNAPSHOTS;
	sb->snapshot_root = (MapEntry){.slot = FORMAT_FIRST_INDEX, .birth = 4};
	sb->head_parent = 3, sb->head_void = 4;
	sb->delete_generation = 2, sb->delete_cursor = 256;
}
static void table_is_copy(Superblock *sb)
{
	with_snapshots(sb);
	sb->snapshot_root.slot = FORMAT_FIRST_INDEX + FORMAT_COPY_DISTANCE;
}
static void table_is_dead(Superblock *sb)
{
	with_snapshots(sb);
	sb->snapshot_root.dead = TRUE;
}
static void parent_of_the_future(Superblock *sb)
{
	with_snapshots(sb);
	sb->head_parent = sb->head_void = 6;
}
static void parent_behind_void(Superblock *sb)
{
	with_snapshots(sb);
	sb->head_void = 2;
}
static void parent_without_table(Superblock *sb)
{
	with_snapshots(sb);
	sb->snapshot_root = (MapEntry){0};
}
static void dying_of_nobody(Superblock *sb)
{
	with_snapshots(sb);
	sb->dying_cursor = 256;
}
static void deletion_of_the_future(Superblock *sb)
{
	with_snapshots(sb);
	sb->delete_generation = 6;
}
static void nothing(Superblock *sb)
{
	sb->dead_end = 1, sb->map_root.slot = FORMAT_FIRST_INDEX;
}

static const struct {
	const char *name;
	void (*change)(Superblock *sb);
	int code; /* 0: accepted */
	const char *says;
} superblocks[] = {
	{"nothing wrong", nothing, -1, NULL},
	{"size of half a sector", odd_size, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"too small", small_size, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"too large", large_size, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"block size", odd_block_size, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"size of half a block", cut_block, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"no journal", small_journal, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"journal too large", large_journal, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"journal of odd size", odd_journal, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"groups not behind the journal", far_groups, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"too many groups", many_groups, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"levels not by the size", wrong_levels, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"checkpoint of the future", later_checkpoint, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"root in a bitmap", root_in_bitmap, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"root in no group", root_beyond, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"root where copies are", root_is_copy, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"root that was discarded", root_is_dead, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"journal position", odd_position, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"dead interval backwards", dead_backwards, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"dead interval beyond the end", dead_beyond, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"snapshots", with_snapshots, -1, NULL},
	{"table where copies are", table_is_copy, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"table that was discarded", table_is_dead, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"parent of the future", parent_of_the_future, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"parent that is not void", parent_behind_void, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"parent without a table", parent_without_table, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"dying walk of nobody", dying_of_nobody, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"deletion of the future", deletion_of_the_future, STORAGEOS_ERROR_CORRUPT, "contradicts"},
	{"a feature that is not known", new_feature, STORAGEOS_ERROR_UNSUPPORTED, "features"},
};

static void test_superblocks(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(superblocks); i++) {
		Superblock sb = sound_superblock(), out = {.seed = 1};
		g_autoptr(GError) error = NULL;
		FormatSuperblock raw;
		gboolean good;

		test_row("%s", superblocks[i].name);
		superblocks[i].change(&sb);
		superblock_encode(&sb, &raw);
		good = superblock_decode(&raw, &out, "test", &error);
		CHECK_INT(good, superblocks[i].code == -1);
		CHECK_UINT(out.seed, good ? SEED : 1); /* unchanged on failure */
		if (!good)
			CHECK_ERROR(error, superblocks[i].code, superblocks[i].says);
	}
}

static void test_superblock_bytes(const void *data)
{
	Superblock sb = sound_superblock();
	FormatSuperblock raw;

	(void)data;
	for (guint i = 0; i < 3; i++) {
		g_autoptr(GError) error = NULL;

		superblock_encode(&sb, &raw);
		if (i == 0)
			raw.magic[3] ^= 1;
		if (i == 1)
			raw.size ^= 1;
		if (i == 2) {
			raw.version = GUINT32_TO_LE(FORMAT_VERSION + 1);
			raw.crc = GUINT32_TO_LE(seal_superblock(&raw));
		}
		CHECK(!superblock_decode(&raw, &sb, "test", &error));
		CHECK_ERROR(error, i == 2 ? STORAGEOS_ERROR_UNSUPPORTED : STORAGEOS_ERROR_CORRUPT,
			    i == 0   ? "no storageos volume"
			    : i == 1 ? "checksum"
				     : "format version");
	}
}

/* ---- records */

typedef struct {
	Record record;
	SlotRun runs[4];
	guint32 crcs[8];
	gsize cut;	/* number of bytes that are missing at the end */
	guint64 asked;	/* sequence that is expected */
	guint32 length; /* replaces the header's value; 0: does not */
	guint16 n_runs; /* the same */
	guint64 blocks; /* the same */
} Written;

static Written sound_record(void)
{
	return (Written){.record = {.kind = FORMAT_RECORD_WRITE,
				    .sequence = 9,
				    .generation = 4,
				    .first = 100,
				    .blocks = 5,
				    .n_runs = 2},
			 .runs = {{FORMAT_FIRST_INDEX, 2}, {FORMAT_FIRST_INDEX + 50, 3}},
			 .asked = 9};
}

static void keep(Written *w)
{
	(void)w;
}
static void zero_kind(Written *w)
{
	w->record.kind = FORMAT_RECORD_ZERO, w->record.n_runs = 0;
}
static void other_sequence(Written *w)
{
	w->asked = 10;
}
static void cut_header(Written *w)
{
	w->cut = 60;
}
static void cut_end(Written *w)
{
	w->cut = 8;
}
static void no_blocks(Written *w)
{
	w->blocks = G_MAXUINT64;
}
static void many_runs(Written *w)
{
	w->n_runs = 6;
}
static void zero_with_runs(Written *w)
{
	w->record.kind = FORMAT_RECORD_ZERO;
}
static void wrong_length(Written *w)
{
	w->length = 48;
}
static void empty_run(Written *w)
{
	w->runs[0].count = 0, w->runs[1].count = 5;
}
static void run_in_bitmap(Written *w)
{
	w->runs[0].slot = 1;
}
static void run_over_end(Written *w)
{
	w->runs[1].slot = FORMAT_LAST_INDEX - 1;
}
static void fewer_slots(Written *w)
{
	w->runs[1].count = 2;
}

static const struct {
	const char *name;
	void (*change)(Written *written);
	gboolean good;
} records[] = {
	{"nothing wrong", keep, TRUE},
	{"a zero", zero_kind, TRUE},
	{"another sequence", other_sequence, FALSE},
	{"not even a header", cut_header, FALSE},
	{"cut off", cut_end, FALSE},
	{"more blocks than there can be", no_blocks, FALSE},
	{"more runs than blocks", many_runs, FALSE},
	{"a zero that names slots", zero_with_runs, FALSE},
	{"another length", wrong_length, FALSE},
	{"a run of nothing", empty_run, FALSE},
	{"a run in a bitmap", run_in_bitmap, FALSE},
	{"a run over the group's end", run_over_end, FALSE},
	{"fewer slots than blocks", fewer_slots, FALSE},
};

/* Encodes a record, changes its header, and corrects the checksum. */
static guint32 encode(Written *w, guint8 *raw)
{
	guint32 length = record_length(w->record.kind, w->record.n_runs, w->record.blocks);
	FormatRecord header;

	w->record.runs = w->runs;
	w->record.crcs = w->crcs;
	record_encode(&w->record, &seal, raw);
	memcpy(&header, raw, sizeof header);
	if (w->length)
		header.length = GUINT32_TO_LE(w->length);
	if (w->n_runs)
		header.runs = GUINT16_TO_LE(w->n_runs);
	if (w->blocks)
		header.blocks = GUINT64_TO_LE(w->blocks);
	memcpy(raw, &header, sizeof header);
	put_le32(raw, seal_record(&seal, w->record.sequence, raw, length));
	return length;
}

static void test_records(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(records); i++) {
		guint8 raw[FORMAT_RECORD_LENGTH_MAX] = {0};
		SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
		guint32 crcs[FORMAT_RECORD_BLOCKS_MAX], length;
		Written w = sound_record();
		Record out = {.sequence = 1};

		test_row("%s", records[i].name);
		records[i].change(&w);
		length = encode(&w, raw);
		CHECK_UINT(record_decode(raw, length - w.cut, &seal, w.asked, &out, runs, crcs),
			   records[i].good ? length : 0);
		CHECK_UINT(out.sequence, records[i].good ? 9 : 1);
	}
}

static void test_record_bytes(const void *data)
{
	guint8 raw[FORMAT_RECORD_LENGTH_MAX] = {0};
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX];
	Written w = sound_record();
	guint32 length = encode(&w, raw);
	Record out;

	(void)data;
	for (guint bit = 0; bit < length * 8; bit++) {
		test_row("bit %u", bit);
		raw[bit / 8] ^= (guint8)(1u << bit % 8);
		CHECK_UINT(record_decode(raw, length, &seal, 9, &out, runs, crcs), 0);
		raw[bit / 8] ^= (guint8)(1u << bit % 8);
	}
	CHECK_UINT(record_decode(raw, length, &other_seal, 9, &out, runs, crcs), 0);
}

/* ---- bitmap pages */

static void test_bitmaps(const void *data)
{
	FormatBitmap page = {0};
	guint64 generation = 0;

	(void)data;
	page.bits[7] = 9;
	bitmap_seal(&page, &seal, 3, 21);
	CHECK(bitmap_verify(&page, &seal, 3, &generation));
	CHECK_UINT(generation, 21);
	CHECK(!bitmap_verify(&page, &seal, 4, &generation));
	CHECK(!bitmap_verify(&page, &other_seal, 3, &generation));
	page.bits[7] = 8;
	CHECK(!bitmap_verify(&page, &seal, 3, &generation));
	page.magic = 0;
	CHECK(!bitmap_verify(&page, &seal, 3, &generation));
}

/* ---- nodes */

static void test_layout(const void *data)
{
	static const NodeLayout layouts[] = {{8, 16}, {7, 32}, {2, 16}, {2, 1024}};
	const MapEntry entry = {.slot = 77, .birth = 0x123456789abc, .crc = 0xcafe, .dead = TRUE};
	FormatNode node;

	(void)data;
	for (guint l = 0; l < G_N_ELEMENTS(layouts); l++) {
		NodeLayout layout = layouts[l];
		guint at = node_pointers(layout) - 1;
		MapEntry all[FORMAT_POINTERS_MAX];
		FormatPointer raw;

		test_row("shift %u, size %u", layout.shift, layout.size);
		memset(&node, 0, sizeof node);
		entry_put(layout, &node, at, &entry);
		memcpy(&raw, node.bytes + at * layout.size, sizeof raw);
		CHECK_UINT(entry_decode(&raw).birth, entry.birth);
		CHECK_UINT(entry_at(layout, &node, at).slot, 77);
		CHECK(entry_at_is_dead(layout, &node, at));
		CHECK(!entry_at_is_null(layout, &node, at));
		CHECK(entry_at_is_null(layout, &node, at - 1));
		entries_get(layout, &node, at - 2, 3, all);
		CHECK_UINT(all[1].slot, 0);
		CHECK_UINT(all[2].crc, 0xcafe);
		memset(node.bytes + at * layout.size, 0, sizeof raw);
		CHECK_ZERO(node.bytes, sizeof node);
	}
}

static void test_levels(const void *data)
{
	static const struct {
		NodeLayout layout;
		guint64 size;
		guint levels;
	} rows[] = {
		{{8, 16}, MIB, 1},
		{{8, 16}, MIB + SECTOR_SIZE, 2},
		{{8, 16}, 256 * MIB, 2},
		{{8, 16}, 64 * 1024 * GIB, 5},
		{{7, 32}, MIB, 2},
		{{7, 32}, 64 * 1024 * GIB, 5},
		{{2, 16}, 4 * BLOCK_SIZE, 1},
		{{2, 16}, 4 * MIB, 5},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		test_row("shift %u, %" G_GUINT64_FORMAT " bytes", rows[i].layout.shift,
			 rows[i].size);
		CHECK_UINT(codec_levels(rows[i].layout, rows[i].size), rows[i].levels);
	}
	test_row(NULL);
	CHECK_UINT(node_shift((NodeLayout){7, 32}, 2), 21);
	CHECK_UINT(node_parent((NodeLayout){2, 16}, 11), 2);
	CHECK_UINT(node_place((NodeLayout){2, 16}, 11), 3);
}

/* ---- who has a shared backing */

static void test_tenure(const void *data)
{
	TenureRecord record = {
		.turn = 1, .host = {{1}, {2}, 3, "host"}, .device = 4, .interval = 5};
	TenureRecord back = {0};
	FormatTenure block, again;

	(void)data;
	memset(record.host.name, 'h', sizeof record.host.name - 1);
	tenure_encode(&record, &block);
	CHECK(tenure_decode(&block, &back));
	CHECK_STR(back.host.name, record.host.name);
	tenure_encode(&back, &again);
	CHECK(!memcmp(&block, &again, sizeof block));
	for (gsize i = 0; i < sizeof block; i++) {
		FormatTenure bad = block;

		((guint8 *)&bad)[i] ^= 1;
		CHECK(!tenure_decode(&bad, &back));
	}
	record.interval = 0;
	tenure_encode(&record, &block);
	CHECK(!tenure_decode(&block, &back));
	record.interval = FORMAT_TENURE_INTERVAL_MAX + 1;
	tenure_encode(&record, &block);
	CHECK(!tenure_decode(&block, &back));
}

static void test_pulse(const void *data)
{
	PulseRecord record = {.turn = 1, .sequence = 2, .open = TRUE}, back = {0};
	FormatPulse block, again;

	(void)data;
	pulse_encode(&record, &block);
	CHECK(pulse_decode(&block, &back));
	pulse_encode(&back, &again);
	CHECK(!memcmp(&block, &again, sizeof block));
	for (gsize i = 0; i < sizeof block; i++) {
		FormatPulse bad = block;

		((guint8 *)&bad)[i] ^= 1;
		CHECK(!pulse_decode(&bad, &back));
	}
	block.state = GUINT32_TO_LE(3);
	block.crc = GUINT32_TO_LE(seal_pulse(&block));
	CHECK(!pulse_decode(&block, &back));
}

int main(int argc, char **argv)
{
	test_add("a superblock that contradicts itself is refused", test_superblocks, NULL);
	test_add("a superblock's magic, checksum and version", test_superblock_bytes, NULL);
	test_add("a record that contradicts itself is not valid", test_records, NULL);
	test_add("a changed bit of a record makes it invalid", test_record_bytes, NULL);
	test_add("a node's pointers are where its layout says", test_layout, NULL);
	test_add("a map has as many levels as its layout needs", test_levels, NULL);
	test_add("who has a shared backing", test_tenure, NULL);
	test_add("that he lives", test_pulse, NULL);
	test_add("a bitmap page belongs to its group and volume", test_bitmaps, NULL);
	return test_run(argc, argv);
}
