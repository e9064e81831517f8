/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A write-back fails and only one flush reports it (backing/faulty).  A request's flush comes at
 * each moment of a checkpoint, and the failure at each moment before that.  From then on no flush
 * succeeds; the volume can be opened, and nothing is lost that a flush had made durable.  Two
 * more tests are about the order in which superblocks are written.
 */
#include <errno.h>

#include "tests/backing/faulty.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/engine/volume-private.h"
#include "tests/engine/support.h"

#define SIZE (64 * MIB)
#define BLOCKS 12
#define PATIENCE (20 * G_TIME_SPAN_MILLISECOND) /* with a flush that waits for its turn */

static const int errors[] = {EIO, ENOSPC, EDQUOT, EREMOTEIO, ETIMEDOUT};

/* ---- moments of a checkpoint */

/* There is a moment after each write, and on either side of each flush, of the thread that makes
 * the checkpoint. */
typedef struct {
	Volume *volume;
	Backing *disk;
	gint armed; /* atomic */
	guint moment;
	guint refuse_at, flush_at, fail_at; /* moments; G_MAXUINT: never */
	int err;
	guint flushes, flushes_when_refused;
	guint8 superblocks[2][FORMAT_SUPERBLOCK_SIZE]; /* when the volume was made to fail */
	GThread *request;
	int result; /* of the request's flush */
	GMutex lock;
	GCond changed;
	gboolean done; /* under the lock: the request's flush has its result */
} FlushScene;

static FlushScene *scene; /* of the running test */
static _Thread_local gboolean is_request;
static const BackingOps *plain;

static gpointer flush_main(gpointer data)
{
	FlushScene *of = data;
	int r;

	is_request = TRUE;
	r = volume_flush(of->volume);
	g_mutex_lock(&of->lock);
	of->result = r;
	of->done = TRUE;
	g_cond_signal(&of->changed);
	g_mutex_unlock(&of->lock);
	return NULL;
}

/* Starts the request's flush and waits for its end, PATIENCE at most: the flush may have to wait
 * for one that the checkpoint is about to make or is making. */
static void begin_flush(void)
{
	gint64 until = g_get_monotonic_time() + PATIENCE;

	scene->request = g_thread_new("request", flush_main, scene);
	g_mutex_lock(&scene->lock);
	while (!scene->done)
		if (!g_cond_wait_until(&scene->changed, &scene->lock, until))
			break;
	g_mutex_unlock(&scene->lock);
}

static void read_superblocks(Backing *disk, guint8 (*ret)[FORMAT_SUPERBLOCK_SIZE])
{
	CHECK_INT(backing_pread(disk, ret[0], sizeof ret[0], FORMAT_SUPERBLOCK_A), 0);
	CHECK_INT(backing_pread(disk, ret[1], sizeof ret[1], FORMAT_SUPERBLOCK_B), 0);
}

static void pass_moment(void)
{
	guint moment;

	if (is_request || !g_atomic_int_get(&scene->armed))
		return;
	moment = scene->moment++;
	if (moment == scene->refuse_at) {
		backing_faulty_refuse(scene->disk, scene->err);
		scene->flushes_when_refused = scene->flushes;
	}
	if (moment == scene->fail_at) {
		read_superblocks(scene->disk, scene->superblocks);
		engine_fail(&scene->volume->engine, "for a test");
	}
	if (moment == scene->flush_at)
		begin_flush();
}

static int scene_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			 BackingFlags flags)
{
	int r = plain->pwritev(backing, iov, count, offset, flags);

	pass_moment();
	return r;
}

static int scene_flush(Backing *backing)
{
	int r;

	pass_moment();
	r = plain->flush(backing);
	if (!is_request)
		scene->flushes++;
	pass_moment();
	return r;
}

static Volume *scene_open(Backing *disk)
{
	static BackingOps ops;
	Backing *backing = backing_borrow(disk);

	plain = backing->ops;
	ops = *plain;
	ops.pwritev = scene_pwritev;
	ops.flush = scene_flush;
	backing->ops = &ops;
	return volume_open(backing, "test", 0, NULL);
}

static void scene_init(FlushScene *of, Backing *start)
{
	*of = (FlushScene){.refuse_at = G_MAXUINT, .flush_at = G_MAXUINT, .fail_at = G_MAXUINT};
	of->disk = backing_faulty_crash(start, G_MAXUINT64);
	g_mutex_init(&of->lock);
	g_cond_init(&of->changed);
	scene = of;
	of->volume = scene_open(of->disk);
}

static void scene_clear(FlushScene *of)
{
	backing_free(of->disk);
	g_mutex_clear(&of->lock);
	g_cond_clear(&of->changed);
}

