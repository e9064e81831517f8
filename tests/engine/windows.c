/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may happen while a change has dropped the map's lock to read a node, or to fetch slots
 * for nodes (when the backing may be full).  Each operation of the backing that a change makes is
 * such a window.  In each window in turn, other threads change the volume and make a checkpoint.
 *
 * Whether the change succeeds or not, all that was acknowledged is there: now, after the death
 * of the process, and after a close and an open.  `check` finds nothing.
 */
#include "tests/backing/faulty.h"
#include "common/engine/codec.h"
#include "common/base/logging.h"
#include "common/base/units.h"
#include "common/engine/volume-snapshots.h"
#include "tests/engine/support.h"

#include <errno.h>

#define LEAF 256u /* blocks */
#define BLOCKS (6 * LEAF)
#define SIZE (1 * GIB)
#define LONG (60 * G_TIME_SPAN_SECOND)
#define SHORT (20 * G_TIME_SPAN_MILLISECOND)

typedef void (*Action)(Volume *volume, guint8 *values);
typedef int (*WindowRequest)(Volume *volume, guint8 *values);

typedef struct {
	const char *name;
	WindowRequest
		run; /* updates `values`, the expected content of each block, if it returns 0 */
} WindowRequestKind;

/* Of one case. */
static struct {
	gint at;	    /* atomic: operations until the window; below 0: it is over */
	gboolean of_thread; /* the window is in the checkpoint thread, otherwise in the request's */
	gboolean full;	    /* fetching slots for nodes fails */
	Action action;
	guint8 *values;	 /* updated by the action */
	GThread *thread; /* atomic */
	gint switched;	 /* atomic: superblocks written */
	gint acted;	 /* atomic */
} window;

static _Thread_local gboolean in_request, is_other;
static Volume *volume;
static BackingOps window_ops;
static const BackingOps *plain;

static gpointer others_main(gpointer data)
{
	(void)data;
	is_other = TRUE;
	window.action(volume, window.values);
	g_atomic_int_set(&window.acted, TRUE);
	if (!window.of_thread)
		CHECK_INT(volume_checkpoint(volume), 0);
	return NULL;
}

/* Other threads act, up to a checkpoint.  They may have to wait for the interrupted operation,
 * but not while slots are fetched. */
static void open_window(gboolean fetching)
{
	gint before = g_atomic_int_get(&window.switched);
	gint64 until = g_get_monotonic_time() + (fetching ? LONG : SHORT);

	g_atomic_pointer_set(&window.thread, g_thread_new("others", others_main, NULL));
	while (window.of_thread ? !g_atomic_int_get(&window.acted)
				: g_atomic_int_get(&window.switched) == before) {
		if (g_get_monotonic_time() > until) {
			CHECK(!fetching);
			return;
		}
		g_usleep(100);
	}
}

static gboolean is_in_window(void)
{
	return window.of_thread ? !in_request && !is_other : in_request;
}

static void pass_window(gboolean fetching)
{
	if (is_in_window() && g_atomic_int_add(&window.at, -1) == 0)
		open_window(fetching);
}

static int window_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			 BackingFlags flags)
{
	pass_window(FALSE);
	return plain->preadv(backing, iov, count, offset, flags);
}

/* Only slots for nodes are written with zeros here. */
static gboolean is_for_nodes(const struct iovec *iov)
{
	const guint8 *data = iov->iov_base;

	return iov->iov_len >= BLOCK_SIZE && !data[0] && !memcmp(data, data + 1, BLOCK_SIZE - 1);
}

static int window_pwritev(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			  BackingFlags flags)
{
	gboolean fetching = is_for_nodes(iov);

	pass_window(fetching);
	if (window.full && fetching && is_in_window())
		return -ENOSPC;
	if (offset == FORMAT_SUPERBLOCK_A || offset == FORMAT_SUPERBLOCK_B)
		g_atomic_int_inc(&window.switched);
	return plain->pwritev(backing, iov, count, offset, flags);
}

