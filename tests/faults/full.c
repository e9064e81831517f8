/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A full backing.  The space below is used up at every moment of each script in turn.  Requests
 * that need space must fail with -ENOSPC and no other error, all other requests must succeed,
 * nothing that was flushed may be lost, the volume must not become FAILED, and no request may wait
 * for long. When space is back, writes must succeed again without any action of the user.
 */
#include <errno.h>
#include <malloc.h>

#include "tests/backing/faulty.h"
#include "common/base/bytes.h"
#include "common/engine/format.h"
#include "common/base/logging.h"
#include "tests/engine/script.h"

#define POINTS_MAX 3000
#define FEWER 12 /* a build with sanitizers tries one point in FEWER */
#define LONG 1	 /* seconds that a step may take */

static guint64 moments, refusals;

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static guint64 step(TestRandom *random, guint stride)
{
	if (g_getenv("STORAGEOS_TEST_LONG"))
		return 1;
	if (test_is_instrumented())
		stride *= FEWER;
	return 1 + test_random_below(random, 2 * stride - 1);
}

static void check_not_failed(Volume *volume)
{
	g_autofree char *reason = volume_failure(volume);
	VolumeInfo info;

	volume_get_info(volume, &info);
	CHECK_INT(info.state, VOLUME_OK);
	CHECK_STR(reason, NULL);
}

/* ---- at every moment of a script */

/* Beside the scripts that all tests share: scripts whose every step needs space. */
static const Script large_scripts[] = {
	{.name = "fill",
	 .steps = {{STEP_WRITE, 4096, 2048},
		   {STEP_WRITE, 6144, 2048},
		   {STEP_FLUSH, 0, 0},
		   {STEP_WRITE, 0, 2048},
		   {STEP_CHECKPOINT, 0, 0},
		   {STEP_WRITE, 2048, 2048},
		   {STEP_ZERO, 0, 4096},
		   {STEP_CHECKPOINT, 0, 0},
		   {STEP_WRITE, 1024, 2048}}},
	{.name = "overwrite all",
	 .steps = {{STEP_WRITE, 0, 2048},
		   {STEP_WRITE, 2048, 2048},
		   {STEP_FLUSH, 0, 0},
		   {STEP_REOPEN, 0, 0},
		   {STEP_WRITE, 4096, 4096},
		   {STEP_WRITE, 5, 2048},
		   {STEP_REOPEN, 0, 0},
		   {STEP_WRITE, 2048, 2048},
		   {STEP_FLUSH, 0, 0}}},
	{.name = "discard and write",
	 .from_crash = TRUE,
	 .steps = {{STEP_ZERO, 0, 2048},
		   {STEP_WRITE, 4096, 2048},
		   {STEP_ZERO, 2048, 2048},
		   {STEP_CHECKPOINT, 0, 0},
		   {STEP_WRITE, 6144, 2048},
		   {STEP_WRITE, 0, 2048},
		   {STEP_ZERO, 0, SCRIPT_SECTORS},
		   {STEP_WRITE, 0, 4096},
		   {STEP_REOPEN, 0, 0},
		   {STEP_WRITE, 3, 2048}}},
};

/* A gate that lets every operation through, and uses the space up when operation number `at`
 * passes. */
typedef struct {
	Backing *backing;
	gint at;      /* atomic */
	guint64 left; /* bytes that stay free */
	gint count;   /* atomic */
} FullMoment;

/* Ends the moment, and gives the space back. */
static void moment_pass(FullMoment *moment)
{
	g_atomic_int_set(&moment->at, G_MAXINT);
	backing_faulty_fill_up(moment->backing, G_MAXUINT64);
}

static gboolean use_up(guint64 offset, guint64 length, gpointer data)
{
	FullMoment *moment = data;

	(void)offset, (void)length;
	if (g_atomic_int_add(&moment->count, 1) == g_atomic_int_get(&moment->at))
		backing_faulty_fill_up(moment->backing, moment->left);
	return TRUE;
}

