/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Neighbouring slots for large requests, and the bound on the size of the file: the policy at the
 * head of slots-neighbours.c.
 */
#include "tests/backing/memory.h"
#include "tests/unit/slots-support.h"

#include <errno.h>

#define BLOCKS 65536u	 /* of the volume: 256 MiB */
#define PIECE 256u	 /* blocks of a write of 1 MiB */
#define CHECKPOINT 4096u /* slots that become pending-free between two checkpoints */

/* A volume as far as the allocator is concerned: where each block is. */
typedef struct {
	Backing *backing;
	Slots *slots;
	TestRandom random;
	guint64 *slot_of;   /* of each block */
	guint64 generation; /* of the last checkpoint */
	guint pending;
	guint64 lent;	   /* slots */
	guint64 most_used; /* slots in use at one time */
} Aging;

static void checkpoint(Aging *aging)
{
	slots_freeze(aging->slots);
	CHECK_INT(slots_write_bitmaps(aging->slots, ++aging->generation), 0);
	slots_switch(aging->slots);
	while (slots_thaw(aging->slots))
		;
	aging->pending = 0;
}

static guint64 file_slots(const Aging *aging)
{
	return aging->slots->n_used + aging->slots->warm_free;
}

/* The file is at most 1.25 times as large as what was in use, or larger by the loan. */
static void check_bound(const Aging *aging)
{
	if (file_slots(aging) > aging->most_used + MAX(aging->most_used / 4, aging->lent))
		FAIL("%" G_GUINT64_FORMAT " slots have space, %" G_GUINT64_FORMAT " are in use",
		     file_slots(aging), aging->slots->n_used);
}

/* Overwrites n blocks.  Returns the number of runs. */
static guint overwrite(Aging *aging, guint first, guint n)
{
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint n_runs = 0, block = first;

	if (!CHECK_INT(slots_alloc(aging->slots, n, runs, &n_runs), 0) ||
	    !CHECK_INT(slots_reserve(aging->slots, n), 0))
		return 0;
	aging->most_used = MAX(aging->most_used, aging->slots->n_used);
	for (guint i = 0; i < n_runs; i++) {
		slots_gain(aging->slots, runs[i].slot, runs[i].count);
		for (guint32 j = 0; j < runs[i].count; j++, block++) {
			if (aging->slot_of[block])
				slots_retire(aging->slots, aging->slot_of[block], 1);
			aging->slot_of[block] = runs[i].slot + j;
		}
	}
	CHECK_UINT(block, first + n);
	aging->pending += n;
	if (aging->pending >= CHECKPOINT)
		checkpoint(aging);
	return n_runs;
}

static guint random_block(Aging *aging, guint n)
{
	return (guint)test_random_below(&aging->random, BLOCKS - n + 1);
}

/* A volume that was written once from start to end. */
static Aging aging_begin(void)
{
	Aging aging = {.backing = backing_memory_new(0),
		       .random = test_random_new(test_seed()),
		       .slot_of = g_new0(guint64, BLOCKS)};

	aging.slots = slots_over(aging.backing);
	for (guint block = 0; aging.slots && block < BLOCKS; block += PIECE)
		overwrite(&aging, block, PIECE);
	checkpoint(&aging);
	return aging;
}

static void aging_end(Aging *aging)
{
	check_counts(aging->slots);
	slots_free(aging->slots);
	backing_free(aging->backing);
	g_free(aging->slot_of);
}

/* 200 MiB for each GiB, in requests of n blocks. */
static void overwrite_a_fifth(Aging *aging, guint n)
{
	for (guint done = 0; done < BLOCKS / 1024 * 200 && !test_failed(); done += n) {
		overwrite(aging, random_block(aging, n), n);
		check_bound(aging);
	}
}

/* Overwrites [first, end) by writes of 1 MiB, and checks that the file stays within the bound.
 * Returns the runs of the worst one. */
static guint overwrite_large(Aging *aging, guint first, guint end)
{
	guint most = 0;

	for (guint block = first; block < end && !test_failed(); block += PIECE) {
		guint n = overwrite(aging, block, PIECE);

		most = MAX(most, n);
		check_bound(aging);
	}
	return most;
}

