/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/checkpoint.h"

#include <errno.h>
#include <string.h>

/* Called by map_freeze() at the instant of the freeze.
 *
 * I3: a stamp on the disk must not be more than FORMAT_STAMPS_AHEAD above the superblock.  While
 * the checkpoint before is not durable, records therefore keep its stamp; births do not reach the
 * disk before it is. */
static void cut_engine(gpointer data)
{
	Engine *engine = data;

	if (engine->wish)
		snapshots_add_locked(engine->snapshots, engine->wish, engine->generation,
				     engine->next_size);
	snapshots_freeze_locked(engine->snapshots);
	if (!engine->written)
		engine->stamp = engine->generation + 1;
	engine->cut = journal_cut(engine->journal, engine->stamp);
}

static void freeze_engine(Engine *engine)
{
	map_freeze(&engine->map, 1, engine->generation + 1, cut_engine, engine);
	engine->generation++;
	engine->frozen = TRUE;
}

/* Sets the superblock's size, and with it `grown_from` and `levels`. */
static void describe_size(guint64 size, Superblock *sb)
{
	if (size > sb->size && !sb->grown_from)
		sb->grown_from = sb->size;
	else if (size <= sb->grown_from)
		sb->grown_from = 0;
	sb->size = size;
	sb->levels = codec_levels(superblock_layout(sb), size);
}

/* Makes the superblock of the checkpoint whose nodes and bitmap pages are written. */
static void describe_checkpoint(Engine *engine, guint64 generation, gboolean clean, Superblock *sb)
{
	EngineScrub scrub = engine_get_scrub(engine);

	*sb = engine->superblock.current;
	map_frozen_state(engine->map, sb);
	snapshots_frozen_state(engine->snapshots, sb);
	sb->groups = slots_frozen_groups(engine->slots);
	sb->bitmap_digest = slots_frozen_digest(engine->slots);
	describe_size(engine->next_size, sb);
	sb->compatible &= FORMAT_COMPATIBLE_KNOWN;
	if (clean)
		sb->ro_compatible &= ~FORMAT_RO_TENURE;
	sb->generation = sb->checkpoint = generation;
	sb->journal_position = engine->cut.position;
	sb->journal_sequence = sb->fence_sequence = engine->cut.sequence;
	sb->fence_generation = engine->stamp;
	sb->clean = clean;
	sb->scrub_time = scrub.time;
	sb->scrub_blocks = scrub.blocks;
	sb->scrub_errors = scrub.errors;
	sb->scrub_repaired = scrub.repaired;
}

/* Makes the volume FAILED.  Returns -EIO. */
static int fail_for_good(Engine *engine, int r, const char *what)
{
	engine_fail(engine, "checkpoint: %s: %s", what,
		    r == -EUCLEAN ? "bitmap and map disagree" : g_strerror(-r));
	return -EIO;
}

/* Returns -ENOSPC and -ENOMEM, after which the checkpoint can be continued; any other error makes
 * the volume FAILED. */
static int fail_unless_retryable(Engine *engine, int r, const char *what)
{
	if (r != -ENOSPC && r != -ENOMEM)
		return fail_for_good(engine, r, what);
	snapshots_give_up_newest(engine->snapshots);
	return r;
}

int checkpoint_write(Engine *engine, gboolean clean)
{
	guint64 generation = engine->generation - 1;
	int r = map_write_frozen(engine->map);

	if (r)
		return fail_unless_retryable(engine, r, "write nodes");
	r = snapshots_write_frozen(engine->snapshots);
	if (r)
		return fail_unless_retryable(engine, r, "write the snapshot table");
	r = slots_write_bitmaps(engine->slots, generation);
	if (r)
		return fail_unless_retryable(engine, r, "write bitmaps");
	describe_checkpoint(engine, generation, clean, &engine->next);
	engine->frozen = FALSE;
	engine->written = TRUE;
	return 0;
}

int checkpoint_switch(Engine *engine)
{
	int r;

	journal_settle_marks(engine->journal);
	r = backing_flush(engine->backing);
	if (r)
		return fail_for_good(engine, r, "flush");
	if (engine_has_failed(engine)) /* meanwhile: no superblock may be written any more */
		return -ESHUTDOWN;
	r = superblock_store(engine->backing, &engine->superblock, &engine->next);
	return r ? fail_for_good(engine, r, "write superblock") : 0;
}

