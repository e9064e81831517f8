/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What many snapshots and their deletion cost: a volume in a file, in this process.
 *
 * First SNAPSHOTS snapshots are taken, with a block of each of 64 leaves written between two.  Told
 * are the medians of the first and the last ten, the time of a list, of opening one, and what a
 * check reads, with one snapshot and with all.  All but the first and the last are deleted again.
 *
 * Then one block of each of LEAVES leaves is written, in random order, a snapshot is taken, and
 * they are written again; the page cache is dropped, and the snapshot is deleted: two nodes are
 * read for each leaf, as when 1 MiB of LEAVES is changed at random.  The leaves are evenly spread
 * over SIZE, or are all that there are.  First at once, with nobody else; then in the background,
 * while 8 threads write 4 KiB at random about a thousand times a second each: told are percentiles
 * of their requests, before and during the deletion.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/backing/file.h"
#include "common/base/units.h"
#include "common/check/check.h"
#include "common/engine/volume-snapshots.h"
#include "tests/bench/figures.h"
#include "tests/harness.h"

#define THREADS 8
#define SAMPLES_MAX 2000000u
#define LEAF_BLOCKS 256u
#define WAIT_SECONDS 600

typedef struct {
	const char *path;
	Volume *volume;
	guint64 leaves, stride; /* blocks from one to the next */
	TestRandom random;
	guint names;
} Bench;

static void must(gboolean done, const GError *error)
{
	if (done)
		return;
	fprintf(stderr, "deletion: %s\n", error ? error->message : "a request failed");
	exit(1);
}

static void write_block(Bench *bench, guint64 block)
{
	guint8 data[BLOCK_SIZE];
	struct iovec iov = {data, sizeof data};

	memset(data, (int)test_random_below(&bench->random, 255) + 1, sizeof data);
	must(!volume_write(bench->volume, &iov, 1, block * BLOCK_SIZE, NULL), NULL);
}

static char *take(Bench *bench)
{
	char *name = g_strdup_printf("s%u", ++bench->names);
	const VolumeSnapshotParameters parameters = {.name = name};
	g_autoptr(GError) error = NULL;
	guint64 generation;

	must(volume_snapshot_begin(bench->volume, &parameters, &generation, &error), error);
	must(volume_snapshot_wait(bench->volume, generation, WAIT_SECONDS, &error), error);
	return name;
}

static void delete (Bench *bench, const char *name)
{
	g_autoptr(GError) error = NULL;

	must(volume_snapshot_delete(bench->volume, name, 0, &error), error);
}

static double percentile(guint32 *samples, guint n, double part)
{
	bench_sort(samples, n);
	return bench_percentile(samples, n, part);
}

static void open_bench(Bench *bench)
{
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_file_open(bench->path, 0, &error);

	must(backing != NULL, error);
	bench->volume = volume_open(backing, "deletion", 0, &error);
	must(bench->volume != NULL, error);
}

/* Neither the page cache nor the node cache has anything of the file. */
static void make_cold(Bench *bench)
{
	g_autoptr(GError) error = NULL;
	int fd;

	must(volume_close(bench->volume, &error), error);
	fd = open(bench->path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && !fdatasync(fd) && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), NULL);
	close(fd);
	open_bench(bench);
}

/* ---- many snapshots */

static void take_many(Bench *bench, guint n)
{
	g_autofree guint32 *times = g_new(guint32, n);
	g_autoptr(GArray) infos = NULL;
	gint64 begun;

	for (guint i = 0; i < n; i++) {
		for (guint w = 0; w < 64; w++)
			write_block(bench, test_random_below(&bench->random, bench->leaves) *
						   bench->stride);
		begun = g_get_monotonic_time();
		g_free(take(bench));
		times[i] = (guint32)(g_get_monotonic_time() - begun);
	}
	begun = g_get_monotonic_time();
	infos = volume_snapshots(bench->volume);
	printf("%u snapshots: create, until durable, ms: the first ten %.1f, the last ten %.1f; "
	       "list %.1f\n",
	       infos->len, percentile(times, MIN(n, 10), 0.5),
	       percentile(times + n - MIN(n, 10), MIN(n, 10), 0.5),
	       (double)(g_get_monotonic_time() - begun) / 1000);
}

/* ---- one of many, and all of them */

