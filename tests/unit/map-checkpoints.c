/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map through checkpoints: holes, dead nodes, freezing, resizing, and two maps over one
 * allocator.  Compiled with the checks of its locks and invariants in any build.
 */
#include "tests/unit/map-scene.h"

#include <errno.h>

static MapInfo info_of(Scene *scene, guint m)
{
	MapInfo info;

	map_get_info(scene->maps[m].map, &info);
	return info;
}

/* ---- holes */

static void test_zero_in_leaf(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);
	MapZeroStep step;
	guint64 first = 4;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 8), 0);
	CHECK_INT(map_zero_begin(scene->maps[0].map, &first, 7, &step), 1);
	CHECK_UINT(step.first, 4);
	CHECK_UINT(step.n, 3);
	CHECK_UINT(first, 7);
	map_change_end(scene->maps[0].map); /* not applied: nothing happens */
	scene_compare(scene, 0);
	CHECK_INT(scene_zero(scene, 0, 5, 7), 0);
	scene_compare(scene, 0);
	CHECK_UINT(info_of(scene, 0).data_slots, 6);
	CHECK_INT(scene_zero(scene, 0, 0, 8), 0);
	scene_compare(scene, 0);
	CHECK_UINT(info_of(scene, 0).data_slots, 0);
	CHECK_UINT(info_of(scene, 0).node_slots, 0); /* empty nodes were freed as well */
	first = 0;
	CHECK_INT(map_zero_begin(scene->maps[0].map, &first, SCENE_BLOCKS, &step), 0);
	CHECK_UINT(first, SCENE_BLOCKS);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

static void test_dead(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);
	guint64 nodes;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 256), 0);
	CHECK_INT(scene_write(scene, 0, 512, 100), 0);
	scene_reopen(scene);
	nodes = info_of(scene, 0).node_slots;
	CHECK_INT(scene_zero(scene, 0, 64, 256), 0); /* three clean subtrees of level 2 */
	CHECK(info_of(scene, 0).reclaimable);
	CHECK_UINT(info_of(scene, 0).data_slots, 356);
	CHECK_UINT(info_of(scene, 0).node_slots, nodes);
	scene_compare(scene, 0);
	scene_reopen(scene); /* dead nodes are not forgotten */
	CHECK(info_of(scene, 0).reclaimable);
	scene_compare(scene, 0);
	scene_reclaim(scene, 0);
	CHECK_UINT(info_of(scene, 0).data_slots, 164);
	CHECK(!info_of(scene, 0).reclaimable);
	scene_compare(scene, 0);
	scene_reopen(scene);
	scene_compare(scene, 0);
	CHECK_INT(scene_zero(scene, 0, 0, SCENE_BLOCKS), 0);
	scene_reclaim(scene, 0);
	CHECK_UINT(info_of(scene, 0).data_slots, 0);
	CHECK_UINT(info_of(scene, 0).node_slots, 0);
	scene_reopen(scene);
}

static void test_write_over_dead(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 256), 0);
	scene_reopen(scene);
	CHECK_INT(scene_zero(scene, 0, 64, 128), 0);
	CHECK_INT(scene_write(scene, 0, 100, 2), 0); /* below a dead node */
	scene_compare(scene, 0);
	scene_reopen(scene);
	scene_compare(scene, 0);
	scene_reclaim(scene, 0);
	scene_compare(scene, 0);
	CHECK_UINT(info_of(scene, 0).data_slots, 194);
	scene_reopen(scene);
}

/* Nodes and blocks below a lost dead node cannot be freed; all others are. */
static void test_dead_and_lost(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 256), 0);
	scene_reopen(scene);
	scene_damage(scene, 0, 0, 0); /* blocks 0 to 3 */
	CHECK_INT(scene_zero(scene, 0, 0, 64), 0);
	scene_reclaim(scene, 0);
	CHECK_UINT(info_of(scene, 0).data_slots, 192 + 4);
	CHECK(!info_of(scene, 0).reclaimable);
	scene_compare(scene, 0);
}

/* Nodes that a change made dirty, or that a checkpoint froze, are not on the disk.  If they died
 * with their clean neighbours, what is below them could never be freed. */
typedef struct {
	guint64 block; /* that is written, below one of two clean nodes of level 2 */
	gboolean frozen;
} PinnedCase;

