/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bits that change by themselves.  Whatever is damaged, a read returns what was written, or an
 * error that names the block, and never other bytes (I4).
 */
#include <errno.h>

#include "tests/backing/faulty.h"
#include "common/base/bounds.h"
#include "common/check/check.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/engine/superblock.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#define SIZE (64 * MIB)
#define STARTS (5 * MIB) /* where the slots begin, with a journal of 4 MiB */
#define BLOCKS 24	 /* written, far from each other */

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static guint64 place_of(guint i)
{
	return i * (2 * MIB + 5 * BLOCK_SIZE);
}

static guint8 value_of(guint i)
{
	return (guint8)(0x40 + i);
}

/* A closed volume with some blocks in it. */
static Backing *new_backing(void)
{
	const VolumeParameters p = {.size = SIZE, .journal_size = 4 * MIB};
	Backing *backing = backing_faulty_new(0);
	Volume *volume;

	CHECK(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	for (guint i = 0; volume && i < BLOCKS; i++)
		CHECK_INT(volume_put_value(volume, value_of(i), BLOCK_SIZE, place_of(i)), 0);
	close_volume(volume);
	CHECK_INT(backing_flush(backing), 0);
	return backing;
}

/* The offset of the slot that is full of this value; 0 if there is none. */
static guint64 find_slot(Backing *backing, guint8 value)
{
	guint8 slot[BLOCK_SIZE];
	guint64 end = min_u64(backing_size(backing), STARTS + 16 * MIB);

	for (guint64 at = STARTS; at < end; at += BLOCK_SIZE) {
		CHECK_INT(backing_pread(backing, slot, sizeof slot, at), 0);
		if (slot[0] == value && !memcmp(slot, slot + 1, sizeof slot - 1))
			return at;
	}
	FAIL("no slot is full of 0x%02x", value);
	return 0;
}

static guint64 count_findings(Backing *backing)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(CheckResult) result = check_run(backing, NULL, NULL, &error);

	return result ? result->errors : 1;
}

static void test_data(const void *data)
{
	g_autoptr(Backing) backing = new_backing();
	guint8 bytes[3 * BLOCK_SIZE];
	struct iovec iov = {.iov_base = bytes, .iov_len = sizeof bytes};
	VolumeInfo info;
	Volume *volume;
	guint64 at = 1;

	(void)data;
	backing_faulty_flip(backing, find_slot(backing, value_of(3)) + 1000, 4);
	CHECK_UINT(count_findings(backing), 1);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_read(volume, &iov, 1, place_of(3) - BLOCK_SIZE, &at), -EBADMSG);
	CHECK_UINT(at, place_of(3));
	at = 1;
	iov.iov_len = SECTOR_SIZE; /* a part of the block that was not changed */
	CHECK_INT(volume_read(volume, &iov, 1, place_of(3), &at), -EBADMSG);
	CHECK_UINT(at, place_of(3));
	at = 1;
	CHECK_INT(volume_write(volume, &iov, 1, place_of(3) + SECTOR_SIZE, &at), -EBADMSG);
	CHECK_UINT(at, place_of(3));
	volume_get_info(volume, &info);
	CHECK_INT(info.state, VOLUME_OK);
	CHECK(info.checksum_errors >= 3);
	for (guint i = 0; i < BLOCKS; i++)
		if (i != 3)
			check_value(volume, value_of(i), BLOCK_SIZE, place_of(i));
	/* An overwritten block is whole again. */
	CHECK_INT(volume_put_value(volume, 9, BLOCK_SIZE, place_of(3)), 0);
	check_value(volume, 9, BLOCK_SIZE, place_of(3));
	close_volume(volume);
	backing_check(backing);
}

/* A disk that writes a block to the place of another. */
static void test_misdirected(const void *data)
{
	g_autoptr(Backing) backing = new_backing();
	guint8 block[BLOCK_SIZE];
	Volume *volume;

	(void)data;
	CHECK_INT(backing_pread(backing, block, sizeof block, find_slot(backing, value_of(1))), 0);
	CHECK_INT(backing_pwrite(backing, block, sizeof block, find_slot(backing, value_of(2))), 0);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	check_value(volume, value_of(1), BLOCK_SIZE, place_of(1));
	CHECK_INT(volume_get(volume, block, sizeof block, place_of(2)), -EBADMSG);
	close_volume(volume);
}