/* After random writes of 4 KiB, one after the other: until the file is as large as it may be. */
static void test_aged(const void *data)
{
	Aging aging = aging_begin();
	guint most;

	(void)data;
	overwrite_a_fifth(&aging, 1);
	CHECK(overwrite_large(&aging, 0, BLOCKS / 5 / PIECE * PIECE) <= 4);
	most = overwrite_large(&aging, BLOCKS / 5 / PIECE * PIECE, BLOCKS);
	test_note("afterwards, 1 MiB has %u runs at most", most);
	CHECK(most <= PIECE / 4);
	aging_end(&aging);
}

/* The same after random writes that were carried out together. */
static void test_aged_by_batches(const void *data)
{
	Aging aging = aging_begin();

	(void)data;
	overwrite_a_fifth(&aging, 32);
	CHECK(overwrite_large(&aging, 0, BLOCKS) <= 4);
	aging_end(&aging);
}

/* The same with a loan: the volume is overwritten to its end, and what that frees repays the loan.
 */
static void test_loan(const void *data)
{
	Aging aging = aging_begin();

	(void)data;
	overwrite_a_fifth(&aging, 1);
	aging.lent = 2 * BLOCKS;
	slots_lend(aging.slots, aging.lent * FORMAT_SLOT_SIZE);
	CHECK(overwrite_large(&aging, 0, BLOCKS) <= 4);
	CHECK(file_slots(&aging) > aging.slots->n_used * 5 / 4); /* it was taken */
	checkpoint(&aging);
	while (slots_trim(aging.slots, 0, G_MAXUINT64))
		;
	CHECK(file_slots(&aging) * 64 <= aging.slots->n_used * 65);
	aging.lent = 0;
	aging.most_used = aging.slots->n_used;
	slots_lend(aging.slots, 0);
	overwrite_a_fifth(&aging, 1);
	overwrite_large(&aging, 0, BLOCKS); /* within the bound */
	aging_end(&aging);
}

static void test_bound(const void *data)
{
	Aging aging = aging_begin();
	guint64 file;
	guint scattered = 0;

	(void)data;
	for (guint i = 0; i < 8 * BLOCKS / PIECE && !test_failed(); i++) {
		guint n = 1 + (guint)test_random_below(&aging.random, PIECE);

		scattered += overwrite(&aging, random_block(&aging, n), n) > 5;
		for (guint j = 0; j < PIECE / 2; j++)
			overwrite(&aging, random_block(&aging, 1), 1);
		check_bound(&aging);
	}
	CHECK(scattered > 0); /* the bound was met */
	checkpoint(&aging);
	CHECK_UINT(aging.slots->n_used, BLOCKS);
	file = file_slots(&aging);
	test_note("the file is %.3f times as large as what is in use",
		  (double)file / (double)aging.slots->n_used);
	aging_end(&aging);
}

/* Small requests leave whole words to large ones, and cold ones as they are, while there are
 * fragments. */
static void test_fragments(const void *data)
{
	Aging aging = aging_begin();
	Slots *slots = aging.slots;
	guint64 file, whole, fragments;

	(void)data;
	for (guint i = 0; i < 100; i++)
		overwrite(&aging, i * 64, 1);
	overwrite(&aging, BLOCKS - 1024, 1024 / 4);
	overwrite(&aging, BLOCKS - 512, 1024 / 4);
	checkpoint(&aging);
	file = file_slots(&aging);
	whole = slots->n_whole;
	fragments = slots->warm_free - whole * 64;
	CHECK(whole >= 8 && fragments >= 100);
	for (guint i = 0; i < fragments; i++)
		overwrite(&aging, random_block(&aging, 1), 1);
	CHECK_UINT(slots->n_whole, whole);
	CHECK_UINT(file_slots(&aging), file);
	overwrite(&aging, 0, 1);
	CHECK_UINT(slots->n_whole, whole - 1);
	CHECK_UINT(file_slots(&aging), file);
	aging_end(&aging);
}

/* ---- the open word */

/* A volume in which words 0 to 9 are used. */
static Slots *slots_in_use(Backing *backing)
{
	Slots *slots = slots_over(backing);

	for (guint i = 0; slots && i < 10; i++)
		check_alloc(slots, slot_at(i * 64), 64);
	return slots;
}

