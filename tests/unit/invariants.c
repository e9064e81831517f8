/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A caller that breaks a condition of CHECKED(): the call does no harm, and the backing is
 * condemned with the text of the invariant.  Compiled as a release is (CHECKED_ENDS=0) in every
 * build.
 */
#include <errno.h>

#include "common/base/units.h"
#include "common/engine/journal.h"
#include "common/engine/map-nodes.h"
#include "common/engine/map-pointers.h"
#include "common/engine/map-stash.h"
#include "common/engine/slots-private.h"
#include "common/engine/superblock.h"
#include "tests/backing/memory.h"
#include "tests/unit/map-scene.h"

static const Seal seal = {1};

/* ---- the journal */

static Journal *journal_over(Backing *backing)
{
	Journal *journal = journal_new(backing, FORMAT_JOURNAL_MIN, &seal, NULL);

	CHECK_INT(backing_grow(backing, FORMAT_JOURNAL_OFFSET + FORMAT_JOURNAL_MIN), 0);
	journal_start(journal, 0, (JournalPlace){0, 1}, 2);
	return journal;
}

static void append_without_room(Backing *backing)
{
	Journal *journal = journal_over(backing);
	Record record = {.kind = FORMAT_RECORD_ZERO, .first = 0, .blocks = 1};

	CHECK_INT(journal_commit(journal, journal_append(journal, &record)), -ESHUTDOWN);
	CHECK_UINT(journal_used(journal), 0);
	journal_free(journal);
}

static void unreserve_too_much(Backing *backing)
{
	Journal *journal = journal_over(backing);

	CHECK_INT(journal_reserve(journal, 100, TRUE), 0);
	journal_unreserve(journal, 101);
	journal_free(journal);
}

static void release_behind_the_head(Backing *backing)
{
	Journal *journal = journal_over(backing);

	journal_release(journal, 1);
	CHECK_UINT(journal_used(journal), 0);
	journal_free(journal);
}

/* ---- the allocator */

static Slots *slots_over(Backing *backing)
{
	return slots_new(backing, MIB, &seal, FALSE, NULL);
}

static void give_back_twice(Backing *backing)
{
	Slots *slots = slots_over(backing);
	SlotRun runs[4];
	guint64 warm;
	guint n = 0;

	CHECK_INT(slots_alloc(slots, 4, runs, &n), 0);
	slots_give_back(slots, runs, n, FALSE);
	warm = slots_warm_bytes(slots);
	CHECK(!backing_condemned(backing));
	slots_give_back(slots, runs, n, FALSE);
	CHECK_UINT(slots_warm_bytes(slots), warm);
	slots_free(slots);
}

static void take_behind_the_bitmap(Backing *backing)
{
	Slots *slots = slots_over(backing);

	CHECK_INT(slots_take(slots, &(SlotRun){FORMAT_LAST_INDEX, 2}), -EUCLEAN);
	slots_free(slots);
}

static void gain_without_room(Backing *backing)
{
	Slots *slots = slots_over(backing);

	slots_gain(slots, FORMAT_FIRST_INDEX, 1);
	CHECK_UINT(slots_gained_bytes(slots), 0);
	slots_free(slots);
}

static void freeze_twice(Backing *backing)
{
	Slots *slots = slots_over(backing);

	CHECK_INT(slots_reserve(slots, 1), 0);
	slots_gain(slots, FORMAT_FIRST_INDEX, 1);
	slots_freeze(slots);
	CHECK_INT(slots_reserve(slots, 1), 0);
	slots_gain(slots, FORMAT_FIRST_INDEX + 1, 1);
	slots_freeze(slots);
	CHECK_UINT(slots_gained_bytes(slots), FORMAT_SLOT_SIZE); /* waits for the next checkpoint */
	slots_free(slots);
}

static void write_bitmap_of_no_group(Backing *backing)
{
	Slots *slots = slots_over(backing);

	CHECK_INT(slots_reserve(slots, 1), 0);
	slots_gain(slots, FORMAT_FIRST_INDEX, 1);
	slots_freeze(slots);
	CHECK_INT(slots_write_bitmaps(slots, 1), -EUCLEAN);
	slots_free(slots);
}

