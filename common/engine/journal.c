/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/journal.h"
#include "common/base/bounds.h"
#include "common/base/large.h"
#include "common/base/lock.h"
#include "common/engine/checked.h"
#include "common/engine/waits.h"

#include <errno.h>

#define STAGE_SIZE ((guint64)256 << 10)
#define ROOM_WAIT (200 * G_TIME_SPAN_MILLISECOND)
#define HOMES_INTERVAL (250 * G_TIME_SPAN_MILLISECOND)
#define HASTY_RECORDS 4u /* between two marks, at most, to expect the next flush as soon */

/* Bytes kept free in addition to what is reserved, since a record that does not fit before the
 * ring's end skips the rest of the ring. */
#define WRAP_MARGIN ((guint64)2 * FORMAT_RECORD_LENGTH_MAX)

typedef guint8 RawMark[sizeof(FormatRecord)];

struct Journal {
	Backing *backing;
	guint64 size;
	const Seal *seal;

	Lock lock;
	GCond changed; /* written, tail, failed or homes_busy */
	guint64 tail, written, head, reserved;
	guint64 sequence;	  /* of the next record */
	guint64 written_sequence; /* of the first record that is not written */
	gint wants;		  /* atomic: more than half of the ring is in use */
	gint expects_flush;	  /* atomic: `sequence` is below `flush_by` */
	guint64 flush_by;	  /* records before this sequence are hastened */
	guint64 generation;
	gboolean writing;
	gboolean failed;
	guint8 *stage; /* the bytes of [written, head), modulo STAGE_SIZE */

	RawMark mark;	       /* the last durable-mark */
	guint64 mark_sequence; /* its sequence */
	guint64 mark_end;      /* the position behind it */
	guint64 neighbour;     /* the position behind its copy in the ring; 0: there is none */
	gboolean homes_behind; /* the marks outside the ring are older */
	gboolean homes_busy;   /* a thread is writing them */
	gint64 homes_written;  /* when that began last */
};

Journal *journal_new(Backing *backing, guint64 size, const Seal *seal, GError **error)
{
	Journal *journal = g_try_new0(Journal, 1);

	if (journal)
		journal->stage = large_alloc(STAGE_SIZE);
	if (!journal || !journal->stage) {
		g_free(journal);
		error_set_errno(error, ENOMEM, "%s: journal", backing->name);
		return NULL;
	}
	journal->backing = backing;
	journal->size = size;
	journal->seal = seal;
	lock_init(&journal->lock, LOCK_JOURNAL);
	g_cond_init(&journal->changed);
	return journal;
}

void journal_free(Journal *journal)
{
	if (!journal)
		return;
	lock_clear(&journal->lock);
	g_cond_clear(&journal->changed);
	large_free(journal->stage, STAGE_SIZE);
	g_free(journal);
}

static void update_wants(Journal *journal)
{
	g_atomic_int_set(&journal->wants, journal->head - journal->tail > journal->size / 2);
}

void journal_start(Journal *journal, guint64 tail, JournalPlace head, guint64 generation)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);

	journal->tail = tail;
	journal->written = journal->head = head.position;
	journal->sequence = journal->written_sequence = head.sequence;
	journal->generation = generation;
	update_wants(journal);
}

/* Whether a record of `length` bytes has room in the ring and in the stage. */
static gboolean has_room(const Journal *journal, guint32 length)
{
	guint64 want = journal->reserved + length + WRAP_MARGIN;

	return journal->head - journal->tail + want <= journal->size &&
	       journal->head - journal->written + want <= STAGE_SIZE;
}

/* The position behind the copy in the ring of a mark, when the last record ends at `end`: the end
 * of the block that follows this record's last. */
static guint64 neighbour_of(guint64 end)
{
	return ((end - 1) / FORMAT_MARK_DISTANCE + 2) * FORMAT_MARK_DISTANCE;
}

