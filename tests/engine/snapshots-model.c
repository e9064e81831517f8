/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random sequences of everything that a volume with snapshots can do, against shadow copies of the
 * volume and of each snapshot.  The volume is sparse, up to 64 TiB: a few blocks in leaves that are
 * near each other and far apart, so that whole subtrees come and go.
 *
 * What the volume frees in the background waits (checkpointer_hold()), and is done in a random
 * number of steps, so that every state in the middle of it is seen.  After each operation the disk
 * that a death or a power cut would leave is checked: nothing may be wrong with it (I5), and every
 * snapshot must read as its shadow does (I4).
 *
 * A sequence is a function of its seed.  When one fails, its operations are printed.
 * STORAGEOS_SEQUENCES=N tries N sequences instead of a few; STORAGEOS_TEST_SEED=SEED begins with
 * that one, and STORAGEOS_OPERATIONS=N ends each after N operations.
 */
#include "common/base/bounds.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/check/repair.h"
#include "common/engine/checkpointer-private.h"
#include "common/engine/volume-private.h"
#include "common/engine/volume-snapshots.h"
#include "tests/backing/faulty.h"
#include "tests/engine/snapshot-shadow.h"
#include "tests/engine/support.h"
#include "tests/engine/usage-proof.h"

#define SEQUENCES 25u
#define OPERATIONS 120u
#define SNAPSHOTS 9u
#define SECONDS 60

typedef struct {
	char name[VOLUME_SNAPSHOT_NAME_MAX + 1];
	ShadowContent content;
	gboolean bookmark; /* it has no content any more */
} ShadowSnapshot;

typedef struct {
	guint64 seed;
	TestRandom random;
	TestRandom usage_random; /* its own, so that seeds mean what they did before */
	TestRandom repair_random;
	Backing *backing;
	Volume *volume;
	ShadowContent head;
	GArray *snapshots; /* of ShadowSnapshot */
	guint32 stamp;	   /* of the last block written */
	guint names;
	GString *story;
} SnapshotModel;

static guint64 choose(SnapshotModel *model, guint64 n)
{
	return test_random_below(&model->random, n);
}

static void G_GNUC_PRINTF(2, 3) tell(SnapshotModel *model, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_string_append(model->story, "; ");
	g_string_append_vprintf(model->story, format, args);
	va_end(args);
}

/* A place that the volume has. */
static guint choose_place(SnapshotModel *model)
{
	guint place;

	do
		place = (guint)choose(model, SHADOW_PLACES);
	while (!shadow_has(place, model->head.size));
	return place;
}

static ShadowSnapshot *snapshot_at(SnapshotModel *model, guint i)
{
	return &g_array_index(model->snapshots, ShadowSnapshot, i);
}

/* One of those with content, or of the bookmarks; NULL: there is none. */
static ShadowSnapshot *choose_snapshot(SnapshotModel *model, gboolean bookmark)
{
	guint from = (guint)choose(model, SNAPSHOTS);

	for (guint i = 0; i < model->snapshots->len; i++) {
		ShadowSnapshot *s = snapshot_at(model, (from + i) % model->snapshots->len);

		if (s->bookmark == bookmark)
			return s;
	}
	return NULL;
}

/* ---- proofs */

static gboolean compare_snapshot(Backing *disk, const ShadowSnapshot *shadow)
{
	return shadow_compare_snapshot(disk, shadow->name, &shadow->content);
}

/* What is found on a disk, which holds all that was acknowledged if `all`. */
static gboolean prove(SnapshotModel *model, Backing *disk, gboolean all)
{
	gboolean good = backing_check(disk);
	Volume *volume;

	for (guint i = 0; i < model->snapshots->len && good; i++)
		if (!snapshot_at(model, i)->bookmark)
			good = compare_snapshot(disk, snapshot_at(model, i));
	if (!good || choose(model, 4))
		return good;
	volume = backing_open_volume(disk);
	if (!CHECK(volume != NULL))
		return FALSE;
	good = !all || shadow_compare(volume, &model->head, "after recovery");
	close_volume(volume);
	return good && backing_check(disk);
}

/* The disk that the death of the process would leave, or a loss of power. */
static gboolean prove_now(SnapshotModel *model)
{
	gboolean death = choose(model, 3) > 0;
	g_autoptr(Backing) disk =
		backing_faulty_crash(model->backing, death ? G_MAXUINT64 : choose(model, 1000));

	return prove(model, disk, death);
}

