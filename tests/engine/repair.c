/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Repair of what is stored twice, of bitmaps, and of the journal's end.  Each damage is mended,
 * or reported as left.  What could be read before can be read after.  A repair that a power cut
 * interrupts at any operation leaves the volume no worse, and the next repair finishes the work.
 */
#include <errno.h>

#include "tests/backing/faulty.h"
#include "common/engine/bitmap-pages.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/check/repair.h"
#include "common/engine/superblock.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#define SIZE (272 * MIB) /* three levels of nodes */
#define PLACES 12
#define POINTS_MAX 200

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static guint64 place_of(guint i)
{
	return i * (24 * MIB + 5 * BLOCK_SIZE); /* the last block is below another inner node */
}

/* A volume with some blocks, either closed, or with flushed records in its journal. */
static Backing *new_backing(gboolean closed)
{
	Backing *backing = backing_new_filled(SIZE, PLACES, place_of);
	Volume *volume;

	CHECK_INT(backing_flush(backing), 0);
	if (closed)
		return backing;
	volume = backing_open_volume(backing);
	for (guint i = 0; volume && i < 4; i++) {
		CHECK_INT(volume_put_value(volume, (guint8)(101 + i), BLOCK_SIZE, place_of(i)), 0);
		CHECK_INT(volume_flush(volume), 0);
	}
	volume_abandon(volume);
	CHECK_INT(backing_flush(backing), 0);
	return backing;
}

static void load(Backing *backing, SuperblockPair *pair)
{
	g_autoptr(GError) error = NULL;

	CHECK(superblock_load(backing, pair, &error));
	CHECK_NO_ERROR(error);
}

static guint64 slot_at(const SuperblockPair *pair, guint64 slot)
{
	return pair->current.groups_offset + slot * FORMAT_SLOT_SIZE;
}

/* The node of this level over block 0. */
static MapEntry first_node(Backing *backing, guint level)
{
	SuperblockPair pair;
	MapEntry entry;

	load(backing, &pair);
	entry = pair.current.map_root;
	for (guint at = pair.current.levels - 1; at > level; at--) {
		FormatNode node;

		CHECK_INT(backing_pread(backing, &node, sizeof node, slot_at(&pair, entry.slot)),
			  0);
		entry = entry_at(NODE_LAYOUT_PLAIN, &node, 0);
	}
	return entry;
}

/* ---- damages */

static void flip_slot(Backing *backing, guint64 slot)
{
	SuperblockPair pair;

	load(backing, &pair);
	backing_faulty_flip(backing, slot_at(&pair, slot) + 1234, 3);
}

static void damage_superblock(Backing *backing)
{
	SuperblockPair pair;

	load(backing, &pair);
	backing_faulty_flip(backing, (pair.home ? FORMAT_SUPERBLOCK_B : FORMAT_SUPERBLOCK_A) + 60,
			    1);
}

static void damage_root(Backing *backing)
{
	flip_slot(backing, first_node(backing, 2).slot);
}

static void damage_root_copy(Backing *backing)
{
	flip_slot(backing, first_node(backing, 2).slot + FORMAT_COPY_DISTANCE);
}

static void damage_inner(Backing *backing)
{
	flip_slot(backing, first_node(backing, 1).slot);
}

static void damage_leaf(Backing *backing)
{
	flip_slot(backing, first_node(backing, 0).slot);
}

static void damage_inner_and_copy(Backing *backing)
{
	flip_slot(backing, first_node(backing, 1).slot);
	flip_slot(backing, first_node(backing, 1).slot + FORMAT_COPY_DISTANCE);
}

static void damage_bitmap_copies(Backing *backing)
{
	backing_faulty_flip(backing, FORMAT_FIRST_COPIES + 100, 0);
	backing_faulty_flip(backing, FORMAT_FIRST_COPIES + 4096 + 100, 0);
}

static void damage_bitmaps(Backing *backing)
{
	damage_bitmap_copies(backing);
	flip_slot(backing, FORMAT_BITMAP_A);
	flip_slot(backing, FORMAT_BITMAP_B);
}

/* Makes a valid bitmap page wrong: unused slots are marked as used, or the root's slot is
 * not.  The page is sealed again, and the superblock gets its digest. */
