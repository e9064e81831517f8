/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator's lists of changes, and the bitmap pages that a checkpoint makes of them.
 */
#include "common/base/error.h"
#include "common/engine/bitmap-pages.h"
#include "tests/backing/faulty.h"
#include "tests/unit/slots-support.h"

#include <errno.h>

static int make_checkpoint(Slots *slots, guint64 generation)
{
	int r;

	slots_freeze(slots);
	r = slots_write_bitmaps(slots, generation);
	if (r)
		return r;
	slots_switch(slots);
	while (slots_thaw(slots))
		;
	check_counts(slots);
	return 0;
}

/* The superblock of the newest checkpoint. */
static Superblock superblock_of(const Slots *slots, guint64 generation)
{
	return (Superblock){
		.groups = slots_frozen_groups(slots),
		.generation = generation,
		.checkpoint = generation,
		.bitmap_digest = slots_frozen_digest(slots),
	};
}

static Slots *load(Backing *backing, const Superblock *sb, GError **error)
{
	Slots *slots = slots_over(backing);

	if (slots && slots_load(slots, sb, error)) {
		check_counts(slots);
		return slots;
	}
	slots_free(slots);
	return NULL;
}

static void gain(Slots *slots, guint64 slot, guint32 count)
{
	CHECK_INT(slots_reserve(slots, 1), 0);
	slots_gain(slots, slot, count);
}

static void retire(Slots *slots, guint64 slot, guint32 count)
{
	CHECK_INT(slots_reserve(slots, 1), 0);
	slots_retire(slots, slot, count);
}

/* 100 slots of group 0 are in the map at checkpoint 1. */
static Slots *slots_at_checkpoint(Backing *backing)
{
	Slots *slots = slots_over(backing);

	if (!slots)
		return NULL;
	check_alloc(slots, slot_at(0), 100);
	gain(slots, slot_at(0), 100);
	CHECK_INT(make_checkpoint(slots, 1), 0);
	return slots;
}

static void test_round_trip(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_at_checkpoint(backing), *again;
	Superblock sb;

	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(100), 10); /* never gets into the map */
	retire(slots, slot_at(20), 30);
	CHECK_INT(make_checkpoint(slots, 2), 0);
	sb = superblock_of(slots, 2);
	sb.clean = data != NULL;
	again = load(backing, &sb, NULL);
	slots_free(slots);
	REQUIRE(again != NULL);
	for (guint bit = 0; bit < FORMAT_BITMAP_BITS && !test_failed(); bit++) {
		test_row("bit %u", bit);
		CHECK_INT(slot_is_taken(again, slot_at(bit)),
			  bit < 100 && !(bit >= 20 && bit < 50));
	}
	CHECK_UINT(slots_mended(again), 0);
	slots_free(again);
}

/* A retired slot belongs to nothing until a checkpoint without it is durable (I5, I6). */
static void test_pending(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_at_checkpoint(backing);
	const guint64 slot = slot_at(5), bytes = FORMAT_SLOT_SIZE;

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(100), 3);
	gain(slots, slot_at(100), 3);
	retire(slots, slot, 1);
	CHECK_UINT(slots_gained_bytes(slots), 3 * bytes);
	CHECK_UINT(slots_retired_bytes(slots), bytes);
	CHECK_UINT(slots_pending_bytes(slots), bytes);
	slots_freeze(slots);
	CHECK_UINT(slots_gained_bytes(slots), 0);
	CHECK_UINT(slots_retired_bytes(slots), 0);
	CHECK_UINT(slots_pending_bytes(slots), bytes);
	retire(slots, slot_at(6), 1); /* for the checkpoint after this one */
	CHECK_INT(slots_write_bitmaps(slots, 2), 0);
	CHECK(slot_is_taken(slots, slot));
	slots_switch(slots);
	CHECK(slot_is_taken(slots, slot));
	CHECK(!slots_thaw(slots));
	CHECK(!slot_is_taken(slots, slot));
	CHECK(slot_is_taken(slots, slot_at(6)));
	CHECK_UINT(slots_pending_bytes(slots), bytes);
	CHECK_INT(make_checkpoint(slots, 3), 0);
	CHECK(!slot_is_taken(slots, slot_at(6)));
	CHECK_UINT(slots_pending_bytes(slots), 0);
	slots_free(slots);
}

static void test_gained_and_retired(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_at_checkpoint(backing), *again;
	Superblock sb;

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(100), 2);
	gain(slots, slot_at(100), 2);
	retire(slots, slot_at(101), 1);
	retire(slots, slot_at(7), 1); /* out of order */
	CHECK_INT(make_checkpoint(slots, 2), 0);
	sb = superblock_of(slots, 2);
	again = load(backing, &sb, NULL);
	slots_free(slots);
	REQUIRE(again != NULL);
	CHECK(slot_is_taken(again, slot_at(100)) && !slot_is_taken(again, slot_at(101)));
	CHECK(!slot_is_taken(again, slot_at(7)) && slot_is_taken(again, slot_at(8)));
	slots_free(again);
}

