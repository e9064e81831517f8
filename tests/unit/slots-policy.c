/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which slots the allocator gives out, in which order, and when it gives up: the policy at the head
 * of slots.c and slots-pairs.c.
 */
#include "tests/backing/faulty.h"
#include "tests/backing/memory.h"
#include "tests/unit/slots-support.h"

#include <errno.h>

#define PLACES 128 /* places that may meet a full disk before a search ends */

/* ---- data */

static void test_next_fit(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Slots *slots = slots_over(backing);

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 100);
	check_alloc(slots, slot_at(100), 28);
	check_alloc(slots, slot_at(128), 1);
	retire_and_thaw(slots, slot_at(64), 64);
	for (guint bit = 129; bit < 192; bit += 9)
		check_alloc(slots, slot_at(bit), 9);
	/* A warm word is taken before a cold one, although it is behind the cursor. */
	for (guint bit = 64; bit < 128; bit += 8)
		check_alloc(slots, slot_at(bit), 8);
	check_alloc(slots, slot_at(192), 1);
	slots_free(slots);
}

static void test_lowest_cold(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Slots *slots = slots_over(backing);

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 256);
	retire_and_thaw(slots, slot_at(64), 64);
	retire_and_thaw(slots, slot_at(192), 64);
	CHECK_UINT(slots_trim(slots, 0, GIB) > 0, TRUE);
	check_alloc(slots, slot_at(64), 1);
	slots_free(slots);
}

static void test_given_back_first(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Slots *slots = slots_over(backing);

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 128);
	slots_give_back(slots, &(SlotRun){slot_at(10), 20}, 1, FALSE);
	check_counts(slots);
	check_alloc(slots, slot_at(10), 20);
	check_alloc(slots, slot_at(128), 1);
	slots_free(slots);
}

/* A backing that cannot grow and has room for `usable` slots. */
static Backing *short_backing(guint usable)
{
	guint64 size = SLOTS_OFFSET + (guint64)(FORMAT_FIRST_INDEX + usable) * FORMAT_SLOT_SIZE;
	Backing *backing = backing_faulty_new(size);

	CHECK_INT(backing_grow(backing, size), 0);
	return backing;
}

static void test_data_ends(const void *data)
{
	g_autoptr(Backing) backing = short_backing(130);
	Slots *slots = slots_over(backing);
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint n = 0;

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(slots_alloc(slots, 131, runs, &n), -ENOSPC);
	check_counts(slots);
	CHECK_INT(slots_alloc(slots, 130, runs, &n), 0);
	CHECK_UINT(n, 3);
	check_run(runs[0], slot_at(64), 64);
	check_run(runs[1], slot_at(0), 64);
	check_run(runs[2], slot_at(128), 2); /* the word that the end cuts off is never whole */
	CHECK_INT(slots_alloc(slots, 1, runs, &n), -ENOSPC);
	CHECK_UINT(slots_groups(slots), 1);
	check_counts(slots);
	slots_free(slots);
}

static int alloc_written(Slots *slots, guint32 count, guint64 slot)
{
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint n;
	int r = slots_alloc_written(slots, count, runs, &n);

	if (!r && CHECK_UINT(n, 1))
		check_run(runs[0], slot, count);
	check_counts(slots);
	return r;
}

static void test_written(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Slots *slots = slots_over(backing);

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(alloc_written(slots, 1, 0), -ENOSPC);
	check_alloc(slots, slot_at(0), 100);
	CHECK_INT(alloc_written(slots, 1, 0),
		  -ENOSPC); /* free slots of word 1 were never written */
	retire_and_thaw(slots, slot_at(0), 64);
	CHECK_INT(alloc_written(slots, 65, 0), -ENOSPC);
	CHECK_INT(alloc_written(slots, 60, slot_at(0)), 0); /* the refused request took no slots */
	CHECK_INT(alloc_written(slots, 4, slot_at(60)), 0);
	slots_give_back(slots, &(SlotRun){slot_at(0), 64}, 1, FALSE);
	CHECK_INT(alloc_written(slots, 1, 0), -ENOSPC);
	slots_free(slots);
}

/* ---- nodes */

static void test_nodes(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	SlotRun run;
	guint64 before;

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(slots_alloc_nodes(slots, 0, &run), 0);
	check_run(run, slot_at(0), 64);
	CHECK_INT(slots_alloc_nodes(slots, slot_at(1000), &run), 0); /* a bit of word 15 */
	check_run(run, slot_at(960), 64);
	CHECK_INT(slots_alloc_nodes(slots, slot_at(960), &run), 0);
	check_run(run, slot_at(1024), 64);
	CHECK_INT(slots_alloc_nodes(slots, 0, &run), 0);
	check_run(run, slot_at(64), 64);
	/* Slots that have space below are not written again. */
	retire_and_thaw(slots, slot_at(0), 64);
	before = backing_faulty_count(backing, FAULTY_WRITE);
	CHECK_INT(slots_alloc_nodes(slots, 0, &run), 0);
	check_run(run, slot_at(0), 64);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_WRITE), before);
	check_counts(slots);
	slots_free(slots);
}

