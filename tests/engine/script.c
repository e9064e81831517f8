/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/engine/script.h"

#include <errno.h>

#include "tests/backing/faulty.h"
#include "common/base/bytes.h"

#define JOURNAL_START MIB /* in the backing */
#define BEFORE 1	  /* the number of the data before the script */
#define FIRST_STEP 2
#define SECTORS_PER_BLOCK (BLOCK_SIZE / SECTOR_SIZE)

#define W(first, count)                                                                            \
	{                                                                                          \
		STEP_WRITE, first, count                                                           \
	}
#define Z(first, count)                                                                            \
	{                                                                                          \
		STEP_ZERO, first, count                                                            \
	}
#define FLUSH                                                                                      \
	{                                                                                          \
		STEP_FLUSH, 0, 0                                                                   \
	}
#define CHECKPOINT                                                                                 \
	{                                                                                          \
		STEP_CHECKPOINT, 0, 0                                                              \
	}
#define REOPEN                                                                                     \
	{                                                                                          \
		STEP_REOPEN, 0, 0                                                                  \
	}
#define ALL SCRIPT_SECTORS

/* Sectors: 8 are a block, 2048 are 1 MiB.  The first half of the volume is full at the start. */
const Script scripts[] = {
	{.name = "write", .steps = {W(4096, 8), W(128, 8), FLUSH}},
	{.name = "overwrite", .steps = {W(64, 8), W(64, 8), FLUSH, W(64, 8), FLUSH, W(64, 8)}},
	{.name = "unaligned write", .steps = {W(5, 3), W(4101, 9), FLUSH, W(13, 1), W(2047, 2)}},
	{.name = "1 MiB write", .steps = {W(4096, 2048), W(1024, 2048), FLUSH, W(3, 2048)}},
	{.name = "zero", .steps = {Z(64, 8), Z(130, 3), FLUSH, Z(5, 100), W(64, 8), Z(60, 16)}},
	{.name = "discard", .steps = {W(5000, 8), Z(0, 2048), FLUSH, Z(0, ALL), W(9, 9), FLUSH}},
	{.name = "flush", .steps = {W(0, 8), FLUSH, W(0, 8), W(8, 8), FLUSH, FLUSH, W(16, 8)}},
	{.name = "checkpoint",
	 .steps = {W(0, 8), W(6000, 2), CHECKPOINT, W(0, 8), Z(100, 99), CHECKPOINT, W(0, 8),
		   CHECKPOINT, W(8, 8)}},
	{.name = "close", .steps = {W(0, 8), FLUSH, W(8, 8), REOPEN, W(0, 16), Z(64, 8), REOPEN}},
	{.name = "journal wrap",
	 .from_wrap = TRUE,
	 .steps = {W(0, 8),  W(8, 8),	W(0, 9),      W(64, 80),  FLUSH,	 W(16, 8), W(24, 8),
		   W(0, 8),  W(8, 1),	W(1000, 500), W(0, 8),	  W(5000, 1500), W(32, 8), FLUSH,
		   W(40, 8), W(0, 8),	W(700, 2048), W(3000, 8), Z(0, 20),	 W(0, 8),  W(0, 8),
		   FLUSH,    W(0, 300), W(24, 8),     CHECKPOINT, W(0, 8)}},
	{.name = "recovery",
	 .from_crash = TRUE,
	 .steps = {W(0, 8), W(70, 9), FLUSH, W(0, 8), REOPEN, W(8, 8)}},
	{.name = "writes together",
	 .together = TRUE,
	 .steps = {W(4096, 8), W(64, 8), W(128, 16), W(64, 8),	 W(5000, 8), FLUSH,
		   W(0, 8),    W(72, 8), W(4104, 8), W(13, 3),	 W(200, 80), W(16, 8),
		   CHECKPOINT, W(0, 8),	 W(8, 8),    W(4096, 8), W(3000, 8), FLUSH,
		   W(24, 8),   W(32, 8), W(24, 16),  W(40, 8)}},
	{.name = "journal wrap, writes together",
	 .together = TRUE,
	 .from_wrap = TRUE,
	 .steps = {W(0, 8), W(8, 8), W(64, 80), W(0, 16), FLUSH, W(16, 8), W(24, 8), W(1000, 8),
		   W(5000, 160), W(32, 8), W(40, 8), W(3000, 8), FLUSH, W(0, 8), W(8, 8),
		   W(24, 8)}},
};
const guint n_scripts = G_N_ELEMENTS(scripts);

