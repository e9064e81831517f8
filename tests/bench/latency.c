/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long requests take while checkpoints are made: a volume in a file, in this process.
 *
 * Threads write, read and discard at random all over the volume, while a thread makes one
 * checkpoint after the other, or none.  "Paced" threads pause for about a millisecond between
 * requests, so that the result shows the requests' waits and not how the processors are shared. The
 * other threads never pause, and the volume makes its checkpoints when it wants.  The table shows,
 * for each kind of request, the medians of the rounds' percentiles, in milliseconds.  The last two
 * columns are the time that a request waited for the engine (common/engine/waits.h), not for the
 * disk below.
 */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/units.h"
#include "common/engine/volume.h"
#include "common/engine/waits.h"
#include "tests/bench/figures.h"
#include "tests/harness.h"

#define THREADS 8
#define ROUNDS_MAX 99
#define SAMPLES_MAX 4000000u

/* Limit in ms on the 99.9th percentile of the time that requests other than flushes wait for the
 * engine. It does not apply to large requests at full speed, which wait because the disk is
 * saturated. */
#define MARK 50.0

enum { WRITE, READ, DISCARD, FLUSH, KINDS };

static const char *const kinds[KINDS] = {"write", "read", "discard", "flush"};

typedef struct {
	const char *name;
	guint flush_every; /* number of requests between flushes; 0: no flushes */
	gboolean paced;
	gboolean checkpoints; /* one after the other */
	gboolean large;	      /* requests of 1 MiB */
} LatencyLoad;

static const LatencyLoad loads[] = {
	{"paced, no checkpoint asked for", 0, TRUE, FALSE, FALSE},
	{"paced, checkpoints all the time", 0, TRUE, TRUE, FALSE},
	{"paced, flushes, no checkpoint asked for", 32, TRUE, FALSE, FALSE},
	{"paced, flushes, checkpoints all the time", 32, TRUE, TRUE, FALSE},
	{"full speed", 0, FALSE, FALSE, FALSE},
	{"full speed, checkpoints all the time", 0, FALSE, TRUE, FALSE},
	{"full speed, 1 MiB", 0, FALSE, FALSE, TRUE},
};

/* For the requests of one kind in all threads: duration, and wait for the engine, microseconds. */
typedef struct {
	guint32 *samples, *waits;
	gint n; /* atomic */
} Times;

typedef struct {
	Volume *volume;
	const LatencyLoad *load;
	gint64 end;
	Times times[KINDS];
	gint errors; /* atomic */
	gint next;   /* atomic: number of the next thread */
	guint64 seed;
} Round;

static void note_time(Times *times, gint64 start, guint64 waited)
{
	gint at = g_atomic_int_add(&times->n, 1);

	if (at >= (gint)SAMPLES_MAX)
		return;
	times->samples[at] = (guint32)(g_get_monotonic_time() - start);
	times->waits[at] = (guint32)(waits_total() - waited);
}

static int request(Round *round, TestRandom *random, guint8 *buffer, guint kind)
{
	static const gsize sizes[] = {4 * KIB, 4 * KIB, 4 * KIB, 16 * KIB, 64 * KIB};
	gsize length =
		round->load->large ? MIB : sizes[test_random_below(random, G_N_ELEMENTS(sizes))];
	guint64 blocks = (volume_size(round->volume) - length) / (4 * KIB) + 1;
	guint64 offset = test_random_below(random, blocks) * 4 * KIB;
	struct iovec iov = {.iov_base = buffer, .iov_len = length};

	switch (kind) {
	case WRITE:
		return volume_write(round->volume, &iov, 1, offset, NULL);
	case READ:
		return volume_read(round->volume, &iov, 1, offset, NULL);
	case DISCARD:
		return volume_discard(round->volume, offset, length);
	default:
		return volume_flush(round->volume);
	}
}

static guint random_kind(const LatencyLoad *load, TestRandom *random)
{
	guint64 choice = test_random_below(random, 100);

	if (load->flush_every && test_random_below(random, load->flush_every) == 0)
		return FLUSH;
	return choice < 70 ? WRITE : choice < 97 ? READ : DISCARD;
}

static gpointer run_requests(gpointer data)
{
	Round *round = data;
	guint number = (guint)g_atomic_int_add(&round->next, 1);
	TestRandom random = test_random_new(round->seed * THREADS + number);
	g_autofree guint8 *buffer = g_malloc(MIB);

	test_random_fill(&random, buffer, MIB);
	while (g_get_monotonic_time() < round->end) {
		guint kind = random_kind(round->load, &random);
		gint64 start = g_get_monotonic_time();
		guint64 waited = waits_total();

		if (request(round, &random, buffer, kind))
			g_atomic_int_inc(&round->errors);
		note_time(&round->times[kind], start, waited);
		if (round->load->paced)
			g_usleep((gulong)(500 + test_random_below(&random, 1000)));
	}
	return NULL;
}