/* Checks that every block reads as written or as an error.  Returns how many are errors. */
static guint read_blocks(Volume *volume)
{
	guint8 block[BLOCK_SIZE], expected[BLOCK_SIZE];
	guint bad = 0;

	for (guint i = 0; i < BLOCKS; i++) {
		int result = volume_get(volume, block, sizeof block, place_of(i));

		memset(expected, value_of(i), sizeof expected);
		if (result)
			CHECK_INT(result, -EBADMSG);
		else
			CHECK_MEM(block, expected, sizeof block);
		bad += result != 0;
	}
	return bad;
}

/* Flips one bit of the slot; then the volume is read, changed, and read again. */
static guint damage(Backing *origin, guint64 at, guint bit)
{
	g_autoptr(Backing) backing = backing_faulty_crash(origin, G_MAXUINT64);
	g_autoptr(GError) error = NULL;
	guint64 findings;
	Volume *volume;
	guint bad;

	test_row("bit %u of byte %" G_GUINT64_FORMAT, bit, at);
	backing_faulty_flip(backing, at, bit);
	findings = count_findings(backing);
	volume = volume_open(backing_borrow(backing), "test", 0, &error);
	if (!volume) {
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
		CHECK(findings > 0);
		return 1;
	}
	bad = read_blocks(volume);
	if (bad)
		CHECK(findings > 0);
	volume_put_value(volume, value_of(5), BLOCK_SIZE, place_of(5));
	volume_checkpoint(volume);
	read_blocks(volume);
	volume_close(volume, NULL);
	return bad;
}

/* A random bit of each slot in use, those of metadata included. */
static void test_anywhere(const void *data)
{
	g_autoptr(Backing) origin = new_backing();
	TestRandom random = test_random_new(test_seed());
	guint8 slot[BLOCK_SIZE], zeros[BLOCK_SIZE] = {0};
	guint damaged = 0, seen = 0;
	guint64 end = min_u64(backing_size(origin), STARTS + 8 * MIB);

	(void)data;
	for (guint64 at = STARTS; at < end && !test_failed(); at += BLOCK_SIZE) {
		CHECK_INT(backing_pread(origin, slot, sizeof slot, at), 0);
		if (!memcmp(slot, zeros, sizeof slot))
			continue;
		damaged++;
		seen += damage(origin, at + test_random_below(&random, BLOCK_SIZE),
			       (guint)test_random_below(&random, 8)) > 0;
	}
	test_note("%u slots were damaged in turn, %u made reads fail", damaged, seen);
	CHECK(seen >= BLOCKS + 2); /* all data, a leaf, the root */
	CHECK(damaged > seen / 2);
}

/* The offset of the leaf over place_of(2): the leaf in which only the pointer of block 10, 16
 * bytes, is not null.  In this volume, leaf i has one pointer, of block 5 * i of its 256 blocks. */
static guint64 find_leaf(Backing *backing)
{
	guint8 slot[BLOCK_SIZE];

	for (guint64 at = STARTS; at < STARTS + 8 * MIB; at += BLOCK_SIZE) {
		CHECK_INT(backing_pread(backing, slot, sizeof slot, at), 0);
		if (slot[10 * 16] && !slot[0] && !slot[20 * 16] && !slot[15 * 16])
			return at;
	}
	FAIL("there is no such leaf");
	return 0;
}

static void test_leaf(const void *data)
{
	g_autoptr(Backing) backing = new_backing();
	guint64 at = find_leaf(backing);

	(void)data;
	CHECK_UINT(damage(backing, at + 10 * 16 + 9, 0), 1);
}

