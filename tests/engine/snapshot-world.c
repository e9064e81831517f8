/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/snapshot-world.h"

#include "tests/backing/faulty.h"
#include "tests/engine/snapshot-proof.h"
#include "tests/engine/support.h"

guint64 place_block(guint i)
{
	static const guint64 leaves[] = {0, 1, 2, 7, 255, 256, 257, 300, 511, 512, 900, 2047};

	return leaves[i % G_N_ELEMENTS(leaves)] * 256 + (i / G_N_ELEMENTS(leaves)) * 31 % 256;
}

Volume *world_open(World *world)
{
	world->volume = backing_open_volume(world->backing);
	return world->volume;
}

void world_close(World *world)
{
	close_volume(world->volume);
	world->volume = NULL;
}

World *world_new(guint64 limit)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = MIB};
	World *world = g_new0(World, 1);

	world->backing = backing_faulty_new(limit);
	world->head.size = SIZE;
	CHECK(volume_format(world->backing, &parameters, NULL));
	world_open(world);
	return world;
}

void world_free(World *world)
{
	if (world->volume)
		world_close(world);
	backing_free(world->backing);
	g_free(world);
}

void world_write(World *world, guint place)
{
	guint8 value = (guint8)(1 + world->next++ % 255);

	CHECK_INT(
		volume_put_value(world->volume, value, BLOCK_SIZE, place_block(place) * BLOCK_SIZE),
		0);
	world->head.values[place] = value;
}

void world_write_all(World *world)
{
	for (guint i = 0; i < PLACES; i++)
		world_write(world, i);
}

void world_discard(World *world, guint64 first, guint64 end)
{

	end = MIN(end, world->head.size / BLOCK_SIZE);
	if (first >= end)
		return;
	CHECK_INT(volume_discard(world->volume, first * BLOCK_SIZE, (end - first) * BLOCK_SIZE), 0);
	for (guint i = 0; i < PLACES; i++)
		if (place_block(i) >= first && place_block(i) < end)
			world->head.values[i] = 0;
}

void world_snapshot(World *world, const char *name)
{
	VolumeSnapshotParameters parameters = {.name = name};
	Shadow *shadow = &world->shadows[world->n];
	g_autoptr(GError) error = NULL;
	guint64 generation = 0;

	if (world->n == SHADOWS)
		return;
	CHECK(volume_snapshot_begin(world->volume, &parameters, &generation, &error));
	CHECK_NO_ERROR(error);
	*shadow = world->head;
	shadow->generation = generation;
	g_strlcpy(shadow->name, name, sizeof shadow->name);
	CHECK(volume_snapshot_wait(world->volume, generation, 60, &error));
	CHECK_NO_ERROR(error);
	world->n++;
}

static Shadow *world_find(World *world, const char *name)
{
	for (guint i = 0; i < world->n; i++)
		if (!strcmp(world->shadows[i].name, name))
			return &world->shadows[i];
	return NULL;
}

void world_delete(World *world, const char *name, VolumeSnapshotDeleteFlags flags)
{
	g_autoptr(GError) error = NULL;
	Shadow *shadow = world_find(world, name);

	CHECK(volume_snapshot_delete(world->volume, name, flags, &error));
	CHECK_NO_ERROR(error);
	if (shadow)
		*shadow = world->shadows[--world->n];
}

void world_rollback(World *world, const char *name)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *undo = NULL;
	const Shadow *shadow = world_find(world, name);
	Shadow before = world->head;
	gboolean discard = world->n == SHADOWS;

	REQUIRE(shadow);

	CHECK(volume_rollback(world->volume, name,
			      VOLUME_ROLLBACK_SIZE_TOO | (discard ? VOLUME_ROLLBACK_DISCARD : 0),
			      &undo, &error));
	CHECK_NO_ERROR(error);
	memcpy(world->head.values, shadow->values, sizeof world->head.values);
	world->head.size = shadow->size;
	if (discard)
		return;
	g_strlcpy(before.name, undo ? undo : "?", sizeof before.name);
	world->shadows[world->n++] = before;
}

void world_settle(World *world)
{
	CHECK(volume_settled(world->volume, volume_settle(world->volume), 120));
}

/* What the proof met, to be compared with the shadows. */
typedef struct {
	World *world;
	guint wrong;
	guint found[SHADOWS + 1]; /* blocks that are not zeros, by shadow; then the head's */
} Comparing;

static void compare_block(guint64 generation, guint64 block, guint8 value, gpointer data)
{
	Comparing *comparing = data;
	const World *world = comparing->world;
	guint s = 0;

	while (s < world->n && world->shadows[s].generation != generation)
		s++;
	if (generation && s == world->n)
		return;
	s = generation ? s : SHADOWS;
	comparing->found[s] += value != 0;
	for (guint i = 0; i < PLACES; i++)
		if (place_block(i) == block &&
		    (generation ? &world->shadows[s] : &world->head)->values[i] != value)
			comparing->wrong++;
}

static guint shadow_count(const Shadow *shadow)
{
	guint n = 0;

	for (guint i = 0; i < PLACES; i++)
		n += shadow->values[i] != 0;
	return n;
}

/* Gives the shadows of rollbacks their generations, and looks that the list is what it must be. */
static void world_learn(World *world)
{
	g_autoptr(GArray) infos = volume_snapshots(world->volume);

	for (guint i = 0; i < infos->len; i++) {
		const VolumeSnapshotInfo *info = &g_array_index(infos, VolumeSnapshotInfo, i);
		Shadow *shadow = world_find(world, info->name);

		if (shadow && info->state == VOLUME_SNAPSHOT_ALIVE) {
			shadow->generation = info->generation;
			CHECK_UINT(info->size, shadow->size);
		}
	}
}

gboolean world_prove(World *world, gboolean die)
{
	Comparing comparing = {.world = world};
	gboolean good;

	world_learn(world);
	if (die) {
		volume_abandon(world->volume);
		world_open(world);
		if (!world->volume)
			return FALSE;
	}
	world_close(world);
	good = backing_check(world->backing) &&
	       snapshots_prove(world->backing, compare_block, &comparing);
	CHECK_UINT(comparing.wrong, 0);
	for (guint i = 0; i < world->n; i++)
		CHECK_UINT(comparing.found[i], shadow_count(&world->shadows[i]));
	CHECK_UINT(comparing.found[SHADOWS], shadow_count(&world->head));
	world_open(world);
	for (guint i = 0; world->volume && i < PLACES; i++)
		if (place_block(i) < world->head.size / BLOCK_SIZE)
			check_value(world->volume, world->head.values[i], BLOCK_SIZE,
				    place_block(i) * BLOCK_SIZE);
	return good && !comparing.wrong;
}
