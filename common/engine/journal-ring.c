/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/journal-ring.h"

#include <errno.h>

#include "common/base/large.h"

/* The marks outside the ring: the copies of the durable-mark, then the checkpoint's mark. */
#define ALL_MARKS (FORMAT_MARKS + 1)

typedef guint8 RawMark[sizeof(FormatRecord)];

struct JournalRing {
	Superblock sb;
	const Seal *seal;
	RawMark marks[ALL_MARKS]; /* zeros where a mark cannot be read */
	guint8 bytes[];
};

static guint64 mark_offset(guint number)
{
	return number < FORMAT_MARKS ? FORMAT_MARKS_OFFSET + (guint64)number * FORMAT_MARK_DISTANCE
				     : FORMAT_CHECKPOINT_MARK_OFFSET;
}

static void read_marks(Backing *backing, RawMark *marks)
{
	for (guint i = 0; i < ALL_MARKS; i++)
		if (backing_pread(backing, marks[i], sizeof *marks, mark_offset(i)))
			memset(marks[i], 0, sizeof *marks);
}

int journal_ring_read(Backing *backing, const Superblock *sb, const Seal *seal,
		      JournalRing **ret_ring)
{
	g_autoptr(JournalRing) ring = large_alloc(sizeof *ring + sb->journal_size);
	int r;

	if (!ring)
		return -ENOMEM;
	ring->sb = *sb;
	ring->seal = seal;
	read_marks(backing, ring->marks);
	r = backing_pread(backing, ring->bytes, sb->journal_size, FORMAT_JOURNAL_OFFSET);
	if (!r)
		*ret_ring = g_steal_pointer(&ring);
	return r;
}

void journal_ring_free(JournalRing *ring)
{
	if (ring)
		large_free(ring, sizeof *ring + ring->sb.journal_size);
}

/* Decodes the record at *place, or at the ring's start if no record fits before the ring's end;
 * then moves *place there.  Returns how far the next record's place is from *place: the record's
 * length or, after a wrap record, the rest of the ring; 0 if there is no valid record. */
static guint64 walk_one(const JournalRing *ring, JournalPlace *place, Record *record, SlotRun *runs,
			guint32 *crcs)
{
	const Superblock *sb = &ring->sb;
	guint64 at = place->position % sb->journal_size, rest = sb->journal_size - at;
	guint32 length;

	if (rest < sizeof(FormatRecord)) {
		place->position += rest;
		return walk_one(ring, place, record, runs, crcs);
	}
	length = record_decode(ring->bytes + at, rest, ring->seal, place->sequence, record, runs,
			       crcs);
	return length && record->kind == FORMAT_RECORD_WRAP ? rest : length;
}

/* The first place from `at` on that has a record's magic number, or the ring's size. */
static guint64 next_candidate(const JournalRing *ring, guint64 at)
{
	const guint8 *magic = ring->bytes + G_STRUCT_OFFSET(FormatRecord, magic);

	for (; at + sizeof(FormatRecord) <= ring->sb.journal_size; at += FORMAT_RECORD_ALIGN)
		if (get_le32(magic + at) == FORMAT_RECORD_MAGIC)
			return at;
	return ring->sb.journal_size;
}

static gboolean is_fenced_off(const Superblock *sb, const Record *record)
{
	return record->sequence >= sb->fence_sequence && record->generation < sb->fence_generation;
}

/* Whether `raw` is a valid durable-mark, of any sequence. */
static gboolean is_mark(const Seal *seal, const guint8 *raw, gsize available, Record *ret)
{
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX];
	guint64 sequence = get_le64(raw + G_STRUCT_OFFSET(FormatRecord, sequence));

	return get_le32(raw + G_STRUCT_OFFSET(FormatRecord, magic)) == FORMAT_RECORD_MAGIC &&
	       record_decode(raw, available, seal, sequence, ret, runs, crcs) &&
	       ret->kind == FORMAT_RECORD_DURABLE;
}

/* Whether `raw` is a valid durable-mark that is not fenced off. */
static gboolean decode_mark(const JournalRing *ring, const guint8 *raw, gsize available,
			    Record *ret)
{
	return is_mark(ring->seal, raw, available, ret) && !is_fenced_off(&ring->sb, ret);
}

/* The newest valid copy of the durable-mark outside the ring, or NULL. */
static RawMark *newest_mark(const Seal *seal, RawMark *marks)
{
	RawMark *newest = NULL;
	guint64 sequence = 0;
	Record record;

	for (guint i = 0; i < FORMAT_MARKS; i++)
		if (is_mark(seal, marks[i], sizeof *marks, &record) &&
		    record.sequence >= sequence) {
			newest = &marks[i];
			sequence = record.sequence;
		}
	return newest;
}

