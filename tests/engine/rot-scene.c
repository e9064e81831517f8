/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/rot-scene.h"

#include <errno.h>

#include "common/base/error.h"
#include "common/engine/superblock.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-snapshots.h"

#define WORDS (BLOCK_SIZE / 8)
#define PIECE 16u /* the most blocks that are read together */

/* Leaves, by their offset in MiB; the last is below the second inner node. */
static const guint leaves[SCENE_LEAVES] = {0, 1, 256};
/* Neighbours among them, and the ends of a leaf. */
static const guint blocks[SCENE_BLOCKS] = {0, 1, 2, 255};

guint64 scene_block(guint place)
{
	return (guint64)leaves[place / SCENE_BLOCKS] * 256 + blocks[place % SCENE_BLOCKS];
}

static guint64 word_of(guint64 block, guint32 number, guint i)
{
	return number ? (block << 32 | number) * 0x9e3779b97f4a7c15u + i : 0;
}

static void fill(guint8 *to, guint64 block, guint32 number)
{
	for (guint i = 0; i < WORDS; i++) {
		guint64 word = word_of(block, number, i);

		memcpy(to + i * 8, &word, 8);
	}
}

int scene_write(Volume *volume, guint place, guint32 number)
{
	guint8 block[BLOCK_SIZE];

	fill(block, scene_block(place), number);
	return volume_put(volume, block, sizeof block, blocks_to_bytes(scene_block(place)));
}

/* ---- a life */

typedef struct {
	Volume *volume;
	guint32 now[SCENE_PLACES];
	guint32 number;
	TestRandom random;
	Scene *scene; /* to which states are added; NULL: to none yet */
} SceneLife;

static void enter_state(SceneLife *life)
{
	Scene *scene = life->scene;

	if (scene && scene->n_states < SCENE_STATES)
		memcpy(scene->states[scene->n_states++], life->now, sizeof life->now);
}

static void write_places(SceneLife *life, guint first, guint n)
{
	guint8 bytes[3 * BLOCK_SIZE];
	guint64 block = scene_block(first);

	life->number++;
	for (guint i = 0; i < n; i++) {
		fill(bytes + i * BLOCK_SIZE, block + i, life->number);
		life->now[first + i] = life->number;
	}
	CHECK_INT(volume_put(life->volume, bytes, n * BLOCK_SIZE, blocks_to_bytes(block)), 0);
	enter_state(life);
}

static void zero_places(SceneLife *life, guint leaf)
{
	/* The first three places, and the holes behind them. */
	CHECK_INT(volume_zero(life->volume, leaves[leaf] * MIB, 8 * BLOCK_SIZE), 0);
	memset(life->now + leaf * SCENE_BLOCKS, 0, 3 * sizeof *life->now);
	enter_state(life);
}

static void change(SceneLife *life, guint n)
{
	for (guint i = 0; i < n; i++) {
		guint leaf = (guint)test_random_below(&life->random, SCENE_LEAVES);
		guint what = (guint)test_random_below(&life->random, 8);

		if (what == 0)
			zero_places(life, leaf);
		else if (what < 4) /* three neighbours, one write */
			write_places(life, leaf * SCENE_BLOCKS, 3);
		else
			write_places(life, leaf * SCENE_BLOCKS + what - 4, 1);
	}
}

/* The marks outside the ring are as after a quarter of a second. */
static void flush(SceneLife *life)
{
	CHECK_INT(volume_flush(life->volume), 0);
	journal_settle_marks(life->volume->engine.journal);
	if (life->scene) {
		life->scene->n_states = 0;
		enter_state(life);
	}
}

/* Makes the journal of the closed volume continue this many bytes before the ring's end, as
 * after a thousand more records. */
static void approach_end(Backing *backing, guint64 left)
{
	SuperblockPair pair;
	Superblock next;

	REQUIRE(superblock_load(backing, &pair, NULL));
	next = pair.current;
	next.generation++;
	next.journal_position += 2 * SCENE_JOURNAL - left - next.journal_position % SCENE_JOURNAL;
	CHECK_INT(superblock_store(backing, &pair, &next), 0);
}

static void take_snapshot(SceneLife *life)
{
	Scene *scene = life->scene;
	char name[] = {'s', (char)('0' + scene->n_snapshots), '\0'};
	const VolumeSnapshotParameters parameters = {.name = name};
	guint64 generation = 0;

	CHECK(volume_snapshot_begin(life->volume, &parameters, &generation, NULL));
	CHECK(volume_snapshot_wait(life->volume, generation, 60, NULL));
	memcpy(scene->snapshots[scene->n_snapshots++], life->now, sizeof life->now);
}

