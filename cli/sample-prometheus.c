/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sample.h"

#include <string.h>

#include "cli/prometheus.h"

#define NANOSECONDS 1e9

/* A number in the server's answer: the member `key` of the member `object` (NULL: of the answer
 * itself). */
static const struct {
	const char *name, *type, *help, *object, *key;
} gauges[] = {
	{"served_seconds", "gauge", "Time since this process opened the volume.", NULL,
	 "served_seconds"},
	{"in_flight", "gauge", "Requests begun and not answered.", NULL, "in_flight"},
	{"size_bytes", "gauge", "Size of the volume.", "space", "size"},
	{"allocated_bytes", "gauge", "Space that the volume takes of the file system below.",
	 "space", "allocated"},
	{"data_bytes", "gauge", "Blocks that hold data.", "space", "data"},
	{"metadata_bytes", "gauge", "Map, bitmaps, journal and superblocks.", "space", "metadata"},
	{"reserve_bytes", "gauge",
	 "Data for which it has space, whatever others write; 0 if it has no reserve.", "space",
	 "reserve"},
	{"reclaimable_bytes", "gauge", "Replaced blocks that the next checkpoint frees.", "space",
	 "reclaimable"},
	{"run_bytes", "gauge", "Mean length of data that lie in one piece, 0 if unknown.", "space",
	 "run"},
	{"tidied_bytes_total", "counter", "Data moved to bring scattered pieces together.", "space",
	 "tidied"},
	{"cache_nodes", "gauge", "Nodes of the map in memory.", "cache", "nodes"},
	{"cache_hits_total", "counter", "Lookups of map nodes found in memory.", "cache", "hits"},
	{"cache_misses_total", "counter", "Lookups of map nodes read from the disk.", "cache",
	 "misses"},
	{"journal_size_bytes", "gauge", "Size of the journal.", "journal", "size"},
	{"journal_used_bytes", "gauge", "Journal since the last checkpoint.", "journal", "used"},
	{"snapshots", "gauge", "Snapshots of the volume.", "snapshots", "count"},
	{"snapshots_held", "gauge", "Snapshots that a hold keeps from being deleted.", "snapshots",
	 "kept"},
	{"snapshot_newest_timestamp_seconds", "gauge",
	 "When the newest snapshot was taken, 0 if there is none.", "snapshots", "newest"},
	{"snapshot_held_bytes", "gauge", "Data that only snapshots have, at least.", "snapshots",
	 "held"},
	{"snapshot_deleting_bytes", "gauge", "What deleted snapshots still take, at most.",
	 "snapshots", "deleting"},
	{"checkpoints_total", "counter", "Checkpoints made.", NULL, "checkpoints"},
	{"checksum_errors_total", "counter", "Blocks whose checksum did not match.", NULL,
	 "checksum_errors"},
	{"copies_repaired_total", "counter", "Damaged copies of metadata rewritten.", NULL,
	 "copies_repaired"},
};

static void metric_print_info(const GPtrArray *samples, FILE *out)
{
	prometheus_print_head(out, "volume_info", "gauge", "Always 1; what the volume is.");
	for (guint i = 0; i < samples->len; i++) {
		const Sample *sample = g_ptr_array_index(samples, i);
		g_autofree char *volume = prometheus_escape(sample_volume(sample));
		const char *uuid = json_get_text(sample->data, "uuid");
		const char *frontend = json_get_text(sample->data, "frontend");

		fprintf(out, "storageos_volume_info{volume=\"%s\",uuid=\"%s\",frontend=\"%s\"} 1\n",
			volume, uuid ? uuid : "", frontend ? frontend : "");
	}
	prometheus_print_head(out, "volume_failed", "gauge",
			      "1 where the volume has failed and can only be read.");
	for (guint i = 0; i < samples->len; i++) {
		const Sample *sample = g_ptr_array_index(samples, i);
		g_autofree char *volume = prometheus_escape(sample_volume(sample));

		fprintf(out, "storageos_volume_failed{volume=\"%s\"} %d\n", volume,
			!g_strcmp0(json_get_text(sample->data, "state"), "failed"));
	}
}

static void metric_print_gauges(const GPtrArray *samples, FILE *out)
{
	for (guint g = 0; g < G_N_ELEMENTS(gauges); g++) {
		prometheus_print_head(out, gauges[g].name, gauges[g].type, gauges[g].help);
		for (guint i = 0; i < samples->len; i++) {
			const Sample *sample = g_ptr_array_index(samples, i);
			g_autofree char *volume = prometheus_escape(sample_volume(sample));
			Json *object = gauges[g].object
					       ? json_get_object(sample->data, gauges[g].object)
					       : sample->data;

			fprintf(out, "storageos_%s{volume=\"%s\"} %" G_GINT64_FORMAT "\n",
				gauges[g].name, volume, json_get_number(object, gauges[g].key));
		}
	}
}