/* ---- the superblock */

static void store_an_old_generation(Backing *backing)
{
	SuperblockPair pair = {.current = {.generation = 7}};
	Superblock next = pair.current;

	CHECK_INT(superblock_store(backing, &pair, &next), -ESHUTDOWN);
	CHECK_UINT(backing_size(backing), 0);
	CHECK_UINT(pair.home, 0);
}

/* ---- the map */

static void take_from_an_empty_stash(Backing *backing)
{
	g_autofree Map *map = g_new0(Map, 1);

	map->backing = backing;
	CHECK_UINT(stash_take_locked(map, STASH_INNER), 0);
	CHECK_UINT(map->stashes[STASH_INNER].n, 0);
}

static void push_a_node_twice(Backing *backing)
{
	g_autofree Map *map = g_new0(Map, 1);
	g_autofree MapNode *a = g_new0(MapNode, 1), *b = g_new0(MapNode, 1);
	NodeList list = {0};

	map->backing = backing;
	list_push(map, &list, a);
	list_push(map, &list, b);
	CHECK(!backing_condemned(backing));
	list_push(map, &list, a);
	CHECK_UINT(list.n, 2);
	CHECK(list.head == a && list.tail == b && !b->next);
}

static void remove_a_node_of_no_list(Backing *backing)
{
	g_autofree Map *map = g_new0(Map, 1);
	g_autofree MapNode *a = g_new0(MapNode, 1), *b = g_new0(MapNode, 1);
	NodeList list = {0};

	map->backing = backing;
	list_push(map, &list, a);
	list_remove(map, &list, b);
	CHECK_UINT(list.n, 1);
	CHECK(list.head == a && list.tail == a);
}

/* ---- a map over a scene, whose backing is another */

static void test_parent_not_in_memory(const void *data)
{
	const MapEntry entry = {.slot = FORMAT_FIRST_INDEX};
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);
	Map *map = scene->maps[0].map;

	(void)data;
	lock_take(map->lock);
	pointer_set_locked(map, 0, 0, &entry);
	CHECK_CONTAINS(backing_condemned(scene->backing), "I6: only a dirty parent is changed");
	CHECK_UINT(pointer_get_locked(map, 0, 0).slot, 0);
	lock_drop(map->lock);
}

static const struct {
	const char *name;
	void (*violate)(Backing *backing);
	const char *text;
} rows[] = {
	{"append without room", append_without_room, "I1: room was reserved for the record"},
	{"unreserve too much", unreserve_too_much, "I1: room that is given back was reserved"},
	{"release behind the head", release_behind_the_head, "I6: the journal's tail moves up"},
	{"give back twice", give_back_twice, "I5: only slots that were taken become free"},
	{"take behind the bitmap", take_behind_the_bitmap, "I9: record_decode() bounded the run"},
	{"gain without room", gain_without_room, "I5: slots_reserve() made room"},
	{"freeze twice", freeze_twice, "I5: the pages of the checkpoint before are written"},
	{"write a bitmap of no group", write_bitmap_of_no_group,
	 "I5: every change lies in a group of the checkpoint"},
	{"store an old generation", store_an_old_generation,
	 "I6: the superblock's generation grows"},
	{"take from an empty stash", take_from_an_empty_stash, "I5: stash_check saw to slots"},
	{"push a node twice", push_a_node_twice, "I7: a node is in one list at most"},
	{"remove a node of no list", remove_a_node_of_no_list,
	 "I7: a node is taken out of the list that it is in"},
};

static void test_condemned(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autoptr(Backing) backing = backing_memory_new(0);

		test_row("%s", rows[i].name);
		rows[i].violate(backing);
		CHECK_CONTAINS(backing_condemned(backing), rows[i].text);
	}
}

int main(int argc, char **argv)
{
	test_add("a broken condition condemns the backing and does no harm", test_condemned, NULL);
	test_add("a pointer into no parent in memory is neither read nor set",
		 test_parent_not_in_memory, NULL);
	return test_run(argc, argv);
}
