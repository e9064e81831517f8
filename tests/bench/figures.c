/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/figures.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/backing/file.h"

Volume *bench_volume_new(const char *program, const char *path, guint64 size)
{
	const VolumeParameters parameters = {.size = size};
	g_autoptr(GError) error = NULL;
	Backing *backing = backing_file_open(path, BACKING_OPEN_CREATE, &error);
	Volume *volume = NULL;

	if (backing && volume_format(backing, &parameters, &error))
		volume = volume_open(backing, program, 0, &error);
	if (!volume) {
		fprintf(stderr, "%s: %s\n", program, error->message);
		exit(1);
	}
	return volume;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double bench_median(double *values, guint n)
{
	qsort(values, n, sizeof *values, compare_doubles);
	return values[n / 2];
}

static int compare_times(const void *a, const void *b)
{
	guint32 x = *(const guint32 *)a, y = *(const guint32 *)b;

	return x < y ? -1 : x > y;
}

void bench_sort(guint32 *samples, guint n)
{
	qsort(samples, n, sizeof *samples, compare_times);
}

double bench_percentile(const guint32 *samples, guint n, double part)
{
	return n ? samples[(guint)((n - 1) * part)] / 1000.0 : 0;
}
