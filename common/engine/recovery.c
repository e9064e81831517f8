/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order of the steps is the crash safety.  After a crash between any two of them the next open
 * begins again at step 1, and must find the same end of the journal, or lose nothing but records
 * that were never flushed (I1, I3).
 *
 *   1. Read the ring.  Writes nothing.
 *
 *   2. Find the first record that does not count, and take the slots of those that do.  Writes
 *      payload that was verified to where it was read: the same bytes, so a crash changes nothing.
 *      The slots are taken before step 6 takes any: they are free by the bitmaps, and the map's
 *      nodes would be written over flushed payload (I1).
 *
 *   3. Make durable what step 2 relied on: records, durable-marks and the newer superblock are
 *      written again as they are, and flushed with the payload.  A crash before the flush leaves
 *      what was there, of which a loss of power may take what was never flushed; a crash after it
 *      leaves what step 2 found.  It comes before step 4, because the fence goes over the older
 *      superblock, and the newer may be in the page cache alone (I6); and because new records
 *      follow those that count: were one of these lost after a new one was flushed, replay would
 *      end before the new one (I1).
 *
 *   4. Write the fence: a superblock with a generation two higher, from which on records at the end
 *      count only if they are of a generation that was never used.  After a crash in here one of
 *      the two superblocks is valid; both lead to the same checkpoint and the same records (I6).
 *      It comes before everything that writes something new.  Records behind the end may name the
 *      slots that are given out from now on; if such a record came to count again, because the same
 *      data was written to the same slots, it would bring back a write out of order (I3).
 *
 *   5. Begin the new generation, in memory.  The superblock of step 4 says that it is used up: the
 *      next open does not stamp anything with it, whatever this one writes.
 *
 *   6. Take slots for the map's nodes and write zeros to them.  They are free by the bitmaps and
 *      not of step 2's.  A crash leaves them free.  It comes before step 7, where each record needs
 *      nodes; -ENOSPC is no error, as the changes may use the space kept for discards.
 *
 *   7. Apply the records to the map, in memory.  The disk keeps checkpoint and journal as they are
 *      until the next checkpoint is durable (I6): after a crash the next open replays the same
 *      records, and those that followed.
 *
 * An open for reading alone leaves out the writing of step 2, and steps 3 and 4.
 */
#include "common/engine/recovery.h"
#include "common/engine/journal-rule.h"
#include "common/base/large.h"
#include "common/base/logging.h"

#include <errno.h>

typedef struct {
	Engine *engine;
	JournalRule rule;
	guint64 end;	 /* sequence of the first record that does not count */
	guint64 records; /* how many were replayed */
	guint8 *buffer;	 /* JOURNAL_PAYLOAD_MAX bytes */
	int problem;	 /* why a walk of the journal failed: 0 or a negative errno */
	Record at;	 /* the record that was replayed last */
} Replay;

/* Writes verified payload to the slots that it was read from. */
static int rewrite_payload(const Replay *replay, const Record *record)
{
	Engine *engine = replay->engine;
	const guint8 *payload = replay->rule.payload;
	int r = 0;

	for (guint i = 0; i < record->n_runs && !r; i++) {
		const SlotRun *run = &record->runs[i];
		gsize length = (gsize)run->count * BLOCK_SIZE;

		if (!replay->rule.results[i])
			r = backing_pwrite(engine->backing, payload, length,
					   slots_offset(engine->slots, run->slot));
		payload += length;
	}
	return r;
}

/* Step 2, for one record: judges it and, if it counts, takes its slots.  FALSE ends the walk. */
static gboolean visit_verify(const Record *record, gpointer data)
{
	Replay *replay = data;
	Engine *engine = replay->engine;

	if (journal_rule_judge(&replay->rule, record) != JOURNAL_COUNTS)
		return FALSE;
	if (record->sequence >= replay->rule.durable && !engine->read_only)
		replay->problem = rewrite_payload(replay, record);
	for (guint i = 0; i < record->n_runs && !replay->problem; i++)
		replay->problem = slots_take(engine->slots, &record->runs[i]);
	return !replay->problem;
}

static int apply_zero(Map *map, guint64 first, guint64 end)
{
	MapZeroStep step;
	int r;

	while ((r = map_zero_begin(map, &first, end, &step)) == 1) {
		map_zero_apply(map, &step);
		map_change_end(map);
	}
	return r;
}

