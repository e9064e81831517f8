/* SPDX-License-Identifier: Apache-2.0 */
#include "common/journal-ring.h"

#include <errno.h>

struct JournalRing {
	Superblock sb;
	guint8 mark[sizeof(FormatRecord)]; /* the one outside the ring; zeros if it cannot be read */
	guint8 bytes[];
};

int journal_ring_read(Backing *backing, const Superblock *sb, JournalRing **ret_ring)
{
	g_autofree JournalRing *ring = g_try_malloc(sizeof *ring + sb->journal_size);
	int r;

	if (!ring)
		return -ENOMEM;
	ring->sb = *sb;
	if (backing_pread(backing, ring->mark, sizeof ring->mark, FORMAT_MARK_OFFSET))
		memset(ring->mark, 0, sizeof ring->mark);
	r = backing_pread(backing, ring->bytes, sb->journal_size, FORMAT_JOURNAL_OFFSET);
	if (!r)
		*ret_ring = g_steal_pointer(&ring);
	return r;
}

void journal_ring_free(JournalRing *ring)
{
	g_free(ring);
}

/* The record at a place of a ring that is in memory; follows a wrap.  Its length with what was
 * skipped, 0 if there is none. */
static guint64 walk_one(const JournalRing *ring, JournalPlace *place, Record *record,
			SlotRun *runs, guint32 *crcs)
{
	const Superblock *sb = &ring->sb;
	guint64 at = place->position % sb->journal_size, rest = sb->journal_size - at;
	guint32 length;

	if (rest < sizeof(FormatRecord)) {
		place->position += rest;
		return walk_one(ring, place, record, runs, crcs);
	}
	length = record_decode(ring->bytes + at, rest, sb->seed, place->sequence, record, runs, crcs);
	return length && record->kind == FORMAT_RECORD_WRAP ? rest : length;
}

/* The first place from `at` on where a record may begin: one that has the magic number; the ring's
 * size if there is none. */
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

/* Whether there is a durable-mark that says that the record at `end` was on disk. */
static gboolean is_mark_behind(const Superblock *sb, const guint8 *raw, gsize available,
			       guint64 generation, guint64 end)
{
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX];
	guint64 sequence = get_le64(raw + G_STRUCT_OFFSET(FormatRecord, sequence));
	Record record;

	return get_le32(raw + G_STRUCT_OFFSET(FormatRecord, magic)) == FORMAT_RECORD_MAGIC &&
	       sequence > end &&
	       record_decode(raw, available, sb->seed, sequence, &record, runs, crcs) &&
	       record.kind == FORMAT_RECORD_DURABLE && record.first > end &&
	       record.generation >= generation && !is_fenced_off(sb, &record);
}

/* Whether a durable-mark, behind the end of a walk or in its other home, says that more was on
 * disk. */
static gboolean ends_too_early(const JournalRing *ring, guint64 generation, guint64 end)
{
	const Superblock *sb = &ring->sb;

	if (is_mark_behind(sb, ring->mark, sizeof ring->mark, generation, end))
		return TRUE;
	for (guint64 at = next_candidate(ring, 0); at < sb->journal_size;
	     at = next_candidate(ring, at + FORMAT_RECORD_ALIGN))
		if (is_mark_behind(sb, ring->bytes + at, sb->journal_size - at, generation, end))
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
		    record_decode(raw, sb->journal_size - at, sb->seed, sequence, &record, runs,
				  crcs) &&
		    !is_fenced_off(sb, &record) && !visit(&record, data))
			break;
	}
}
