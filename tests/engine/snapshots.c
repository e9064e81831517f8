/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots of a volume, against shadow copies: what each holds, and that every slot has an owner
 * (I5), whatever was overwritten, discarded, deleted, rolled back or interrupted meanwhile.
 */
#include "common/base/logging.h"
#include "common/engine/superblock.h"
#include "tests/backing/faulty.h"
#include "tests/engine/snapshot-proof.h"
#include "tests/engine/snapshot-world.h"
#include "tests/engine/support.h"

#include <errno.h>

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static void test_overwritten(const void *data)
{
	g_autoptr(World) world = world_new(0);

	(void)data;
	world_write_all(world);
	world_snapshot(world, "one");
	world_prove(world, FALSE);
	world_write_all(world);
	world_prove(world, FALSE);
	world_snapshot(world, "two");
	world_write(world, 3);
	world_snapshot(world, "three");
	world_prove(world, TRUE);
	world_delete(world, "two", 0);
	world_settle(world);
	world_prove(world, FALSE);
	world_delete(world, "one", 0);
	world_delete(world, "three", 0);
	world_settle(world);
	world_prove(world, FALSE);
}

/* What is discarded whole is left to the snapshot, or dies and goes over to it. */
static void test_discards(const void *data)
{
	g_autoptr(World) world = world_new(0);

	(void)data;
	world_write_all(world);
	CHECK_INT(volume_checkpoint(world->volume), 0);
	world_discard(world, 65536, 131072); /* dies */
	world_snapshot(world, "one");
	world_discard(world, 0, SIZE / BLOCK_SIZE); /* shared */
	world_prove(world, TRUE);
	for (guint i = 0; i < PLACES; i += 5) /* over void pointers, too */
		world_write(world, i);
	world_prove(world, FALSE);
	world_discard(world, 0, SIZE / BLOCK_SIZE);
	world_snapshot(world, "empty");
	world_delete(world, "one", 0);
	world_settle(world);
	world_prove(world, FALSE);
}

/* A void pointer is a hole also when the snapshot is gone that had what was below it. */
static void test_void(const void *data)
{
	g_autoptr(World) world = world_new(0);

	(void)data;
	world_write_all(world);
	CHECK_INT(volume_checkpoint(world->volume), 0);
	world_discard(world, 131072, 196608);
	world_snapshot(world, "one");
	world_delete(world, "one", 0);
	world_settle(world);
	world_prove(world, FALSE);
	CHECK_UINT(place_block(9), 131072);
	world_write(world, 9);
	world_prove(world, TRUE);
}

/* The feature bit says whether there is anything that needs it. */
static void test_bit(const void *data)
{
	g_autoptr(World) world = world_new(0);
	SuperblockPair pair;

	(void)data;
	world_write(world, 0);
	world_snapshot(world, "one");
	CHECK(superblock_load(world->backing, &pair, NULL));
	CHECK_UINT(pair.current.ro_compatible, FORMAT_RO_SNAPSHOTS);
	world_delete(world, "one", 0);
	world_settle(world);
	CHECK(superblock_load(world->backing, &pair, NULL));
	CHECK_UINT(pair.current.ro_compatible, 0);
	CHECK_UINT(pair.current.snapshot_root.slot, 0);
}

static void resize_to(World *world, guint64 size)
{
	g_autoptr(GError) error = NULL;

	CHECK(volume_resize(world->volume, size, VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD, 60,
			    &error));
	CHECK_NO_ERROR(error);
	world->head.size = size;
	for (guint i = 0; i < PLACES; i++)
		if (place_block(i) >= size / BLOCK_SIZE)
			world->head.values[i] = 0;
}

/* A snapshot keeps its size, and what lies behind the end that the volume gets. */
static void test_resize(const void *data)
{
	static const guint64 sizes[] = {4 * SIZE, 200 * MIB, MIB, SIZE / 2, SIZE};
	g_autoptr(World) world = world_new(0);

	(void)data;
	world_write_all(world);
	world_discard(world, 512 * 256, 513 * 256);
	for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autofree char *name = g_strdup_printf("at-%u", i);

		test_row("%s", name);
		world_snapshot(world, name);
		resize_to(world, sizes[i]);
		world_prove(world, i % 2);
		world_write(world, 0);
	}
	test_row(NULL);
	CHECK(!volume_rollback(world->volume, "at-2", 0, NULL, NULL));
	for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
		g_autofree char *name = g_strdup_printf("at-%u", i * 2 % 5);

		test_row("back to %s", name);
		world_rollback(world, name);
		world_prove(world, FALSE);
	}
	while (world->n && !test_failed()) {
		world_delete(world, world->shadows[0].name, 0);
		world_settle(world);
		world_prove(world, FALSE);
	}
}

