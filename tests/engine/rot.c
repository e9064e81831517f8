/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rot, enumerated: every bit of a small volume's backing is flipped, one at a time; it is cut
 * everywhere; every pair of its blocks is swapped; every older version of each of its blocks is put
 * back.  What is read is right, or an error that names the place (I4); whatever cannot be read is
 * found by check; nothing crashes or hangs.
 *
 * After each damage: check, open for reading, read of everything that was ever written
 * (rot-scene.h, SCENE_FEW).  After some the volume is used as well: more is read, it is opened for
 * writing, read, written, read again, closed, and read once more.  That is ten times as dear, and
 * done for each swap and each older version; for one bit of each byte; for one length in eight.
 *
 * Two volumes: one that was closed, and one whose process died with records in its journal, flushed
 * ones and others.
 *
 * All of it takes 20 minutes of one processor: STORAGEOS_ROT=1 does that, STORAGEOS_ROT=N
 * one case in N, STORAGEOS_ROT=I/N (1/N ... N/N) a part of all, with a test's name as argument that
 * one alone.  Without it each test takes a sample.  The seed decides which.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include "common/check.h"
#include "common/error.h"
#include "common/journal-ring.h"
#include "common/logging.h"
#include "common/repair.h"
#include "common/superblock.h"
#include "tests/engine/rot-scene.h"

#define CASE_SECONDS 60 /* no case may take longer; each takes milliseconds */
#define PART_CASES 64u	/* that go together into one part of all */
#define NEWS_ROUNDS 8u
#define NEWS 1000000u /* the number of what is written after an open */

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

/* The cases of a test. */
typedef struct {
	const Scene *scene;
	Backing *copy; /* made new for each */
	TestRandom random;
	guint64 of, met;       /* cases that there are, and that were come across */
	guint64 stride;	       /* one in so many is taken */
	guint64 part, n_parts; /* 0 ... n_parts - 1 */
	guint64 cases, used, noticed, refused, lost;
} Sweep;

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

static void do_damage(Sweep *sweep, const Damage *damage)
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

static CheckResult *checked(Backing *backing)
{
	return check_run(backing, NULL, NULL, NULL);
}

/* Whether check has something to say. */
static gboolean is_noticed(const CheckResult *result)
{
	return !result || result->errors;
}

static gboolean is_listed(const CheckResult *result, guint64 block)
{
	for (guint i = 0; result && i < result->lost->len; i++) {
		const CheckRange *range = &g_array_index(result->lost, CheckRange, i);

		if (range->first <= block && block < range->end)
			return TRUE;
	}
	return FALSE;
}

/* What cannot be read, check lists. */
static void check_lists_lost(const CheckResult *result, const Sight *sight)
{
	CHECK(is_noticed(result) || !sight->errors);
	for (guint place = 0; place < SCENE_PLACES; place++)
		if (sight->lost[place] && !is_listed(result, scene_block(place)))
			FAIL("block %" G_GUINT64_FORMAT
			     " cannot be read, and check does not list it",
			     scene_block(place));
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

static Volume *try_open(Sweep *sweep, VolumeOpenFlags flags, gboolean noticed)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = volume_open(backing_borrow(sweep->copy), "test", flags, &error);

	if (volume)
		return volume;
	check_names_place(error);
	if (!noticed)
		FAIL("open says '%s', check nothing", error->message);
	sweep->refused += flags == VOLUME_OPEN_READ_ONLY;
	return NULL;
}

/* Writes to every other place, again and again, so that many slots that count as free are taken;
 * what was written, and the rest, reads as it should. */