/* In milliseconds. */
static double open_one(Bench *bench, const char *name)
{
	g_autoptr(GError) error = NULL;
	gint64 begun = g_get_monotonic_time();
	Backing *backing = backing_file_open(bench->path, BACKING_OPEN_READ_ONLY, &error);
	Volume *snapshot;
	double took;

	must(backing != NULL, error);
	snapshot = volume_open_snapshot(backing, "deletion", name, NULL, NULL, &error);
	took = (double)(g_get_monotonic_time() - begun) / 1000;
	must(snapshot != NULL, error);
	volume_close(snapshot, NULL);
	return took;
}

static BackingOps counting_ops;
static const BackingOps *plain_ops;
static guint64 reads; /* of one slot */

static int counting_preadv(Backing *backing, const struct iovec *iov, int count, guint64 offset,
			   BackingFlags flags)
{
	reads += count == 1 && iov->iov_len == BLOCK_SIZE;
	return plain_ops->preadv(backing, iov, count, offset, flags);
}

/* Blocks are alone, so that each is a read of one slot, too. */
static void check_many(Bench *bench, guint n)
{
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_file_open(bench->path, BACKING_OPEN_READ_ONLY, &error);
	gint64 begun = g_get_monotonic_time();
	g_autoptr(CheckResult) result = NULL;

	must(backing != NULL, error);
	plain_ops = backing->ops;
	counting_ops = *plain_ops;
	counting_ops.preadv = counting_preadv;
	backing->ops = &counting_ops;
	reads = 0;
	result = check_run(backing, NULL, NULL, &error);
	must(result && !result->errors, error);
	printf("check of %u: %.2f s, %" G_GUINT64_FORMAT " nodes, %" G_GUINT64_FORMAT
	       " blocks, %" G_GUINT64_FORMAT " slots of metadata, %" G_GUINT64_FORMAT
	       " reads of a slot\n",
	       n, (double)(g_get_monotonic_time() - begun) / 1e6, result->nodes, result->blocks,
	       result->metadata_slots, reads);
	backing_free(backing);
}

static void open_and_check(Bench *bench, guint n)
{
	g_autofree char *middle = g_strdup_printf("s%u", (n + 1) / 2);
	g_autofree char *last = g_strdup_printf("s%u", n);
	const char *const names[] = {"s1", middle, last};
	g_autoptr(GError) error = NULL;
	double times[15];

	for (guint i = 0; i < G_N_ELEMENTS(times); i++)
		times[i] = open_one(bench, names[i % G_N_ELEMENTS(names)]);
	printf("open one of %u: %.2f ms\n", n, bench_median(times, G_N_ELEMENTS(times)));
	must(volume_close(bench->volume, &error), error);
	check_many(bench, n);
	open_bench(bench);
}

static void delete_many(Bench *bench, guint n)
{
	gint64 begun = g_get_monotonic_time();

	for (guint i = 2; i < n; i++) {
		g_autofree char *name = g_strdup_printf("s%u", i);

		delete (bench, name);
	}
	printf("deletion of %u: the commands %.1f ms each", n - 2,
	       (double)(g_get_monotonic_time() - begun) / 1000 / (n - 2));
	begun = g_get_monotonic_time();
	must(volume_settled(bench->volume, volume_settle(bench->volume), WAIT_SECONDS), NULL);
	printf("; until all is free %.1f s\n", (double)(g_get_monotonic_time() - begun) / 1e6);
}

/* ---- a large deletion */

static void write_leaves(Bench *bench)
{
	for (guint64 i = 0; i < bench->leaves; i++) /* an odd factor visits each leaf once */
		write_block(bench, i * 0x9e3779b1u % bench->leaves * bench->stride);
}

/* A snapshot, all of whose leaves differ from the volume's. */
static char *prepare(Bench *bench)
{
	char *name;

	write_leaves(bench);
	name = take(bench);
	write_leaves(bench);
	make_cold(bench);
	return name;
}

static void delete_alone(Bench *bench)
{
	g_autofree char *name = prepare(bench);
	gint64 begun = g_get_monotonic_time();
	double seconds;

	delete (bench, name);
	must(volume_settled(bench->volume, volume_settle(bench->volume), WAIT_SECONDS), NULL);
	seconds = (double)(g_get_monotonic_time() - begun) / 1e6;
	printf("%" G_GUINT64_FORMAT " leaves, cold, nobody else: %.2f s, %.0f leaves a second\n",
	       bench->leaves, seconds, (double)bench->leaves / seconds);
}

