/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rot, enumerated: every bit of a small volume's backing is flipped, one at a time; it is cut
 * everywhere; every pair of its blocks is swapped; every older version of each of its blocks is put
 * back.  After each: check, open for reading, open for writing, read everything, write, read again.
 * What is read is right, or an error that names the place (I4); whatever cannot be read is found by
 * check; nothing crashes or hangs.
 *
 * Two volumes: one that was closed, and one whose process died with records in its journal, flushed
 * ones and others.
 *
 * All of it takes hours: STORAGEOS_ROT=1 does that, STORAGEOS_ROT=N one case in N, with a test's name
 * as argument that one alone.  Without it each test takes a sample.  The seed decides which.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "common/check.h"
#include "common/error.h"
#include "common/logging.h"
#include "tests/engine/rot-scene.h"

#define CASE_SECONDS 60 /* no case may take longer; each takes milliseconds */
#define NEWS_ROUNDS 5u
#define NEWS 1000000u   /* the number of what is written after an open */

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* ---- one case */

typedef enum { FLIP, PUT, SWAP, CUT } DamageKind;

typedef struct {
	DamageKind kind;
	guint64 at;	     /* FLIP, CUT: byte; else unit */
	guint64 other;	     /* FLIP: bit; SWAP: unit; PUT: version */
	const guint8 *bytes; /* PUT */
} Damage;

typedef struct {
	guint64 cases, noticed, refused, lost;
} Tally;

static char now_at[200];

static void took_too_long(int signal)
{
	static const char text[] = "Bail out! a case hangs: ";

	(void)signal;
	if (write(STDOUT_FILENO, text, sizeof text - 1) < 0 ||
	    write(STDOUT_FILENO, now_at, strlen(now_at)) < 0 || write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(4);
	_exit(3);
}

static void begin_case(const Scene *scene, const Damage *damage)
{
	static const char *const names[] = {"flip", "put back", "swap", "cut"};

	g_snprintf(now_at, sizeof now_at,
		   "%s: %s %" G_GUINT64_FORMAT " (unit %" G_GUINT64_FORMAT "), %" G_GUINT64_FORMAT,
		   scene->name, names[damage->kind], damage->at,
		   damage->kind == FLIP || damage->kind == CUT ? damage->at / ROT_UNIT : damage->at,
		   damage->other);
	test_row("%s", now_at);
	alarm(CASE_SECONDS);
}

static Backing *damaged(const Scene *scene, const Damage *damage)
{
	Backing *copy = rot_copy_new(scene->image);
	const guint8 *bytes = scene->image->bytes;

	switch (damage->kind) {
	case FLIP:
		rot_copy_flip(copy, damage->at, (guint)damage->other);
		break;
	case PUT:
		rot_copy_put(copy, damage->at, damage->bytes);
		break;
	case SWAP:
		rot_copy_put(copy, damage->at, bytes + damage->other * ROT_UNIT);
		rot_copy_put(copy, damage->other, bytes + damage->at * ROT_UNIT);
		break;
	case CUT:
		rot_copy_cut(copy, damage->at);
		break;
	}
	return copy;
}

/* Whether check has something to say. */
static gboolean is_noticed(Backing *backing)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CheckResult) result = check_run(backing, NULL, NULL, &error);

	return !result || result->errors;
}

static void check_names_place(const GError *error)
{
	static const char *const places[] = {"superblock", "journal", "bitmap", "node",
					     "no storageos volume"};

	for (guint i = 0; i < G_N_ELEMENTS(places); i++)
		if (strstr(error->message, places[i]))
			return;
	FAIL("the error names no place: %s", error->message);
}

static Volume *try_open(Backing *backing, VolumeOpenFlags flags, gboolean noticed, Tally *tally)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = volume_open(backing_borrow(backing), "test", flags, &error);

	if (volume)
		return volume;
	check_names_place(error);
	if (!noticed)
		FAIL("open says '%s', check nothing", error->message);
	tally->refused++;
	return NULL;
}

/* Writes to every other place, again and again, so that many slots that count as free are taken;
 * what was written, and the rest, reads as it should. */
static void write_on(const Scene *scene, Backing *backing, Volume *volume, const Sight *before)
{
	guint32 news[SCENE_PLACES] = {0};
	Sight after;

	for (guint round = 0; round < NEWS_ROUNDS; round++)
		for (guint place = 0; place < SCENE_PLACES; place += 2)
			if (!scene_write(volume, place, NEWS + round))
				news[place] = NEWS + round;
	volume_checkpoint(volume);
	after = scene_read(scene, volume, before->allowed, news, FALSE);
	for (guint place = 0; place < SCENE_PLACES; place++)
		CHECK(!after.lost[place] || before->lost[place]);
	if (!volume_close(volume, NULL))
		return;
	volume = volume_open(backing_borrow(backing), "test", VOLUME_OPEN_READ_ONLY, NULL);
	if (!CHECK(volume != NULL))
		return;
	scene_read(scene, volume, before->allowed, news, FALSE);
	volume_abandon(volume);
}

