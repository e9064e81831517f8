/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate before all changes: what waits at it, when it opens, and that cuts of several volumes,
 * made while their gates are closed, are of one instant.
 */
#include "common/engine/volume-snapshots.h"

#include <errno.h>

#include "common/base/units.h"
#include "tests/engine/support.h"

#define SIZE (8 * MIB)
#define WRITERS 4u
#define ROUNDS 100u

/* ---- what waits */

typedef struct {
	Volume *volume;
	guint kind;
	int result;
	gint done; /* atomic */
} Change;

static const char *const kinds[] = {
	"write", "batch", "zero", "discard", "compare and write", "or", "zero a sector", "erase"};

static int change_make(Volume *volume, guint kind)
{
	static char zeros[BLOCK_SIZE], data[BLOCK_SIZE] = "x";
	struct iovec zero = {zeros, sizeof zeros}, iov = {data, sizeof data};
	VolumeWrite writes[] = {{.iov = &iov, .n_iov = 1, .offset = MIB},
				{.iov = &iov, .n_iov = 1, .offset = MIB + BLOCK_SIZE}};

	switch (kind) {
	case 0:
		return volume_write(volume, &iov, 1, MIB, NULL);
	case 1:
		volume_write_batch(volume, writes, G_N_ELEMENTS(writes));
		return writes[0].result ? writes[0].result : writes[1].result;
	case 2:
		return volume_zero(volume, MIB, MIB);
	case 3:
		return volume_discard(volume, MIB, MIB);
	case 4:
		return volume_compare_and_write(volume, &zero, 1, &iov, 1, 2 * MIB, NULL);
	case 5:
		return volume_or(volume, &iov, 1, MIB, NULL);
	case 6:
		return volume_zero(volume, 2 * MIB, SECTOR_SIZE);
	default:
		return volume_erase(volume);
	}
}

static gpointer change_main(gpointer data)
{
	Change *change = data;

	change->result = change_make(change->volume, change->kind);
	g_atomic_int_set(&change->done, TRUE);
	return NULL;
}

static void test_changes_wait(const void *data)
{
	Place *place;
	Volume *volume = place_new_volume(&place, SIZE);

	(void)data;
	CHECK_INT(volume_put_value(volume, 7, BLOCK_SIZE, 0), 0);
	for (guint kind = 0; kind < G_N_ELEMENTS(kinds); kind++) {
		Change change = {.volume = volume, .kind = kind};
		guint64 ticket = volume_gate_close(volume);
		GThread *thread = g_thread_new("change", change_main, &change);

		test_row("%s", kinds[kind]);
		g_usleep(50000);
		CHECK(!g_atomic_int_get(&change.done));
		CHECK(check_value(volume, 7, BLOCK_SIZE, 0));
		CHECK_INT(volume_flush(volume), 0);
		CHECK(volume_gate_open(volume, ticket));
		g_thread_join(thread);
		CHECK_INT(change.result, 0);
	}
	close_volume(volume);
	place_free(place);
}

static void test_nowait(const void *data)
{
	char block[BLOCK_SIZE] = {0};
	struct iovec iov = {block, sizeof block};
	VolumeWrite writes[] = {{.iov = &iov, .n_iov = 1},
				{.iov = &iov, .n_iov = 1, .offset = BLOCK_SIZE}};
	Place *place;
	Volume *volume = place_new_volume(&place, SIZE);
	guint64 ticket = volume_gate_close(volume);

	(void)data;
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), -EAGAIN);
	volume_write_batch_nowait(volume, writes, G_N_ELEMENTS(writes));
	CHECK_INT(writes[0].result, -EAGAIN);
	CHECK_INT(writes[1].result, -EAGAIN);
	CHECK_INT(volume_read_nowait(volume, &iov, 1, 0, NULL), 0);
	CHECK(volume_gate_open(volume, ticket));
	CHECK_INT(volume_write_nowait(volume, &iov, 1, 0, NULL), 0);
	close_volume(volume);
	place_free(place);
}

/* ---- when it opens */

