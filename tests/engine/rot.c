/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rot, enumerated.  Every bit of a small volume's backing is flipped, one at a time; the backing
 * is truncated to every length; every pair of its blocks is swapped; every older version of each
 * block is put back.  A read returns the right data, or an error that names the block (I4).  Check
 * finds whatever cannot be read.  Nothing crashes or hangs.
 *
 * After each damage: check, an open for reading, and a read of everything that was ever written
 * (rot-scene.h, SCENE_FEW).  After some, the volume is also used: more is read, then it is opened
 * for writing, read, written, read again, closed, and read once more.  This costs ten times as
 * much.  It is done for each swap and each older version, for one bit of each byte, and for one
 * length in eight.
 *
 * There are three volumes: one was closed; the process of another died with records in the journal,
 * of which some were flushed; the third has snapshots, which are read as well, and scrubbed.
 *
 * STORAGEOS_ROT=1 runs all cases, which takes 20 minutes of one processor; STORAGEOS_ROT=N runs
 * one case in N; STORAGEOS_ROT=I/N (1/N ... N/N) one part of all.  Without it each test takes a
 * sample.  The seed decides which.
 */
#include <malloc.h>

#include "common/check/check.h"
#include "common/engine/journal-ring.h"
#include "common/base/logging.h"
#include "common/engine/superblock.h"
#include "tests/engine/rot-sweep.h"

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

/* ---- the volumes */

static Scene *scenes[SCENE_KINDS]; /* made when first needed */

