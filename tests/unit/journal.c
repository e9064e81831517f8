/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal by itself: a walk finds the records that were appended, also across the ring's end;
 * an append waits for room, but not for long.
 */
#include "tests/backing/faulty.h"
#include "common/engine/journal-ring.h"
#include "common/base/units.h"
#include "tests/harness.h"

#include <errno.h>

#define SIZE FORMAT_JOURNAL_MIN
#define SEED 123
#define GENERATION 5
#define ZERO_LENGTH ((guint32)sizeof(FormatRecord))

static const Seal seal = {SEED};

static Backing *ring_of_zeros(void)
{
	Backing *backing = backing_faulty_new(0);

	CHECK_INT(backing_grow(backing, FORMAT_JOURNAL_OFFSET + SIZE), 0);
	return backing;
}

static Journal *journal_at(Backing *backing, guint64 position)
{
	Journal *journal = journal_new(backing, SIZE, &seal, NULL);

	journal_start(journal, position, (JournalPlace){position, 1}, GENERATION);
	return journal;
}

/* Appends a record of `n` blocks, each a run of its own (0: a zero record). */
static int append(Journal *journal, guint n, guint64 *ret_ticket)
{
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX] = {0};
	Record record = {.kind = n ? FORMAT_RECORD_WRITE : FORMAT_RECORD_ZERO,
			 .first = n,
			 .blocks = n ? n : 7,
			 .n_runs = n,
			 .runs = runs,
			 .crcs = crcs};
	int r;

	for (guint i = 0; i < n; i++)
		runs[i] = (SlotRun){FORMAT_FIRST_INDEX + 2 * i, 1};
	r = journal_reserve(journal, record_length(record.kind, n, record.blocks), FALSE);
	if (!r)
		*ret_ticket = journal_append(journal, &record);
	return r;
}

static gboolean count(const Record *record, gpointer data)
{
	guint *n = data;

	CHECK_UINT(record->generation, GENERATION);
	*n += record->kind != FORMAT_RECORD_DURABLE;
	return TRUE;
}

/* The number of records that a walk from `position` finds. */
static guint found_from(Backing *backing, guint64 position)
{
	const Superblock sb = {.journal_size = SIZE,
			       .seed = SEED,
			       .journal_position = position,
			       .journal_sequence = 1};
	g_autoptr(JournalRing) ring = NULL;
	guint n = 0;

	if (CHECK_INT(journal_ring_read(backing, &sb, &seal, &ring), 0))
		journal_ring_walk(ring, count, &n, NULL);
	return n;
}

/* Starts at every place near the ring's end, with and without room for a wrap record. */
static void test_wrap(const void *data)
{
	(void)data;
	for (guint64 before = 8; before < 4 * FORMAT_RECORD_LENGTH_MAX; before += 8 * 31) {
		guint64 start = 3 * (guint64)SIZE - before, ticket = 0;
		g_autoptr(Backing) backing = ring_of_zeros();
		Journal *journal = journal_at(backing, start);

		test_row("%d bytes before the end", (int)before);
		for (guint i = 0; i < 6; i++) {
			CHECK_INT(append(journal, i % 2 ? 200 : 0, &ticket), 0);
			if (i % 3 == 0)
				CHECK_INT(journal_commit(journal, ticket), 0);
		}
		CHECK_INT(journal_commit(journal, ticket), 0);
		journal_mark_durable(journal, journal_written(journal));
		CHECK_UINT(found_from(backing, start), 6);
		journal_free(journal);
	}
}

static void test_no_room(const void *data)
{
	g_autoptr(Backing) backing = ring_of_zeros();
	Journal *journal = journal_at(backing, 0);
	guint64 ticket = 0, used;
	gint64 start;
	guint n = 0;

	(void)data;
	while (append(journal, 250, &ticket) == 0)
		n++;
	CHECK(n > 10 && journal_wants_checkpoint(journal));
	CHECK_INT(journal_commit(journal, ticket), 0);
	CHECK_INT(journal_reserve(journal, FORMAT_RECORD_LENGTH_MAX, TRUE), -EAGAIN);
	start = g_get_monotonic_time();
	CHECK_INT(journal_reserve(journal, FORMAT_RECORD_LENGTH_MAX, FALSE), -EAGAIN);
	CHECK(g_get_monotonic_time() - start >= 150 * G_TIME_SPAN_MILLISECOND);
	CHECK_UINT(found_from(backing, 0), n);
	journal_release(journal, ticket);
	used = journal_used(journal);
	CHECK_UINT(used, 0);
	CHECK(!journal_wants_checkpoint(journal));
	CHECK_INT(journal_reserve(journal, ZERO_LENGTH, TRUE), 0);
	journal_unreserve(journal, ZERO_LENGTH);
	journal_free(journal);
}

