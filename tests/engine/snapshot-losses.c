/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequences in which a snapshot, or the space that it had, was or could be lost.
 */
#include "common/base/logging.h"
#include "common/engine/map-stash.h"
#include "common/engine/volume-private.h"
#include "tests/backing/faulty.h"
#include "tests/engine/snapshot-world.h"
#include "tests/engine/support.h"

#include <errno.h>

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* ---- an erase, and a snapshot that is taken meanwhile */

static gpointer erase(gpointer volume)
{
	return GINT_TO_POINTER(volume_erase(volume));
}

/* Either the erase succeeds, and the snapshot is of the empty volume, or it is refused. */
static void test_erase(const void *data)
{
	(void)data;
	for (guint round = 0; round < 40 && !test_failed(); round++) {
		g_autoptr(World) world = world_new(0);
		VolumeSnapshotParameters parameters = {.name = "one"};
		guint64 generation;
		GThread *thread;
		int r;

		test_row("round %u", round);
		world_write_all(world);
		CHECK_INT(volume_checkpoint(world->volume), 0);
		thread = g_thread_new("erase", erase, world->volume);
		g_usleep(round * 100);
		CHECK(volume_snapshot_begin(world->volume, &parameters, &generation, NULL));
		CHECK(volume_snapshot_wait(world->volume, generation, 60, NULL));
		r = GPOINTER_TO_INT(g_thread_join(thread));
		CHECK(r == 0 || r == -EBUSY);
		volume_close(g_steal_pointer(&world->volume), NULL);
		world->volume = volume_open(backing_borrow(world->backing), "test", 0, NULL);
		REQUIRE(world->volume);
		world_delete(world, "one", 0);
		world_settle(world);
		CHECK_INT(volume_erase(world->volume), 0);
		memset(world->head.values, 0, sizeof world->head.values);
		world_prove(world, FALSE);
	}
}

/* ---- a full disk */

#define FIRST (GIB + 64 * MIB) /* behind what the world writes, but for its last leaf */
#define LEAVES 900u

/* Whether the map has the slots with which what is dying is freed. */
static gboolean can_reclaim(Volume *volume)
{
	Map *map = volume->engine.map;
	gboolean can;

	lock_take(map->lock);
	can = stash_suffices_locked(map, TRUE);
	lock_drop(map->lock);
	return can;
}

/* Discards of what a snapshot shares need new nodes and free nothing.  However far they get, the
 * snapshot can be deleted: that must free what is dying first, and needs slots for it. */
static void test_full(const void *data)
{
	g_autoptr(World) world = world_new(0);
	int r = 0;

	(void)data;
	world_write_all(world);
	for (guint i = 0; i < LEAVES; i++)
		CHECK_INT(volume_put_value(world->volume, 9, 2 * BLOCK_SIZE, FIRST + i * MIB), 0);
	world_snapshot(world, "one");
	for (guint i = 0; i < LEAVES; i += 8) /* something that the discards leave dying */
		CHECK_INT(volume_put_value(world->volume, 8, BLOCK_SIZE, FIRST + i * MIB), 0);
	CHECK_INT(volume_checkpoint(world->volume), 0);
	checkpointer_hold(world->volume->checkpointer, TRUE);
	backing_faulty_fill_up(world->backing, 0);
	for (guint i = 0; !r; i++) /* what is free of the file */
		r = volume_put_value(world->volume, 7, BLOCK_SIZE, FIRST + i * BLOCK_SIZE);
	CHECK_INT(r, -ENOSPC);
	r = 0;
	for (guint i = 0; !r && i < LEAVES; i++)
		r = volume_discard(world->volume, FIRST + i * MIB, i % 8 ? BLOCK_SIZE : MIB);
	CHECK_INT(r, -ENOSPC);
	CHECK(can_reclaim(world->volume));
	CHECK(!volume_failure(world->volume));
	checkpointer_hold(world->volume->checkpointer, FALSE);
	world_delete(world, "one", 0);
	world_settle(world);
	CHECK_INT(volume_discard(world->volume, FIRST, LEAVES * MIB), 0);
	world_settle(world);
	world_prove(world, FALSE);
	backing_faulty_fill_up(world->backing, G_MAXUINT64);
}

/* ---- a birth between two snapshots */

/* What was born after "one" and is dropped after "two" is gone has no owner but the head, though it
 * is older than the head's last snapshot: the pointer dies with the time of its death. */
static void test_between(const void *data)
{
	g_autoptr(World) world = world_new(0);

	(void)data;
	world_write_all(world);
	world_snapshot(world, "one");
	CHECK_INT(volume_put_value(world->volume, 9, MIB, FIRST), 0);
	world_snapshot(world, "two");
	world_delete(world, "two", 0);
	world_settle(world);
	world_close(world);
	REQUIRE(world_open(world)); /* the leaf dies unread */
	CHECK_INT(volume_discard(world->volume, FIRST, MIB), 0);
	world_settle(world);
	world_prove(world, FALSE);
}

