/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a snapshot from its backing.  The tables are made by hand, so that each of their states
 * can be met.
 */
#include <errno.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/engine/superblock.h"
#include "common/engine/volume-snapshots.h"
#include "tests/engine/snapshot-table.h"
#include "tests/engine/support.h"

#define SIZE (64 * MIB)

/* ---- a backing that may spoil what is read */

/* A backing that hands reads on, counts them, and may spoil some of the table. */
typedef struct {
	Backing base;
	Backing *real;
	guint64 spoilt; /* reads from this offset on ... */
	gint left;	/* ... so many times */
	gint reads;
} Spoiler;

static int spoiler_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			  BackingFlags flags)
{
	Spoiler *spoiler = (Spoiler *)backing;
	int r = backing_preadv(spoiler->real, iov, count, offset, flags);

	spoiler->reads++;
	if (spoiler->spoilt && offset >= spoiler->spoilt && spoiler->left > 0) {
		spoiler->left--;
		*(guint8 *)iov->iov_base ^= 1;
	}
	return r;
}

static guint64 spoiler_size(Backing *backing)
{
	return backing_size(((Spoiler *)backing)->real);
}

static guint64 spoiler_allocated(Backing *backing)
{
	return backing_allocated(((Spoiler *)backing)->real);
}

static void spoiler_free(Backing *backing)
{
	g_free(backing);
}

static const BackingOps spoiler_ops = {.kind = "memory",
				       .preadv = spoiler_preadv,
				       .size = spoiler_size,
				       .allocated = spoiler_allocated,
				       .free = spoiler_free};

/* ---- a volume with the snapshot `monday` */

typedef struct {
	Place *place;
	Backing *backing;
	Snapshot monday;
	char uuid[UUID_TEXT]; /* of the volume */
} Scene;

static gboolean scene_begin(Scene *scene, Place *place, guint64 size)
{
	SuperblockPair pair;
	Volume *volume;

	memset(scene, 0, sizeof *scene);
	scene->place = place;
	if (!place_format(place, size, 0) || !(volume = place_open(place)))
		return FALSE;
	CHECK_INT(volume_put_value(volume, 'm', 2 * MIB, 5 * MIB), 0);
	CHECK_INT(volume_put_value(volume, 'n', 4096, size - 4096), 0);
	close_volume(volume);
	scene->backing = place_backing(place);
	scene->monday = table_snapshot_of_now(scene->backing, "monday");
	if (!CHECK(superblock_load(scene->backing, &pair, NULL)))
		return FALSE;
	uuid_format(pair.current.uuid, scene->uuid);
	return table_write(scene->backing, &scene->monday, 1);
}

static void scene_end(Scene *scene)
{
	backing_free(scene->backing);
	place_free(scene->place);
}

static Volume *scene_open(Scene *scene, const char *name, VolumeSnapshotJoin join, GError **error)
{
	return volume_open_snapshot(place_backing(scene->place), "default/db", name, join, scene,
				    error);
}

static void check_content(Volume *volume, guint64 size)
{
	check_value(volume, 0, 5 * MIB, 0);
	check_value(volume, 'm', 2 * MIB, 5 * MIB);
	check_value(volume, 0, MIB, 7 * MIB);
	check_value(volume, 'n', 4096, size - 4096);
}

static void check_read_only(Volume *volume)
{
	guint8 block[4096] = {0};
	g_autoptr(GError) error = NULL;

	CHECK_INT(volume_put(volume, block, sizeof block, 0), -EROFS);
	CHECK_INT(volume_zero(volume, 0, 4096), -EROFS);
	CHECK_INT(volume_erase(volume), -EROFS);
	CHECK_INT(volume_flush(volume), 0);
	CHECK_INT(volume_checkpoint(volume), -EROFS);
	CHECK(!volume_resize(volume, SIZE + MIB, 0, 1, &error));
	CHECK(!volume_renew_uuid(volume, NULL));
	CHECK(!volume_failure(volume));
}