static Volume *open_with_windows(Backing *real)
{
	Backing *backing = backing_borrow(real);

	plain = backing->ops;
	window_ops = *plain;
	window_ops.preadv = window_preadv;
	window_ops.pwritev = window_pwritev;
	backing->ops = &window_ops;
	return volume_open(backing, "test", 0, NULL);
}

/* Checks the content of every block, in one read. */
static gboolean holds(Volume *v, const guint8 *values)
{
	g_autofree guint8 *bytes = g_malloc(BLOCKS * BLOCK_SIZE);

	if (!CHECK_INT(volume_get(v, bytes, BLOCKS * BLOCK_SIZE, 0), 0))
		return FALSE;
	for (guint i = 0; i < BLOCKS; i++) {
		const guint8 *block = bytes + i * BLOCK_SIZE;

		if (block[0] != values[i] || memcmp(block, block + 1, BLOCK_SIZE - 1))
			return FAIL("block %u begins with %u, expected %u", i, block[0], values[i]);
	}
	return TRUE;
}

/* Checks the volume as the death of the process, or a power cut, leaves it. */
static void check_left(Backing *backing, guint64 seed, const guint8 *values)
{
	g_autoptr(Backing) left = backing_faulty_crash(backing, seed);
	Volume *v = backing_check(left) ? backing_open_volume(left) : NULL;

	if (!v)
		return;
	holds(v, values);
	close_volume(v);
	backing_check(left);
}

/* ---- requests, each of whole blocks */

static int put(Volume *v, guint8 *values, guint8 value, guint first, guint n)
{
	int r = volume_put_value(v, value, n * BLOCK_SIZE, blocks_to_bytes(first));

	if (!r)
		memset(values + first, value, n);
	return r;
}

static int discard(Volume *v, guint8 *values, guint first, guint n)
{
	int r = volume_discard(v, blocks_to_bytes(first), blocks_to_bytes(n));

	if (!r)
		memset(values + first, 0, n);
	return r;
}

static int write_two_leaves(Volume *v, guint8 *values)
{
	return put(v, values, 9, LEAF - 4, 8);
}

static int write_two_new_leaves(Volume *v, guint8 *values)
{
	return put(v, values, 9, 5 * LEAF - 2, 4);
}

static int write_one_leaf(Volume *v, guint8 *values)
{
	return put(v, values, 9, 2 * LEAF + 7, 3);
}

static int compare_and_write(Volume *v, guint8 *values)
{
	guint8 before[4 * BLOCK_SIZE], after[4 * BLOCK_SIZE];
	const struct iovec expected = {before, sizeof before}, data = {after, sizeof after};
	guint first = LEAF - 2;
	int r;

	for (guint i = 0; i < 4; i++)
		memset(before + i * BLOCK_SIZE, values[first + i], BLOCK_SIZE);
	memset(after, 11, sizeof after);
	r = volume_compare_and_write(v, &expected, 1, &data, 1, blocks_to_bytes(first), NULL);
	if (!r)
		memset(values + first, 11, 4);
	return r;
}

static int discard_in_leaves(Volume *v, guint8 *values)
{
	return discard(v, values, LEAF - 6, 12);
}

static int discard_leaves(Volume *v, guint8 *values)
{
	return discard(v, values, LEAF, 2 * LEAF);
}

/* The write meets dead leaves. */
static int discard_and_write(Volume *v, guint8 *values)
{
	int r = discard(v, values, LEAF, 2 * LEAF);

	return r ? r : put(v, values, 12, 2 * LEAF - 3, 6);
}

static const WindowRequestKind requests[] = {
	{"a write over two leaves", write_two_leaves},
	{"a write to two leaves that are not there", write_two_new_leaves},
	{"a write in one leaf", write_one_leaf},
	{"a compare-and-write over two leaves", compare_and_write},
	{"a discard inside of two leaves", discard_in_leaves},
	{"a discard of whole leaves", discard_leaves},
	{"a discard, and a write over what it left", discard_and_write},
};

