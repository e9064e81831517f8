/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map by itself: lookup, change, holes, checkpoints, other sizes.  Compiled with the checks of
 * its locks and invariants in any build.
 */
#include "common/engine/map-private.h"
#include "tests/unit/map-scene.h"

#include <errno.h>

static const NodeLayout plain = {.shift = 8, .size = sizeof(FormatPointer)};
static const NodeLayout small = {.shift = 2, .size = sizeof(FormatPointer)};

/* ---- lookup */

static void test_lookup(const void *data)
{
	g_autoptr(Scene) scene = scene_new(*(const NodeLayout *)data, 1, 0);

	scene_compare(scene, 0);
	CHECK_INT(scene_write(scene, 0, 250, 20), 0);
	CHECK_INT(scene_write(scene, 0, 600, 1), 0);
	scene_compare(scene, 0);
	CHECK_INT(scene_write(scene, 0, 255, 3), 0);
	scene_compare(scene, 0);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

static void test_nowait(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);
	MapEntry entry;
	guint epoch;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 7, 1), 0);
	scene_reopen(scene);
	CHECK_INT(map_lookup(scene->maps[0].map, 7, 1, &entry, TRUE, &epoch), -EAGAIN);
	CHECK_INT(map_change_begin(scene->maps[0].map, 7, 1, TRUE), -EAGAIN);
	scene_compare(scene, 0);
	REQUIRE(!map_lookup(scene->maps[0].map, 7, 1, &entry, TRUE, &epoch));
	map_lookup_end(scene->maps[0].map, epoch);
	CHECK_UINT(entry.slot, scene->maps[0].slots[7]);
}

static guint64 mended(Scene *scene)
{
	MapInfo info;

	map_get_info(scene->maps[0].map, &info);
	return info.mended;
}

static void test_damaged_copy(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 9), 0);
	scene_reopen(scene);
	scene_damage(scene, 0, 1, 0);
	scene_compare(scene, 0);
	CHECK_UINT(mended(scene), 1);
	scene_reopen(scene);
	scene_damage(scene, 0, 1, 1); /* the first copy was rewritten, so this one is not needed */
	scene_compare(scene, 0);
	CHECK_UINT(mended(scene), 0);
}

static void test_damaged_node(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);
	Map *map;
	MapEntry entry;
	guint epoch;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 9), 0);
	scene_reopen(scene);
	map = scene->maps[0].map;
	scene_damage(scene, 0, 0, 0); /* a leaf has no copy */
	CHECK_INT(map_lookup(map, 0, 1, &entry, FALSE, &epoch), -EBADMSG);
	CHECK_INT(map_change_begin(map, 0, 1, FALSE), -EBADMSG);
	REQUIRE(!map_lookup(map, 8, 1, &entry, FALSE, &epoch));
	map_lookup_end(map, epoch);
	CHECK_UINT(entry.slot, scene->maps[0].slots[8]);
	backing_faulty_fail(scene->backing, FAULTY_READ, 0, EIO, TRUE, FALSE);
	CHECK_INT(map_lookup(map, 5, 1, &entry, FALSE, &epoch), -EIO);
	backing_faulty_fail(scene->backing, 0, 0, 0, FALSE, FALSE);
}

/* A node's values are checked although its checksum is right. */
static void test_insane_node(const void *data)
{
	g_autoptr(Scene) scene = scene_new(plain, 1, 0);
	Superblock *sb = &scene->maps[0].sb;
	MapEntry far = {.slot = (guint64)1 << 39, .birth = 1}, entry;
	FormatNode node;
	guint epoch;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 1), 0);
	scene_checkpoint(scene);
	memset(&node, 0, sizeof node);
	entry_put(plain, &node, 3, &far);
	sb->map_root.crc = seal_node(&scene->seal, sb->levels - 1, 0, &node);
	CHECK_INT(backing_pwrite(scene->backing, &node, sizeof node,
				 slots_offset(scene->slots, sb->map_root.slot)),
		  0);
	map_free(scene->maps[0].map);
	scene->maps[0].map =
		map_new(scene->backing, scene->slots, &scene->seal, plain, sb, TRUE, NULL);
	CHECK_INT(map_lookup(scene->maps[0].map, 0, 1, &entry, FALSE, &epoch), -EBADMSG);
}

/* ---- readers */

typedef struct {
	Map *map;
	gint drained;
} Drain;

static gpointer drain_thread(gpointer data)
{
	Drain *drain = data;

	map_drain(drain->map);
	g_atomic_int_set(&drain->drained, TRUE);
	return NULL;
}

/* Begins a lookup that a drain does not wait for: in another epoch than `before`, which is there
 * once the drain has begun. */