static const PinnedCase pinned_cases[] = {{0, FALSE}, {64, FALSE}, {0, TRUE}, {64, TRUE}};

static void test_dead_and_pinned(const void *data)
{
	const PinnedCase *pinned = data;
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);

	CHECK_INT(scene_write(scene, 0, 0, 128), 0);
	scene_reopen(scene);
	CHECK_INT(scene_write(scene, 0, pinned->block, 1), 0);
	if (pinned->frozen)
		scene_freeze(scene);
	CHECK_INT(scene_zero(scene, 0, 0, 128), 0);
	scene_compare(scene, 0);
	scene_reclaim(scene, 0);
	CHECK_UINT(info_of(scene, 0).data_slots, 0);
	CHECK_UINT(info_of(scene, 0).node_slots, 0);
	if (pinned->frozen)
		scene_finish(scene);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

/* What other threads do while reclaiming reads a dead leaf with the lock dropped. */
typedef struct {
	void (*action)(Scene *scene);
	gboolean frozen;    /* the action begins a checkpoint */
	guint64 data_slots; /* in use at the end */
} ReclaimWindow;

static void write_below_dead(Scene *scene)
{
	CHECK_INT(scene_write(scene, 0, 5, 1), 0);
}

/* The leaf's parent is not dirty any more. */
static const ReclaimWindow freeze_window = {scene_freeze, TRUE, 60};
/* The leaf is not dead any more. */
static const ReclaimWindow write_window = {write_below_dead, FALSE, 61};

static void test_reclaim_window(const void *data)
{
	const ReclaimWindow *window = data;
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);

	CHECK_INT(scene_write(scene, 0, 0, 64), 0);
	scene_reopen(scene);
	CHECK_INT(scene_zero(scene, 0, 4, 8), 0); /* one clean leaf dies */
	CHECK(info_of(scene, 0).reclaimable);
	scene_on_read(scene, window->action);
	scene_reclaim(scene, 0);
	CHECK(!scene->on_read);
	CHECK_UINT(info_of(scene, 0).data_slots, window->data_slots);
	scene_compare(scene, 0);
	if (window->frozen)
		scene_finish(scene);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

/* ---- freezing */

static void test_freeze(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);
	SceneMap *at = &scene->maps[0];
	SceneMap then;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 100), 0);
	scene_freeze(scene);
	then = *at;
	CHECK_INT(scene_write(scene, 0, 50, 100), 0);
	CHECK_INT(scene_zero(scene, 0, 0, 3), 0);
	scene_compare(scene, 0);
	scene_finish(scene);
	scene_compare(scene, 0);
	map_free(at->map);
	/* The checkpoint has the state at the freeze, and nothing later. */
	memcpy(at->slots, then.slots, sizeof then.slots);
	memcpy(at->crcs, then.crcs, sizeof then.crcs);
	at->map = map_new(scene->backing, scene->slots, &scene->seal, SCENE_SMALL, &at->sb, TRUE,
			  NULL);
	scene_compare(scene, 0);
}

static void test_write_again(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 100), 0);
	for (guint after = 0; after < 5; after++) {
		test_row("write %u", after);
		CHECK_INT(scene_write(scene, 0, after * 7, 90), 0);
		scene_freeze(scene);
		backing_faulty_fail(scene->backing, FAULTY_WRITE, after, EIO, FALSE, TRUE);
		CHECK_INT(map_write_frozen(scene->maps[0].map), -EIO);
		CHECK_INT(scene_write(scene, 0, after * 9, 10), 0);
		scene_finish(scene);
		scene_compare(scene, 0);
		scene_reopen(scene);
		scene_compare(scene, 0);
	}
}

/* ---- walking, verifying */

