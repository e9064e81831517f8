/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which words of the allocator are emptied, and where what was in them goes.
 */
#include "tests/backing/faulty.h"
#include "tests/unit/slots-support.h"

#include <errno.h>

#define NO_LIMIT G_MAXUINT64

static gboolean is_marked(Slots *slots, guint64 slot)
{
	MapEntry entry = {.slot = slot};
	gboolean marked = FALSE;

	slots_get_marked(slots, &entry, 1, &marked);
	return marked;
}

/* An allocator in which word i of the first five has used[i] slots in use. */
static Slots *slots_sparse(Backing *backing, const guint8 used[5])
{
	Slots *slots = slots_over(backing);

	if (!slots)
		return NULL;
	check_alloc(slots, slot_at(0), 4 * 64);
	check_alloc(slots, slot_at(4 * 64), 64);
	for (guint i = 0; i < 5; i++)
		if (used[i] < 64)
			retire_and_thaw(slots, slot_at(i * 64 + used[i]), 64 - used[i]);
	return slots;
}

/* The sparsest words are marked, as many as hold what may be moved; full ones never are. */
static void test_mark(const void *data)
{
	static const guint8 used[5] = {64, 20, 5, 52, 40};
	static const struct {
		guint64 max, most, marked;
		guint words; /* a bit for each */
	} rows[] = {
		{1000, 100, 65, 1 << 1 | 1 << 2 | 1 << 4},
		{64, 100, 25, 1 << 1 | 1 << 2},
		{24, 100, 5, 1 << 2},
		{4, 100, 0, 0},
		{1000, 1, 5, 1 << 2},
		{1000, 0, 0, 0},
	};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_sparse(backing, used);
	SlotsSpace space;

	(void)data;
	REQUIRE(slots != NULL);
	slots_get_space(slots, &space);
	CHECK_UINT(space.loose, 44 + 59 + 12 + 24);
	CHECK_UINT(space.whole, 0);
	CHECK_UINT(slots_backed(slots), 5 * 64);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		test_row("row %u", i);
		CHECK_UINT(slots_mark_sparse(slots, rows[i].max, rows[i].most), rows[i].marked);
		for (guint w = 0; w < 5; w++)
			CHECK_INT(is_marked(slots, slot_at(w * 64)), rows[i].words >> w & 1);
	}
	slots_free(slots);
}

/* Checks that these slots are taken as one run from `at` on. */
static void check_tidy(Slots *slots, SlotsTidyKind kind, guint32 n, guint64 limit, guint64 at)
{
	SlotRun runs[300];
	guint n_runs = 0;

	CHECK_INT(slots_alloc_tidy(slots, kind, n, limit, runs, &n_runs), 0);
	CHECK_UINT(n_runs, 1);
	CHECK_UINT(runs->slot, at);
	CHECK_UINT(runs->count, n);
	check_counts(slots);
}

/* Each kind fills words of its own, one after the other, and leaves holes alone. */
static void test_alloc(const void *data)
{
	static const guint8 used[5] = {64, 20, 0, 0, 1};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_sparse(backing, used);
	SlotRun runs[300];
	guint n_runs;

	(void)data;
	REQUIRE(slots != NULL);
	slots_begin_tidy(slots);
	check_tidy(slots, SLOTS_EVICT, 3, 0, slot_at(2 * 64));
	check_tidy(slots, SLOTS_GATHER, 10, 0, slot_at(3 * 64));
	check_tidy(slots, SLOTS_EVICT, 2, 0, slot_at(2 * 64 + 3));
	/* The rest of the kind's word does not suffice, and no other word is warm. */
	CHECK_INT(slots_alloc_tidy(slots, SLOTS_GATHER, 64, 5 * 64, runs, &n_runs), -ENOSPC);
	check_counts(slots);
	CHECK_INT(slots_alloc_tidy(slots, SLOTS_GATHER, 118, 6 * 64, runs, &n_runs), 0);
	CHECK_UINT(n_runs, 2);
	CHECK_UINT(slots_backed(slots), 6 * 64);
	check_counts(slots);
	slots_free(slots);
}

/* The allocator grows, within the limit. */
static void test_grow(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Slots *slots = slots_over(backing);
	SlotRun runs[300];
	guint n_runs;

	(void)data;
	REQUIRE(slots != NULL);
	for (guint64 i = 0; i < FORMAT_BITMAP_BITS / 64; i++)
		CHECK_INT(slots_alloc_tidy(slots, SLOTS_GATHER, 64, NO_LIMIT, runs, &n_runs), 0);
	CHECK_UINT(slots_groups(slots), 1);
	CHECK_INT(slots_alloc_tidy(slots, SLOTS_GATHER, 64, slots_backed(slots), runs, &n_runs),
		  -ENOSPC);
	CHECK_INT(slots_alloc_tidy(slots, SLOTS_GATHER, 64, NO_LIMIT, runs, &n_runs), 0);
	CHECK_UINT(slots_groups(slots), 2);
	slots_free(slots);
}

int main(int argc, char **argv)
{
	test_add("the sparsest words are marked", test_mark, NULL);
	test_add("each kind of move fills words of its own", test_alloc, NULL);
	test_add("the backing grows within the limit", test_grow, NULL);
	return test_run(argc, argv);
}
