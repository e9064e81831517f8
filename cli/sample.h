/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters and state that a volume's server reported at one moment (common/service/monitor.h),
 * and the ways to print them.
 */
#pragma once

#include <stdio.h>

#include "common/service/config.h"
#include "common/service/metrics.h"
#include "common/service/pool.h"

typedef struct {
	Json *data;   /* as the server sent it */
	gint64 taken; /* monotonic microseconds */
	MetricsOperation operations[METRICS_KINDS];
} Sample;

/* Asks the volume's server.  NOT_FOUND if nobody serves the volume.  Takes a few seconds at most.
 */
Sample *sample_take(const Config *config, const VolumeName *name, GError **error);
void sample_free(Sample *sample);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sample, sample_free)

/* The samples of all served volumes, sorted by name.  For each server that cannot be asked, adds a
 * line with the reason to `problems`.  Free with g_ptr_array_unref(). */
GPtrArray *sample_take_all(const Config *config, GPtrArray *problems);

const char *sample_volume(const Sample *sample);

/* The file or device that is served (zeros if the server does not tell), and the volume's UUID
 * (borrowed, or NULL). */
BackingPlace sample_place(const Sample *sample);
const char *sample_uuid(const Sample *sample);

/* Why the volume has failed and can only be read; NULL if it has not.  Borrowed. */
const char *sample_failure(const Sample *sample);

/* When it failed, in Unix time; 0 if unknown. */
gint64 sample_failed_since(const Sample *sample);

/* Of a volume that several gateways may serve, for people: "this gateway serves it", "on standby
 * for alpha", ...; NULL of others.  Free the result. */
char *sample_failover(const Sample *sample);

/* The sample of the same server among earlier ones (may be NULL), or NULL.  A new server has
 * counted from 0, and cannot be compared.  Borrowed. */
const Sample *sample_find_earlier(const GPtrArray *samples, const Sample *sample);

/* Of the limits in `direction`, "read" or "write": as limiter_to_json(), or NULL.  Borrowed. */
Json *sample_limit(const Sample *sample, const char *direction);

/* For people: "12us", "3.4ms", "120ms", "1.2s".  Returns `text`. */
const char *sample_duration(guint64 ns, char *text, gsize room);

/* Adds the members for `status`: state, failure, served_seconds, in_flight, checksum_errors, and of
 * a volume with failover its state. */
void sample_add_state(const Sample *sample, Json *object);

/* Adds the engine's members for `info`: generation, data_bytes, metadata_bytes, journal_size,
 * journal_used, and scrub_ time, blocks, errors, repaired. */
void sample_add_engine_info(const Sample *sample, Json *object);

/* Prints everything, for people. */
void sample_print(const Sample *sample);

/* Print a heading, and below it a line for what happened since `earlier`, which must be of the same
 * server (NULL: since the server opened the volume). */
void sample_print_heading(void);
void sample_print_change(const Sample *sample, const Sample *earlier);

/* Prints all samples as metrics (prometheus.h). */
void sample_print_prometheus(const GPtrArray *samples, FILE *out);
