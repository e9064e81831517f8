/* SPDX-License-Identifier: Apache-2.0 */
/*
 * volume_gather(): every block once, verified, wherever it lies, and few reads of the backing.
 */
#include "common/base/units.h"
#include "common/engine/map-diff.h"
#include "common/engine/volume-gather.h"
#include "tests/engine/support.h"

#include <errno.h>

#define BLOCKS 6000u
#define SIZE (BLOCKS * (guint64)BLOCK_SIZE)

/* ---- a backing that counts reads, and cannot read one slot */

static const BackingOps *real_ops;
static gint reads;
static guint64 unreadable; /* offset; 0: none */

static int preadv_count(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			BackingFlags flags)
{
	g_atomic_int_inc(&reads);
	if (unreadable && unreadable >= offset && unreadable < offset + iov_length(iov, count))
		return -EIO;
	return real_ops->preadv(backing, iov, count, offset, flags);
}

/* ---- a volume whose blocks were written in a random order, some of them twice */

typedef struct {
	Place *place;
	Volume *volume;
	guint8 content[BLOCKS]; /* of each block: the value of its bytes */
	GArray *blocks;		/* of VolumeGatherBlock: all that are mapped */
} Scene;

static int collect(gpointer data, const MapDiffRun *run)
{
	for (guint64 i = 0; i < run->n; i++) {
		const VolumeGatherBlock block = {run->first + i, run->entries[i]};

		g_array_append_val((GArray *)data, block);
	}
	return 0;
}

static Scene *scene_new(guint spread, guint writes)
{
	static BackingOps ops;
	TestRandom random = test_random_new(test_seed());
	Scene *scene = g_new0(Scene, 1);
	Backing *backing;
	guint64 block = 0;

	scene->volume = place_new_volume(&scene->place, SIZE);
	for (guint i = 0; i < writes; i++) {
		guint64 at = test_random_below(&random, BLOCKS / spread) * spread;

		scene->content[at] = (guint8)(1 + i % 255);
		volume_put_value(scene->volume, scene->content[at], BLOCK_SIZE,
				 blocks_to_bytes(at));
	}
	close_volume(scene->volume);
	scene->volume =
		volume_open(place_backing(scene->place), "frozen", VOLUME_OPEN_READ_ONLY, NULL);
	scene->blocks = g_array_new(FALSE, FALSE, sizeof(VolumeGatherBlock));
	CHECK_INT(map_diff(scene->volume->engine.map, NULL, 0, 0, collect, scene->blocks, &block),
		  0);
	backing = scene->volume->engine.backing;
	real_ops = backing->ops;
	ops = *backing->ops;
	ops.preadv = preadv_count;
	backing->ops = &ops;
	reads = 0;
	unreadable = 0;
	return scene;
}

static void scene_free(Scene *scene)
{
	scene->volume->engine.backing->ops = real_ops;
	close_volume(scene->volume);
	place_free(scene->place);
	g_array_unref(scene->blocks);
	g_free(scene);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scene, scene_free)

static guint64 offset_of(const Scene *scene, guint i)
{
	return slots_offset(scene->volume->engine.slots,
			    g_array_index(scene->blocks, VolumeGatherBlock, i).entry.slot);
}

typedef struct {
	const Scene *scene;
	guint8 seen[BLOCKS];
	guint visits, runs, stop_after; /* 0: never */
} Visitor;

static int visit(gpointer data, const VolumeGatherRun *runs, guint n)
{
	Visitor *visitor = data;
	guint blocks = 0;

	for (guint i = 0; i < n; i++) {
		for (guint64 j = 0; j < runs[i].n; j++) {
			const guint8 *bytes = runs[i].bytes + j * BLOCK_SIZE;
			guint8 value = visitor->scene->content[runs[i].first + j];

			visitor->seen[runs[i].first + j]++;
			CHECK(bytes[0] == value && !memcmp(bytes, bytes + 1, BLOCK_SIZE - 1));
			blocks++;
		}
	}
	CHECK(blocks && blocks <= VOLUME_GATHER_BLOCKS);
	visitor->runs += n;
	return ++visitor->visits == visitor->stop_after ? 77 : 0;
}

static int scene_gather(Scene *scene, Visitor *visitor, guint64 *ret_block)
{
	visitor->scene = scene;
	return volume_gather(scene->volume, (VolumeGatherBlock *)(gpointer)scene->blocks->data,
			     scene->blocks->len, visit, visitor, ret_block);
}

