/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/map-scene.h"
#include "common/engine/bitmap-pages.h"

#define OFFSET MIB

static void scene_open_map(Scene *scene, guint m)
{
	SceneMap *at = &scene->maps[m];

	at->map = map_new(scene->backing, scene->slots, &scene->seal, scene->layout, &at->sb, FALSE,
			  NULL);
	map_set_generation(at->map, scene->generation);
	map_fill_reserve(at->map, &at->sb);
}

Scene *scene_new(NodeLayout layout, guint n_maps, guint64 limit)
{
	Scene *scene = g_new0(Scene, 1);

	scene->backing = backing_faulty_new(limit);
	scene->seal.seed = 5;
	scene->layout = layout;
	scene->generation = 1;
	scene->n_maps = n_maps;
	scene->slots = slots_new(scene->backing, OFFSET, &scene->seal, FALSE, NULL);
	for (guint m = 0; m < n_maps; m++) {
		scene->maps[m].sb = (Superblock){.size = blocks_to_bytes(SCENE_BLOCKS), .seed = 5};
		scene->maps[m].sb.levels = codec_levels(layout, scene->maps[m].sb.size);
		scene_open_map(scene, m);
	}
	return scene;
}

void scene_free(Scene *scene)
{
	for (guint m = 0; m < scene->n_maps; m++)
		map_free(scene->maps[m].map);
	slots_free(scene->slots);
	backing_free(scene->backing);
	g_free(scene);
}

static void model_write(SceneMap *at, guint64 first, const SlotRun *runs, guint n_runs,
			const guint32 *crcs)
{
	for (guint r = 0; r < n_runs; r++)
		for (guint32 i = 0; i < runs[r].count; i++, first++) {
			at->slots[first] = runs[r].slot + i;
			at->crcs[first] = *crcs++;
		}
}

int scene_write(Scene *scene, guint m, guint64 first, guint n)
{
	SceneMap *at = &scene->maps[m];
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX];
	guint n_runs;
	int r = slots_alloc(scene->slots, n, runs, &n_runs);

	if (r)
		return r;
	for (guint i = 0; i < n; i++)
		crcs[i] = ++scene->next_crc;
	r = map_change_begin(at->map, first, n, FALSE);
	if (r) {
		slots_give_back(scene->slots, runs, n_runs, FALSE);
		return r;
	}
	map_change_write(at->map, first, n, runs, crcs);
	map_change_end(at->map);
	model_write(at, first, runs, n_runs, crcs);
	return 0;
}

int scene_zero(Scene *scene, guint m, guint64 first, guint64 end)
{
	SceneMap *at = &scene->maps[m];
	MapZeroStep step;
	int r;

	while ((r = map_zero_begin(at->map, &first, end, &step)) == 1) {
		map_zero_apply(at->map, &step);
		map_change_end(at->map);
		for (guint64 i = step.first; i < step.first + step.n; i++)
			at->slots[i] = at->crcs[i] = 0;
	}
	return r;
}

void scene_compare(Scene *scene, guint m)
{
	SceneMap *at = &scene->maps[m];
	MapEntry entries[FORMAT_RECORD_BLOCKS_MAX];
	guint epoch;

	for (guint i = 0; i < SCENE_BLOCKS; i += 64) {
		if (!CHECK_INT(map_lookup(at->map, i, 64, entries, FALSE, &epoch), 0))
			return;
		map_lookup_end(at->map, epoch);
		for (guint j = 0; j < 64; j++) {
			test_row("map %u, block %u", m, i + j);
			CHECK_UINT(entries[j].slot, at->slots[i + j]);
			if (at->slots[i + j])
				CHECK_UINT(entries[j].crc, at->crcs[i + j]);
		}
	}
	test_row(NULL);
}

/* ---- checkpoints */

static void cut_nothing(gpointer data)
{
	(*(guint *)data)++;
}