static void test_undo(const void *data)
{
	g_autoptr(World) world = world_new(0);
	char undo[64];

	(void)data;
	world_write_all(world);
	world_snapshot(world, "one");
	world_write_all(world);
	world_rollback(world, "one");
	world_prove(world, TRUE);
	world_write(world, 1);
	g_strlcpy(undo, world->shadows[1].name, sizeof undo);
	world_rollback(world, undo);
	world_prove(world, FALSE);
	/* "one" is a branch point: it waits until one of the branches is gone. */
	world_delete(world, "one", 0);
	world_settle(world);
	world_prove(world, FALSE);
	world_delete(world, undo, 0);
	world_settle(world);
	world_prove(world, FALSE);
}

static guint count_in_state(World *world, VolumeSnapshotState state)
{
	g_autoptr(GArray) infos = volume_snapshots(world->volume);
	guint n = 0;

	for (guint i = 0; i < infos->len; i++)
		n += g_array_index(infos, VolumeSnapshotInfo, i).state == state;
	return n;
}

/* A bookmark keeps its place, and its name, but nothing else. */
static void test_bookmarks(const void *data)
{
	g_autoptr(World) world = world_new(0);

	(void)data;
	for (guint i = 0; i < 4; i++) {
		g_autofree char *name = g_strdup_printf("s%u", i);

		for (guint place = i; place < PLACES; place += i + 1)
			world_write(world, place);
		world_snapshot(world, name);
	}
	world_delete(world, "s1", VOLUME_SNAPSHOT_DELETE_BOOKMARK);
	world_delete(world, "s3", VOLUME_SNAPSHOT_DELETE_BOOKMARK);
	CHECK_UINT(count_in_state(world, VOLUME_SNAPSHOT_BOOKMARK), 2);
	world_prove(world, TRUE);
	world_write_all(world);
	world_settle(world);
	world_prove(world, FALSE);
	CHECK_UINT(count_in_state(world, VOLUME_SNAPSHOT_BOOKMARK), 2);
	CHECK(!volume_rollback(world->volume, "s1", 0, NULL, NULL));
	for (guint i = 0; i < 4; i++) {
		g_autofree char *name = g_strdup_printf("s%u", i);

		world_delete(world, name, 0);
		world_settle(world);
		world_prove(world, i % 2);
	}
	CHECK_UINT(count_in_state(world, VOLUME_SNAPSHOT_BOOKMARK), 0);
}

/* Records of many pages; the table grows and shrinks. */
static void test_many(const void *data)
{
	g_autoptr(World) world = world_new(0);
	g_autoptr(GError) error = NULL;
	char name[64];

	(void)data;
	for (guint i = 0; i < 50; i++) {
		VolumeSnapshotParameters parameters = {.name = name, .created = 7, .group = i};
		guint64 generation;

		world_write(world, i % PLACES);
		g_snprintf(name, sizeof name, "s%u", i);
		CHECK(volume_snapshot_begin(world->volume, &parameters, &generation, &error));
		CHECK(volume_snapshot_wait(world->volume, generation, 60, &error));
	}
	CHECK_NO_ERROR(error);
	world_prove(world, TRUE);
	CHECK_UINT(count_in_state(world, VOLUME_SNAPSHOT_ALIVE), 50);
	for (guint i = 0; i < 50; i++) {
		g_snprintf(name, sizeof name, "s%u", i * 7 % 50);
		CHECK(volume_snapshot_delete(world->volume, name, 0, &error));
		if (i % 10 == 9)
			world_prove(world, i % 20 == 9);
	}
	CHECK_NO_ERROR(error);
	world_settle(world);
	world_prove(world, FALSE);
	CHECK_UINT(count_in_state(world, VOLUME_SNAPSHOT_DELETING), 0);
}

/* The last call was refused with that error. */
static void check_refusal(GError **error, StorageosError code, const char *says)
{
	CHECK_ERROR(*error, code, says);
	g_clear_error(error);
}

