/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scrubbing an open volume: rot is found, counted, and mended where a second copy exists.  A
 * scrub runs while the volume is used, and ends when it is stopped.
 */
#include "tests/backing/faulty.h"
#include "common/engine/bitmap-pages.h"
#include "common/check/check.h"
#include "common/base/logging.h"
#include "common/check/repair.h"
#include "common/service/scrub-json.h"
#include "common/engine/superblock.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#define SIZE (272 * MIB)
#define PLACES 12

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static guint64 place_of(guint i)
{
	return i * (24 * MIB + 5 * BLOCK_SIZE);
}

static Superblock superblock_of(Backing *backing)
{
	SuperblockPair pair = {0};

	CHECK(superblock_load(backing, &pair, NULL));
	return pair.current;
}

/* The node of this level over block 0. */
static MapEntry first_node(Backing *backing, guint level)
{
	Superblock sb = superblock_of(backing);
	MapEntry entry = sb.map_root;

	for (guint at = sb.levels - 1; at > level; at--) {
		FormatNode node;

		CHECK_INT(backing_pread(backing, &node, sizeof node,
					sb.groups_offset + entry.slot * FORMAT_SLOT_SIZE),
			  0);
		entry = entry_at(NODE_LAYOUT_PLAIN, &node, 0);
	}
	return entry;
}

static void flip_slot(Backing *backing, guint64 slot)
{
	backing_faulty_flip(
		backing, superblock_of(backing).groups_offset + slot * FORMAT_SLOT_SIZE + 1234, 3);
}

static void rot_superblock(Backing *backing)
{
	backing_faulty_flip(backing, FORMAT_SUPERBLOCK_B + 60, 1);
}

static void rot_bitmaps(Backing *backing)
{
	backing_faulty_flip(backing, FORMAT_FIRST_COPIES + 100, 0);
	backing_faulty_flip(backing, FORMAT_FIRST_COPIES + 4096 + 100, 0);
}

static void rot_node(Backing *backing)
{
	flip_slot(backing, first_node(backing, 1).slot);
}

static void rot_copy(Backing *backing)
{
	flip_slot(backing, first_node(backing, 2).slot + FORMAT_COPY_DISTANCE);
}

static void rot_leaf(Backing *backing)
{
	flip_slot(backing, first_node(backing, 0).slot);
}

static void rot_node_and_copy(Backing *backing)
{
	rot_node(backing);
	flip_slot(backing, first_node(backing, 1).slot + FORMAT_COPY_DISTANCE);
}

static void rot_nothing(Backing *backing)
{
	(void)backing;
}

static void rot_block(Backing *backing)
{
	Superblock sb = superblock_of(backing);
	FormatNode leaf;

	CHECK_INT(backing_pread(backing, &leaf, sizeof leaf,
				sb.groups_offset + first_node(backing, 0).slot * FORMAT_SLOT_SIZE),
		  0);
	flip_slot(backing, entry_at(NODE_LAYOUT_PLAIN, &leaf, 0).slot);
}

typedef struct {
	const char *name;
	void (*rot)(Backing *backing);
	guint64 repaired, errors;
	guint64 blocks; /* blocks that can be verified */
	guint64 lost;	/* blocks */
	gboolean read;	/* everything is read before, and so in the cache */
} ScrubRow;

static const ScrubRow rows[] = {
	{"nothing", rot_nothing, 0, 0, PLACES, 0, FALSE},
	{"a superblock", rot_superblock, 1, 0, PLACES, 0, FALSE},
	{"a bitmap's copy", rot_bitmaps, 1, 0, PLACES, 0, FALSE},
	{"a node", rot_node, 1, 0, PLACES, 0, TRUE},
	{"a node's copy", rot_copy, 1, 0, PLACES, 0, FALSE},
	{"a node and its copy, in the cache", rot_node_and_copy, 2, 0, PLACES, 0, TRUE},
	{"a leaf that is in the cache", rot_leaf, 1, 0, PLACES, 0, TRUE},
	{"a leaf", rot_leaf, 0, 1, PLACES - 1, 256, FALSE},
	{"a node and its copy", rot_node_and_copy, 0, 1, 1, 65536, FALSE},
	{"a block", rot_block, 0, 1, PLACES, 1, FALSE},
};