static void test_read(const void *data)
{
	g_autoptr(GError) error = NULL;
	Volume *volume, *second;
	guint64 length = 0;
	gboolean mapped;
	VolumeInfo info;
	Scene scene;

	(void)data;
	REQUIRE(scene_begin(&scene, place_new_file(), SIZE));
	/* As the server of the volume has it. */
	REQUIRE(backing_lock(scene.backing, TRUE, NULL));
	volume = scene_open(&scene, "monday", NULL, &error);
	CHECK_NO_ERROR(error);
	REQUIRE(volume);
	second = scene_open(&scene, "monday", NULL, NULL);
	REQUIRE(second);
	CHECK_UINT(volume_size(volume), SIZE);
	CHECK_UINT(volume_logical_block_size(volume), 512);
	check_content(volume, SIZE);
	check_read_only(volume);
	CHECK_INT(volume_extent(volume, 5 * MIB, &mapped, &length), 0);
	CHECK(mapped);
	CHECK_UINT(length, 2 * MIB);
	volume_get_info(volume, &info);
	CHECK_STR(info.uuid, "a5a5a5a5-a5a5-a5a5-a5a5-a5a5a5a5a5a5");
	CHECK_INT(info.state, VOLUME_READ_ONLY);
	CHECK_UINT(info.data_bytes, 2 * MIB + 4096);
	CHECK_UINT(info.metadata_bytes, scene.monday.nodes * 4096);
	CHECK_UINT(info.generation, scene.monday.generation);
	close_volume(volume);
	check_content(second, SIZE);
	close_volume(second);
	scene_end(&scene);
}

/* ---- which snapshots can be opened */

