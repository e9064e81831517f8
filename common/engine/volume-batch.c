/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several writes at once.  A copy-on-write engine may put writes to random places into neighbouring
 * slots; so what waits together costs one write of the backing instead of one for each.
 *
 *   batch_choose    takes the first writes that can go together: the *members*
 *   batch_place     takes slots for all of them, and writes all payloads there (I6)
 *   batch_commit    in one critical section, appends a record for each member and changes the map;
 *                   then commits all records at once
 *
 * Each member has a record of its own, so that after a crash it is there whole or not at all,
 * whatever became of the others (I3).  The records stand in the order of the array.
 *
 * Whatever cannot go together goes alone, by volume_write(), after the members before it have
 * ended. So does every member of a batch whose payload cannot be placed (an I/O error, a full
 * disk): alone, it waits for checkpoints as any other write, and only a write that itself fails
 * gets an error.
 *
 * Locks: a batch holds the ranges of its members that nobody else holds, and waits for none while
 * it holds others (ranges.h).
 */
#include "common/engine/checked.h"
#include "common/engine/throttle.h"
#include "common/engine/volume-private.h"

#include <errno.h>

#define BATCH_BLOCKS (VOLUME_BATCH_BYTES / BLOCK_SIZE)

/* Results of members that have none yet. */
enum {
	MEMBER_WAITS = 1, /* in the batch */
	MEMBER_ALONE = 2, /* must go alone */
	MEMBER_APPENDED = 3,
};

typedef struct {
	Volume *volume;
	gboolean nowait;
	VolumeWrite *writes; /* the members; `result` says how far each is */
	guint n;
	guint blocks;			      /* of all members */
	RangeHold holds[VOLUME_BATCH_WRITES]; /* of each member; has its blocks from the start on */
	guint first_run[VOLUME_BATCH_WRITES + 1];	  /* of each member, in `runs` */
	SlotRun runs[BATCH_BLOCKS + VOLUME_BATCH_WRITES]; /* the slots, cut where a member ends */
	guint32 crcs[BATCH_BLOCKS];
	struct iovec payload[VOLUME_VECTOR]; /* of all members */
	int n_payload;
} WriteBatch;

static guint member_blocks(const WriteBatch *batch, guint i)
{
	return (guint)(batch->holds[i].last - batch->holds[i].first) + 1;
}

static gboolean member_is_wanted(const WriteBatch *batch, guint i)
{
	const gint *dropped = batch->writes[i].dropped;

	return !dropped || !g_atomic_int_get(dropped);
}

static void write_alone(Volume *volume, VolumeWrite *write, gboolean nowait)
{
	const gint *before = wanted_until(write->dropped);

	if (!wanted_still())
		write->result = -ECANCELED;
	else
		write->result = (nowait ? volume_write_nowait : volume_write)(
			volume, write->iov, write->n_iov, write->offset, &write->position);
	wanted_until(before);
}

/* Adds the next write, if it can be a member: of whole blocks inside the volume, within `limit`
 * bytes in all. */
static gboolean batch_add(WriteBatch *batch, guint64 limit)
{
	const VolumeWrite *write = &batch->writes[batch->n];
	gsize length = iov_length(write->iov, write->n_iov);
	guint64 have = blocks_to_bytes(batch->blocks);

	if (!length || (write->offset | length) & (BLOCK_SIZE - 1) || length > limit - have ||
	    write->n_iov > VOLUME_VECTOR - batch->n_payload ||
	    volume_check_range(batch->volume, write->offset, length))
		return FALSE;
	for (int i = 0; i < write->n_iov; i++)
		batch->payload[batch->n_payload++] = write->iov[i];
	batch->holds[batch->n].first = block_of(write->offset);
	batch->holds[batch->n].last = block_of(write->offset + length - 1);
	batch->blocks += (guint)(length / BLOCK_SIZE);
	batch->n++;
	return TRUE;
}

/* Drops members from number `n` on. */
static void batch_cut(WriteBatch *batch, guint n)
{
	while (batch->n > n) {
		batch->n--;
		batch->blocks -= member_blocks(batch, batch->n);
		batch->n_payload -= batch->writes[batch->n].n_iov;
	}
}