static guint lookup_after_drain(Map *map, guint before)
{
	MapEntry entry;
	guint epoch = before;

	while (CHECK_INT(map_lookup(map, 7, 1, &entry, FALSE, &epoch), 0) && epoch == before) {
		map_lookup_end(map, epoch);
		g_usleep(1000);
	}
	return epoch;
}

/* `data`: a lookup in a cached leaf, under its shard's lock alone; NULL: a lookup that reads nodes.
 */
static void test_drain(const void *data)
{
	gboolean cached = data != NULL;
	g_autoptr(Scene) scene = scene_new(small, 1, 0);
	Drain drain = {0};
	MapEntry entry;
	GThread *thread;
	guint epoch, later = 0;

	CHECK_INT(scene_write(scene, 0, 7, 1), 0);
	if (!cached)
		scene_reopen(scene);
	drain.map = scene->maps[0].map;
	REQUIRE(!map_lookup(drain.map, 7, 1, &entry, FALSE, &epoch));
	thread = g_thread_new("drain", drain_thread, &drain);
	g_usleep(20000); /* a drain that does not wait would end in this time */
	CHECK(!g_atomic_int_get(&drain.drained));
	/* The drain does not wait for a reader that begins later, even in the same shard. */
	if (cached)
		later = lookup_after_drain(drain.map, epoch);
	map_lookup_end(drain.map, epoch);
	g_thread_join(thread);
	if (cached)
		map_lookup_end(drain.map, later);
}

/* ---- change */

static void test_many_leaves(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);
	MapInfo info;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 3, FORMAT_RECORD_BLOCKS_MAX), 0); /* 65 leaves */
	scene_compare(scene, 0);
	map_get_info(scene->maps[0].map, &info);
	CHECK_UINT(info.data_slots, FORMAT_RECORD_BLOCKS_MAX);
	CHECK_UINT(info.node_slots, 65 + 2 * (17 + 5 + 2 + 1));
	scene_reopen(scene);
	scene_compare(scene, 0);
	CHECK_INT(scene_write(scene, 0, 130, FORMAT_RECORD_BLOCKS_MAX), 0); /* half is clean */
	scene_compare(scene, 0);
	scene_freeze(scene);
	CHECK_INT(scene_write(scene, 0, 64, FORMAT_RECORD_BLOCKS_MAX), 0); /* half is frozen */
	scene_finish(scene);
	scene_compare(scene, 0);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

/* No reader sees a part of a change over many leaves. */
typedef struct {
	Scene *scene;
	gint stop;
} Writing;

static gpointer write_thread(gpointer data)
{
	Writing *writing = data;

	while (!g_atomic_int_get(&writing->stop))
		scene_write(writing->scene, 0, 2, 40);
	return NULL;
}

static void test_many_leaves_at_once(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);
	Writing writing = {scene, FALSE};
	GThread *thread;

	(void)data;
	CHECK_INT(scene_write(scene, 0, 2, 40), 0);
	thread = g_thread_new("write", write_thread, &writing);
	for (guint i = 0; i < 2000 && !test_failed(); i++) {
		MapEntry entries[40];
		guint epoch;

		CHECK_INT(map_lookup(scene->maps[0].map, 2, 40, entries, FALSE, &epoch), 0);
		map_lookup_end(scene->maps[0].map, epoch);
		for (guint j = 1; j < 40; j++)
			CHECK_UINT(entries[j].crc, entries[0].crc + j);
	}
	g_atomic_int_set(&writing.stop, TRUE);
	g_thread_join(thread);
}

static void test_change_undone(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);

	(void)data;
	CHECK_INT(scene_write(scene, 0, 0, 30), 0);
	CHECK_INT(map_change_begin(scene->maps[0].map, 20, 60, FALSE), 0);
	map_change_end(scene->maps[0].map); /* the caller applies nothing */
	scene_compare(scene, 0);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

/* Maps all blocks, fills the backing up, and makes nodes dirty until no slots are left for them but
 * those that are kept for zeroing. */
static void scene_fill_up(Scene *scene)
{
	int r = 0;

	for (guint at = 0; at < SCENE_BLOCKS; at += 128)
		CHECK_INT(scene_write(scene, 0, at, 128), 0);
	scene_checkpoint(scene);
	backing_faulty_fill_up(scene->backing, 0);
	backing_faulty_fail(scene->backing, FAULTY_WRITE | FAULTY_GROW, 0, ENOSPC, TRUE, FALSE);
	for (guint i = 0; i < 400 && !r; i++) {
		r = map_change_begin(scene->maps[0].map, i * 4 % SCENE_BLOCKS, 1, FALSE);
		if (!r)
			map_change_end(scene->maps[0].map);
	}
	CHECK_INT(r, -ENOSPC);
}

static void scene_give_space(Scene *scene)
{
	backing_faulty_fail(scene->backing, 0, 0, 0, FALSE, FALSE);
	backing_faulty_fill_up(scene->backing, G_MAXUINT64);
}