/* ---- operations */

static void do_write(SnapshotModel *model)
{
	guint place = choose_place(model);
	guint64 words[BLOCK_SIZE / 8];

	tell(model, "write %" G_GUINT64_FORMAT, shadow_block(place));
	model->head.values[place] = ++model->stamp;
	shadow_fill(shadow_block(place), model->stamp, words);
	CHECK_INT(volume_put(model->volume, words, BLOCK_SIZE, shadow_block(place) * BLOCK_SIZE),
		  0);
}

/* Discards what a node covers, or a block, or what is between two places, or everything. */
static void do_discard(SnapshotModel *model)
{
	guint64 block = shadow_block(choose_place(model)), end = model->head.size / BLOCK_SIZE;
	guint64 first = block, last = block + 1, kind = choose(model, 8);

	if (kind < 5) {
		guint shift = 8 * (guint)(kind + 1);

		first = block >> shift << shift;
		last = first + ((guint64)1 << shift);
	} else if (kind == 6) {
		last = shadow_block(choose_place(model));
		first = MIN(first, last);
		last = MAX(block, last) + 1;
	}
	last = MIN(last, end);
	tell(model, "discard %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT, first, last);
	CHECK_INT(volume_discard(model->volume, first * BLOCK_SIZE, (last - first) * BLOCK_SIZE),
		  0);
	for (guint i = 0; i < SHADOW_PLACES; i++)
		if (shadow_block(i) >= first && shadow_block(i) < last)
			model->head.values[i] = 0;
}

static void do_checkpoint(SnapshotModel *model)
{
	tell(model, "checkpoint");
	CHECK_INT(volume_checkpoint(model->volume), 0);
}

static void add_snapshot(SnapshotModel *model, const char *name, const ShadowContent *content)
{
	ShadowSnapshot shadow = {.content = *content};

	g_strlcpy(shadow.name, name, sizeof shadow.name);
	g_array_append_val(model->snapshots, shadow);
}

static void do_snapshot(SnapshotModel *model)
{
	g_autofree char *name = g_strdup_printf("s%u", ++model->names);
	VolumeSnapshotParameters parameters = {.name = name};
	ShadowContent content = model->head;
	g_autoptr(GError) error = NULL;
	guint64 generation = 0;

	if (model->snapshots->len >= SNAPSHOTS)
		return;
	tell(model, "snapshot %s", name);
	CHECK(volume_snapshot_begin(model->volume, &parameters, &generation, &error));
	CHECK_NO_ERROR(error);
	if (choose(model, 2))
		do_write(model);
	g_clear_error(&error);
	CHECK(volume_snapshot_wait(model->volume, generation, SECONDS, &error));
	CHECK_NO_ERROR(error);
	add_snapshot(model, name, &content);
}

static gpointer run_checkpoint(gpointer volume)
{
	CHECK_INT(volume_checkpoint(volume), 0);
	return NULL;
}

/* One whose instant is while a checkpoint is made: before, in or after that one's flush. */
static void do_overlapping(SnapshotModel *model)
{
	g_autofree char *name = g_strdup_printf("o%u", ++model->names);
	VolumeSnapshotParameters parameters = {.name = name};
	g_autoptr(GError) error = NULL;
	guint64 generation = 0;
	ShadowContent content;
	GThread *other;

	if (model->snapshots->len >= SNAPSHOTS)
		return;
	tell(model, "snapshot %s during a checkpoint", name);
	other = g_thread_new("checkpoint", run_checkpoint, model->volume);
	if (choose(model, 2))
		do_write(model);
	g_usleep((gulong)choose(model, 400));
	content = model->head;
	CHECK(volume_snapshot_begin(model->volume, &parameters, &generation, &error));
	CHECK_NO_ERROR(error);
	for (guint64 n = choose(model, 3); n--;)
		do_write(model);
	prove_now(model);
	g_clear_error(&error);
	CHECK(volume_snapshot_wait(model->volume, generation, SECONDS, &error));
	CHECK_NO_ERROR(error);
	g_thread_join(other);
	add_snapshot(model, name, &content);
}

static void do_delete(SnapshotModel *model)
{
	gboolean bookmark = choose(model, 4) == 0, keep = !bookmark && choose(model, 5) == 0;
	ShadowSnapshot *shadow = choose_snapshot(model, bookmark);
	g_autoptr(GError) error = NULL;

	if (!shadow)
		return;
	tell(model, "delete %s%s", shadow->name, keep ? " (bookmark)" : "");
	CHECK(volume_snapshot_delete(model->volume, shadow->name,
				     keep ? VOLUME_SNAPSHOT_DELETE_BOOKMARK : 0, &error));
	CHECK_NO_ERROR(error);
	if (keep)
		shadow->bookmark = TRUE;
	else
		g_array_remove_index(model->snapshots, (guint)(shadow - snapshot_at(model, 0)));
}

static void do_rename(SnapshotModel *model)
{
	ShadowSnapshot *shadow = choose_snapshot(model, FALSE);
	g_autofree char *name = g_strdup_printf("r%u", ++model->names);
	g_autoptr(GError) error = NULL;

	if (!shadow)
		return;
	tell(model, "rename %s %s", shadow->name, name);
	CHECK(volume_snapshot_rename(model->volume, shadow->name, name, &error));
	CHECK_NO_ERROR(error);
	g_strlcpy(shadow->name, name, sizeof shadow->name);
}

/* A snapshot that is held cannot be deleted. */
static void do_hold(SnapshotModel *model)
{
	ShadowSnapshot *shadow = choose_snapshot(model, FALSE);
	g_autoptr(GError) error = NULL, refused = NULL;

	if (!shadow)
		return;
	tell(model, "hold %s", shadow->name);
	CHECK(volume_snapshot_hold(model->volume, shadow->name, "model", &error));
	CHECK(!volume_snapshot_delete(model->volume, shadow->name, 0, &refused));
	prove_now(model);
	CHECK(volume_snapshot_release(model->volume, shadow->name, "model", &error));
	CHECK_NO_ERROR(error);
}

static void do_rollback(SnapshotModel *model)
{
	ShadowSnapshot *shadow = choose_snapshot(model, FALSE);
	gboolean discard = choose(model, 3) == 0;
	ShadowContent before = model->head;
	g_autoptr(GError) error = NULL;
	g_autofree char *undo = NULL;

	if (!shadow || (!discard && model->snapshots->len >= SNAPSHOTS))
		return;
	tell(model, "rollback %s%s", shadow->name, discard ? " (discard)" : "");
	CHECK(volume_rollback(model->volume, shadow->name,
			      VOLUME_ROLLBACK_SIZE_TOO | (discard ? VOLUME_ROLLBACK_DISCARD : 0),
			      &undo, &error));
	CHECK_NO_ERROR(error);
	model->head = shadow->content;
	if (!discard && CHECK(undo != NULL))
		add_snapshot(model, undo, &before);
}

/* Part of what the checkpoint thread does by itself when it is not held. */
typedef struct {
	Checkpointer *cp;
	guint reclaim, walk; /* steps */
	int result;
} ModelSteps;

static void make_steps(Engine *engine, gpointer data)
{
	ModelSteps *steps = data;

	while (steps->reclaim-- > 0 && !steps->result)
		steps->result = (int)min_i64(map_reclaim(engine->map), 0);
	while (steps->walk-- > 0 && !steps->result)
		steps->result = (int)min_i64(snapshot_walk_step(steps->cp->walk), 0);
}

static void do_steps(SnapshotModel *model)
{
	ModelSteps steps = {.cp = model->volume->checkpointer};

	if (choose(model, 3))
		steps.walk = 1 + (guint)choose(model, 12);
	else
		steps.reclaim = 1 + (guint)choose(model, 4);
	tell(model, "reclaim %u, walk %u", steps.reclaim, steps.walk);
	checkpointer_call(steps.cp, make_steps, &steps);
	CHECK_INT(steps.result, 0);
	if (choose(model, 2))
		do_checkpoint(model);
}

static void do_resize(SnapshotModel *model)
{
	guint64 size = shadow_sizes[choose(model, SHADOW_SIZES)];
	g_autoptr(GError) error = NULL;

	tell(model, "resize %" G_GUINT64_FORMAT, size);
	CHECK(volume_resize(model->volume, size, VOLUME_RESIZE_SHRINK | VOLUME_RESIZE_DISCARD,
			    SECONDS, &error));
	CHECK_NO_ERROR(error);
	model->head.size = size;
	for (guint i = 0; i < SHADOW_PLACES; i++)
		if (!shadow_has(i, size))
			model->head.values[i] = 0;
}

static void open_again(SnapshotModel *model)
{
	model->volume = backing_open_volume(model->backing);
	if (!CHECK(model->volume != NULL))
		return;
	checkpointer_hold(model->volume->checkpointer, TRUE);
	shadow_compare(model->volume, &model->head, "after opening again");
}

static void do_reopen(SnapshotModel *model)
{
	guint64 kind = choose(model, 3);
	Backing *disk;

	tell(model, kind == 0 ? "close" : kind == 1 ? "death" : "flush, power cut");
	if (kind == 0) {
		close_volume(g_steal_pointer(&model->volume));
	} else {
		if (kind == 2)
			CHECK_INT(volume_flush(model->volume), 0);
		volume_abandon(g_steal_pointer(&model->volume));
		disk = backing_faulty_crash(model->backing,
					    kind == 1 ? G_MAXUINT64 : choose(model, 1000));
		backing_free(model->backing);
		model->backing = disk;
	}
	open_again(model);
}

static void do_settle(SnapshotModel *model)
{
	tell(model, "settle");
	CHECK(volume_settled(model->volume, volume_settle(model->volume), SECONDS));
}

/* Of every eighth state: what is said to become free with one to three snapshots does. */
static void prove_usage(SnapshotModel *model)
{
	TestRandom *random = &model->usage_random;
	guint n = 0, most = 1 + (guint)test_random_below(random, 3);
	const char *names[3];

	if (test_random_below(random, 8))
		return;
	for (guint i = 0; i < model->snapshots->len && n < most; i++)
		if (!snapshot_at(model, i)->bookmark && test_random_below(random, 2))
			names[n++] = snapshot_at(model, i)->name;
	if (!n)
		return;
	for (guint i = 0; i < n; i++)
		tell(model, "usage of %s", names[i]);
	usage_prove(model->volume, model->backing, names, n);
}

/* Has a repair of this disk give up these snapshots.  FALSE also if that is refused, as branches go
 * on from one of them. */
static gboolean give_up(Backing *disk, const char *const *names)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(RepairPlan) plan = repair_plan(disk, 0, names, NULL, NULL, &error);

	if (g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_INVALID))
		return CHECK(strstr(error->message, "branches go on from it") != NULL) && FALSE;
	return CHECK_NO_ERROR(error) && CHECK_UINT(plan->left->len, 0) &&
	       CHECK(repair_carry_out(plan, &error)) && CHECK_NO_ERROR(error);
}