static void test_open_word(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Slots *slots = slots_in_use(backing);

	(void)data;
	REQUIRE(slots != NULL);
	check_alloc(slots, slot_at(640), 20);
	check_alloc(slots, slot_at(660), 40);
	check_alloc(slots, slot_at(700), 100); /* its last 4 slots, and the next words */
	retire_and_thaw(slots, slot_at(128), 64);
	check_alloc(slots, slot_at(800), 30);
	/* Two slots are left of word 12, the word behind is cold, and there is a warm one. */
	check_alloc(slots, slot_at(128), 60);
	check_alloc(slots, slot_at(832), 20);
	check_alloc(slots, slot_at(188), 1); /* a small request, whose cursor is elsewhere */
	slots_free(slots);
}

/* A request takes the word behind its last one before a warm one elsewhere. */
static void test_neighbour_first(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Slots *slots = slots_in_use(backing);

	(void)data;
	REQUIRE(slots != NULL);
	retire_and_thaw(slots, slot_at(64), 128);
	retire_and_thaw(slots, slot_at(320), 64);
	check_alloc(slots, slot_at(64), 128);
	check_alloc(slots, slot_at(320), 64);
	check_alloc(slots, slot_at(640), 256);
	slots_free(slots);
}

/* ---- a full disk */

static void check_scattered(Slots *slots, guint64 slot)
{
	SlotRun runs[16];
	guint n = 0;

	CHECK_INT(slots_alloc(slots, 16, runs, &n), 0);
	CHECK_UINT(n, 16);
	check_run(runs[0], slot, 1);
}

/* Makes 16 fragments in each of n words from that one on. */
static void make_fragments(Slots *slots, guint word, guint n)
{
	for (guint i = 0; i < n * 16; i++)
		slots_give_back(slots, &(SlotRun){slot_at(word * 64 + i * 4 + 1), 1}, 1, FALSE);
	check_counts(slots);
}

/* A cold word that met a full disk: large requests take fragments for a while. */
static void test_full_disk(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	const SlotRun all = {slot_at(0), 400 * 64};
	Slots *slots = slots_over(backing);
	SlotRun runs[64];
	guint n;

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(slots_take(slots, &all), 0);
	make_fragments(slots, 0, 256);
	CHECK_INT(slots_alloc(slots, 64, runs, &n), 0);
	check_run(runs[0], slot_at(400 * 64), 64);
	slots_give_back(slots, runs, n, TRUE);
	for (guint i = 0; i < 255 && !test_failed(); i++) {
		test_row("request %u", i);
		check_scattered(slots, slot_at(i * 64 + 1));
	}
	test_row(NULL);
	check_alloc(slots, slot_at(400 * 64), 16);
	slots_free(slots);
}

/* The same where the backing cannot grow: all slots are given out before -ENOSPC. */
static void test_no_group(const void *data)
{
	const guint64 size =
		SLOTS_OFFSET + (guint64)(FORMAT_FIRST_INDEX + 20 * 64) * FORMAT_SLOT_SIZE;
	g_autoptr(Backing) backing = backing_memory_new(size);
	Slots *slots = slots_over(backing);
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint n;

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(backing_grow(backing, size), 0);
	CHECK_INT(slots_take(slots, &(SlotRun){slot_at(0), 20 * 64}), 0);
	make_fragments(slots, 3, 2);
	check_scattered(slots, slot_at(4 * 64 + 1));
	CHECK_INT(slots_alloc(slots, 17, runs, &n), -ENOSPC);
	check_counts(slots);
	check_scattered(slots, slot_at(3 * 64 + 1));
	CHECK_UINT(slots->warm_free, 0);
	CHECK_UINT(slots->n_used, 20 * 64);
	slots_free(slots);
}

int main(int argc, char **argv)
{
	test_add("1 MiB has four runs at most after random writes", test_aged, NULL);
	test_add("1 MiB has four runs at most after random writes in batches", test_aged_by_batches,
		 NULL);
	test_add("1 MiB has four runs at most within a loan, which is repaid", test_loan, NULL);
	test_add("the file stays within 1.25 times what is in use", test_bound, NULL);
	test_add("small requests use up fragments", test_fragments, NULL);
	test_add("large requests go on in the open word", test_open_word, NULL);
	test_add("the neighbour comes first within a request", test_neighbour_first, NULL);
	test_add("large requests take fragments on a full disk", test_full_disk, NULL);
	test_add("large requests take fragments where no group can be added", test_no_group, NULL);
	return test_run(argc, argv);
}