/* On a full backing changes are refused, but space can still be freed. */
static void test_full(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);

	(void)data;
	scene_fill_up(scene);
	CHECK_INT(scene_zero(scene, 0, 0, 100), 0);
	CHECK_INT(scene_zero(scene, 0, 501, 502), 0);
	scene_give_space(scene);
	scene_compare(scene, 0);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

/* Zeroing fails before the slots that are kept for it are used up. */
static void test_full_for_zeroing(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);
	int r = 0;

	(void)data;
	scene_fill_up(scene);
	scene_freeze(scene); /* so that every node takes a slot once more */
	for (guint64 block = 0; block < SCENE_BLOCKS && !r; block += 4)
		r = scene_zero(scene, 0, block, block + 1);
	CHECK_INT(r, -ENOSPC);
	scene_give_space(scene);
	scene_finish(scene);
	scene_compare(scene, 0);
	scene_reopen(scene);
	scene_compare(scene, 0);
}

/* ---- pressure */

static void test_pressure(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);
	Map *map = scene->maps[0].map;

	(void)data;
	map_set_limit(map, 256);
	CHECK(!map_wants_checkpoint(map));
	CHECK(!map_is_changed(map));
	CHECK_UINT(map_pressure(map), 0);
	CHECK_INT(scene_write(scene, 0, 0, 256), 0); /* 85 nodes: 3/8 of 256 are 96 */
	CHECK(!map_wants_checkpoint(map));
	CHECK_INT(scene_write(scene, 0, 256, 100), 0);
	CHECK(map_wants_checkpoint(map));
	CHECK(map_is_changed(map));
	CHECK_UINT(map_pressure(map), 0);
	CHECK_INT(scene_write(scene, 0, 256, 256), 0); /* 171 of 192 */
	CHECK(map_pressure(map) > 0 && map_pressure(map) < 100);
	CHECK(map_cost(map, BLOCK_SIZE) > 0);
	CHECK_INT(scene_write(scene, 0, 512, 256), 0);
	CHECK_UINT(map_pressure(map), 100);
	scene_freeze(scene);
	CHECK(!map_wants_checkpoint(map));
	CHECK_UINT(map_pressure(map), 100); /* frozen nodes count as well */
	scene_finish(scene);
	CHECK_UINT(map_pressure(map), 0);
	CHECK(!map_is_changed(map));
	scene_compare(scene, 0);
}

/* The least limit of a volume of more than 64 GiB is twice as high. */
static void test_wide(const void *data)
{
	g_autoptr(Scene) scene = scene_new(small, 1, 0);
	Map *map = scene->maps[0].map;

	(void)data;
	map_set_limit(map, 1);
	map->blocks = blocks_covering(64 * GIB) + 1;
	CHECK_INT(scene_write(scene, 0, 0, 256), 0);
	CHECK_INT(scene_write(scene, 0, 256, 256), 0); /* 171 nodes: 3/8 of 512 are 192 */
	CHECK(!map_wants_checkpoint(map));
	CHECK_UINT(map_pressure(map), 0);
	CHECK_INT(scene_write(scene, 0, 512, 128), 0);
	CHECK(map_wants_checkpoint(map));
	CHECK_UINT(map_pressure(map), 0);
	map->blocks = SCENE_BLOCKS;
	map_set_limit(map, 1);
	CHECK_UINT(map_pressure(map), 100); /* 213 of 192 */
	scene_checkpoint(scene);
	scene_compare(scene, 0);
}

int main(int argc, char **argv)
{
	test_add("a lookup finds what was written: 256 pointers a node", test_lookup, &plain);
	test_add("a lookup finds what was written: 4 pointers a node", test_lookup, &small);
	test_add("a lookup that must not wait reads no nodes", test_nowait, NULL);
	test_add("a damaged copy of a node is rewritten from the other", test_damaged_copy, NULL);
	test_add("a lost node is an error only for its blocks", test_damaged_node, NULL);
	test_add("a node that points outside is refused", test_insane_node, NULL);
	test_add("a drain waits for earlier readers: of cached leaves", test_drain, &plain);
	test_add("a drain waits for earlier readers: that read nodes", test_drain, NULL);
	test_add("a change covers many leaves", test_many_leaves, NULL);
	test_add("readers see a change over many leaves as a whole", test_many_leaves_at_once,
		 NULL);
	test_add("a change that is not applied changes nothing", test_change_undone, NULL);
	test_add("a full backing refuses changes, but not zeroing", test_full, NULL);
	test_add("zeroing fails before it runs out of slots for nodes", test_full_for_zeroing,
		 NULL);
	test_add("pressure rises with dirty nodes and falls with a checkpoint", test_pressure,
		 NULL);
	test_add("a wide volume has room for an inner node with each leaf", test_wide, NULL);
	return test_run(argc, argv);
}