/* One free slot in a word whose other slots are used, and cold words without space below. */
static void test_nodes_full(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	static const guint8 written[2 * FORMAT_SLOT_SIZE];
	Slots *slots = slots_over(backing);
	guint64 before;
	SlotRun run;

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 128);
	CHECK_INT(
		backing_pwrite(backing, written, sizeof written, slots_offset(slots, slot_at(70))),
		0);
	retire_and_thaw(slots, slot_at(70), 2);
	backing_faulty_fill_up(backing, 0);
	for (guint i = 0; i < 2; i++) {
		before = backing_faulty_count(backing, FAULTY_WRITE);
		CHECK_INT(slots_alloc_nodes(slots, 0, &run), 0);
		check_run(run, slot_at(70 + i), 1);
		/* Only one word met the full disk.  The last slot is not known to be written. */
		CHECK(backing_faulty_count(backing, FAULTY_WRITE) - before <= 2);
		check_counts(slots);
	}
	slots_free(slots);
}

/* The last free slot of a word, which has no space below it: the word is full when the slot is
 * taken, and yet not written. */
static void test_nodes_last_slot(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	SlotRun run;

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 128);
	slots_give_back(slots, &(SlotRun){slot_at(70), 1}, 1, FALSE);
	backing_faulty_fill_up(backing, 0);
	CHECK_INT(slots_alloc_nodes(slots, 0, &run), -ENOSPC);
	CHECK(!slot_is_taken(slots, slot_at(70)));
	check_counts(slots);
	slots_free(slots);
}

/* Where the hint leads to a word without space, words behind it are tried, and each only once. */
static void test_nodes_hint_full(const void *data)
{
	static const guint8 written[WORD_BYTES];
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	SlotRun run;

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 64);
	CHECK_INT(backing_pwrite(backing, written, sizeof written,
				 slots_offset(slots, slot_at(12 * 64))),
		  0);
	backing_faulty_fill_up(backing, 0);
	CHECK_INT(slots_alloc_nodes(slots, slot_at(10 * 64), &run), 0);
	check_run(run, slot_at(12 * 64), 64);
	check_counts(slots);
	slots_free(slots);
}

static void test_nodes_end(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	guint64 before;
	SlotRun run;

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 64);
	backing_faulty_fill_up(backing, 0);
	before = backing_faulty_count(backing, FAULTY_WRITE);
	CHECK_INT(slots_alloc_nodes(slots, 0, &run), -ENOSPC);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_WRITE) - before, PLACES);
	CHECK_UINT(slots_groups(slots), 1);
	check_counts(slots);
	/* The words that met the full disk are taken last. */
	backing_faulty_fill_up(backing, G_MAXUINT64);
	for (guint word = PLACES + 1; word < WORDS && !test_failed(); word++) {
		CHECK_INT(slots_alloc_nodes(slots, 0, &run), 0);
		check_run(run, slot_at(word * 64), 64);
	}
	CHECK_INT(slots_alloc_nodes(slots, 0, &run), 0);
	check_run(run, slot_at(64), 64);
	slots_free(slots);
}

static void test_nodes_error(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	SlotRun run;

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 64);
	backing_faulty_fail(backing, FAULTY_WRITE, 0, EIO, FALSE, FALSE);
	CHECK_INT(slots_alloc_nodes(slots, 0, &run), -EIO);
	check_counts(slots);
	CHECK_INT(slots_alloc_nodes(slots, 0, &run), 0);
	check_run(run, slot_at(64), 64);
	slots_free(slots);
}

/* ---- pairs */

static void check_pairs(Slots *slots, guint64 slot, guint32 count)
{
	SlotRun run;

	if (!CHECK_INT(slots_alloc_pairs(slots, &run), 0))
		return;
	check_run(run, slot, count);
	for (guint32 i = 0; i < run.count; i++) {
		CHECK(slot_is_taken(slots, run.slot + i));
		CHECK(slot_is_taken(slots, run.slot + i + FORMAT_COPY_DISTANCE));
	}
	check_counts(slots);
}

static void test_pairs(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	const guint stripe = FORMAT_COPY_DISTANCE;

	(void)data;
	REQUIRE(slots != NULL);
	check_pairs(slots, slot_at(0), 64);
	CHECK_INT(slots_take(slots, &(SlotRun){slot_at(70), 1}), 0);
	CHECK_INT(slots_take(slots, &(SlotRun){slot_at(130 + stripe), 1}), 0);
	check_pairs(slots, slot_at(192), 64); /* words 1 and 2 are not whole */
	/* The search begins again at the start when no whole word is left near. */
	for (guint i = 256; i < FORMAT_BITMAP_BITS && !test_failed(); i += 64)
		if (i / stripe % 2 == 0)
			check_pairs(slots, slot_at(i), 64);
	check_pairs(slots, slot_at(64), 6);
	check_pairs(slots, slot_at(71), 57);
	check_pairs(slots, slot_at(128), 2);
	check_pairs(slots, slot_at(131), 61);
	CHECK_UINT(slots_groups(slots), 1);
	check_pairs(slots, ((guint64)1 << FORMAT_GROUP_SHIFT) + slot_at(0), 64);
	slots_free(slots);
}

