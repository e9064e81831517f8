/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first MiB of a volume is lost, with both superblocks in it: what the far copies of the
 * superblock give back, and when they must not.
 */
#include "tests/backing/faulty.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/check/check.h"
#include "common/check/repair.h"
#include "common/engine/superblock-far.h"
#include "common/engine/tenure.h"
#include "tests/engine/support.h"

#include <errno.h>

#define SIZE (16 * MIB)
#define BLOCKS 6

static char *logged; /* the last warning */

static void keep_log(LoggingLevel level, const char *line)
{
	if (level != LOGGING_WARNING)
		return;
	g_free(logged);
	logged = g_strdup(line);
}

static guint64 place(guint i)
{
	return i * 2 * MIB + 8 * KIB;
}

static Backing *new_volume(void)
{
	return backing_new_filled(SIZE, BLOCKS, place);
}

static Superblock superblock_of(Backing *backing)
{
	SuperblockPair pair = {0};

	CHECK(superblock_load(backing, &pair, NULL));
	return pair.current;
}

static void put_zeros(Backing *backing, guint64 offset, gsize length)
{
	g_autofree guint8 *zeros = g_malloc0(length);

	CHECK_INT(backing_pwrite(backing, zeros, length, offset), 0);
}

/* Overwrites the first MiB, and makes that durable. */
static void lose_beginning(Backing *backing)
{
	g_autofree guint8 *noise = g_malloc(MIB);
	TestRandom random = test_random_new(test_seed());

	test_random_fill(&random, noise, MIB);
	CHECK_INT(backing_pwrite(backing, noise, MIB, 0), 0);
	CHECK_INT(backing_flush(backing), 0);
}

static Volume *try_open(Backing *backing, VolumeOpenFlags flags)
{
	g_autoptr(GError) error = NULL;
	Volume *volume = volume_open(backing, "v", flags, &error);

	CHECK_NO_ERROR(error);
	return volume;
}

static void check_blocks(Volume *volume)
{
	for (guint i = 0; i < BLOCKS; i++)
		check_value(volume, (guint8)(1 + i), BLOCK_SIZE, place(i));
}