/* Requests over two leaves, of which the second is damaged. */
static void test_second_leaf(const void *data)
{
	g_autoptr(Backing) backing = new_backing();
	g_autofree guint8 *bytes = g_malloc0(16 * BLOCK_SIZE);
	guint64 leaf = place_of(2) / MIB * MIB, from = leaf - 6 * BLOCK_SIZE, where = 1;
	struct iovec iov = {bytes, 16 * BLOCK_SIZE};
	Volume *volume;

	(void)data;
	CHECK_INT(backing_pwrite(backing, bytes, SECTOR_SIZE, find_leaf(backing)), 0);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_read(volume, &iov, 1, from, &where), -EBADMSG);
	CHECK_UINT(where, leaf);
	where = 1;
	CHECK_INT(volume_write(volume, &iov, 1, from, &where), -EBADMSG);
	CHECK_UINT(where, leaf);
	close_volume(volume);
}

static void test_superblocks(const void *data)
{
	static const guint64 places[] = {0, 64 * KIB};
	g_autoptr(Backing) origin = new_backing();

	(void)data;
	for (guint mask = 1; mask < 4; mask++) {
		g_autoptr(Backing) backing = backing_faulty_crash(origin, G_MAXUINT64);
		g_autoptr(GError) error = NULL;
		Volume *volume;

		test_row("superblocks damaged: %u", mask);
		for (guint i = 0; i < 2; i++)
			if (mask & 1u << i)
				backing_faulty_flip(backing, places[i] + 100, 3);
		volume = volume_open(backing_borrow(backing), "test", 0, &error);
		if (mask < 3 && CHECK(volume != NULL)) {
			/* The older root and the journal behind it lead to the same content. */
			CHECK_UINT(read_blocks(volume), 0);
			close_volume(volume);
			backing_check(backing);
		} else {
			CHECK(!volume);
			CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "both superblocks are damaged");
		}
	}
}

/* Both superblocks are overwritten: the other marks tell that this was a volume. */
static void test_no_superblocks(const void *data)
{
	static const guint64 places[] = {0, 64 * KIB};
	g_autoptr(Backing) origin = new_backing();
	guint8 nothing[FORMAT_SUPERBLOCK_SIZE] = {0};

	(void)data;
	for (guint empty = 0; empty < 2; empty++) {
		g_autoptr(Backing) backing = backing_faulty_crash(origin, G_MAXUINT64);
		g_autoptr(GError) error = NULL;

		test_row("nothing else is there: %u", empty);
		for (guint i = 0; i < 2; i++)
			CHECK_INT(backing_pwrite(backing, nothing, sizeof nothing, places[i]), 0);
		if (empty)
			CHECK_INT(backing_punch(backing, 0, backing_size(backing)), 0);
		CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT,
			    empty ? "no storageos volume" : "both superblocks are damaged");
	}
}

/* The offsets of what is stored twice: the root, which is an inner node here; the page of the
 * first group's bitmap that counts; a superblock.  Each with its copy. */
static guint find_twice(Backing *backing, guint64 *places)
{
	SuperblockPair pair;
	guint64 root, page = 0;
	guint8 bytes[2 * BLOCK_SIZE];

	if (!CHECK(superblock_load(backing, &pair, NULL)))
		return 0;
	CHECK_UINT(pair.current.levels, 2);
	root = pair.current.groups_offset + pair.current.map_root.slot * FORMAT_SLOT_SIZE;
	CHECK_INT(backing_pread(backing, bytes, sizeof bytes, pair.current.groups_offset), 0);
	if (get_le64(bytes + BLOCK_SIZE + 8) > get_le64(bytes + 8))
		page = BLOCK_SIZE;
	places[0] = root;
	places[1] = root + FORMAT_COPY_DISTANCE * FORMAT_SLOT_SIZE;
	places[2] = pair.current.groups_offset + page;
	places[3] = FORMAT_FIRST_COPIES + page;
	places[4] = FORMAT_SUPERBLOCK_A;
	places[5] = FORMAT_SUPERBLOCK_B;
	return 6;
}