/* ---- what the other threads do: no request touches these blocks */

static void do_nothing(Volume *v, guint8 *values)
{
	(void)v, (void)values;
}

static void change_neighbours(Volume *v, guint8 *values)
{
	CHECK_INT(put(v, values, 21, 10, 5), 0);
	CHECK_INT(put(v, values, 22, 3 * LEAF + 10, 5), 0);
	CHECK_INT(discard(v, values, 30, 5), 0);
	CHECK_INT(discard(v, values, 3 * LEAF + 30, 5), 0);
}

static const Action actions[] = {do_nothing, change_neighbours};

/* ---- one window */

/* A volume with two nodes at level 1 and five leaves. */
static Backing *make_start(guint8 *values)
{
	const VolumeParameters parameters = {.size = SIZE, .journal_size = 256 * KIB};
	Backing *backing = backing_faulty_new(0);
	Volume *v;

	CHECK(volume_format(backing, &parameters, NULL));
	v = backing_open_volume(backing);
	memset(values, 0, BLOCKS);
	for (guint i = 0; v && i < 4; i++)
		CHECK_INT(put(v, values, (guint8)(1 + i), i * LEAF, LEAF), 0);
	CHECK_INT(volume_put_value(v, 5, BLOCK_SIZE, SIZE - BLOCK_SIZE), 0);
	close_volume(v);
	return backing;
}

/* Takes slots from the stashes, so that the next change fetches more. */
static void change_before(guint n)
{
	for (guint64 i = 0; i < n; i++)
		CHECK_INT(volume_put_value(volume, 7, BLOCK_SIZE, (64 + i) * MIB), 0);
}

/* FALSE if the request ended before the window. */
static gboolean run_window(Backing *start, const guint8 *before, const WindowRequestKind *kind,
			   guint n)
{
	g_autoptr(Backing) backing = backing_faulty_crash(start, G_MAXUINT64);
	guint8 values[BLOCKS];
	int r;

	memcpy(values, before, sizeof values);
	window.values = values;
	window.thread = NULL;
	volume = open_with_windows(backing);
	if (!CHECK(volume != NULL))
		return FALSE;
	if (window.full) /* otherwise the change would read nodes and begin anew after the window */
		holds(volume, values);
	change_before(n);
	in_request = TRUE;
	r = kind->run(volume, values);
	in_request = FALSE;
	if (window.thread)
		g_thread_join(window.thread);
	CHECK(!r || (window.full && r == -ENOSPC));
	holds(volume, values);
	CHECK_INT(volume_flush(volume), 0);
	check_left(backing, G_MAXUINT64, values);
	close_volume(volume);
	check_left(backing, 0, values);
	return window.thread != NULL;
}

static void test_request(const void *data)
{
	const WindowRequestKind *kind = data;
	guint8 before[BLOCKS];
	g_autoptr(Backing) start = make_start(before);
	guint windows = 0;

	window.of_thread = FALSE;
	for (guint n = 0; n < (test_is_instrumented() ? 1 : 2); n++)
		for (guint full = 0; full < 2; full++)
			for (guint a = test_is_instrumented(); a < G_N_ELEMENTS(actions); a++) {
				gint at = 0;

				do {
					test_row("%u before, %s, action %u, window %d", n,
						 full ? "full" : "not full", a, at);
					window.full = full != 0;
					window.action = actions[a];
					g_atomic_int_set(&window.at, at);
					at += at < (test_is_instrumented() ? 2 : 6)
						      ? 1
						      : at * (test_is_instrumented() ? 3 : 1);
					windows++;
				} while (run_window(start, before, kind, n) && !test_failed());
			}
	test_note("%u windows", windows);
}

/* ---- windows of the checkpoint thread */