static void check_refused(Backing *backing, const char *why)
{
	g_autoptr(GError) error = NULL;

	CHECK(!volume_open(backing_borrow(backing), "v", VOLUME_OPEN_READ_ONLY, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, why);
}

static void test_mended(const void *data)
{
	g_autoptr(Backing) backing = new_volume();
	g_autofree guint8 *before = g_malloc(MIB), *after = g_malloc(MIB);
	Volume *volume;

	(void)data;
	lose_beginning(backing);
	CHECK_INT(backing_pread(backing, before, MIB, 0), 0);
	volume = try_open(backing_borrow(backing), VOLUME_OPEN_READ_ONLY);
	REQUIRE(volume);
	check_blocks(volume);
	close_volume(volume);
	CHECK_INT(backing_pread(backing, after, MIB, 0), 0);
	CHECK_MEM(after, before, MIB);
	volume = try_open(backing_borrow(backing), 0);
	REQUIRE(volume);
	CHECK(logged && strstr(logged, "superblocks A and B"));
	check_blocks(volume);
	CHECK_INT(volume_put_value(volume, 'n', BLOCK_SIZE, MIB), 0);
	close_volume(volume);
	backing_check(backing);
	put_zeros(backing, superblock_place(&(Superblock){0}, SUPERBLOCK_A), FORMAT_SLOT_SIZE);
	volume = try_open(backing_borrow(backing), 0);
	REQUIRE(volume);
	check_value(volume, 'n', BLOCK_SIZE, MIB);
	close_volume(volume);
}

static gboolean tells(const GPtrArray *messages, const char *what)
{
	for (guint i = 0; i < messages->len; i++)
		if (strstr(g_ptr_array_index(messages, i), what))
			return TRUE;
	return FALSE;
}

static void test_repair(const void *data)
{
	g_autoptr(Backing) backing = new_volume();
	g_autoptr(CheckResult) result = NULL;
	g_autoptr(GError) error = NULL;
	RepairPlan *plan;

	(void)data;
	lose_beginning(backing);
	result = check_run(backing, NULL, NULL, &error);
	REQUIRE(result);
	CHECK(result->errors >= 2);
	CHECK(tells(result->messages, "superblock A"));
	CHECK(tells(result->messages, "superblock B"));
	plan = repair_plan(backing, 0, NULL, NULL, NULL, &error);
	REQUIRE(plan);
	CHECK_STR(g_ptr_array_index(plan->actions, 0), "rewrite superblock A from C");
	CHECK(repair_carry_out(plan, &error));
	CHECK_NO_ERROR(error);
	repair_plan_free(plan);
	backing_check(backing);
}

/* Something else may begin there by now. */
static void test_device(const void *data)
{
	g_autoptr(Backing) disk = new_volume();
	g_autoptr(Backing) shared = backing_share(disk, 1, NULL, NULL);
	g_autoptr(GError) error = NULL;
	RepairPlan *plan;
	Volume *volume;

	(void)data;
	tenure_set_times(20, 10);
	lose_beginning(disk);
	volume = volume_open(backing_share(disk, 1, NULL, NULL), "v", 0, &error);
	CHECK(!volume);
	CHECK_ERROR(error, STORAGEOS_ERROR_CORRUPT, "check --repair");
	g_clear_error(&error);
	volume = try_open(backing_share(disk, 1, NULL, NULL), VOLUME_OPEN_READ_ONLY);
	REQUIRE(volume);
	check_blocks(volume);
	close_volume(volume);
	plan = repair_plan(shared, 0, NULL, NULL, NULL, &error);
	REQUIRE(plan);
	CHECK(repair_carry_out(plan, &error));
	repair_plan_free(plan);
	volume = try_open(backing_share(disk, 1, NULL, NULL), 0);
	REQUIRE(volume);
	check_blocks(volume);
	close_volume(volume);
}

/* A checkpoint that a loss of power ends at any operation, and the first MiB is lost, too. */
static void test_power_cuts(const void *data)
{
	g_autoptr(Backing) origin = new_volume();
	TestRandom random = test_random_new(test_seed());
	int r = -1;

	(void)data;
	for (guint fail = 0; r && fail < 100; fail++)
		for (guint crash = 0; crash < 4; crash++) {
			g_autoptr(Backing) backing = backing_faulty_crash(origin, 0);
			g_autoptr(Backing) left = NULL;
			Volume *volume = backing_open_volume(backing);

			test_row("operation %u fails, crash %u", fail, crash);
			REQUIRE(volume);
			CHECK_INT(volume_put_value(volume, 'n', BLOCK_SIZE, MIB), 0);
			CHECK_INT(volume_flush(volume), 0);
			backing_faulty_fail(backing, FAULTY_MODIFY, fail, EIO, TRUE, TRUE);
			r = volume_checkpoint(volume);
			left = backing_faulty_crash(backing, FAULTY_CRASH_SEED(crash, &random));
			volume_abandon(volume);
			lose_beginning(left);
			volume = try_open(backing_borrow(left), 0);
			REQUIRE(volume);
			check_blocks(volume);
			check_value(volume, 'n', BLOCK_SIZE, MIB);
			close_volume(volume);
			backing_check(left);
		}
	CHECK_INT(r, 0);
}

/* The disk returns older versions of far copies.  `copies`: how many of C and D. */
static void put_back(Backing *backing, const Superblock *sb, guint copies, guint8 (*old)[4096])
{
	for (guint i = 0; i < copies; i++)
		CHECK_INT(backing_pwrite(backing, old[i], sizeof old[i],
					 superblock_place(sb, SUPERBLOCK_C + i)),
			  0);
}

static void test_older(const void *data)
{
	g_autoptr(Backing) backing = new_volume();
	Superblock sb = superblock_of(backing);
	guint8 old[2][4096];
	Volume *volume;

	(void)data;
	for (guint i = 0; i < 2; i++)
		CHECK_INT(backing_pread(backing, old[i], sizeof old[i],
					superblock_place(&sb, SUPERBLOCK_C + i)),
			  0);
	for (guint i = 0; i < 4; i++) {
		volume = backing_open_volume(backing);
		REQUIRE(volume);
		CHECK_INT(volume_put_value(volume, (guint8)('a' + i), BLOCK_SIZE, MIB), 0);
		close_volume(volume);
	}
	put_back(backing, &sb, 2, old);
	CHECK(superblock_of(backing).generation > sb.generation); /* A and B are whole */
	lose_beginning(backing);
	check_refused(backing, "does not prove");
}

static void test_second(const void *data)
{
	g_autoptr(Backing) backing = new_volume();
	Superblock sb = superblock_of(backing);
	guint8 old[1][4096];
	Volume *volume;

	(void)data;
	CHECK_INT(
		backing_pread(backing, old[0], sizeof old[0], superblock_place(&sb, SUPERBLOCK_C)),
		0);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'n', BLOCK_SIZE, MIB), 0);
	CHECK(volume_resize(volume, 2 * SIZE, 0, 60, NULL));
	close_volume(volume);
	CHECK_INT(backing_flush(backing), 0);
	put_back(backing, &sb, 1, old);
	lose_beginning(backing);
	volume = try_open(backing_borrow(backing), 0);
	REQUIRE(volume);
	CHECK_UINT(volume_size(volume), 2 * SIZE);
	check_value(volume, 'n', BLOCK_SIZE, MIB);
	close_volume(volume);
}