/* Of every sixteenth state: a repair that gives up one or two snapshots, bookmarks perhaps, leaves
 * nothing wrong, and the rest as it was. */
static void prove_giving_up(SnapshotModel *model)
{
	TestRandom *random = &model->repair_random;
	guint n = model->snapshots->len, first, second;
	g_autoptr(Backing) disk = NULL;
	const char *names[3] = {0};
	Volume *volume;

	if (!n || test_random_below(random, 16))
		return;
	first = (guint)test_random_below(random, n);
	second = (guint)test_random_below(random, n);
	names[0] = snapshot_at(model, first)->name;
	if (second != first)
		names[1] = snapshot_at(model, second)->name;
	tell(model, "repair without %s %s", names[0], names[1] ? names[1] : "");
	disk = backing_faulty_crash(model->backing, G_MAXUINT64);
	if (!give_up(disk, names) || !backing_check(disk))
		return;
	for (guint i = 0; i < n; i++)
		if (i != first && i != second && !snapshot_at(model, i)->bookmark)
			compare_snapshot(disk, snapshot_at(model, i));
	volume = backing_open_volume(disk);
	if (!CHECK(volume != NULL))
		return;
	shadow_compare(volume, &model->head, "after a repair");
	CHECK(volume_settled(volume, volume_settle(volume), SECONDS));
	close_volume(volume);
	backing_check(disk);
}

