/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long an open takes after the process was killed, with as much in the journal as there can be.
 *
 * The process that is killed is a child.  From some instant on its flushes never return, so that
 * the checkpoint that would release the journal hangs, while requests go on until the journal or
 * what else bounds them holds them up.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/units.h"
#include "tests/engine/support.h"

#define LEAVES 8000 /* that change: what the node cache allows */
#define FILLERS 16
#define FILL_TIME (2 * G_TIME_SPAN_SECOND)
#define QUIET (G_TIME_SPAN_SECOND / 2) /* nothing moves for so long: it is held up */
#define LEAF_BLOCKS 256

typedef enum {
	SMALL, /* write one block, discard it: many records */
	LARGE, /* write 1 MiB: much payload that nobody flushed */
} Filling;

typedef struct {
	const char *name;
	guint64 size, journal;
	Filling filling;
} Row;

static const Row rows[] = {
	{"1 GiB, a small journal that is full", GIB, 4 * MIB, SMALL},
	{"1 GiB, small requests", GIB, 64 * MIB, SMALL},
	{"64 TiB, small requests", 64 * TIB, 64 * MIB, SMALL},
	{"64 TiB, large requests", 64 * TIB, 64 * MIB, LARGE},
};

static gboolean hang;	 /* in the child: flushes never return */
static guint64 requests; /* atomic: done by the child */
static gint fillers;	 /* atomic */

static gboolean flush_gate(guint64 offset, guint64 length, gpointer data)
{
	(void)data;
	while (!offset && !length && g_atomic_int_get(&hang))
		g_usleep(1000);
	return TRUE;
}

/* A block in one of the leaves that change, which lie all over the volume. */
static guint64 random_place(const Row *row, TestRandom *random)
{
	guint64 leaves = row->size / (LEAF_BLOCKS * BLOCK_SIZE);
	guint64 n = MIN(leaves, LEAVES);
	guint64 leaf = test_random_below(random, n) * (leaves / n);

	return (leaf * LEAF_BLOCKS + test_random_below(random, LEAF_BLOCKS)) * BLOCK_SIZE;
}

static gpointer fill_for_ever(gpointer data)
{
	const Row *row = ((gpointer *)data)[0];
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

/* Nothing has moved for a while, or it is enough. */
static void wait_until_held_up(void)
{
	gint64 moved = g_get_monotonic_time(), end = moved + FILL_TIME;
	guint64 seen = 0, now;

	while (g_get_monotonic_time() < MIN(moved + QUIET, end)) {
		g_usleep(20000);
		now = __atomic_load_n(&requests, __ATOMIC_RELAXED);
		if (now != seen)
			moved = g_get_monotonic_time();
		seen = now;
	}
}

/* In the child: leaves all over the volume that are on disk, then what is to be replayed. */
static void fill(const Row *row, Place *place, int ready)
{
	Volume *volume = volume_open(backing_borrow_gated(place_backing(place), flush_gate, NULL),
				     "test", 0, NULL);
	TestRandom random = test_random_new(test_seed() + FILLERS);
	gpointer arguments[] = {(gpointer)row, volume};
	guint8 block[BLOCK_SIZE] = {1};
	VolumeInfo info;

	if (!volume)
		_exit(1);
	for (guint i = 0; i < LEAVES; i++)
		volume_put(volume, block, sizeof block, random_place(row, &random));
	volume_checkpoint(volume);
	g_atomic_int_set(&hang, TRUE);
	for (guint i = 0; i < FILLERS; i++)
		g_thread_new("fill", fill_for_ever, arguments);
	wait_until_held_up();
	volume_get_info(volume, &info);
	if (write(ready, &info, sizeof info) == sizeof info)
		pause();
	_exit(1);
}

/* What the volume told of itself before the kill. */
static gboolean fill_and_kill(const Row *row, Place *place, VolumeInfo *ret_info)
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
	const Row *row = data;
	g_autoptr(Place) place = place_new_file();
	VolumeInfo info;
	Volume *volume;
	gint64 start, took;

	REQUIRE(place_format(place, row->size, row->journal));
	REQUIRE(fill_and_kill(row, place, &info));
	start = g_get_monotonic_time();
	volume = place_open(place);
	REQUIRE(volume);
	took = (g_get_monotonic_time() - start) / 1000;
	test_note("%" G_GUINT64_FORMAT " KiB of journal: open in %" G_GINT64_FORMAT " ms",
		  info.journal_used / KIB, took);
	if (!test_is_instrumented())
		CHECK(took < 2000);
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