/* What is made over a volume must never become that volume again. */
static void test_another(const void *data)
{
	const VolumeParameters p = {.size = SIZE, .journal_size = *(const guint64 *)data};
	g_autoptr(Backing) backing = new_volume();
	Superblock sb = superblock_of(backing);
	guint8 old[2][4096], now[4096];
	Volume *volume;

	for (guint i = 0; i < 2; i++)
		CHECK_INT(backing_pread(backing, old[i], sizeof old[i],
					superblock_place(&sb, SUPERBLOCK_C + i)),
			  0);
	CHECK(volume_format(backing_borrow(backing), &p, NULL));
	for (guint i = 0; i < 2; i++) {
		CHECK_INT(backing_pread(backing, now, sizeof now,
					superblock_place(&sb, SUPERBLOCK_C + i)),
			  0);
		CHECK(memcmp(now, old[i], strlen(FORMAT_MAGIC)) != 0);
	}
	put_back(backing, &sb, 2, old); /* as a program leaves them that does not know them */
	CHECK(superblock_of(backing).seed != sb.seed);
	lose_beginning(backing);
	check_refused(backing, "does not prove");
	CHECK(volume_format(backing_borrow(backing), &p, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'n', BLOCK_SIZE, MIB), 0);
	close_volume(volume);
	put_back(backing, &sb, 2, old);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	check_value(volume, 'n', BLOCK_SIZE, MIB);
	close_volume(volume);
	lose_beginning(backing);
	volume = try_open(backing_borrow(backing), 0);
	REQUIRE(volume);
	check_value(volume, 'n', BLOCK_SIZE, MIB);
	close_volume(volume);
}

/* A volume of an older program goes on as it was, without far copies. */
static void test_older_format(const void *data)
{
	const VolumeParameters p = {.size = SIZE, .journal_size = 64 * KIB};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	guint8 slot[FORMAT_SLOT_SIZE];
	SuperblockPair pair;
	Superblock next;
	Volume *volume;

	(void)data;
	CHECK(volume_format(backing, &p, NULL));
	REQUIRE(superblock_load(backing, &pair, NULL));
	next = pair.current;
	next.generation++;
	next.ro_compatible &= ~FORMAT_RO_FAR_COPIES;
	CHECK_INT(superblock_store(backing, &pair, &next), 0);
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'n', BLOCK_SIZE, MIB), 0);
	close_volume(volume);
	backing_check(backing);
	CHECK_UINT(superblock_of(backing).ro_compatible, 0);
	for (guint i = SUPERBLOCK_C; i < SUPERBLOCK_COPIES; i++) {
		CHECK_INT(backing_pread(backing, slot, sizeof slot, superblock_place(&next, i)), 0);
		CHECK(!slot[0] && !memcmp(slot, slot + 1, sizeof slot - 1));
	}
	lose_beginning(backing);
	check_refused(backing, "");
}

/* A device that ends within its first group has no room for them. */
static void test_short(const void *data)
{
	const VolumeParameters p = {.size = SIZE, .journal_size = 64 * KIB};
	g_autoptr(Backing) backing = backing_faulty_new(100 * MIB);
	Volume *volume;

	(void)data;
	CHECK_INT(backing_grow(backing, 100 * MIB), 0);
	CHECK(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'n', BLOCK_SIZE, MIB), 0);
	close_volume(volume);
	backing_check(backing);
	lose_beginning(backing);
	check_refused(backing, "");
}

