/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What taking a snapshot costs a volume under load: a volume in a file, in this process.
 *
 * 32 threads write 4 KiB at random and never pause, so that one checkpoint follows the other: all
 * over the volume; or in USED bytes of it that were written before, pieces of 1 MiB evenly spread.
 * With "flush" each write is flushed by its thread.  For as long as SNAPSHOTS intervals nothing
 * else happens.  Then snapshots are taken, at moments that have nothing to do with the
 * checkpoints, and all of them are kept.  The table shows, for each snapshot: the time from the
 * call of volume_snapshot_begin() to its return, which is the instant; from the call until the
 * snapshot is durable, and how many checkpoints were made by then; the longest request that was
 * under way between call and instant, and of it the time that it waited for the engine
 * (common/engine/waits.h); and the same two of as long a time half-way since the last snapshot, for
 * comparison.  Milliseconds; the last line has the medians.  Below are the requests a second of
 * both times.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/units.h"
#include "common/engine/volume-snapshots.h"
#include "common/engine/waits.h"
#include "tests/bench/figures.h"
#include "tests/harness.h"

#define THREADS 32
#define SNAPSHOTS_MAX 99u
#define WAIT_SECONDS 120
#define LONG_MICROSECONDS 500 /* shorter requests are not noted */
#define NOTES_MAX 100000u     /* of each thread */

typedef struct {
	gint64 begun, ended;
	guint64 waited;
} Note;

typedef struct {
	Volume *volume;
	guint64 pieces, stride; /* of 1 MiB, and from one to the next in bytes */
	gboolean flush;
	gint stop, errors; /* atomic */
	gint64 requests;   /* atomic */
	gint next;	   /* atomic: the number of the next thread */
	Note *notes[THREADS];
	guint n_notes[THREADS];
} Load;

enum { INSTANT, DURABLE, CHECKPOINTS, LONGEST, WAITED, PLAIN_LONGEST, PLAIN_WAITED, COLUMNS };

typedef struct {
	gint64 from, to; /* of the command, up to the instant */
	double columns[COLUMNS];
} Sample;

static void note_request(Load *load, guint number, gint64 begun, guint64 waited)
{
	gint64 now = g_get_monotonic_time();

	__atomic_fetch_add(&load->requests, 1, __ATOMIC_RELAXED);
	if (now - begun < LONG_MICROSECONDS || load->n_notes[number] == NOTES_MAX)
		return;
	load->notes[number][load->n_notes[number]++] = (Note){begun, now, waits_total() - waited};
}

static gpointer run_requests(gpointer data)
{
	Load *load = data;
	guint number = (guint)g_atomic_int_add(&load->next, 1);
	TestRandom random = test_random_new(number + 1);
	guint8 buffer[4 * KIB];
	struct iovec iov = {.iov_base = buffer, .iov_len = sizeof buffer};

	test_random_fill(&random, buffer, sizeof buffer);
	while (!g_atomic_int_get(&load->stop)) {
		guint64 offset = test_random_below(&random, load->pieces) * load->stride +
				 test_random_below(&random, 256) * 4 * KIB;
		gint64 begun = g_get_monotonic_time();
		guint64 waited = waits_total();

		if (volume_write(load->volume, &iov, 1, offset, NULL) ||
		    (load->flush && volume_flush(load->volume)))
			g_atomic_int_inc(&load->errors);
		note_request(load, number, begun, waited);
	}
	return NULL;
}

static gboolean fail(const GError *error)
{
	fprintf(stderr, "instant: %s\n", error->message);
	return FALSE;
}

static gboolean take_snapshot(Volume *volume, guint number, Sample *sample)
{
	g_autofree char *name = g_strdup_printf("s%u", number);
	const VolumeSnapshotParameters parameters = {.name = name};
	g_autoptr(GError) error = NULL;
	VolumeInfo before, after;
	guint64 generation;

	volume_get_info(volume, &before);
	sample->from = g_get_monotonic_time();
	if (!volume_snapshot_begin(volume, &parameters, &generation, &error))
		return fail(error);
	sample->to = g_get_monotonic_time();
	if (!volume_snapshot_wait(volume, generation, WAIT_SECONDS, &error))
		return fail(error);
	volume_get_info(volume, &after);
	sample->columns[INSTANT] = (double)(sample->to - sample->from) / 1000;
	sample->columns[DURABLE] = (double)(g_get_monotonic_time() - sample->from) / 1000;
	sample->columns[CHECKPOINTS] = (double)(after.checkpoints - before.checkpoints);
	return TRUE;
}

/* The longest request of those under way in [from, to]. */
static void find_longest(const Load *load, gint64 from, gint64 to, double *ret_longest,
			 double *ret_waited)
{
	*ret_longest = *ret_waited = 0;
	for (guint t = 0; t < THREADS; t++)
		for (guint i = 0; i < load->n_notes[t]; i++) {
			const Note *note = &load->notes[t][i];

			if (note->ended < from || note->begun > to)
				continue;
			*ret_longest =
				MAX(*ret_longest, (double)(note->ended - note->begun) / 1000);
			*ret_waited = MAX(*ret_waited, (double)note->waited / 1000);
		}
}

