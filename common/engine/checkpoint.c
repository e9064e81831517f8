/* SPDX-License-Identifier: Apache-2.0 */
#include "common/engine/checkpoint.h"

#include <errno.h>

/* Called by map_freeze() at the instant of the freeze. */
static void cut_journal(gpointer data)
{
	Engine *engine = data;

	engine->cut = journal_cut(engine->journal, engine->generation + 1);
}

static void freeze_engine(Engine *engine)
{
	map_freeze(&engine->map, 1, engine->generation + 1, cut_journal, engine);
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
	sb->groups = slots_frozen_groups(engine->slots);
	sb->bitmap_digest = slots_frozen_digest(engine->slots);
	describe_size(engine->next_size, sb);
	sb->compatible = 0;
	sb->generation = sb->checkpoint = generation;
	sb->journal_position = engine->cut.position;
	sb->journal_sequence = sb->fence_sequence = engine->cut.sequence;
	sb->fence_generation = generation + 1;
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
	return r == -ENOSPC || r == -ENOMEM ? r : fail_for_good(engine, r, what);
}

int checkpoint_finish(Engine *engine, gboolean clean)
{
	guint64 generation = engine->generation - 1;
	Superblock next;
	int r = map_write_frozen(engine->map);

	if (r)
		return fail_unless_retryable(engine, r, "write nodes");
	r = slots_write_bitmaps(engine->slots, generation);
	if (r)
		return fail_unless_retryable(engine, r, "write bitmaps");
	journal_settle_marks(engine->journal);
	r = backing_flush(engine->backing);
	if (r)
		return fail_for_good(engine, r, "flush");
	if (engine_has_failed(engine)) /* meanwhile: no superblock may be written any more */
		return -ESHUTDOWN;
	describe_checkpoint(engine, generation, clean, &next);
	r = superblock_store(engine->backing, &engine->superblock, &next);
	if (r)
		return fail_for_good(engine, r, "write superblock");
	/* I6: up to here the previous checkpoint, its records and its slots must stay. */
	__atomic_store_n(&engine->size, next.size, __ATOMIC_RELEASE);
	journal_mark_checkpoint(engine->journal, engine->cut.sequence, engine->generation);
	journal_release(engine->journal, engine->cut.position);
	map_drain(engine->map);
	map_thaw(&engine->map, 1);
	__atomic_store_n(&engine->durable_generation, generation, __ATOMIC_RELAXED);
	engine->frozen = FALSE;
	return 0;
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

int checkpoint_begin(Engine *engine, guint64 size, int *ret_resize)
{
	int r = 0;

	if (engine_has_failed(engine))
		return -ESHUTDOWN;
	if (engine->frozen) /* by a checkpoint that -ENOSPC or -ENOMEM interrupted */
		r = checkpoint_finish(engine, FALSE);
	if (r)
		return r;
	if (size)
		*ret_resize = resize_map(engine, size);
	freeze_engine(engine);
	return 0;
}

int checkpoint_make(Engine *engine, gboolean clean)
{
	int r = checkpoint_begin(engine, 0, NULL);

	return r ? r : checkpoint_finish(engine, clean);
}