/* Whether the step needs space.  A zero writes the partial blocks at its edges. */
static gboolean needs_space(const Step *step)
{
	return step->kind == STEP_WRITE ||
	       (step->kind == STEP_ZERO && (step->first % 8 || step->count % 8));
}

static void check_results(const Run *run)
{
	for (guint i = 0; i < run->begun; i++) {
		const Step *step = &run->script->steps[i];

		if (run->results[i] == -ENOSPC && needs_space(step))
			refusals++;
		else if (run->results[i])
			FAIL("step %u returned %d", i, run->results[i]);
	}
}

/* Checks the disk that a loss of power would leave now that everything was flushed. */
static void check_flushed(const Run *run, Backing *backing, guint64 seed)
{
	g_autoptr(Backing) left = backing_faulty_crash(backing, seed);
	Volume *volume = backing_open_volume(left);
	Content content;

	if (!volume)
		return;
	if (content_read(volume, &content))
		run_check_possible(run, run->begun, &content);
	close_volume(volume);
}

/* Checks the volume while the backing is full, and then with space again. */
static void check_afterwards(const Run *run, FullMoment *moment, Volume *volume, guint64 seed)
{
	Content content;

	if (content_read(volume, &content))
		run_check_possible(run, run->begun, &content);
	CHECK_INT(volume_flush(volume), 0);
	check_not_failed(volume);
	check_flushed(run, moment->backing, seed);
	moment_pass(moment);
	CHECK_INT(volume_put_value(volume, 0, MIB, 3 * MIB), 0);
	CHECK_INT(volume_flush(volume), 0);
	check_value(volume, 0, MIB, 3 * MIB);
	check_not_failed(volume);
}

/* FALSE if the script was over before that moment.  A step counts as slow only if it is slow twice,
 * because once may be due to the machine. */
static gboolean fill_up_at(const Script *script, Backing *start, const Content *before,
			   guint64 point, guint64 random, gboolean again)
{
	g_autoptr(Backing) backing = backing_faulty_crash(start, G_MAXUINT64);
	FullMoment moment = {backing, (gint)point, random % 4 * 20 * KIB, 0};
	g_autoptr(Backing) gated = backing_borrow_gated(backing, use_up, &moment);
	gint64 begun = g_get_monotonic_time();
	gboolean slow, struck;
	Volume *volume;
	Run run;

	test_row("%s, full at operation %" G_GUINT64_FORMAT " but for %" G_GUINT64_FORMAT " bytes",
		 script->name, point, moment.left);
	volume = backing_open_volume(gated);
	if (!volume)
		return FALSE;
	run_init(&run, script, before);
	run_steps(&run, gated, &volume, TRUE);
	slow = g_get_monotonic_time() - begun > test_time_limit(LONG) && !test_is_instrumented();
	struck = moment.count > moment.at;
	moments++;
	CHECK_UINT(run.begun, run.n_steps);
	check_results(&run);
	if (volume) {
		check_afterwards(&run, &moment, volume, 1 + random % 1000);
		close_volume(volume);
		backing_check(backing);
	}
	if (slow && again)
		FAIL("somebody waited for more than a second, twice (time factor %.1f)",
		     test_time_factor());
	return slow && !again ? fill_up_at(script, start, before, point, random, TRUE) : struck;
}

static void test_script(const void *data)
{
	const Script *script = data;
	TestRandom random = test_random_new(test_seed());
	guint64 point = step(&random, 1) - 1, before_moments = moments, before_refusals = refusals;
	Content before;
	g_autoptr(Backing) start = script_prepare(script, &before);

	while (point < POINTS_MAX && !test_failed() &&
	       fill_up_at(script, start, &before, point, test_random(&random), FALSE))
		point += step(&random, 1);
	test_note("%" G_GUINT64_FORMAT " moments, %" G_GUINT64_FORMAT " requests refused",
		  moments - before_moments, refusals - before_refusals);
}

/* ---- where the backing is about to grow */

#define GROW_SIZE (256 * MIB)
#define GROW_FULL (126 * MIB) /* of the first group's 127.5 */
#define PIECE (256 * KIB)

