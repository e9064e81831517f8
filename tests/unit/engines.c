/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/engines.h"

#include <errno.h>

#include "common/engine/recovery.h"
#include "common/engine/volume.h"
#include "tests/backing/faulty.h"
#include "tests/engine/support.h"
#include "tests/harness.h"

static Backing *backing_format(void)
{
	const VolumeParameters parameters = {.size = ENGINE_SIZE,
					     .journal_size = FORMAT_JOURNAL_MIN};
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_faulty_new(0);
	Backing *borrowed = backing_borrow(backing);

	CHECK(volume_format(borrowed, &parameters, &error));
	CHECK_NO_ERROR(error);
	backing_free(borrowed);
	return backing;
}

Backing *backing_new_formatted(void)
{
	static Backing *formatted; /* kept, because a copy costs almost nothing */

	if (!formatted)
		formatted = backing_format();
	return backing_faulty_crash(formatted, 0);
}

static gboolean engine_open(Engine *engine, GError **error)
{
	const Superblock *sb = &engine->superblock.current;

	if (!superblock_load(engine->backing, &engine->superblock, error) ||
	    !engine_init(engine, sb, error))
		return FALSE;
	engine->size = engine->next_size = sb->size;
	engine->durable_generation = sb->checkpoint;
	return recovery_run(engine, error);
}

Engine *engine_new_recovered(Backing *backing, gboolean read_only, GError **error)
{
	Engine *engine = g_new0(Engine, 1);

	engine->backing = backing_borrow(backing);
	engine->name = g_strdup("test");
	engine->read_only = read_only;
	lock_init(&engine->failure_lock, LOCK_FAILURE);
	if (engine_open(engine, error))
		return engine;
	engine_free(engine);
	return NULL;
}

Engine *engine_new_in(Backing *backing)
{
	g_autoptr(GError) error = NULL;
	Engine *engine = engine_new_recovered(backing, FALSE, &error);

	CHECK_NO_ERROR(error);
	return engine;
}

void engine_free(Engine *engine)
{
	if (!engine)
		return;
	engine_clear(engine);
	g_free(engine);
}

static int put_payload(Engine *engine, guint64 block, guint8 value, SlotRun *run, guint32 *ret_crc)
{
	guint8 data[BLOCK_SIZE];
	guint n_runs;
	int r = slots_alloc(engine->slots, 1, run, &n_runs);

	if (r)
		return r;
	memset(data, value, sizeof data);
	*ret_crc = seal_block(&engine->seal, block, data);
	return backing_pwrite(engine->backing, data, sizeof data,
			      slots_offset(engine->slots, run->slot));
}

int engine_put(Engine *engine, guint64 block, guint8 value)
{
	SlotRun run;
	guint32 crc;
	Record record = {.kind = FORMAT_RECORD_WRITE,
			 .first = block,
			 .blocks = 1,
			 .n_runs = 1,
			 .runs = &run,
			 .crcs = &crc};
	guint64 ticket;
	int r = put_payload(engine, block, value, &run, &crc);

	if (!r)
		r = journal_reserve(engine->journal, record_length(record.kind, 1, 1), FALSE);
	if (!r)
		r = map_change_begin(engine->map, block, 1, FALSE);
	if (r)
		return r;
	ticket = journal_append(engine->journal, &record);
	map_change_write(engine->map, block, 1, &run, &crc);
	map_change_end(engine->map);
	return journal_commit(engine->journal, ticket);
}

int engine_zero(Engine *engine, guint64 first, guint64 n)
{
	guint64 end = first + n, ticket = 0;
	MapZeroStep step;
	int r;

	for (;;) {
		Record record = {.kind = FORMAT_RECORD_ZERO};

		r = journal_reserve(engine->journal, record_length(record.kind, 0, 1), FALSE);
		if (r)
			return r;
		r = map_zero_begin(engine->map, &first, end, &step);
		if (r != 1) {
			journal_unreserve(engine->journal, record_length(record.kind, 0, 1));
			return r ? r : journal_commit(engine->journal, ticket);
		}
		record.first = step.first;
		record.blocks = step.n;
		ticket = journal_append(engine->journal, &record);
		map_zero_apply(engine->map, &step);
		map_change_end(engine->map);
	}
}

int engine_flush(Engine *engine)
{
	guint64 written = journal_written(engine->journal);
	int r = backing_flush(engine->backing);

	if (!r)
		journal_mark_durable(engine->journal, written);
	return r;
}

int engine_value(Engine *engine, guint64 block)
{
	guint8 data[BLOCK_SIZE];
	MapEntry entry;
	guint epoch;
	int r = map_lookup(engine->map, block, 1, &entry, FALSE, &epoch);

	if (r)
		return r;
	if (entry.slot)
		r = backing_pread(engine->backing, data, sizeof data,
				  slots_offset(engine->slots, entry.slot));
	map_lookup_end(engine->map, epoch);
	if (r || !entry.slot)
		return r;
	return seal_block_fits(&engine->seal, block, data, entry.crc) ? data[0] : -EBADMSG;
}