/* The lists are in the order in which requests came, and the pages in the order of the groups. */
static void test_order_of_groups(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_at_checkpoint(backing), *again;
	const guint64 far = ((guint64)1 << FORMAT_GROUP_SHIFT) + slot_at(3);
	Superblock sb;

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(slots_take(slots, &(SlotRun){far, 2}), 0);
	check_alloc(slots, slot_at(100), 1);
	gain(slots, far, 2);
	gain(slots, slot_at(100), 1);
	CHECK_INT(make_checkpoint(slots, 2), 0);
	retire(slots, far, 1);
	retire(slots, slot_at(100), 1);
	CHECK_INT(make_checkpoint(slots, 3), 0);
	sb = superblock_of(slots, 3);
	again = load(backing, &sb, NULL);
	slots_free(slots);
	REQUIRE(again != NULL);
	CHECK(!slot_is_taken(again, far) && slot_is_taken(again, far + 1));
	CHECK(slot_is_taken(again, slot_at(99)) && !slot_is_taken(again, slot_at(100)));
	slots_free(again);
}

static void test_contradiction(const void *data)
{
	static const struct {
		const char *name;
		guint gained, retired; /* bit, or 0 */
	} rows[] = {
		{"a slot is gained that is in the map", 5, 0},
		{"a slot is retired that is not in the map", 0, 100},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Backing) backing = backing_faulty_new(0);
		Slots *slots = slots_at_checkpoint(backing);

		test_row("%s", rows[i].name);
		REQUIRE(slots != NULL);
		if (rows[i].gained)
			gain(slots, slot_at(rows[i].gained), 1);
		if (rows[i].retired)
			retire(slots, slot_at(rows[i].retired), 1);
		CHECK_INT(make_checkpoint(slots, 2), -EUCLEAN);
		slots_free(slots);
	}
}

static void test_written_again(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_at_checkpoint(backing), *again;
	Superblock sb;

	(void)data;
	REQUIRE(slots != NULL);
	retire(slots, slot_at(3), 1);
	slots_freeze(slots);
	backing_faulty_fail(backing, FAULTY_WRITE, 1, EIO, FALSE, FALSE);
	CHECK_INT(slots_write_bitmaps(slots, 2), -EIO);
	CHECK_INT(slots_write_bitmaps(slots, 2), 0);
	slots_switch(slots);
	CHECK(!slots_thaw(slots));
	sb = superblock_of(slots, 2);
	again = load(backing, &sb, NULL);
	slots_free(slots);
	REQUIRE(again != NULL);
	CHECK(!slot_is_taken(again, slot_at(3)) && slot_is_taken(again, slot_at(4)));
	slots_free(again);
}

/* Pages of a checkpoint that never became durable do not count, and the next checkpoint overwrites
 * them. */
static void test_half_done(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autofree BitmapChoice *choice = g_new(BitmapChoice, 1);
	const BitmapPlace place = {backing, SLOTS_OFFSET, &slots_seal};
	Slots *slots = slots_at_checkpoint(backing);
	Superblock sb;

	(void)data;
	REQUIRE(slots != NULL);
	sb = superblock_of(slots, 1);
	retire(slots, slot_at(3), 1);
	slots_freeze(slots);
	CHECK_INT(slots_write_bitmaps(slots, 2), 0);
	slots_free(slots);
	slots = load(backing, &sb, NULL);
	REQUIRE(slots != NULL);
	CHECK(slot_is_taken(slots, slot_at(3)));
	CHECK_INT(make_checkpoint(slots, 3), 0); /* without a change */
	CHECK_INT(bitmap_choose(&place, 0, 3, TRUE, choice), 0);
	CHECK_UINT(choice->newest, 3);
	CHECK_UINT(choice->page.bits[0], 0xff);
	slots_free(slots);
}

static void test_unchanged_group(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_at_checkpoint(backing);
	guint64 before, digest;

	(void)data;
	REQUIRE(slots != NULL);
	before = backing_faulty_count(backing, FAULTY_WRITE);
	digest = slots_frozen_digest(slots);
	CHECK_INT(make_checkpoint(slots, 2), 0);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_WRITE), before);
	CHECK_UINT(slots_frozen_digest(slots), digest);
	slots_free(slots);
}

static void test_thaw_in_parts(const void *data)
{
	enum { RUNS = 5000 };
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	guint parts = 1;

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(slots_take(slots, &(SlotRun){slot_at(0), 2 * RUNS}), 0);
	CHECK_INT(slots_reserve(slots, RUNS), 0);
	slots_gain(slots, slot_at(0), 2 * RUNS);
	CHECK_INT(make_checkpoint(slots, 1), 0);
	CHECK_INT(slots_reserve(slots, RUNS), 0);
	for (guint i = 0; i < RUNS; i++)
		slots_retire(slots, slot_at(2 * i), 1);
	slots_freeze(slots);
	CHECK_INT(slots_write_bitmaps(slots, 2), 0);
	slots_switch(slots);
	for (; slots_thaw(slots); parts++)
		CHECK(slots_pending_bytes(slots) > 0);
	CHECK_UINT(parts, 2);
	CHECK_UINT(slots_pending_bytes(slots), 0);
	check_counts(slots);
	for (guint bit = 0; bit < 2 * RUNS && !test_failed(); bit++)
		CHECK_INT(slot_is_taken(slots, slot_at(bit)), bit % 2);
	slots_free(slots);
}