void script_random(Script *script, TestRandom *random, guint n)
{
	static const StepKind kinds[] = {STEP_WRITE, STEP_WRITE, STEP_WRITE,	  STEP_WRITE,
					 STEP_ZERO,  STEP_FLUSH, STEP_CHECKPOINT, STEP_REOPEN};

	*script = (Script){.name = "random steps"};
	for (guint i = 0; i < n; i++) {
		guint limit = test_random_below(random, 4) ? 40 : 2048;
		guint first = (guint)test_random_below(random, SCRIPT_SECTORS - limit);

		script->steps[i] =
			(Step){.kind = kinds[test_random_below(random, G_N_ELEMENTS(kinds))],
			       .first = first,
			       .count = 1 + (guint)test_random_below(random, limit)};
	}
}

static void fill(guint8 *data, guint number, guint first, guint count)
{
	for (guint i = 0; i < count; i++)
		for (guint k = 0; k < SECTOR_SIZE; k += 8) {
			put_le32(data + i * SECTOR_SIZE + k, number);
			put_le32(data + i * SECTOR_SIZE + k + 4, first + i);
		}
}

static int write_number(Volume *volume, guint number, guint first, guint count)
{
	g_autofree guint8 *data = g_malloc(count * SECTOR_SIZE);

	fill(data, number, first, count);
	return volume_put(volume, data, count * SECTOR_SIZE, (guint64)first * SECTOR_SIZE);
}

gboolean content_read(Volume *volume, Content *ret_content)
{
	g_autofree guint8 *data = g_malloc(SCRIPT_VOLUME_SIZE);
	guint8 expected[SECTOR_SIZE];

	if (!CHECK_INT(volume_get(volume, data, SCRIPT_VOLUME_SIZE, 0), 0))
		return FALSE;
	for (guint i = 0; i < SCRIPT_SECTORS; i++) {
		const guint8 *sector = data + i * SECTOR_SIZE;

		ret_content->numbers[i] = *sector;
		memset(expected, 0, sizeof expected);
		if (*sector)
			fill(expected, *sector, i, 1);
		if (memcmp(sector, expected, SECTOR_SIZE))
			return FAIL("sector %u is mixed, or of another place", i);
	}
	return TRUE;
}

static guint64 max_end; /* the end of what was written into the journal's ring */

static gboolean watch_journal(guint64 offset, guint64 length, gpointer data)
{
	(void)data;
	if (offset >= JOURNAL_START && offset < JOURNAL_START + SCRIPT_JOURNAL_SIZE)
		max_end = MAX(max_end, offset + length);
	return TRUE;
}

/* Writes until only a few records fit before the ring's end. */
static void reach_wrap(Volume *volume)
{
	const guint64 goal = JOURNAL_START + SCRIPT_JOURNAL_SIZE - KIB;

	for (guint i = 0; max_end < goal && i < 200000; i++)
		if (!CHECK_INT(write_number(volume, BEFORE, i % 512 * 8, 8), 0))
			return;
	CHECK(max_end >= goal);
}

Backing *script_prepare(const Script *script, Content *ret_content)
{
	const VolumeParameters parameters = {.size = SCRIPT_VOLUME_SIZE,
					     .journal_size = SCRIPT_JOURNAL_SIZE};
	Backing *backing = backing_faulty_new(0);
	Volume *volume;

	max_end = 0;
	CHECK(volume_format(backing, &parameters, NULL));
	volume = volume_open(backing_borrow_gated(backing, watch_journal, NULL), "test", 0, NULL);
	if (!CHECK(volume != NULL))
		return backing;
	CHECK_INT(write_number(volume, BEFORE, 0, SCRIPT_SECTORS / 2), 0);
	if (script->from_wrap)
		reach_wrap(volume);
	CHECK_INT(volume_flush(volume), 0);
	content_read(volume, ret_content);
	if (script->from_crash || script->from_wrap)
		volume_abandon(volume);
	else
		close_volume(volume);
	CHECK_INT(backing_flush(backing), 0);
	return backing;
}

void run_init(Run *run, const Script *script, const Content *before)
{
	*run = (Run){.script = script, .before = *before};
	while (run->n_steps < SCRIPT_STEPS_MAX && script->steps[run->n_steps].kind != STEP_END)
		run->n_steps++;
}

static int reopen(Backing *backing, Volume **volume)
{
	gboolean closed = volume_close(*volume, NULL);

	*volume = volume_open(backing_borrow(backing), "test", 0, NULL);
	return closed && *volume ? 0 : -EIO;
}

static int run_step(const Step *step, guint number, Backing *backing, Volume **volume)
{
	switch (step->kind) {
	case STEP_WRITE:
		return write_number(*volume, number, step->first, step->count);
	case STEP_ZERO:
		return volume_discard(*volume, (guint64)step->first * SECTOR_SIZE,
				      (guint64)step->count * SECTOR_SIZE);
	case STEP_FLUSH:
		return volume_flush(*volume);
	case STEP_CHECKPOINT:
		return volume_checkpoint(*volume);
	case STEP_REOPEN:
		return reopen(backing, volume);
	case STEP_END:
		break;
	}
	return 0;
}