static void check_seen(const Scene *scene, const Visitor *visitor)
{
	for (guint i = 0; i < BLOCKS; i++)
		CHECK_UINT(visitor->seen[i], scene->content[i] != 0);
}

/* ---- */

static void test_all(const void *data)
{
	(void)data;
	for (guint spread = 1; spread < 60; spread += 19) {
		g_autoptr(Scene) scene = scene_new(spread, 3000);
		Visitor visitor = {.visits = 0};
		guint64 block;

		test_row("every block that is a multiple of %u", spread);
		CHECK_INT(scene_gather(scene, &visitor, &block), 0);
		check_seen(scene, &visitor);
	}
}

/* What was written at random, of which parts were replaced, is read with few long reads. */
static void test_long_reads(const void *data)
{
	g_autoptr(Scene) scene = scene_new(1, 5000);
	Visitor visitor = {.visits = 0};
	guint64 block;

	(void)data;
	CHECK_INT(scene_gather(scene, &visitor, &block), 0);
	check_seen(scene, &visitor);
	CHECK_UINT((guint)reads, visitor.visits);
	CHECK((guint)reads <= scene->blocks->len / 100);
}

static void test_nothing(const void *data)
{
	g_autoptr(Scene) scene = scene_new(1, 0);
	Visitor visitor = {.visits = 0};
	guint64 block;

	(void)data;
	CHECK_INT(scene_gather(scene, &visitor, &block), 0);
	CHECK_UINT(visitor.visits, 0);
}

static void test_stop(const void *data)
{
	(void)data;
	for (guint after = 1; after < 12; after += 5) {
		g_autoptr(Scene) scene = scene_new(1, 6000);
		Visitor visitor = {.stop_after = after};
		guint64 block;

		CHECK_INT(scene_gather(scene, &visitor, &block), 77);
		CHECK_UINT(visitor.visits, after);
	}
}

/* Damage that one read alone has is not damage; a damaged block is named. */
static void test_damage(const void *data)
{
	g_autoptr(Scene) scene = scene_new(1, 3000);
	Visitor visitor = {.visits = 0};
	guint64 block = 0, wanted;
	guint8 wrong = 0;
	VolumeInfo info;

	(void)data;
	wanted = g_array_index(scene->blocks, VolumeGatherBlock, 1000).block;
	CHECK_INT(backing_pwrite(scene->volume->engine.backing, &wrong, 1,
				 offset_of(scene, 1000) + 77),
		  0);
	CHECK_INT(scene_gather(scene, &visitor, &block), -EBADMSG);
	CHECK_UINT(block, wanted);
	CHECK_UINT(visitor.seen[wanted], 0);
	volume_get_info(scene->volume, &info);
	CHECK_UINT(info.checksum_errors, 1);
}

static void test_unreadable(const void *data)
{
	g_autoptr(Scene) scene = scene_new(1, 3000);
	Visitor visitor = {.visits = 0};
	guint64 block = 0, wanted = g_array_index(scene->blocks, VolumeGatherBlock, 500).block;

	(void)data;
	unreadable = offset_of(scene, 500);
	CHECK_INT(scene_gather(scene, &visitor, &block), -EIO);
	CHECK_UINT(block, wanted);
}

/* A slot that is read over may be unreadable. */
static void test_unreadable_gap(const void *data)
{
	g_autoptr(Scene) scene = scene_new(1, 3000);
	Visitor visitor = {.visits = 0};
	guint64 block = 0;

	(void)data;
	unreadable = offset_of(scene, 500);
	scene->content[g_array_index(scene->blocks, VolumeGatherBlock, 500).block] = 0;
	g_array_remove_index(scene->blocks, 500);
	CHECK_INT(scene_gather(scene, &visitor, &block), 0);
	check_seen(scene, &visitor);
}

int main(int argc, char **argv)
{
	test_add("every block is visited once", test_all, NULL);
	test_add("reads are long", test_long_reads, NULL);
	test_add("nothing", test_nothing, NULL);
	test_add("a visit can end the call", test_stop, NULL);
	test_add("a damaged block is an error that names it", test_damage, NULL);
	test_add("an unreadable block is an error that names it", test_unreadable, NULL);
	test_add("a gap that cannot be read does no harm", test_unreadable_gap, NULL);
	return test_run(argc, argv);
}
