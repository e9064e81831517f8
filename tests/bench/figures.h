/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the programs that measure a volume in their own process have in common.
 */
#pragma once

#include "common/engine/volume.h"

/* Makes and opens a volume of `size` bytes in the file `path`; `program` is for messages and log
 * lines.  Ends the program if that fails. */
Volume *bench_volume_new(const char *program, const char *path, guint64 size);

/* Sorts the values, and returns the middle one. */
double bench_median(double *values, guint n);

/* Sorts samples in microseconds; a percentile of sorted ones, in milliseconds. */
void bench_sort(guint32 *samples, guint n);
double bench_percentile(const guint32 *samples, guint n, double part);