static Backing *nearly_a_group(void)
{
	const VolumeParameters parameters = {.size = GROW_SIZE, .journal_size = 4 * MIB};
	Backing *backing = backing_faulty_new(0);
	Volume *volume;

	CHECK(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	if (!volume)
		return backing;
	CHECK_INT(volume_put_value(volume, 1, GROW_FULL, 0), 0);
	close_volume(volume);
	return backing;
}

/* Each write takes effect, or is refused and has no effect. */
static void write_pieces(Volume *volume, gboolean *written, guint n)
{
	for (guint i = 0; i < n; i++) {
		int r = volume_put_value(volume, 2, PIECE, GROW_FULL + i * PIECE);

		written[i] = r == 0;
		refusals += r == -ENOSPC;
		if (r)
			CHECK_INT(r, -ENOSPC);
		CHECK_INT(volume_discard(volume, i * PIECE, BLOCK_SIZE), 0);
		if (i % 4 == 3)
			CHECK_INT(volume_flush(volume), 0);
	}
	CHECK_INT(volume_checkpoint(volume), 0);
}

static void check_pieces(Volume *volume, const gboolean *written, guint n)
{
	for (guint i = 0; i < n; i++) {
		check_value(volume, written[i] ? 2 : 0, PIECE, GROW_FULL + i * PIECE);
		check_value(volume, 0, BLOCK_SIZE, i * PIECE);
		check_value(volume, 1, BLOCK_SIZE, i * PIECE + BLOCK_SIZE);
	}
}

static gboolean grow_at(Backing *start, guint64 point, gboolean whole)
{
	g_autoptr(Backing) backing = backing_faulty_crash(start, G_MAXUINT64);
	FullMoment moment = {backing, (gint)point, 0, 0};
	g_autoptr(Backing) gated = backing_borrow_gated(backing, use_up, &moment);
	Volume *volume = backing_open_volume(gated);
	gboolean written[14];
	gboolean struck;

	test_row("full at operation %" G_GUINT64_FORMAT, point);
	if (!volume)
		return FALSE;
	moments++;
	write_pieces(volume, written, G_N_ELEMENTS(written));
	check_pieces(volume, written, G_N_ELEMENTS(written));
	check_not_failed(volume);
	struck = moment.count > moment.at;
	moment_pass(&moment);
	for (guint i = 0; i < G_N_ELEMENTS(written); i++) {
		CHECK_INT(volume_put_value(volume, 2, PIECE, GROW_FULL + i * PIECE), 0);
		written[i] = TRUE;
	}
	close_volume(volume);
	volume = backing_open_volume(backing);
	if (!volume)
		return FALSE;
	check_pieces(volume, written, G_N_ELEMENTS(written));
	close_volume(volume);
	if (whole)
		backing_check(backing);
	return struck;
}

static void test_grow(const void *data)
{
	TestRandom random = test_random_new(test_seed());
	guint64 point = step(&random, 2) - 1, before = refusals;
	g_autoptr(Backing) start = nearly_a_group();

	(void)data;
	while (point < POINTS_MAX && !test_failed() && grow_at(start, point, point % 8 == 0))
		point += step(&random, 2);
	test_note("%" G_GUINT64_FORMAT " requests refused", refusals - before);
	CHECK(refusals > before);
}

/* ---- checkpoints that cannot be made */

static gint no_checkpoints; /* atomic */
static BackingOps picky_ops;
static int (*real_pwritev)(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			   BackingFlags flags);

/* Refuses bitmap pages, as a full file system that never overwrites in place does. */
static int picky_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			 BackingFlags flags)
{
	if (g_atomic_int_get(&no_checkpoints) && iov->iov_len == sizeof(FormatBitmap) &&
	    get_le32((const guint8 *)iov->iov_base + G_STRUCT_OFFSET(FormatBitmap, magic)) ==
		    FORMAT_BITMAP_MAGIC)
		return -ENOSPC;
	return real_pwritev(backing, iov, count, offset, flags);
}

