/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damage to what snapshots have: the table, and nodes and blocks that one snapshot has alone or
 * shares.  Check tells who has lost what; repair mends copies, and gives up what it is told to, so
 * that the rest can be proved.
 */
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/check/repair.h"
#include "common/check/scrub-snapshots.h"
#include "common/check/scrub.h"
#include "common/engine/checkpoint.h"
#include "common/engine/superblock.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-snapshots.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

#define SIZE (272 * MIB) /* three levels of nodes */
#define FAR (256 * BLOCK_SIZE)

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static void take_snapshot(Volume *volume, const char *name)
{
	VolumeSnapshotParameters parameters = {.name = name};
	g_autoptr(GError) error = NULL;
	guint64 generation = 0;

	CHECK(volume_snapshot_begin(volume, &parameters, &generation, &error));
	CHECK(volume_snapshot_wait(volume, generation, 60, &error));
	CHECK_NO_ERROR(error);
}

/* Block 0 is 'a' in snapshot old, 'b' in snapshot new, 'c' in the volume; the block at FAR is 'f'
 * in all. */
static Backing *make_volume(void)
{
	const VolumeParameters p = {.size = SIZE, .journal_size = 64 * KIB};
	Backing *backing = backing_faulty_new(0);
	Volume *volume;

	CHECK(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	CHECK_INT(volume_put_value(volume, 'a', BLOCK_SIZE, 0), 0);
	CHECK_INT(volume_put_value(volume, 'f', BLOCK_SIZE, FAR), 0);
	take_snapshot(volume, "old");
	CHECK_INT(volume_put_value(volume, 'b', BLOCK_SIZE, 0), 0);
	take_snapshot(volume, "new");
	CHECK_INT(volume_put_value(volume, 'c', BLOCK_SIZE, 0), 0);
	close_volume(volume);
	return backing;
}

/* ---- where things are */

static void flip(Backing *backing, guint64 offset)
{
	backing_faulty_flip(backing, offset, 3);
}

static guint64 offset_of(const Superblock *sb, guint64 slot)
{
	return sb->groups_offset + slot * FORMAT_SLOT_SIZE;
}

static MapEntry entry_in(Backing *backing, const Superblock *sb, guint64 slot, guint i)
{
	FormatNode node;

	CHECK_INT(backing_pread(backing, &node, sizeof node, offset_of(sb, slot)), 0);
	return entry_at(NODE_LAYOUT_PLAIN, &node, i);
}

/* Where a copy of the table's root, or of its only page, begins in the backing. */
static guint64 table_offset(Backing *backing, const Superblock *sb, gboolean page, guint copy)
{
	MapEntry entry = sb->snapshot_root;

	if (page)
		entry = entry_in(backing, sb, entry.slot, 0);
	return offset_of(sb, entry.slot + copy * FORMAT_COPY_DISTANCE);
}

/* The root of snapshot number i of the table; 2: of the volume. */
static MapEntry find_root(Backing *backing, const Superblock *sb, guint i)
{
	FormatTablePage page;
	Snapshot snapshot = {0};

	if (i == 2)
		return sb->map_root;
	CHECK_INT(backing_pread(backing, &page, sizeof page, table_offset(backing, sb, TRUE, 0)),
		  0);
	CHECK(snapshot_decode(&page.records[i], sb, i, &snapshot));
	return snapshot.root;
}

static MapEntry find_leaf(Backing *backing, const Superblock *sb, guint root, guint leaf)
{
	MapEntry entry = find_root(backing, sb, root);

	entry = entry_in(backing, sb, entry.slot, 0);
	return entry_in(backing, sb, entry.slot, leaf);
}

/* ---- damage */

static void table_root_copy(Backing *backing, const Superblock *sb)
{
	flip(backing, table_offset(backing, sb, FALSE, 1));
}

static void table_page_copy(Backing *backing, const Superblock *sb)
{
	flip(backing, table_offset(backing, sb, TRUE, 0));
}

static void table_page(Backing *backing, const Superblock *sb)
{
	flip(backing, table_offset(backing, sb, TRUE, 0));
	flip(backing, table_offset(backing, sb, TRUE, 1));
}

static void leaf_of_old(Backing *backing, const Superblock *sb)
{
	flip(backing, offset_of(sb, find_leaf(backing, sb, 0, 0).slot));
}

static void leaf_of_all(Backing *backing, const Superblock *sb)
{
	flip(backing, offset_of(sb, find_leaf(backing, sb, 2, 1).slot));
}

static void inner_copy_of_new(Backing *backing, const Superblock *sb)
{
	MapEntry entry = entry_in(backing, sb, find_root(backing, sb, 1).slot, 0);

	flip(backing, offset_of(sb, entry.slot));
}

static void block_of_new(Backing *backing, const Superblock *sb)
{
	guint64 leaf = find_leaf(backing, sb, 1, 0).slot;

	flip(backing, offset_of(sb, entry_in(backing, sb, leaf, 0).slot));
}

static void block_of_all(Backing *backing, const Superblock *sb)
{
	guint64 leaf = find_leaf(backing, sb, 2, 1).slot;

	flip(backing, offset_of(sb, entry_in(backing, sb, leaf, 0).slot));
}

static void nothing(Backing *backing, const Superblock *sb)
{
	(void)backing, (void)sb;
}

typedef struct {
	const char *name;
	void (*damage)(Backing *backing, const Superblock *sb);
	const char *found; /* part of a finding; NULL: there is none */
	guint lost[3];	   /* blocks, of old, new and the volume */
	const char *give_up;
	gboolean whole; /* after the repair */
} DamageRow;

static const DamageRow rows[] = {
	{"nothing", nothing, .whole = TRUE},
	{"nothing, old given up", nothing, .give_up = "old", .whole = TRUE},
	{"nothing, new given up", nothing, .give_up = "new", .whole = TRUE},
	{"nothing, all given up", nothing, .give_up = "*", .whole = TRUE},
	{"a copy of the table's root", table_root_copy, "root of the snapshot table",
	 .whole = TRUE},
	{"a copy of the table's page", table_page_copy, "page 0 of the snapshot table",
	 .whole = TRUE},
	{"both copies of the table's page", table_page, "its snapshots are lost", .whole = FALSE},
	{"both copies, all given up", table_page, "its snapshots are lost", .give_up = "*",
	 .whole = TRUE},
	{"a leaf of old", leaf_of_old, "snapshot 'old': node 0/0", {256, 0, 0}, .whole = FALSE},
	{"a leaf of old, which is given up",
	 leaf_of_old,
	 "snapshot 'old': node 0/0",
	 {256, 0, 0},
	 .give_up = "old",
	 .whole = TRUE},
	{"a leaf of all", leaf_of_all, "snapshot 'old': node 0/1", {256, 256, 256}, .whole = FALSE},
	{"a leaf of all, of which old is given up",
	 leaf_of_all,
	 "node 0/1",
	 {256, 256, 256},
	 .give_up = "old"},
	{"a copy of an inner node of new", inner_copy_of_new, "snapshot 'new': node 1/0",
	 .whole = TRUE},
	{"a block of new", block_of_new, "snapshot 'new': block 0", {0, 1, 0}, .whole = FALSE},
	{"a block of all", block_of_all, "snapshot 'old': block 256", {1, 1, 1}, .whole = FALSE},
	{"a block of all, all given up", block_of_all, "block 256", {1, 1, 1}, .give_up = "*"},
};

/* ---- checks */

static guint64 count_blocks(const GArray *lost)
{
	guint64 n = 0;

	for (guint i = 0; i < lost->len; i++)
		n += g_array_index(lost, CheckRange, i).end -
		     g_array_index(lost, CheckRange, i).first;
	return n;
}

static guint64 count_lost(const CheckResult *result, const char *snapshot)
{
	for (guint i = 0; i < result->losses->len; i++) {
		const CheckLoss *loss = g_ptr_array_index(result->losses, i);

		if (!strcmp(loss->snapshot, snapshot))
			return count_blocks(loss->lost);
	}
	return 0;
}

static void check_found(Backing *backing, const DamageRow *row)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CheckResult) result = check_run(backing, NULL, NULL, &error);
	gboolean found = FALSE;

	CHECK_NO_ERROR(error);
	REQUIRE(result);
	for (guint i = 0; row->found && i < result->messages->len; i++)
		found |= strstr(g_ptr_array_index(result->messages, i), row->found) != NULL;
	CHECK_INT(found, row->found != NULL);
	CHECK_INT(result->errors != 0, row->found != NULL);
	CHECK_UINT(count_lost(result, "old"), row->lost[0]);
	CHECK_UINT(count_lost(result, "new"), row->lost[1]);
	CHECK_UINT(count_blocks(result->lost), row->lost[2]);
}

