/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints by themselves: a checkpoint can be read without the journal, and a checkpoint that
 * fails leaves the previous one (I6).
 */
#include "common/engine/checkpoint.h"
#include "tests/backing/faulty.h"
#include "tests/harness.h"
#include "tests/unit/engines.h"

#include <errno.h>

#define BLOCKS 12u

static guint64 block_at(guint i)
{
	return i * (guint64)257;
}

static void put_all(Engine *engine, guint8 value)
{
	for (guint i = 0; i < BLOCKS; i++)
		CHECK_INT(engine_put(engine, block_at(i), value), 0);
}

static void check_all(Engine *engine, guint8 value)
{
	for (guint i = 0; i < BLOCKS; i++)
		CHECK_INT(engine_value(engine, block_at(i)), value);
}

static void test_durable(const void *data)
{
	Backing *backing = backing_new_formatted(), *left;
	Engine *engine = engine_new_in(backing);
	guint64 generation = engine->generation, flushes;

	(void)data;
	put_all(engine, 1);
	flushes = backing_faulty_count(backing, FAULTY_FLUSH);
	CHECK_INT(checkpoint_make(engine, TRUE), 0);
	CHECK_UINT(backing_faulty_count(backing, FAULTY_FLUSH) - flushes, 3);
	CHECK_UINT(journal_used(engine->journal), 0);
	CHECK_UINT(engine->durable_generation, generation);
	CHECK_UINT(engine->generation, generation + 1);
	CHECK_UINT(engine->superblock.current.checkpoint, generation);
	CHECK_UINT(engine->superblock.current.data_slots, BLOCKS);
	CHECK(engine->superblock.current.clean && !engine->frozen);
	left = backing_faulty_crash(backing, 0);
	engine_free(engine);
	backing_free(backing);
	engine = engine_new_in(left);
	check_all(engine, 1);
	CHECK_UINT(journal_used(engine->journal), 0);
	engine_free(engine);
	backing_free(left);
}

/* Each write, growth and flush of a checkpoint fails in turn, for ever, and then the power is lost.
 */
static void test_fails(const void *data)
{
	int r = -1;

	(void)data;
	for (guint fail = 0; r && !test_failed(); fail++) {
		Backing *backing = backing_new_formatted(), *left;
		Engine *engine = engine_new_in(backing);

		test_row("operation %u fails", fail);
		put_all(engine, 1);
		CHECK_INT(checkpoint_make(engine, FALSE), 0);
		put_all(engine, 2);
		CHECK_INT(engine_flush(engine), 0);
		backing_faulty_fail(backing, FAULTY_MODIFY, fail, EIO, TRUE, TRUE);
		r = checkpoint_make(engine, FALSE);
		CHECK(r == 0 || r == -EIO);
		CHECK_INT(engine_has_failed(engine), r != 0);
		if (r) {
			CHECK_INT(checkpoint_make(engine, FALSE), -ESHUTDOWN);
			check_all(engine, 2); /* reads go on */
		}
		left = backing_faulty_crash(backing, fail + 1);
		engine_free(engine);
		backing_free(backing);
		engine = engine_new_in(left);
		check_all(engine, 2);
		engine_free(engine);
		backing_free(left);
	}
}

/* A full backing does not make the volume FAILED: the next attempt writes what was frozen. */
static void test_full(const void *data)
{
	Backing *backing = backing_new_formatted();
	Engine *engine = engine_new_in(backing);
	guint64 generation = engine->generation;

	(void)data;
	put_all(engine, 1);
	backing_faulty_fail(backing, FAULTY_WRITE, 2, ENOSPC, FALSE, FALSE);
	CHECK_INT(checkpoint_make(engine, FALSE), -ENOSPC);
	CHECK(engine->frozen && !engine_has_failed(engine));
	CHECK_UINT(engine->durable_generation, 1);
	CHECK_INT(engine_put(engine, 5, 5), 0);
	check_all(engine, 1);
	/* Completes the first checkpoint, and begins a new one. */
	CHECK_INT(checkpoint_begin(engine, 0, NULL), 0);
	CHECK_UINT(engine->durable_generation, generation);
	CHECK_INT(checkpoint_finish(engine, FALSE), 0);
	CHECK_UINT(engine->durable_generation, generation + 1);
	check_all(engine, 1);
	CHECK_INT(engine_value(engine, 5), 5);
	engine_free(engine);
	backing_free(backing);
}

