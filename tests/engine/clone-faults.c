/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked clones whose base, or whose own backing, fails at any of its calls: while the clone is
 * opened, read and flattened; and rot in the base.  What is read is right, or an error; nothing is
 * lost; and without the fault it works.
 */
#include <errno.h>

#include "common/base/error.h"
#include "common/base/units.h"
#include "common/check/scrub.h"
#include "common/engine/format.h"
#include "common/engine/volume-flatten.h"
#include "common/engine/volume-snapshots.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"

#define SIZE (20 * MIB) /* more than flatten looks at before it notes where it is */
#define POINTS_MAX 2000u
#define JOURNAL (64 * KIB)
#define OVERWRITTEN 3u /* of the blocks below */
#define DISCARDED 5u

static const guint blocks[] = {0, 1, 2, 3, 4, 5, 300, 301, 2047, 4200, 4300, 5000, 5119};

typedef struct {
	Backing *base, *clone; /* faulty ones */
	Volume *volume;	       /* NULL: it is closed */
} Scene;

static guint8 value_of(guint i, gboolean of_clone)
{
	if (of_clone && i == OVERWRITTEN)
		return 100;
	return of_clone && i == DISCARDED ? 0 : (guint8)(1 + i);
}

static Volume *base_open(const BaseIdentity *base, gpointer data, GError **error)
{
	const Scene *scene = data;
	const VolumeSnapshotOpening opening = {.uuid = base->snapshot};

	return volume_open_snapshot_linked(backing_borrow(scene->base), "base", &opening, error);
}

static gboolean scene_open(Scene *scene, GError **error)
{
	scene->volume = volume_open_linked(backing_borrow(scene->clone), "clone", 0, base_open,
					   scene, error);
	return scene->volume != NULL;
}

static gboolean base_make(Scene *scene, BaseIdentity *ret_base)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = JOURNAL};
	const VolumeSnapshotParameters snapshot = {.name = "base"};
	const VolumeSnapshotOpening opening = {.name = "base"};
	g_autoptr(GError) error = NULL;
	guint64 generation;
	Volume *volume;

	CHECK(volume_format(scene->base, &parameters, NULL));
	volume = backing_open_volume(scene->base);
	for (guint i = 0; volume && i < G_N_ELEMENTS(blocks); i++)
		CHECK_INT(volume_put_value(volume, value_of(i, FALSE), BLOCK_SIZE,
					   blocks_to_bytes(blocks[i])),
			  0);
	if (!volume || !volume_snapshot_begin(volume, &snapshot, &generation, &error) ||
	    !volume_snapshot_wait(volume, generation, 60, &error))
		return CHECK(volume) && CHECK_NO_ERROR(error);
	close_volume(volume);
	volume = volume_open_snapshot_linked(backing_borrow(scene->base), "base", &opening, &error);
	if (!CHECK_NO_ERROR(error))
		return FALSE;
	volume_as_base(volume, "pool/base@base", ret_base);
	volume_close(volume, NULL);
	return TRUE;
}

static gboolean scene_init(Scene *scene)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = JOURNAL};
	BaseIdentity base;

	*scene = (Scene){backing_faulty_new(0), backing_faulty_new(0), NULL};
	if (!base_make(scene, &base) ||
	    !CHECK(volume_format_linked(scene->clone, &parameters, &base, NULL)) ||
	    !CHECK(scene_open(scene, NULL)))
		return FALSE;
	CHECK_INT(volume_put_value(scene->volume, value_of(OVERWRITTEN, TRUE), BLOCK_SIZE,
				   blocks_to_bytes(blocks[OVERWRITTEN])),
		  0);
	CHECK_INT(volume_discard(scene->volume, blocks_to_bytes(blocks[DISCARDED]), BLOCK_SIZE), 0);
	close_volume(g_steal_pointer(&scene->volume));
	return !test_failed();
}

static void scene_clear(Scene *scene)
{
	volume_close(scene->volume, NULL);
	backing_free(scene->base);
	backing_free(scene->clone);
}

static void faults_clear(Scene *scene)
{
	backing_faulty_fail(scene->base, 0, 0, 0, FALSE, FALSE);
	backing_faulty_fail(scene->clone, 0, 0, 0, FALSE, FALSE);
}

