/* SPDX-License-Identifier: Apache-2.0 */
/*
 * backing_flush() and backing_write_durably(), over a backing that only counts: they run one at a
 * time, a flush serves all callers that wait, and after one failed no other is tried.
 */
#include <errno.h>

#include "common/backing/backing.h"
#include "tests/harness.h"

#define THREADS 8
#define CALLS 50

typedef struct {
	Backing base;
	gint running, begun, ended; /* atomic */
	gint result;
} Counter;

static int counter_flush(Backing *backing)
{
	Counter *counter = (Counter *)backing;

	CHECK(g_atomic_int_compare_and_exchange(&counter->running, FALSE, TRUE));
	g_atomic_int_inc(&counter->begun);
	g_usleep(1000); /* so that flushes would overlap if two could run at a time */
	g_atomic_int_inc(&counter->ended);
	g_atomic_int_set(&counter->running, FALSE);
	return counter->result;
}

static int counter_write_durably(Backing *backing, const void *data, gsize length, guint64 offset)
{
	(void)data, (void)length, (void)offset;
	return counter_flush(backing);
}

static void counter_free(Backing *backing)
{
	g_free(backing);
}

static Backing *counter_new(int result)
{
	static const BackingOps ops = {.flush = counter_flush,
				       .write_durably = counter_write_durably,
				       .free = counter_free};
	Counter *counter = g_new0(Counter, 1);

	backing_init(&counter->base, &ops, "counter");
	counter->result = result;
	return &counter->base;
}

static gpointer flush_often(gpointer data)
{
	Counter *counter = data;

	for (guint i = 0; i < CALLS; i++) {
		gint begun = g_atomic_int_get(&counter->begun);

		CHECK_INT(backing_flush(&counter->base), 0);
		CHECK(g_atomic_int_get(&counter->ended) > begun);
	}
	return NULL;
}

static void flush_in_threads(Backing *backing, GThreadFunc run)
{
	GThread *threads[THREADS];

	for (guint i = 0; i < THREADS; i++)
		threads[i] = g_thread_new("flush", run, backing);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
}

static void test_line(const void *data)
{
	g_autoptr(Backing) backing = counter_new(0);
	const Counter *counter = (Counter *)backing;

	(void)data;
	flush_in_threads(backing, flush_often);
	test_note("%d for %d calls", counter->begun, THREADS * CALLS);
	CHECK(counter->begun < THREADS * CALLS / 2);
}

static gpointer write_often(gpointer data)
{
	for (guint i = 0; i < CALLS; i++)
		CHECK_INT(backing_write_durably(data, "", 1, 0), 0);
	return NULL;
}

/* The operation itself checks that no other runs. */
static void test_beside_writes(const void *data)
{
	g_autoptr(Backing) backing = counter_new(0);
	GThread *writer = g_thread_new("write", write_often, backing);

	(void)data;
	flush_in_threads(backing, flush_often);
	g_thread_join(writer);
}

static gpointer flush_once(gpointer data)
{
	Counter *counter = data;

	CHECK_INT(backing_flush(&counter->base), counter->result);
	return NULL;
}

static void test_sticky(const void *data)
{
	static const int errors[] = {EIO,    ENOSPC, EDQUOT, EREMOTEIO,	 ETIMEDOUT, EROFS,
				     EAGAIN, ENOMEM, EINVAL, EOPNOTSUPP, EBADF};

	(void)data;
	for (guint i = 0; i < G_N_ELEMENTS(errors); i++) {
		g_autoptr(Backing) backing = counter_new(-errors[i]);
		Counter *counter = (Counter *)backing;

		test_row("%s", g_strerror(errors[i]));
		flush_in_threads(backing, flush_once);
		counter->result = 0;
		CHECK_INT(backing_flush(backing), -errors[i]);
		CHECK_INT(backing_write_durably(backing, "", 1, 0), -errors[i]);
		CHECK_INT(counter->begun, 1);
	}
}

static void test_sticky_write(const void *data)
{
	g_autoptr(Backing) backing = counter_new(-EIO);
	Counter *counter = (Counter *)backing;

	(void)data;
	CHECK_INT(backing_write_durably(backing, "", 1, 0), -EIO);
	counter->result = 0;
	CHECK_INT(backing_flush(backing), -EIO);
	CHECK_INT(counter->begun, 1);
}

int main(int argc, char **argv)
{
	test_add("flushes queue, and each begins after it was requested", test_line, NULL);
	test_add("durable writes and flushes do not overlap", test_beside_writes, NULL);
	test_add("after a flush that failed, none is tried", test_sticky, NULL);
	test_add("nor after a durable write that failed", test_sticky_write, NULL);
	return test_run(argc, argv);
}