/* The longest life: after a close and an open, changes that were flushed and others that were not.
 */
static void live(SceneLife *life, Backing *backing, SceneKind kind)
{
	approach_end(backing, 2000);
	life->volume = backing_open_volume(backing);
	for (guint place = 0; place < SCENE_PLACES; place += place % SCENE_BLOCKS ? 1 : 3)
		write_places(life, place, place % SCENE_BLOCKS ? 1 : 3);
	for (guint i = 0; i < 4; i++) {
		CHECK_INT(volume_checkpoint(life->volume), 0);
		change(life, 12);
		flush(life);
		if (kind == SCENE_SHARED && i % 2)
			take_snapshot(life);
	}
	/* At the end all places are written: otherwise there would be less to damage.  The last
	 * leaf is shared. */
	for (guint leaf = 0; leaf < SCENE_LEAVES - (kind == SCENE_SHARED); leaf++)
		write_places(life, leaf * SCENE_BLOCKS, 3);
	close_volume(life->volume);
	if (kind != SCENE_DIED)
		return;
	/* A record of 64 bytes; the 48 bytes that are left hold a wrap record. */
	approach_end(backing, 112);
	life->volume = backing_open_volume(backing);
	write_places(life, 3, 1);
	write_places(life, 0, 3);
	change(life, 3);
	flush(life);
	zero_places(life, 1);
	change(life, 2);
	flush(life);
	change(life, 4);
	zero_places(life, 2);
	volume_abandon(life->volume);
}

Scene *scene_new(const char *name, SceneKind kind)
{
	const VolumeParameters p = {.size = SCENE_SIZE, .journal_size = SCENE_JOURNAL};
	g_autoptr(Backing) backing = rot_recorder_new();
	Scene *scene = g_new0(Scene, 1);
	SceneLife life = {.random = test_random_new(test_seed()), .scene = scene};

	scene->name = name;
	CHECK(volume_format(backing, &p, NULL));
	live(&life, backing, kind);
	if (kind != SCENE_DIED) { /* everything is in the last checkpoint */
		scene->n_states = 0;
		enter_state(&life);
	}
	scene->image = rot_recorder_image(backing);
	return scene;
}

void scene_free(Scene *scene)
{
	if (!scene)
		return;
	rot_image_free(scene->image);
	g_free(scene);
}

/* ---- reading */

static gboolean is_filled(const guint8 *bytes, guint64 block, guint32 number)
{
	for (guint i = 0; i < WORDS; i++) {
		guint64 word;

		memcpy(&word, bytes + i * 8, 8);
		if (word != word_of(block, number, i))
			return FALSE;
	}
	return TRUE;
}

/* The set of states in which this place has the content that was read. */
static guint64 states_of(const Scene *scene, guint place, const guint8 *bytes)
{
	guint64 block = scene_block(place), states = 0;
	guint32 tried = 0;
	gboolean same = FALSE;

	for (guint s = 0; s < scene->n_states; s++) {
		if (s == 0 || scene->states[s][place] != tried) {
			tried = scene->states[s][place];
			same = is_filled(bytes, block, tried);
		}
		if (same)
			states |= (guint64)1 << s;
	}
	return states;
}

static gboolean is_zero(const guint8 *bytes, gsize length)
{
	return bytes[0] == 0 && !memcmp(bytes, bytes + 1, length - 1);
}

typedef struct {
	const Scene *scene;
	Volume *volume;
	const guint32 *news;
	Sight sight;
} Looking;

static void judge_place(Looking *looking, guint place, const guint8 *bytes)
{
	const Scene *scene = looking->scene;
	guint32 anew = looking->news ? looking->news[place] : 0;
	guint64 states;

	if (anew) {
		if (!is_filled(bytes, scene_block(place), anew))
			FAIL("block %" G_GUINT64_FORMAT " is not what was written since",
			     scene_block(place));
		return;
	}
	states = states_of(scene, place, bytes);
	if (!(looking->sight.allowed & states))
		FAIL("block %" G_GUINT64_FORMAT " is %s", scene_block(place),
		     states			  ? "of another time than the rest"
		     : is_zero(bytes, BLOCK_SIZE) ? "zeros"
						  : "not what was written");
	looking->sight.allowed &= states;
}

/* Reads one block that could not be read together with others: its content, or an error that names
 * it. */
