/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing and zeroing.  A write is cut into pieces of at most VOLUME_ATOMIC_MAX bytes, each of
 * which becomes one journal record (I3).  A piece takes these steps, each in one function:
 *
 *   write_piece         waits if a checkpoint is behind, and locks the range of blocks
 *   volume_write_held   reads the rest of a first or last block that is written in part
 *   place_payload       takes free slots and writes the payload there, never over live data (I6)
 *   commit_payload      appends the record and changes the map, in one critical section (I3)
 *   volume_acknowledge  returns when the record is committed (I2)
 *
 * A hole is made in steps (map.h), each with a record of its own.
 */
#include "common/engine/checked.h"
#include "common/engine/volume-private.h"
#include "common/engine/wanted.h"

#include <errno.h>

#define NO_SPACE_TRIES 3
#define WAIT_SECONDS 25	 /* for room in the journal; initiators time out after 30 s (I9) */
#define PLACE_ROUNDS 3	 /* of place_payload() */
#define HASTEN_BLOCKS 64 /* 256 KiB: a piece whose write-back begins at once ... */
#define HASTEN_RUN 16	 /* ... that of its runs of 64 KiB and more */

/* A piece of a write. */
typedef struct {
	Volume *volume;
	gboolean nowait;
	guint64 *ret_offset;
	guint64 first;	       /* first block */
	guint n;	       /* number of blocks, at most FORMAT_RECORD_BLOCKS_MAX */
	struct iovec *payload; /* n whole blocks */
	int n_payload;
	SlotRun runs[FORMAT_RECORD_BLOCKS_MAX]; /* the slots taken for the payload: n in all */
	guint n_runs;
	guint32 crcs[FORMAT_RECORD_BLOCKS_MAX];
} Piece;

int volume_write_run(Volume *volume, IovCursor *from, SlotRun run)
{
	Engine *engine = &volume->engine;
	guint64 offset = slots_offset(engine->slots, run.slot);
	gsize left = (gsize)run.count * BLOCK_SIZE, done;
	struct iovec part[VOLUME_VECTOR];

	while (left) {
		int n = iov_take(from, left, part, VOLUME_VECTOR, &done);
		int r = backing_pwritev(engine->backing, part, n, offset, BACKING_WAIT);

		if (r)
			return r;
		offset += done;
		left -= done;
	}
	if (journal_expects_flush(engine->journal))
		backing_hasten(engine->backing, slots_offset(engine->slots, run.slot),
			       (guint64)run.count * BLOCK_SIZE);
	return 0;
}

/* The runs of a large piece begin their way to the disk at once: so the flush of a checkpoint, or
 * of a request, is short, and fewer requests wait for the throttle. */
static void hasten_payload(const Piece *piece)
{
	const Engine *engine = &piece->volume->engine;

	if (piece->n < HASTEN_BLOCKS)
		return;
	for (guint i = 0; i < piece->n_runs; i++)
		if (piece->runs[i].count >= HASTEN_RUN)
			backing_hasten(engine->backing,
				       slots_offset(engine->slots, piece->runs[i].slot),
				       (guint64)piece->runs[i].count * BLOCK_SIZE);
}

/* Writes the payload to the slots of its runs and computes the blocks' checksums. */
static int write_payload(Piece *piece)
{
	Engine *engine = &piece->volume->engine;
	IovCursor seal_at = iov_cursor(piece->payload, piece->n_payload), at = seal_at;
	guint i = 0;

	for (guint run = 0; run < piece->n_runs; run++) {
		int r;

		if (!CHECKED(engine->backing, piece->runs[run].count <= piece->n - i,
			     "I5: a payload's runs hold exactly its blocks"))
			return -ESHUTDOWN;
		for (guint32 j = 0; j < piece->runs[run].count; j++, i++)
			piece->crcs[i] =
				seal_block_vector(&engine->seal, piece->first + i, &seal_at);
		r = volume_write_run(piece->volume, &at, piece->runs[run]);
		if (r)
			return r;
	}
	hasten_payload(piece);
	return 0;
}

/* Has a checkpoint free slots that were replaced or discarded.  FALSE: the checkpoint failed.  TRUE
 * also where there are no such slots. */
static gboolean make_room(Volume *volume)
{
	MapInfo info;

	map_get_info(volume->engine.map, &info);
	return !(info.pending_bytes || info.reclaimable) ||
	       !checkpointer_make_room(volume->checkpointer);
}

typedef int (*SlotsTake)(Slots *slots, guint n, SlotRun *runs, guint *ret_n);