static guint64 count_lost(Scrub *scrub)
{
	g_autoptr(GArray) lost = scrub_get_lost(scrub);
	guint64 n = 0;

	for (guint i = 0; i < lost->len; i++)
		n += g_array_index(lost, ScrubRange, i).end -
		     g_array_index(lost, ScrubRange, i).first;
	return n;
}

static void scrub_whole_as(Volume *volume, ScrubFlags flags, ScrubStatus *ret_status,
			   guint64 *ret_lost)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Scrub) scrub = scrub_start(volume, flags, 0, &error);

	CHECK_NO_ERROR(error);
	REQUIRE(scrub);
	CHECK(scrub_wait(scrub, 60000));
	scrub_get_status(scrub, ret_status);
	*ret_lost = count_lost(scrub);
	CHECK(!ret_status->running && ret_status->complete);
	CHECK_INT(ret_status->problem, 0);
}

static void scrub_whole(Volume *volume, ScrubStatus *ret_status, guint64 *ret_lost)
{
	scrub_whole_as(volume, 0, ret_status, ret_lost);
}

static void check_kept(Volume *volume, const ScrubRow *row)
{
	VolumeInfo info;

	volume_get_info(volume, &info);
	CHECK(info.scrub_time > 1500000000);
	CHECK_UINT(info.scrub_blocks, row->blocks);
	CHECK_UINT(info.scrub_errors, row->errors);
	CHECK_UINT(info.scrub_repaired, row->repaired);
}

static void test_found(const void *data)
{
	const ScrubRow *row = data;
	g_autoptr(Backing) backing = backing_new_filled(SIZE, PLACES, place_of);
	Volume *volume = backing_open_volume(backing);
	ScrubStatus status = {0};
	guint64 lost = 0;

	REQUIRE(volume);
	CHECK_INT(volume_checkpoint(volume), 0);
	for (guint i = 0; row->read && i < PLACES; i++)
		check_value(volume, (guint8)(1 + i), BLOCK_SIZE, place_of(i));
	row->rot(backing);
	scrub_whole(volume, &status, &lost);
	CHECK_UINT(status.repaired, row->repaired);
	CHECK_UINT(status.errors, row->errors);
	CHECK_UINT(status.blocks, row->blocks);
	CHECK_UINT(lost, row->lost);
	check_kept(volume, row);
	if (!row->errors) {
		scrub_whole(volume, &status, &lost);
		CHECK_UINT(status.repaired, 0);
		CHECK_UINT(status.errors, 0);
	}
	close_volume(volume);
	if (!row->errors)
		backing_check(backing);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	if (row->errors)
		check_kept(volume, row);
	volume_abandon(volume);
}

/* ---- one rule for everything that is stored twice */

static void rot_other_superblock(Backing *backing)
{
	backing_faulty_flip(backing, FORMAT_SUPERBLOCK_A + 700, 1);
	backing_faulty_flip(backing, FORMAT_SUPERBLOCK_A + 300, 1);
}

static void zero_superblock(Backing *backing)
{
	static const guint8 zeros[FORMAT_SUPERBLOCK_SIZE];

	CHECK_INT(backing_pwrite(backing, zeros, sizeof zeros, FORMAT_SUPERBLOCK_A), 0);
}

static void rot_first_bitmaps(Backing *backing)
{
	guint64 offset = superblock_of(backing).groups_offset;

	backing_faulty_flip(backing, offset + 100, 0);
	backing_faulty_flip(backing, offset + 4096 + 100, 0);
}

static void rot_root(Backing *backing)
{
	flip_slot(backing, first_node(backing, 2).slot);
}