static void change_bitmap(Backing *backing, gboolean leak)
{
	g_autofree BitmapChoice *choice = g_new0(BitmapChoice, 1);
	SuperblockPair pair;
	BitmapPlace place;
	Seal seal;
	guint64 generation = 0, bit;
	Superblock next;

	load(backing, &pair);
	seal = (Seal){pair.current.seed};
	place = (BitmapPlace){backing, pair.current.groups_offset, &seal};
	CHECK_INT(bitmap_choose(&place, 0, pair.current.checkpoint, TRUE, choice), 0);
	CHECK(bitmap_verify(&choice->page, place.seal, 0, &generation));
	bit = leak ? FORMAT_BITMAP_BITS - 10
		   : slot_index(pair.current.map_root.slot) - FORMAT_FIRST_INDEX;
	for (guint i = 0; i < (leak ? 5 : 1); i++, bit++)
		choice->page.bits[bit / 8] ^= (guint8)(1u << bit % 8);
	bitmap_seal(&choice->page, place.seal, 0, generation);
	CHECK_INT(bitmap_write(&place, 0, choice->home, &choice->page), 0);
	next = pair.current;
	next.generation++;
	next.bitmap_digest = bitmap_term(&choice->page, 0);
	CHECK_INT(superblock_store(backing, &pair, &next), 0);
	CHECK_INT(backing_flush(backing), 0);
}

static void leak_slots(Backing *backing)
{
	change_bitmap(backing, TRUE);
}

static void miss_slots(Backing *backing)
{
	change_bitmap(backing, FALSE);
}

static void lose_block(Backing *backing)
{
	SuperblockPair pair;
	FormatNode leaf;

	load(backing, &pair);
	CHECK_INT(backing_pread(backing, &leaf, sizeof leaf,
				slot_at(&pair, first_node(backing, 0).slot)),
		  0);
	flip_slot(backing, entry_at(NODE_LAYOUT_PLAIN, &leaf, 0).slot);
}

/* Damages the record of the second flush.  Two durable-marks behind the record say that it was on
 * the disk. */
static void damage_record(Backing *backing)
{
	SuperblockPair pair;

	load(backing, &pair);
	backing_faulty_flip(backing,
			    FORMAT_JOURNAL_OFFSET +
				    pair.current.journal_position % pair.current.journal_size + 115,
			    2);
}

typedef struct {
	const char *name;
	void (*damage)(Backing *backing);
	const char *action; /* a part of one of the actions; NULL: there is none */
	const char *left;   /* a part of one of the faults that stay; NULL: none stays */
	guint64 lost;	    /* blocks */
	gboolean opens;	    /* the volume opens before the repair, too */
} RepairRow;

static const RepairRow rows[] = {
	{"a superblock", damage_superblock, "rewrite superblock", NULL, 0, TRUE},
	{"the root", damage_root, "rewrite node 2/0 in slot", NULL, 0, TRUE},
	{"the root's copy", damage_root_copy, "rewrite node 2/0 in slot", NULL, 0, TRUE},
	{"an inner node", damage_inner, "rewrite node 1/0 in slot", NULL, 0, TRUE},
	{"bitmap pages' copies", damage_bitmap_copies, "rewrite copy 2 of the bitmap of group 0",
	 NULL, 0, TRUE},
	{"all bitmap pages", damage_bitmaps, "rebuild the bitmap of group 0 from the map", NULL, 0,
	 FALSE},
	{"slots leaked", leak_slots, "5 slots leaked, 0 missing", NULL, 0, TRUE},
	{"a slot missing", miss_slots, "0 slots leaked, 1 missing", NULL, 0, TRUE},
	{"a block", lose_block, NULL, NULL, 1, TRUE},
	{"a leaf", damage_leaf, NULL, "1 nodes of the map are lost", 256, TRUE},
	{"an inner node and its copy", damage_inner_and_copy, NULL, "1 nodes of the map are lost",
	 65536, TRUE},
};

/* ---- reading */

static gboolean has_line(const GPtrArray *lines, const char *part)
{
	for (guint i = 0; i < lines->len; i++)
		if (strstr(g_ptr_array_index(lines, i), part))
			return TRUE;
	return FALSE;
}

static guint64 count_lost(const GArray *lost)
{
	guint64 n = 0;

	for (guint i = 0; i < lost->len; i++)
		n += g_array_index(lost, CheckRange, i).end -
		     g_array_index(lost, CheckRange, i).first;
	return n;
}

/* The set of places that can be read, whose content is checked; 0 if the volume cannot be opened.
 */