/* Takes slots and writes the payload there.  After an error no slot stays taken. */
static int place_once(Piece *piece, SlotsTake take)
{
	Slots *slots = piece->volume->engine.slots;
	int r = take(slots, piece->n, piece->runs, &piece->n_runs);

	if (r)
		return r;
	r = write_payload(piece);
	if (r)
		slots_give_back(slots, piece->runs, piece->n_runs, r == -ENOSPC);
	return r;
}

/* Takes slots for the payload and writes it there.  -ENOSPC may come from the allocator (no slot is
 * free) or from the backing (a free slot has no space below it).  A slot that was written before
 * has space below it, and other slots may have it; so both kinds are tried, in turn.
 *
 * There are PLACE_ROUNDS rounds of at most four attempts.  Only the first failure of a round waits
 * for a checkpoint, so that a request waits for at most PLACE_ROUNDS checkpoints (I9).  The search
 * ends earlier if such a checkpoint fails.  -EAGAIN for a piece that must not wait. */
static int place_payload(Piece *piece)
{
	int r = -ENOSPC;

	for (guint round = 0; r == -ENOSPC && round < PLACE_ROUNDS; round++) {
		r = place_once(piece, slots_alloc);
		if (r != -ENOSPC)
			return r;
		if (piece->nowait)
			return -EAGAIN;
		if (!make_room(piece->volume))
			return r;
		for (guint i = 0; r == -ENOSPC && i < 3; i++)
			r = place_once(piece, i == 1 ? slots_alloc : slots_alloc_written);
	}
	return r;
}

int volume_acknowledge(Volume *volume, guint64 ticket)
{
	int r = journal_commit(volume->engine.journal, ticket);

	if (r) {
		engine_fail(&volume->engine, "write journal: the backing refused");
		return r;
	}
	__atomic_fetch_add(&volume->changes, 1, __ATOMIC_RELEASE);
	checkpointer_note_change(volume->checkpointer);
	if (journal_wants_checkpoint(volume->engine.journal) ||
	    map_wants_checkpoint(volume->engine.map))
		checkpointer_kick(volume->checkpointer);
	return 0;
}

/* A write of the journal may have failed while no request waited for it (a durable-mark's): then
 * the volume becomes FAILED here. */
int volume_reserve_records(Volume *volume, guint32 length, gboolean nowait)
{
	gint64 until = g_get_monotonic_time() + WAIT_SECONDS * G_TIME_SPAN_SECOND;
	int r = journal_reserve(volume->engine.journal, length, nowait);

	while (r == -EAGAIN && !nowait) {
		r = checkpointer_make_room(volume->checkpointer);
		if (!r && g_get_monotonic_time() > until)
			r = -ETIMEDOUT;
		if (!r)
			r = journal_reserve(volume->engine.journal, length, FALSE);
	}
	if (r == -ESHUTDOWN)
		engine_fail(&volume->engine, "write journal: the backing refused");
	return r;
}

/* Appends the record and changes the map, in one critical section: a checkpoint has both or
 * neither (I3). */
static int commit_payload(Piece *piece)
{
	Engine *engine = &piece->volume->engine;
	Record record = {.kind = FORMAT_RECORD_WRITE,
			 .first = piece->first,
			 .blocks = piece->n,
			 .n_runs = piece->n_runs,
			 .runs = piece->runs,
			 .crcs = piece->crcs};
	guint32 length = record_length(record.kind, record.n_runs, record.blocks);
	guint64 ticket;
	int r = volume_reserve_records(piece->volume, length, piece->nowait);

	if (r)
		return r;
	r = map_change_begin(engine->map, piece->first, piece->n, piece->nowait);
	if (!r && !wanted_still()) {
		map_change_end(engine->map);
		r = -ECANCELED;
	}
	if (r) {
		journal_unreserve(engine->journal, length);
		return r;
	}
	ticket = journal_append(engine->journal, &record);
	map_change_write(engine->map, piece->first, piece->n, piece->runs, piece->crcs);
	map_change_end(engine->map);
	return volume_acknowledge(piece->volume, ticket);
}

/* Commits a payload that was placed.  After an error its slots are given back, except after
 * -ESHUTDOWN: then the record may be on disk. */
static int commit_placed(Piece *piece)
{
	int r = 0;

	for (guint attempt = 0; attempt < NO_SPACE_TRIES; attempt++) {
		r = commit_payload(piece);
		if (r != -ENOSPC) /* no slots for nodes: a checkpoint may free some */
			break;
		if (piece->nowait)
			r = -EAGAIN;
		if (piece->nowait || checkpointer_make_room(piece->volume->checkpointer))
			break;
	}
	if (r && r != -ESHUTDOWN)
		slots_give_back(piece->volume->engine.slots, piece->runs, piece->n_runs, FALSE);
	return r == -EBADMSG
		       ? volume_bad_node(piece->volume, piece->first, piece->n, piece->ret_offset)
		       : r;
}