static void test_names(const void *data)
{
	g_autoptr(World) world = world_new(0);
	GError *error = NULL;
	VolumeSnapshotParameters again = {.name = "two"}, bad = {.name = "Two"};
	guint64 generation;

	(void)data;
	world_snapshot(world, "one");
	CHECK(volume_snapshot_rename(world->volume, "one", "two", NULL));
	g_strlcpy(world->shadows[0].name, "two", 64);
	world_prove(world, TRUE);
	CHECK(!volume_snapshot_rename(world->volume, "one", "x", &error));
	check_refusal(&error, STORAGEOS_ERROR_NOT_FOUND, "no snapshot 'one'");
	CHECK(!volume_snapshot_begin(world->volume, &again, &generation, &error));
	check_refusal(&error, STORAGEOS_ERROR_EXISTS, "'two' already");
	CHECK(!volume_snapshot_begin(world->volume, &bad, &generation, &error));
	check_refusal(&error, STORAGEOS_ERROR_INVALID, "invalid snapshot name");
	CHECK(volume_snapshot_hold(world->volume, "two", "backup", NULL));
	CHECK(!volume_snapshot_hold(world->volume, "two", "backup", &error));
	check_refusal(&error, STORAGEOS_ERROR_EXISTS, "'backup'");
	world_prove(world, TRUE);
	CHECK(!volume_snapshot_delete(world->volume, "two", 0, &error));
	check_refusal(&error, STORAGEOS_ERROR_BUSY, "held by 'backup'");
	CHECK(!volume_snapshot_release(world->volume, "two", "other", &error));
	check_refusal(&error, STORAGEOS_ERROR_NOT_FOUND, "'other'");
	CHECK(volume_snapshot_release(world->volume, "two", "backup", NULL));
	world_delete(world, "two", 0);
	CHECK(!volume_snapshot_delete(world->volume, "two", 0, &error));
	check_refusal(&error, STORAGEOS_ERROR_NOT_FOUND, "no snapshot 'two'");
	world_prove(world, FALSE);
}

/* On a full disk overwrites are refused, the volume goes on, and a deletion makes room. */
static void test_full(const void *data)
{
	g_autoptr(World) world = world_new(0);
	int r = 0;

	(void)data;
	world_write_all(world);
	world_snapshot(world, "one");
	CHECK_INT(volume_checkpoint(world->volume), 0);
	backing_faulty_fill_up(world->backing, MIB);
	for (guint round = 0; !r && round < 100; round++)
		for (guint i = 0; !r && i < PLACES; i++)
			if (!(r = volume_put_value(world->volume, (guint8)(1 + round), BLOCK_SIZE,
						   place_block(i) * BLOCK_SIZE)))
				world->head.values[i] = (guint8)(1 + round);
	CHECK(!volume_failure(world->volume));
	world_prove(world, FALSE);
	world_delete(world, "one", 0);
	world_settle(world);
	world_prove(world, FALSE);
	world_write_all(world);
	backing_faulty_fill_up(world->backing, G_MAXUINT64);
	world_prove(world, FALSE);
}

