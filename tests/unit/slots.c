/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The allocator.  Compiled with the checks of its locks in any build: an access to a group without
 * the lock that protects the array of groups ends the process.
 */
#include "tests/backing/memory.h"
#include "common/engine/slots.h"
#include "common/base/units.h"
#include "tests/harness.h"

#include <errno.h>

#define OFFSET MIB
#define ALL_MAX 4096u

static const Seal seal = {1};

static Slots *slots_over(Backing *backing)
{
	Slots *slots = slots_new(backing, OFFSET, &seal, FALSE, NULL);

	CHECK(slots != NULL);
	return slots;
}

/* ---- pairs */

static guint64 place(guint index)
{
	return FORMAT_FIRST_INDEX + index;
}

static gboolean take_one(Slots *slots, guint64 slot)
{
	return CHECK_INT(slots_take(slots, &(SlotRun){slot, 1}), 0);
}

static void test_pair(const void *data)
{
	static const struct {
		const char *name;
		guint64 slot;
		gboolean free;
	} rows[] = {
		{"both are free", FORMAT_FIRST_INDEX + 5, TRUE},
		{"the first is somebody's", FORMAT_FIRST_INDEX + 10, FALSE},
		{"the copy's is somebody's", FORMAT_FIRST_INDEX + 70, FALSE},
		{"both are somebody's", FORMAT_FIRST_INDEX + 200, FALSE},
		{"the place is a copy's", FORMAT_FIRST_INDEX + FORMAT_COPY_DISTANCE + 9, FALSE},
		{"it is a bitmap's home", 2, FALSE},
		{"it is none", 0, FALSE},
		{"it lies in no group", (guint64)7 << FORMAT_GROUP_SHIFT | 100, FALSE},
	};
	g_autoptr(Backing) backing = backing_memory_new(0);
	Slots *slots = slots_over(backing);

	(void)data;
	REQUIRE(slots != NULL);
	take_one(slots, place(10));
	take_one(slots, place(70) + FORMAT_COPY_DISTANCE);
	take_one(slots, place(200));
	take_one(slots, place(200) + FORMAT_COPY_DISTANCE);
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		test_row("%s", rows[i].name);
		CHECK_INT(slots_take_pair(slots, rows[i].slot), rows[i].free);
		CHECK_INT(slots_take_pair(slots, rows[i].slot), FALSE);
	}
	test_row(NULL);
	/* The refused request took no slots. */
	take_one(slots, place(70));
	take_one(slots, place(10) + FORMAT_COPY_DISTANCE);
	CHECK_INT(slots_take(slots, &(SlotRun){place(5), 1}), -EUCLEAN);
	CHECK_INT(slots_take(slots, &(SlotRun){place(5) + FORMAT_COPY_DISTANCE, 1}), -EUCLEAN);
	slots_free(slots);
}

/* ---- no slot is given out twice */

typedef struct {
	SlotRun run;
	gboolean pair;
} Owned;

static void note(GHashTable *taken, SlotRun run, gboolean take)
{
	for (guint32 i = 0; i < run.count; i++) {
		gpointer slot = GSIZE_TO_POINTER((gsize)(run.slot + i));

		test_row("slot %" G_GUINT64_FORMAT, run.slot + i);
		CHECK_INT(g_hash_table_contains(taken, slot), !take);
		if (take)
			g_hash_table_add(taken, slot);
		else
			g_hash_table_remove(taken, slot);
	}
}

static void note_owned(GHashTable *taken, const Owned *owned, gboolean take)
{
	note(taken, owned->run, take);
	if (owned->pair)
		note(taken, (SlotRun){owned->run.slot + FORMAT_COPY_DISTANCE, owned->run.count},
		     take);
}

static void give_back(Slots *slots, GHashTable *taken, GArray *all, guint i)
{
	Owned *owned = &g_array_index(all, Owned, i);

	note_owned(taken, owned, FALSE);
	if (owned->pair)
		slots_give_back_pairs(slots, &owned->run);
	else
		slots_give_back(slots, &owned->run, 1, FALSE);
	g_array_remove_index_fast(all, i);
}