static void repair(Backing *backing, const DamageRow *row)
{
	const char *give_up[] = {row->give_up, NULL};
	g_autoptr(GError) error = NULL;
	g_autoptr(RepairPlan) plan =
		repair_plan(backing, 0, row->give_up ? give_up : NULL, NULL, NULL, &error);

	CHECK_NO_ERROR(error);
	if (plan)
		CHECK(repair_carry_out(plan, &error));
	CHECK_NO_ERROR(error);
}

static void check_snapshot(Backing *backing, const DamageRow *row, const char *name, guint8 value)
{
	gboolean gone = row->give_up && (!strcmp(row->give_up, name) || *row->give_up == '*');
	g_autoptr(GError) error = NULL;
	Volume *volume =
		volume_open_snapshot(backing_borrow(backing), "test", name, NULL, NULL, &error);

	if (gone) {
		CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, NULL);
	} else if (CHECK_NO_ERROR(error)) {
		check_value(volume, value, BLOCK_SIZE, 0);
		check_value(volume, 'f', BLOCK_SIZE, FAR);
	}
	volume_close(volume, NULL);
}

/* After a repair that left nothing, all that was not given up is there, and goes on. */
static void check_whole(Backing *backing, const DamageRow *row)
{
	Volume *volume;

	backing_check(backing);
	check_snapshot(backing, row, "old", 'a');
	check_snapshot(backing, row, "new", 'b');
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	check_value(volume, 'c', BLOCK_SIZE, 0);
	check_value(volume, 'f', BLOCK_SIZE, FAR);
	CHECK_INT(volume_put_value(volume, 'd', BLOCK_SIZE, FAR), 0);
	take_snapshot(volume, "later");
	close_volume(volume);
	backing_check(backing);
}