static Backing *picky_new(Backing *real)
{
	Backing *backing = backing_borrow(real);

	picky_ops = *backing->ops;
	real_pwritev = picky_ops.pwritev;
	picky_ops.pwritev = picky_pwritev;
	backing->ops = &picky_ops;
	return backing;
}

typedef int (*FullRequest)(Volume *volume, guint i);

static int put_one(Volume *volume, guint i)
{
	return volume_put_value(volume, (guint8)(i % 200), BLOCK_SIZE, i % 200 * BLOCK_SIZE);
}

static int discard_one(Volume *volume, guint i)
{
	guint64 at = (200 + i / 2 % 200) * BLOCK_SIZE;

	return i % 2 ? volume_discard(volume, at, BLOCK_SIZE)
		     : volume_put_value(volume, 1, BLOCK_SIZE, at);
}

/* Makes requests until one is refused, and prints how long that request took. */
static void until_refused(Volume *volume, FullRequest request)
{
	gint64 begun = 0;
	int r = 0;
	guint i = 0;

	for (; i < 20000 && !r; i++) {
		begun = g_get_monotonic_time();
		r = request(volume, i);
	}
	if (!test_is_instrumented())
		CHECK_WITHIN(begun, LONG);
	CHECK_INT(r, -ENOSPC);
	test_note("refused after %u requests", i);
}

/* The journal fills while no checkpoint can be made. */
static void test_journal(const void *data)
{
	const VolumeParameters parameters = {.size = 64 * MIB, .journal_size = 64 * KIB};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume;

	(void)data;
	CHECK(volume_format(backing, &parameters, NULL));
	volume = volume_open(picky_new(backing), "test", 0, NULL);
	REQUIRE(volume != NULL);
	CHECK_INT(volume_put_value(volume, 7, MIB, 8 * MIB), 0);
	g_atomic_int_set(&no_checkpoints, TRUE);
	until_refused(volume, put_one);
	until_refused(volume, discard_one);
	CHECK_INT(volume_flush(volume), 0);
	check_value(volume, 7, MIB, 8 * MIB);
	check_not_failed(volume);
	g_atomic_int_set(&no_checkpoints, FALSE);
	CHECK_INT(put_one(volume, 1), 0);
	CHECK_INT(discard_one(volume, 1), 0);
	check_value(volume, 1, BLOCK_SIZE, BLOCK_SIZE);
	close_volume(volume);
	backing_check(backing);
}

/* ---- many writers */

#define WRITERS 4u
#define BLOCKS 512u /* of each writer */

typedef struct {
	Volume *volume;
	guint first; /* block */
	guint64 seed;
	guint8 last[BLOCKS], maybe[BLOCKS]; /* the value of each block is one of these two */
	guint refused, done;
	const gint *stop; /* atomic */
} FullWriter;

static void check_block(FullWriter *writer, guint i)
{
	guint8 data[BLOCK_SIZE];

	CHECK_INT(volume_get(writer->volume, data, sizeof data,
			     (guint64)(writer->first + i) * BLOCK_SIZE),
		  0);
	if (!memcmp(data, data + 1, sizeof data - 1) &&
	    (*data == writer->last[i] || *data == writer->maybe[i]))
		return;
	FAIL("block %u holds %u, expected %u or %u", writer->first + i, *data, writer->last[i],
	     writer->maybe[i]);
}

/* Writes or discards some blocks. */
static void change(FullWriter *writer, TestRandom *random)
{
	guint i = (guint)test_random_below(random, BLOCKS - 32);
	guint n = 1 + (guint)test_random_below(random, 32);
	guint8 value =
		test_random_below(random, 4) ? (guint8)(1 + test_random_below(random, 255)) : 0;
	guint64 offset = (guint64)(writer->first + i) * BLOCK_SIZE;
	int r = value ? volume_put_value(writer->volume, value, n * BLOCK_SIZE, offset)
		      : volume_discard(writer->volume, offset, n * BLOCK_SIZE);

	if (r && CHECK(value && r == -ENOSPC))
		writer->refused++;
	writer->done += !r;
	for (; n; n--, i++) {
		if (!r)
			writer->last[i] = value;
		writer->maybe[i] = value;
	}
}