/* Changes after the freeze are not part of the checkpoint, and stay in the journal. */
static void test_cut(const void *data)
{
	Backing *backing = backing_new_formatted(), *left;
	Engine *engine = engine_new_in(backing);

	(void)data;
	put_all(engine, 1);
	CHECK_INT(checkpoint_begin(engine, 0, NULL), 0);
	put_all(engine, 2);
	check_all(engine, 2);
	CHECK_INT(checkpoint_finish(engine, FALSE), 0);
	check_all(engine, 2);
	CHECK(journal_used(engine->journal) > 0);
	left = backing_faulty_crash(backing, G_MAXUINT64);
	engine_free(engine);
	backing_free(backing);
	engine = engine_new_in(left);
	check_all(engine, 2);
	engine_free(engine);
	backing_free(left);
}

/* Requests may use only blocks that are within the superblock's size and the map's. */
static void test_resize(const void *data)
{
	const guint64 larger = 2 * ENGINE_SIZE, smaller = ENGINE_SIZE / 2;
	Backing *backing = backing_new_formatted();
	Engine *engine = engine_new_in(backing);
	int resized = -1;

	(void)data;
	CHECK_INT(checkpoint_begin(engine, larger, &resized), 0);
	CHECK_INT(resized, 0);
	CHECK_UINT(engine_size(engine), ENGINE_SIZE);
	CHECK_INT(checkpoint_finish(engine, FALSE), 0);
	CHECK_UINT(engine_size(engine), larger);
	CHECK_UINT(engine->superblock.current.size, larger);
	CHECK_UINT(engine->superblock.current.grown_from, ENGINE_SIZE);
	CHECK_INT(checkpoint_begin(engine, smaller, &resized), 0);
	CHECK_INT(resized, 0);
	CHECK_UINT(engine_size(engine), smaller);
	CHECK_INT(checkpoint_finish(engine, FALSE), 0);
	CHECK_UINT(engine->superblock.current.size, smaller);
	CHECK_UINT(engine->superblock.current.grown_from, 0);
	engine_free(engine);
	backing_free(backing);
}

/* ---- the next freeze, while a checkpoint is made durable */

static const Snapshot wish = {
	.name = "s", .uuid = {1}, .created = 1, .state = FORMAT_SNAPSHOT_ALIVE};

/* Makes a checkpoint of what is 1 everywhere, and meanwhile a snapshot of what is 2; in the end all
 * is 3.  0 or the first error. */
static int overlap(Engine *engine, guint64 *ret_snapshot)
{
	int r = checkpoint_begin(engine, 0, NULL);

	if (!r)
		r = checkpoint_write(engine, FALSE);
	if (r)
		return r;
	CHECK(!engine->frozen);
	put_all(engine, 2);
	CHECK_INT(checkpoint_begin_snapshot(engine, &wish, ret_snapshot), 0);
	CHECK(engine->frozen);
	/* I3: the next open's stamps must all be new. */
	CHECK(engine->stamp <= engine->superblock.current.generation + FORMAT_STAMPS_AHEAD);
	put_all(engine, 3);
	CHECK_INT(engine_flush(engine), 0);
	r = checkpoint_switch(engine);
	if (r)
		return r;
	checkpoint_release(engine);
	CHECK(engine->frozen);
	return checkpoint_finish(engine, FALSE);
}