static void look_at_block(Looking *looking, guint64 block, gint place)
{
	guint8 bytes[BLOCK_SIZE];
	struct iovec iov = {bytes, sizeof bytes};
	guint64 at = 1;
	int r = volume_read(looking->volume, &iov, 1, blocks_to_bytes(block), &at);

	if (r) {
		CHECK_INT(r, -EBADMSG);
		CHECK_UINT(at, blocks_to_bytes(block));
		looking->sight.errors++;
		if (place >= 0)
			looking->sight.lost[place] = TRUE;
	} else if (place >= 0) {
		judge_place(looking, (guint)place, bytes);
	} else if (!is_zero(bytes, sizeof bytes)) {
		FAIL("block %" G_GUINT64_FORMAT " was never written, and is not zeros", block);
	}
}

static gint find_place(guint64 block)
{
	for (guint i = 0; i < SCENE_LEAVES; i++)
		for (guint j = 0; block / 256 == leaves[i] && j < SCENE_BLOCKS; j++)
			if (block % 256 == blocks[j])
				return (gint)(i * SCENE_BLOCKS + j);
	return -1;
}

/* Reads [block, block + n), together if that succeeds. */
static void look_at(Looking *looking, guint64 block, guint n)
{
	guint8 bytes[PIECE * BLOCK_SIZE];
	struct iovec iov = {bytes, n * BLOCK_SIZE};
	guint64 at = 1;
	int r = volume_read(looking->volume, &iov, 1, blocks_to_bytes(block), &at);

	if (r) {
		CHECK_INT(r, -EBADMSG);
		CHECK(at >= blocks_to_bytes(block) && at < blocks_to_bytes(block + n));
	}
	for (guint i = 0; i < n; i++) {
		gint place = find_place(block + i);

		if (r)
			look_at_block(looking, block + i, place);
		else if (place >= 0)
			judge_place(looking, (guint)place, bytes + i * BLOCK_SIZE);
		else if (!is_zero(bytes + i * BLOCK_SIZE, BLOCK_SIZE))
			FAIL("block %" G_GUINT64_FORMAT " was never written, and is not zeros",
			     block + i);
	}
}

Sight scene_read(const Scene *scene, Volume *volume, guint64 allowed, const guint32 *news,
		 SceneExtent extent)
{
	Looking looking = {scene, volume, news, {.allowed = allowed}};

	for (guint leaf = 0, i = 0; leaf < SCENE_SIZE / MIB; leaf++) {
		gboolean written = i < SCENE_LEAVES && leaves[i] == leaf;
		guint64 first = (guint64)leaf * 256;

		i += written;
		if (extent == SCENE_WHOLE || (written && extent == SCENE_MOST)) {
			for (guint j = 0; j < 256; j += PIECE)
				look_at(&looking, first + j, PIECE);
		} else if (written) {
			look_at(&looking, first, 4);
			look_at(&looking, first + 254, 2);
		} else if (extent == SCENE_MOST || leaf % 8 == 0) {
			look_at(&looking, first + leaf % 256, 1);
		}
	}
	return looking.sight;
}

static void look_at_place(const Scene *scene, guint snapshot, Volume *volume, guint place,
			  guint8 *ret_lost)
{
	guint64 block = scene_block(place), at = 1;
	guint8 bytes[BLOCK_SIZE];
	struct iovec iov = {bytes, sizeof bytes};
	int r = volume_read(volume, &iov, 1, blocks_to_bytes(block), &at);

	*ret_lost = r != 0;
	if (r) {
		CHECK_INT(r, -EBADMSG);
		CHECK_UINT(at, blocks_to_bytes(block));
	} else if (!is_filled(bytes, block, scene->snapshots[snapshot][place])) {
		FAIL("snapshot s%u: block %" G_GUINT64_FORMAT " is not what it had", snapshot,
		     block);
	}
}

gboolean scene_read_snapshot(const Scene *scene, guint i, Backing *backing,
			     guint8 ret_lost[SCENE_PLACES])
{
	char name[] = {'s', (char)('0' + i), '\0'};
	g_autoptr(GError) error = NULL;
	Volume *volume =
		volume_open_snapshot(backing_borrow(backing), "test", name, NULL, NULL, &error);

	if (!volume)
		return FALSE;
	for (guint place = 0; place < SCENE_PLACES; place++)
		look_at_place(scene, i, volume, place, &ret_lost[place]);
	volume_abandon(volume);
	return TRUE;
}