/* Notes in the image which bytes are ever read. */
static void note_reads(const Scene *scene)
{
	g_autoptr(Backing) copy = rot_copy_new(scene->image);
	g_autoptr(CheckResult) result = NULL;
	guint8 lost[SCENE_PLACES];
	Volume *volume;

	rot_copy_note(copy);
	result = check_run(copy, NULL, NULL, NULL);
	CHECK(result && !result->errors);
	volume = volume_open(backing_borrow(copy), "test", VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(volume);
	scene_read(scene, volume, scene_all_states(scene), NULL, SCENE_WHOLE);
	volume_abandon(volume);
	for (guint i = 0; i < scene->n_snapshots; i++)
		CHECK(scene_read_snapshot(scene, i, copy, lost));
	volume = volume_open(backing_borrow(copy), "test", 0, NULL);
	REQUIRE(volume);
	scene_read(scene, volume, scene_all_states(scene), NULL, SCENE_WHOLE);
	volume_close(volume, NULL);
}

static const char *const scene_names[SCENE_KINDS] = {
	[SCENE_CLOSED] = "closed",
	[SCENE_DIED] = "died",
	[SCENE_SHARED] = "snapshots",
};

/* The scene whose kind is a test's data. */
static const Scene *the_scene(const void *data)
{
	SceneKind kind = GPOINTER_TO_UINT(data);

	if (!scenes[kind]) {
		scenes[kind] = scene_new(scene_names[kind], kind);
		note_reads(scenes[kind]);
	}
	return scenes[kind];
}

static gboolean note_kind(const Record *record, gpointer data)
{
	*(guint *)data |= 1u << record->kind;
	return TRUE;
}

/* The journal to be replayed has records of every kind. */
static void check_kinds(Backing *copy)
{
	g_autoptr(JournalRing) ring = NULL;
	SuperblockPair pair;
	guint kinds = 0;
	Seal seal;

	REQUIRE(superblock_load(copy, &pair, NULL));
	seal = (Seal){pair.current.seed};
	REQUIRE(!journal_ring_read(copy, &pair.current, &seal, &ring));
	journal_ring_scan(ring, pair.current.journal_sequence - 1, note_kind, &kinds);
	CHECK_UINT(kinds, 1u << FORMAT_RECORD_WRITE | 1u << FORMAT_RECORD_ZERO |
				  1u << FORMAT_RECORD_DURABLE | 1u << FORMAT_RECORD_WRAP);
}

static void test_sound(const void *data)
{
	const Scene *scene = the_scene(data);
	const RotImage *image = scene->image;
	g_autoptr(Backing) copy = rot_copy_new(scene->image);
	guint64 written = 0, versions = 0, read = 0;
	Volume *volume;
	Sight sight;

	if (scene == scenes[SCENE_DIED])
		check_kinds(copy);
	volume = volume_open(backing_borrow(copy), "test", 0, NULL);
	REQUIRE(volume);
	sight = scene_read(scene, volume, scene_all_states(scene), NULL, SCENE_WHOLE);
	CHECK_UINT(sight.errors, 0);
	CHECK(sight.allowed >> (scene->n_states - 1) & 1); /* without damage: the last state */
	volume_abandon(volume);
	for (guint64 unit = 0; unit < image->n_units; unit++) {
		const GPtrArray *list = image->versions[unit];

		written += list && list->len > 1;
		versions += list && list->len > 1 ? list->len : 0;
	}
	for (guint64 at = 0; at < image->size; at++)
		read += image->read[at];
	test_note("%s: %" G_GUINT64_FORMAT " blocks of the backing written, in "
		  "%" G_GUINT64_FORMAT " versions; %" G_GUINT64_FORMAT " bytes are ever read; "
		  "%u states may be found",
		  scene->name, written, versions, read, scene->n_states);
}

/* ---- one damage */

typedef enum { FLIP, PUT, SWAP, CUT } DamageKind;

typedef struct {
	DamageKind kind;
	guint64 at;	     /* FLIP, CUT: byte; else unit */
	guint64 other;	     /* FLIP: bit; SWAP: unit; PUT: version */
	const guint8 *bytes; /* PUT */
} Damage;

static void name_case(RotSweep *sweep, const Damage *damage)
{
	static const char *const names[] = {"flip", "put back", "swap", "cut"};

	sweep_name(sweep,
		   "%s %" G_GUINT64_FORMAT " (unit %" G_GUINT64_FORMAT "), %" G_GUINT64_FORMAT,
		   names[damage->kind], damage->at,
		   damage->kind == FLIP || damage->kind == CUT ? damage->at / ROT_UNIT : damage->at,
		   damage->other);
}

static void do_damage(RotSweep *sweep, const Damage *damage)
{
	const guint8 *bytes = sweep->scene->image->bytes;

	rot_copy_renew(sweep->copy);
	switch (damage->kind) {
	case FLIP:
		rot_copy_flip(sweep->copy, damage->at, (guint)damage->other);
		break;
	case PUT:
		rot_copy_put(sweep->copy, damage->at, damage->bytes);
		break;
	case SWAP:
		rot_copy_put(sweep->copy, damage->at, bytes + damage->other * ROT_UNIT);
		rot_copy_put(sweep->copy, damage->other, bytes + damage->at * ROT_UNIT);
		break;
	case CUT:
		rot_copy_cut(sweep->copy, damage->at);
		break;
	}
}

/* `use`: the volume is also used. */
static void run_case(RotSweep *sweep, const Damage *damage, gboolean use)
{
	name_case(sweep, damage);
	do_damage(sweep, damage);
	sweep_judge(sweep, use ? SWEEP_WRITE : SWEEP_READ);
	if (!use)
		return;
	do_damage(sweep, damage);
	sweep_judge(sweep, SWEEP_MEND);
	if (!sweep->scene->n_snapshots)
		return;
	do_damage(sweep, damage);
	sweep_judge(sweep, SWEEP_SCRUB);
}

/* ---- every bit */

/* How many bits of this byte are flipped: all bits of bytes that are ever read, and one bit in
 * each unit of the others, which have no effect. */
static guint bits_to_flip(const RotImage *image, guint64 at)
{
	if (image->read[at])
		return 8;
	return at % ROT_UNIT == ROT_UNIT - 1;
}

static void test_flip(const void *data)
{
	const Scene *scene = the_scene(data);
	const RotImage *image = scene->image;
	RotSweep sweep;
	guint64 bits = 0;

	for (guint64 at = 0; at < image->size; at++)
		bits += bits_to_flip(image, at);
	sweep = sweep_begin(scene, bits, 6000);
	for (guint64 at = 0; at < image->size; at++)
		for (guint bit = 0; bit < bits_to_flip(image, at); bit++) {
			Damage damage = {FLIP, at, bit, NULL};

			if (sweep_takes(&sweep))
				run_case(&sweep, &damage, bit == at % 8);
		}
	sweep_end(&sweep);
}

/* ---- every length */

/* The distance to the next length: one byte where bytes were written and are read. */
static guint64 cut_step(const RotImage *image, guint64 at)
{
	const GPtrArray *versions = image->versions[at / ROT_UNIT];

	return versions && versions->len > 1 && image->read[at] ? 1
								: SECTOR_SIZE - at % SECTOR_SIZE;
}

static void test_cut(const void *data)
{
	const Scene *scene = the_scene(data);
	const RotImage *image = scene->image;
	RotSweep sweep;
	guint64 lengths = 0, n = 0;

	for (guint64 at = 0; at < image->size; at += cut_step(image, at))
		lengths++;
	sweep = sweep_begin(scene, lengths, 1500);
	for (guint64 at = 0; at < image->size; at += cut_step(image, at), n++) {
		Damage damage = {CUT, at, 0, NULL};

		if (sweep_takes(&sweep))
			run_case(&sweep, &damage, n % 8 == 0);
	}
	sweep_end(&sweep);
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

static void test_swap(const void *data)
{
	const Scene *scene = the_scene(data);
	g_autoptr(GArray) units = written_units(scene->image);
	guint64 pairs = (guint64)units->len * (units->len - 1) / 2;
	RotSweep sweep = sweep_begin(scene, pairs, 700);

	for (guint i = 0; i < units->len; i++)
		for (guint j = i + 1; j < units->len; j++) {
			Damage damage = {SWAP, g_array_index(units, guint64, i),
					 g_array_index(units, guint64, j), NULL};

			if (sweep_takes(&sweep))
				run_case(&sweep, &damage, TRUE);
		}
	sweep_end(&sweep);
}

/* ---- every older version */

static void test_put_back(const void *data)
{
	const Scene *scene = the_scene(data);
	g_autoptr(GArray) units = written_units(scene->image);
	RotSweep sweep;
	guint64 versions = 0;

	for (guint i = 0; i < units->len; i++)
		versions += scene->image->versions[g_array_index(units, guint64, i)]->len - 1;
	sweep = sweep_begin(scene, versions, 700);
	for (guint i = 0; i < units->len; i++) {
		guint64 unit = g_array_index(units, guint64, i);
		const GPtrArray *list = scene->image->versions[unit];

		for (guint v = 0; v + 1 < list->len; v++) {
			Damage damage = {PUT, unit, v, list->pdata[v]};

			if (sweep_takes(&sweep))
				run_case(&sweep, &damage, TRUE);
		}
	}
	sweep_end(&sweep);
}

/* ---- several blocks at once */

#define SEVERAL 10u /* the most blocks */

static const char *damage_unit(RotSweep *sweep, guint64 unit, const GArray *units, guint how)
{
	const GPtrArray *versions = sweep->scene->image->versions[unit];
	guint8 bytes[ROT_UNIT] = {0};
	guint64 other;

	switch (how) {
	case 0:
		rot_copy_put(sweep->copy, unit, bytes);
		return "zeros";
	case 1:
		test_random_fill(&sweep->random, bytes, sizeof bytes);
		rot_copy_put(sweep->copy, unit, bytes);
		return "garbage";
	case 2:
		other = test_random_below(&sweep->random, versions->len);
		rot_copy_put(sweep->copy, unit, versions->pdata[other]);
		return "older";
	default:
		other = g_array_index(units, guint64,
				      test_random_below(&sweep->random, units->len));
		rot_copy_put(sweep->copy, unit, sweep->scene->image->bytes + other * ROT_UNIT);
		return "another's";
	}
}

/* If the marks beside the ring are lost together with records in it, nothing tells what was
 * flushed since the last checkpoint. */
static gboolean is_beyond_promise(gboolean marks, gboolean ring)
{
	return marks && ring;
}

/* Damages several blocks, random or consecutive, in one way or in several.  FALSE: nothing could
 * notice this damage. */
static gboolean damage_several(RotSweep *sweep, const GArray *units)
{
	TestRandom *random = &sweep->random;
	guint n = 2 + (guint)test_random_below(random, SEVERAL - 1);
	guint first = (guint)test_random_below(random, units->len);
	guint way = (guint)test_random_below(random, 8);
	gboolean neighbours = test_random_below(random, 4) == 0, marks = FALSE, ring = FALSE;
	g_autoptr(GString) what = g_string_new(NULL);

	rot_copy_renew(sweep->copy);
	for (guint i = 0; i < n; i++) {
		guint at = neighbours ? (first + i) % units->len
				      : (guint)test_random_below(random, units->len);
		guint64 unit = g_array_index(units, guint64, at);
		guint how = way < 4 ? way : (guint)test_random_below(random, 4);

		marks |=
			unit * ROT_UNIT - FORMAT_MARKS_OFFSET < FORMAT_MARKS * FORMAT_MARK_DISTANCE;
		ring |= unit * ROT_UNIT - FORMAT_JOURNAL_OFFSET < SCENE_JOURNAL;
		g_string_append_printf(what, "%" G_GUINT64_FORMAT " %s, ", unit,
				       damage_unit(sweep, unit, units, how));
	}
	sweep_name(sweep, "%s", what->str);
	return !is_beyond_promise(marks, ring);
}

static void test_several(const void *data)
{
	const Scene *scene = the_scene(data);
	g_autoptr(GArray) units = written_units(scene->image);
	const guint64 cases = 400000;
	RotSweep sweep = sweep_begin(scene, cases, 1500);

	for (guint64 i = 0; i < cases; i++)
		if (sweep_takes(&sweep) && damage_several(&sweep, units))
			sweep_judge(&sweep, i % 2 ? SWEEP_WRITE : SWEEP_MEND);
	sweep_end(&sweep);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		TestFunction run;
	} tests[] = {
		{"nothing is damaged, and all is right", test_sound},
		{"a bit is flipped", test_flip},
		{"the backing is cut", test_cut},
		{"two blocks are swapped", test_swap},
		{"an older version of a block is back", test_put_back},
		{"several blocks are damaged", test_several},
	};
	int status;

	logging_set_sink(no_log);
	mallopt(M_MMAP_THRESHOLD, 64 * MIB); /* otherwise much time goes into page faults */
	mallopt(M_TRIM_THRESHOLD, G_MAXINT);
	for (guint i = 0; i < G_N_ELEMENTS(tests) * SCENE_KINDS; i++) {
		guint kind = i % SCENE_KINDS;
		g_autofree char *name = g_strdup_printf("rot: %s: %s", scene_names[kind],
							tests[i / SCENE_KINDS].name);

		test_add(name, tests[i / SCENE_KINDS].run, GUINT_TO_POINTER(kind));
	}
	status = test_run(argc, argv);
	for (guint i = 0; i < SCENE_KINDS; i++)
		scene_free(scenes[i]);
	return status;
}