static void test_pairs_full(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	const SlotRun both = {slot_at(5), 3};
	guint64 before;
	SlotRun run;

	(void)data;
	REQUIRE(slots != NULL);
	check_pairs(slots, slot_at(0), 64);
	backing_faulty_fill_up(backing, 0);
	before = backing_faulty_count(backing, FAULTY_WRITE);
	CHECK_INT(slots_alloc_pairs(slots, &run), -ENOSPC);
	CHECK(backing_faulty_count(backing, FAULTY_WRITE) - before >= PLACES / 2);
	CHECK(backing_faulty_count(backing, FAULTY_WRITE) - before <= 2 * PLACES);
	check_counts(slots);
	/* Pairs that were written before are found, whatever the cursor's position is. */
	backing_faulty_fill_up(backing, G_MAXUINT64);
	retire_and_thaw(slots, both.slot, both.count);
	retire_and_thaw(slots, both.slot + FORMAT_COPY_DISTANCE, both.count);
	backing_faulty_fill_up(backing, 0);
	check_pairs(slots, both.slot, both.count);
	slots_free(slots);
}

/* A backing that is too short for the distance between the two slots of a pair. */
static void test_pairs_end(const void *data)
{
	g_autoptr(Backing) backing = short_backing(128);
	Slots *slots = slots_over(backing);
	guint64 before;
	SlotRun run;

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 1);
	before = backing_faulty_count(backing, FAULTY_GROW);
	CHECK_INT(slots_alloc_pairs(slots, &run), -ENOSPC);
	CHECK(backing_faulty_count(backing, FAULTY_GROW) - before <= 2);
	check_counts(slots);
	slots_free(slots);
}

/* ---- particular slots */

static void test_take(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Slots *slots = slots_over(backing);
	const guint64 far = ((guint64)2 << FORMAT_GROUP_SHIFT) + slot_at(60);

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(slots_take(slots, &(SlotRun){far, 10}), 0);
	CHECK_UINT(slots_groups(slots), 3);
	check_counts(slots);
	CHECK(!slot_is_taken(slots, far - 1) && slot_is_taken(slots, far));
	CHECK(slot_is_taken(slots, far + 9) && !slot_is_taken(slots, far + 10));
	CHECK_INT(slots_take(slots, &(SlotRun){far - 9, 10}), -EUCLEAN);
	CHECK_INT(slots_take(slots, &(SlotRun){far + 9, 10}), -EUCLEAN);
	CHECK(!slot_is_taken(slots, far - 1) && !slot_is_taken(slots, far + 10));
	check_counts(slots);
	slots_give_back(slots, &(SlotRun){far, 10}, 1, FALSE);
	CHECK(!slot_is_taken(slots, far) && !slot_is_taken(slots, far + 9));
	check_counts(slots);
	CHECK_INT(slots_take(slots, &(SlotRun){far, 10}), 0);
	slots_free(slots);
}

/* A word that met a full disk is cold, and is chosen again last. */
static void test_give_back_full(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Slots *slots = slots_over(backing);

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(0), 192);
	slots_give_back(slots, &(SlotRun){slot_at(0), 100}, 1, TRUE);
	check_counts(slots);
	CHECK_UINT(slots_warm_bytes(slots), 36 * FORMAT_SLOT_SIZE); /* of word 1 */
	CHECK_INT(alloc_written(slots, 1, 0), -ENOSPC);
	check_alloc(slots, slot_at(64), 36);
	check_alloc(slots, slot_at(0), 64);
	slots_free(slots);
}

int main(int argc, char **argv)
{
	test_add("data: next fit, warm before cold", test_next_fit, NULL);
	test_add("data: the lowest cold word comes first", test_lowest_cold, NULL);
	test_add("data: slots that were given back are taken next", test_given_back_first, NULL);
	test_add("data: the search ends where the backing cannot grow", test_data_ends, NULL);
	test_add("data: only written words", test_written, NULL);
	test_add("nodes: a whole word, by the hint or the lowest", test_nodes, NULL);
	test_add("nodes: a written slot is found on a full disk", test_nodes_full, NULL);
	test_add("nodes: the last slot of a word is not known to be written", test_nodes_last_slot,
		 NULL);
	test_add("nodes: the hint is left where it met a full disk", test_nodes_hint_full, NULL);
	test_add("nodes: the search ends after 128 places", test_nodes_end, NULL);
	test_add("nodes: another error ends the search", test_nodes_error, NULL);
	test_add("pairs: whole words first, then parts of words", test_pairs, NULL);
	test_add("pairs: a written pair is found on a full disk", test_pairs_full, NULL);
	test_add("pairs: the search ends where there is no place", test_pairs_end, NULL);
	test_add("particular slots are taken all or none", test_take, NULL);
	test_add("a word that met a full disk is cold", test_give_back_full, NULL);
	return test_run(argc, argv);
}
