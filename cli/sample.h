/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a served volume told of itself at one moment (common/service/monitor.h), and the ways to
 * show it.
 */
#pragma once

#include "common/service/config.h"
#include "common/service/metrics.h"
#include "common/service/pool.h"

typedef struct {
	Json *data;   /* as the server sent it */
	gint64 taken; /* monotonic microseconds */
	MetricsOperation operations[METRICS_KINDS];
} Sample;

/* NOT_FOUND where nobody serves the volume.  Takes a few seconds at most. */
Sample *sample_take(const Config *config, const VolumeName *name, GError **error);
void sample_free(Sample *sample);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sample, sample_free)

/* Of all volumes that are served, by name; what could not be asked, and why, as a line in
 * `problems`.  Of Sample; free with g_ptr_array_unref(). */
GPtrArray *sample_take_all(const Config *config, GPtrArray *problems);

const char *sample_volume(const Sample *sample);

/* What is served; zeros where its server does not tell.  Borrowed, or NULL. */
BackingPlace sample_place(const Sample *sample);
const char *sample_uuid(const Sample *sample);

/* Why the volume has failed and can only be read; NULL if it has not.  Borrowed. */
const char *sample_failure(const Sample *sample);

/* Since when, Unix time; 0: not known. */
gint64 sample_failed_since(const Sample *sample);

/* Adds what `status` tells of it: state, failure, served_seconds, in_flight, checksum_errors. */
void sample_add_state(const Sample *sample, Json *object);

/* Adds what only the engine knows, as `info` tells it: generation, data_bytes, metadata_bytes,
 * journal_size, journal_used, and scrub_ time, blocks, errors, repaired. */
void sample_add_engine_info(const Sample *sample, Json *object);

/* All of it, for people. */
void sample_print(const Sample *sample);

/* What happened since `earlier` (of the same server, or NULL: since it began), as a line under this
 * heading. */
void sample_print_heading(void);
void sample_print_change(const Sample *sample, const Sample *earlier);

/* All samples in Prometheus's text format, version 0.0.4, as node_exporter's textfile collector
 * reads it. */
void sample_print_prometheus(const GPtrArray *samples);