/* Step 7, for one record. */
static gboolean visit_apply(const Record *record, gpointer data)
{
	Replay *replay = data;
	Map *map = replay->engine->map;
	guint n = (guint)record->blocks;

	if (record->sequence >= replay->end)
		return FALSE;
	if (record->kind == FORMAT_RECORD_ZERO)
		replay->problem = apply_zero(map, record->first, record->first + record->blocks);
	if (record->kind == FORMAT_RECORD_WRITE) {
		replay->problem = map_change_begin(map, record->first, n, FALSE);
		if (!replay->problem) {
			map_change_write(map, record->first, n, record->runs, record->crcs);
			map_change_end(map);
		}
	}
	replay->at = *record;
	replay->records++;
	return !replay->problem;
}

/* Writes the ring's records again, as they are. */
static int rewrite_ring(Replay *replay, const Superblock *sb, JournalPlace head)
{
	Backing *backing = replay->engine->backing;
	guint64 from = sb->journal_position;
	int r = 0;

	while (from < head.position && !r) {
		guint64 at = from % sb->journal_size;
		guint64 length = MIN(head.position - from, sb->journal_size - at);

		length = MIN(length, JOURNAL_PAYLOAD_MAX);
		r = backing_pread(backing, replay->buffer, length, FORMAT_JOURNAL_OFFSET + at);
		if (!r)
			r = backing_pwrite(backing, replay->buffer, length,
					   FORMAT_JOURNAL_OFFSET + at);
		from += length;
	}
	return r;
}

/* Writes both copies of the durable-mark again: a crash may have left an older one, and what is
 * read may be in the page cache alone.  Counts only damaged copies. */
static int mend_marks(Engine *engine, JournalRing *ring)
{
	const guint copies = (1u << FORMAT_MARKS) - 1;
	guint damaged = journal_ring_damaged_marks(ring, engine->superblock.current.clean);
	int r = journal_ring_mend_marks(ring, engine->backing,
					journal_ring_damaged_marks(ring, TRUE) | copies);

	if (!r && damaged) {
		engine->recovery_mended += (guint)__builtin_popcount(damaged);
		log_warning("volume %s: rewrote a damaged copy of the durable-mark", engine->name);
	}
	return r;
}

/* Step 3: what recovery relies on may be in the page cache alone.  The newer superblock is part of
 * that: the fence takes the older one's place, and a loss of power could leave neither. */
static int make_durable(Replay *replay, JournalRing *ring, JournalPlace head)
{
	Engine *engine = replay->engine;
	int r = rewrite_ring(replay, &engine->superblock.current, head);

	if (!r)
		r = mend_marks(engine, ring);
	if (!r)
		r = superblock_rewrite(engine->backing, &engine->superblock);
	return r ? r : backing_flush(engine->backing);
}

/* Step 4. */
static int write_fence(Engine *engine, JournalPlace head)
{
	Superblock next = engine->superblock.current;

	next.generation += FORMAT_STAMPS_AHEAD;
	next.fence_sequence = head.sequence;
	next.fence_generation = next.generation + 1;
	next.clean = FALSE;
	next.compatible &= FORMAT_COMPATIBLE_KNOWN;
	next.ro_compatible &= ~FORMAT_RO_TENURE;
	if (engine->tenure)
		next.ro_compatible |= FORMAT_RO_TENURE;
	return superblock_store(engine->backing, &engine->superblock, &next);
}

/* Step 2: finds the first record that does not count, and takes the slots of those that do.
 * Fails if that record was flushed (I1). */