static void test_scan(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);
	Map *map = scene->maps[0].map;
	guint64 block = 0, end;
	MapNodeCount count = {0};

	(void)data;
	CHECK_INT(map_next_leaf(map, &block, &end), 0);
	CHECK_INT(scene_write(scene, 0, 333, 1), 0);
	CHECK_INT(scene_write(scene, 0, 700, 1), 0);
	block = 0;
	CHECK_INT(map_next_leaf(map, &block, &end), 1);
	CHECK_UINT(block, 332);
	block = map_leaf_end(map, block);
	CHECK_UINT(block, 336);
	CHECK_INT(map_next_leaf(map, &block, &end), 1);
	CHECK_UINT(block, 700);
	CHECK_INT(scene_write(scene, 0, 0, 1), 0);
	scene_checkpoint(scene);
	scene_damage(scene, 0, 2, 1);
	CHECK_INT(map_verify_node(map, 2, 0, TRUE, &count), 0);
	CHECK_UINT(count.copies, 2);
	CHECK_UINT(count.repaired, 1);
	CHECK_UINT(count.lost, 0);
	CHECK_INT(map_verify_node(map, 2, 0, TRUE, &count), 0);
	CHECK_UINT(count.copies, 4);
	CHECK_UINT(count.repaired, 1);
}

/* ---- other sizes */

static void test_resize(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);
	SceneMap *at = &scene->maps[0];

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 30), 0);
	CHECK_INT(scene_write(scene, 0, 100, 1), 0);
	scene_checkpoint(scene);
	CHECK_INT(map_resize(at->map, blocks_to_bytes(64)), -ENOTEMPTY);
	CHECK_INT(scene_zero(scene, 0, 64, SCENE_BLOCKS), 0);
	/* The blocks are dead, but not yet free. */
	CHECK_INT(map_resize(at->map, blocks_to_bytes(64)), -ENOTEMPTY);
	scene_reclaim(scene, 0);
	CHECK_INT(map_resize(at->map, blocks_to_bytes(64)), 0); /* two levels are removed */
	CHECK_UINT(info_of(scene, 0).node_slots, 8 + 2 * (2 + 1));
	at->sb.size = blocks_to_bytes(64);
	at->sb.levels = 3;
	scene_reopen(scene);
	CHECK_INT(map_resize(at->map, blocks_to_bytes(SCENE_BLOCKS)), 0);
	at->sb.size = blocks_to_bytes(SCENE_BLOCKS);
	at->sb.levels = 5;
	scene_compare(scene, 0);
	CHECK_INT(scene_write(scene, 0, 1000, 20), 0);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

static void test_shrink_and_grow(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1, 0);
	Map *map = scene->maps[0].map;
	guint64 block = 64, end;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 30), 0);
	scene_checkpoint(scene);
	CHECK_INT(map_resize(map, blocks_to_bytes(64)), 0);
	CHECK_INT(map_next_leaf(map, &block, &end), 0); /* nothing is behind the end */
	CHECK_INT(map_resize(map, blocks_to_bytes(128)), 0);
	CHECK_INT(scene_write(scene, 0, 100, 8), 0); /* inside the first size and the third */
	CHECK_INT(map_resize(map, blocks_to_bytes(SCENE_BLOCKS)), 0);
	scene_compare(scene, 0);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

/* ---- two maps */

static void test_two_maps(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 2, 0);
	Map *maps[2] = {scene->maps[0].map, scene->maps[1].map};

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 200), 0);
	CHECK_INT(scene_write(scene, 1, 0, 100), 0);
	CHECK_INT(scene_write(scene, 0, 100, 200), 0);
	CHECK_INT(map_erase(maps, 2, 0), -EBUSY);
	scene_freeze(scene); /* both, at one instant */
	CHECK_INT(scene_write(scene, 1, 50, 200), 0);
	CHECK_INT(scene_write(scene, 0, 50, 20), 0);
	scene_finish(scene);
	for (guint i = 0; i < 4; i++) {
		scene_compare(scene, 0);
		scene_compare(scene, 1);
		scene_reopen(scene);
		CHECK_INT(scene_write(scene, i % 2, 30 * i, 90), 0);
	}
	/* One map is empty and the other is not, so nothing can be erased. */
	CHECK_INT(scene_zero(scene, 0, 0, SCENE_BLOCKS), 0);
	scene_reclaim(scene, 0);
	scene_checkpoint(scene);
	maps[0] = scene->maps[0].map;
	maps[1] = scene->maps[1].map;
	CHECK_UINT(info_of(scene, 0).node_slots, 0);
	CHECK_INT(map_erase(maps, 2, 0), -EBUSY);
	scene_reopen(scene);
	scene_compare(scene, 1);
}