/* Damage to either copy loses nothing.  Damage that is noticed is repaired and counted. */
static void test_copies(const void *data)
{
	g_autoptr(Backing) origin = new_backing();
	guint64 places[6];
	guint n = find_twice(origin, places);

	(void)data;
	for (guint i = 0; i < n; i++) {
		g_autoptr(Backing) backing = backing_faulty_crash(origin, G_MAXUINT64);
		guint8 before[BLOCK_SIZE], now[BLOCK_SIZE];
		VolumeInfo info;
		Volume *volume;

		test_row("place %u, byte %" G_GUINT64_FORMAT, i, places[i]);
		CHECK_INT(backing_pread(backing, before, sizeof before, places[i]), 0);
		CHECK(before[4] || before[5] || before[6]);
		for (guint bit = 0; bit < 20; bit++)
			backing_faulty_flip(backing, places[i] + 97 * bit, bit % 8);
		if (i < 4)
			CHECK(count_findings(backing) > 0);
		volume = backing_open_volume(backing);
		if (!volume)
			continue;
		CHECK_UINT(read_blocks(volume), 0);
		volume_get_info(volume, &info);
		/* Nothing reads a node's second copy unless the first is damaged. */
		CHECK_UINT(info.copies_repaired, i != 1);
		CHECK_INT(backing_pread(backing, now, sizeof now, places[i]), 0);
		if (i == 0 || i == 2 || i == 3)
			CHECK_MEM(now, before, sizeof now);
		close_volume(volume);
	}
}

/* A page of an earlier checkpoint must not be taken for the one that counts. */
static void test_stale_bitmap(const void *data)
{
	g_autoptr(Backing) backing = new_backing();
	g_autoptr(GError) error = NULL;
	guint64 places[6];
	guint8 old[2][2 * BLOCK_SIZE];
	Volume *volume;

	(void)data;
	REQUIRE(find_twice(backing, places) == 6);
	CHECK_INT(backing_pread(backing, old[0], sizeof old[0], FORMAT_FIRST_COPIES), 0);
	CHECK_INT(backing_pread(backing, old[1], sizeof old[1], STARTS), 0);
	CHECK_MEM(old[0], old[1], sizeof old[0]);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	for (guint i = 0; i < 3; i++) {
		CHECK_INT(volume_put_value(volume, 1, MIB, i * MIB), 0);
		CHECK_INT(volume_checkpoint(volume), 0);
	}
	close_volume(volume);
	CHECK_INT(backing_pwrite(backing, old[1], sizeof old[1], STARTS), 0);
	volume = backing_open_volume(backing); /* from the copies */
	REQUIRE(volume);
	check_value(volume, 1, 3 * MIB, 0);
	close_volume(volume);
	CHECK_INT(backing_pwrite(backing, old[0], sizeof old[0], FORMAT_FIRST_COPIES), 0);
	CHECK_INT(backing_pwrite(backing, old[1], sizeof old[1], STARTS), 0);
	CHECK(count_findings(backing) > 0);
	CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "bitmap");
}

