/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/clone-world.h"

#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/map-diff.h"
#include "common/engine/volume-private.h"

Volume *world_open_snapshot(World *world, const char *name, GError **error)
{
	VolumeSnapshotOpening opening = {
		.name = name, .open_base = world_open_base, .base_data = world->below};

	return volume_open_snapshot_linked(place_backing(world->place), "snapshot", &opening,
					   error);
}

Volume *world_open_base(const BaseIdentity *base, gpointer below, GError **error)
{
	World *world = below;
	VolumeSnapshotOpening opening = {
		.uuid = base->snapshot, .open_base = world_open_base, .base_data = world->below};

	return volume_open_snapshot_linked(place_backing(world->place), "base", &opening, error);
}

gboolean world_open(World *world)
{
	g_autoptr(GError) error = NULL;

	world->volume = volume_open_linked(place_backing(world->place), "clone", 0, world_open_base,
					   world->below, &error);
	if (!CHECK_NO_ERROR(error))
		return FALSE;
	/* What is discarded is then still dying when a snapshot is taken, and void afterwards. */
	checkpointer_hold(world->volume->checkpointer, test_random_below(world->random, 2) == 0);
	return CHECK_UINT(volume_size(world->volume), world->size);
}

gboolean world_close(World *world, gboolean crash)
{
	Volume *volume = world->volume;

	world->volume = NULL;
	if (!crash)
		close_volume(volume);
	else
		volume_abandon(volume);
	return !test_failed() && place_check(world->place);
}

static gboolean world_format(World *world)
{
	VolumeParameters parameters = {.size = world->size, .journal_size = MIB};
	g_autoptr(Backing) backing = place_backing(world->place);
	g_autoptr(GError) error = NULL;
	Volume *base = world->below ? world_open_snapshot(world->below, "base", &error) : NULL;
	BaseIdentity identity;

	if (base)
		volume_as_base(base, "pool/origin@base", &identity);
	if (!error)
		volume_format_linked(backing, &parameters, base ? &identity : NULL, &error);
	volume_close(base, NULL);
	return CHECK_NO_ERROR(error);
}

World *world_new(World *below, guint64 size, TestRandom *random)
{
	World *world = g_new0(World, 1);

	world->below = below;
	world->place = place_new_memory();
	world->size = size;
	world->blocks = g_malloc0(WORLD_BLOCKS);
	world->random = random;
	world->linked = below != NULL;
	if (below) {
		memcpy(world->blocks, below->snapshots[0].blocks, WORLD_BLOCKS);
		world->size = below->snapshots[0].size;
	}
	if (world_format(world) && world_open(world))
		return world;
	world_free(world);
	return NULL;
}

void world_free(World *world)
{
	if (!world)
		return;
	volume_close(world->volume, NULL);
	place_free(world->place);
	for (guint i = 0; i < world->n_snapshots; i++)
		g_free(world->snapshots[i].blocks);
	g_free(world->blocks);
	g_free(world);
}

/* ---- operations */

static guint64 count_blocks(const World *world)
{
	return blocks_covering(world->size);
}

/* A range of blocks: small, or of whole nodes, or anything. */
static guint64 range_choose(World *world, guint64 most, guint64 *ret_n)
{
	guint64 blocks = count_blocks(world), n = 1 + test_random_below(world->random, most);
	guint64 first = test_random_below(world->random, blocks);

	if (most > 1000 && test_random_below(world->random, 2)) {
		guint64 unit = test_random_below(world->random, 3) ? 256 : 65536;

		first = first / unit * unit;
		n = unit * (1 + test_random_below(world->random, 3));
	}
	*ret_n = MIN(n, blocks - first);
	return first;
}

/* In bytes: of the last block only what is in the volume. */
static guint64 range_length(const World *world, guint64 first, guint64 n)
{
	guint64 length = blocks_to_bytes(n), behind = world->size - blocks_to_bytes(first);

	return MIN(length, behind);
}

void world_write(World *world)
{
	guint64 n, first = range_choose(world, 40, &n);

	world_write_range(world, first, n);
}