static gboolean find_end(Replay *replay, const Superblock *sb, const JournalRing *ring,
			 JournalPlace *ret_head, GError **error)
{
	const char *name = replay->engine->name;
	gboolean damaged;
	JournalPlace head =
		journal_rule_init(&replay->rule, replay->engine->backing, sb, &replay->engine->seal,
				  ring, replay->buffer, &damaged);

	if (damaged)
		return error_set(
			error, STORAGEOS_ERROR_CORRUPT,
			"%s: journal record %" G_GUINT64_FORMAT
			" was flushed, and is damaged: opening would lose it and what follows",
			name, head.sequence);
	head = journal_ring_walk(ring, visit_verify, replay, NULL);
	if (replay->problem == -EUCLEAN)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s: journal record %" G_GUINT64_FORMAT
				 " names slots that are in use: is the superblock an older one?",
				 name, head.sequence);
	if (replay->problem)
		return error_set_errno(error, replay->problem, "%s: read the journal", name);
	if (journal_rule_is_loss(&replay->rule, head))
		return error_set(
			error, STORAGEOS_ERROR_CORRUPT,
			"%s: journal record %" G_GUINT64_FORMAT
			" was flushed, and names blocks or slots that are not there: opening "
			"would lose it and what follows",
			name, head.sequence);
	replay->end = head.sequence;
	*ret_head = head;
	return TRUE;
}

/* Steps 3 and 4; nothing if the volume is opened for reading alone. */
static gboolean secure_replay(Replay *replay, JournalRing *ring, JournalPlace head, GError **error)
{
	Engine *engine = replay->engine;
	gboolean damaged = engine->superblock.other == SUPERBLOCK_DAMAGED;
	int r;

	if (engine->read_only)
		return TRUE;
	r = make_durable(replay, ring, head);
	if (!r)
		r = write_fence(engine, head);
	if (r)
		return error_set_errno(error, r, "%s: write superblock", engine->name);
	if (damaged) {
		engine->recovery_mended++;
		log_warning("volume %s: rewrote a damaged copy of the superblock", engine->name);
	}
	return TRUE;
}

/* Step 5: what is born from now on, and where the next record goes. */
static void start_generation(Engine *engine, const Superblock *sb, JournalPlace head)
{
	engine->generation = engine->superblock.current.generation + 1;
	map_set_generation(engine->map, engine->generation);
	journal_start(engine->journal, sb->journal_position, head, engine->generation);
}

/* Step 7. */
static gboolean apply_records(Replay *replay, const JournalRing *ring, GError **error)
{
	Engine *engine = replay->engine;

	map_set_replaying(engine->map, TRUE);
	journal_ring_walk(ring, visit_apply, replay, NULL);
	map_set_replaying(engine->map, FALSE);
	if (replay->problem == -EBADMSG)
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s: journal record %" G_GUINT64_FORMAT
				 " of blocks %" G_GUINT64_FORMAT "-%" G_GUINT64_FORMAT
				 ": the map's node over them is lost",
				 engine->name, replay->at.sequence, replay->at.first,
				 replay->at.first + replay->at.blocks - 1);
	if (replay->problem)
		return error_set_errno(error, replay->problem,
				       "%s: replay the journal after %" G_GUINT64_FORMAT " records",
				       engine->name, replay->records);
	return TRUE;
}

static gboolean replay_journal(Replay *replay, const Superblock *sb, GError **error)
{
	Engine *engine = replay->engine;
	g_autoptr(JournalRing) ring = NULL;
	JournalPlace head;
	int r = journal_ring_read(engine->backing, sb, &engine->seal, &ring);

	if (r)
		return error_set_errno(error, r, "%s: read the journal", engine->name);
	if (!find_end(replay, sb, ring, &head, error) || !secure_replay(replay, ring, head, error))
		return FALSE;
	start_generation(engine, sb, head);
	r = map_fill_reserve(engine->map, sb);
	if (r && r != -ENOSPC)
		return error_set_errno(error, r, "%s: reserve space", engine->name);
	return apply_records(replay, ring, error);
}

gboolean recovery_run(Engine *engine, GError **error)
{
	const Superblock sb = engine->superblock.current;
	Replay replay = {.engine = engine};
	gboolean done;

	if (!slots_load(engine->slots, &sb, error) ||
	    !snapshots_load(engine->snapshots, &sb, error))
		return FALSE;
	replay.buffer = large_alloc(JOURNAL_PAYLOAD_MAX);
	if (!replay.buffer)
		return error_set_errno(error, ENOMEM, "%s: replay", engine->name);
	done = replay_journal(&replay, &sb, error);
	large_free(replay.buffer, JOURNAL_PAYLOAD_MAX);
	if (done && !sb.clean)
		log_info("volume %s was not closed in order: replayed %" G_GUINT64_FORMAT
			 " journal records",
			 engine->name, replay.records);
	return done;
}