/* A number of `limits` in the server's answer, for reads and for writes. */
static const struct {
	const char *name, *type, *help, *key;
	double unit;
	gboolean always; /* also where there is no such limit */
} limits[] = {
	{"limit_iops", "gauge", "The volume's limit in requests a second.", "iops", 1, FALSE},
	{"limit_bytes_per_second", "gauge", "The volume's limit in bytes a second.", "bytes", 1,
	 FALSE},
	{"limit_waiting", "gauge", "Requests that wait because of the limits.", "waiting", 1, TRUE},
	{"limit_waits_total", "counter", "Requests that have waited because of the limits.",
	 "waits", 1, TRUE},
	{"limit_wait_seconds_total", "counter", "How long they have waited, together.", "wait_ns",
	 NANOSECONDS, TRUE},
	{"limit_refused_total", "counter",
	 "Requests that were refused because the limits would have let them wait too long.",
	 "refused", 1, TRUE},
};

/* Of a limit that no volume has, not even the head. */
static void metric_print_limit(const GPtrArray *samples, FILE *out, guint l)
{
	static const char *const directions[] = {"read", "write"};
	gboolean begun = FALSE;

	for (guint i = 0; i < samples->len * G_N_ELEMENTS(directions); i++) {
		const Sample *sample = g_ptr_array_index(samples, i / G_N_ELEMENTS(directions));
		const char *direction = directions[i % G_N_ELEMENTS(directions)];
		g_autofree char *volume = prometheus_escape(sample_volume(sample));
		gint64 number = json_get_number(sample_limit(sample, direction), limits[l].key);

		if (!number && !limits[l].always)
			continue;
		if (!begun)
			prometheus_print_head(out, limits[l].name, limits[l].type, limits[l].help);
		begun = TRUE;
		fprintf(out, "storageos_%s{volume=\"%s\",operation=\"%s\"} %.15g\n", limits[l].name,
			volume, direction, (double)number / limits[l].unit);
	}
}

typedef void (*OperationPrinter)(FILE *out, const char *labels, const MetricsOperation *operation);

static void metric_print_operations(const GPtrArray *samples, FILE *out, OperationPrinter print)
{
	for (guint i = 0; i < samples->len; i++) {
		const Sample *sample = g_ptr_array_index(samples, i);
		g_autofree char *volume = prometheus_escape(sample_volume(sample));

		for (MetricsKind kind = 0; kind < METRICS_KINDS; kind++) {
			g_autofree char *labels = g_strdup_printf("volume=\"%s\",operation=\"%s\"",
								  volume, metrics_kind_name(kind));

			print(out, labels, &sample->operations[kind]);
		}
	}
}

static void operation_print_errors(FILE *out, const char *labels, const MetricsOperation *operation)
{
	fprintf(out, "storageos_operation_errors_total{%s} %" G_GUINT64_FORMAT "\n", labels,
		operation->errors);
}

static void operation_print_bytes(FILE *out, const char *labels, const MetricsOperation *operation)
{
	fprintf(out, "storageos_operation_bytes_total{%s} %" G_GUINT64_FORMAT "\n", labels,
		operation->bytes);
}

/* Prints only buckets whose limit is a power of two, since each bucket is a time series. */
static void operation_print_histogram(FILE *out, const char *labels,
				      const MetricsOperation *operation)
{
	guint64 seen = 0;

	for (guint b = 0; b < METRICS_BUCKETS; b++) {
		guint64 limit = metrics_bucket_limit(b);

		seen += operation->buckets[b];
		if ((limit & (limit - 1)) == 0)
			fprintf(out,
				"storageos_operation_duration_seconds_bucket{%s,le=\"%.9g\"} "
				"%" G_GUINT64_FORMAT "\n",
				labels, (double)limit / NANOSECONDS, seen);
	}
	fprintf(out,
		"storageos_operation_duration_seconds_bucket{%s,le=\"+Inf\"} %" G_GUINT64_FORMAT
		"\n",
		labels, seen);
	fprintf(out, "storageos_operation_duration_seconds_sum{%s} %.9f\n", labels,
		(double)operation->nanoseconds / NANOSECONDS);
	fprintf(out, "storageos_operation_duration_seconds_count{%s} %" G_GUINT64_FORMAT "\n",
		labels, seen);
}

void sample_print_prometheus(const GPtrArray *samples, FILE *out)
{
	metric_print_info(samples, out);
	metric_print_gauges(samples, out);
	for (guint l = 0; l < G_N_ELEMENTS(limits); l++)
		metric_print_limit(samples, out, l);
	prometheus_print_head(out, "operation_errors_total", "counter", "Requests that failed.");
	metric_print_operations(samples, out, operation_print_errors);
	prometheus_print_head(out, "operation_bytes_total", "counter",
			      "Bytes of requests that succeeded.");
	metric_print_operations(samples, out, operation_print_bytes);
	prometheus_print_head(out, "operation_duration_seconds", "histogram",
			      "Time from a request's arrival to its answer.");
	metric_print_operations(samples, out, operation_print_histogram);
}