void world_write_range(World *world, guint64 first, guint64 n)
{
	guint64 length = range_length(world, first, n);
	guint8 value = (guint8)(1 + test_random_below(world->random, 255));

	CHECK_INT(volume_put_value(world->volume, value, length, blocks_to_bytes(first)), 0);
	memset(world->blocks + first, value, n);
}

void world_discard(World *world)
{
	guint64 n, first = range_choose(world, count_blocks(world), &n);

	world_discard_range(world, first, n);
}

void world_discard_range(World *world, guint64 first, guint64 n)
{
	guint64 length = range_length(world, first, n);

	CHECK_INT(volume_discard(world->volume, blocks_to_bytes(first), length), 0);
	memset(world->blocks + first, 0, n);
}

void world_resize(World *world)
{
	guint64 blocks = 256 + test_random_below(world->random, WORLD_BLOCKS - 256);

	world_resize_to(world, test_random_below(world->random, 3) ? blocks : WORLD_BLOCKS);
}

void world_resize_to(World *world, guint64 blocks)
{
	g_autoptr(GError) error = NULL;

	volume_resize(world->volume, blocks_to_bytes(blocks),
		      VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD, 60, &error);
	CHECK_NO_ERROR(error);
	memset(world->blocks + blocks, 0, WORLD_BLOCKS - blocks);
	world->size = blocks_to_bytes(blocks);
}

static gboolean snapshot_make(World *world, const char *name)
{
	WorldSnapshot *snapshot = &world->snapshots[world->n_snapshots];
	VolumeSnapshotParameters parameters = {.name = name};
	g_autoptr(GError) error = NULL;
	guint64 generation;

	if (volume_snapshot_begin(world->volume, &parameters, &generation, &error))
		volume_snapshot_wait(world->volume, generation, 60, &error);
	if (!CHECK_NO_ERROR(error))
		return FALSE;
	g_strlcpy(snapshot->name, name, sizeof snapshot->name);
	snapshot->blocks = g_malloc(WORLD_BLOCKS);
	memcpy(snapshot->blocks, world->blocks, WORLD_BLOCKS);
	snapshot->size = world->size;
	world->n_snapshots++;
	return TRUE;
}

gboolean world_make_base(World *world)
{
	return snapshot_make(world, "base");
}

void world_snapshot(World *world)
{
	g_autofree char *name = g_strdup_printf("s%u", world->named++);

	if (world->n_snapshots < WORLD_SNAPSHOTS)
		snapshot_make(world, name);
}

void world_delete(World *world)
{
	guint i = world->n_snapshots - 1;
	g_autoptr(GError) error = NULL;

	if (!world->n_snapshots || !strcmp(world->snapshots[i].name, "base"))
		return;
	volume_snapshot_delete(
		world->volume, world->snapshots[i].name,
		test_random_below(world->random, 2) ? VOLUME_SNAPSHOT_DELETE_BOOKMARK : 0, &error);
	CHECK_NO_ERROR(error);
	g_free(world->snapshots[i].blocks);
	world->n_snapshots--;
}

void world_rollback(World *world)
{
	const WorldSnapshot *to;
	g_autoptr(GError) error = NULL;

	if (!world->n_snapshots)
		return;
	to = &world->snapshots[test_random_below(world->random, world->n_snapshots)];
	volume_rollback(world->volume, to->name, VOLUME_ROLLBACK_DISCARD | VOLUME_ROLLBACK_SIZE_TOO,
			NULL, &error);
	CHECK_NO_ERROR(error);
	memcpy(world->blocks, to->blocks, WORLD_BLOCKS);
	world->size = to->size;
}

void world_flatten(World *world, guint64 bytes)
{
	VolumeFlattening flattening;
	g_autoptr(GError) error = NULL;

	if (!world->linked)
		return;
	while (world->n_snapshots)
		world_delete(world);
	CHECK(volume_settled(world->volume, volume_settle(world->volume), 60));
	volume_flatten(world->volume, bytes, &flattening, &error);
	if (CHECK_NO_ERROR(error) && flattening.done)
		world->linked = FALSE;
}