static void test_opens_itself(const void *data)
{
	Place *place;
	Volume *volume = place_new_volume(&place, SIZE);
	gint64 begun = g_get_monotonic_time();
	guint64 first = volume_gate_close(volume), second;

	(void)data;
	CHECK(first);
	CHECK_UINT(volume_gate_close(volume), 0);
	CHECK_INT(volume_put_value(volume, 1, BLOCK_SIZE, 0), 0);
	CHECK(g_get_monotonic_time() - begun >= VOLUME_GATE_SECONDS * G_TIME_SPAN_SECOND);
	CHECK_WITHIN(begun, VOLUME_GATE_SECONDS + 5);
	CHECK(!volume_gate_open(volume, first));
	second = volume_gate_close(volume);
	CHECK(second);
	CHECK(!volume_gate_open(volume, first)); /* it is not this one's any more */
	CHECK(volume_gate_open(volume, second));
	CHECK(!volume_gate_open(volume, second));
	close_volume(volume);
	place_free(place);
}

/* ---- one instant */

typedef struct {
	Volume *volumes[2];
	gint stop; /* atomic */
} Pair;

typedef struct {
	Pair *pair;
	guint number;
} Writer;

/* Writes 1, 2, 3, ... to the first volume, and each to the second once the first has it. */
static gpointer writer_main(gpointer data)
{
	Writer *writer = data;

	for (guint64 value = 1; !g_atomic_int_get(&writer->pair->stop); value++)
		for (guint i = 0; i < 2; i++) {
			guint64 block[BLOCK_SIZE / sizeof value] = {value};

			CHECK_INT(volume_put(writer->pair->volumes[i], block, sizeof block,
					     (guint64)writer->number * BLOCK_SIZE),
				  0);
		}
	return NULL;
}

static void cut(Volume *volume, guint64 *ret_values)
{
	for (guint i = 0; i < WRITERS; i++)
		CHECK_INT(volume_get(volume, ret_values + i * BLOCK_SIZE / sizeof *ret_values,
				     BLOCK_SIZE, (guint64)i * BLOCK_SIZE),
			  0);
}

static void cut_both(Pair *pair)
{
	static guint64 cuts[2][WRITERS * BLOCK_SIZE / sizeof(guint64)];
	guint64 tickets[2];

	for (guint i = 0; i < 2; i++)
		tickets[i] = volume_gate_close(pair->volumes[i]);
	for (guint i = 0; i < 2; i++)
		cut(pair->volumes[i], cuts[i]);
	for (guint i = 0; i < 2; i++)
		CHECK(volume_gate_open(pair->volumes[i], tickets[i]));
	for (guint i = 0; i < WRITERS; i++) {
		guint64 first = cuts[0][i * BLOCK_SIZE / sizeof first];
		guint64 second = cuts[1][i * BLOCK_SIZE / sizeof second];

		if (second > first)
			FAIL("writer %u: the second volume has %" G_GUINT64_FORMAT
			     ", the first only %" G_GUINT64_FORMAT,
			     i, second, first);
	}
}

static void test_one_instant(const void *data)
{
	Place *places[2];
	Pair pair = {0};
	Writer writers[WRITERS];
	GThread *threads[WRITERS];

	(void)data;
	for (guint i = 0; i < 2; i++)
		pair.volumes[i] = place_new_volume(&places[i], SIZE);
	for (guint i = 0; i < WRITERS; i++) {
		writers[i] = (Writer){&pair, i};
		threads[i] = g_thread_new("writer", writer_main, &writers[i]);
	}
	for (guint round = 0; round < ROUNDS && !test_failed(); round++) {
		g_usleep(2000);
		cut_both(&pair);
	}
	g_atomic_int_set(&pair.stop, TRUE);
	for (guint i = 0; i < WRITERS; i++)
		g_thread_join(threads[i]);
	for (guint i = 0; i < 2; i++) {
		close_volume(pair.volumes[i]);
		place_free(places[i]);
	}
}

int main(int argc, char **argv)
{
	test_add("changes wait at a closed gate, reads and flushes do not", test_changes_wait,
		 NULL);
	test_add("what must not wait is refused", test_nowait, NULL);
	test_add("it opens by itself, and for who closed it alone", test_opens_itself, NULL);
	test_add("what is read behind closed gates is of one instant", test_one_instant, NULL);
	return test_run(argc, argv);
}
