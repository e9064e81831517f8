/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal's ring, with records in any order and of any content, but with correct checksums.
 *
 *     8 bytes   where replay begins; the fence's sequence and generation; the first sequence
 *     then      records of 8 bytes each: kind, flags, generation, first block, number of blocks,
 *               number of runs, position (0: behind the previous record), sequence (0: the next)
 *
 * Flag bit 0 breaks the record's checksum.  Each record that the walk visits must be one that was
 * put there, with the next sequence, and with a generation not below that of the previous record or
 * of the fence.  The walk must end within one lap.
 */
#include <string.h>

#include "tests/backing/memory.h"
#include "common/base/bytes.h"
#include "common/engine/journal-ring.h"
#include "tests/fuzz/fuzz.h"

#define RING (16u << 10)
#define SEED 5
#define RECORDS 200

static const Seal seal = {SEED};

typedef struct {
	Superblock sb;
	guint8 bytes[RING];
	guint64 position, sequence; /* of the record that must come next */
	guint visited;
	guint64 generation; /* of the last visited */
	gboolean refuse;    /* the visitor refuses the fifth */
} Ring;

static void put_record(Ring *ring, Record *record, guint64 at, gboolean broken)
{
	guint8 raw[FORMAT_RECORD_LENGTH_MAX] = {0};
	guint32 length = record_length(record->kind, record->n_runs, record->blocks);

	record_encode(record, &seal, raw);
	if (broken)
		raw[length / 2] ^= 1;
	/* A record that the ring's end cuts off must not count. */
	if (at + length > RING)
		length = (guint32)(RING - at);
	memcpy(ring->bytes + at, raw, length);
}

static void fill_in(Record *record, SlotRun *runs, guint32 *crcs)
{
	guint64 left = record->blocks;

	record->runs = runs;
	record->crcs = crcs;
	memset(crcs, 0x5a, FORMAT_RECORD_BLOCKS_MAX * sizeof *crcs);
	for (guint i = 0; i < record->n_runs; i++) {
		guint32 count = (guint32)(i + 1 == record->n_runs ? left : MIN(left, 1));

		runs[i] = (SlotRun){FORMAT_FIRST_INDEX + i, count};
		left -= count;
	}
}

static void put(Ring *ring, const guint8 *in)
{
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX];
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX];
	Record record = {.kind = in[0] % 7,
			 .generation = in[2],
			 .first = in[3],
			 .blocks = in[4],
			 .sequence = in[7] ? in[7] : ring->sequence};
	guint64 at = (in[6] ? in[6] * (guint64)64 : ring->position) % RING & ~(guint64)7;
	guint32 length;

	if (record.kind == FORMAT_RECORD_WRITE)
		record.n_runs = in[5];
	fill_in(&record, runs, crcs);
	length = record_length(record.kind, record.n_runs, record.blocks);
	if (length > RING - at && record.kind != FORMAT_RECORD_WRAP && !(in[1] & 2))
		at = 0; /* a record that would cross the end begins at 0, as in the journal */
	put_record(ring, &record, at, in[1] & 1);
	ring->position = record.kind == FORMAT_RECORD_WRAP ? 0 : at + length;
	ring->sequence = record.sequence + 1;
}

static gboolean visit(const Record *record, gpointer data)
{
	Ring *ring = data;
	const Superblock *sb = &ring->sb;
	guint64 slots = 0;

	fuzz_assert(record->sequence >= sb->journal_sequence + ring->visited);
	fuzz_assert(record->generation >= ring->generation);
	fuzz_assert(record->sequence < sb->fence_sequence ||
		    record->generation >= sb->fence_generation);
	fuzz_assert(record->kind != FORMAT_RECORD_WRAP);
	for (guint i = 0; record->kind == FORMAT_RECORD_WRITE && i < record->n_runs; i++) {
		fuzz_assert(record->runs[i].count && record->runs[i].slot >= FORMAT_FIRST_INDEX);
		slots += record->runs[i].count;
	}
	if (record->kind == FORMAT_RECORD_WRITE)
		fuzz_assert(slots == record->blocks && slots <= FORMAT_RECORD_BLOCKS_MAX);
	ring->generation = record->generation;
	ring->visited++;
	return !ring->refuse || ring->visited < 5;
}

static void walk(Ring *ring, const JournalRing *journal, gboolean refuse)
{
	const Superblock *sb = &ring->sb;
	gboolean damaged = 2;
	JournalPlace end;

	ring->refuse = refuse;
	ring->visited = 0;
	ring->generation = 0;
	end = journal_ring_walk(journal, visit, ring, &damaged);
	fuzz_assert(end.position >= sb->journal_position);
	fuzz_assert(end.position - sb->journal_position < 2 * (guint64)RING);
	fuzz_assert(end.sequence >=
		    sb->journal_sequence + ring->visited - (guint)(refuse && ring->visited));
	fuzz_assert(damaged == TRUE || damaged == FALSE);
}

int LLVMFuzzerTestOneInput(const guint8 *data, gsize size)
{
	static Backing *memory;
	Ring ring = {.sb = {.journal_size = RING, .seed = SEED}};
	JournalRing *journal;

	if (size < 8)
		return 0;
	if (!memory) {
		memory = backing_memory_new(0);
		fuzz_assert(memory && !backing_grow(memory, FORMAT_JOURNAL_OFFSET + RING));
	}
	ring.sb.journal_position = get_le16(data) & ~(guint64)7;
	ring.sb.fence_sequence = get_le16(data + 2);
	ring.sb.fence_generation = data[4];
	ring.sb.journal_sequence = data[5];
	ring.position = ring.sb.journal_position % RING;
	ring.sequence = ring.sb.journal_sequence;
	for (gsize i = 8; i + 8 <= size && i < 8 * RECORDS; i += 8)
		put(&ring, data + i);
	fuzz_assert(!backing_pwrite(memory, ring.bytes, RING, FORMAT_JOURNAL_OFFSET) &&
		    !journal_ring_read(memory, &ring.sb, &seal, &journal));
	walk(&ring, journal, FALSE);
	walk(&ring, journal, TRUE);
	journal_ring_free(journal);
	return 0;
}