static const struct {
	guint weight;
	void (*run)(SnapshotModel *model);
} operations[] = {
	{36, do_write}, {16, do_discard}, {8, do_checkpoint},  {8, do_snapshot}, {16, do_steps},
	{6, do_delete}, {1, do_rename},	  {1, do_hold},	       {3, do_rollback}, {2, do_resize},
	{2, do_reopen}, {1, do_settle},	  {4, do_overlapping},
};

static void do_one(SnapshotModel *model)
{
	guint total = 0;
	guint64 at;

	for (guint i = 0; i < G_N_ELEMENTS(operations); i++)
		total += operations[i].weight;
	at = choose(model, total);
	for (guint i = 0; i < G_N_ELEMENTS(operations); i++) {
		if (at < operations[i].weight) {
			operations[i].run(model);
			return;
		}
		at -= operations[i].weight;
	}
}

/* ---- sequences */

/* Deletes all snapshots, discards everything: nothing is left in use. */
static void clean_up(SnapshotModel *model)
{
	g_autoptr(GError) error = NULL;
	VolumeInfo info;

	while (model->snapshots->len && !test_failed()) {
		tell(model, "delete %s", snapshot_at(model, 0)->name);
		CHECK(volume_snapshot_delete(model->volume, snapshot_at(model, 0)->name, 0,
					     &error));
		CHECK_NO_ERROR(error);
		g_array_remove_index(model->snapshots, 0);
	}
	tell(model, "discard all");
	CHECK_INT(volume_discard(model->volume, 0, model->head.size), 0);
	memset(model->head.values, 0, sizeof model->head.values);
	do_settle(model);
	prove_now(model);
	volume_get_info(model->volume, &info);
	CHECK_UINT(info.data_bytes, 0);
	CHECK_UINT(info.snapshots, 0);
}

