/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Volumes with valid checksums and invalid contents, as a bug in the engine would leave
 * them.  Check names each fault; opening and reading succeed or return an error; repair mends
 * what can be mended without guessing.
 */
#include <errno.h>

#include "tests/backing/faulty.h"
#include "common/check/check.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/check/repair.h"
#include "common/engine/superblock.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#define SIZE (272 * MIB) /* three levels of nodes */
#define LEVELS 3
#define BLOCKS 8u /* at the volume's start, in neighbouring slots */
#define LAST (SIZE - BLOCK_SIZE)

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* The volume was closed, or its process died with a flushed record of the last block in the
 * journal. */
static Backing *new_backing(gboolean closed)
{
	const VolumeParameters p = {.size = SIZE, .journal_size = 64 * KIB};
	Backing *backing = backing_faulty_new(0);
	Volume *volume;

	CHECK(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	for (guint i = 0; volume && i < BLOCKS; i++)
		CHECK_INT(volume_put_value(volume, (guint8)(1 + i), BLOCK_SIZE, i * BLOCK_SIZE), 0);
	close_volume(volume);
	if (closed)
		return backing;
	volume = backing_open_volume(backing);
	CHECK_INT(volume_put_value(volume, 99, BLOCK_SIZE, LAST), 0);
	CHECK_INT(volume_flush(volume), 0);
	volume_abandon(volume);
	return backing;
}

/* ---- changing it, with checksums that are right */

typedef struct {
	SuperblockPair pair;
	Superblock *sb;
	guint64 homes[LEVELS];	  /* where the nodes over block 0 are */
	MapEntry entries[LEVELS]; /* what refers to them */
	FormatNode nodes[LEVELS];
} CheckTree;

static guint64 offset_of(const CheckTree *tree, guint64 slot)
{
	return tree->sb->groups_offset + slot * FORMAT_SLOT_SIZE;
}

static void tree_read(Backing *backing, CheckTree *tree)
{
	CHECK(superblock_load(backing, &tree->pair, NULL));
	tree->sb = &tree->pair.current;
	CHECK_UINT(tree->sb->levels, LEVELS);
	for (guint level = LEVELS; level-- > 0;) {
		tree->entries[level] = level == LEVELS - 1 ? tree->sb->map_root
							   : entry_at(NODE_LAYOUT_PLAIN,
								      &tree->nodes[level + 1], 0);
		tree->homes[level] = tree->entries[level].slot;
		CHECK_INT(backing_pread(backing, &tree->nodes[level], sizeof(FormatNode),
					offset_of(tree, tree->homes[level])),
			  0);
	}
}

/* Writes the nodes back to where they were, and the superblock as it is now. */
static void tree_write(Backing *backing, CheckTree *tree)
{
	for (guint level = 0; level < LEVELS; level++) {
		tree->entries[level].crc =
			seal_node(&(Seal){tree->sb->seed}, level, 0, &tree->nodes[level]);
		for (guint copy = 0; copy < (level ? 2 : 1); copy++)
			CHECK_INT(backing_pwrite(
					  backing, &tree->nodes[level], sizeof(FormatNode),
					  offset_of(tree, tree->homes[level] +
								  copy * FORMAT_COPY_DISTANCE)),
				  0);
		if (level < LEVELS - 1)
			entry_put(NODE_LAYOUT_PLAIN, &tree->nodes[level + 1], 0,
				  &tree->entries[level]);
	}
	if (tree->sb->map_root.slot)
		tree->sb->map_root = tree->entries[LEVELS - 1];
	superblock_verify(backing, &tree->pair, TRUE);
}

static MapEntry block_entry(const CheckTree *tree, guint i)
{
	return entry_at(NODE_LAYOUT_PLAIN, &tree->nodes[0], i);
}

static void set_block(CheckTree *tree, guint i, MapEntry entry)
{
	entry_put(NODE_LAYOUT_PLAIN, &tree->nodes[0], i, &entry);
}

/* ---- what is wrong */

static void nothing(CheckTree *tree)
{
	(void)tree;
}

static void block_twice(CheckTree *tree)
{
	set_block(tree, 5, block_entry(tree, 2));
}

static void block_nowhere(CheckTree *tree)
{
	MapEntry entry = block_entry(tree, 5);

	entry.slot = tree->sb->groups * ((guint64)1 << FORMAT_GROUP_SHIFT) + 100;
	set_block(tree, 5, entry);
}

static void block_on_bitmap(CheckTree *tree)
{
	MapEntry entry = block_entry(tree, 5);

	entry.slot = 1;
	set_block(tree, 5, entry);
}

static void block_of_the_future(CheckTree *tree)
{
	MapEntry entry = block_entry(tree, 5);

	entry.birth = tree->sb->checkpoint + 1;
	set_block(tree, 5, entry);
}

static void block_forgotten(CheckTree *tree)
{
	set_block(tree, 5, (MapEntry){0});
}

static void block_on_free_slot(CheckTree *tree)
{
	MapEntry entry = block_entry(tree, 5);

	entry.slot = FORMAT_FIRST_INDEX + 20000;
	set_block(tree, 5, entry);
}

static void inner_without_copy(CheckTree *tree)
{
	tree->entries[1].slot += FORMAT_COPY_DISTANCE;
}

static void inner_nowhere(CheckTree *tree)
{
	tree->entries[1].slot = tree->sb->groups << FORMAT_GROUP_SHIFT | 100;
}

static void leaf_is_root(CheckTree *tree)
{
	tree->entries[0].slot = tree->homes[2];
}

static void counts(CheckTree *tree)
{
	tree->sb->data_slots++;
}

static void bitmaps_of_another_time(CheckTree *tree)
{
	tree->sb->bitmap_digest++;
}

static void closed_with_records(CheckTree *tree)
{
	tree->sb->clean = TRUE;
}

static void records_beyond_the_end(CheckTree *tree)
{
	tree->sb->size = LAST;
}

static void checkpoint_of_nothing(CheckTree *tree)
{
	tree->sb->map_root = (MapEntry){0};
}

typedef struct {
	const char *name;
	gboolean closed;
	void (*change)(CheckTree *tree);
	const char *finding;	   /* NULL: none */
	guint64 errors;		   /* 0: some */
	const char *action, *left; /* of the plan, or NULL */
} CheckRow;

static const CheckRow rows[] = {
	{"nothing", TRUE, nothing, NULL, 0, NULL, NULL},
	{"nothing, with records", FALSE, nothing, NULL, 0, NULL, NULL},
	{"two blocks in one slot", TRUE, block_twice, "block 5 (slot", 0, NULL, "are used twice"},
	{"a slot that does not exist", TRUE, block_nowhere, "does not exist", 0, NULL,
	 "do not exist"},
	{"a slot that is a bitmap's", TRUE, block_on_bitmap, "(slot 1): does not exist", 0, NULL,
	 "do not exist"},
	{"a block that is born later", TRUE, block_of_the_future, "born after the checkpoint", 1,
	 NULL, NULL},
	{"a slot of nobody", TRUE, block_forgotten,
	 "in use by the bitmap, but nothing refers to it", 2, "bitmap", NULL},
	{"a free slot", TRUE, block_on_free_slot, "free by the bitmap, but the map refers to it", 0,
	 "bitmap", NULL},
	{"a node that has no place for its copy", TRUE, inner_without_copy,
	 "no place for a node with a copy", 0, NULL, NULL},
	{"a node that is not there", TRUE, inner_nowhere, "does not exist", 0, NULL,
	 "do not exist"},
	{"a leaf in the root's slot", TRUE, leaf_is_root, "used twice", 0, NULL, "are used twice"},
	{"wrong counts", TRUE, counts, "the superblock counts", 1, "counts", NULL},
	{"bitmaps of another time", TRUE, bitmaps_of_another_time, "not the one of the checkpoint",
	 1, NULL, NULL},
	{"closed, with records", FALSE, closed_with_records,
	 "the journal has records though the volume was closed", 1, NULL, NULL},
	{"records of blocks that are not there", FALSE, records_beyond_the_end,
	 "names blocks or slots that are not there", 0, NULL, NULL},
	{"no map", TRUE, checkpoint_of_nothing, "nothing refers to it", 0, "bitmap", NULL},
};

static gboolean has(const GPtrArray *texts, const char *part)
{
	for (guint i = 0; i < texts->len; i++)
		if (strstr(g_ptr_array_index(texts, i), part))
			return TRUE;
	return FALSE;
}

static void note_all(const char *what, const GPtrArray *texts)
{
	for (guint i = 0; i < MIN(texts->len, 5); i++)
		test_note("%s: %s", what, (const char *)g_ptr_array_index(texts, i));
}

/* Whatever check says, each block reads as written, as an error or, where the map has no pointer,
 * as a hole. */
static void open_and_read(Backing *backing, const CheckRow *row)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = volume_open(backing_borrow(backing), "test", 0, &error);
	guint8 block[BLOCK_SIZE], right[BLOCK_SIZE], hole[BLOCK_SIZE] = {0};

	if (!volume) {
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
		return;
	}
	for (guint i = 0; i < BLOCKS; i++) {
		int r = volume_get(volume, block, sizeof block, i * BLOCK_SIZE);
		gboolean may_be_hole = row->change == checkpoint_of_nothing ||
				       (row->change == block_forgotten && i == 5);

		memset(right, (int)(1 + i), sizeof right);
		if (r)
			CHECK(r == -EBADMSG || r == -EIO);
		else if (!may_be_hole || memcmp(block, hole, sizeof block) != 0)
			CHECK_MEM(block, right, sizeof block);
	}
	volume_put_value(volume, 77, BLOCK_SIZE, MIB);
	volume_close(volume, NULL);
}