/* A copy of the table that is damaged is mended; without any copy, the volume can be read. */
static void test_damaged_table(const void *data)
{
	g_autoptr(World) world = world_new(0);
	g_autoptr(GError) error = NULL;
	guint64 at, distance = (guint64)FORMAT_COPY_DISTANCE * FORMAT_SLOT_SIZE;
	SuperblockPair pair;

	(void)data;
	world_write_all(world);
	world_snapshot(world, "one");
	world_close(world);
	CHECK(superblock_load(world->backing, &pair, NULL));
	at = pair.current.groups_offset + pair.current.snapshot_root.slot * FORMAT_SLOT_SIZE;
	backing_faulty_flip(world->backing, at + 5, 3);
	world_open(world);
	REQUIRE(world->volume);
	world_prove(world, FALSE);
	world_close(world);
	CHECK(superblock_load(world->backing, &pair, NULL));
	at = pair.current.groups_offset + pair.current.snapshot_root.slot * FORMAT_SLOT_SIZE;
	backing_faulty_flip(world->backing, at, 1);
	backing_faulty_flip(world->backing, at + distance, 1);
	CHECK(!volume_open(backing_borrow(world->backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "opened for reading only");
	world->volume =
		volume_open(backing_borrow(world->backing), "test", VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(world->volume);
	check_value(world->volume, world->head.values[5], BLOCK_SIZE, place_block(5) * BLOCK_SIZE);
}

/* The disk fills up at each write of the checkpoint that is the snapshot: the snapshot is there, or
 * it is not, and the answer says which. */
static void test_full_meanwhile(const void *data)
{
	(void)data;
	for (guint n = 0; n < 16 && !test_failed(); n++) {
		g_autoptr(World) world = world_new(0);
		VolumeSnapshotParameters parameters = {.name = "one"};
		g_autoptr(GError) error = NULL;
		Shadow shadow;
		guint64 generation = 0;
		g_autofree char *failure = NULL;
		gboolean made;

		test_row("write %u", n);
		world_write_all(world);
		CHECK_INT(volume_checkpoint(world->volume), 0);
		world_write(world, 3);
		shadow = world->head;
		backing_faulty_fail(world->backing, FAULTY_WRITE, n, ENOSPC, FALSE, FALSE);
		made = volume_snapshot_begin(world->volume, &parameters, &generation, &error) &&
		       volume_snapshot_wait(world->volume, generation, 60, &error);
		backing_faulty_fail(world->backing, 0, 0, 0, FALSE, FALSE);
		failure = volume_failure(world->volume);
		if (failure) { /* it was a superblock's */
			CHECK_CONTAINS(failure, "superblock");
			CHECK(n >= 8);
			volume_abandon(g_steal_pointer(&world->volume));
			return;
		}
		if (!made)
			CHECK_ERROR(error, STORAGEOS_ERROR_NO_SPACE, NULL);
		if (made) {
			g_strlcpy(shadow.name, "one", sizeof shadow.name);
			world->shadows[world->n++] = shadow;
		}
		world_write(world, 4);
		CHECK_INT(volume_checkpoint(world->volume), 0);
		world_settle(world);
		CHECK_UINT(count_in_state(world, VOLUME_SNAPSHOT_ALIVE), made);
		CHECK_UINT(count_in_state(world, VOLUME_SNAPSHOT_DELETING), 0);
		world_prove(world, FALSE);
	}
}

/* ---- the instant */

#define ROUND 250 /* values of the counter */

typedef struct {
	World *world;
	gint stop;	       /* atomic */
	gint begun, completed; /* atomic: rounds */
} Counting;

/* Round n writes n to place 0, and then to place 1. */
static gpointer count_on(gpointer data)
{
	Counting *counting = data;

	for (gint n = 1; !g_atomic_int_get(&counting->stop); n++) {
		g_atomic_int_set(&counting->begun, n);
		for (guint place = 0; place < 2; place++)
			CHECK_INT(volume_put_value(counting->world->volume, (guint8)(1 + n % ROUND),
						   BLOCK_SIZE, place_block(place) * BLOCK_SIZE),
				  0);
		g_atomic_int_set(&counting->completed, n);
	}
	return NULL;
}

typedef struct {
	guint64 generation;
	gint completed, begun; /* before the call; after it */
	guint8 values[2];
} Instant;

#define INSTANTS 20

static void note_values(guint64 generation, guint64 block, guint8 value, gpointer data)
{
	Instant *instants = data;

	for (guint i = 0; i < INSTANTS; i++)
		for (guint place = 0; place < 2; place++)
			if (instants[i].generation == generation && place_block(place) == block)
				instants[i].values[place] = value;
}

/* By how many rounds `value` is behind the value of round n. */
static gint rounds_behind(gint n, guint8 value)
{
	return (1 + n % ROUND - value + ROUND) % ROUND;
}

static void test_instant(const void *data)
{
	g_autoptr(World) world = world_new(0);
	Counting counting = {.world = world};
	Instant instants[INSTANTS] = {{0}};
	GThread *thread;

	(void)data;
	thread = g_thread_new("writer", count_on, &counting);
	for (guint i = 0; i < INSTANTS; i++) {
		g_autofree char *name = g_strdup_printf("s%u", i);
		VolumeSnapshotParameters parameters = {.name = name};
		Instant *instant = &instants[i];

		g_usleep(2000);
		instant->completed = g_atomic_int_get(&counting.completed);
		CHECK(volume_snapshot_begin(world->volume, &parameters, &instant->generation,
					    NULL));
		instant->begun = g_atomic_int_get(&counting.begun);
		CHECK(volume_snapshot_wait(world->volume, instant->generation, 60, NULL));
	}
	g_atomic_int_set(&counting.stop, TRUE);
	g_thread_join(thread);
	world_close(world);
	snapshots_prove(world->backing, note_values, instants);
	for (guint i = 0; i < INSTANTS; i++) {
		const Instant *now = &instants[i];
		gint first = rounds_behind(now->begun, now->values[0]);
		gint second = rounds_behind(now->begun, now->values[1]);

		test_row("snapshot %u", i);
		if (!now->completed || now->begun - now->completed > ROUND / 2)
			continue;
		CHECK(first <= now->begun - now->completed);
		CHECK(second <= now->begun - now->completed);
		CHECK(second == first || second == first + 1);
	}
}

static void test_erase(const void *data)
{
	g_autoptr(World) world = world_new(0);

	(void)data;
	world_write(world, 0);
	world_snapshot(world, "one");
	CHECK_INT(volume_erase(world->volume), -EBUSY);
	check_value(world->volume, world->head.values[0], BLOCK_SIZE, 0);
	world_delete(world, "one", 0);
	world_settle(world);
	CHECK_INT(volume_erase(world->volume), 0);
	world->head.values[0] = 0;
	world_prove(world, FALSE);
}

/* A hole at or around a place, or anywhere: a part of a leaf, a leaf, or nodes above. */
static void discard_something(World *world)
{
	static const guint shifts[] = {2, 8, 8, 12, 16, 16, 18};
	TestRandom *random = &world->random;
	guint shift = shifts[test_random_below(random, G_N_ELEMENTS(shifts))];
	guint64 at = test_random_below(random, 4)
			     ? place_block((guint)test_random_below(random, PLACES))
			     : test_random_below(random, world->head.size / BLOCK_SIZE);
	guint64 n = 1 + test_random_below(random, 3);

	at = at >> shift << shift;
	world_discard(world, at, at + (n << shift));
}

static void write_something(World *world)
{
	for (guint i = 0; i < 4; i++)
		world_write(world, (guint)test_random_below(&world->random, PLACES));
}

/* The name of one of the snapshots. */
static void choose_snapshot(World *world, char name[64])
{
	g_strlcpy(name, world->shadows[test_random_below(&world->random, world->n)].name, 64);
}

static void do_something(World *world)
{
	TestRandom *random = &world->random;
	guint k = (guint)test_random_below(random, 100);
	char name[64];

	/* Deletions go on slowly while the volume is written. */
	backing_faulty_delay(world->backing, FAULTY_READ, k < 78 ? 1000 : 0);
	if (k < 30) {
		write_something(world);
	} else if (k < 55) {
		discard_something(world);
	} else if (k < 60) {
		CHECK_INT(volume_checkpoint(world->volume), 0);
	} else if (k < 69) {
		g_snprintf(name, sizeof name, "s%u", world->names++);
		world_snapshot(world, name);
	} else if (k < 78 && world->n) {
		choose_snapshot(world, name);
		world_delete(world, name,
			     test_random_below(random, 5) ? 0 : VOLUME_SNAPSHOT_DELETE_BOOKMARK);
	} else if (k < 82) {
		world_settle(world);
	} else if (k < 87 && world->n) {
		choose_snapshot(world, name);
		world_rollback(world, name);
	} else if (k >= 87) {
		world_prove(world, k % 2);
	}
}

static void test_anything(const void *data)
{
	guint worlds = test_is_instrumented() ? 2 : 8;
	TestRandom seeds = test_random_new(test_seed());

	(void)data;
	for (guint n = 0; n < worlds && !test_failed(); n++) {
		g_autoptr(World) world = world_new(0);

		world->random = test_random_new(test_random(&seeds));
		for (guint step = 0; step < 300 && !test_failed(); step++) {
			test_row("world %u, step %u", n, step);
			do_something(world);
		}
		backing_faulty_delay(world->backing, FAULTY_READ, 0);
		while (world->n && !test_failed()) {
			world_delete(world, world->shadows[0].name, 0);
			world_prove(world, world->n % 2);
		}
		world_settle(world);
		world_prove(world, FALSE);
	}
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	test_add("a snapshot keeps what is overwritten", test_overwritten, NULL);
	test_add("discarded subtrees are the snapshot's", test_discards, NULL);
	test_add("what was dying stays a hole", test_void, NULL);
	test_add("a snapshot has the size of its time", test_resize, NULL);
	test_add("a rollback can be undone; a branch point waits", test_undo, NULL);
	test_add("a bookmark keeps its place alone", test_bookmarks, NULL);
	test_add("fifty snapshots come and go", test_many, NULL);
	test_add("names and holds", test_names, NULL);
	test_add("the feature bit comes and goes", test_bit, NULL);
	test_add("a deletion makes room on a full disk", test_full, NULL);
	test_add("the disk fills up while a snapshot is made", test_full_meanwhile, NULL);
	test_add("a snapshot is of one instant", test_instant, NULL);
	test_add("a damaged table is mended, or the volume read without", test_damaged_table, NULL);
	test_add("an erase is refused while snapshots keep data", test_erase, NULL);
	test_add("random operations", test_anything, NULL);
	return test_run(argc, argv);
}