/* Reads the first block into edge[0] if it is written in part (`head`), and the last into edge[1]
 * if it is (`tail`).  If both are one block, it is read into edge[0]. */
static int read_edges(Piece *piece, guint8 (*edge)[BLOCK_SIZE], gboolean head, gboolean tail)
{
	BackingFlags flags = piece->nowait ? BACKING_NOWAIT : BACKING_WAIT;
	guint64 last = piece->first + piece->n - 1;
	int r = 0;

	if (head || (tail && piece->n == 1))
		r = volume_read_block(piece->volume, piece->first, edge[0], flags,
				      piece->ret_offset);
	if (!r && tail && piece->n > 1)
		r = volume_read_block(piece->volume, last, edge[1], flags, piece->ret_offset);
	return r;
}

/* How many pieces of memory hold the next `length` bytes. */
static int count_pieces(IovCursor from, gsize length)
{
	int n = 0;

	while (length) {
		gsize piece = length;

		if (!iov_next(&from, &piece))
			break;
		length -= piece;
		n++;
	}
	return n;
}

/* Completes the bytes to be written to whole blocks, with what the first and the last block have
 * around them; places and commits this payload.  `vec` has room for `max` entries, which suffice.
 */
static int write_vector(Piece *piece, struct iovec *vec, int max, IovCursor *from, guint64 offset,
			gsize length)
{
	guint8 edge[2][BLOCK_SIZE];
	gsize before = offset & (BLOCK_SIZE - 1);
	gsize after = (BLOCK_SIZE - ((offset + length) & (BLOCK_SIZE - 1))) & (BLOCK_SIZE - 1);
	int n = 0, r = read_edges(piece, edge, before > 0, after > 0);
	gsize got;

	if (r)
		return r;
	if (before)
		vec[n++] = (struct iovec){edge[0], before};
	n += iov_take(from, length, vec + n, max - 2, &got);
	if (!CHECKED(piece->volume->engine.backing, got == length,
		     "I4: the vector has room for the payload"))
		return -ESHUTDOWN;
	if (after)
		vec[n++] = (struct iovec){edge[piece->n > 1] + BLOCK_SIZE - after, after};
	piece->payload = vec;
	piece->n_payload = n;
	r = place_payload(piece);
	return r ? r : commit_placed(piece);
}

int thin_write_held(Volume *volume, IovCursor *from, guint64 offset, gsize length, gboolean nowait,
		    guint64 *ret_offset)
{
	Piece piece;
	struct iovec few[VOLUME_VECTOR];
	g_autofree struct iovec *many = NULL;
	int max =
		from->count + 2 <= VOLUME_VECTOR ? VOLUME_VECTOR : count_pieces(*from, length) + 2;

	piece.volume = volume;
	piece.nowait = nowait;
	piece.ret_offset = ret_offset;
	piece.first = block_of(offset);
	piece.n = (guint)(block_of(offset + length - 1) - piece.first + 1);
	if (!CHECKED(volume->engine.backing, piece.n <= FORMAT_RECORD_BLOCKS_MAX,
		     "I3: a piece fits one record"))
		return -ESHUTDOWN;
	if (max > VOLUME_VECTOR) {
		many = g_try_new(struct iovec, max);
		if (!many)
			return -ENOMEM;
	}
	return write_vector(&piece, many ? many : few, max, from, offset, length);
}

int thin_throttle(Volume *volume, guint64 bytes, guint changes, gboolean nowait)
{
	int r = volume_check_writable(volume);

	if (!r)
		r = volume_gate_pass(volume, nowait);
	if (r || !map_pressure(volume->engine.map))
		return r;
	return nowait ? -EAGAIN : checkpointer_throttle(volume->checkpointer, bytes, changes);
}

static int write_piece(Volume *volume, IovCursor *from, guint64 offset, gsize length,
		       gboolean nowait, guint64 *ret_offset)
{
	RangeHold hold;
	int r = volume_throttle(volume, length, 1, nowait);

	if (r)
		return r;
	if (!ranges_hold(&volume->ranges, &hold, block_of(offset), block_of(offset + length - 1),
			 nowait))
		return -EAGAIN;
	r = volume_write_held(volume, from, offset, length, nowait, ret_offset);
	ranges_release(&volume->ranges, &hold);
	return r;
}

static int write_all(Volume *volume, const struct iovec *iov, int n_iov, guint64 offset,
		     gboolean nowait, guint64 *ret_offset)
{
	gsize length = iov_length(iov, n_iov);
	IovCursor from = iov_cursor(iov, n_iov);
	int r = volume_check_range(volume, offset, length);

	if (!r && nowait && length > VOLUME_ATOMIC_MAX)
		r = -EAGAIN;
	if (!r)
		r = volume_check_writable(volume);
	if (r)
		return r;
	while (length && !r) {
		gsize piece = MIN(length, VOLUME_ATOMIC_MAX);

		r = write_piece(volume, &from, offset, piece, nowait, ret_offset);
		offset += piece;
		length -= piece;
	}
	return r;
}