static const Snapshot *snapshot_of(Engine *engine, guint64 generation)
{
	g_autoptr(LockHold) locker G_GNUC_UNUSED = lock_hold(slots_lists_lock(engine->slots));

	return snapshots_find_locked(engine->snapshots, generation);
}

static guint64 used_slots(Engine *engine)
{
	MapInfo info;

	map_get_info(engine->map, &info);
	return info.data_slots;
}

static void test_overlap(const void *data)
{
	Backing *backing = backing_new_formatted(), *left;
	Engine *engine = engine_new_in(backing);
	guint64 snapshot = 0, generation;

	(void)data;
	put_all(engine, 1);
	CHECK_INT(overlap(engine, &snapshot), 0);
	CHECK_UINT(engine->durable_generation, snapshot);
	CHECK(!engine->frozen && !engine->written && snapshot_of(engine, snapshot));
	check_all(engine, 3);
	/* What was 1 is free after the snapshot, what was 2 is the snapshot's. */
	CHECK_INT(checkpoint_make(engine, FALSE), 0);
	CHECK_UINT(used_slots(engine), 2 * BLOCKS);
	CHECK_UINT(slots_pending_bytes(engine->slots), 0);
	put_all(engine, 4); /* records with a stamp from before and after */
	generation = engine->generation;
	left = backing_faulty_crash(backing, G_MAXUINT64);
	engine_free(engine);
	backing_free(backing);
	engine = engine_new_in(left);
	CHECK(engine->generation > generation);
	check_all(engine, 4);
	engine_free(engine);
	backing_free(left);
}

/* Each operation fails in turn, for ever, and then the power is lost, or only the process dies. */
static void test_overlap_fails(const void *data)
{
	int r = -1;

	(void)data;
	for (guint fail = 0; r && !test_failed(); fail++) {
		Backing *backing = backing_new_formatted(), *left;
		Engine *engine = engine_new_in(backing);
		guint64 snapshot = 0;

		test_row("operation %u fails", fail / 2);
		put_all(engine, 1);
		CHECK_INT(checkpoint_make(engine, FALSE), 0);
		put_all(engine, 1);
		CHECK_INT(engine_flush(engine), 0);
		r = checkpoint_begin(engine, 0, NULL);
		if (!r)
			r = checkpoint_write(engine, FALSE);
		put_all(engine, 2);
		CHECK_INT(engine_flush(engine), 0);
		CHECK_INT(checkpoint_begin_snapshot(engine, &wish, &snapshot), 0);
		put_all(engine, 3);
		CHECK_INT(engine_flush(engine), 0);
		backing_faulty_fail(backing, FAULTY_MODIFY, fail / 2, EIO, TRUE, TRUE);
		r = checkpoint_switch(engine);
		if (!r) {
			checkpoint_release(engine);
			r = checkpoint_finish(engine, FALSE);
		}
		CHECK(r == 0 || r == -EIO || r == -ESHUTDOWN);
		CHECK_INT(engine_has_failed(engine), r != 0);
		left = backing_faulty_crash(backing, fail % 2 ? G_MAXUINT64 : fail + 1);
		engine_free(engine);
		backing_free(backing);
		engine = engine_new_in(left);
		check_all(engine, 3);
		CHECK(r || snapshot_of(engine, snapshot));
		CHECK(engine->generation > snapshot);
		engine_free(engine);
		backing_free(left);
	}
}

int main(int argc, char **argv)
{
	test_add("a checkpoint can be read without the journal", test_durable, NULL);
	test_add("a checkpoint that fails leaves everything that was flushed", test_fails, NULL);
	test_add("a checkpoint that meets a full backing is completed later", test_full, NULL);
	test_add("changes after the freeze are not part of a checkpoint", test_cut, NULL);
	test_add("a new size counts from the right moment on", test_resize, NULL);
	test_add("a snapshot is taken while a checkpoint is made durable", test_overlap, NULL);
	test_add("if one of the two fails, all that was flushed is left", test_overlap_fails, NULL);
	return test_run(argc, argv);
}
