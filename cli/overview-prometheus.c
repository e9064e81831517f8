/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/overview.h"

#include <string.h>

#include "cli/prometheus.h"

/* ---- pools */

static void pool_print(FILE *out, const char *metric, const PoolView *pool, guint64 value)
{
	fprintf(out, "storageos_%s{pool=\"%s\"} %" G_GUINT64_FORMAT "\n", metric, pool->pool->name,
		value);
}

static void pools_print_marks(const GPtrArray *pools, FILE *out)
{
	prometheus_print_head(
		out, "pool_mark_percent", "gauge",
		"Highest percentage of the key warn that the pool has passed, 0: none.");
	for (guint i = 0; i < pools->len; i++) {
		const PoolView *pool = g_ptr_array_index(pools, i);

		if (pool->measured)
			pool_print(out, "pool_mark_percent", pool, pool->mark);
	}
}

/* A number of a pool, which has it if the flag at `condition` is set. */
static const struct {
	const char *name, *help;
	gsize value, condition;
} pool_gauges[] = {
	{"pool_size_bytes",
	 "Size of the pool's file system, its quota if that is less, or of Ceph's pool.",
	 offsetof(PoolView, size), offsetof(PoolView, measured)},
	{"pool_free_bytes", "Space in it that volumes can still take.", offsetof(PoolView, free),
	 offsetof(PoolView, measured)},
	{"pool_used_bytes", "Space that the pool's volumes take.", offsetof(PoolView, used),
	 offsetof(PoolView, counted)},
	{"pool_promised_bytes", "Sizes of the pool's volumes together, as disks.",
	 offsetof(PoolView, promised), offsetof(PoolView, promises)},
	{"pool_volumes", "Volumes in the pool.", offsetof(PoolView, volumes),
	 offsetof(PoolView, ready)},
};

static void pools_print(const GPtrArray *pools, FILE *out)
{
	prometheus_print_head(out, "pool_ready", "gauge",
			      "1 if the pool is there and its disk answers.");
	for (guint i = 0; i < pools->len; i++) {
		const PoolView *pool = g_ptr_array_index(pools, i);

		pool_print(out, "pool_ready", pool, pool->ready ? 1 : 0);
	}
	for (guint g = 0; g < G_N_ELEMENTS(pool_gauges); g++) {
		prometheus_print_head(out, pool_gauges[g].name, "gauge", pool_gauges[g].help);
		for (guint i = 0; i < pools->len; i++) {
			const PoolView *pool = g_ptr_array_index(pools, i);
			const gboolean *condition =
				G_STRUCT_MEMBER_P(pool, pool_gauges[g].condition);
			const guint64 *value = G_STRUCT_MEMBER_P(pool, pool_gauges[g].value);

			if (*condition)
				pool_print(out, pool_gauges[g].name, pool, *value);
		}
	}
}

/* ---- volumes */

/* attachment_state_name() in lower case, with "_" for a blank: "in_use".  Free the result. */
static char *state_label(AttachmentState state)
{
	char *label = g_ascii_strdown(attachment_state_name(state), -1);

	return g_strdelimit(label, " ", '_');
}

/* One sample for each state, so that a query sees a volume leave a state. */
static void volume_print_states(FILE *out, const char *volume, const OverviewVolume *of)
{
	for (AttachmentState state = STATE_DETACHED; state <= STATE_UNWATCHED; state++) {
		g_autofree char *label = state_label(state);

		fprintf(out, "storageos_volume_state{volume=\"%s\",state=\"%s\"} %d\n", volume,
			label, state == of->state);
	}
}

static void volume_print_served(FILE *out, const char *volume, const OverviewVolume *of)
{
	fprintf(out, "storageos_volume_served{volume=\"%s\"} %d\n", volume, of->served);
}

static void volume_print_missing(FILE *out, const char *volume, const OverviewVolume *of)
{
	if (of->expected)
		fprintf(out, "storageos_attachment_missing{volume=\"%s\"} %d\n", volume,
			!of->served);
}

static void volume_print_unreadable(FILE *out, const char *volume, const OverviewVolume *of)
{
	fprintf(out, "storageos_volume_unreadable{volume=\"%s\"} %d\n", volume,
		!of->readable || of->shortened);
}

static void volume_print_scrub_time(FILE *out, const char *volume, const OverviewVolume *of)
{
	if (of->scrubbed)
		fprintf(out,
			"storageos_scrub_timestamp_seconds{volume=\"%s\"} %" G_GUINT64_FORMAT "\n",
			volume, of->scrub_time);
}

static void volume_print_scrub_errors(FILE *out, const char *volume, const OverviewVolume *of)
{
	if (of->scrubbed)
		fprintf(out, "storageos_scrub_errors{volume=\"%s\"} %" G_GUINT64_FORMAT "\n",
			volume, of->scrub_errors);
}

static const struct {
	const char *name, *help;
	void (*print)(FILE *out, const char *volume, const OverviewVolume *of);
} volume_gauges[] = {
	{"volume_state", "1 for the state that the volume is in, 0 for the others.",
	 volume_print_states},
	{"volume_served", "1 if a server has the volume open and works.", volume_print_served},
	{"attachment_missing",
	 "1 if this machine is configured to serve the volume and does not; 0 if it does.",
	 volume_print_missing},
	{"volume_unreadable", "1 if the volume's superblocks cannot be read, or its file was cut.",
	 volume_print_unreadable},
	{"scrub_timestamp_seconds", "When the last complete scrub ended, 0 if there was none.",
	 volume_print_scrub_time},
	{"scrub_errors", "Damage that the last complete scrub found.", volume_print_scrub_errors},
};

static void volumes_print(const GPtrArray *volumes, FILE *out)
{
	for (guint g = 0; g < G_N_ELEMENTS(volume_gauges); g++) {
		prometheus_print_head(out, volume_gauges[g].name, "gauge", volume_gauges[g].help);
		for (guint i = 0; i < volumes->len; i++) {
			const OverviewVolume *volume = g_ptr_array_index(volumes, i);
			g_autofree char *name = prometheus_escape(volume->name);

			volume_gauges[g].print(out, name, volume);
		}
	}
}

void overview_print_prometheus(const Overview *overview, FILE *out)
{
	pools_print(overview->pools, out);
	pools_print_marks(overview->pools, out);
	volumes_print(overview->volumes, out);
}