static guint damaged_marks(const Seal *seal, RawMark *marks, gboolean settled)
{
	static const RawMark blank;
	RawMark *newest = newest_mark(seal, marks);
	guint damaged = 0;
	Record record;

	for (guint i = 0; i < ALL_MARKS; i++) {
		gboolean is_blank = !memcmp(marks[i], blank, sizeof blank);
		gboolean differs =
			newest && i < FORMAT_MARKS && memcmp(marks[i], newest, sizeof *newest);

		if ((!is_blank && !is_mark(seal, marks[i], sizeof *marks, &record)) ||
		    (settled && differs))
			damaged |= 1u << i;
	}
	return damaged;
}

guint journal_ring_damaged_marks(JournalRing *ring, gboolean settled)
{
	return damaged_marks(ring->seal, ring->marks, settled);
}

guint journal_damaged_marks(Backing *backing, const Seal *seal, gboolean settled)
{
	RawMark marks[ALL_MARKS];

	read_marks(backing, marks);
	return damaged_marks(seal, marks, settled);
}

int journal_ring_mend_marks(JournalRing *ring, Backing *backing, guint marks)
{
	static const RawMark blank;
	RawMark *newest = newest_mark(ring->seal, ring->marks);
	int r = 0;

	for (guint i = 0; i < ALL_MARKS && !r; i++)
		if (marks & 1u << i)
			r = backing_pwrite(backing, newest && i < FORMAT_MARKS ? *newest : blank,
					   sizeof blank, mark_offset(i));
	return r;
}

/* Whether `raw` is a durable-mark that counts and says that the record of sequence `end` was on
 * disk. */
static gboolean is_mark_behind(const JournalRing *ring, const guint8 *raw, gsize available,
			       guint64 generation, guint64 end)
{
	Record record;

	return get_le64(raw + G_STRUCT_OFFSET(FormatRecord, sequence)) > end &&
	       decode_mark(ring, raw, available, &record) && record.first > end &&
	       record.generation >= generation;
}

guint64 journal_ring_durable(const JournalRing *ring)
{
	guint64 durable = 0;
	Record record;

	for (guint i = 0; i < G_N_ELEMENTS(ring->marks); i++)
		if (decode_mark(ring, ring->marks[i], sizeof ring->marks[i], &record))
			durable = MAX(durable, record.first);
	return durable;
}

/* Whether a durable-mark, outside the ring or anywhere in it, says that the record of sequence
 * `end`, at which a walk ended, was on disk (I1). */
static gboolean ends_too_early(const JournalRing *ring, guint64 generation, guint64 end)
{
	const Superblock *sb = &ring->sb;

	for (guint i = 0; i < G_N_ELEMENTS(ring->marks); i++)
		if (is_mark_behind(ring, ring->marks[i], sizeof ring->marks[i], generation, end))
			return TRUE;
	for (guint64 at = next_candidate(ring, 0); at < sb->journal_size;
	     at = next_candidate(ring, at + FORMAT_RECORD_ALIGN))
		if (is_mark_behind(ring, ring->bytes + at, sb->journal_size - at, generation, end))
			return TRUE;
	return FALSE;
}

JournalPlace journal_ring_walk(const JournalRing *ring, JournalVisit visit, gpointer data,
			       gboolean *ret_damaged)
{
	const Superblock *sb = &ring->sb;
	JournalPlace place = {sb->journal_position, sb->journal_sequence}, head = place;
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX];
	guint64 generation = 0, length;
	Record record;

	while (place.position - sb->journal_position < sb->journal_size &&
	       (length = walk_one(ring, &place, &record, runs, crcs)) > 0) {
		if (record.generation < generation || is_fenced_off(sb, &record))
			break;
		if (record.kind != FORMAT_RECORD_WRAP && !visit(&record, data))
			break;
		generation = record.generation;
		place.position += length;
		place.sequence++;
		head = place;
	}
	if (ret_damaged)
		*ret_damaged = ends_too_early(ring, generation, head.sequence);
	return head;
}

void journal_ring_scan(const JournalRing *ring, guint64 after, JournalVisit visit, gpointer data)
{
	const Superblock *sb = &ring->sb;
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX];
	Record record;

	for (guint64 at = next_candidate(ring, 0); at < sb->journal_size;
	     at = next_candidate(ring, at + FORMAT_RECORD_ALIGN)) {
		const guint8 *raw = ring->bytes + at;
		guint64 sequence = get_le64(raw + G_STRUCT_OFFSET(FormatRecord, sequence));

		if (sequence > after &&
		    record_decode(raw, sb->journal_size - at, ring->seal, sequence, &record, runs,
				  crcs) &&
		    !is_fenced_off(sb, &record) && !visit(&record, data))
			break;
	}
}