/* ---- what each block may hold */

typedef struct {
	guint8 least[BLOCKS], newest[BLOCKS];
} Values;

static guint64 place(guint i)
{
	return (guint64)i * 5 * MIB;
}

static void put(Volume *volume, Values *values, guint block, guint8 value)
{
	CHECK_INT(volume_put_value(volume, value, BLOCK_SIZE, place(block)), 0);
	values->newest[block] = value;
}

static void check_values(Volume *volume, const Values *values)
{
	for (guint i = 0; i < BLOCKS; i++) {
		guint8 block[BLOCK_SIZE];

		if (CHECK_INT(volume_get(volume, block, sizeof block, place(i)), 0) &&
		    (block[0] < values->least[i] || block[0] > values->newest[i]))
			FAIL("block %u holds %u, allowed are %u to %u", i, block[0],
			     values->least[i], values->newest[i]);
	}
}

/* What a power cut leaves now can be opened, and holds what it must. */
static void check_crash(Backing *disk, const Values *values, guint64 seed)
{
	g_autoptr(Backing) left = backing_faulty_crash(disk, seed);
	Volume *volume = backing_open_volume(left);

	if (!volume)
		return;
	check_values(volume, values);
	close_volume(volume);
	backing_check(left);
}

static void check_crashes(Backing *disk, const Values *values, TestRandom *random)
{
	check_crash(disk, values, 0);
	check_crash(disk, values, test_random(random) | 1);
}

/* ---- one error, one report */

static int make_checkpoint(FlushScene *of)
{
	return volume_checkpoint(of->volume);
}

static int make_larger(FlushScene *of)
{
	return volume_resize(of->volume, 2 * SIZE, 0, 60, NULL) ? 0 : -EIO;
}

static int close_it(FlushScene *of)
{
	Volume *volume = g_steal_pointer(&of->volume);

	return volume_close(volume, NULL) ? 0 : -EIO;
}

static int open_it(FlushScene *of)
{
	volume_abandon(of->volume);
	of->volume = scene_open(of->disk);
	return of->volume ? 0 : -EIO;
}

typedef struct {
	const char *name;
	int (*run)(FlushScene *of);
	guint stride; /* from one moment for a request's flush to the next; 0: there are no requests
		       */
} Work;

static const Work works[] = {
	{"one error, one report, while a checkpoint is made", make_checkpoint, 1},
	{"while the volume grows", make_larger, 4},
	{"while it is closed", close_it, 0},
	{"while it is opened", open_it, 0},
};

static int run_armed(const Work *work, FlushScene *of)
{
	int r;

	g_atomic_int_set(&of->armed, TRUE);
	r = work->run(of);
	g_atomic_int_set(&of->armed, FALSE);
	if (of->request)
		g_thread_join(of->request);
	return r;
}

/* Opens the volume while the page cache still holds what the disk has refused. */
static void open_again(Backing *disk, Values *values, TestRandom *random)
{
	Volume *volume = backing_open_volume(disk);

	if (!volume)
		return;
	check_values(volume, values);
	put(volume, values, 7, 50);
	CHECK_INT(volume_flush(volume), 0);
	values->least[7] = 50;
	volume_abandon(volume);
	check_crashes(disk, values, random);
}

static gboolean begin(FlushScene *now, Values *values, Backing *start)
{
	for (guint i = 0; i < BLOCKS; i++)
		values->least[i] = values->newest[i] = (guint8)(1 + i);
	scene_init(now, start);
	if (!CHECK(now->volume != NULL))
		return FALSE;
	for (guint i = 0; i < 4; i++)
		put(now->volume, values, i, 20);
	CHECK_INT(volume_flush(now->volume), 0);
	memcpy(values->least, values->newest, sizeof values->least);
	for (guint i = 2; i < 6; i++)
		put(now->volume, values, i, 30);
	return TRUE;
}

/* A request that came after the failed write-back does not succeed. */
static void check_told(FlushScene *now, Values *values, int r)
{
	if (now->request)
		CHECK(now->result < 0);
	if (now->refuse_at >= now->moment)
		return;
	if (now->flushes > now->flushes_when_refused)
		CHECK(r < 0);
	if (!now->volume)
		return;
	values->newest[8] = 40;
	volume_put_value(now->volume, 40, BLOCK_SIZE, place(8));
	CHECK(volume_flush(now->volume) < 0);
	CHECK_INT(volume_put_value(now->volume, 40, BLOCK_SIZE, place(8)), -ESHUTDOWN);
}