void checkpoint_release(Engine *engine)
{
	const Superblock *sb = &engine->next;

	/* I6: up to here the previous checkpoint, its records and its slots must stay. */
	__atomic_store_n(&engine->size, sb->size, __ATOMIC_RELEASE);
	journal_mark_checkpoint(engine->journal, sb->journal_sequence, sb->generation + 1);
	journal_release(engine->journal, sb->journal_position);
	map_drain(engine->map);
	map_thaw(&engine->map, 1);
	__atomic_store_n(&engine->durable_generation, sb->generation, __ATOMIC_RELAXED);
	engine->written = FALSE;
}

int checkpoint_finish(Engine *engine, gboolean clean)
{
	int r = checkpoint_write(engine, clean);

	if (!r)
		r = checkpoint_switch(engine);
	if (!r)
		checkpoint_release(engine);
	return r;
}

/* Changes the size of the map, from the coming freeze on.  Requests see a smaller size at once, a
 * larger one when it is durable. */
static int resize_map(Engine *engine, guint64 size)
{
	int r = map_resize(engine->map, size);

	if (r)
		return r;
	__atomic_store_n(&engine->next_size, size, __ATOMIC_RELAXED);
	if (size < engine_size(engine))
		__atomic_store_n(&engine->size, size, __ATOMIC_RELEASE);
	return 0;
}

/* Finishes a checkpoint that -ENOSPC or -ENOMEM interrupted. */
static int finish_interrupted(Engine *engine)
{
	if (engine_has_failed(engine))
		return -ESHUTDOWN;
	return engine->frozen ? checkpoint_finish(engine, FALSE) : 0;
}

int checkpoint_begin(Engine *engine, guint64 size, int *ret_resize)
{
	int r = finish_interrupted(engine);

	if (r)
		return r;
	if (size)
		*ret_resize = resize_map(engine, size);
	freeze_engine(engine);
	return 0;
}

/* The record of what was received goes when that becomes the snapshot. */
static gboolean identity_is_taken_locked(const Snapshots *snapshots, const Snapshot *wish,
					 const Snapshot *received)
{
	const Snapshot *same = snapshots_find_name_locked(snapshots, wish->name);

	if (wish->state != FORMAT_SNAPSHOT_DELETING && same && same != received)
		return TRUE;
	for (guint i = 0; i < snapshots_count_locked(snapshots); i++)
		if (snapshots_get_locked(snapshots, i) != received &&
		    !memcmp(snapshots_get_locked(snapshots, i)->uuid, wish->uuid,
			    sizeof wish->uuid))
			return TRUE;
	return FALSE;
}

/* How many records there must be room for.  What is received can be given up, which takes a record
 * of what it goes back from; and when it becomes the snapshot, that takes its place. */
static guint records_needed(const Snapshot *wish, const Snapshot *received)
{
	if (received)
		return 0;
	return wish->state == FORMAT_SNAPSHOT_RECEIVING ? 2 : 1;
}

/* Makes room for the snapshot's record, so that the freeze cannot fail, and removes the record of
 * what was received. */
static int expect_snapshot(Engine *engine, const Snapshot *wish, guint *ret_place)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));
	const Snapshot *received = snapshots_find_received_locked(engine->snapshots, wish);
	guint64 generation = received ? received->generation : 0; /* the list may move */
	int r;

	if (identity_is_taken_locked(engine->snapshots, wish, received))
		return -EEXIST;
	if (!snapshots_have_room_locked(engine->snapshots, records_needed(wish, received)))
		return -ENOSPC;
	r = snapshots_keep_unlocking(engine->snapshots, generation ? 2 : 1);
	if (r)
		return r;
	/* Not at the freeze: pairs that are given back then would be the next checkpoint's, and
	 * nobody has reserved room for them. */
	if (generation)
		snapshots_remove_locked(engine->snapshots, generation);
	snapshots_expect_locked(engine->snapshots, generation != 0, ret_place);
	return 0;
}

int checkpoint_begin_snapshot(Engine *engine, const Snapshot *wish, guint64 *ret_generation)
{
	Snapshot expected = *wish;
	int r = finish_interrupted(engine);

	if (!r)
		r = expect_snapshot(engine, wish, &expected.place);
	if (r)
		return r;
	engine->wish = &expected;
	*ret_generation = engine->generation;
	freeze_engine(engine);
	engine->wish = NULL;
	return 0;
}

int checkpoint_make(Engine *engine, gboolean clean)
{
	int r = checkpoint_begin(engine, 0, NULL);

	return r ? r : checkpoint_finish(engine, clean);
}