static void write_on(Sweep *sweep, Volume *volume, const Sight *before)
{
	const Scene *scene = sweep->scene;
	guint32 news[SCENE_PLACES] = {0};
	Sight after;

	for (guint round = 0; round < NEWS_ROUNDS; round++)
		for (guint place = 0; place < SCENE_PLACES; place += 2)
			if (!scene_write(volume, place, NEWS + round))
				news[place] = NEWS + round;
	volume_checkpoint(volume);
	after = scene_read(scene, volume, before->allowed, news, SCENE_MOST);
	for (guint place = 0; place < SCENE_PLACES; place++)
		CHECK(!after.lost[place] || before->lost[place]);
	if (!volume_close(volume, NULL))
		return;
	volume = volume_open(backing_borrow(sweep->copy), "test", VOLUME_OPEN_READ_ONLY, NULL);
	if (!CHECK(volume != NULL))
		return;
	scene_read(scene, volume, before->allowed, news, SCENE_FEW);
	volume_abandon(volume);
}

/* What repair would say: it wants a replay only of what opens, and an end of the journal only of
 * what does not. */
static void check_plan(Sweep *sweep, gboolean opened)
{
	g_autoptr(RepairPlan) plan = repair_plan(sweep->copy, 0, NULL, NULL, NULL);

	if (!plan)
		CHECK(!opened);
	else if (opened)
		CHECK(!plan->may_cut);
	else
		CHECK(!plan->replay);
}

/* `use`: it is not only read. */
static void run_case(Sweep *sweep, const Damage *damage, gboolean use)
{
	const Scene *scene = sweep->scene;
	g_autoptr(CheckResult) result = NULL;
	gboolean opened;
	Volume *volume;
	Sight sight;

	begin_case(scene, damage);
	do_damage(sweep, damage);
	result = checked(sweep->copy);
	sweep->cases++;
	sweep->used += use;
	sweep->noticed += is_noticed(result);
	volume = try_open(sweep, VOLUME_OPEN_READ_ONLY, is_noticed(result));
	opened = volume != NULL;
	if (volume) {
		sight = scene_read(scene, volume, scene_all_states(scene), NULL,
				   use ? SCENE_MOST : SCENE_FEW);
		sweep->lost += sight.errors != 0;
		check_lists_lost(result, &sight);
		volume_abandon(volume);
	}
	if (use)
		check_plan(sweep, opened);
	volume = use ? try_open(sweep, 0, is_noticed(result)) : NULL;
	if (volume) {
		sight = scene_read(scene, volume, scene_all_states(scene), NULL, SCENE_FEW);
		check_lists_lost(result, &sight);
		write_on(sweep, volume, &sight);
	}
}

/* ---- the two volumes, and how much of everything */

static Scene *scenes[2]; /* made when first asked for */

/* Of `of` cases about `sample` are taken, unless something else is asked for. */
static Sweep sweep_begin(const Scene *scene, guint64 of, guint64 sample)
{
	const char *wanted = g_getenv("STORAGEOS_ROT");
	Sweep sweep = {
		.scene = scene,
		.copy = rot_copy_new(scene->image),
		.random = test_random_new(test_seed()),
		.of = of,
		.stride = MAX(of / (test_is_instrumented() ? sample / 16 : sample), 1),
		.n_parts = 1,
	};
	char *rest;

	if (!wanted)
		return sweep;
	sweep.stride = MAX(g_ascii_strtoull(wanted, &rest, 10), 1);
	if (*rest == '/') { /* one part of all */
		sweep.part = sweep.stride - 1;
		sweep.n_parts = MAX(g_ascii_strtoull(rest + 1, NULL, 10), 1);
		sweep.stride = 1;
	}
	return sweep;
}

/* Whether the next case is to be run; none is once one failed. */
static gboolean sweep_takes(Sweep *sweep)
{
	guint64 number = sweep->met++;

	if (sweep->stride > 1)
		return test_random_below(&sweep->random, sweep->stride) == 0 && !test_failed();
	return number / PART_CASES % sweep->n_parts == sweep->part && !test_failed();
}

static void sweep_end(Sweep *sweep)
{
	alarm(0);
	backing_free(sweep->copy);
	test_note("%s: %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT " cases, %" G_GUINT64_FORMAT
		  " of them used as well; check noticed %" G_GUINT64_FORMAT ", %" G_GUINT64_FORMAT
		  " not opened, blocks lost in %" G_GUINT64_FORMAT,
		  sweep->scene->name, sweep->cases, sweep->of, sweep->used, sweep->noticed,
		  sweep->refused, sweep->lost);
}