/* ---- damage */

/* The offset of the page that counts, which is in home B after a first checkpoint. */
static guint64 page_at(Slots *slots, guint copy)
{
	return copy ? FORMAT_FIRST_COPIES + FORMAT_SLOT_SIZE : page_offset(slots, 0, 1);
}

static void test_damaged_copy(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_at_checkpoint(backing);
	Superblock sb;

	(void)data;
	REQUIRE(slots != NULL);
	sb = superblock_of(slots, 1);
	for (guint copy = 0; copy < 2; copy++) {
		test_row("copy %u", copy);
		backing_faulty_flip(backing, page_at(slots, copy) + 100, 3);
		slots_free(slots);
		slots = load(backing, &sb, NULL);
		REQUIRE(slots != NULL);
		CHECK_UINT(slots_mended(slots), 1);
		CHECK(slot_is_taken(slots, slot_at(99)) && !slot_is_taken(slots, slot_at(100)));
	}
	slots_free(slots);
	slots = load(backing, &sb, NULL);
	REQUIRE(slots != NULL);
	CHECK_UINT(slots_mended(slots), 0);
	slots_free(slots);
}

static void test_verify(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_at_checkpoint(backing);
	guint repaired = 9;

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(slots_verify_page(slots, 0, 1, TRUE, &repaired), 0);
	CHECK_UINT(repaired, 0);
	backing_faulty_flip(backing, page_at(slots, 1) + 100, 3);
	CHECK_INT(slots_verify_page(slots, 0, 1, FALSE, &repaired), 1);
	CHECK_UINT(repaired, 0);
	CHECK_INT(slots_verify_page(slots, 0, 1, TRUE, &repaired), 1);
	CHECK_UINT(repaired, 1);
	CHECK_INT(slots_verify_page(slots, 0, 1, TRUE, &repaired), 0);
	backing_faulty_flip(backing, page_at(slots, 0) + 100, 3);
	backing_faulty_flip(backing, page_at(slots, 1) + 100, 3);
	CHECK_INT(slots_verify_page(slots, 0, 1, TRUE, &repaired), 2);
	CHECK_UINT(repaired, 0);
	slots_free(slots);
}

static void test_refused(const void *data)
{
	static const struct {
		const char *name;
		guint damaged;		   /* copies */
		gint64 generation, digest; /* added to the superblock's */
		const char *message;
	} rows[] = {
		{"both copies are damaged", 2, 0, 0, "no copy is valid"},
		{"a page is older", 0, 0, 1, "a bitmap page is older than the checkpoint"},
		{"the superblock is older", 0, -3, 0, "the superblocks are older"},
	};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Backing) backing = backing_faulty_new(0);
		g_autoptr(GError) error = NULL;
		Slots *slots = slots_over(backing);
		Superblock sb;

		test_row("%s", rows[i].name);
		REQUIRE(slots != NULL);
		check_alloc(slots, slot_at(0), 1);
		CHECK_INT(make_checkpoint(slots, 10), 0);
		sb = superblock_of(slots, 10);
		sb.clean = i % 2;
		sb.generation += rows[i].generation;
		sb.bitmap_digest += rows[i].digest;
		for (guint copy = 0; copy < rows[i].damaged; copy++)
			backing_faulty_flip(backing, page_at(slots, copy) + 100, 3);
		slots_free(slots);
		CHECK(load(backing, &sb, &error) == NULL);
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, rows[i].message);
	}
}

int main(int argc, char **argv)
{
	test_add("bitmaps of a checkpoint are loaded", test_round_trip, NULL);
	test_add("bitmaps of the last checkpoint of a close are loaded", test_round_trip, "clean");
	test_add("retired slots are free when the checkpoint is durable", test_pending, NULL);
	test_add("a slot gained and retired between two checkpoints", test_gained_and_retired,
		 NULL);
	test_add("lists may name the groups in any order", test_order_of_groups, NULL);
	test_add("lists that contradict the pages are refused", test_contradiction, NULL);
	test_add("pages are written again after an error", test_written_again, NULL);
	test_add("a checkpoint that was not finished does not count", test_half_done, NULL);
	test_add("a group that did not change is not written", test_unchanged_group, NULL);
	test_add("thaw: 4096 runs at a time", test_thaw_in_parts, NULL);
	test_add("load: a damaged copy is mended", test_damaged_copy, NULL);
	test_add("a page is verified, and repaired", test_verify, NULL);
	test_add("load: bitmaps that are refused", test_refused, NULL);
	return test_run(argc, argv);
}