/* A reader of one map keeps the slots that this map retired, and does not delay the other map. */
static void test_two_maps_reader(const void *data)
{
	g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 2, 0);
	MapEntry entry;
	guint epoch;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 1), 0);
	CHECK_INT(scene_write(scene, 1, 0, 1), 0);
	REQUIRE(!map_lookup(scene->maps[1].map, 0, 1, &entry, FALSE, &epoch));
	map_drain(scene->maps[0].map); /* must return */
	map_lookup_end(scene->maps[1].map, epoch);
	scene_checkpoint(scene);
}

/* ---- random steps, compared with the models */

static void random_step(Scene *scene, TestRandom *random, gboolean *frozen)
{
	guint m = (guint)test_random_below(random, scene->n_maps);
	guint64 first = test_random_below(random, SCENE_BLOCKS - 300);
	guint n = 1 + (guint)test_random_below(random, test_random_below(random, 3) ? 8 : 256);

	switch (test_random_below(random, 10)) {
	case 0:
		if (*frozen)
			scene_finish(scene);
		else
			scene_freeze(scene);
		*frozen = !*frozen;
		break;
	case 1:
		if (*frozen)
			scene_finish(scene);
		*frozen = FALSE;
		scene_reopen(scene);
		break;
	case 2:
		CHECK(map_reclaim(scene->maps[m].map) >= 0);
		break;
	case 3:
		CHECK_INT(scene_zero(scene, m, first / 64 * 64, first / 64 * 64 + 64), 0);
		break;
	case 4:
	case 5:
		CHECK_INT(scene_zero(scene, m, first, first + n), 0);
		break;
	default:
		CHECK_INT(scene_write(scene, m, first, n), 0);
	}
}

/* Once everything was discarded and reclaimed, no slot is in use. */
static void check_no_leak(Scene *scene)
{
	for (guint m = 0; m < scene->n_maps; m++) {
		CHECK_INT(scene_zero(scene, m, 0, SCENE_BLOCKS), 0);
		scene_reclaim(scene, m);
		CHECK_UINT(info_of(scene, m).data_slots, 0);
		CHECK_UINT(info_of(scene, m).node_slots, 0);
	}
	scene_checkpoint(scene);
}

static void test_random_steps(const void *data)
{
	TestRandom random = test_random_new(test_seed());

	(void)data;
	for (guint round = 0; round < 4 && !test_failed(); round++) {
		g_autoptr(Scene) scene = scene_new(SCENE_SMALL, 1 + round % 2, 0);
		gboolean frozen = FALSE;

		for (guint i = 0; i < 200 && !test_failed(); i++) {
			random_step(scene, &random, &frozen);
			for (guint m = 0; m < scene->n_maps && i % 8 == 0; m++)
				scene_compare(scene, m);
		}
		if (frozen)
			scene_finish(scene);
		scene_reopen(scene);
		for (guint m = 0; m < scene->n_maps; m++)
			scene_compare(scene, m);
		check_no_leak(scene);
	}
}

int main(int argc, char **argv)
{
	test_add("part of a leaf becomes a hole, an empty tree is freed", test_zero_in_leaf, NULL);
	test_add("a clean subtree dies as a whole and is freed later", test_dead, NULL);
	test_add("a dead subtree is split where it is written", test_write_over_dead, NULL);
	test_add("a dead node that is lost stays in use", test_dead_and_lost, NULL);
	for (guint i = 0; i < G_N_ELEMENTS(pinned_cases); i++)
		test_add("dirty and frozen nodes do not die with clean ones", test_dead_and_pinned,
			 &pinned_cases[i]);
	test_add("a node is reclaimed although a freeze comes in between", test_reclaim_window,
		 &freeze_window);
	test_add("a dead leaf that is written meanwhile is not reclaimed", test_reclaim_window,
		 &write_window);
	test_add("a checkpoint has the state at its freeze", test_freeze, NULL);
	test_add("frozen nodes are written again after an error", test_write_again, NULL);
	test_add("a walk finds the leaves, and mends the nodes above them", test_scan, NULL);
	test_add("levels are added and removed with the size", test_resize, NULL);
	test_add("a map that was shrunk can grow to less than before", test_shrink_and_grow, NULL);
	test_add("two maps over one allocator", test_two_maps, NULL);
	test_add("two maps have readers of their own", test_two_maps_reader, NULL);
	test_add("random steps", test_random_steps, NULL);
	return test_run(argc, argv);
}