static void run_case(const Scene *scene, const Damage *damage, Tally *tally)
{
	g_autoptr(Backing) backing = damaged(scene, damage);
	gboolean noticed;
	Volume *volume;
	Sight sight;

	begin_case(scene, damage);
	noticed = is_noticed(backing);
	tally->cases++;
	tally->noticed += noticed;
	volume = try_open(backing, VOLUME_OPEN_READ_ONLY, noticed, tally);
	if (volume) {
		sight = scene_read(scene, volume, scene_all_states(scene), NULL, FALSE);
		CHECK(noticed || !sight.errors);
		volume_abandon(volume);
	}
	volume = try_open(backing, 0, noticed, tally);
	if (volume) {
		sight = scene_read(scene, volume, scene_all_states(scene), NULL, FALSE);
		tally->lost += sight.errors != 0;
		CHECK(noticed || !sight.errors);
		write_on(scene, backing, volume, &sight);
	}
	alarm(0);
}

/* ---- the two volumes, and how much of everything */

static Scene *scenes[2];

/* What was asked for, or 0. */
static guint64 stride_wanted(void)
{
	const char *text = g_getenv("STORAGEOS_ROT");

	return text ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static void make_scenes(void)
{
	if (!scenes[0]) {
		scenes[0] = scene_new("closed", FALSE);
		scenes[1] = scene_new("died", TRUE);
	}
}

/* Every how many of `n` cases to take, so that about `sample` remain. */
static guint64 stride_for(guint64 n, guint64 sample)
{
	if (stride_wanted())
		return stride_wanted();
	if (test_is_instrumented())
		sample /= 16;
	return MAX(n / sample, 1);
}

/* Whether the next case is of the sample; about one in `stride`. */
static gboolean is_taken(TestRandom *random, guint64 stride)
{
	return stride == 1 || test_random_below(random, stride) == 0;
}

static void tell(const Scene *scene, guint64 of, const Tally *tally)
{
	test_note("%s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " cases; check noticed "
		  "%" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT " opens refused, blocks lost in "
		  "%" G_GUINT64_FORMAT,
		  scene->name, tally->cases, of, tally->noticed, tally->refused, tally->lost);
}

/* Notes in the image which units anything reads at all. */
static void note_reads(const Scene *scene)
{
	g_autoptr(Backing) copy = rot_copy_new(scene->image);
	Volume *volume;

	rot_copy_note(copy);
	CHECK(!is_noticed(copy));
	volume = volume_open(backing_borrow(copy), "test", VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(volume);
	scene_read(scene, volume, scene_all_states(scene), NULL, TRUE);
	volume_abandon(volume);
	volume = volume_open(backing_borrow(copy), "test", 0, NULL);
	REQUIRE(volume);
	scene_read(scene, volume, scene_all_states(scene), NULL, TRUE);
	volume_close(volume, NULL);
}

static void test_sound(const void *data)
{
	(void)data;
	make_scenes();
	for (guint i = 0; i < 2; i++) {
		const Scene *scene = scenes[i];
		g_autoptr(Backing) copy = rot_copy_new(scene->image);
		Volume *volume = volume_open(backing_borrow(copy), "test", 0, NULL);
		guint64 written = 0, versions = 0, read = 0;
		Sight sight;

		test_row("%s", scene->name);
		REQUIRE(volume);
		sight = scene_read(scene, volume, scene_all_states(scene), NULL, TRUE);
		CHECK_UINT(sight.errors, 0);
		CHECK(sight.allowed >> (scene->n_states - 1) & 1); /* nothing happened: the last */
		volume_abandon(volume);
		note_reads(scene);
		for (guint64 unit = 0; unit < scene->image->n_units; unit++) {
			const GPtrArray *list = scene->image->versions[unit];

			written += list && list->len > 1;
			versions += list ? list->len : 0;
			read += scene->image->read[unit];
		}
		test_note("%s: %" G_GUINT64_FORMAT " blocks of the backing written, in "
			  "%" G_GUINT64_FORMAT " versions; %" G_GUINT64_FORMAT " are ever read; "
			  "%u states may be found",
			  scene->name, written, versions, read, scene->n_states);
	}
}

/* ---- every bit */

/* Every bit of what anything reads is tried, and one of the rest, unit by unit: what nothing reads can
 * do nothing. */
static void flip_bits(const Scene *scene, TestRandom *random, guint64 sample)
{
	const RotImage *image = scene->image;
	guint64 bits = 0, stride;
	Tally tally = {0};

	for (guint64 unit = 0; unit < image->n_units; unit++)
		bits += image->read[unit] ? ROT_UNIT * 8 : 1;
	stride = stride_for(bits, sample);
	for (guint64 unit = 0; unit < image->n_units && !test_failed(); unit++) {
		gboolean dense = image->read[unit];

		for (guint64 bit = 0; bit < (dense ? ROT_UNIT * 8 : 1) && !test_failed(); bit++) {
			guint64 at = dense ? bit : test_random_below(random, ROT_UNIT * 8);
			Damage damage = {FLIP, unit * ROT_UNIT + at / 8, at % 8, NULL};

			if (is_taken(random, stride))
				run_case(scene, &damage, &tally);
		}
	}
	tell(scene, bits, &tally);
}

static void test_flip(const void *data)
{
	TestRandom random = test_random_new(test_seed());

	(void)data;
	make_scenes();
	for (guint i = 0; i < 2; i++) {
		note_reads(scenes[i]);
		flip_bits(scenes[i], &random, 800);
	}
}

/* ---- every length */

/* Bytes between two lengths that are tried: in what is metadata, every one. */
static guint64 cut_step(const RotImage *image, guint64 at)
{
	guint64 unit = at / ROT_UNIT;

	return image->versions[unit] && image->versions[unit]->len > 1 && image->read[unit]
		       ? 1
		       : SECTOR_SIZE - at % SECTOR_SIZE;
}

static void cut_everywhere(const Scene *scene, TestRandom *random, guint64 sample)
{
	const RotImage *image = scene->image;
	guint64 lengths = 0, stride;
	Tally tally = {0};

	for (guint64 at = 0; at < image->size; at += cut_step(image, at))
		lengths++;
	stride = stride_for(lengths, sample);
	for (guint64 at = 0; at < image->size && !test_failed(); at += cut_step(image, at)) {
		Damage damage = {CUT, at, 0, NULL};

		if (is_taken(random, stride))
			run_case(scene, &damage, &tally);
	}
	tell(scene, lengths, &tally);
}

static void test_cut(const void *data)
{
	TestRandom random = test_random_new(test_seed());

	(void)data;
	make_scenes();
	for (guint i = 0; i < 2; i++) {
		note_reads(scenes[i]);
		cut_everywhere(scenes[i], &random, 400);
	}
}

/* ---- every pair */

static GArray *written_units(const RotImage *image)
{
	GArray *units = g_array_new(FALSE, FALSE, sizeof(guint64));

	for (guint64 unit = 0; unit < image->n_units; unit++)
		if (image->versions[unit] && image->versions[unit]->len > 1)
			g_array_append_val(units, unit);
	return units;
}

static void swap_pairs(const Scene *scene, TestRandom *random, guint64 sample)
{
	g_autoptr(GArray) units = written_units(scene->image);
	guint64 pairs = (guint64)units->len * (units->len - 1) / 2;
	guint64 stride = stride_for(pairs, sample);
	Tally tally = {0};

	for (guint i = 0; i < units->len; i++)
		for (guint j = i + 1; j < units->len && !test_failed(); j++) {
			Damage damage = {SWAP, g_array_index(units, guint64, i),
					 g_array_index(units, guint64, j), NULL};

			if (is_taken(random, stride))
				run_case(scene, &damage, &tally);
		}
	tell(scene, pairs, &tally);
}

static void test_swap(const void *data)
{
	TestRandom random = test_random_new(test_seed());

	(void)data;
	make_scenes();
	for (guint i = 0; i < 2; i++)
		swap_pairs(scenes[i], &random, 400);
}

/* ---- every older version */

static void put_versions(const Scene *scene, TestRandom *random, guint64 sample)
{
	g_autoptr(GArray) units = written_units(scene->image);
	guint64 versions = 0, stride;
	Tally tally = {0};

	for (guint i = 0; i < units->len; i++)
		versions += scene->image->versions[g_array_index(units, guint64, i)]->len - 1;
	stride = stride_for(versions, sample);
	for (guint i = 0; i < units->len; i++) {
		guint64 unit = g_array_index(units, guint64, i);
		const GPtrArray *list = scene->image->versions[unit];

		for (guint v = 0; v + 1 < list->len && !test_failed(); v++) {
			Damage damage = {PUT, unit, v, list->pdata[v]};

			if (is_taken(random, stride))
				run_case(scene, &damage, &tally);
		}
	}
	tell(scene, versions, &tally);
}

static void test_put_back(const void *data)
{
	TestRandom random = test_random_new(test_seed());

	(void)data;
	make_scenes();
	for (guint i = 0; i < 2; i++)
		put_versions(scenes[i], &random, 700);
}

int main(int argc, char **argv)
{
	int status;

	logging_set_sink(no_log);
	mallopt(M_MMAP_THRESHOLD, 64 * MIB); /* much time goes into faulting in fresh memory */
	mallopt(M_TRIM_THRESHOLD, G_MAXINT);
	signal(SIGALRM, took_too_long);
	test_add("rot: nothing is damaged, and all is right", test_sound, NULL);
	test_add("rot: a bit is flipped", test_flip, NULL);
	test_add("rot: the backing is cut", test_cut, NULL);
	test_add("rot: two blocks are swapped", test_swap, NULL);
	test_add("rot: an older version of a block is back", test_put_back, NULL);
	status = test_run(argc, argv);
	for (guint i = 0; i < 2; i++)
		scene_free(scenes[i]);
	return status;
}