static void change_what_died(Volume *v, guint8 *values)
{
	CHECK_INT(put(v, values, 31, 2 * LEAF - 3, 6), 0);
	CHECK_INT(discard(v, values, 0, LEAF), 0);
	CHECK_INT(put(v, values, 32, 4, 2), 0);
}

static void reclaim_all(void)
{
	CHECK(volume_settled(volume, volume_settle(volume), 60));
}

static void grow_a_level(void)
{
	g_autoptr(GError) error = NULL;

	CHECK(volume_resize(volume, 65 * GIB, 0, 60, &error));
	CHECK_NO_ERROR(error);
}

static void take_snapshot(Volume *v, const char *name)
{
	const VolumeSnapshotParameters parameters = {.name = name};
	guint64 generation;

	CHECK(volume_snapshot_begin(v, &parameters, &generation, NULL));
	CHECK(volume_snapshot_wait(v, generation, 60, NULL));
}

/* The snapshot "old" shares leaves, nodes and blocks with one before it and with the volume, and
 * has some alone. */
static Backing *make_snapshots(guint8 *values)
{
	Backing *backing = make_start(values);
	Volume *v = backing_open_volume(backing);

	if (!CHECK(v != NULL))
		return backing;
	take_snapshot(v, "older");
	CHECK_INT(put(v, values, 41, LEAF / 2, 2 * LEAF), 0);
	take_snapshot(v, "old");
	CHECK_INT(put(v, values, 42, LEAF + 8, LEAF), 0);
	close_volume(v);
	return backing;
}

static void delete_old(void)
{
	g_autoptr(GError) error = NULL;

	CHECK(volume_snapshot_delete(volume, "old", 0, &error));
	CHECK_NO_ERROR(error);
	reclaim_all();
}

static void discard_everything(Volume *v, guint8 *values)
{
	CHECK_INT(volume_discard(v, 0, SIZE), 0);
	memset(values, 0, BLOCKS);
	CHECK_INT(put(v, values, 51, LEAF + 4, LEAF), 0);
}

/* Prevents further windows, and joins the thread of one that has opened. */
static void shut_window(void)
{
	if (__atomic_exchange_n(&window.at, G_MININT, __ATOMIC_SEQ_CST) < 0)
		while (!g_atomic_pointer_get(&window.thread))
			g_usleep(100);
	if (window.thread)
		g_thread_join(window.thread);
}

/* FALSE if the thread ended its work before the window. */
static gboolean run_thread_window(Backing *start, const guint8 *before, void (*work)(void), gint at)
{
	g_autoptr(Backing) backing = backing_faulty_crash(start, G_MAXUINT64);
	guint8 values[BLOCKS];

	memcpy(values, before, sizeof values);
	window.values = values;
	window.thread = NULL;
	g_atomic_int_set(&window.at, G_MININT);
	g_atomic_int_set(&window.acted, FALSE);
	volume = open_with_windows(backing);
	if (!CHECK(volume != NULL))
		return FALSE;
	in_request = TRUE;
	CHECK_INT(discard(volume, values, LEAF, 2 * LEAF), 0);
	g_atomic_int_set(&window.at, at);
	work();
	shut_window();
	in_request = FALSE;
	reclaim_all();
	holds(volume, values);
	check_left(backing, G_MAXUINT64, values);
	close_volume(volume);
	check_left(backing, 0, values);
	return window.thread != NULL;
}

static const struct ThreadWork {
	const char *name;
	void (*work)(void);
	Backing *(*make)(guint8 *values);
	Action action;
} works[] = {
	{"freeing what was discarded", reclaim_all, make_start, change_what_died},
	{"growing by a level", grow_a_level, make_start, change_what_died},
	{"a deletion, changes, discards of leaves", delete_old, make_snapshots, change_what_died},
	{"a deletion, a discard of everything", delete_old, make_snapshots, discard_everything},
};