static gpointer run_checkpoints(gpointer data)
{
	Round *round = data;

	while (g_get_monotonic_time() < round->end)
		if (volume_checkpoint(round->volume))
			g_atomic_int_inc(&round->errors);
	return NULL;
}

enum { P50, P99, P999, MOST, WAIT_P999, WAIT_MOST, COLUMNS };

/* Results of all rounds, for each kind of request. */
typedef struct {
	double columns[KINDS][COLUMNS][ROUNDS_MAX];
	guint64 requests[KINDS], checkpoints;
	guint rounds;
	gint errors;
} Result;

static void run_round(Volume *volume, const LatencyLoad *load, double seconds, Times *times,
		      Result *result)
{
	static guint64 seed;
	Round round = {.volume = volume, .load = load, .seed = seed++};
	GThread *threads[THREADS + 1];
	guint n_threads = 0;
	VolumeInfo before, after;

	volume_get_info(volume, &before);
	memcpy(round.times, times, sizeof round.times);
	round.end = g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
	while (n_threads < THREADS)
		threads[n_threads++] = g_thread_new("requests", run_requests, &round);
	if (load->checkpoints)
		threads[n_threads++] = g_thread_new("checkpoints", run_checkpoints, &round);
	while (n_threads)
		g_thread_join(threads[--n_threads]);
	volume_get_info(volume, &after);
	result->checkpoints += after.checkpoints - before.checkpoints;
	result->errors += round.errors;
	for (guint k = 0; k < KINDS; k++) {
		guint n = MIN((guint)round.times[k].n, SAMPLES_MAX);
		double(*columns)[ROUNDS_MAX] = result->columns[k];

		bench_sort(times[k].samples, n);
		bench_sort(times[k].waits, n);
		columns[P50][result->rounds] = bench_percentile(times[k].samples, n, 0.5);
		columns[P99][result->rounds] = bench_percentile(times[k].samples, n, 0.99);
		columns[P999][result->rounds] = bench_percentile(times[k].samples, n, 0.999);
		columns[MOST][result->rounds] = bench_percentile(times[k].samples, n, 1);
		columns[WAIT_P999][result->rounds] = bench_percentile(times[k].waits, n, 0.999);
		columns[WAIT_MOST][result->rounds] = bench_percentile(times[k].waits, n, 1);
		result->requests[k] += n;
	}
	result->rounds++;
}

/* FALSE if a request failed or took too long. */
static gboolean show(const LatencyLoad *load, Result *result)
{
	gboolean good = !result->errors;

	printf("%s (%" G_GUINT64_FORMAT " checkpoints a round)\n", load->name,
	       result->checkpoints / result->rounds);
	for (guint k = 0; k < KINDS; k++) {
		double middle[COLUMNS];

		if (!result->requests[k])
			continue;
		for (guint c = 0; c < COLUMNS; c++)
			middle[c] = bench_median(result->columns[k][c], result->rounds);
		printf("  %-42s %10" G_GUINT64_FORMAT, kinds[k],
		       result->requests[k] / result->rounds);
		for (guint c = 0; c < COLUMNS; c++)
			printf(" %9.3f", middle[c]);
		if (k != FLUSH && !load->large && middle[WAIT_P999] > MARK) {
			printf("  above the mark");
			good = FALSE;
		}
		printf("\n");
	}
	if (result->errors)
		printf("  %d requests failed\n", result->errors);
	fflush(stdout);
	return good;
}

int main(int argc, char **argv)
{
	g_autofree char *path = test_path("volume");
	guint64 size = 4 * GIB;
	guint rounds = argc > 2 ? (guint)atoi(argv[2]) : 5;
	double seconds = argc > 3 ? atof(argv[3]) : 5;
	Times times[KINDS] = {{0}};
	gboolean good = TRUE;
	Volume *volume;

	if ((argc > 1 && !size_parse(argv[1], &size)) || !rounds || rounds > ROUNDS_MAX ||
	    seconds <= 0 || size < 16 * MIB) {
		fprintf(stderr, "usage: latency [SIZE [ROUNDS [SECONDS]]]   (in $TMPDIR)\n");
		return 2;
	}
	for (guint k = 0; k < KINDS; k++)
		times[k] = (Times){g_new(guint32, SAMPLES_MAX), g_new(guint32, SAMPLES_MAX), 0};
	volume = bench_volume_new("latency", path, size);
	printf("%-44s %10s %9s %9s %9s %9s %9s %9s\n", "milliseconds, medians of the rounds",
	       "requests", "50 %", "99 %", "99.9 %", "most", "99.9 % *", "most *");
	for (guint i = 0; i < G_N_ELEMENTS(loads); i++) {
		g_autofree Result *result = g_new0(Result, 1);

		for (guint r = 0; r < rounds; r++)
			run_round(volume, &loads[i], seconds, times, result);
		good = show(&loads[i], result) && good;
	}
	printf("* waiting for the engine\n");
	for (guint k = 0; k < KINDS; k++) {
		g_free(times[k].samples);
		g_free(times[k].waits);
	}
	return volume_close(volume, NULL) && good ? 0 : 1;
}
