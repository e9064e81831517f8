/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Space below the allocator: given back, taken ahead, erased.
 */
#include "tests/backing/faulty.h"
#include "tests/unit/slots-support.h"

#include <errno.h>

static void fill(Backing *backing, Slots *slots, guint64 slot, guint32 count, guint8 value)
{
	g_autofree guint8 *bytes = g_malloc((gsize)count * FORMAT_SLOT_SIZE);

	memset(bytes, value, (gsize)count * FORMAT_SLOT_SIZE);
	CHECK_INT(backing_pwrite(backing, bytes, (gsize)count * FORMAT_SLOT_SIZE,
				 slots_offset(slots, slot)),
		  0);
}

/* Checks that the slots hold `value`. */
static void check_bytes(Backing *backing, Slots *slots, guint64 slot, guint32 count, guint8 value)
{
	for (guint32 i = 0; i < count && !test_failed(); i++) {
		guint8 bytes[FORMAT_SLOT_SIZE], expected[FORMAT_SLOT_SIZE];

		memset(expected, value, sizeof expected);
		CHECK_INT(
			backing_pread(backing, bytes, sizeof bytes, slots_offset(slots, slot + i)),
			0);
		CHECK_MEM(bytes, expected, sizeof bytes);
	}
}

/* An allocator in which words 0 to 3 of group 0 are written, and all their slots but one of word 1
 * are free. */
static Slots *slots_to_trim(Backing *backing)
{
	Slots *slots = slots_over(backing);

	if (!slots)
		return NULL;
	check_alloc(slots, slot_at(0), 256);
	fill(backing, slots, slot_at(0), 256, 7);
	retire_and_thaw(slots, slot_at(0), 70);
	retire_and_thaw(slots, slot_at(71), 185);
	return slots;
}

static void test_trim(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_to_trim(backing);
	guint64 warm;

	(void)data;
	REQUIRE(slots != NULL);
	warm = slots_warm_bytes(slots);
	CHECK_UINT(warm, 255 * FORMAT_SLOT_SIZE);
	CHECK_UINT(slots_trim(slots, warm, GIB), 0);
	CHECK_UINT(slots_trim(slots, 0, 0), 0);
	check_bytes(backing, slots, slot_at(0), 256, 7);
	CHECK_UINT(slots_trim(slots, 0, GIB), 3 * WORD_BYTES);
	check_counts(slots);
	CHECK_UINT(slots_warm_bytes(slots), 63 * FORMAT_SLOT_SIZE);
	check_bytes(backing, slots, slot_at(0), 64, 0);
	check_bytes(backing, slots, slot_at(64), 64, 7); /* a slot of this word is in use */
	check_bytes(backing, slots, slot_at(128), 128, 0);
	CHECK_UINT(slots_trim(slots, 0, GIB), 0);
	CHECK(slot_is_taken(slots, slot_at(70)));
	CHECK(!slot_is_taken(slots, slot_at(0)) && !slot_is_taken(slots, slot_at(255)));
	slots_free(slots);
}

static void test_no_punch(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_to_trim(backing);
	guint n;
	SlotRun runs[64];

	(void)data;
	REQUIRE(slots != NULL);
	backing_faulty_fail(backing, FAULTY_PUNCH, 0, EOPNOTSUPP, TRUE, FALSE);
	CHECK_UINT(slots_trim(slots, 0, GIB), 0);
	check_counts(slots);
	CHECK_UINT(slots_warm_bytes(slots), 255 * FORMAT_SLOT_SIZE);
	CHECK_INT(slots_alloc_written(slots, 64, runs, &n), 0); /* still written */
	slots_free(slots);
}