static void test_damage(const void *data)
{
	const DamageRow *row = data;
	g_autoptr(Backing) backing = make_volume();
	SuperblockPair pair;

	CHECK(superblock_load(backing, &pair, NULL));
	row->damage(backing, &pair.current);
	check_found(backing, row);
	repair(backing, row);
	if (row->whole)
		check_whole(backing, row);
}

static void test_unknown(const void *data)
{
	static const char *const names[] = {"old", "nobody", NULL};
	g_autoptr(Backing) backing = make_volume();
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!repair_plan(backing, 0, names, NULL, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "nobody");
	backing_check(backing);
}

/* Two branches that go on from `old`, which may be deleted and wait: `new`, with `undo`; and
 * `other`, with the volume. */
static Backing *make_branches(gboolean deleted)
{
	Backing *backing = make_volume();
	Volume *volume = backing_open_volume(backing);
	g_autofree char *undo = NULL;

	if (!CHECK(volume != NULL))
		return backing;
	CHECK(volume_rollback(volume, "old", 0, &undo, NULL));
	CHECK(volume_snapshot_rename(volume, undo, "undo", NULL));
	take_snapshot(volume, "other");
	CHECK_INT(volume_put_value(volume, 'd', BLOCK_SIZE, 0), 0);
	if (deleted)
		CHECK(volume_snapshot_delete(volume, "old", 0, NULL));
	close_volume(volume);
	return backing;
}