/* Runs the writes from step `first` on, up to the next step of another kind.  Returns how many. */
static guint run_together(Run *run, guint first, Volume *volume)
{
	VolumeWrite writes[SCRIPT_STEPS_MAX] = {0};
	struct iovec iov[SCRIPT_STEPS_MAX];
	const Step *steps = run->script->steps + first;
	guint n = 0;

	for (; first + n < run->n_steps && steps[n].kind == STEP_WRITE; n++) {
		gsize length = steps[n].count * SECTOR_SIZE;

		iov[n] = (struct iovec){g_malloc(length), length};
		fill(iov[n].iov_base, FIRST_STEP + first + n, steps[n].first, steps[n].count);
		writes[n] = (VolumeWrite){.iov = &iov[n],
					  .n_iov = 1,
					  .offset = (guint64)steps[n].first * SECTOR_SIZE};
	}
	volume_write_batch(volume, writes, n);
	for (guint i = 0; i < n; i++) {
		run->results[first + i] = writes[i].result;
		g_free(iov[i].iov_base);
	}
	return n;
}

static gboolean makes_durable(const Step *step)
{
	return step->kind != STEP_WRITE && step->kind != STEP_ZERO;
}

/* FALSE if the step failed. */
static gboolean note_result(Run *run, guint i)
{
	int result = run->results[i];

	if (!result && makes_durable(&run->script->steps[i]))
		run->flushed = i;
	if (!result && run->acknowledged == i)
		run->acknowledged = i + 1;
	return !result;
}

void run_steps(Run *run, Backing *backing, Volume **volume, gboolean go_on)
{
	gboolean good = TRUE;

	while (run->begun < run->n_steps && *volume && (good || go_on)) {
		guint i = run->begun, n = 1;
		const Step *step = &run->script->steps[i];

		if (run->script->together && step->kind == STEP_WRITE)
			n = run_together(run, i, *volume);
		else
			run->results[i] = run_step(step, FIRST_STEP + i, backing, volume);
		run->begun += n;
		for (; i < run->begun; i++)
			good &= note_result(run, i);
	}
}

static void apply(Content *content, const Step *step, guint i)
{
	if (step->kind == STEP_WRITE)
		memset(content->numbers + step->first, (int)(FIRST_STEP + i), step->count);
	if (step->kind == STEP_ZERO)
		memset(content->numbers + step->first, 0, step->count);
}

/* A zero that is large, or ends inside a block, is done in pieces. */
static gboolean is_part(const Step *step, const Content *before, const Content *after,
			const Content *content)
{
	gboolean whole = step->first % SECTORS_PER_BLOCK == 0 &&
			 step->count % SECTORS_PER_BLOCK == 0 &&
			 step->count * SECTOR_SIZE <= VOLUME_ATOMIC_MAX;

	if (step->kind != STEP_ZERO || whole)
		return FALSE;
	for (guint i = 0; i < SCRIPT_SECTORS; i++)
		if (content->numbers[i] != before->numbers[i] &&
		    content->numbers[i] != after->numbers[i])
			return FALSE;
	return TRUE;
}

static gboolean fail_prefix(const Run *run, guint low, const Content *content,
			    const Content *nearest)
{
	guint i = 0;

	while (i + 1 < SCRIPT_SECTORS && content->numbers[i] == nearest->numbers[i])
		i++;
	return FAIL("not what the first %u..%u steps left: sector %u holds %u, after all of them "
		    "it held %u",
		    low, run->begun, i, content->numbers[i], nearest->numbers[i]);
}

gboolean run_check_prefix(const Run *run, guint low, const Content *content)
{
	Content state = run->before;

	for (guint i = 0; i <= run->begun; i++) {
		Content last = state;

		if (i >= low && !memcmp(&state, content, sizeof state))
			return TRUE;
		if (i == run->begun)
			break;
		apply(&state, &run->script->steps[i], i);
		if (i >= low && is_part(&run->script->steps[i], &last, &state, content))
			return TRUE;
	}
	return fail_prefix(run, low, content, &state);
}

static gboolean is_possible(const Run *run, guint sure, guint sector, guint number)
{
	for (guint i = run->begun; i-- > 0;) {
		const Step *step = &run->script->steps[i];

		if (makes_durable(step) || sector - step->first >= step->count)
			continue;
		if (number == (step->kind == STEP_ZERO ? 0 : FIRST_STEP + i))
			return TRUE;
		if (i < sure && !run->results[i])
			return FALSE;
	}
	return number == run->before.numbers[sector];
}

gboolean run_check_possible(const Run *run, guint sure, const Content *content)
{
	for (guint i = 0; i < SCRIPT_SECTORS; i++)
		if (!is_possible(run, sure, i, content->numbers[i]))
			return FAIL("sector %u holds %u, which cannot be (sure before step %u)", i,
				    content->numbers[i], sure);
	return TRUE;
}
