/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cost of the engine: compares a volume in a file with a plain file beside it, in one process.
 *
 * Both are written in full before, so that both overwrite.  Rounds of the two alternate, so that
 * both see the same state of the machine.  The table shows the median of each and the median of the
 * rounds' ratios.  The queue depth is the number of threads, each with one request.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/backing/file.h"
#include "common/base/units.h"
#include "common/engine/volume.h"
#include "tests/harness.h"

#define DEPTH_MAX 64
#define ROUNDS_MAX 99

/* What is measured: a volume or a plain file. */
typedef struct {
	Volume *volume; /* NULL for the file */
	int fd;
	guint64 size;
} Target;

static void die(const char *what, int err)
{
	fprintf(stderr, "engine-bench: %s: %s\n", what, g_strerror(ABS(err)));
	exit(1);
}

static void put(const Target *target, void *data, gsize length, guint64 offset)
{
	struct iovec iov = {.iov_base = data, .iov_len = length};
	int r;

	if (target->volume)
		r = volume_write(target->volume, &iov, 1, offset, NULL);
	else
		r = pwrite(target->fd, data, length, (off_t)offset) == (gssize)length ? 0 : -EIO;
	if (r)
		die("write", r);
}

static void get(const Target *target, void *data, gsize length, guint64 offset)
{
	struct iovec iov = {.iov_base = data, .iov_len = length};
	int r;

	if (target->volume)
		r = volume_read(target->volume, &iov, 1, offset, NULL);
	else
		r = pread(target->fd, data, length, (off_t)offset) == (gssize)length ? 0 : -EIO;
	if (r)
		die("read", r);
}

static void flush(const Target *target)
{
	int r = target->volume ? volume_flush(target->volume) : fdatasync(target->fd) ? -errno : 0;

	if (r)
		die("flush", r);
}

typedef struct {
	const char *name;
	guint depth;
	guint requests; /* of all threads */
	gboolean reads;
	gboolean flush_each;
	gboolean flush_at_end; /* the flush is part of the measured time */
	double mark;	       /* the required ratio */
} Workload;

static const Workload workloads[] = {
	{"4 KiB random write, depth 32, absorbed", 32, 100000, FALSE, FALSE, FALSE, 0.7},
	{"4 KiB random write, depth 32, and one flush", 32, 100000, FALSE, FALSE, TRUE, 0.7},
	{"4 KiB random read, depth 32", 32, 200000, TRUE, FALSE, FALSE, 0.7},
	{"4 KiB random write and flush, depth 1", 1, 400, FALSE, TRUE, FALSE, 0.9},
};

typedef struct {
	const Target *target;
	const Workload *workload;
	TestRandom random;
} BenchJob;

static gpointer run_job(gpointer data)
{
	BenchJob *job = data;
	g_autofree guint8 *block = g_malloc(BLOCK_SIZE);
	guint64 blocks = job->target->size / BLOCK_SIZE;

	test_random_fill(&job->random, block, BLOCK_SIZE);
	for (guint i = 0; i < job->workload->requests / job->workload->depth; i++) {
		guint64 at = test_random_below(&job->random, blocks) * BLOCK_SIZE;

		if (job->workload->reads)
			get(job->target, block, BLOCK_SIZE, at);
		else
			put(job->target, block, BLOCK_SIZE, at);
		if (job->workload->flush_each)
			flush(job->target);
	}
	return NULL;
}

/* Returns the number of requests per second. */
static double run_round(const Target *target, const Workload *workload, guint64 seed)
{
	GThread *threads[DEPTH_MAX];
	BenchJob jobs[DEPTH_MAX];
	gint64 start, end;

	flush(target);
	start = g_get_monotonic_time();
	for (guint i = 0; i < workload->depth; i++) {
		jobs[i] = (BenchJob){.target = target,
				     .workload = workload,
				     .random = test_random_new(seed * DEPTH_MAX + i)};
		threads[i] = g_thread_new("bench", run_job, &jobs[i]);
	}
	for (guint i = 0; i < workload->depth; i++)
		g_thread_join(threads[i]);
	if (workload->flush_at_end)
		flush(target);
	end = g_get_monotonic_time();
	flush(target);
	return workload->requests * 1e6 / (double)MAX(end - start, 1);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, guint n)
{
	qsort(values, n, sizeof *values, compare);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static void compare_targets(const Target *plain, const Target *engine, const Workload *workload,
			    guint rounds)
{
	double of_plain[ROUNDS_MAX], of_engine[ROUNDS_MAX], ratios[ROUNDS_MAX], ratio;

	run_round(plain, workload, 0);
	run_round(engine, workload, 0);
	for (guint i = 0; i < rounds; i++) {
		of_plain[i] = run_round(plain, workload, i + 1);
		of_engine[i] = run_round(engine, workload, i + 1);
		ratios[i] = of_engine[i] / of_plain[i];
	}
	ratio = median(ratios, rounds);
	printf("%-44s %10.0f %10.0f %7.2f %7.2f-%.2f %6.1f%s\n", workload->name,
	       median(of_plain, rounds), median(of_engine, rounds), ratio, ratios[0],
	       ratios[rounds - 1], workload->mark, ratio < workload->mark ? "  below" : "");
	fflush(stdout);
}

static void fill(const Target *target)
{
	g_autofree guint8 *data = g_malloc(MIB);
	TestRandom random = test_random_new(1);

	test_random_fill(&random, data, MIB);
	for (guint64 at = 0; at < target->size; at += MIB)
		put(target, data, MIB, at);
	flush(target);
}

static Target open_plain(const char *path, guint64 size)
{
	Target target = {.size = size};

	target.fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (target.fd < 0 || posix_fallocate(target.fd, 0, (off_t)size))
		die(path, errno);
	fill(&target);
	return target;
}

static Target open_engine(const char *path, guint64 size)
{
	const VolumeParameters parameters = {.size = size};
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_file_open(path, BACKING_OPEN_CREATE, &error);
	Target target = {.size = size, .fd = -1};

	if (backing && volume_format(backing, &parameters, &error))
		target.volume = volume_open(backing, "bench", 0, &error);
	if (!target.volume) {
		fprintf(stderr, "engine-bench: %s\n", error->message);
		exit(1);
	}
	fill(&target);
	return target;
}

int main(int argc, char **argv)
{
	g_autofree char *plain_path = test_path("plain"), *engine_path = test_path("volume");
	guint64 size = GIB;
	guint rounds = argc > 2 ? (guint)atoi(argv[2]) : 5;
	Target plain, engine;

	if ((argc > 1 && !size_parse(argv[1], &size)) || !rounds || rounds > ROUNDS_MAX ||
	    size < 16 * MIB || size % MIB) {
		fprintf(stderr, "usage: engine-bench [SIZE [ROUNDS]]   (in $TMPDIR)\n");
		return 2;
	}
	plain = open_plain(plain_path, size);
	engine = open_engine(engine_path, size);
	printf("%-44s %10s %10s %7s %12s %6s\n", "requests in a second, medians", "plain file",
	       "engine", "ratio", "least-most", "mark");
	for (guint i = 0; i < G_N_ELEMENTS(workloads); i++)
		compare_targets(&plain, &engine, &workloads[i], rounds);
	close(plain.fd);
	return volume_close(engine.volume, NULL) ? 0 : 1;
}