static void test_finding(const void *data)
{
	const CheckRow *row = data;
	g_autoptr(Backing) backing = new_backing(row->closed);
	g_autoptr(CheckResult) result = NULL;
	g_autoptr(GError) error = NULL;
	CheckTree tree;

	tree_read(backing, &tree);
	row->change(&tree);
	tree_write(backing, &tree);
	result = check_run(backing, NULL, NULL, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(result);
	CHECK_INT(result->errors > 0, row->finding != NULL);
	if (row->finding && !CHECK(has(result->messages, row->finding)))
		note_all("found", result->messages);
	if (row->errors && !CHECK_UINT(result->errors, row->errors))
		note_all("found", result->messages);
	open_and_read(backing, row);
}

static guint64 count_lost(const CheckResult *result)
{
	guint64 n = 0;

	for (guint i = 0; i < result->lost->len; i++)
		n += g_array_index(result->lost, CheckRange, i).end -
		     g_array_index(result->lost, CheckRange, i).first;
	return n;
}

static void test_repair(const void *data)
{
	const CheckRow *row = data;
	g_autoptr(Backing) backing = new_backing(row->closed);
	g_autoptr(RepairPlan) plan = NULL;
	g_autoptr(CheckResult) after = NULL;
	g_autoptr(GError) error = NULL;
	CheckTree tree;

	tree_read(backing, &tree);
	row->change(&tree);
	tree_write(backing, &tree);
	plan = repair_plan(backing, 0, NULL, NULL, NULL, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(plan);
	if (row->action && !CHECK(has(plan->actions, row->action)))
		note_all("action", plan->actions);
	if (row->left && !CHECK(has(plan->left, row->left)))
		note_all("left", plan->left);
	CHECK(repair_carry_out(plan, &error));
	CHECK_NO_ERROR(error);
	after = check_run(backing, NULL, NULL, NULL);
	REQUIRE(after);
	CHECK(after->errors <= plan->check->errors);
	if (row->action)
		CHECK_UINT(after->errors, count_lost(after));
	open_and_read(backing, row);
}

/* ---- many faults */

static void note_progress(double fraction, gpointer data)
{
	double *last = data;

	CHECK(fraction >= *last && fraction <= 1);
	*last = fraction;
}

static void test_many(const void *data)
{
	const VolumeParameters p = {.size = SIZE, .journal_size = 64 * KIB};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(CheckResult) good = NULL, bad = NULL;
	double fraction = 0;
	Volume *volume;
	CheckTree tree;

	(void)data;
	CHECK(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	for (guint i = 0; volume && i < 40; i++)
		CHECK_INT(volume_put_value(volume, 7, MIB, i * MIB), 0);
	close_volume(volume);
	good = check_run(backing, note_progress, &fraction, NULL);
	REQUIRE(good);
	CHECK_UINT(good->errors, 0);
	CHECK(fraction > .3);
	test_row("none of them is referred to any more");
	tree_read(backing, &tree);
	tree.sb->map_root = (MapEntry){0};
	CHECK_UINT(superblock_verify(backing, &tree.pair, TRUE), 2);
	bad = check_run(backing, NULL, NULL, NULL);
	REQUIRE(bad);
	CHECK(bad->errors > 40 * 256);
	CHECK(bad->messages->len < 100);
}

/* Features of a later version that forbid writing: slots may belong to what is not known. */
static void test_later_features(const void *data)
{
	g_autoptr(Backing) backing = new_backing(TRUE);
	g_autoptr(GError) error = NULL, no_check = NULL, no_repair = NULL;
	Volume *volume;
	CheckTree tree;

	(void)data;
	tree_read(backing, &tree);
	tree.sb->ro_compatible |= (guint32)1 << 31;
	CHECK_UINT(superblock_verify(backing, &tree.pair, TRUE), 2);
	CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_UNSUPPORTED, "feature");
	volume = volume_open(backing_borrow(backing), "test", VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(volume);
	check_value(volume, 3, BLOCK_SIZE, 2 * BLOCK_SIZE);
	close_volume(volume);
	CHECK(!check_run(backing, NULL, NULL, &no_check));
	CHECK_ERROR(no_check, STORAGEOS_ERROR_UNSUPPORTED, "newer storageos");
	CHECK(!repair_plan(backing, 0, NULL, NULL, NULL, &no_repair));
	CHECK_ERROR(no_repair, STORAGEOS_ERROR_UNSUPPORTED, "feature");
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *name = g_strdup_printf("check: %s", rows[i].name);
		g_autofree char *repair = g_strdup_printf("repair: %s", rows[i].name);

		test_add(name, test_finding, &rows[i]);
		test_add(repair, test_repair, &rows[i]);
	}
	test_add("what only a later version may write is read, not checked and not mended",
		 test_later_features, NULL);
	test_add("check: all findings are counted, neighbours are one line", test_many, NULL);
	return test_run(argc, argv);
}
