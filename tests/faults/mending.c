/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check, repair and scrub, with every operation of the backing, every allocation and every thread
 * failing in turn: each must end with an error or a result, and every block that was readable
 * before must be readable afterwards.
 */
#include <errno.h>
#include <unistd.h>

#include "tests/backing/faulty.h"
#include "common/backing/file.h"
#include "common/check/check.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/check/repair.h"
#include "common/check/scrub.h"
#include "common/engine/superblock.h"
#include "common/base/units.h"
#include "tests/engine/support.h"
#include "tests/faults/inject.h"

#define SIZE (272 * MIB) /* three levels of nodes */
#define PLACES 6
#define LOST 2 /* the place whose block is damaged */
#define POINTS_MAX 2000

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

static guint64 place_of(guint i)
{
	return i * (48 * MIB + 5 * BLOCK_SIZE);
}

/* The slot of the node to which the first pointers lead, from the root down to `level`.  The entry
 * of the block at place LOST is not below this node. */
static guint64 slot_of_first(Backing *backing, guint level)
{
	SuperblockPair pair;
	MapEntry entry;

	CHECK(superblock_load(backing, &pair, NULL));
	entry = pair.current.map_root;
	for (guint at = pair.current.levels - 1; at > level; at--) {
		FormatNode node;

		CHECK_INT(backing_pread(backing, &node, sizeof node,
					pair.current.groups_offset + entry.slot * FORMAT_SLOT_SIZE),
			  0);
		entry = entry_at(NODE_LAYOUT_PLAIN, &node, 0);
	}
	return pair.current.groups_offset + entry.slot * FORMAT_SLOT_SIZE;
}

static guint64 find_block(Backing *backing, guint8 value)
{
	guint8 block[BLOCK_SIZE];

	for (guint64 at = MIB; at < backing_size(backing); at += BLOCK_SIZE)
		if (!backing_pread(backing, block, sizeof block, at) && block[0] == value &&
		    !memcmp(block, block + 1, sizeof block - 1))
			return at;
	FAIL("no block is full of %u", value);
	return 0;
}

/* A closed volume in which one copy of a node, a block, one copy of a bitmap and a superblock are
 * damaged. */
static Backing *new_backing(void)
{
	Backing *backing = backing_new_filled(SIZE, PLACES, place_of);

	backing_faulty_flip(backing, find_block(backing, 1 + LOST) + 7, 1);
	backing_faulty_flip(backing, slot_of_first(backing, 1) + 1234, 3);
	backing_faulty_flip(backing, FORMAT_FIRST_COPIES + 100, 0);
	backing_faulty_flip(backing, FORMAT_FIRST_COPIES + 4096 + 100, 0);
	return backing;
}

/* A file of the same content, for tests in which allocations fail: the faulty backing itself cannot
 * do without memory. */
static Backing *copy_to_file(Backing *backing)
{
	g_autofree char *path = test_path("volume");
	Backing *file = backing_file_open(path, BACKING_OPEN_CREATE, NULL);
	guint8 block[BLOCK_SIZE], zeros[BLOCK_SIZE] = {0};

	CHECK_INT(backing_grow(file, backing_size(backing)), 0);
	for (guint64 at = 0; at < backing_size(backing); at += BLOCK_SIZE) {
		CHECK_INT(backing_pread(backing, block, sizeof block, at), 0);
		if (memcmp(block, zeros, sizeof block) != 0)
			CHECK_INT(backing_pwrite(file, block, sizeof block, at), 0);
	}
	return file;
}

/* ---- actions: FALSE with an error, or TRUE */

static gboolean check(Backing *backing, GError **error)
{
	g_autoptr(CheckResult) result = check_run(backing, NULL, NULL, error);

	if (result)
		CHECK(result->errors >= 1); /* the lost block, and perhaps what could not be read */
	return result != NULL;
}

static gboolean repair(Backing *backing, GError **error)
{
	g_autoptr(RepairPlan) plan = repair_plan(backing, 0, NULL, NULL, NULL, error);

	return plan && repair_carry_out(plan, error);
}

static gboolean scrub(Backing *backing, GError **error)
{
	Volume *volume = volume_open(backing_borrow(backing), "test", 0, error);
	Scrub *scrubbing = volume ? scrub_start(volume, 0, 0, error) : NULL;
	gboolean done = scrubbing != NULL;

	if (scrubbing) {
		ScrubStatus status;

		CHECK(scrub_wait(scrubbing, 60000));
		scrub_get_status(scrubbing, &status);
		CHECK(!status.running);
		CHECK_INT(status.complete, !status.problem);
		if (status.complete)
			CHECK(status.errors >= 1);
		scrub_free(scrubbing);
	}
	if (volume)
		volume_close(volume, NULL);
	return done;
}

