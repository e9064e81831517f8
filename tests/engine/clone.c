/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked clones against a model: in random order writes, discards, other sizes, snapshots,
 * rollbacks, crashes, and flatten, step by step; of a volume, and of a clone's snapshot.
 */
#include <stdlib.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/volume-private.h"
#include "tests/engine/clone-world.h"

#define OPERATIONS 60u

static const struct {
	const char *name;
	void (*make)(World *world);
} operations[] = {
	{"write", world_write},	      {"write", world_write},	  {"write", world_write},
	{"discard", world_discard},   {"discard", world_discard}, {"resize", world_resize},
	{"snapshot", world_snapshot}, {"delete", world_delete},	  {"rollback", world_rollback},
	{"diff", world_diff},	      {"diff", world_diff},
};

static gboolean step(World *world)
{
	guint n = G_N_ELEMENTS(operations);
	guint chosen = (guint)test_random_below(world->random, n + 5);

	if (chosen < n) {
		test_row("%s", operations[chosen].name);
		operations[chosen].make(world);
	} else if (chosen == n) {
		test_row("checkpoint");
		CHECK_INT(volume_checkpoint(world->volume), 0);
	} else if (chosen == n + 1 && world->below) {
		test_row("flatten");
		world_flatten(world, 1 + test_random_below(world->random, 40) * MIB);
	} else {
		gboolean crash = chosen == n + 2;

		test_row(crash ? "crash" : "close");
		if (!world_close(world, crash) || !world_open(world))
			return FALSE;
	}
	return !test_failed() && world_verify(world);
}

/* A volume with something in it, and the snapshot "base". */
static World *origin_new(World *below, TestRandom *random)
{
	World *world = world_new(below, blocks_to_bytes(WORLD_BLOCKS - 300), random);

	for (guint i = 0; i < 30 && world && !test_failed(); i++)
		(i % 6 ? world_write : world_discard)(world);
	if (world && world_make_base(world))
		return world;
	world_free(world);
	return NULL;
}

static void sequence_run(guint64 seed, guint depth)
{
	TestRandom random = test_random_new(seed);
	World *worlds[3] = {NULL};

	for (guint i = 0; i < depth; i++) {
		worlds[i] = origin_new(i ? worlds[i - 1] : NULL, &random);
		if (!worlds[i])
			break;
	}
	worlds[depth] = test_failed() ? NULL : world_new(worlds[depth - 1], 0, &random);
	for (guint i = 0; i < OPERATIONS && worlds[depth]; i++) {
		if (step(worlds[depth]))
			continue;
		test_note("sequence %" G_GUINT64_FORMAT ", depth %u, operation %u", seed, depth, i);
		break;
	}
	/* The bases are as they were, whatever the clone did. */
	for (guint i = 0; i < depth && !test_failed(); i++)
		world_verify(worlds[i]);
	for (guint i = depth + 1; i-- > 0;) {
		if (worlds[i] && worlds[i]->volume && !test_failed())
			world_close(worlds[i], FALSE);
		world_free(worlds[i]);
	}
}

static void test_model(const void *data)
{
	guint depth = GPOINTER_TO_UINT(data);
	const char *wanted = getenv("STORAGEOS_SEQUENCES");
	guint n = wanted ? (guint)atoi(wanted) : test_is_instrumented() ? 5 : 25;

	for (guint i = 0; i < n && !test_failed(); i++)
		sequence_run(test_seed() + i, depth);
}

/* A clone that was smaller for a while reads less of its base, by pointers that are as null as
 * before. */
static void test_shrunk_diff(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	World *base = origin_new(NULL, &random);
	World *clone = base ? world_new(base, 0, &random) : NULL;
	const guint64 half = 300, blocks = WORLD_BLOCKS - 300;

	(void)data;
	if (clone) {
		world_snapshot(clone);
		world_resize_to(clone, half);
		world_resize_to(clone, blocks);
		world_write_range(clone, half + 10, 5);
		world_discard_range(clone, half, blocks - half);
		CHECK(volume_settled(clone->volume, volume_settle(clone->volume), 60));
		world_snapshot(clone);
		world_verify(clone);
		world_diff_between(clone, 0, 1);
		world_diff_between(clone, 1, 0);
		if (!test_failed())
			world_close(clone, FALSE);
	}
	world_free(clone);
	world_free(base);
}

/* What a clone has discarded, and a snapshot of it was taken before that was freed, is the
 * snapshot's from then on; to the clone it is a hole, and not the base. */
static void test_void(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	World *base = world_new(NULL, blocks_to_bytes(WORLD_BLOCKS), &random);
	World *clone = NULL;
	const guint64 leaf = 256, places[] = {0, 3 * leaf, 300 * leaf};

	(void)data;
	for (guint i = 0; base && i < G_N_ELEMENTS(places); i++)
		world_write_range(base, places[i] + 3, 40);
	if (base && world_make_base(base))
		clone = world_new(base, 0, &random);
	if (clone) {
		checkpointer_hold(clone->volume->checkpointer, TRUE);
		for (guint i = 0; i < G_N_ELEMENTS(places); i++)
			world_write_range(clone, places[i], leaf);
		CHECK_INT(volume_checkpoint(clone->volume), 0);
		for (guint i = 0; i < G_N_ELEMENTS(places); i++)
			world_discard_range(clone, places[i], leaf);
		world_snapshot(clone);
		world_verify(clone);
		world_write_range(clone, leaf - 2, 4);
		world_discard_range(clone, 2 * leaf, leaf);
		world_verify(clone);
		checkpointer_hold(clone->volume->checkpointer, FALSE);
		world_close(clone, FALSE);
		if (!test_failed() && world_open(clone))
			world_verify(clone);
		if (clone->volume)
			world_close(clone, FALSE);
	}
	world_free(clone);
	world_free(base);
}

int main(int argc, char **argv)
{
	test_add("a clone is what was done to it, and its base stays", test_model,
		 GUINT_TO_POINTER(1));
	test_add("what a clone lost while it was smaller differs", test_shrunk_diff, NULL);
	test_add("what died in a clone before a snapshot of it is a hole in the clone", test_void,
		 NULL);
	test_add("so is a clone of a clone's snapshot", test_model, GUINT_TO_POINTER(2));
	return test_run(argc, argv);
}
