/* SPDX-License-Identifier: Apache-2.0 */
/*
 * map_diff(): what it visits turns the older content into the newer one, and is no more than what
 * changed.  A snapshot is a copy of the backing here, taken between two checkpoints.
 */
#include "common/base/units.h"
#include "common/engine/map-diff.h"
#include "common/engine/volume-private.h"
#include "tests/backing/memory.h"
#include "tests/engine/support.h"

#include <errno.h>

#define BLOCKS_MAX 200000u /* of the volume that grows: three levels */

/* ---- copies of a volume */

typedef struct {
	Backing *backing;
	Volume *volume;
	guint64 generation, blocks;
	guint8 *content; /* of each block: the value of all its bytes */
} Copy;

static guint64 reads; /* of any copy */
static const BackingOps *memory_ops;

static int preadv_count(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			BackingFlags flags)
{
	reads++;
	return memory_ops->preadv(backing, iov, count, offset, flags);
}

static Backing *backing_copy(Backing *from)
{
	static BackingOps ops;
	Backing *to = backing_memory_new(0);
	guint64 size = backing_size(from);
	g_autofree guint8 *piece = g_malloc(64 * KIB);

	memory_ops = to->ops;
	ops = *to->ops;
	ops.preadv = preadv_count;
	to->ops = &ops;
	CHECK_INT(backing_grow(to, size), 0);
	for (guint64 at = 0; at < size; at += 64 * KIB) {
		CHECK_INT(backing_pread(from, piece, 64 * KIB, at), 0);
		if (piece[0] || memcmp(piece, piece + 1, 64 * KIB - 1))
			CHECK_INT(backing_pwrite(to, piece, 64 * KIB, at), 0);
	}
	return to;
}

static Copy *copy_new(Place *place, Volume *volume, const guint8 *content)
{
	Copy *copy = g_new0(Copy, 1);
	VolumeInfo info;

	CHECK_INT(volume_checkpoint(volume), 0);
	volume_get_info(volume, &info);
	copy->generation = info.generation;
	copy->blocks = blocks_covering(info.size);
	copy->content = g_malloc0(BLOCKS_MAX);
	memcpy(copy->content, content, copy->blocks);
	copy->backing = backing_copy(place->memory);
	copy->volume =
		volume_open(backing_borrow(copy->backing), "copy", VOLUME_OPEN_READ_ONLY, NULL);
	CHECK(copy->volume != NULL);
	return copy;
}

static void copy_free(Copy *copy)
{
	volume_close(copy->volume, NULL);
	backing_free(copy->backing);
	g_free(copy->content);
	g_free(copy);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Copy, copy_free)

/* ---- one diff, applied */

typedef struct {
	const Copy *to;
	guint8 *content; /* of the older copy, and then of the newer one */
	guint64 next, data, zeros;
	guint8 *seen; /* blocks that were visited; or NULL */
} Applied;

static int apply(gpointer data, const MapDiffRun *run)
{
	Applied *applied = data;
	const Engine *engine = &applied->to->volume->engine;
	guint8 block[BLOCK_SIZE];

	CHECK(run->n && run->first >= applied->next && run->first + run->n <= applied->to->blocks);
	applied->next = run->first + run->n;
	*(run->entries ? &applied->data : &applied->zeros) += run->n;
	for (guint64 i = 0; i < run->n; i++) {
		memset(block, 0, sizeof block);
		if (run->entries) {
			CHECK_INT(backing_pread(engine->backing, block, sizeof block,
						slots_offset(engine->slots, run->entries[i].slot)),
				  0);
			CHECK(seal_block_fits(&engine->seal, run->first + i, block,
					      run->entries[i].crc));
		}
		applied->content[run->first + i] = block[0];
		if (applied->seen)
			applied->seen[run->first + i] = 1;
	}
	return 0;
}

/* Applies what is visited to the content of `from`, from `first` on, and checks that the result is
 * the content of `to`. */
static Applied diff_check(const Copy *from, const Copy *to, gboolean with_map, guint64 since,
			  guint64 first)
{
	g_autofree guint8 *content = g_malloc0(BLOCKS_MAX);
	Applied applied = {.to = to, .content = content};
	guint64 block = 0;

	if (from)
		memcpy(content, from->content, from->blocks);
	memcpy(content, to->content, first);
	CHECK_INT(map_diff(to->volume->engine.map, with_map ? from->volume->engine.map : NULL,
			   since, first, apply, &applied, &block),
		  0);
	CHECK_MEM(content, to->content, to->blocks);
	applied.content = NULL;
	return applied;
}

/* ---- random changes */

typedef struct {
	Place *place;
	Volume *volume;
	guint64 blocks;
	guint8 *content;
	guint8 value;
} Scene;