static void refuse_and_flush(const Work *work, Backing *start, guint refuse_at, guint flush_at,
			     TestRandom *random)
{
	FlushScene now;
	Values values;

	if (!begin(&now, &values, start))
		return;
	now.refuse_at = refuse_at;
	now.flush_at = work->stride ? flush_at : G_MAXUINT;
	now.err = errors[(refuse_at + flush_at) % G_N_ELEMENTS(errors)];
	test_row("refused at %u (%s), flushed at %u", refuse_at, g_strerror(now.err), flush_at);
	check_told(&now, &values, run_armed(work, &now));
	if (flush_at % 2)
		volume_close(now.volume, NULL);
	else if (now.volume)
		volume_abandon(now.volume);
	check_crashes(now.disk, &values, random);
	open_again(now.disk, &values, random);
	scene_clear(&now);
}

/* The number of moments when nothing fails. */
static guint count_moments(const Work *work, Backing *start)
{
	FlushScene now;
	Values values;

	if (!begin(&now, &values, start))
		return 0;
	CHECK_INT(run_armed(work, &now), 0);
	volume_close(now.volume, NULL);
	scene_clear(&now);
	return now.moment;
}

static void test_pairs(const void *data)
{
	const Work *work = data;
	g_autoptr(Backing) start = backing_new_filled(SIZE, BLOCKS, place);
	TestRandom random = test_random_new(test_seed());
	guint moments = count_moments(work, start);

	test_note("%u moments", moments);
	CHECK(moments > 8);
	for (guint i = 0; i < moments && !test_failed(); i++)
		for (guint j = i; j < moments && !test_failed();
		     j += work->stride ? work->stride : moments)
			refuse_and_flush(work, start, i, j, &random);
}

/* ---- superblocks */

/* Whatever made the volume fail, and although the checkpoint's own flush succeeds. */
static void test_failed_meanwhile(const void *data)
{
	g_autoptr(Backing) start = backing_new_filled(SIZE, BLOCKS, place);
	gboolean switched = FALSE;

	(void)data;
	for (guint moment = 0; !switched && !test_failed(); moment++) {
		guint8 before[2][FORMAT_SUPERBLOCK_SIZE], after[2][FORMAT_SUPERBLOCK_SIZE];
		FlushScene now;
		Values values;

		if (!begin(&now, &values, start))
			return;
		test_row("failed at %u", moment);
		read_superblocks(now.disk, before);
		now.fail_at = moment;
		run_armed(&works[0], &now);
		read_superblocks(now.disk, after);
		switched = memcmp(now.superblocks, before, sizeof before);
		if (!switched)
			CHECK_MEM(after, before, sizeof after);
		else
			CHECK(now.flushes > 1);
		volume_abandon(now.volume);
		scene_clear(&now);
	}
}

/* After a power cut, either superblock alone suffices. */
static void check_each(Backing *disk, guint64 size, const char *when)
{
	static const guint8 zeros[FORMAT_SUPERBLOCK_SIZE];
	static const guint64 homes[] = {FORMAT_SUPERBLOCK_A, FORMAT_SUPERBLOCK_B};

	for (guint i = 0; i < G_N_ELEMENTS(homes); i++) {
		g_autoptr(Backing) left = backing_faulty_crash(disk, 0);
		Volume *volume;

		test_row("%s, without superblock %c", when, "AB"[i]);
		CHECK_INT(backing_pwrite(left, zeros, sizeof zeros, homes[i]), 0);
		volume = backing_open_volume(left);
		if (!volume)
			continue;
		CHECK_UINT(volume_size(volume), size);
		close_volume(volume);
	}
}

static void test_either(const void *data)
{
	const VolumeParameters p = {.size = SIZE, .journal_size = 64 * KIB};
	g_autoptr(Backing) disk = backing_faulty_new(0);
	Volume *volume;

	(void)data;
	CHECK(volume_format(disk, &p, NULL));
	check_each(disk, SIZE, "made");
	volume = backing_open_volume(disk);
	REQUIRE(volume);
	check_each(disk, SIZE, "opened");
	CHECK(volume_resize(volume, 3 * SIZE, 0, 60, NULL));
	check_each(disk, 3 * SIZE, "grown");
	CHECK(volume_resize(volume, 2 * SIZE, VOLUME_RESIZE_SHRINK, 60, NULL));
	check_each(disk, 2 * SIZE, "made smaller");
	close_volume(volume);
	check_each(disk, 2 * SIZE, "closed");
}

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	for (guint i = 0; i < G_N_ELEMENTS(works); i++)
		test_add(works[i].name, test_pairs, &works[i]);
	test_add("a volume that has failed switches no superblock", test_failed_meanwhile, NULL);
	test_add("both superblocks are on the disk", test_either, NULL);
	return test_run(argc, argv);
}