static void rot_node_copy(Backing *backing)
{
	flip_slot(backing, first_node(backing, 1).slot + FORMAT_COPY_DISTANCE);
}

static void rot_mark(Backing *backing)
{
	backing_faulty_flip(backing, FORMAT_MARKS_OFFSET + 20, 0);
}

static void zero_second_mark(Backing *backing)
{
	static const guint8 zeros[sizeof(FormatRecord)];

	CHECK_INT(backing_pwrite(backing, zeros, sizeof zeros,
				 FORMAT_MARKS_OFFSET + FORMAT_MARK_DISTANCE),
		  0);
}

static void rot_checkpoint_mark(Backing *backing)
{
	backing_faulty_flip(backing, FORMAT_CHECKPOINT_MARK_OFFSET + 33, 0);
}

typedef struct {
	const char *name;
	void (*rot)(Backing *backing);
} Copy;

static const Copy copies[] = {
	{"superblock A", rot_other_superblock},
	{"superblock B", rot_superblock},
	{"a superblock, zeros", zero_superblock},
	{"the root", rot_root},
	{"the root's copy", rot_copy},
	{"a node", rot_node},
	{"a node's copy", rot_node_copy},
	{"a bitmap page", rot_first_bitmaps},
	{"a bitmap page's copy", rot_bitmaps},
	{"the durable-mark", rot_mark},
	{"the durable-mark's copy, zeros", zero_second_mark},
	{"the checkpoint's mark", rot_checkpoint_mark},
};

/* The volume was closed, has marks, and has one more block. */
static Backing *new_closed(void)
{
	Backing *backing = backing_new_filled(SIZE, PLACES, place_of);
	Volume *volume = backing_open_volume(backing);

	if (!volume)
		return backing;
	CHECK_INT(volume_put_value(volume, 77, BLOCK_SIZE, 5 * BLOCK_SIZE), 0);
	CHECK_INT(volume_flush(volume), 0);
	close_volume(volume);
	backing_check(backing);
	return backing;
}

static void check_says(Backing *backing)
{
	g_autoptr(CheckResult) result = check_run(backing, NULL, NULL, NULL);

	REQUIRE(result);
	CHECK_UINT(result->errors, 1);
	CHECK_UINT(result->copies, 1);
	CHECK_UINT(result->lost->len, 0);
	REQUIRE(result->messages->len == 1);
	CHECK_CONTAINS(g_ptr_array_index(result->messages, 0), "damaged; nothing is lost");
}

static void mend_by_repair(Backing *backing)
{
	g_autoptr(RepairPlan) plan = repair_plan(backing, 0, NULL, NULL, NULL, NULL);

	REQUIRE(plan);
	CHECK_UINT(plan->actions->len, 1);
	CHECK_UINT(plan->left->len, 0);
	CHECK(repair_carry_out(plan, NULL));
}

/* A scrub counts a damaged copy whoever found it first: the open, the scrub's own lookup, or a
 * reader. */
static void mend_by_scrub(Backing *backing, ScrubFlags flags, const Copy *copy)
{
	Volume *volume = backing_open_volume(backing);
	ScrubStatus status = {0};
	guint64 lost = 0;

	REQUIRE(volume);
	if (!flags)
		copy->rot(backing);
	scrub_whole_as(volume, flags, &status, &lost);
	CHECK_UINT(status.repaired, 1);
	CHECK_UINT(status.errors, 0);
	CHECK_UINT(lost, 0);
	scrub_whole(volume, &status, &lost);
	CHECK_UINT(status.repaired, 0);
	close_volume(volume);
}