static guint32 read_places(Backing *backing, guint changed)
{
	Volume *volume = volume_open(backing_borrow(backing), "test", VOLUME_OPEN_READ_ONLY, NULL);
	guint32 readable = 0;

	for (guint i = 0; volume && i < PLACES; i++) {
		guint8 block[BLOCK_SIZE], expected[BLOCK_SIZE];
		int r = volume_get(volume, block, sizeof block, place_of(i));

		memset(expected, (int)(i < changed ? 101 + i : 1 + i), sizeof expected);
		if (r)
			CHECK_INT(r, -EBADMSG);
		else if (CHECK_MEM(block, expected, sizeof block))
			readable |= 1u << i;
	}
	if (volume)
		volume_abandon(volume);
	return readable;
}

static RepairPlan *plan_for(Backing *backing, RepairFlags flags)
{
	g_autoptr(GError) error = NULL;
	RepairPlan *plan = repair_plan(backing, flags, NULL, NULL, NULL, &error);

	CHECK_NO_ERROR(error);
	CHECK(plan != NULL);
	return plan;
}

static void repair(Backing *backing, RepairFlags flags)
{
	g_autoptr(RepairPlan) plan = plan_for(backing, flags);
	g_autoptr(GError) error = NULL;

	if (plan)
		CHECK(repair_carry_out(plan, &error));
	CHECK_NO_ERROR(error);
}

static guint64 count_errors(Backing *backing)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CheckResult) result = check_run(backing, NULL, NULL, &error);

	CHECK_NO_ERROR(error);
	return result ? result->errors : G_MAXUINT64;
}

/* The volume takes writes, and closes without an error. */
static void use(Backing *backing)
{
	Volume *volume = backing_open_volume(backing);

	if (!volume)
		return;
	CHECK_INT(volume_put_value(volume, 77, BLOCK_SIZE, 270 * MIB), 0);
	close_volume(volume);
}

static void test_row_mended(const void *data)
{
	const RepairRow *row = data;
	g_autoptr(Backing) backing = new_backing(TRUE);
	g_autoptr(RepairPlan) plan = NULL;
	guint32 readable;
	guint64 left;

	row->damage(backing);
	readable = read_places(backing, 0);
	CHECK_INT(readable != 0, row->opens);
	plan = plan_for(backing, 0);
	REQUIRE(plan);
	CHECK_INT(plan->actions->len != 0, row->action != NULL);
	CHECK(!row->action || has_line(plan->actions, row->action));
	CHECK_INT(plan->left->len != 0, row->left != NULL);
	CHECK(!row->left || has_line(plan->left, row->left));
	CHECK_UINT(count_lost(plan->check->lost), row->lost);
	CHECK(repair_carry_out(plan, NULL));
	left = count_errors(backing);
	CHECK_INT(left != 0, row->left || row->lost);
	CHECK((read_places(backing, 0) & readable) == readable);
	CHECK(row->lost || read_places(backing, 0) == (1u << PLACES) - 1);
	use(backing);
	CHECK_UINT(count_errors(backing), left);
}

static void test_nothing(const void *data)
{
	g_autoptr(Backing) backing = new_backing(TRUE);
	guint64 before = backing_faulty_count(backing, FAULTY_MODIFY);
	g_autoptr(RepairPlan) plan = plan_for(backing, REPAIR_CUT_JOURNAL);

	(void)data;
	REQUIRE(plan);
	CHECK_UINT(plan->actions->len, 0);
	CHECK_UINT(plan->left->len, 0);
	CHECK(!plan->replay);
	CHECK(repair_carry_out(plan, NULL));
	CHECK_UINT(backing_faulty_count(backing, FAULTY_MODIFY), before);
}

static void test_unclean(const void *data)
{
	g_autoptr(Backing) backing = new_backing(FALSE);
	g_autoptr(RepairPlan) plan = plan_for(backing, 0);

	(void)data;
	REQUIRE(plan);
	CHECK(plan->replay);
	CHECK(has_line(plan->actions, "replay the 4 records"));
	CHECK_UINT(plan->check->errors, 0);
	CHECK_UINT(read_places(backing, 4), (1u << PLACES) - 1);
}