static void test_thread(const void *data)
{
	const struct ThreadWork *work = data;
	guint8 before[BLOCKS];
	g_autoptr(Backing) start = work->make(before);
	guint windows = 0;
	gint at = 0;

	window.of_thread = TRUE;
	window.action = work->action;
	for (guint full = 0; full < 2; full++) {
		at = 0;
		do {
			test_row("%s, window %d", full ? "full" : "not full", at);
			window.full = full != 0;
			at += at < (test_is_instrumented() ? 4 : 16)
				      ? 1
				      : at * (test_is_instrumented() ? 3 : 1);
			windows++;
		} while (run_thread_window(start, before, work->work, at - 1) && !test_failed());
	}
	window.full = FALSE;
	test_note("%u windows", windows);
}

/* ---- a node on the way to a dead subtree is lost, and an earlier leaf dies meanwhile */

#define LOST_LEAF 44u /* in the second node of level 1, which has no other */

static gboolean is_lost_node(const struct iovec *iov)
{
	const FormatNode *node = iov->iov_base;

	return iov->iov_len == sizeof *node &&
	       !entry_at_is_null(NODE_LAYOUT_PLAIN, node, LOST_LEAF) &&
	       entry_at_is_null(NODE_LAYOUT_PLAIN, node, 0) &&
	       entry_at_is_null(NODE_LAYOUT_PLAIN, node, LOST_LEAF - 1) &&
	       entry_at_is_null(NODE_LAYOUT_PLAIN, node, LOST_LEAF + 1);
}

static void discard_first_leaf(Volume *v, guint8 *values)
{
	CHECK_INT(discard(v, values, 0, LEAF), 0);
}

static int losing_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			 BackingFlags flags)
{
	int r = plain->preadv(backing, iov, count, offset, flags);

	if (r || in_request || !is_lost_node(iov))
		return r;
	pass_window(FALSE);
	return -ENXIO;
}

static void test_lost_node(const void *data)
{
	guint8 values[BLOCKS];
	g_autoptr(Backing) backing = make_start(values);
	VolumeInfo info;

	(void)data;
	volume = backing_open_volume(backing);
	REQUIRE(volume != NULL);
	CHECK_INT(volume_put_value(volume, 6, BLOCK_SIZE, (256 + LOST_LEAF) * MIB), 0);
	CHECK_INT(volume_checkpoint(volume), 0);
	CHECK_INT(discard(volume, values, LEAF, LEAF), 0);
	CHECK_INT(volume_discard(volume, SIZE - MIB, MIB), 0);
	volume_abandon(volume); /* the replay makes both dead */
	window.of_thread = TRUE;
	window.full = FALSE;
	window.action = discard_first_leaf;
	window.values = values;
	window.thread = NULL;
	g_atomic_int_set(&window.acted, FALSE);
	g_atomic_int_set(&window.at, 0);
	in_request = TRUE;
	volume = open_with_windows(backing);
	REQUIRE(volume != NULL);
	window_ops.preadv = losing_preadv;
	reclaim_all();
	if (CHECK(window.thread != NULL))
		g_thread_join(window.thread);
	reclaim_all();
	in_request = FALSE;
	volume_get_info(volume, &info);
	CHECK_UINT(info.data_bytes, (2 * LEAF + 1) * BLOCK_SIZE);
	holds(volume, values);
	close_volume(volume);
	backing_check(backing);
}

static void no_log(LoggingLevel level, const char *line)
{
	(void)level, (void)line;
}

int main(int argc, char **argv)
{
	logging_set_sink(no_log);
	for (guint i = 0; i < G_N_ELEMENTS(requests); i++)
		test_add(requests[i].name, test_request, &requests[i]);
	for (guint i = 0; i < G_N_ELEMENTS(works); i++)
		test_add(works[i].name, test_thread, &works[i]);
	test_add("a lost node on the way to what is freed", test_lost_node, NULL);
	return test_run(argc, argv);
}