/* One thread may stage more than the stage holds, without a commit in between. */
static void test_stage_is_written(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Journal *journal = journal_new(backing, 4 * MIB, &seal, NULL);
	guint64 ticket = 0;

	(void)data;
	CHECK_INT(backing_grow(backing, FORMAT_JOURNAL_OFFSET + 4 * MIB), 0);
	journal_start(journal, 0, (JournalPlace){0, 1}, GENERATION);
	for (guint i = 0; i < 300; i++)
		CHECK_INT(append(journal, 250, &ticket), 0);
	CHECK(backing_faulty_count(backing, FAULTY_WRITE) > 1);
	CHECK_INT(journal_commit(journal, ticket), 0);
	CHECK_UINT(journal_written(journal), 301);
	journal_free(journal);
}

static void test_backing_refuses(const void *data)
{
	g_autoptr(Backing) backing = ring_of_zeros();
	Journal *journal = journal_at(backing, 0);
	guint64 ticket = 0, first = 0;

	(void)data;
	CHECK_INT(append(journal, 3, &first), 0);
	CHECK_INT(journal_commit(journal, first), 0);
	backing_faulty_fail(backing, FAULTY_WRITE, 0, EIO, FALSE, FALSE);
	CHECK_INT(append(journal, 3, &ticket), 0);
	CHECK_INT(journal_commit(journal, ticket), -ESHUTDOWN);
	CHECK_INT(journal_commit(journal, first), 0);
	CHECK_INT(journal_reserve(journal, ZERO_LENGTH, FALSE), -ESHUTDOWN);
	journal_mark_durable(journal, 2); /* must write nothing */
	CHECK_UINT(found_from(backing, 0), 1);
	journal_free(journal);
}

/* What the first mark outside the ring says is on the disk. */
static guint64 marked_outside(Backing *backing)
{
	guint8 raw[sizeof(FormatRecord)];

	CHECK_INT(backing_pread(backing, raw, sizeof raw, FORMAT_MARKS_OFFSET), 0);
	return get_le64(raw + G_STRUCT_OFFSET(FormatRecord, first));
}

/* Marks fill the ring.  No mark's copy goes over the first record, whose block ends in it, and the
 * mark that has no room for a copy goes outside the ring at once. */
static void test_marks_fill_ring(const void *data)
{
	g_autoptr(Backing) backing = ring_of_zeros();
	const guint64 start = 4000;
	Journal *journal = journal_at(backing, start);
	guint64 ticket = 0, used, marked = 0;
	guint8 before[4096], after[4096];

	(void)data;
	CHECK_INT(append(journal, 250, &ticket), 0);
	CHECK_INT(journal_commit(journal, ticket), 0);
	CHECK_INT(backing_pread(backing, before, sizeof before, FORMAT_JOURNAL_OFFSET), 0);
	do {
		used = journal_used(journal);
		marked = journal_written(journal);
		journal_mark_durable(journal, marked);
	} while (journal_used(journal) > used && !test_failed());
	CHECK(used < SIZE && used > SIZE - 8192);
	CHECK_UINT(marked_outside(backing), marked - 1);
	CHECK_INT(backing_pread(backing, after, sizeof after, FORMAT_JOURNAL_OFFSET), 0);
	CHECK_MEM(after, before, sizeof after);
	CHECK_UINT(found_from(backing, start), 1);
	journal_free(journal);
}

/* As requests do: a wait that ends for want of a processor begins anew. */
static gpointer reserve_all(gpointer journal)
{
	int r;

	do
		r = journal_reserve(journal, FORMAT_RECORD_LENGTH_MAX, FALSE);
	while (r == -EAGAIN);
	return GINT_TO_POINTER(r);
}

static void test_wait_ends(const void *data)
{
	for (guint failing = 0; failing < 2; failing++) {
		g_autoptr(Backing) backing = ring_of_zeros();
		Journal *journal = journal_at(backing, 0);
		guint64 ticket = 0;
		GThread *thread;
		int r;

		(void)data;
		while (append(journal, 250, &ticket) == 0)
			;
		CHECK_INT(journal_commit(journal, ticket), 0);
		thread = g_thread_new("waits", reserve_all, journal);
		g_usleep(20000); /* lets the thread begin to wait; the result is the same if it has
				    not */
		if (failing)
			journal_fail(journal);
		else
			journal_release(journal, ticket);
		r = GPOINTER_TO_INT(g_thread_join(thread));
		CHECK_INT(r, failing ? -ESHUTDOWN : 0);
		journal_free(journal);
	}
}

int main(int argc, char **argv)
{
	test_add("records continue at the ring's start", test_wrap, NULL);
	test_add("without room, an append fails after a while", test_no_room, NULL);
	test_add("the stage is written when it is full", test_stage_is_written, NULL);
	test_add("a backing that refuses ends the journal", test_backing_refuses, NULL);
	test_add("a mark without room for its copy goes outside the ring", test_marks_fill_ring,
		 NULL);
	test_add("a wait for room ends with room, or with the journal", test_wait_ends, NULL);
	return test_run(argc, argv);
}