/* ---- between the freeze of a snapshot and its checkpoint */

typedef struct {
	GThread *writer;	/* whose changes are let through */
	gint armed, held, free; /* atomic */
} Hold;

/* Holds the checkpoint's first write. */
static gboolean hold_checkpoint(guint64 offset, guint64 length, gpointer data)
{
	Hold *hold = data;

	(void)offset, (void)length;
	if (g_thread_self() == hold->writer || !g_atomic_int_get(&hold->armed))
		return TRUE;
	g_atomic_int_set(&hold->held, TRUE);
	while (!g_atomic_int_get(&hold->free))
		g_usleep(1000);
	return TRUE;
}

/* What is overwritten after the instant of a snapshot is the snapshot's, though nothing of it is on
 * the disk yet. */
static void test_early(const void *data)
{
	g_autoptr(World) world = world_new(0);
	VolumeSnapshotParameters parameters = {.name = "one"};
	Hold hold = {.writer = g_thread_self()};
	guint64 generation = 0;

	(void)data;
	world_write_all(world);
	world_close(world);
	world->volume = volume_open(backing_borrow_gated(world->backing, hold_checkpoint, &hold),
				    "test", 0, NULL);
	REQUIRE(world->volume);
	world_write(world, 0);
	g_atomic_int_set(&hold.armed, TRUE);
	CHECK(volume_snapshot_begin(world->volume, &parameters, &generation, NULL));
	world->shadows[world->n] = world->head;
	g_strlcpy(world->shadows[world->n++].name, "one", sizeof world->shadows->name);
	WAIT_WITHIN(10, g_atomic_int_get(&hold.held));
	CHECK(g_atomic_int_get(&hold.held));
	world_write_all(world);
	g_atomic_int_set(&hold.free, TRUE);
	CHECK(volume_snapshot_wait(world->volume, generation, 60, NULL));
	CHECK_INT(volume_checkpoint(world->volume), 0);
	world_write_all(world); /* into what was freed */
	world_prove(world, FALSE);
}

/* ---- a disk that is full while the volume goes back */

/* Opens the volume anew, which may have failed, and tells whether it is as in the snapshot, or as
 * before. */
static gboolean is_back(World *world, gboolean failed, guint8 in_snapshot, guint8 before)
{
	const guint64 offset = place_block(3) * BLOCK_SIZE;
	guint8 bytes[BLOCK_SIZE];

	if (failed)
		volume_abandon(g_steal_pointer(&world->volume));
	else
		world_close(world);
	if (!CHECK(world_open(world) != NULL))
		return FALSE;
	CHECK_INT(volume_get(world->volume, bytes, sizeof bytes, offset), 0);
	CHECK(bytes[0] == in_snapshot || bytes[0] == before);
	return bytes[0] == in_snapshot;
}

/* Whichever write of a rollback meets a full disk: what the answer says is so. */
static void test_rollback_full(const void *data)
{
	guint later = 0, refused = 0, made = 0;

	(void)data;
	for (guint n = 0; n < 48 && made < 2 && !test_failed(); n++) {
		g_autoptr(World) world = world_new(0);
		g_autoptr(GError) error = NULL;
		g_autofree char *failure = NULL;
		gboolean done, back;
		guint8 before;

		test_row("write %u", n);
		world_write_all(world);
		world_snapshot(world, "one");
		world_write(world, 3);
		before = world->head.values[3];
		backing_faulty_fail(world->backing, FAULTY_WRITE, n, ENOSPC, FALSE, FALSE);
		done = volume_rollback(world->volume, "one", 0, NULL, &error);
		backing_faulty_fail(world->backing, 0, 0, 0, FALSE, FALSE);
		failure = volume_failure(world->volume);
		back = is_back(world, failure != NULL, world->shadows[0].values[3], before);
		made += done;
		if (done) {
			CHECK(back);
		} else if (strstr(error->message, "it has gone back to snapshot 'one'")) {
			CHECK(back || failure);
			later++;
		} else {
			CHECK(!back);
			refused++;
		}
	}
	CHECK(later && refused && made);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	test_add("a snapshot that is taken while the volume is erased", test_erase, NULL);
	test_add("a full disk, after discards of what a snapshot shares", test_full, NULL);
	test_add("what was born between two snapshots, discarded", test_between, NULL);
	test_add("what is overwritten before a snapshot is durable", test_early, NULL);
	test_add("a full disk, while the volume goes back", test_rollback_full, NULL);
	return test_run(argc, argv);
}
