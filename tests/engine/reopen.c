/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an open takes after the process was killed, with as much in the journal as there can be.
 *
 * A child process is killed.  From some instant on its flushes do not return: the checkpoint that
 * would release the journal hangs, and requests go on until the journal or another bound stops
 * them.
 *
 * STORAGEOS_TEST_LONG=1: the volume has enough data for discards alone to fill the journal.  This
 * takes 10 GiB in memory (TMPDIR=/dev/shm), or minutes on a disk.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/bounds.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#define LEAVES 8000 /* leaves that change: as many as the node cache allows */
#define FILLERS 16
#define FILL_TIME 2	  /* s */
#define FILL_TIME_LONG 60 /* s */
#define QUIET 0.5	  /* s; without a finished request for so long, all requests are stopped */
#define LEAF_BLOCKS 256

typedef enum {
	SMALL,	    /* write one block, discard it: many records */
	LARGE,	    /* write 1 MiB: much payload that was not flushed */
	HOLES,	    /* discard block after block of leaves that are full */
	LONELY,	    /* discard the only block of a leaf, which is the only one of its parent */
	LEAVES_DIE, /* discard a leaf */
	INNER_DIE,  /* discard all below an inner node */
} Filling;

typedef struct {
	const char *name;
	guint64 size, journal;
	Filling filling;
	guint64 leaves, leaves_long; /* leaves whose blocks are discarded; 0: the row writes */
} ReopenRow;

static const ReopenRow rows[] = {
	{"1 GiB, a small journal that is full", GIB, 4 * MIB, SMALL, 0, 0},
	{"1 GiB, small requests", GIB, 64 * MIB, SMALL, 0, 0},
	{"64 TiB, small requests", 64 * TIB, 64 * MIB, SMALL, 0, 0},
	{"64 TiB, large requests", 64 * TIB, 64 * MIB, LARGE, 0, 0},
	{"64 TiB, discards of blocks", 64 * TIB, 64 * MIB, HOLES, 200, 5600},
	{"8 GiB, discards of blocks", 8 * GIB, 64 * MIB, HOLES, 200, 5600},
	{"64 TiB, discards of lonely blocks", 64 * TIB, 64 * MIB, LONELY, 10000, 250000},
	{"64 TiB, discards of leaves", 64 * TIB, 64 * MIB, LEAVES_DIE, 10000, 250000},
	{"64 TiB, discards of inner nodes", 64 * TIB, 64 * MIB, INNER_DIE, 10000, 250000},
};

static gboolean hang;	 /* in the child: flushes do not return */
static guint64 requests; /* atomic: requests that the child finished */
static guint64 discards; /* atomic: discards that the child began */
static gint fillers;	 /* atomic */

static gboolean flush_gate(guint64 offset, guint64 length, gpointer data)
{
	(void)data;
	while (!offset && !length && g_atomic_int_get(&hang))
		g_usleep(1000);
	return TRUE;
}

/* The offset of a block in one of the leaves that change.  They are spread over the volume. */
static guint64 random_place(const ReopenRow *row, TestRandom *random)
{
	guint64 leaves = row->size / (LEAF_BLOCKS * BLOCK_SIZE);
	guint64 n = MIN(leaves, LEAVES);
	guint64 leaf = test_random_below(random, n) * (leaves / n);

	return (leaf * LEAF_BLOCKS + test_random_below(random, LEAF_BLOCKS)) * BLOCK_SIZE;
}

static gboolean is_long(void)
{
	return g_getenv("STORAGEOS_TEST_LONG") != NULL;
}

static guint64 row_leaves(const ReopenRow *row)
{
	return is_long() ? row->leaves_long : row->leaves;
}

/* Where a leaf of the row begins.  They are spread over the volume. */
static guint64 leaf_offset(const ReopenRow *row, guint64 number)
{
	guint64 leaves = row->size / (LEAF_BLOCKS * BLOCK_SIZE);

	return number * (leaves / row_leaves(row)) * LEAF_BLOCKS * BLOCK_SIZE;
}

/* FALSE: everything was discarded. */
static gboolean discard_next(const ReopenRow *row, Volume *volume)
{
	guint64 n = __atomic_fetch_add(&discards, 1, __ATOMIC_RELAXED), leaves = row_leaves(row);
	guint64 leaf = leaf_offset(row, n % leaves), parent = LEAF_BLOCKS * MIB;

	if (n >= leaves * (row->filling == HOLES ? LEAF_BLOCKS : 1))
		return FALSE;
	if (row->filling == HOLES)
		volume_discard(volume, leaf + n / leaves * BLOCK_SIZE, BLOCK_SIZE);
	else if (row->filling == LONELY)
		volume_discard(volume, leaf, BLOCK_SIZE);
	else if (row->filling == LEAVES_DIE)
		volume_discard(volume, leaf, MIB);
	else
		volume_discard(volume, leaf / parent * parent, parent);
	return TRUE;
}