/* Whether the write of [written, head) is to be followed by a copy of the last mark, because it has
 * the mark, or goes over the copy. */
static gboolean wants_neighbour(const Journal *journal)
{
	return journal->homes_behind && (journal->mark_end > journal->written ||
					 journal->head + sizeof(RawMark) > journal->neighbour);
}

static int write_records(Journal *journal, guint64 from, guint64 to)
{
	int r = 0;

	while (from < to && !r) {
		guint64 length = MIN(to - from, STAGE_SIZE - from % STAGE_SIZE);

		length = MIN(length, journal->size - from % journal->size);
		r = backing_pwrite(journal->backing, journal->stage + from % STAGE_SIZE, length,
				   FORMAT_JOURNAL_OFFSET + from % journal->size);
		from += length;
	}
	return r;
}

/* Writes the mark's copy that ends at the position `end`. */
static gboolean write_neighbour(Journal *journal, const guint8 *mark, guint64 end)
{
	guint64 at = (end - sizeof(RawMark)) % journal->size;

	return !backing_pwrite(journal->backing, mark, sizeof(RawMark), FORMAT_JOURNAL_OFFSET + at);
}

/* Hastens the records in [from, to), and with them the copy of the mark. */
static void hasten_records(Journal *journal, guint64 from, guint64 to)
{
	guint64 at = from % journal->size;

	backing_hasten(journal->backing, FORMAT_JOURNAL_OFFSET + at,
		       min_u64(neighbour_of(to) - from, journal->size - at));
}

/* Writes the bytes [written, head) from the stage to the ring, and the mark's copy behind them:
 * nobody else writes to the ring meanwhile, so the copy does not go over a record.  The lock is
 * held, and dropped during the I/O. */
static void write_staged_unlocking(Journal *journal)
{
	guint64 from = journal->written, to = journal->head, sequence = journal->sequence;
	guint64 neighbour = journal->neighbour;
	gboolean copies = wants_neighbour(journal);
	RawMark mark;
	gboolean hasty = journal->written_sequence < journal->flush_by;
	int r;

	if (copies)
		neighbour =
			neighbour_of(to) <= journal->tail + journal->size ? neighbour_of(to) : 0;
	memcpy(mark, journal->mark, sizeof mark);
	journal->writing = TRUE;
	lock_drop(&journal->lock);
	r = write_records(journal, from, to);
	if (!r && copies && neighbour && !write_neighbour(journal, mark, neighbour))
		neighbour = 0;
	if (!r && hasty)
		hasten_records(journal, from, to);
	lock_take(&journal->lock);
	journal->writing = FALSE;
	if (r) {
		journal->failed = TRUE;
	} else {
		journal->written = to;
		journal->written_sequence = sequence;
		journal->neighbour = neighbour;
	}
	g_cond_broadcast(&journal->changed);
}

/* Waits for room in the stage, as long as a write takes, or else for room in the ring, until
 * *deadline, which is set at the first such wait.  FALSE: the deadline has passed.  The lock is
 * held, and dropped during the wait. */
static gboolean wait_for_room_unlocking(Journal *journal, gint64 *deadline)
{
	gboolean in_time;
	gint64 start;

	if (journal->writing) {
		lock_wait(&journal->changed, &journal->lock);
		return TRUE;
	}
	if (journal->head > journal->written) {
		write_staged_unlocking(journal); /* nobody is committing what is staged */
		return TRUE;
	}
	start = g_get_monotonic_time();
	if (!*deadline)
		*deadline = start + ROOM_WAIT;
	in_time = lock_wait_until(&journal->changed, &journal->lock, *deadline);
	waits_add(start);
	return in_time;
}

int journal_reserve(Journal *journal, guint32 length, gboolean nowait)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);
	gint64 deadline = 0;

	while (!journal->failed && !has_room(journal, length)) {
		if (nowait || !wait_for_room_unlocking(journal, &deadline))
			return -EAGAIN;
	}
	if (journal->failed)
		return -ESHUTDOWN;
	journal->reserved += length;
	return 0;
}