/* The slots of records that will be replayed are free in the bitmaps. */
static void test_unclean_bitmaps(const void *data)
{
	g_autoptr(Backing) backing = new_backing(FALSE);

	(void)data;
	damage_bitmaps(backing);
	repair(backing, 0);
	CHECK_UINT(count_errors(backing), 0);
	CHECK_UINT(read_places(backing, 4), (1u << PLACES) - 1);
	use(backing);
	CHECK_UINT(count_errors(backing), 0);
	CHECK_UINT(read_places(backing, 4), (1u << PLACES) - 1);
}

static void test_cut_journal(const void *data)
{
	g_autoptr(Backing) backing = new_backing(FALSE);
	g_autoptr(RepairPlan) plan = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	damage_record(backing);
	CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "was flushed, and is damaged");
	plan = plan_for(backing, 0);
	REQUIRE(plan);
	CHECK(plan->may_cut);
	CHECK_UINT(plan->actions->len, 0);
	CHECK(has_line(plan->left, "was flushed, and is damaged"));
	g_clear_pointer(&plan, repair_plan_free);
	plan = plan_for(backing, REPAIR_CUT_JOURNAL);
	REQUIRE(plan);
	CHECK(has_line(plan->actions, "end the journal before record"));
	CHECK(plan->given_up->len == 2); /* the third write and the fourth; the second is damaged */
	CHECK(has_line(plan->given_up, "write of bytes "));
	CHECK(repair_carry_out(plan, NULL));
	CHECK_UINT(count_errors(backing), 0);
	CHECK_UINT(read_places(backing, 1), (1u << PLACES) - 1);
	use(backing);
	CHECK_UINT(count_errors(backing), 0);
	CHECK_UINT(read_places(backing, 1), (1u << PLACES) - 1);
}

/* An open would refuse the volume: the repair does not end with an open, and reports what is left.
 */
static void test_unclean_not_opened(const void *data)
{
	g_autoptr(Backing) backing = new_backing(FALSE);
	g_autoptr(RepairPlan) plan = NULL;

	(void)data;
	damage_bitmaps(backing);
	damage_leaf(backing);
	plan = plan_for(backing, 0);
	REQUIRE(plan);
	CHECK(has_line(plan->left, "damaged map: the volume cannot be opened"));
	CHECK(!plan->replay);
	CHECK(repair_carry_out(plan, NULL));
	CHECK_UINT(read_places(backing, 4), 0);
}

/* A record changes blocks of a lost leaf. */
static void test_record_over_lost(const void *data)
{
	g_autoptr(Backing) backing = new_backing(FALSE);
	g_autoptr(RepairPlan) plan = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	damage_leaf(backing);
	CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT,
		    "of blocks 0-0: the map's node over them is lost");
	plan = plan_for(backing, 0);
	REQUIRE(plan);
	CHECK(plan->may_cut);
	CHECK(!plan->replay);
	CHECK(has_line(plan->left, "under a node that is lost: the volume cannot be opened"));
	CHECK_UINT(plan->given_up->len, 4);
	CHECK_UINT(count_lost(plan->check->lost), 256);
	g_clear_pointer(&plan, repair_plan_free);
	repair(backing, REPAIR_CUT_JOURNAL);
	CHECK_UINT(read_places(backing, 0), (1u << PLACES) - 2);
	use(backing);
	CHECK_UINT(read_places(backing, 0), (1u << PLACES) - 2);
}

/* The backing, truncated before slot `end`. */
static Backing *cut_at(Backing *origin, guint64 end)
{
	Backing *backing = backing_faulty_new(0);
	g_autofree guint8 *bytes = NULL;
	SuperblockPair pair;

	load(origin, &pair);
	end = slot_at(&pair, end);
	bytes = g_malloc(end);
	CHECK_INT(backing_pread(origin, bytes, end, 0), 0);
	CHECK_INT(backing_grow(backing, end), 0);
	CHECK_INT(backing_pwrite(backing, bytes, end, 0), 0);
	return backing;
}

/* The copies that the repair would rewrite lie behind the end. */
static void test_cut_copies(const void *data)
{
	g_autoptr(Backing) origin = new_backing(TRUE);
	g_autoptr(Backing) backing = cut_at(origin, 0);
	g_autoptr(RepairPlan) plan = plan_for(backing, 0);
	g_autoptr(GError) error = NULL;

	(void)data;
	REQUIRE(plan);
	CHECK(has_line(plan->actions, "rewrite copy 1 of the bitmap of group 0"));
	CHECK(repair_carry_out(plan, &error));
	CHECK_NO_ERROR(error);
	g_clear_pointer(&plan, repair_plan_free);
	plan = plan_for(backing, 0);
	REQUIRE(plan);
	CHECK_UINT(plan->actions->len, 0);
	CHECK_UINT(count_lost(plan->check->lost), blocks_covering(SIZE));
}