static void test_states(const void *data)
{
	Snapshot all[4];
	g_autoptr(GError) error = NULL;
	Volume *volume;
	Scene scene;

	(void)data;
	REQUIRE(scene_begin(&scene, place_new_memory(), SIZE));
	for (guint i = 0; i < G_N_ELEMENTS(all); i++)
		all[i] = scene.monday;
	all[0].state = FORMAT_SNAPSHOT_DELETING;
	g_strlcpy(all[1].name, "old", sizeof all->name);
	all[1].state = FORMAT_SNAPSHOT_BOOKMARK;
	all[1].root = (MapEntry){0};
	g_strlcpy(all[3].name, "gone", sizeof all->name);
	all[3].state = FORMAT_SNAPSHOT_DELETING;
	REQUIRE(table_write(scene.backing, all, G_N_ELEMENTS(all)));

	volume = scene_open(&scene, "monday", NULL, &error); /* the one that is alive */
	CHECK_NO_ERROR(error);
	close_volume(volume);
	CHECK(!scene_open(&scene, "tuesday", NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "default/db: there is no snapshot 'tuesday'");
	g_clear_error(&error);
	CHECK(!scene_open(&scene, "gone", NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "no snapshot 'gone'");
	g_clear_error(&error);
	CHECK(!scene_open(&scene, "old", NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_INVALID, "'old' is a bookmark");
	scene_end(&scene);
}

static void test_no_table(const void *data)
{
	g_autoptr(Place) place = place_new_memory();
	g_autoptr(GError) error = NULL;

	(void)data;
	REQUIRE(place_format(place, SIZE, 0));
	CHECK(!volume_open_snapshot(place_backing(place), "db", "monday", NULL, NULL, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_NOT_FOUND, "there is no snapshot 'monday'");
}

/* ---- the deleter */

static gboolean join_agree(const char *uuid, guint64 generation, gpointer data, GError **error)
{
	Scene *scene = data;

	(void)error;
	CHECK_STR(uuid, scene->uuid);
	CHECK_UINT(generation, scene->monday.generation);
	return TRUE;
}

static gboolean join_refuse(const char *uuid, guint64 generation, gpointer data, GError **error)
{
	(void)uuid;
	(void)generation;
	(void)data;
	return error_set(error, STORAGEOS_ERROR_BUSY, "it is being deleted");
}

/* The snapshot was deleted between the search and the lock. */
static gboolean join_late(const char *uuid, guint64 generation, gpointer data, GError **error)
{
	Scene *scene = data;
	Snapshot deleted = scene->monday;

	(void)uuid;
	(void)generation;
	(void)error;
	deleted.state = FORMAT_SNAPSHOT_DELETING;
	return table_write(scene->backing, &deleted, 1);
}

/* And a new one got its name. */
static gboolean join_replaced(const char *uuid, guint64 generation, gpointer data, GError **error)
{
	Scene *scene = data;
	Snapshot other = scene->monday;

	(void)uuid;
	(void)generation;
	(void)error;
	other.generation--;
	other.root = (MapEntry){0};
	return table_write(scene->backing, &other, 1);
}

static const struct {
	VolumeSnapshotJoin join;
	int code; /* 0: it opens */
	const char *message;
} joins[] = {
	{join_agree, 0, NULL},
	{join_refuse, STORAGEOS_ERROR_BUSY, "default/db: it is being deleted"},
	{join_late, STORAGEOS_ERROR_NOT_FOUND, "there is no snapshot 'monday'"},
	{join_replaced, STORAGEOS_ERROR_BUSY, "replaced at this moment"},
};

static void test_joins(const void *data)
{
	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(joins); i++) {
		g_autoptr(GError) error = NULL;
		Volume *volume;
		Scene scene;

		test_row("join %u", i);
		REQUIRE(scene_begin(&scene, place_new_memory(), SIZE));
		volume = scene_open(&scene, "monday", joins[i].join, &error);
		CHECK(!volume == (joins[i].code != 0));
		if (joins[i].code)
			CHECK_ERROR(error, joins[i].code, joins[i].message);
		else
			CHECK_NO_ERROR(error);
		volume_close(volume, NULL);
		scene_end(&scene);
	}
}

/* ---- damage, and a table that moves */

static const struct {
	const char *what;
	gboolean page;
	gint times; /* that reads are spoilt from there on: each attempt reads both copies */
	gboolean opens;
} spoils[] = {
	{"the root's first copy", FALSE, 1, TRUE}, {"the page's first copy", TRUE, 1, TRUE},
	{"the root, once", FALSE, 2, TRUE},	   {"the page, once", TRUE, 2, TRUE},
	{"the page, nine times", TRUE, 18, TRUE},  {"the page, ten times", TRUE, 20, FALSE},
	{"the root, ten times", FALSE, 20, FALSE},
};

static void test_spoilt(const void *data)
{
	SuperblockPair pair;
	Scene scene;

	(void)data;
	REQUIRE(scene_begin(&scene, place_new_memory(), SIZE));
	REQUIRE(superblock_load(scene.backing, &pair, NULL));
	for (guint i = 0; i < G_N_ELEMENTS(spoils); i++) {
		Spoiler *spoiler = g_new0(Spoiler, 1);
		g_autoptr(GError) error = NULL;
		Volume *volume;

		test_row("%s", spoils[i].what);
		backing_init(&spoiler->base, &spoiler_ops, "spoiler");
		spoiler->real = scene.backing;
		spoiler->spoilt = table_offset(&pair.current, spoils[i].page, 0);
		spoiler->left = spoils[i].times;
		volume = volume_open_snapshot(&spoiler->base, "db", "monday", NULL, NULL, &error);
		CHECK_INT(volume != NULL, spoils[i].opens);
		if (!spoils[i].opens)
			CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT,
				    "spoiler: the snapshot table is damaged");
		if (volume)
			check_content(volume, SIZE);
		volume_close(volume, NULL);
	}
	scene_end(&scene);
}

/* ---- cost */

/* An open reads two superblocks, the table's root and a page, twice, however large the volume is.
 */
static void test_cost(const void *data)
{
	Spoiler *spoiler;
	Volume *volume;
	Scene scene;

	(void)data;
	REQUIRE(scene_begin(&scene, place_new_memory(), 64 * TIB));
	spoiler = g_new0(Spoiler, 1);
	backing_init(&spoiler->base, &spoiler_ops, "spoiler");
	spoiler->real = scene.backing;
	volume = volume_open_snapshot(&spoiler->base, "db", "monday", join_agree, &scene, NULL);
	REQUIRE(volume);
	CHECK_INT(spoiler->reads, 8);
	check_content(volume, 64 * TIB);
	close_volume(volume);
	scene_end(&scene);
}

int main(int argc, char **argv)
{
	test_add("a snapshot is read beside its volume's server", test_read, NULL);
	test_add("only a snapshot that is alive can be opened", test_states, NULL);
	test_add("a volume without snapshots has none to open", test_no_table, NULL);
	test_add("what is deleted meanwhile is not opened", test_joins, NULL);
	test_add("a table that is damaged, or moves, is read again", test_spoilt, NULL);
	test_add("an open costs the same at any size", test_cost, NULL);
	return test_run(argc, argv);
}