static gboolean scrub_read_only(Backing *backing, GError **error)
{
	Volume *volume = volume_open(backing_borrow(backing), "test", VOLUME_OPEN_READ_ONLY, error);
	Scrub *scrubbing = volume ? scrub_start(volume, 0, 0, error) : NULL;
	gboolean done = scrubbing != NULL;

	if (scrubbing)
		CHECK(scrub_wait(scrubbing, 60000));
	scrub_free(scrubbing);
	if (volume)
		volume_close(volume, NULL);
	return done;
}

typedef struct {
	const char *name;
	gboolean (*run)(Backing *backing, GError **error);
} MendingAction;

static const MendingAction actions[] = {
	{"check", check},
	{"repair", repair},
	{"scrub", scrub},
	{"scrub, only reading", scrub_read_only},
};

/* ---- faults */

static const struct {
	const char *name;
	FaultyKind kinds; /* operations of the backing; 0: `injection` is used */
	Injection injection;
	int err;
	gboolean for_ever;
} faults[] = {
	{"EIO, reading", FAULTY_READ, {0}, EIO, FALSE},
	{"EIO for ever, reading", FAULTY_READ, {0}, EIO, TRUE},
	{"EIO", FAULTY_MODIFY, {0}, EIO, FALSE},
	{"EIO for ever", FAULTY_MODIFY, {0}, EIO, TRUE},
	{"ENOSPC for ever", FAULTY_WRITE | FAULTY_GROW, {0}, ENOSPC, TRUE},
	{"memory", 0, {"memory", INJECT_MEMORY, ENOMEM, FALSE}, 0, FALSE},
	{"memory for ever", 0, {"memory", INJECT_MEMORY, ENOMEM, TRUE}, 0, TRUE},
	{"a thread", 0, {"a thread", INJECT_THREAD, EAGAIN, FALSE}, 0, FALSE},
};

/* Runs the action with one fault.  TRUE if the fault struck. */
static gboolean run_failing(const MendingAction *action, guint fault, guint64 point,
			    Backing *backing, GError **error, gboolean *ret_done)
{
	guint64 before;

	if (!faults[fault].kinds) {
		inject_begin(&faults[fault].injection, point);
		*ret_done = action->run(backing, error);
		return inject_end() > point;
	}
	before = backing_faulty_count(backing, faults[fault].kinds);
	backing_faulty_fail(backing, faults[fault].kinds, point, faults[fault].err,
			    faults[fault].for_ever, FALSE);
	*ret_done = action->run(backing, error);
	backing_faulty_fail(backing, 0, 0, 0, FALSE, FALSE);
	return backing_faulty_count(backing, faults[fault].kinds) - before > point;
}

static guint64 errors_in(Backing *backing)
{
	g_autoptr(CheckResult) result = check_run(backing, NULL, NULL, NULL);

	CHECK(result != NULL);
	return result ? result->errors : 0;
}

static void check_after(Backing *backing, guint64 errors)
{
	guint8 block[BLOCK_SIZE];
	Volume *volume;

	CHECK(errors_in(backing) <= errors);
	volume = backing_open_volume(backing);
	for (guint i = 0; volume && i < PLACES; i++)
		if (i == LOST)
			CHECK_INT(volume_get(volume, block, sizeof block, place_of(i)), -EBADMSG);
		else
			check_value(volume, (guint8)(1 + i), BLOCK_SIZE, place_of(i));
	close_volume(volume);
}

static void test_action(const void *data)
{
	const MendingAction *action = data;
	const guint stride = test_is_instrumented() ? 5 : 1;
	g_autoptr(Backing) origin = new_backing();
	guint64 errors = errors_in(origin);
	guint runs = 0;

	for (guint fault = 0; fault < G_N_ELEMENTS(faults); fault++) {
		gboolean failed = TRUE;

		for (guint64 point = 0; failed && point < POINTS_MAX; point += stride) {
			g_autoptr(Backing) backing =
				faults[fault].kinds ? backing_faulty_crash(origin, G_MAXUINT64)
						    : copy_to_file(origin);
			g_autoptr(GError) error = NULL;
			gboolean done = FALSE;

			test_row("%s at %d", faults[fault].name, (int)point);
			failed = run_failing(action, fault, point, backing, &error, &done);
			runs++;
			CHECK_INT(done, error == NULL);
			if (error)
				CHECK(failed && error->domain == STORAGEOS_ERROR);
			check_after(backing, errors);
			if (!faults[fault].kinds)
				unlink(backing->name);
		}
		CHECK(!failed);
	}
	test_note("%u runs in which something failed", runs - (guint)G_N_ELEMENTS(faults));
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	for (guint i = 0; i < G_N_ELEMENTS(actions); i++)
		test_add(actions[i].name, test_action, &actions[i]);
	return test_run(argc, argv);
}