static void test_copy(const void *data)
{
	const Copy *copy = data;
	g_autoptr(Backing) whole = new_closed();

	for (guint way = 0; way < 3 && !test_failed(); way++) {
		g_autoptr(Backing) backing = backing_faulty_crash(whole, G_MAXUINT64);

		test_row("%s", way == 0 ? "repaired" : way == 1 ? "scrubbed" : "scrubbed in use");
		if (way < 2) {
			copy->rot(backing);
			check_says(backing);
		}
		if (way == 0)
			mend_by_repair(backing);
		else
			mend_by_scrub(backing, way == 1 ? SCRUB_OPENED : 0, copy);
		backing_check(backing);
	}
}

/* The good superblock is not written, so no power cut can damage it. */
static gboolean leave_good(guint64 offset, guint64 length, gpointer data)
{
	gint *armed = data;

	if (g_atomic_int_get(armed) && offset == FORMAT_SUPERBLOCK_A && length > 0)
		FAIL("the good superblock is written");
	return TRUE;
}

static void test_good_one(const void *data)
{
	g_autoptr(Backing) disk = new_closed();
	gint armed = FALSE;
	g_autoptr(Backing) backing = backing_borrow_gated(disk, leave_good, &armed);
	SuperblockPair pair = {0};

	(void)data;
	CHECK(superblock_load(disk, &pair, NULL));
	backing_faulty_flip(disk, FORMAT_SUPERBLOCK_B + 60, 1);
	armed = TRUE;
	CHECK_UINT(superblock_verify(backing, &pair, FALSE), 0);
	CHECK_UINT(superblock_verify(backing, &pair, TRUE), 1);
	CHECK_UINT(superblock_verify(backing, &pair, TRUE), 0);
	backing_check(disk);
}

/* The first `length` bytes of it, in a backing that grows no larger than it was. */
static Backing *copy_beginning(Backing *backing, guint64 length)
{
	Backing *copy = backing_faulty_new(backing_size(backing));
	guint8 block[BLOCK_SIZE];

	CHECK_INT(backing_grow(copy, length), 0);
	for (guint64 at = 0; at < length; at += sizeof block)
		if (!CHECK_INT(backing_pread(backing, block, sizeof block, at), 0) ||
		    !CHECK_INT(backing_pwrite(copy, block, sizeof block, at), 0))
			break;
	return copy;
}

/* A file that was cut short, before the second copies of nodes: the file has its length again. */
static void test_short(const void *data)
{
	g_autoptr(Backing) whole = backing_new_filled(SIZE, PLACES, place_of);
	guint64 slot = first_node(whole, 2).slot + 800;
	g_autoptr(Backing) backing =
		copy_beginning(whole, superblock_of(whole).groups_offset + slot * FORMAT_SLOT_SIZE);
	Volume *volume = backing_open_volume(backing);
	ScrubStatus status;
	guint64 lost;

	(void)data;
	REQUIRE(volume);
	scrub_whole(volume, &status, &lost);
	CHECK_UINT(lost, 0);
	CHECK_UINT(status.errors, 0);
	CHECK(status.repaired > 0);
	close_volume(volume);
	backing_check(backing);
}

static void test_neighbours(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, PLACES, place_of);
	Volume *volume = backing_open_volume(backing);
	g_autoptr(Json) json = NULL;
	g_autoptr(GArray) lost = NULL;
	Json *list, *range;
	FormatNode leaf;
	Scrub *scrub;

	(void)data;
	REQUIRE(volume);
	for (guint i = 0; i < 5; i++)
		CHECK_INT(volume_put_value(volume, 99, BLOCK_SIZE, i * BLOCK_SIZE), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	CHECK_INT(backing_pread(backing, &leaf, sizeof leaf,
				superblock_of(backing).groups_offset +
					first_node(backing, 0).slot * FORMAT_SLOT_SIZE),
		  0);
	for (guint i = 1; i < 4; i++)
		flip_slot(backing, entry_at(NODE_LAYOUT_PLAIN, &leaf, i).slot);
	scrub = scrub_start(volume, 0, 0, NULL);
	REQUIRE(scrub);
	CHECK(scrub_wait(scrub, 60000));
	lost = scrub_get_lost(scrub);
	CHECK_UINT(lost->len, 1);
	json = scrub_to_json(scrub);
	CHECK(!json_get_flag(json, "running") && json_get_flag(json, "complete"));
	CHECK_INT(json_get_number(json, "errors"), 3);
	list = json_get_typed(json, "lost", json_type_array);
	REQUIRE(list && json_object_array_length(list) == 1);
	range = json_object_array_get_idx(list, 0);
	CHECK_INT(json_get_number(range, "offset"), BLOCK_SIZE);
	CHECK_INT(json_get_number(range, "length"), 3 * BLOCK_SIZE);
	scrub_free(scrub);
	close_volume(volume);
}