static void test_no_volume(const void *data)
{
	g_autoptr(Backing) backing = backing_faulty_new(0);
	g_autoptr(GError) error = NULL;
	guint8 noise[64 * KIB];
	TestRandom random = test_random_new(test_seed());

	(void)data;
	CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
	g_clear_error(&error);
	CHECK_INT(backing_grow(backing, 16 * MIB), 0);
	CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
	g_clear_error(&error);
	for (guint64 at = 0; at < 16 * MIB; at += sizeof noise) {
		test_random_fill(&random, noise, sizeof noise);
		CHECK_INT(backing_pwrite(backing, noise, sizeof noise, at), 0);
	}
	CHECK(!volume_open(backing_borrow(backing), "test", 0, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
}

static Backing *cut_at(Backing *origin, guint64 end)
{
	Backing *backing = backing_faulty_new(0);
	g_autofree guint8 *bytes = g_malloc(end);

	CHECK_INT(backing_pread(origin, bytes, end, 0), 0);
	CHECK_INT(backing_grow(backing, end), 0);
	CHECK_INT(backing_pwrite(backing, bytes, end, 0), 0);
	return backing;
}

/* Everything before the journal, both superblocks included, is older, as after a partial restore
 * of the backing.  None of it is damaged, and all of it is wrong. */
static void test_stale_head(const void *data)
{
	g_autoptr(Backing) backing = new_backing();
	g_autofree guint8 *head = g_malloc(MIB);
	g_autoptr(GError) opened = NULL, checked = NULL;
	Volume *volume;

	(void)data;
	CHECK_INT(backing_pread(backing, head, MIB, 0), 0);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	for (guint i = 0; i < 4; i++) {
		CHECK_INT(volume_put_value(volume, (guint8)(1 + i), BLOCK_SIZE, place_of(3)), 0);
		CHECK_INT(volume_checkpoint(volume), 0);
	}
	close_volume(volume);
	CHECK_INT(backing_pwrite(backing, head, MIB, 0), 0);
	CHECK(!volume_open(backing_borrow(backing), "test", VOLUME_OPEN_READ_ONLY, &opened));
	CHECK_ERROR(opened, STORAGEOS_ERROR_CORRUPT, "superblocks are older");
	CHECK(!check_run(backing, NULL, NULL, &checked));
	CHECK_ERROR(checked, STORAGEOS_ERROR_CORRUPT, "superblocks are older");
}

static void zero(Backing *backing, guint64 offset, gsize length)
{
	g_autofree guint8 *zeros = g_malloc0(length);

	CHECK_INT(backing_pwrite(backing, zeros, length, offset), 0);
}

/* Both superblocks are older than a checkpoint before which nothing was flushed, and what the
 * checkpoint wrote is damaged: the volume looks as if that checkpoint had never been made. */
static void test_forgotten_checkpoint(const void *data)
{
	g_autoptr(Backing) backing = new_backing();
	guint8 a[FORMAT_SUPERBLOCK_SIZE], b[FORMAT_SUPERBLOCK_SIZE], block[BLOCK_SIZE];
	Volume *volume = backing_open_volume(backing);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(backing_pread(backing, a, sizeof a, FORMAT_SUPERBLOCK_A), 0);
	CHECK_INT(backing_pread(backing, b, sizeof b, FORMAT_SUPERBLOCK_B), 0);
	CHECK_INT(volume_put_value(volume, 0xa1, BLOCK_SIZE, 0), 0);
	close_volume(volume);
	CHECK_INT(backing_pwrite(backing, a, sizeof a, FORMAT_SUPERBLOCK_A), 0);
	CHECK_INT(backing_pwrite(backing, b, sizeof b, FORMAT_SUPERBLOCK_B), 0);
	backing_faulty_flip(backing, find_slot(backing, 0xa1) + 5, 5);
	CHECK(count_findings(backing) > 0);
	volume = volume_open(backing_borrow(backing), "test", VOLUME_OPEN_READ_ONLY, NULL);
	if (!volume)
		return;
	CHECK_INT(volume_get(volume, block, sizeof block, 0), -EBADMSG);
	volume_abandon(volume);
}

/* The journal is lost, together with any one block that tells what was in it. */
static void test_forgotten_flush(const void *data)
{
	g_autoptr(Backing) origin = new_backing();
	Volume *volume = backing_open_volume(origin);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 0xa1, BLOCK_SIZE, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	for (guint i = 0; i < FORMAT_MARKS; i++) {
		g_autoptr(Backing) left = backing_faulty_crash(origin, G_MAXUINT64);
		g_autoptr(GError) error = NULL;

		zero(left, FORMAT_JOURNAL_OFFSET, 4 * MIB);
		zero(left, FORMAT_MARKS_OFFSET + i * FORMAT_MARK_DISTANCE, FORMAT_MARK_DISTANCE);
		CHECK(!volume_open(backing_borrow(left), "test", 0, &error));
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "was flushed, and is damaged");
		CHECK(count_findings(left) > 0);
	}
	volume_abandon(volume);
}

/* The file was truncated: lost blocks are errors, the others are intact. */
static void test_cut(const void *data)
{
	g_autoptr(Backing) origin = new_backing();
	g_autoptr(Backing) backing = cut_at(origin, find_slot(origin, value_of(BLOCKS / 2)));
	g_autoptr(GError) error = NULL;
	Volume *volume;

	(void)data;
	CHECK(count_findings(backing) > 0);
	volume = volume_open(backing_borrow(backing), "test", 0, &error);
	if (volume) {
		CHECK(read_blocks(volume) > 0);
		volume_close(volume, NULL);
	} else {
		CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, NULL);
	}
}