/* Notes in the image which bytes anything reads at all. */
static void note_reads(const Scene *scene)
{
	g_autoptr(Backing) copy = rot_copy_new(scene->image);
	g_autoptr(CheckResult) result = NULL;
	Volume *volume;

	rot_copy_note(copy);
	result = checked(copy);
	CHECK(!is_noticed(result));
	volume = volume_open(backing_borrow(copy), "test", VOLUME_OPEN_READ_ONLY, NULL);
	REQUIRE(volume);
	scene_read(scene, volume, scene_all_states(scene), NULL, SCENE_WHOLE);
	volume_abandon(volume);
	volume = volume_open(backing_borrow(copy), "test", 0, NULL);
	REQUIRE(volume);
	scene_read(scene, volume, scene_all_states(scene), NULL, SCENE_WHOLE);
	volume_close(volume, NULL);
}

/* Of a test's data: 0 or 1. */
static const Scene *the_scene(const void *data)
{
	guint i = GPOINTER_TO_UINT(data);

	if (!scenes[i]) {
		scenes[i] = scene_new(i ? "died" : "closed", i);
		note_reads(scenes[i]);
	}
	return scenes[i];
}

static gboolean note_kind(const Record *record, gpointer data)
{
	*(guint *)data |= 1u << record->kind;
	return TRUE;
}

/* Records of every kind are to be replayed. */
static void check_kinds(Backing *copy)
{
	g_autoptr(JournalRing) ring = NULL;
	SuperblockPair pair;
	guint kinds = 0;

	REQUIRE(superblock_load(copy, &pair, NULL));
	REQUIRE(!journal_ring_read(copy, &pair.current, &ring));
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

	if (scene == scenes[1])
		check_kinds(copy);
	volume = volume_open(backing_borrow(copy), "test", 0, NULL);
	REQUIRE(volume);
	sight = scene_read(scene, volume, scene_all_states(scene), NULL, SCENE_WHOLE);
	CHECK_UINT(sight.errors, 0);
	CHECK(sight.allowed >> (scene->n_states - 1) & 1); /* nothing happened: the last */
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

/* ---- every bit */

/* How many bits of this byte are flipped: all that anything reads, and of the rest one of each
 * unit: what nothing reads can do nothing. */
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
	Sweep sweep;
	guint64 bits = 0;

	for (guint64 at = 0; at < image->size; at++)
		bits += bits_to_flip(image, at);
	sweep = sweep_begin(scene, bits, 12000);
	for (guint64 at = 0; at < image->size; at++)
		for (guint bit = 0; bit < bits_to_flip(image, at); bit++) {
			Damage damage = {FLIP, at, bit, NULL};

			if (sweep_takes(&sweep))
				run_case(&sweep, &damage, bit == at % 8);
		}
	sweep_end(&sweep);
}

/* ---- every length */

/* Bytes between two lengths that are tried: every one in what was written and is read. */
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
	Sweep sweep;
	guint64 lengths = 0, n = 0;

	for (guint64 at = 0; at < image->size; at += cut_step(image, at))
		lengths++;
	sweep = sweep_begin(scene, lengths, 2500);
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
	Sweep sweep = sweep_begin(scene, pairs, 700);

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
	Sweep sweep;
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
	};
	int status;

	logging_set_sink(no_log);
	mallopt(M_MMAP_THRESHOLD, 64 * MIB); /* much time goes into faulting in fresh memory */
	mallopt(M_TRIM_THRESHOLD, G_MAXINT);
	signal(SIGALRM, took_too_long);
	for (guint i = 0; i < G_N_ELEMENTS(tests) * 2; i++) {
		g_autofree char *name = g_strdup_printf("rot: %s: %s", i % 2 ? "died" : "closed",
							tests[i / 2].name);

		test_add(name, tests[i / 2].run, GUINT_TO_POINTER(i % 2));
	}
	status = test_run(argc, argv);
	for (guint i = 0; i < 2; i++)
		scene_free(scenes[i]);
	return status;
}