static gpointer discard_all(gpointer data)
{
	const ReopenRow *row = ((gpointer *)data)[0];
	Volume *volume = ((gpointer *)data)[1];

	while (discard_next(row, volume))
		__atomic_fetch_add(&requests, 1, __ATOMIC_RELAXED);
	return NULL;
}

static gpointer fill_for_ever(gpointer data)
{
	const ReopenRow *row = ((gpointer *)data)[0];
	Volume *volume = ((gpointer *)data)[1];
	TestRandom random = test_random_new(test_seed() + (guint)g_atomic_int_add(&fillers, 1));
	g_autofree guint8 *bytes = g_malloc(MIB);

	test_random_fill(&random, bytes, MIB);
	for (;;) {
		guint64 at = random_place(row, &random);

		if (row->filling == LARGE) {
			volume_put(volume, bytes, MIB, at / MIB * MIB);
		} else {
			volume_put(volume, bytes, BLOCK_SIZE, at);
			volume_discard(volume, at, BLOCK_SIZE);
		}
		__atomic_fetch_add(&requests, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Waits until no request has finished for QUIET seconds; FILL_TIME at most. */
static void wait_until_held_up(void)
{
	gint64 moved = g_get_monotonic_time();
	gint64 end = moved + test_time_limit(is_long() ? FILL_TIME_LONG : FILL_TIME);
	guint64 seen = 0, now;

	while (g_get_monotonic_time() < min_i64(moved + test_time_limit(QUIET), end)) {
		g_usleep(20000);
		now = __atomic_load_n(&requests, __ATOMIC_RELAXED);
		if (now != seen)
			moved = g_get_monotonic_time();
		seen = now;
	}
}

/* Makes leaves all over the volume, which are on the disk then. */
static void prepare(const ReopenRow *row, Volume *volume)
{
	TestRandom random = test_random_new(test_seed() + FILLERS);
	g_autofree guint8 *bytes = g_malloc0(MIB);
	guint64 length = row->filling == HOLES ? MIB : BLOCK_SIZE;

	memset(bytes, 1, MIB);
	for (guint64 i = 0; i < row_leaves(row); i++)
		volume_put(volume, bytes, length, leaf_offset(row, i));
	for (guint i = 0; !row->leaves && i < LEAVES; i++)
		volume_put(volume, bytes, length, random_place(row, &random));
	volume_checkpoint(volume);
}

/* In the child: fills the journal, over what is on the disk.  Does not return. */
static void fill(const ReopenRow *row, Place *place, int ready)
{
	Volume *volume = volume_open(backing_borrow_gated(place_backing(place), flush_gate, NULL),
				     "test", 0, NULL);
	gpointer arguments[] = {(gpointer)row, volume};
	VolumeInfo info;

	if (!volume)
		_exit(1);
	prepare(row, volume);
	g_atomic_int_set(&hang, TRUE);
	for (guint i = 0; i < FILLERS; i++)
		g_thread_new("fill", row->leaves ? discard_all : fill_for_ever, arguments);
	wait_until_held_up();
	volume_get_info(volume, &info);
	if (write(ready, &info, sizeof info) == sizeof info)
		pause();
	_exit(1);
}

/* *ret_info: of the volume just before the kill. */
static gboolean fill_and_kill(const ReopenRow *row, Place *place, VolumeInfo *ret_info)
{
	int ready[2], status = 0;
	gssize got;
	pid_t pid;

	CHECK_INT(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fill(row, place, ready[1]);
	}
	close(ready[1]);
	got = read(ready[0], ret_info, sizeof *ret_info);
	close(ready[0]);
	kill(pid, SIGKILL);
	CHECK_INT(waitpid(pid, &status, 0), pid);
	return CHECK_INT(got, sizeof *ret_info) && CHECK(WIFSIGNALED(status));
}

static void test_row_opens(const void *data)
{
	const ReopenRow *row = data;
	g_autoptr(Place) place = place_new_file();
	VolumeInfo info;
	Volume *volume;
	TestTime start, took;

	REQUIRE(place_format(place, row->size, row->journal));
	REQUIRE(fill_and_kill(row, place, &info));
	start = test_now();
	volume = place_open(place);
	REQUIRE(volume);
	took = test_since(start);
	test_note("%" G_GUINT64_FORMAT " KiB of journal: open in %" G_GINT64_FORMAT
		  " ms, %" G_GINT64_FORMAT " ms of a processor",
		  info.journal_used / KIB, took.clock / 1000, took.processor / 1000);
	if (!test_is_instrumented())
		CHECK_QUICK(start, 2);
	close_volume(volume);
	place_check(place);
}

int main(int argc, char **argv)
{
	for (guint i = 0; i < G_N_ELEMENTS(rows); i++) {
		g_autofree char *name =
			g_strdup_printf("opening after a kill is quick: %s", rows[i].name);

		test_add(name, test_row_opens, &rows[i]);
	}
	return test_run(argc, argv);
}
