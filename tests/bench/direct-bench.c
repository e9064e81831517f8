/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random requests to a direct volume, each thread one at a time:
 *
 *   direct-bench URI read|write SIZE DEPTH SECONDS
 *
 * Prints requests in a second, and the processor time of this process for each in microseconds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/units.h"
#include "common/engine/volume.h"

#define DEPTH_MAX 256

typedef struct {
	Volume *volume;
	gboolean writes;
	gsize size;
	gint64 end;
	guint64 done, failed; /* atomic */
} Bench;

static gpointer send_requests(gpointer data)
{
	Bench *bench = data;
	guint64 places = volume_size(bench->volume) / bench->size;
	g_autofree guint8 *buffer = g_malloc(bench->size);
	struct iovec iov = {buffer, bench->size};
	GRand *random = g_rand_new();

	for (gsize i = 0; i < bench->size; i++)
		buffer[i] = (guint8)g_rand_int(random);
	while (g_get_monotonic_time() < bench->end) {
		guint64 offset = (guint64)g_rand_double_range(random, 0, (double)places) *
				 (guint64)bench->size;
		int r = bench->writes ? volume_write(bench->volume, &iov, 1, offset, NULL)
				      : volume_read(bench->volume, &iov, 1, offset, NULL);

		__atomic_fetch_add(r ? &bench->failed : &bench->done, 1, __ATOMIC_RELAXED);
	}
	g_rand_free(random);
	return NULL;
}

static double processor_seconds(void)
{
	struct rusage used;

	getrusage(RUSAGE_SELF, &used);
	return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
	       (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	GThread *threads[DEPTH_MAX];
	Bench bench = {0};
	Backing *backing;
	double seconds, before;
	guint64 size;
	guint depth;
	int wanted;

	if (argc != 6 || !size_parse(argv[3], &size) || size % SECTOR_SIZE || !size) {
		fputs("usage: direct-bench URI read|write SIZE DEPTH SECONDS\n", stderr);
		return 2;
	}
	wanted = atoi(argv[4]);
	depth = (guint)CLAMP(wanted, 1, DEPTH_MAX);
	seconds = atof(argv[5]);
	backing = backing_open(argv[1], 0, &error);
	bench.volume = backing ? volume_open(backing, "bench", 0, &error) : NULL;
	if (!bench.volume) {
		fprintf(stderr, "direct-bench: %s\n", error->message);
		return 1;
	}
	bench.writes = !strcmp(argv[2], "write");
	bench.size = size;
	before = processor_seconds();
	bench.end = g_get_monotonic_time() + (gint64)(seconds * G_USEC_PER_SEC);
	for (guint i = 0; i < depth; i++)
		threads[i] = g_thread_new("bench", send_requests, &bench);
	for (guint i = 0; i < depth; i++)
		g_thread_join(threads[i]);
	printf("%.0f %.0f\n", (double)bench.done / seconds,
	       bench.done ? (processor_seconds() - before) * 1e6 / (double)bench.done : 0);
	volume_close(bench.volume, NULL);
	return bench.failed != 0;
}