static void show_row(const char *name, const double *columns)
{
	printf("%-10s", name);
	for (guint c = 0; c < COLUMNS; c++)
		printf(" %10.*f", c == CHECKPOINTS ? 0 : 1, columns[c]);
	printf("\n");
}

static void show(const Load *load, Sample *samples, guint n, gint64 interval)
{
	double middle[COLUMNS], column[SNAPSHOTS_MAX];
	char name[16];

	printf("%-10s %10s %10s %10s %10s %10s %10s %10s\n", "ms", "instant", "durable", "checkpts",
	       "longest", "engine", "without", "engine");
	for (guint i = 0; i < n; i++) {
		Sample *sample = &samples[i];
		gint64 before = sample->from - interval / 2;

		find_longest(load, sample->from, sample->to, &sample->columns[LONGEST],
			     &sample->columns[WAITED]);
		find_longest(load, before, before + sample->to - sample->from,
			     &sample->columns[PLAIN_LONGEST], &sample->columns[PLAIN_WAITED]);
		g_snprintf(name, sizeof name, "%u", i + 1);
		show_row(name, sample->columns);
	}
	for (guint c = 0; c < COLUMNS; c++) {
		for (guint i = 0; i < n; i++)
			column[i] = samples[i].columns[c];
		middle[c] = bench_median(column, n);
	}
	show_row("median", middle);
}

/* Everything that the requests go to. */
static gboolean fill(const Load *load)
{
	g_autofree guint8 *buffer = g_malloc(MIB);
	struct iovec iov = {.iov_base = buffer, .iov_len = MIB};

	memset(buffer, 0xa5, MIB);
	for (guint64 i = 0; i < load->pieces; i++)
		if (volume_write(load->volume, &iov, 1, i * load->stride, NULL))
			return FALSE;
	return !volume_flush(load->volume);
}

/* Requests a second, until then, since `from` with so many. */
static double rate_since(const Load *load, gint64 from, gint64 requests)
{
	return (double)(__atomic_load_n(&load->requests, __ATOMIC_RELAXED) - requests) *
	       G_USEC_PER_SEC / (double)(g_get_monotonic_time() - from);
}

static gboolean run_load(Load *load, guint snapshots, gint64 interval)
{
	Sample samples[SNAPSHOTS_MAX] = {{0}};
	GThread *threads[THREADS];
	double plain_rate, rate;
	gint64 from, requests;
	gboolean good = TRUE;

	for (guint i = 0; i < THREADS; i++) {
		load->notes[i] = g_new(Note, NOTES_MAX);
		threads[i] = g_thread_new("requests", run_requests, load);
	}
	g_usleep((gulong)(2 * interval)); /* until checkpoints follow each other */
	from = g_get_monotonic_time();
	requests = load->requests;
	g_usleep((gulong)(snapshots * interval));
	plain_rate = rate_since(load, from, requests);
	from = g_get_monotonic_time();
	requests = load->requests;
	for (guint i = 0; i < snapshots && good; i++) {
		gint64 begun = g_get_monotonic_time(), left;

		good = take_snapshot(load->volume, i, &samples[i]);
		left = begun + interval - g_get_monotonic_time();
		if (left > 0)
			g_usleep((gulong)left);
	}
	rate = rate_since(load, from, requests);
	g_atomic_int_set(&load->stop, TRUE);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	if (good) {
		show(load, samples, snapshots, interval);
		printf("requests a second: %.0f without snapshots, %.0f with one every %.1f s: "
		       "%.1f %%\n",
		       plain_rate, rate, (double)interval / G_USEC_PER_SEC,
		       100 * rate / plain_rate);
	}
	for (guint i = 0; i < THREADS; i++)
		g_free(load->notes[i]);
	printf("%" G_GINT64_FORMAT " requests, %d failed\n", load->requests, load->errors);
	return good && !load->errors;
}

static int usage(void)
{
	fprintf(stderr, "usage: instant [SIZE [SNAPSHOTS [SECONDS [USED [flush]]]]]   (in $TMPDIR; "
			"USED 0: all of it, not written before)\n");
	return 2;
}

int main(int argc, char **argv)
{
	g_autofree char *path = test_path("volume");
	guint64 size = 4 * GIB, used = 0;
	guint snapshots = argc > 2 ? (guint)atoi(argv[2]) : 5;
	double seconds = argc > 3 ? atof(argv[3]) : 4;
	Load load = {.flush = argc > 5 && !strcmp(argv[5], "flush")};
	gboolean good;

	if ((argc > 1 && !size_parse(argv[1], &size)) || !snapshots || snapshots > SNAPSHOTS_MAX ||
	    seconds <= 0 || size < 16 * MIB || (argc > 4 && !size_parse(argv[4], &used)) ||
	    used > size || (used && used < MIB) || argc > 6 || (argc > 5 && !load.flush))
		return usage();
	load.pieces = (used ? used : size) / MIB;
	load.stride = size / load.pieces / MIB * MIB;
	load.volume = bench_volume_new("instant", path, size);
	good = (!used || fill(&load)) &&
	       run_load(&load, snapshots, (gint64)(seconds * G_USEC_PER_SEC));
	return volume_close(load.volume, NULL) && good ? 0 : 1;
}