/* Each block is right, or cannot be read: that is `wanted`.  Returns how many cannot. */
static guint blocks_read(Scene *scene, int wanted)
{
	guint8 data[BLOCK_SIZE], want[BLOCK_SIZE];
	guint bad = 0;

	for (guint i = 0; i < G_N_ELEMENTS(blocks); i++) {
		int r = volume_get(scene->volume, data, BLOCK_SIZE, blocks_to_bytes(blocks[i]));

		memset(want, value_of(i, TRUE), sizeof want);
		if (r)
			CHECK_INT(r, wanted);
		else
			CHECK_MEM(data, want, sizeof want);
		bad += r != 0;
	}
	return bad;
}

/* TRUE when it has come to its end; what fails is of that kind. */
static gboolean flatten(Scene *scene, int code, GError **error)
{
	VolumeFlattening flattening = {0};

	while (!flattening.done && volume_flatten(scene->volume, MIB, &flattening, error))
		;
	if (!flattening.done && error && code)
		CHECK_ERROR(*error, code, NULL);
	return flattening.done;
}

/* Everything works, and the clone comes to need no base. */
static void scene_finish(Scene *scene)
{
	g_autoptr(GError) error = NULL, reopened = NULL;

	faults_clear(scene);
	CHECK_UINT(blocks_read(scene, 0), 0);
	flatten(scene, 0, &error);
	CHECK_NO_ERROR(error);
	close_volume(g_steal_pointer(&scene->volume));
	scene->volume = volume_open(backing_borrow(scene->clone), "alone", 0, &reopened);
	if (CHECK_NO_ERROR(reopened))
		CHECK_UINT(blocks_read(scene, 0), 0);
	close_volume(g_steal_pointer(&scene->volume));
	backing_check(scene->clone);
	backing_check(scene->base);
}

static gboolean is_failed(Scene *scene)
{
	VolumeInfo info;

	volume_get_info(scene->volume, &info);
	return info.state == VOLUME_FAILED;
}

/* ---- the base fails */

/* FALSE: the base is not asked that often. */
static gboolean base_fails(guint point, gboolean opening, gboolean for_ever)
{
	g_autoptr(GError) error = NULL;
	gboolean met;
	Scene scene;
	guint64 before;

	if (!scene_init(&scene) || (!opening && !CHECK(scene_open(&scene, NULL)))) {
		scene_clear(&scene);
		return FALSE;
	}
	before = backing_faulty_count(scene.base, FAULTY_READ);
	backing_faulty_fail(scene.base, FAULTY_READ, point, EIO, for_ever, FALSE);
	if (opening && !scene_open(&scene, &error))
		CHECK_ERROR(error, STORAGEOS_ERROR_IO, NULL);
	g_clear_error(&error);
	if (scene.volume && point % 2)
		blocks_read(&scene, -EIO);
	if (scene.volume)
		flatten(&scene, STORAGEOS_ERROR_IO, &error);
	met = backing_faulty_count(scene.base, FAULTY_READ) - before > point;
	CHECK(!scene.volume || !is_failed(&scene));
	faults_clear(&scene);
	if (!scene.volume)
		CHECK(scene_open(&scene, NULL));
	if (scene.volume && volume_depth(scene.volume))
		scene_finish(&scene);
	else if (scene.volume)
		CHECK_UINT(blocks_read(&scene, 0), 0);
	scene_clear(&scene);
	return met;
}

static void test_base_fails(const void *data)
{
	guint points = 0;

	(void)data;
	for (guint how = 0; how < 4; how++)
		for (guint point = 0; point < POINTS_MAX && !test_failed(); point++) {
			test_row("point %u, %s, %s", point, how & 1 ? "opening" : "open",
				 how & 2 ? "for ever" : "once");
			if (!base_fails(point, how & 1, (how & 2) != 0))
				break;
			points++;
		}
	test_note("%u points", points);
	CHECK(points > 30);
}

/* ---- the clone's own backing fails while it is flattened */