static void scene_write(Scene *scene, guint64 first, guint64 n)
{
	guint8 value = (guint8)(scene->value++ % 255 + 1);

	n = MIN(n, scene->blocks - first);
	memset(scene->content + first, value, n);
	CHECK_INT(volume_put_value(scene->volume, value, n * BLOCK_SIZE, blocks_to_bytes(first)),
		  0);
}

static void scene_zero(Scene *scene, guint64 first, guint64 n)
{
	n = MIN(n, scene->blocks - first);
	memset(scene->content + first, 0, n);
	CHECK_INT(volume_discard(scene->volume, blocks_to_bytes(first), n * BLOCK_SIZE), 0);
}

static void scene_resize(Scene *scene, guint64 blocks)
{
	GError *error = NULL;

	CHECK(volume_resize(scene->volume, blocks_to_bytes(blocks),
			    VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD, 60, &error));
	CHECK_NO_ERROR(error);
	if (blocks < scene->blocks)
		memset(scene->content + blocks, 0, scene->blocks - blocks);
	scene->blocks = blocks;
}

static void scene_change(Scene *scene, TestRandom *random)
{
	static const guint64 sizes[] = {300, 65536, 66000, BLOCKS_MAX};
	guint64 first = test_random_below(random, scene->blocks);

	switch (test_random_below(random, 8)) {
	case 0:
	case 1:
	case 2:
	case 3:
		scene_write(scene, first, 1 + test_random_below(random, 20));
		break;
	case 4:
		scene_write(scene, first, 300);
		break;
	case 5:
		scene_zero(scene, first, 1 + test_random_below(random, 600));
		break;
	case 6: /* whole subtrees */
		scene_zero(scene, first & ~(guint64)255,
			   test_random_below(random, 2) ? 65536 : 512);
		break;
	case 7:
		if (!test_random_below(random, 8))
			scene_resize(scene, sizes[test_random_below(random, 4)]);
		else
			CHECK_INT(volume_checkpoint(scene->volume), 0);
		break;
	}
}

static Scene scene_new(guint64 blocks)
{
	Scene scene = {.blocks = blocks, .content = g_malloc0(BLOCKS_MAX)};

	scene.volume = place_new_volume(&scene.place, blocks_to_bytes(blocks));
	return scene;
}

static void scene_clear(Scene *scene)
{
	close_volume(scene->volume);
	place_free(scene->place);
	g_free(scene->content);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scene, scene_clear)

#define COPIES 4

static void pairs_check(Copy **copies, guint n, TestRandom *random)
{
	Copy *to = copies[n - 1];

	test_row("everything");
	diff_check(NULL, to, FALSE, 0, 0);
	diff_check(NULL, to, FALSE, 0, test_random_below(random, to->blocks));
	for (guint i = 0; i + 1 < n; i++) {
		Copy *from = copies[i];
		guint64 first = test_random_below(random, to->blocks);

		test_row("from %u to %u", i, n - 1);
		Applied exact = diff_check(from, to, TRUE, from->generation, 0);
		Applied bookmark = diff_check(from, to, FALSE, from->generation, 0);
		Applied compared = diff_check(from, to, TRUE, 0, 0);
		CHECK_UINT(exact.data, bookmark.data);
		CHECK_UINT(exact.data, compared.data);
		CHECK_UINT(exact.zeros, compared.zeros);
		CHECK(exact.zeros <= bookmark.zeros);
		diff_check(from, to, TRUE, from->generation, first);
		diff_check(from, to, FALSE, from->generation, first);

		test_row("back from %u to %u", n - 1, i);
		diff_check(to, from, TRUE, 0, 0);
	}
}

static void test_random_changes(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	guint rounds = test_is_instrumented() ? 4 : 20;

	(void)data;
	for (guint round = 0; round < rounds && !test_failed(); round++) {
		g_auto(Scene) scene = scene_new(round % 2 ? 66000 : 1000);
		Copy *copies[COPIES];

		for (guint i = 0; i < COPIES; i++) {
			for (guint n = (guint)test_random_below(&random, 40); n; n--)
				scene_change(&scene, &random);
			copies[i] = copy_new(scene.place, scene.volume, scene.content);
			pairs_check(copies, i + 1, &random);
		}
		for (guint i = 0; i < COPIES; i++)
			copy_free(copies[i]);
	}
}

/* ---- chosen cases */