static void test_warm_up(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	SlotRun runs[64];
	guint n;

	(void)data;
	REQUIRE(slots != NULL);
	CHECK_INT(slots_warm_up(slots), -ENOSPC); /* there is no group yet */
	check_alloc(slots, slot_at(0), 64);
	CHECK_INT(slots_warm_up(slots), 0);
	check_counts(slots);
	CHECK_UINT(slots_warm_bytes(slots), 4 * MIB);
	backing_faulty_fill_up(backing, 0);
	CHECK_INT(slots_alloc_written(slots, 64, runs, &n), 0);
	check_run(runs[0], slot_at(64), 64);
	fill(backing, slots, slot_at(64), 64, 1); /* the word must have space below */
	CHECK_INT(slots_warm_up(slots), -ENOSPC);
	check_counts(slots);
	CHECK_UINT(slots_warm_bytes(slots), 4 * MIB - WORD_BYTES);
	backing_faulty_fail(backing, FAULTY_WRITE, 0, EIO, FALSE, FALSE);
	CHECK_INT(slots_warm_up(slots), -EIO);
	check_counts(slots);
	CHECK_UINT(slots_warm_bytes(slots), 4 * MIB - WORD_BYTES);
	slots_free(slots);
}

static void test_erase(const void *data)
{
	const gboolean punches = data != NULL;
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_to_trim(backing);
	const guint64 behind = (guint64)1 << FORMAT_GROUP_SHIFT; /* the last group */
	SlotBits kept = {0};

	REQUIRE(slots != NULL);
	if (!punches)
		backing_faulty_fail(backing, FAULTY_PUNCH, 0, EOPNOTSUPP, TRUE, FALSE);
	kept.words[1] = (guint64)1 << 6; /* the slot that is in use */
	CHECK_INT(slots_erase(slots, 0, &kept), 1);
	check_counts(slots);
	check_bytes(backing, slots, slot_at(0), 256, 0);
	/* The slot that was kept has space below, so it can be written on a full disk. */
	backing_faulty_fill_up(backing, 0);
	fill(backing, slots, slot_at(70), 1, 9);
	CHECK_UINT(slots_warm_bytes(slots), 63 * FORMAT_SLOT_SIZE);
	CHECK_INT(slots_erase(slots, 1, &kept), 0); /* the backing ends before group 1 */
	backing_faulty_fill_up(backing, G_MAXUINT64);
	CHECK_INT(backing_grow(backing, slots_offset(slots, behind + 2)), 0);
	fill(backing, slots, behind, 2, 3);
	CHECK_INT(slots_erase(slots, 1, &kept), 1);
	check_bytes(backing, slots, behind, 2, 0);
	slots_free(slots);
}

/* Space that is kept until a time goes back after it, if nobody asks again; until then only who
 * asks has more of it allocated. */
static void test_kept_until(const void *data)
{
	const guint64 firm = FORMAT_BITMAP_BITS, more = 3 * FORMAT_BITMAP_BITS;
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	guint64 allocated;

	(void)data;
	REQUIRE(slots != NULL);
	slots_keep(slots, firm);
	while (slots_tend_kept(slots) == 1)
		;
	allocated = backing_allocated(backing);
	CHECK_UINT(slots_kept_backed(slots), firm);
	slots_keep_until(slots, more, G_MAXINT64);
	CHECK_INT(slots_tend_kept(slots), 0);
	CHECK_UINT(slots_kept_backed(slots), firm);
	while (slots_back_some(slots) == 1)
		;
	CHECK_UINT(slots_kept_backed(slots), more);
	CHECK_INT(slots_tend_kept(slots), 0);
	CHECK_UINT(slots_trim(slots, 0, GIB), 0);
	slots_keep_until(slots, more, g_get_monotonic_time());
	CHECK_UINT(slots_kept_backed(slots), more);
	CHECK_INT(slots_tend_kept(slots), 0);
	CHECK_UINT(slots_kept_backed(slots), firm);
	while (slots_trim(slots, 0, GIB))
		;
	CHECK_UINT(backing_allocated(backing),
		   allocated + 2 * FORMAT_FIRST_INDEX * FORMAT_SLOT_SIZE);
	check_counts(slots);
	slots_free(slots);
}

int main(int argc, char **argv)
{
	test_add("trim gives back warm words that are wholly free", test_trim, NULL);
	test_add("trim leaves words warm that cannot be punched", test_no_punch, NULL);
	test_add("warming up writes 4 MiB of cold words", test_warm_up, NULL);
	test_add("what is kept until a time goes back after it", test_kept_until, NULL);
	test_add("erase leaves zeros", test_erase, "punches");
	test_add("erase leaves zeros on a backing that cannot punch", test_erase, NULL);
	return test_run(argc, argv);
}