static void all_maps(const Scene *scene, Map *maps[2])
{
	for (guint m = 0; m < scene->n_maps; m++)
		maps[m] = scene->maps[m].map;
}

void scene_freeze(Scene *scene)
{
	Map *maps[2];
	guint cuts = 0;

	all_maps(scene, maps);
	map_freeze(maps, scene->n_maps, scene->generation + 1, cut_nothing, &cuts);
	CHECK_UINT(cuts, 1);
}

/* The number of slots that a checkpoint's bitmap pages mark as in use. */
static guint64 slots_on_disk(Scene *scene)
{
	BitmapPlace place = {scene->backing, OFFSET, &scene->seal};
	BitmapChoice *choice = g_new0(BitmapChoice, 1);
	guint64 used = 0;

	for (guint64 group = 0; group < slots_frozen_groups(scene->slots); group++) {
		CHECK_INT(bitmap_choose(&place, group, scene->generation, TRUE, choice), 0);
		for (guint i = 0; i < sizeof choice->page.bits; i++)
			used += (guint)__builtin_popcount(choice->page.bits[i]);
	}
	g_free(choice);
	return used;
}

void scene_finish(Scene *scene)
{
	Map *maps[2];
	guint64 referred = 0;

	all_maps(scene, maps);
	for (guint m = 0; m < scene->n_maps; m++)
		CHECK_INT(map_write_frozen(maps[m]), 0);
	CHECK_INT(slots_write_bitmaps(scene->slots, scene->generation), 0);
	for (guint m = 0; m < scene->n_maps; m++) {
		Superblock *sb = &scene->maps[m].sb;

		map_frozen_state(maps[m], sb);
		map_drain(maps[m]);
		referred += sb->data_slots + sb->node_slots;
	}
	map_thaw(maps, scene->n_maps);
	CHECK_UINT(slots_on_disk(scene), referred);
	scene->generation++;
}

void scene_checkpoint(Scene *scene)
{
	scene_freeze(scene);
	scene_finish(scene);
}

void scene_reopen(Scene *scene)
{
	scene_checkpoint(scene);
	for (guint m = 0; m < scene->n_maps; m++) {
		map_free(scene->maps[m].map);
		scene_open_map(scene, m);
	}
}

void scene_reclaim(Scene *scene, guint m)
{
	guint steps = 0;
	int r;

	while ((r = map_reclaim(scene->maps[m].map)) == 1 && steps < 100000)
		steps++;
	CHECK_INT(r, 0);
}

/* The operations of the backing, and the same with the scene's read. */
static const BackingOps *plain_ops;
static BackingOps scene_ops;
static Scene *scene_of_read;

static int scene_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			BackingFlags flags)
{
	void (*action)(Scene * scene) = scene_of_read->on_read;

	backing->ops = plain_ops;
	scene_of_read->on_read = NULL;
	action(scene_of_read);
	return backing->ops->preadv(backing, iov, count, offset, flags);
}

void scene_on_read(Scene *scene, void (*action)(Scene *scene))
{
	plain_ops = scene->backing->ops;
	scene_ops = *plain_ops;
	scene_ops.preadv = scene_preadv;
	scene_of_read = scene;
	scene->on_read = action;
	scene->backing->ops = &scene_ops;
}

void scene_damage(Scene *scene, guint m, guint level, guint copy)
{
	const Superblock *sb = &scene->maps[m].sb;
	MapEntry entry = sb->map_root;

	for (guint l = sb->levels - 1; l > level; l--) {
		FormatNode node;

		CHECK_INT(backing_pread(scene->backing, &node, sizeof node,
					slots_offset(scene->slots, entry.slot)),
			  0);
		entry = entry_at(scene->layout, &node, 0);
	}
	backing_faulty_flip(
		scene->backing,
		slots_offset(scene->slots, entry.slot + copy * FORMAT_COPY_DISTANCE) + 100, 3);
}