/* Lets the first of `n` writes join, as many as can; there may be none. */
static void batch_choose(WriteBatch *batch, guint n, guint64 limit)
{
	n = MIN(n, VOLUME_BATCH_WRITES);
	while (batch->n < n && batch_add(batch, limit))
		;
}

static void batch_set_results(WriteBatch *batch, int result)
{
	for (guint i = 0; i < batch->n; i++)
		batch->writes[i].result = result;
}

/* Gives each member its slots, in order, and each of its blocks a checksum.  `taken` are slots for
 * all of them. */
static void batch_share_out(WriteBatch *batch, const SlotRun *taken)
{
	IovCursor at = iov_cursor(batch->payload, batch->n_payload);
	guint n_runs = 0, block = 0;
	guint32 used = 0; /* of *taken */

	for (guint i = 0; i < batch->n; i++) {
		guint left = member_blocks(batch, i);

		for (guint j = 0; j < left; j++)
			batch->crcs[block++] = seal_block_vector(&batch->volume->engine.seal,
								 batch->holds[i].first + j, &at);
		batch->first_run[i] = n_runs;
		while (left) {
			guint32 count = MIN(left, taken->count - used);

			batch->runs[n_runs++] = (SlotRun){taken->slot + used, count};
			left -= count;
			used += count;
			if (used == taken->count) {
				taken++;
				used = 0;
			}
		}
	}
	batch->first_run[batch->n] = n_runs;
}

/* Takes slots and writes all payloads there.  After an error no slot stays taken. */
static int batch_place(WriteBatch *batch)
{
	Slots *slots = batch->volume->engine.slots;
	IovCursor at = iov_cursor(batch->payload, batch->n_payload);
	SlotRun taken[BATCH_BLOCKS];
	guint n_taken;
	int r = slots_alloc(slots, batch->blocks, taken, &n_taken);

	if (r)
		return r;
	batch_share_out(batch, taken);
	for (guint i = 0; i < n_taken && !r; i++)
		r = volume_write_run(batch->volume, &at, taken[i]);
	if (r)
		slots_give_back(slots, taken, n_taken, r == -ENOSPC);
	return r;
}

static Record member_record(WriteBatch *batch, guint i, guint block)
{
	return (Record){.kind = FORMAT_RECORD_WRITE,
			.first = batch->holds[i].first,
			.blocks = member_blocks(batch, i),
			.n_runs = batch->first_run[i + 1] - batch->first_run[i],
			.runs = batch->runs + batch->first_run[i],
			.crcs = batch->crcs + block};
}

static guint32 member_record_length(const WriteBatch *batch, guint i)
{
	return record_length(FORMAT_RECORD_WRITE, batch->first_run[i + 1] - batch->first_run[i],
			     member_blocks(batch, i));
}

/* Appends the member's record and changes the map, under the map's lock, which map_change_begin()
 * or map_change_next() has prepared with result `r`.  Advances *ticket. */
static int member_change_locked(WriteBatch *batch, guint i, guint block, int r, guint64 *ticket)
{
	Engine *engine = &batch->volume->engine;
	Record record = member_record(batch, i, block);

	if (!r && !member_is_wanted(batch, i))
		r = -ECANCELED;
	if (r == -ENOSPC) /* no slots for nodes: alone, it waits for a checkpoint */
		return MEMBER_ALONE;
	if (r)
		return r;
	*ticket = journal_append(engine->journal, &record);
	map_change_write(engine->map, record.first, (guint)record.blocks, record.runs, record.crcs);
	return MEMBER_APPENDED;
}

/* The critical section (I3).  A damaged node fails its member alone.  I7: while the map is crowded
 * no further member changes it.  Returns the last record's ticket; 0: there is none. */
static guint64 batch_change(WriteBatch *batch)
{
	Map *map = batch->volume->engine.map;
	gboolean locked = FALSE;
	guint64 ticket = 0;
	guint block = 0;

	for (guint i = 0; i < batch->n; block += member_blocks(batch, i), i++) {
		VolumeWrite *write = &batch->writes[i];
		int r;

		if (i && map_pressure(map) >= THROTTLE_CROWDED) {
			write->result = MEMBER_ALONE;
			continue;
		}
		r = (locked ? map_change_next : map_change_begin)(
			map, batch->holds[i].first, member_blocks(batch, i), batch->nowait);
		locked |= !r;
		write->result = member_change_locked(batch, i, block, r, &ticket);
	}
	if (locked)
		map_change_end(map);
	return ticket;
}