static gboolean clone_fails(guint point, FaultyKind kinds, int err)
{
	int code = err == ENOSPC ? STORAGEOS_ERROR_NO_SPACE : STORAGEOS_ERROR_IO;
	g_autoptr(GError) error = NULL;
	gboolean met, done;
	Scene scene;
	guint64 before;

	if (!scene_init(&scene) || !CHECK(scene_open(&scene, NULL))) {
		scene_clear(&scene);
		return FALSE;
	}
	before = backing_faulty_count(scene.clone, kinds);
	backing_faulty_fail(scene.clone, kinds, point, err, FALSE, TRUE);
	done = flatten(&scene, 0, &error);
	met = backing_faulty_count(scene.clone, kinds) - before > point;
	if (!done && !is_failed(&scene))
		CHECK_ERROR(error, code, NULL);
	/* One that fails at the very end may have reached the disk. */
	if (is_failed(&scene) || !volume_depth(scene.volume)) {
		faults_clear(&scene);
		volume_abandon(g_steal_pointer(&scene.volume));
		CHECK(scene_open(&scene, NULL));
	}
	faults_clear(&scene);
	if (scene.volume && volume_depth(scene.volume))
		scene_finish(&scene);
	else if (scene.volume)
		CHECK_UINT(blocks_read(&scene, 0), 0);
	scene_clear(&scene);
	return met;
}

static void test_clone_fails(const void *data)
{
	static const struct {
		FaultyKind kinds;
		int err;
	} faults[] = {{FAULTY_MODIFY, EIO}, {FAULTY_WRITE | FAULTY_GROW, ENOSPC}};
	guint points = 0;

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(faults); i++)
		for (guint point = 0; point < POINTS_MAX && !test_failed(); point++) {
			test_row("point %u, %s", point, g_strerror(faults[i].err));
			if (!clone_fails(point, faults[i].kinds, faults[i].err))
				break;
			points++;
		}
	test_note("%u points", points);
	CHECK(points > 20);
}

/* ---- rot in the base */

static gboolean is_listed(Scrub *scrub, guint64 block)
{
	g_autoptr(GArray) lost = scrub_get_lost(scrub);

	for (guint i = 0; i < lost->len; i++) {
		const ScrubRange *range = &g_array_index(lost, ScrubRange, i);

		if (block >= range->first && block < range->end)
			return TRUE;
	}
	return FALSE;
}

static void scrub_whole(Scene *scene, Scrub **ret_scrub, ScrubStatus *ret_status)
{
	g_autoptr(GError) error = NULL;

	*ret_scrub = scrub_start(scene->volume, 0, 0, &error);
	REQUIRE(*ret_scrub);
	CHECK(scrub_wait(*ret_scrub, 60000));
	scrub_get_status(*ret_scrub, ret_status);
	CHECK(ret_status->complete);
}

/* A scrub lists the blocks that cannot be read, and no other. */
static void scrub_tells(Scene *scene, guint bad)
{
	guint8 data[BLOCK_SIZE];
	ScrubStatus status = {0};
	g_autoptr(Scrub) scrub = NULL;

	scrub_whole(scene, &scrub, &status);
	for (guint i = 0; scrub && i < G_N_ELEMENTS(blocks); i++)
		CHECK_INT(is_listed(scrub, blocks[i]), volume_get(scene->volume, data, BLOCK_SIZE,
								  blocks_to_bytes(blocks[i])) != 0);
	CHECK_INT(status.errors > 0, bad > 0);
	CHECK_UINT(status.repaired, 0);
}

/* Returns whether something could not be read. */
static gboolean rot_meets(Scene *scene)
{
	g_autoptr(GError) error = NULL;
	gboolean done;
	guint bad;

	if (!scene_open(scene, &error)) {
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
		return TRUE;
	}
	bad = blocks_read(scene, -EBADMSG);
	scrub_tells(scene, bad);
	done = flatten(scene, STORAGEOS_ERROR_CORRUPT, &error);
	/* What the clone has itself need not be read. */
	CHECK(!bad || !done);
	CHECK(!error || strstr(error->message, "its base 'pool/base@base' is damaged"));
	CHECK(!is_failed(scene));
	blocks_read(scene, -EBADMSG);
	return bad || !done;
}

/* The places of all that the base has on its disk, behind its journal. */
static GArray *filled_blocks(Backing *base)
{
	static const guint8 zeros[BLOCK_SIZE];
	GArray *places = g_array_new(FALSE, FALSE, sizeof(guint64));
	guint8 data[BLOCK_SIZE];

	for (guint64 at = FORMAT_JOURNAL_OFFSET + JOURNAL; at + BLOCK_SIZE <= backing_size(base);
	     at += BLOCK_SIZE) {
		CHECK_INT(backing_pread(base, data, BLOCK_SIZE, at), 0);
		if (memcmp(data, zeros, BLOCK_SIZE) != 0)
			g_array_append_val(places, at);
	}
	return places;
}

