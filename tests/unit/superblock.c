/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two superblocks: which one counts, and what is left of them when a store ends at any step.
 */
#include "common/engine/superblock.h"
#include "tests/backing/faulty.h"
#include "tests/harness.h"
#include "tests/unit/engines.h"

#include <errno.h>

static const guint64 homes[2] = {FORMAT_SUPERBLOCK_A, FORMAT_SUPERBLOCK_B};

static gboolean load(Backing *backing, SuperblockPair *pair)
{
	g_autoptr(GError) error = NULL;
	gboolean good = superblock_load(backing, pair, &error);

	CHECK_NO_ERROR(error);
	return CHECK(good);
}

static Superblock next_of(const SuperblockPair *pair)
{
	Superblock next = pair->current;

	next.generation++;
	next.scrub_blocks = next.generation * 10;
	return next;
}

static void put_raw(Backing *backing, const Superblock *sb, guint home)
{
	FormatSuperblock raw;

	superblock_encode(sb, &raw);
	CHECK_INT(backing_pwrite(backing, &raw, sizeof raw, homes[home]), 0);
}

static void test_store(const void *data)
{
	Backing *backing = backing_new_formatted();
	SuperblockPair pair, found;

	(void)data;
	load(backing, &pair);
	for (guint i = 0; i < 5; i++) {
		Superblock next = next_of(&pair);
		guint home = pair.home;
		guint64 flushes = backing_faulty_count(backing, FAULTY_FLUSH);

		CHECK_INT(superblock_store(backing, &pair, &next), 0);
		CHECK_UINT(pair.home, !home); /* the older copy was overwritten first */
		CHECK_UINT(pair.current.generation, next.generation);
		CHECK_UINT(backing_faulty_count(backing, FAULTY_FLUSH) - flushes, 2);
		load(backing, &found);
		CHECK_UINT(found.current.generation, next.generation);
		CHECK_UINT(found.current.scrub_blocks, next.generation * 10);
		CHECK_INT(found.other, SUPERBLOCK_SAME);
	}
	backing_free(backing);
}

/* I6: wherever a store ends, the previous or the new superblock is there; after success, the new
 * one is in both places. */
static void test_store_fails(const void *data)
{
	int r = -1;

	(void)data;
	for (guint fail = 0; r && fail < 10; fail++)
		for (guint64 seed = 1; seed <= 24; seed++) {
			Backing *backing = backing_new_formatted(), *left;
			SuperblockPair pair, found = {0};
			Superblock next;

			test_row("operation %u fails, seed %u", fail, (guint)seed);
			load(backing, &pair);
			next = next_of(&pair);
			backing_faulty_fail(backing, FAULTY_MODIFY, fail, EIO, TRUE, TRUE);
			r = superblock_store(backing, &pair, &next);
			CHECK(r == (fail < 4 ? -EIO : 0));
			CHECK_UINT(pair.current.generation, next.generation - (fail < 2));
			left = backing_faulty_crash(backing, seed);
			load(left, &found);
			CHECK(found.current.generation == next.generation ||
			      (fail < 2 && found.current.generation + 1 == next.generation));
			CHECK(found.other != SUPERBLOCK_DAMAGED);
			backing_free(left);
			backing_free(backing);
		}
	CHECK_INT(r, 0);
}

static void test_either_suffices(const void *data)
{
	(void)data;
	for (guint home = 0; home < 2; home++) {
		Backing *backing = backing_new_formatted();
		SuperblockPair pair, found = {0};
		Superblock next;

		test_row("%c is damaged", "AB"[home]);
		load(backing, &pair);
		next = next_of(&pair);
		CHECK_INT(superblock_store(backing, &pair, &next), 0);
		backing_faulty_flip(backing, homes[home] + 3000, 3);
		load(backing, &found);
		CHECK_UINT(found.current.generation, next.generation);
		CHECK_UINT(found.home, !home);
		CHECK_INT(found.other, SUPERBLOCK_DAMAGED);
		CHECK_UINT(superblock_verify(backing, &found, FALSE), 0);
		CHECK_UINT(superblock_verify(backing, &found, TRUE), 1);
		load(backing, &found);
		CHECK_INT(found.other, SUPERBLOCK_SAME);
		backing_free(backing);
	}
}

/* How the older copy is judged, depending on how many generations it is behind. */
static void test_older_copy(const void *data)
{
	static const struct {
		guint behind;
		SuperblockOther other;
	} rows[] = {{1, SUPERBLOCK_LEFT},
		    {FORMAT_STAMPS_AHEAD, SUPERBLOCK_LEFT},
		    {FORMAT_STAMPS_AHEAD + 1, SUPERBLOCK_DAMAGED},
		    {100, SUPERBLOCK_DAMAGED}};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		Backing *backing = backing_new_formatted();
		SuperblockPair pair, found = {0};
		Superblock next;

		test_row("%u behind", rows[i].behind);
		load(backing, &pair);
		next = pair.current;
		next.generation += rows[i].behind;
		put_raw(backing, &next, 1);
		put_raw(backing, &pair.current, 0);
		load(backing, &found);
		CHECK_UINT(found.home, 1);
		CHECK_INT(found.other, rows[i].other);
		backing_free(backing);
	}
}

static void test_refused(const void *data)
{
	Backing *backing = backing_new_formatted();
	g_autoptr(GError) error = NULL;
	SuperblockPair pair;

	(void)data;
	backing_faulty_fail(backing, FAULTY_READ, 1, EIO, FALSE, FALSE);
	CHECK(!superblock_load(backing, &pair, &error)); /* B might be the newer one */
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, "superblock B");
	g_clear_error(&error);
	backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	backing_faulty_flip(backing, homes[0] + 500, 1);
	backing_faulty_flip(backing, homes[1] + 500, 1);
	CHECK(!superblock_load(backing, &pair, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "both superblocks are damaged");
	g_clear_error(&error);
	backing_free(backing);
	backing = backing_faulty_new(0);
	CHECK_INT(backing_grow(backing, ENGINE_SIZE), 0);
	CHECK(!superblock_load(backing, &pair, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
	CHECK(error && !strstr(error->message, "both"));
	backing_free(backing);
}

static void test_fits(const void *data)
{
	g_autoptr(Backing) backing = backing_new_formatted();
	g_autoptr(GError) error = NULL;
	SuperblockPair pair;
	Superblock *sb = &pair.current;

	(void)data;
	load(backing, &pair);
	CHECK(superblock_fits(backing, sb, NULL));
	sb->groups_offset = backing_size(backing) + 1;
	CHECK(!superblock_fits(backing, sb, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "all blocks are gone");
	g_clear_error(&error);
	CHECK(superblock_is_newest("v", sb, 3, sb->generation + FORMAT_STAMPS_AHEAD, NULL));
	CHECK(!superblock_is_newest("v", sb, 3, sb->generation + FORMAT_STAMPS_AHEAD + 1, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "group 3");
}

int main(int argc, char **argv)
{
	test_add("a stored superblock is loaded, from either copy in turn", test_store, NULL);
	test_add("a store that fails leaves one of the two", test_store_fails, NULL);
	test_add("either copy suffices, and the other is rewritten", test_either_suffices, NULL);
	test_add("an older copy is due to a crash, or is damage", test_older_copy, NULL);
	test_add("a superblock that may not be the newest is refused", test_refused, NULL);
	test_add("a backing that is cut, or newer, is refused", test_fits, NULL);
	return test_run(argc, argv);
}