static void run_sequence(guint64 seed, guint n)
{
	g_autoptr(GString) story = g_string_new(NULL);
	SnapshotModel model = {.seed = seed,
			       .random = test_random_new(seed),
			       .usage_random = test_random_new(~seed),
			       .repair_random = test_random_new(seed ^ 0x5eed),
			       .story = story};
	VolumeParameters parameters = {.journal_size = 64 * KIB};
	guint done = 0;

	model.head.size = parameters.size = shadow_sizes[choose(&model, SHADOW_SIZES)];
	model.snapshots = g_array_new(FALSE, TRUE, sizeof(ShadowSnapshot));
	model.backing = backing_faulty_new(0);
	test_row("seed %" G_GUINT64_FORMAT, seed);
	CHECK(volume_format(model.backing, &parameters, NULL));
	if (seed % 4 == 0) /* until the first reopening */
		backing_faulty_delay(model.backing, FAULTY_FLUSH, 300);
	open_again(&model);
	while (done < n && model.volume && !test_failed()) {
		do_one(&model);
		if (!test_failed() && model.volume)
			prove_now(&model);
		if (!test_failed() && model.volume)
			prove_usage(&model);
		if (!test_failed() && model.volume)
			prove_giving_up(&model);
		done++;
	}
	if (model.volume && !test_failed() && n)
		shadow_compare(model.volume, &model.head, "in the end");
	if (model.volume && !test_failed())
		clean_up(&model);
	if (test_failed())
		test_note("seed %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT
			  " bytes, after %u operations: %s",
			  seed, parameters.size, done, story->str);
	if (model.volume)
		close_volume(model.volume);
	g_array_unref(model.snapshots);
	backing_free(model.backing);
}

static guint from_environment(const char *name, guint otherwise)
{
	const char *text = g_getenv(name);

	return text ? (guint)g_ascii_strtoull(text, NULL, 10) : otherwise;
}

static void test_sequences(const void *data)
{
	guint sequences =
		from_environment("STORAGEOS_SEQUENCES", test_is_instrumented() ? 3 : SEQUENCES);
	guint n = from_environment("STORAGEOS_OPERATIONS", OPERATIONS);

	(void)data;
	for (guint i = 0; i < sequences && !test_failed(); i++)
		run_sequence(test_seed() + i, n);
}

/* Sequences that show what few others do: the mutations `taken-over-not-counted`
 * and `deleted-before-dying`. */
static void test_telling(const void *data)
{
	static const guint64 seeds[] = {5008, 5039};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(seeds) && !test_failed(); i++)
		run_sequence(seeds[i], OPERATIONS);
}

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	test_add("sequences that are seldom met", test_telling, NULL);
	test_add("random sequences", test_sequences, NULL);
	return test_run(argc, argv);
}