/* The disk is full once the first group is there: checkpoints must go on. */
static void test_full(const void *data)
{
	const VolumeParameters p = {.size = SIZE, .journal_size = 64 * KIB};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	Volume *volume;

	(void)data;
	CHECK(volume_format(backing, &p, NULL));
	volume = backing_open_volume(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 'n', BLOCK_SIZE, MIB), 0);
	backing_faulty_fill_up(backing, 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	close_volume(volume);
	backing_check(backing);
	lose_beginning(backing);
	volume = try_open(backing_borrow(backing), VOLUME_OPEN_READ_ONLY);
	REQUIRE(volume);
	check_value(volume, 'n', BLOCK_SIZE, MIB);
	close_volume(volume);
}

/* Only a superblock is written to the far copies. */
static gboolean spares_far(guint64 offset, guint64 length, gpointer data)
{
	const Superblock *sb = data;

	for (guint i = SUPERBLOCK_C; i < SUPERBLOCK_COPIES; i++) {
		guint64 at = superblock_place(sb, i);

		CHECK(offset >= at + FORMAT_SUPERBLOCK_SIZE || offset + length <= at ||
		      (offset == at && length == FORMAT_SUPERBLOCK_SIZE));
	}
	return TRUE;
}

static void test_erased(const void *data)
{
	g_autoptr(Backing) backing = new_volume();
	Superblock sb = superblock_of(backing);
	Volume *volume = try_open(backing_borrow_gated(backing, spares_far, &sb), 0);

	(void)data;
	REQUIRE(volume);
	CHECK_INT(volume_erase(volume), 0);
	CHECK_INT(volume_put_value(volume, 'n', BLOCK_SIZE, MIB), 0);
	CHECK_INT(volume_flush(volume), 0);
	volume_abandon(volume);
	lose_beginning(backing);
	volume = try_open(backing_borrow(backing), 0);
	REQUIRE(volume);
	check_value(volume, 'n', BLOCK_SIZE, MIB);
	close_volume(volume);
}

/* C cannot be read: it matters where A or B is lost, and only there. */
static gboolean refuse_far;
static const BackingOps *plain;

static int far_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
		      BackingFlags flags)
{
	if (refuse_far && offset >= 100 * MIB)
		return -EIO;
	return plain->preadv(backing, iov, count, offset, flags);
}

static void test_unreadable(const void *data)
{
	g_autoptr(Backing) backing = new_volume();
	g_autoptr(GError) error = NULL;
	BackingOps ops = *backing->ops;
	SuperblockPair pair;

	(void)data;
	plain = backing->ops;
	ops.preadv = far_preadv;
	backing->ops = &ops;
	refuse_far = TRUE;
	CHECK(superblock_load(backing, &pair, NULL));
	put_zeros(backing, FORMAT_SUPERBLOCK_B, FORMAT_SLOT_SIZE);
	CHECK(!superblock_load(backing, &pair, &error));
	CHECK_ERROR(error, STORAGEOS_ERROR_IO, "superblock C");
	refuse_far = FALSE;
	CHECK(superblock_load(backing, &pair, NULL));
	backing->ops = plain;
}

int main(int argc, char **argv)
{
	static const guint64 same = 64 * KIB, other = MIB;

	logging_set_sink(keep_log);
	test_add("a lost first MiB: the volume is read, and mended when it is written", test_mended,
		 NULL);
	test_add("a lost first MiB: check tells, and repair mends", test_repair, NULL);
	test_add("a lost first MiB: a device is mended only if that is asked for", test_device,
		 NULL);
	test_add("a lost first MiB after a power cut: what was flushed is there", test_power_cuts,
		 NULL);
	test_add("older far copies are not taken for the newest", test_older, NULL);
	test_add("an older C is found out by D", test_second, NULL);
	test_add("the volume that was there before, with the same journal", test_another, &same);
	test_add("the volume that was there before, with another journal", test_another, &other);
	test_add("an older volume has no far copies", test_older_format, NULL);
	test_add("a device that is too short has no far copies", test_short, NULL);
	test_add("a disk that is full when a volume has its first group", test_full, NULL);
	test_add("erasing leaves the far copies", test_erased, NULL);
	test_add("a C that cannot be read might be the newest", test_unreadable, NULL);
	return test_run(argc, argv);
}