/* Takes slots in one of the possible ways. */
static void take_some(Slots *slots, TestRandom *random, GHashTable *taken, GArray *all)
{
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint64 kind = test_random_below(random, 8);
	guint n = 1;
	int r = 0;

	if (kind < 4)
		r = slots_alloc(slots, 1 + (guint32)test_random_below(random, 60), runs, &n);
	else if (kind < 5)
		r = slots_alloc_nodes(slots, 0, runs);
	else if (kind < 7)
		r = slots_alloc_pairs(slots, runs);
	else if (all->len)
		runs[0] = (SlotRun){
			g_array_index(all, Owned, test_random_below(random, all->len)).run.slot +
				test_random_below(random, 70),
			1};
	if (kind == 7 && (!all->len || !slots_take_pair(slots, runs[0].slot)))
		return;
	if (!CHECK_INT(r, 0))
		return;
	for (guint i = 0; i < n; i++) {
		Owned owned = {runs[i], kind >= 5};

		note_owned(taken, &owned, TRUE);
		g_array_append_val(all, owned);
	}
}

static void test_once(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	g_autoptr(GHashTable) taken = g_hash_table_new(NULL, NULL);
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(Owned));
	TestRandom random = test_random_new(test_seed());
	Slots *slots = slots_over(backing);

	(void)data;
	REQUIRE(slots != NULL);
	for (guint i = 0; i < 20000 && !test_failed(); i++) {
		if (all->len && (all->len > ALL_MAX || test_random_below(&random, 5) < 2))
			give_back(slots, taken, all, (guint)test_random_below(&random, all->len));
		else
			take_some(slots, &random, taken, all);
		if (i % 500 == 0)
			slots_trim(slots, 0, MIB);
	}
	slots_free(slots);
}

/* ---- the array of groups moves while other threads use groups */

#define GROUPS 40u

typedef struct {
	Slots *slots;
	gint stop; /* atomic */
	guint64 warmed, trimmed;
} Growing;

static gpointer warm_and_trim(gpointer data)
{
	Growing *growing = data;

	while (!g_atomic_int_get(&growing->stop)) {
		growing->warmed += !slots_warm_up(growing->slots);
		growing->trimmed += slots_trim(growing->slots, 0, 16 * MIB) > 0;
		slots_warm_bytes(growing->slots);
		slots_freeze(growing->slots);
		slots_switch(growing->slots);
	}
	return NULL;
}

static void test_growing(const void *data)
{
	g_autoptr(Backing) backing = backing_memory_new(0);
	Growing growing = {.slots = slots_over(backing)};
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	GThread *thread;
	guint n;

	(void)data;
	REQUIRE(growing.slots != NULL);
	CHECK_INT(slots_warm_up(growing.slots), -ENOSPC); /* there is no group yet */
	CHECK_INT(slots_alloc(growing.slots, 1, runs, &n), 0);
	thread = g_thread_new("trim", warm_and_trim, &growing);
	while (slots_groups(growing.slots) < GROUPS && !test_failed())
		CHECK_INT(slots_alloc(growing.slots, FORMAT_RECORD_BLOCKS_MAX, runs, &n), 0);
	g_atomic_int_set(&growing.stop, TRUE);
	g_thread_join(thread);
	CHECK_INT(slots_warm_up(growing.slots), 0);
	CHECK(slots_trim(growing.slots, 0, 16 * MIB) > 0);
	test_note("%" G_GUINT64_FORMAT " times warmed up, %" G_GUINT64_FORMAT " times trimmed",
		  growing.warmed, growing.trimmed);
	slots_free(growing.slots);
}

int main(int argc, char **argv)
{
	test_add("a pair is taken where both of its slots are free", test_pair, NULL);
	test_add("no slot is given out twice", test_once, NULL);
	test_add("groups are added while space is written and given back", test_growing, NULL);
	return test_run(argc, argv);
}