/* A branch point alone would leave its branches sharing what nobody says they share. */
static void test_branch_point(const void *data)
{
	static const char *const old[] = {"old", NULL}, *const branch[] = {"new", "old", "undo",
									   NULL};
	g_autoptr(Backing) backing = make_branches(FALSE);
	g_autoptr(GError) error = NULL;
	g_autoptr(RepairPlan) plan = NULL;

	(void)data;
	CHECK(!repair_plan(backing, 0, old, NULL, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "'old' cannot be given up, as 2 branches");
	g_clear_error(&error);
	backing_check(backing);
	plan = repair_plan(backing, 0, branch, NULL, NULL, &error);
	REQUIRE(CHECK_NO_ERROR(error) && plan);
	CHECK(repair_carry_out(plan, &error));
	CHECK_NO_ERROR(error);
	backing_check(backing);
}

/* One that waits to be deleted stays when something else is given up. */
static void test_branch_point_waits(const void *data)
{
	static const char *const names[] = {"other", NULL};
	g_autoptr(Backing) backing = make_branches(TRUE);
	g_autoptr(GError) error = NULL;
	g_autoptr(RepairPlan) plan = repair_plan(backing, 0, names, NULL, NULL, &error);
	Volume *volume;

	(void)data;
	REQUIRE(CHECK_NO_ERROR(error) && plan);
	CHECK(repair_carry_out(plan, &error));
	CHECK_NO_ERROR(error);
	g_clear_pointer(&plan, repair_plan_free);
	backing_check(backing);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	check_value(volume, 'd', BLOCK_SIZE, 0);
	CHECK(volume_snapshot_delete(volume, "new", 0, NULL));
	CHECK(volume_snapshot_delete(volume, "undo", 0, NULL));
	CHECK(volume_settled(volume, volume_settle(volume), 60));
	close_volume(volume);
	backing_check(backing);
}

/* The scrub of a volume with snapshots in use: every block once, and damage in what only snapshots
 * have. */
static void scrub_volume(Backing *backing, ScrubStatus *ret_status)
{
	Volume *volume = backing_open_volume(backing);
	g_autoptr(GError) error = NULL;
	Scrub *scrub = scrub_start(volume, 0, 0, &error);

	CHECK_NO_ERROR(error);
	CHECK(scrub_wait(scrub, 60000));
	scrub_get_status(scrub, ret_status);
	scrub_free(scrub);
	close_volume(volume);
}

static void test_scrub(const void *data)
{
	static const struct {
		void (*damage)(Backing *backing, const Superblock *sb);
		guint errors, repaired;
	} cases[] = {{nothing, 0, 0},
		     {inner_copy_of_new, 0, 1},
		     {block_of_new, 1, 0},
		     {leaf_of_old, 1, 0}};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(cases); i++) {
		g_autoptr(Backing) backing = make_volume();
		SuperblockPair pair;
		ScrubStatus status;

		test_row("case %u", i);
		CHECK(superblock_load(backing, &pair, NULL));
		cases[i].damage(backing, &pair.current);
		scrub_volume(backing, &status);
		CHECK(status.complete);
		CHECK_UINT(status.errors, cases[i].errors);
		CHECK_UINT(status.repaired, cases[i].repaired);
		CHECK_UINT(status.blocks, cases[i].damage == leaf_of_old ? 3 : 4);
	}
}

/* A step of a scrub may come between the instant of a snapshot and the writing of its nodes. */
static void freeze_and_scrub(Engine *engine, gpointer data)
{
	const Snapshot wish = {.state = FORMAT_SNAPSHOT_ALIVE, .name = "now", .uuid = {7}};
	g_autofree ScrubSnapshots *scrub = g_new0(ScrubSnapshots, 1);
	guint64 generation, lost = 0;

	CHECK_INT(volume_put_value(data, 'd', BLOCK_SIZE, 0), 0); /* its root is to be written */
	CHECK_INT(checkpoint_begin_snapshot(engine, &wish, &generation), 0);
	CHECK_INT(volume_put_value(data, 'e', BLOCK_SIZE, 0), 0); /* and is not the volume's */
	do {
		scrub_snapshots_step(engine, scrub);
		lost += scrub->count.lost;
	} while (scrub->more);
	CHECK_UINT(lost, 0);
}

static void test_scrub_frozen(const void *data)
{
	g_autoptr(Backing) backing = make_volume();
	Volume *volume = backing_open_volume(backing);

	(void)data;
	REQUIRE(volume);
	checkpointer_call(volume->checkpointer, freeze_and_scrub, volume);
	CHECK_INT(volume_checkpoint(volume), 0);
	close_volume(volume);
	backing_check(backing);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++)
		test_add(rows[i].name, test_damage, &rows[i]);
	test_add("a snapshot that there is not is not given up", test_unknown, NULL);
	test_add("a branch point is given up with all of its branches but one", test_branch_point,
		 NULL);
	test_add("a branch point that waits to be deleted stays", test_branch_point_waits, NULL);
	test_add("a scrub verifies what snapshots have alone", test_scrub, NULL);
	test_add("a scrub leaves alone what is just being taken", test_scrub_frozen, NULL);
	return test_run(argc, argv);
}