void journal_unreserve(Journal *journal, guint32 length)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);

	if (!CHECKED(journal->backing, journal->reserved >= length,
		     "I1: room that is given back was reserved"))
		return;
	journal->reserved -= length;
	g_cond_broadcast(&journal->changed);
}

static void stage_bytes(Journal *journal, const guint8 *bytes, guint32 length)
{
	guint64 at = journal->head % STAGE_SIZE;
	guint64 first = MIN(length, STAGE_SIZE - at);

	memcpy(journal->stage + at, bytes, first);
	memcpy(journal->stage, bytes + first, length - first);
	journal->head += length;
}

/* Moves the head to the ring's start if a record of `length` bytes does not fit before the ring's
 * end.  Stages a wrap record there, or zeros if even that does not fit. */
static void skip_to_start(Journal *journal, guint32 length)
{
	guint64 rest = journal->size - journal->head % journal->size;
	guint8 raw[FORMAT_RECORD_LENGTH_MAX] = {0};

	if (rest >= length)
		return;
	if (rest >= sizeof(FormatRecord)) {
		Record record = {.kind = FORMAT_RECORD_WRAP,
				 .sequence = journal->sequence++,
				 .generation = journal->generation};
		record_encode(&record, journal->seal, raw);
	}
	stage_bytes(journal, raw, (guint32)rest);
}

static void update_expectation(Journal *journal)
{
	g_atomic_int_set(&journal->expects_flush, journal->sequence < journal->flush_by);
}

gboolean journal_expects_flush(Journal *journal)
{
	return g_atomic_int_get(&journal->expects_flush);
}

static guint64 append_locked(Journal *journal, Record *record)
{
	guint8 raw[FORMAT_RECORD_LENGTH_MAX];
	guint32 length = record_length(record->kind, record->n_runs, record->blocks);

	skip_to_start(journal, length);
	record->sequence = journal->sequence++;
	record->generation = journal->generation;
	record_encode(record, journal->seal, raw);
	stage_bytes(journal, raw, length);
	update_expectation(journal);
	return journal->head;
}

guint64 journal_append(Journal *journal, Record *record)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);
	guint32 length = record_length(record->kind, record->n_runs, record->blocks);
	guint64 ticket;

	/* Without room the record would overwrite one that replay needs (I1). */
	if (!CHECKED(journal->backing, journal->reserved >= length,
		     "I1: room was reserved for the record")) {
		journal->failed = TRUE;
		return G_MAXUINT64; /* journal_commit() of this ticket fails */
	}
	ticket = append_locked(journal, record);
	journal->reserved -= length;
	update_wants(journal);
	return ticket;
}

/* I2: returns 0 only when the record and all before it are written.  The lock is held, and dropped
 * during waits and I/O. */
static int commit_unlocking(Journal *journal, guint64 ticket)
{
	while (journal->written < ticket && !journal->failed) {
		if (journal->writing)
			lock_wait(&journal->changed, &journal->lock);
		else
			write_staged_unlocking(journal);
	}
	return journal->written < ticket ? -ESHUTDOWN : 0;
}

int journal_commit(Journal *journal, guint64 ticket)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);

	return commit_unlocking(journal, ticket);
}

/* After the mark of that sequence: as many records as came before it are likely to precede the next
 * flush. */
static void expect_flush(Journal *journal, guint64 sequence)
{
	guint64 records = sequence - journal->mark_sequence - 1;

	if (records <= HASTY_RECORDS)
		journal->flush_by = sequence + 1 + records;
	journal->mark_sequence = sequence;
	update_expectation(journal);
}

/* Appends and commits a durable-mark.  Returns whether the marks outside the ring must follow at
 * once. */