static gpointer writer_main(gpointer data)
{
	FullWriter *writer = data;
	TestRandom random = test_random_new(writer->seed);

	while (!g_atomic_int_get(writer->stop) && !test_failed()) {
		change(writer, &random);
		check_block(writer, (guint)test_random_below(&random, BLOCKS));
		if (!test_random_below(&random, 50))
			CHECK_INT(volume_flush(writer->volume), 0);
	}
	return NULL;
}

/* Gives back a little space now and then, which the writers use up at once. */
static void come_and_go(Volume *volume, Backing *backing, TestRandom *random)
{
	for (guint i = 0; i < 100 && !test_failed(); i++) {
		backing_faulty_fill_up(backing, test_random_below(random, 50) * 4 * KIB);
		g_usleep(15000); /* the writers fill the backing meanwhile */
		if (i % 10 == 9)
			CHECK_INT(volume_checkpoint(volume), 0);
	}
	backing_faulty_fill_up(backing, G_MAXUINT64);
}

static void check_writers(FullWriter *writers, guint *ret_done, guint *ret_refused)
{
	for (guint i = 0; i < WRITERS; i++) {
		*ret_done += writers[i].done;
		*ret_refused += writers[i].refused;
		for (guint k = 0; k < BLOCKS; k++)
			check_block(&writers[i], k);
	}
}

static void test_many(const void *data)
{
	const VolumeParameters parameters = {.size = 64 * MIB, .journal_size = 256 * KIB};
	TestRandom random = test_random_new(test_seed());
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autofree FullWriter *writers = g_new0(FullWriter, WRITERS);
	GThread *threads[WRITERS];
	guint done = 0, refused = 0;
	gint stop = FALSE;
	Volume *volume;

	(void)data;
	CHECK(volume_format(backing, &parameters, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume != NULL);
	for (guint i = 0; i < WRITERS; i++) {
		writers[i] = (FullWriter){.volume = volume,
					  .first = i * BLOCKS,
					  .seed = test_random(&random),
					  .stop = &stop};
		threads[i] = g_thread_new("writer", writer_main, &writers[i]);
	}
	come_and_go(volume, backing, &random);
	g_atomic_int_set(&stop, TRUE);
	for (guint i = 0; i < WRITERS; i++)
		g_thread_join(threads[i]);
	check_not_failed(volume);
	CHECK_INT(volume_put_value(volume, 1, MIB, 32 * MIB), 0);
	check_writers(writers, &done, &refused);
	test_note("%u changes made, %u refused", done, refused);
	CHECK(done); /* how many writes were refused depends on the machine */
	close_volume(volume);
	backing_check(backing);
}

static void test_count(const void *data)
{
	(void)data;
	CHECK(moments > 0 && refusals > 0);
	test_note("%" G_GUINT64_FORMAT " moments, %" G_GUINT64_FORMAT " requests refused", moments,
		  refusals);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	mallopt(M_MMAP_THRESHOLD, 64 * MIB); /* page faults of fresh memory would take much time */
	mallopt(M_TRIM_THRESHOLD, G_MAXINT);
	for (guint i = 0; i < n_scripts; i++) {
		g_autofree char *name = g_strdup_printf("full: %s", scripts[i].name);

		test_add(name, test_script, &scripts[i]);
	}
	for (guint i = 0; i < G_N_ELEMENTS(large_scripts); i++) {
		g_autofree char *name = g_strdup_printf("full: %s", large_scripts[i].name);

		test_add(name, test_script, &large_scripts[i]);
	}
	test_add("full where the backing is about to grow", test_grow, NULL);
	test_add("the journal fills where no checkpoint can be made", test_journal, NULL);
	test_add("space comes and goes under many writers", test_many, NULL);
	test_add("all of them together", test_count, NULL);
	return test_run(argc, argv);
}