/* Exactly what changed is visited. */
static void test_exact(const void *data)
{
	g_auto(Scene) scene = scene_new(66000);

	(void)data;
	scene_write(&scene, 0, 2000);
	g_autoptr(Copy) from = copy_new(scene.place, scene.volume, scene.content);
	scene_write(&scene, 10, 1);
	scene_write(&scene, 255, 2);
	scene_zero(&scene, 700, 3);
	scene_zero(&scene, 3000, 3);  /* holes already */
	scene_write(&scene, 4000, 1); /* and holes again */
	scene_zero(&scene, 4000, 1);
	g_autoptr(Copy) to = copy_new(scene.place, scene.volume, scene.content);
	Applied exact = diff_check(from, to, TRUE, from->generation, 0);
	CHECK_UINT(exact.data, 3);
	CHECK_UINT(exact.zeros, 3);
	Applied all = diff_check(NULL, to, FALSE, 0, 0);
	CHECK_UINT(all.data, 1997);
	CHECK_UINT(all.zeros, 0);
	Applied none = diff_check(from, from, TRUE, from->generation, 0);
	CHECK_UINT(none.data + none.zeros, 0);
	none = diff_check(from, from, TRUE, 0, 0);
	CHECK_UINT(none.data + none.zeros, 0);
}

/* Nodes that did not change are not read: of 250 leaves, the five that did, the two above them, and
 * of the older map, the one whose new leaf has holes. */
static void test_cost(const void *data)
{
	g_auto(Scene) scene = scene_new(64000);

	(void)data;
	scene_write(&scene, 0, 64000);
	g_autoptr(Copy) from = copy_new(scene.place, scene.volume, scene.content);
	for (guint64 i = 0; i < 5; i++)
		scene_write(&scene, i * 10000, 1);
	scene_zero(&scene, 10001, 1);
	g_autoptr(Copy) to = copy_new(scene.place, scene.volume, scene.content);
	guint64 before = reads;
	Applied exact = diff_check(from, to, TRUE, from->generation, 0);
	CHECK_UINT(exact.data, 5);
	CHECK_UINT(exact.zeros, 1);
	CHECK_UINT(reads - before, 5 /* the test's blocks */ + 5 + 1 + 2);
	before = reads;
	diff_check(from, to, FALSE, from->generation, 0);
	CHECK_UINT(reads - before, 5 + 5 + 1);
}

static int stop(gpointer data, const MapDiffRun *run)
{
	(*(guint *)data)++;
	return run->first ? 77 : 0;
}

static void test_stop(const void *data)
{
	g_auto(Scene) scene = scene_new(1000);
	guint64 block = 0;
	guint visits = 0;

	(void)data;
	for (guint64 i = 0; i < 3; i++)
		scene_write(&scene, i * 300, 1);
	g_autoptr(Copy) to = copy_new(scene.place, scene.volume, scene.content);
	CHECK_INT(map_diff(to->volume->engine.map, NULL, 0, 0, stop, &visits, &block), 77);
	CHECK_UINT(visits, 2);
}

/* A leaf that is damaged ends the walk with an error that says where. */
static void test_damage(const void *data)
{
	g_auto(Scene) scene = scene_new(1000);
	g_autofree guint8 *content = g_malloc0(BLOCKS_MAX);
	Applied applied = {.content = content};
	guint8 wrong = 0xee;
	guint64 block = 0;
	MapEntry entry;
	guint epoch;

	(void)data;
	scene_write(&scene, 0, 1000);
	g_autoptr(Copy) to = copy_new(scene.place, scene.volume, scene.content);
	applied.to = to;
	/* The leaf over block 512: the test finds it by its checksum in the backing. */
	FormatNode node;
	const Engine *engine = &to->volume->engine;
	for (guint64 slot = FORMAT_FIRST_INDEX; slot < 4000; slot++) {
		guint64 offset = slots_offset(engine->slots, slot);

		REQUIRE(!map_lookup(engine->map, 512, 1, &entry, FALSE, &epoch));
		map_lookup_end(engine->map, epoch);
		CHECK_INT(backing_pread(to->backing, &node, sizeof node, offset), 0);
		MapEntry first = entry_at(NODE_LAYOUT_PLAIN, &node, 0);
		if (first.slot == entry.slot && first.crc == entry.crc)
			CHECK_INT(backing_pwrite(to->backing, &wrong, 1, offset + 4000), 0);
	}
	CHECK_INT(map_diff(engine->map, NULL, 0, 0, apply, &applied, &block), -EBADMSG);
	CHECK_UINT(block, 512);
	CHECK_UINT(applied.data, 512);
}

int main(int argc, char **argv)
{
	test_add("after random changes, what is visited is the difference", test_random_changes,
		 NULL);
	test_add("no block is visited that is as it was", test_exact, NULL);
	test_add("no node is read that is as it was", test_cost, NULL);
	test_add("a visit can end the walk", test_stop, NULL);
	test_add("a damaged node is an error", test_damage, NULL);
	return test_run(argc, argv);
}