/* FALSE: the base has no such block. */
static gboolean rot_try(guint number, TestRandom *random, guint *met)
{
	guint bit = (guint)test_random_below(random, 8);
	gboolean there;
	Scene scene;
	guint64 at;

	if (!scene_init(&scene)) {
		scene_clear(&scene);
		return FALSE;
	}
	g_autoptr(GArray) places = filled_blocks(scene.base);
	there = number < places->len;
	if (there) {
		at = g_array_index(places, guint64, number) + test_random_below(random, BLOCK_SIZE);
		test_row("bit %u of byte %" G_GUINT64_FORMAT, bit, at);
		backing_faulty_flip(scene.base, at, bit);
		*met += rot_meets(&scene);
		backing_faulty_flip(scene.base, at, bit);
		if (!scene.volume)
			CHECK(scene_open(&scene, NULL));
		if (scene.volume && volume_depth(scene.volume))
			scene_finish(&scene);
	}
	scene_clear(&scene);
	return there;
}

static void test_rot(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	guint met = 0, tried = 0;

	(void)data;
	while (!test_failed() && rot_try(tried, &random, &met))
		tried++;
	test_note("%u of %u damaged blocks met", met, tried);
	CHECK(met >= G_N_ELEMENTS(blocks) - 2);
}

/* ---- scrub */

static void take_snapshot(Scene *scene, const char *name)
{
	const VolumeSnapshotParameters parameters = {.name = name};
	g_autoptr(GError) error = NULL;
	guint64 generation;

	if (volume_snapshot_begin(scene->volume, &parameters, &generation, &error))
		volume_snapshot_wait(scene->volume, generation, 60, &error);
	CHECK_NO_ERROR(error);
}

static void scrub_expect(Scene *scene, guint64 base_blocks, guint64 errors, gboolean listed)
{
	ScrubStatus status = {0};
	g_autoptr(Scrub) scrub = NULL;

	scrub_whole(scene, &scrub, &status);
	CHECK_UINT(status.base_blocks, base_blocks);
	CHECK_UINT(status.errors, errors);
	if (scrub)
		CHECK_INT(is_listed(scrub, blocks[0]), listed);
}

/* The base's slot of the first block, found by what it holds. */
static guint64 first_block_in_base(const Scene *scene)
{
	guint8 want[BLOCK_SIZE], data[BLOCK_SIZE];

	memset(want, value_of(0, FALSE), sizeof want);
	for (guint64 at = FORMAT_JOURNAL_OFFSET + JOURNAL; at < backing_size(scene->base);
	     at += BLOCK_SIZE)
		if (!backing_pread(scene->base, data, BLOCK_SIZE, at) &&
		    !memcmp(data, want, sizeof want))
			return at;
	return FAIL("the base does not have it");
}

static void test_scrub(const void *data)
{
	guint64 own = 2, all = G_N_ELEMENTS(blocks); /* one is overwritten, one discarded */
	Scene scene;
	guint64 at;

	(void)data;
	if (!scene_init(&scene) || !CHECK(scene_open(&scene, NULL))) {
		scene_clear(&scene);
		return;
	}
	at = first_block_in_base(&scene);
	scrub_expect(&scene, all - own, 0, FALSE);
	backing_faulty_flip(scene.base, at, 3);
	scrub_expect(&scene, all - own, 1, TRUE);
	take_snapshot(&scene, "before");
	CHECK_INT(volume_put_value(scene.volume, value_of(0, TRUE), BLOCK_SIZE,
				   blocks_to_bytes(blocks[0])),
		  0);
	test_row("the snapshot alone reads it");
	scrub_expect(&scene, all, 1, FALSE);
	CHECK(volume_snapshot_delete(scene.volume, "before", 0, NULL));
	take_snapshot(&scene, "after");
	test_row("nobody reads it");
	scrub_expect(&scene, all, 0, FALSE);
	CHECK(volume_snapshot_delete(scene.volume, "after", 0, NULL));
	scrub_expect(&scene, all - own - 1, 0, FALSE);
	backing_faulty_flip(scene.base, at, 3);
	scene_finish(&scene);
	scene_clear(&scene);
}

int main(int argc, char **argv)
{
	test_add("a base that fails costs nothing but time", test_base_fails, NULL);
	test_add("so does a clone's backing that fails while it is flattened", test_clone_fails,
		 NULL);
	test_add("rot in the base is an error, and no other bytes", test_rot, NULL);
	test_add("a scrub verifies what a clone and its snapshots read from the base", test_scrub,
		 NULL);
	return test_run(argc, argv);
}