/* The backing was truncated, and the slots of writes that were flushed since the checkpoint are
 * lost. */
static void test_cut_backing(const void *data)
{
	g_autoptr(Backing) origin = new_backing(FALSE);
	g_autoptr(Backing) backing = cut_at(origin, FORMAT_FIRST_INDEX);
	g_autoptr(RepairPlan) plan = NULL;
	g_autoptr(GError) error = NULL;

	(void)data;
	CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "slots that are not there");
	plan = plan_for(backing, 0);
	REQUIRE(plan);
	CHECK(plan->may_cut);
	CHECK(!plan->replay);
	CHECK(has_line(plan->left, "was flushed, and is damaged"));
	CHECK(has_line(plan->given_up, "write of bytes "));
}

/* ---- interrupted */

static void check_left(Backing *backing, const RepairRow *row, guint32 readable, guint64 errors)
{
	guint32 now;

	CHECK(count_errors(backing) <= errors);
	now = read_places(backing, 0);
	CHECK((now & readable) == readable);
	repair(backing, 0);
	CHECK_INT(count_errors(backing) != 0, row->left || row->lost);
	CHECK(row->lost || read_places(backing, 0) == (1u << PLACES) - 1);
	use(backing);
}

/* Runs a repair that stops at operation `point`.  FALSE if it ended before. */
static gboolean interrupt(Backing *origin, const RepairRow *row, guint64 point, TestRandom *random)
{
	g_autoptr(Backing) backing = backing_faulty_crash(origin, G_MAXUINT64);
	guint64 before = backing_faulty_count(backing, FAULTY_MODIFY), seed, errors;
	guint32 readable = read_places(backing, 0);
	g_autoptr(RepairPlan) plan = plan_for(backing, 0);
	gboolean stopped;

	if (!plan)
		return FALSE;
	errors = plan->check->errors;
	backing_faulty_fail(backing, FAULTY_MODIFY, point, EIO, TRUE, TRUE);
	repair_carry_out(plan, NULL);
	stopped = backing_faulty_count(backing, FAULTY_MODIFY) - before > point;
	for (guint i = 0; i < 4 && !test_failed(); i++) {
		g_autoptr(Backing) left = NULL;

		seed = FAULTY_CRASH_SEED(i, random);
		left = backing_faulty_crash(backing, seed);
		test_row("%s, stopped at operation %" G_GUINT64_FORMAT ", seed %" G_GUINT64_FORMAT,
			 row->name, point, seed);
		check_left(left, row, readable, errors);
	}
	return stopped;
}

static void test_interrupted(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	guint64 points = 0;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows) && !test_failed(); i++) {
		g_autoptr(Backing) origin = new_backing(TRUE);
		guint64 point = 0;

		rows[i].damage(origin);
		while (point < POINTS_MAX && !test_failed() &&
		       interrupt(origin, &rows[i], point, &random))
			point++;
		CHECK(point < POINTS_MAX && (point > 0 || !rows[i].action));
		points += point;
	}
	test_note("stopped at %" G_GUINT64_FORMAT " operations, with 4 losses of power each",
		  points);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *name = g_strdup_printf("repair: %s", rows[i].name);

		test_add(name, test_row_mended, &rows[i]);
	}
	test_add("repair: nothing is damaged, and nothing is written", test_nothing, NULL);
	test_add("repair: what a crash left is reported", test_unclean, NULL);
	test_add("repair: bitmaps, with a journal to replay", test_unclean_bitmaps, NULL);
	test_add("repair: the journal is ended early only on request", test_cut_journal, NULL);
	test_add("repair: what cannot be opened is not replayed", test_unclean_not_opened, NULL);
	test_add("repair: a record over a lost leaf", test_record_over_lost, NULL);
	test_add("repair: a truncated backing without the copies", test_cut_copies, NULL);
	test_add("repair: a truncated backing without the slots of flushed records",
		 test_cut_backing, NULL);
	test_add("repair: interrupted at every operation", test_interrupted, NULL);
	return test_run(argc, argv);
}