typedef struct {
	Volume *volume;
	gint stop; /* atomic */
} ScrubWriter;

static gpointer write_on(gpointer data)
{
	ScrubWriter *writer = data;

	for (guint i = 0; !g_atomic_int_get(&writer->stop); i++) {
		CHECK_INT(volume_put_value(writer->volume, (guint8)i, 3 * BLOCK_SIZE,
					   (guint64)(i % 500) * 64 * KIB),
			  0);
		if (i % 16 == 0)
			CHECK_INT(volume_discard(writer->volume, (guint64)(i % 7) * MIB, MIB), 0);
		if (i % 64 == 0)
			CHECK_INT(volume_checkpoint(writer->volume), 0);
	}
	return NULL;
}

/* Blocks and nodes move all the time, which is no error. */
static void test_under_load(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, PLACES, place_of);
	ScrubWriter writer = {.volume = backing_open_volume(backing)};
	guint64 lost = 0;
	GThread *thread;

	(void)data;
	REQUIRE(writer.volume);
	thread = g_thread_new("writer", write_on, &writer);
	for (guint i = 0; i < (test_is_instrumented() ? 5 : 20) && !test_failed(); i++) {
		ScrubStatus status = {0};

		scrub_whole(writer.volume, &status, &lost);
		CHECK_UINT(status.errors, 0);
		CHECK_UINT(status.repaired, 0);
	}
	g_atomic_int_set(&writer.stop, TRUE);
	g_thread_join(thread);
	close_volume(writer.volume);
	backing_check(backing);
}

static void test_stopped(const void *data)
{
	g_autoptr(Backing) backing = backing_new_filled(SIZE, PLACES, place_of);
	Volume *volume = backing_open_volume(backing);
	gint64 begun = g_get_monotonic_time();
	ScrubStatus status;
	VolumeInfo info;
	Scrub *scrub;

	(void)data;
	REQUIRE(volume);
	scrub = scrub_start(volume, 0, 4096, NULL);
	REQUIRE(scrub);
	CHECK(!scrub_wait(scrub, 100));
	scrub_stop(scrub);
	CHECK(scrub_wait(scrub, 10000));
	scrub_get_status(scrub, &status);
	CHECK(!status.complete);
	CHECK_INT(status.problem, 0);
	scrub_free(scrub);
	CHECK_WITHIN(begun, 10);
	volume_get_info(volume, &info);
	CHECK_UINT(info.scrub_time, 0); /* the scrub did not see everything */
	close_volume(volume);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *name = g_strdup_printf("scrub: %s", rows[i].name);

		test_add(name, test_found, &rows[i]);
	}
	for (guint i = 0; i < G_N_ELEMENTS(copies); i++) {
		g_autofree char *name = g_strdup_printf("one copy of two: %s", copies[i].name);

		test_add(name, test_copy, &copies[i]);
	}
	test_add("the good superblock is not written", test_good_one, NULL);
	test_add("scrub: a file that was cut short has its copies again", test_short, NULL);
	test_add("scrub: lost neighbours are one range", test_neighbours, NULL);
	test_add("scrub: under writes, discards and checkpoints", test_under_load, NULL);
	test_add("scrub: stopped", test_stopped, NULL);
	return test_run(argc, argv);
}