typedef struct {
	Bench *bench;
	gint stop, n; /* atomic */
	guint32 *samples;
} Load;

static gpointer run_load(gpointer data)
{
	Load *load = data;
	TestRandom random = test_random_new((guint64)(gsize)g_thread_self());
	guint8 block[BLOCK_SIZE] = {1};
	struct iovec iov = {block, sizeof block};

	while (!g_atomic_int_get(&load->stop)) {
		guint64 at = test_random_below(&random, load->bench->leaves) * load->bench->stride +
			     test_random_below(&random, LEAF_BLOCKS);
		gint64 begun = g_get_monotonic_time();
		gint n;

		must(!volume_write(load->bench->volume, &iov, 1, at * BLOCK_SIZE, NULL), NULL);
		n = g_atomic_int_add(&load->n, 1);
		if (n < (gint)SAMPLES_MAX)
			load->samples[n] = (guint32)(g_get_monotonic_time() - begun);
		g_usleep((gulong)test_random_below(&random, 2000));
	}
	return NULL;
}

static gboolean is_deleting(Bench *bench)
{
	g_autoptr(GArray) infos = volume_snapshots(bench->volume);
	gboolean deleting = FALSE;

	for (guint i = 0; i < infos->len; i++)
		deleting |= g_array_index(infos, VolumeSnapshotInfo, i).state ==
			    VOLUME_SNAPSHOT_DELETING;
	return deleting;
}

static void show_load(Load *load, const char *what, double seconds)
{
	guint n = (guint)g_atomic_int_get(&load->n);

	n = MIN(n, SAMPLES_MAX);
	printf("%s (%.1f s): %u requests, ms: 50 %% %.2f, 99 %% %.2f, 99.9 %% %.2f\n", what,
	       seconds, n, percentile(load->samples, n, 0.5), percentile(load->samples, n, 0.99),
	       percentile(load->samples, n, 0.999));
}

/* `name`: of the snapshot that is deleted meanwhile; NULL: none, for `seconds`. */
static double run_loaded(Bench *bench, const char *name, double seconds)
{
	Load load = {.bench = bench, .samples = g_new(guint32, SAMPLES_MAX)};
	gint64 begun = g_get_monotonic_time();
	GThread *threads[THREADS];

	for (guint i = 0; i < THREADS; i++)
		threads[i] = g_thread_new("load", run_load, &load);
	if (name)
		delete (bench, name);
	while (name ? is_deleting(bench) : (double)(g_get_monotonic_time() - begun) < seconds * 1e6)
		g_usleep(10000);
	seconds = (double)(g_get_monotonic_time() - begun) / 1e6;
	g_atomic_int_set(&load.stop, TRUE);
	for (guint i = 0; i < THREADS; i++)
		g_thread_join(threads[i]);
	show_load(&load, name ? "requests during the deletion" : "requests alone", seconds);
	g_free(load.samples);
	return seconds;
}

int main(int argc, char **argv)
{
	g_autofree char *path = test_path("volume");
	guint n = argc > 1 ? (guint)atoi(argv[1]) : 1000;
	guint64 leaves = argc > 2 ? (guint64)atoll(argv[2]) : 16384;
	Bench bench = {.path = path, .leaves = leaves, .random = test_random_new(1)};
	VolumeParameters parameters = {.size = leaves * MIB};
	g_autofree char *name = NULL;
	g_autoptr(GError) error = NULL;
	Backing *backing;

	if (n < 3 || n > 4000 || leaves < 64 ||
	    (argc > 3 &&
	     (!size_parse(argv[3], &parameters.size) || parameters.size < leaves * MIB))) {
		fprintf(stderr, "usage: deletion [SNAPSHOTS [LEAVES [SIZE]]]   (in $TMPDIR)\n");
		return 2;
	}
	bench.stride = parameters.size / leaves / MIB * LEAF_BLOCKS;
	backing = backing_file_open(path, BACKING_OPEN_CREATE, &error);
	must(backing && volume_format(backing, &parameters, &error), error);
	backing_free(backing);
	open_bench(&bench);
	take_many(&bench, 1);
	open_and_check(&bench, 1);
	take_many(&bench, n - 1);
	open_and_check(&bench, n);
	delete_many(&bench, n);
	delete_alone(&bench);
	name = prepare(&bench);
	run_loaded(&bench, NULL, 5);
	run_loaded(&bench, name, 0);
	must(volume_close(bench.volume, &error), error);
	return 0;
}
