/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A checkpoint against a read that hangs, as on a disk that does not answer: the checkpoint may
 * have to wait, but must not use the processor meanwhile.
 */
#include "tests/backing/faulty.h"
#include "common/base/units.h"
#include "tests/engine/support.h"

#include <unistd.h>

#define SIZE (8 * MIB)

static const BackingOps *plain;

static gint hanging, let_go; /* atomic */
static _Thread_local gboolean hangs;

static int preadv_hanging(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			  BackingFlags flags)
{
	if (hangs) {
		g_atomic_int_set(&hanging, TRUE);
		while (!g_atomic_int_get(&let_go))
			g_usleep(1000);
	}
	return plain->preadv(backing, iov, count, offset, flags);
}

static gpointer read_and_hang(gpointer data)
{
	hangs = TRUE;
	check_value(data, 1, BLOCK_SIZE, 0); /* the content when the read began */
	return NULL;
}

static gpointer checkpoint_once(gpointer data)
{
	return GINT_TO_POINTER(volume_checkpoint(data));
}

/* How often the checkpoint threads of this process went to sleep. */
static guint64 count_sleeps(void)
{
	g_autoptr(GDir) tasks = g_dir_open("/proc/self/task", 0, NULL);
	const char *name;
	guint64 sum = 0;

	while (tasks && (name = g_dir_read_name(tasks))) {
		g_autofree char *path = g_strdup_printf("/proc/self/task/%s/status", name);
		g_autofree char *text = NULL;
		const char *at;

		if (!g_file_get_contents(path, &text, NULL, NULL) ||
		    !g_str_has_prefix(text, "Name:\tstorageos-cp\n"))
			continue;
		at = strstr(text, "\nvoluntary_ctxt_switches:");
		if (CHECK(at))
			sum += g_ascii_strtoull(strchr(at, ':') + 1, NULL, 10);
	}
	return sum;
}

static Volume *open_hanging(Backing *real)
{
	static BackingOps ops;
	Backing *backing = backing_borrow(real);

	plain = backing->ops;
	ops = *plain;
	ops.preadv = preadv_hanging;
	backing->ops = &ops;
	return volume_open(backing, "test", 0, NULL);
}

/* Waits until the checkpoint thread has gone to sleep once more since `before` and has slept for
 * 100 ms; ten seconds at most. */
static guint64 await_sleep(guint64 before)
{
	gint64 end = g_get_monotonic_time() + test_time_limit(10);
	guint64 last, now = count_sleeps();

	do {
		last = now;
		g_usleep(100000);
		now = count_sleeps();
	} while ((now == before || now != last) && g_get_monotonic_time() < end);
	return now;
}

/* The checkpoint sleeps until the reader is done, and then goes on. */
static void test_hanging_reader(const void *data)
{
	const VolumeParameters parameters = {.size = SIZE};
	g_autoptr(Backing) backing = backing_faulty_new(0);
	GThread *reader, *checkpoint;
	guint64 before, sleeps;
	Volume *volume;

	(void)data;
	CHECK(volume_format(backing, &parameters, NULL));
	volume = open_hanging(backing);
	REQUIRE(volume);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
	reader = g_thread_new("reader", read_and_hang, volume);
	while (!g_atomic_int_get(&hanging))
		g_usleep(1000);
	CHECK_INT(volume_put_value(volume, 2, BLOCK_SIZE, 0), 0);
	before = count_sleeps();
	CHECK(before > 0);
	checkpoint = g_thread_new("checkpoint", checkpoint_once, volume);
	before = await_sleep(before);
	g_usleep(500000); /* only waiting shows that nothing happens */
	sleeps = count_sleeps() - before;
	test_note("%" G_GUINT64_FORMAT " sleeps in half a second", sleeps);
	CHECK(sleeps < 20);
	g_atomic_int_set(&let_go, TRUE);
	alarm(60); /* in case the thread is never woken */
	g_thread_join(reader);
	CHECK_INT(GPOINTER_TO_INT(g_thread_join(checkpoint)), 0);
	alarm(0);
	check_value(volume, 2, BLOCK_SIZE, 0);
	close_volume(volume);
	backing_check(backing);
}

int main(int argc, char **argv)
{
	test_add("a checkpoint sleeps while a reader hangs", test_hanging_reader, NULL);
	return test_run(argc, argv);
}