/* Gives back slots and room in the journal that members without a record have taken. */
static void batch_give_back(WriteBatch *batch)
{
	Engine *engine = &batch->volume->engine;

	for (guint i = 0; i < batch->n; i++) {
		guint first = batch->first_run[i];

		if (batch->writes[i].result == MEMBER_APPENDED)
			continue;
		journal_unreserve(engine->journal, member_record_length(batch, i));
		slots_give_back(engine->slots, batch->runs + first, batch->first_run[i + 1] - first,
				FALSE);
	}
}

/* The results of all members after the critical section; -ESHUTDOWN where a record was appended but
 * may not be on disk. */
static void batch_conclude(WriteBatch *batch, int committed)
{
	for (guint i = 0; i < batch->n; i++) {
		VolumeWrite *write = &batch->writes[i];

		if (write->result == MEMBER_APPENDED)
			write->result = committed;
		else if (write->result == -EBADMSG)
			write->result = volume_bad_node(batch->volume, batch->holds[i].first,
							member_blocks(batch, i), &write->position);
	}
}

/* Commits payloads that were placed. */
static void batch_commit(WriteBatch *batch)
{
	Engine *engine = &batch->volume->engine;
	guint32 length = 0;
	guint64 ticket;
	int r;

	for (guint i = 0; i < batch->n; i++)
		length += member_record_length(batch, i);
	r = volume_reserve_records(batch->volume, length, batch->nowait);
	if (r) {
		batch_set_results(batch, r);
		slots_give_back(engine->slots, batch->runs, batch->first_run[batch->n], FALSE);
		return;
	}
	ticket = batch_change(batch);
	batch_give_back(batch);
	batch_conclude(batch, ticket ? volume_acknowledge(batch->volume, ticket) : 0);
}

/* Places and commits what the ranges that are held belong to. */
static void batch_write_held(WriteBatch *batch)
{
	batch_set_results(batch, MEMBER_WAITS);
	if (batch_place(batch))
		batch_set_results(batch, MEMBER_ALONE);
	else
		batch_commit(batch);
}

/* Carries out as many of the first of `n` writes together as can go together; all of them have
 * their results then.  Returns how many: 0 if the first must go alone. */
guint thin_write_together(Volume *volume, VolumeWrite *writes, guint n, gboolean nowait)
{
	gboolean pressed = map_pressure(volume->engine.map) > 0;
	WriteBatch batch;
	int r;

	batch.volume = volume;
	batch.nowait = nowait;
	batch.writes = writes;
	batch.n = batch.blocks = 0;
	batch.n_payload = 0;
	batch_choose(&batch, n, pressed ? THROTTLE_BYTES : VOLUME_BATCH_BYTES);
	if (batch.n < 2)
		return 0;
	r = pressed ? volume_throttle(volume, blocks_to_bytes(batch.blocks), batch.n, nowait)
		    : volume_gate_pass(volume, nowait);
	if (r) {
		batch_set_results(&batch, r);
		return batch.n;
	}
	batch_cut(&batch, ranges_hold_some(&volume->ranges, batch.holds, batch.n));
	if (!batch.n)
		return 0;
	batch_write_held(&batch);
	ranges_release_some(&volume->ranges, batch.holds, batch.n);
	for (guint i = 0; i < batch.n; i++)
		if (writes[i].result == MEMBER_ALONE)
			write_alone(volume, &writes[i], nowait);
	return batch.n;
}

static void write_in_order(Volume *volume, VolumeWrite *writes, guint n, gboolean nowait)
{
	gboolean writable = !volume_check_writable(volume);

	while (n) {
		guint done = writable ? volume->ops->write_together(volume, writes, n, nowait) : 0;

		if (!done) {
			write_alone(volume, writes, nowait);
			done = 1;
		}
		writes += done;
		n -= done;
	}
}

void volume_write_batch(Volume *volume, VolumeWrite *writes, guint n)
{
	write_in_order(volume, writes, n, FALSE);
}

void volume_write_batch_nowait(Volume *volume, VolumeWrite *writes, guint n)
{
	write_in_order(volume, writes, n, TRUE);
}