/* Nothing is left; the error must not suggest to look for a bitmap or a device. */
static void test_cut_in_journal(const void *data)
{
	static const guint64 lengths[] = {68 * KIB, 128 * KIB, 520 * KIB, MIB, MIB + 4095};
	g_autoptr(Backing) origin = new_backing();

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(lengths); i++) {
		g_autoptr(Backing) backing = cut_at(origin, lengths[i]);
		g_autoptr(GError) opened = NULL, checked = NULL;
		g_autofree char *place = g_strdup_printf(
			"ends at byte %" G_GUINT64_FORMAT ", before the journal does", lengths[i]);

		test_row("%" G_GUINT64_FORMAT, lengths[i]);
		CHECK(!volume_open(backing_borrow(backing), "test", 0, &opened));
		CHECK_ERROR(opened, STORAGEOS_ERROR_CORRUPT, place);
		CHECK(!check_run(backing, NULL, NULL, &checked));
		CHECK_ERROR(checked, STORAGEOS_ERROR_CORRUPT, place);
	}
}

/* Damage to flushed payload of the journal must not end the replay: what follows would be lost. */
static void test_flushed_payload(const void *data)
{
	g_autoptr(Backing) backing = new_backing();
	g_autoptr(Backing) left = NULL;
	guint8 block[BLOCK_SIZE];
	Volume *volume = backing_open_volume(backing);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 0xa1, BLOCK_SIZE, 0), 0);
	CHECK_INT(volume_flush(volume), 0);
	CHECK_INT(volume_put_value(volume, 0xa2, BLOCK_SIZE, 40 * KIB), 0);
	CHECK_INT(volume_flush(volume), 0);
	left = backing_faulty_crash(backing, G_MAXUINT64);
	volume_abandon(volume);
	backing_faulty_flip(left, find_slot(left, 0xa1) + 5, 5);
	volume = backing_open_volume(left);
	REQUIRE(volume);
	CHECK_INT(volume_get(volume, block, sizeof block, 0), -EBADMSG);
	check_value(volume, 0xa2, BLOCK_SIZE, 40 * KIB);
	check_value(volume, value_of(7), BLOCK_SIZE, place_of(7));
	close_volume(volume);
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	test_add("a flipped bit of data is an error that names the block", test_data, NULL);
	test_add("a block in another's place is an error", test_misdirected, NULL);
	test_add("a flipped bit anywhere never leads to wrong data", test_anywhere, NULL);
	test_add("a flipped bit of a leaf is an error", test_leaf, NULL);
	test_add("of two leaves, the error names the damaged one", test_second_leaf, NULL);
	test_add("one superblock is enough", test_superblocks, NULL);
	test_add("a volume without superblocks is told from what is no volume", test_no_superblocks,
		 NULL);
	test_add("inner nodes, bitmaps and superblocks are stored twice", test_copies, NULL);
	test_add("an older bitmap page is not taken for the newest", test_stale_bitmap, NULL);
	test_add("older superblocks are not taken for the newest", test_stale_head, NULL);
	test_add("older superblocks do not hide a checkpoint", test_forgotten_checkpoint, NULL);
	test_add("a lost journal is not taken for an empty one", test_forgotten_flush, NULL);
	test_add("a backing that holds no volume is not opened", test_no_volume, NULL);
	test_add("a backing that was truncated", test_cut, NULL);
	test_add("a backing that was truncated in its journal", test_cut_in_journal, NULL);
	test_add("damage to flushed payload of the journal", test_flushed_payload, NULL);
	return test_run(argc, argv);
}