/* ---- verifying */

static gboolean blocks_verify(Volume *volume, const guint8 *blocks, guint64 first, guint64 n)
{
	guint8 data[BLOCK_SIZE], want[BLOCK_SIZE];

	for (guint64 i = first; i < first + n; i++) {
		int r = volume_get(volume, data, BLOCK_SIZE, blocks_to_bytes(i));

		memset(want, blocks[i], sizeof want);
		if (r || memcmp(data, want, sizeof want)) {
			FAIL("block %" G_GUINT64_FORMAT ": %d, has %u, should have %u", i, r,
			     data[0], blocks[i]);
			return FALSE;
		}
	}
	return TRUE;
}

static gboolean volume_verify(Volume *volume, const guint8 *blocks, guint64 size)
{
	guint64 end = blocks_covering(size), at = 0;

	if (!CHECK_UINT(volume_size(volume), size))
		return FALSE;
	while (at < end) {
		gboolean mapped;
		guint64 length, n;

		if (!CHECK_INT(volume_extent(volume, blocks_to_bytes(at), &mapped, &length), 0) ||
		    !CHECK(length > 0))
			return FALSE;
		n = blocks_covering(length);
		if (mapped && !blocks_verify(volume, blocks, at, n))
			return FALSE;
		for (guint64 i = at; i < at + n; i++)
			if (mapped != (blocks[i] != 0))
				return FAIL("block %" G_GUINT64_FORMAT " is %s, should have %u", i,
					    mapped ? "mapped" : "a hole", blocks[i]);
		/* What is a hole must read as one, too. */
		if (!mapped && (!blocks_verify(volume, blocks, at, 1) ||
				!blocks_verify(volume, blocks, at + n - 1, 1)))
			return FALSE;
		at += n;
	}
	return TRUE;
}

gboolean world_verify(World *world)
{
	gboolean good = volume_verify(world->volume, world->blocks, world->size);

	for (guint i = 0; i < world->n_snapshots && good; i++) {
		const WorldSnapshot *snapshot = &world->snapshots[i];
		g_autoptr(GError) error = NULL;
		Volume *volume = world_open_snapshot(world, snapshot->name, &error);

		good = CHECK_NO_ERROR(error) &&
		       volume_verify(volume, snapshot->blocks, snapshot->size);
		volume_close(volume, NULL);
	}
	return good;
}

/* ---- differences */

typedef struct {
	const WorldSnapshot *to;
	guint8 *visited; /* a flag for each block */
} WorldDiff;

static int note_visited(gpointer data, const MapDiffRun *run)
{
	WorldDiff *diff = data;

	for (guint64 block = run->first; block < run->first + run->n; block++) {
		diff->visited[block] = TRUE;
		if (!run->entries && !run->base)
			CHECK_INT(diff->to->blocks[block], 0);
	}
	return 0;
}

void world_diff(World *world)
{
	guint n = world->n_snapshots;

	if (n > 1)
		world_diff_between(world, (guint)test_random_below(world->random, n),
				   (guint)test_random_below(world->random, n));
}

void world_diff_between(World *world, guint first, guint second)
{
	g_autofree guint8 *visited = g_malloc0(WORLD_BLOCKS);
	const WorldSnapshot *from = &world->snapshots[first], *to = &world->snapshots[second];
	Volume *older, *newer;
	guint64 position, n_missed = 0;

	older = world_open_snapshot(world, from->name, NULL);
	newer = world_open_snapshot(world, to->name, NULL);
	if (CHECK(older) && CHECK(newer)) {
		WorldDiff diff = {to, visited};

		CHECK_INT(map_diff(newer->engine.map, older->engine.map, 0, 0, note_visited, &diff,
				   &position),
			  0);
		for (guint64 block = 0; block < blocks_covering(to->size); block++)
			n_missed += from->blocks[block] != to->blocks[block] && !visited[block];
		CHECK_UINT(n_missed, 0);
	}
	volume_close(newer, NULL);
	volume_close(older, NULL);
}