int volume_write(Volume *volume, const struct iovec *iov, int n_iov, guint64 offset,
		 guint64 *ret_offset)
{
	return write_all(volume, iov, n_iov, offset, FALSE, ret_offset);
}

int volume_write_nowait(Volume *volume, const struct iovec *iov, int n_iov, guint64 offset,
			guint64 *ret_offset)
{
	return write_all(volume, iov, n_iov, offset, TRUE, ret_offset);
}

/* Makes one step of a hole, from *first on.  1: there may be more steps; 0: there are none; or a
 * negative errno.  *ticket is the ticket of the last record. */
static int zero_step(Volume *volume, guint64 *first, guint64 end, guint64 *ticket)
{
	Engine *engine = &volume->engine;
	Record record = {.kind = FORMAT_RECORD_ZERO};
	MapZeroStep step;
	guint32 length = record_length(record.kind, 0, 0);
	int r = volume_throttle(volume, 0, 1, FALSE);

	if (r && r != -ENOSPC)
		return r;
	r = volume_reserve_records(volume, length, FALSE);
	if (r)
		return r;
	r = map_zero_begin(engine->map, first, end, &step);
	if (r == 1 && !wanted_still()) {
		map_change_end(engine->map);
		r = -ECANCELED;
	}
	if (r != 1) {
		journal_unreserve(engine->journal, length);
		return r;
	}
	record.first = step.first;
	record.blocks = step.n;
	*ticket = journal_append(engine->journal, &record);
	map_zero_apply(engine->map, &step);
	map_change_end(engine->map);
	return 1;
}

/* Makes the blocks [first, end) a hole.  The caller holds the range. */
static int zero_blocks(Volume *volume, guint64 first, guint64 end)
{
	guint64 ticket = 0;
	guint attempt = 0;
	int r;

	do {
		r = zero_step(volume, &first, end, &ticket);
		if (r == -ENOSPC && attempt++ < NO_SPACE_TRIES &&
		    !checkpointer_make_room(volume->checkpointer))
			r = 1;
	} while (r == 1);
	if (ticket) {
		int acknowledged = volume_acknowledge(volume, ticket);

		r = r ? r : acknowledged;
	}
	return r;
}

/* Writes zeros to a part of one block, unless it is a hole. */
static int zero_part(Volume *volume, guint64 offset, gsize length)
{
	static const guint8 zeros[BLOCK_SIZE];
	struct iovec iov = {(void *)zeros, length};
	IovCursor from = iov_cursor(&iov, 1);
	MapEntry entry;
	guint epoch;
	int r = map_lookup(volume->engine.map, block_of(offset), 1, &entry, FALSE, &epoch);

	if (r)
		return r;
	map_lookup_end(volume->engine.map, epoch);
	return entry.slot || (volume->linked && !entry.zero)
		       ? volume_write_held(volume, &from, offset, length, FALSE, NULL)
		       : 0;
}

int thin_zero_held(Volume *volume, guint64 offset, guint64 length)
{
	guint64 end = offset + length;
	guint64 first = blocks_covering(offset), last = block_of(end);
	int r = 0;

	if (end == volume_size(volume)) /* the last block is zeroed whole, even if it is cut off */
		last = blocks_covering(end);
	if (first > last)
		return zero_part(volume, offset, length);
	if (offset < blocks_to_bytes(first))
		r = zero_part(volume, offset, blocks_to_bytes(first) - offset);
	if (!r && first < last)
		r = zero_blocks(volume, first, last);
	if (!r && end > blocks_to_bytes(last))
		r = zero_part(volume, blocks_to_bytes(last), end - blocks_to_bytes(last));
	return r;
}

int volume_zero(Volume *volume, guint64 offset, guint64 length)
{
	RangeHold hold;
	int r = volume_check_range(volume, offset, length);

	if (!r)
		r = volume_check_writable(volume);
	if (!r && length) /* here: parts of blocks meet no other gate */
		r = volume_gate_pass(volume, FALSE);
	if (r || !length)
		return r;
	ranges_hold(&volume->ranges, &hold, block_of(offset), block_of(offset + length - 1), FALSE);
	r = volume_zero_held(volume, offset, length);
	ranges_release(&volume->ranges, &hold);
	return r;
}

int volume_discard(Volume *volume, guint64 offset, guint64 length)
{
	return volume_zero(volume, offset, length);
}