static gboolean append_mark(Journal *journal, guint64 sequence)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);
	Record record = {.kind = FORMAT_RECORD_DURABLE, .first = sequence};
	guint64 before = journal->mark_end;

	if (journal->failed || !has_room(journal, sizeof(FormatRecord)))
		return FALSE;
	journal->mark_end = append_locked(journal, &record);
	record_encode(&record, journal->seal, journal->mark);
	journal->homes_behind = TRUE;
	journal->flush_by = 0; /* the mark itself is not hastened */
	if (commit_unlocking(journal, journal->mark_end))
		return FALSE;
	expect_flush(journal, record.sequence);
	return !journal->neighbour || journal->mark_end - before > FORMAT_MARK_DISTANCE ||
	       g_get_monotonic_time() - journal->homes_written >= HOMES_INTERVAL;
}

void journal_mark_durable(Journal *journal, guint64 sequence)
{
	if (append_mark(journal, sequence))
		journal_settle_marks(journal);
}

/* Writes the mark's two copies outside the ring.  The lock is held, and dropped during the I/O. */
static void write_homes_unlocking(Journal *journal)
{
	guint8 raw[FORMAT_MARK_DISTANCE + sizeof(RawMark)] = {0};
	int r;

	memcpy(raw, journal->mark, sizeof(RawMark));
	memcpy(raw + FORMAT_MARK_DISTANCE, journal->mark, sizeof(RawMark));
	journal->homes_behind = FALSE;
	journal->homes_busy = TRUE;
	journal->homes_written = g_get_monotonic_time();
	lock_drop(&journal->lock);
	r = backing_pwrite(journal->backing, raw, sizeof raw, FORMAT_MARKS_OFFSET);
	lock_take(&journal->lock);
	journal->homes_busy = FALSE;
	if (r)
		journal->homes_behind = TRUE;
	g_cond_broadcast(&journal->changed);
}

void journal_settle_marks(Journal *journal)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);

	while (journal->homes_busy)
		lock_wait(&journal->changed, &journal->lock);
	for (guint tries = 0; tries < 2 && journal->homes_behind && !journal->failed; tries++)
		write_homes_unlocking(journal);
}

void journal_mark_checkpoint(Journal *journal, guint64 sequence, guint64 generation)
{
	const Record record = {
		.kind = FORMAT_RECORD_DURABLE,
		.sequence = sequence,
		.generation = generation,
		.first = sequence,
	};
	guint8 raw[sizeof(FormatRecord)];

	record_encode(&record, journal->seal, raw);
	backing_pwrite(journal->backing, raw, sizeof raw, FORMAT_CHECKPOINT_MARK_OFFSET);
}

/* Sets the generation and takes the head under one lock: a durable-mark, which is appended without
 * the map's lock, must not come between the two. */
JournalPlace journal_cut(Journal *journal, guint64 generation)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);

	journal->generation = generation;
	return (JournalPlace){journal->head, journal->sequence};
}

void journal_release(Journal *journal, guint64 tail)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);

	/* I6: replay from the newest checkpoint needs the records from its cut to the head. */
	if (!CHECKED(journal->backing, tail >= journal->tail && tail <= journal->head,
		     "I6: the journal's tail moves up, to its head at most"))
		return;
	journal->tail = tail;
	update_wants(journal);
	if (!journal->writing && journal->written == journal->head)
		large_rest(journal->stage, STAGE_SIZE); /* the volume may stay idle */
	g_cond_broadcast(&journal->changed);
}

guint64 journal_written(Journal *journal)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);

	return journal->written_sequence;
}

gboolean journal_wants_checkpoint(Journal *journal)
{
	return g_atomic_int_get(&journal->wants);
}

void journal_fail(Journal *journal)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);

	journal->failed = TRUE;
	g_cond_broadcast(&journal->changed);
}

guint64 journal_used(Journal *journal)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(&journal->lock);

	return journal->head - journal->tail;
}
