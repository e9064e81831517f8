/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sample.h"

#include <stdio.h>
#include <string.h>

#include "cli/known-volumes.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "common/base/error.h"
#include "common/base/units.h"

#define ANSWER_SECONDS 5
#define NANOSECONDS 1e9

static Sample *sample_new(Json *data)
{
	Sample *sample = g_new0(Sample, 1);
	Json *operations = json_get_object(data, "operations");

	sample->data = data;
	sample->taken = g_get_monotonic_time();
	for (MetricsKind kind = 0; kind < METRICS_KINDS; kind++)
		metrics_from_json(json_get_object(operations, metrics_kind_name(kind)),
				  &sample->operations[kind]);
	return sample;
}

void sample_free(Sample *sample)
{
	if (!sample)
		return;
	json_object_put(sample->data);
	g_free(sample);
}

static Sample *sample_take_from(const Config *config, const char *socket, GError **error)
{
	g_autoptr(Json) request = json_object_new_object();
	Json *data;

	json_add_text(request, "command", "stats");
	data = control_call(config, socket, request, ANSWER_SECONDS, error);
	return data ? sample_new(data) : NULL;
}

Sample *sample_take(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *socket = control_name(name);

	return sample_take_from(config, socket, error);
}

/* The volume's name; a long one, which its socket's name has only the beginning of, is looked for
 * among those that are known. */
static char *name_of_silent(const Config *config, const char *socket)
{
	char *volume = control_name_volume(socket);
	g_autoptr(GPtrArray) known = strchr(socket, '~') ? known_volumes(config) : NULL;

	for (guint i = 0; known && i < known->len; i++) {
		const VolumeName *name = g_ptr_array_index(known, i);
		g_autofree char *of_name = control_name(name);

		if (!strcmp(of_name, socket)) {
			g_free(volume);
			return volume_name_format(name);
		}
	}
	return volume;
}

static void problem_add(const Config *config, const char *socket, const GError *error,
			GPtrArray *problems)
{
	g_autofree char *volume = name_of_silent(config, socket);

	g_ptr_array_add(problems, g_strdup_printf("%s: %s", volume, error->message));
}

/* Skips what is no volume's socket, and sockets without a server: a killed server leaves its socket
 * behind. */
GPtrArray *sample_take_all(const Config *config, GPtrArray *problems)
{
	GPtrArray *samples = g_ptr_array_new_with_free_func((GDestroyNotify)sample_free);
	g_autoptr(GError) unseen = NULL;
	g_autoptr(GPtrArray) sockets = control_list(config, &unseen);

	if (!sockets)
		g_ptr_array_add(problems, g_strdup(unseen->message));
	for (guint i = 0; sockets && i < sockets->len; i++) {
		const char *socket = g_ptr_array_index(sockets, i);
		g_autofree char *volume = control_name_volume(socket);
		g_autoptr(GError) error = NULL;
		Sample *sample = volume ? sample_take_from(config, socket, &error) : NULL;

		if (!volume)
			continue;
		if (sample)
			g_ptr_array_add(samples, sample);
		else if (!g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			problem_add(config, socket, error, problems);
	}
	return samples;
}

const char *sample_volume(const Sample *sample)
{
	const char *name = json_get_text(sample->data, "volume");

	return name ? name : "?";
}

const Sample *sample_find_earlier(const GPtrArray *samples, const Sample *sample)
{
	gint64 pid = json_get_number(sample->data, "pid");

	for (guint i = 0; samples && i < samples->len; i++) {
		const Sample *candidate = g_ptr_array_index(samples, i);

		if (!strcmp(sample_volume(candidate), sample_volume(sample)) &&
		    json_get_number(candidate->data, "pid") == pid &&
		    json_get_number(candidate->data, "served_seconds") <=
			    json_get_number(sample->data, "served_seconds"))
			return candidate;
	}
	return NULL;
}

BackingPlace sample_place(const Sample *sample)
{
	return (BackingPlace){(guint64)json_get_number(sample->data, "device"),
			      (guint64)json_get_number(sample->data, "inode")};
}

const char *sample_uuid(const Sample *sample)
{
	return json_get_text(sample->data, "uuid");
}

static guint64 sample_number(const Sample *sample, const char *object, const char *key)
{
	return (guint64)json_get_number(json_get_object(sample->data, object), key);
}

const char *sample_failure(const Sample *sample)
{
	return json_get_text(sample->data, "failure");
}

gint64 sample_failed_since(const Sample *sample)
{
	return json_get_number(sample->data, "failed_since");
}

char *sample_failover(const Sample *sample)
{
	static const struct {
		const char *state, *meaning;
	} meanings[] = {
		{"takeover", "being taken over by this gateway"},
		{"owner", "this gateway serves it"},
		{"fenced", "this gateway was fenced off, and opens it again"},
	};
	Json *failover = json_get_object(sample->data, "failover");
	const char *state = failover ? json_get_text(failover, "state") : NULL;
	const char *owner = failover ? json_get_text(failover, "owner") : NULL;

	if (!state)
		return NULL;
	for (guint i = 0; i < G_N_ELEMENTS(meanings); i++)
		if (!strcmp(state, meanings[i].state))
			return g_strdup(meanings[i].meaning);
	return g_strconcat("on standby", owner ? " for " : "", owner ? owner : "", NULL);
}

void sample_add_state(const Sample *sample, Json *object)
{
	static const char *const numbers[] = {"served_seconds", "in_flight", "checksum_errors"};

	json_add_text(object, "volume_state", json_get_text(sample->data, "state"));
	json_add_text(object, "failure", sample_failure(sample));
	if (json_get_object(sample->data, "failover"))
		json_add_text(object, "failover",
			      json_get_text(json_get_object(sample->data, "failover"), "state"));
	for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
		json_add_number(object, numbers[i],
				(guint64)json_get_number(sample->data, numbers[i]));
}

/* An image of Ceph, of which the engine knows no more than its size. */
static gboolean is_direct(const Sample *sample)
{
	return json_get_flag(sample->data, "direct");
}

void sample_add_engine_info(const Sample *sample, Json *object)
{
	if (is_direct(sample))
		return;
	json_add_number(object, "generation", (guint64)json_get_number(sample->data, "generation"));
	json_add_number(object, "data_bytes", sample_number(sample, "space", "data"));
	json_add_number(object, "metadata_bytes", sample_number(sample, "space", "metadata"));
	json_add_number(object, "journal_size", sample_number(sample, "journal", "size"));
	json_add_number(object, "journal_used", sample_number(sample, "journal", "used"));
	json_add_number(object, "scrub_time", sample_number(sample, "scrub", "time"));
	json_add_number(object, "scrub_blocks", sample_number(sample, "scrub", "blocks"));
	json_add_number(object, "scrub_errors", sample_number(sample, "scrub", "errors"));
	json_add_number(object, "scrub_repaired", sample_number(sample, "scrub", "repaired"));
}

/* ---- for people */

const char *sample_duration(guint64 ns, char *text, gsize room)
{
	if (ns < 1000000)
		g_snprintf(text, room, "%.0fus", (double)ns / 1e3);
	else if (ns < 10000000)
		g_snprintf(text, room, "%.3gms", (double)ns / 1e6);
	else if (ns < 1000000000)
		g_snprintf(text, room, "%.0fms", (double)ns / 1e6);
	else
		g_snprintf(text, room, "%.1fs", (double)ns / 1e9);
	return text;
}

static double percent(guint64 part, guint64 whole)
{
	return whole ? 100. * (double)part / (double)whole : 0;
}

static void operation_print(const char *name, const MetricsOperation *operation)
{
	static const double shares[] = {.5, .95, .99, .999};
	guint64 count = metrics_count(operation);
	g_autofree char *bytes = size_format(operation->bytes);
	char text[16];

	printf("  %-18s %12" G_GUINT64_FORMAT " %10s %8" G_GUINT64_FORMAT, name, count, bytes,
	       operation->errors);
	printf(" %8s",
	       sample_duration(count ? operation->nanoseconds / count : 0, text, sizeof text));
	for (guint i = 0; i < G_N_ELEMENTS(shares); i++)
		printf(" %8s", sample_duration(metrics_percentile(operation, shares[i]), text,
					       sizeof text));
	printf(" %8s\n", sample_duration(operation->longest, text, sizeof text));
}

static void sample_print_space(const Sample *sample)
{
	static const char *const keys[] = {"size", "allocated", "data", "metadata", "reclaimable"};
	guint n = is_direct(sample) ? 2 : G_N_ELEMENTS(keys);

	printf("  %-18s", "space");
	for (guint i = 0; i < n; i++) {
		g_autofree char *size = size_format(sample_number(sample, "space", keys[i]));

		printf("%s %s %s", i ? "," : "", keys[i], size);
	}
	putchar('\n');
}

static void sample_print_failover(const Sample *sample)
{
	g_autofree char *failover = sample_failover(sample);

	if (failover)
		printf("  %-18s %s; taken over %" G_GUINT64_FORMAT
		       " times, fenced off %" G_GUINT64_FORMAT " times\n",
		       "failover", failover, sample_number(sample, "failover", "takeovers"),
		       sample_number(sample, "failover", "fencings"));
}

Json *sample_limit(const Sample *sample, const char *direction)
{
	return json_get_object(json_get_object(sample->data, "limits"), direction);
}

/* "1000 requests/s, 100 MiB/s; 3 wait, 1200 have waited 12ms in the mean, 0 were refused". */
static void sample_print_limit(const Sample *sample, const char *direction)
{
	Json *limit = sample_limit(sample, direction);
	guint64 iops = (guint64)json_get_number(limit, "iops");
	guint64 bytes = (guint64)json_get_number(limit, "bytes");
	guint64 waits = (guint64)json_get_number(limit, "waits");
	guint64 ns = (guint64)json_get_number(limit, "wait_ns");
	g_autofree char *label = g_strdup_printf("%s limit", direction);
	g_autofree char *size = size_format(bytes);
	char mean[16];

	if (!iops && !bytes)
		return;
	printf("  %-18s ", label);
	if (iops)
		printf("%" G_GUINT64_FORMAT " requests/s%s", iops, bytes ? ", " : "");
	if (bytes)
		printf("%s/s", size);
	printf("; %" G_GINT64_FORMAT " wait, %" G_GUINT64_FORMAT
	       " have waited %s in the mean, %" G_GINT64_FORMAT " were refused\n",
	       json_get_number(limit, "waiting"), waits,
	       sample_duration(waits ? ns / waits : 0, mean, sizeof mean),
	       json_get_number(limit, "refused"));
}

static void sample_print_tidied(const Sample *sample)
{
	guint64 run = sample_number(sample, "space", "run");
	g_autofree char *run_text = size_format(run);
	g_autofree char *tidied = size_format(sample_number(sample, "space", "tidied"));

	printf("  %-18s %s moved", "tidied", tidied);
	if (run)
		printf(", runs of %s", run_text);
	putchar('\n');
}

static void sample_print_rest(const Sample *sample)
{
	guint64 hits = sample_number(sample, "cache", "hits");
	guint64 lookups = hits + sample_number(sample, "cache", "misses");
	guint64 used = sample_number(sample, "journal", "used"),
		size = sample_number(sample, "journal", "size");
	g_autofree char *used_text = size_format(used);
	g_autofree char *size_text = size_format(size);

	printf("  %-18s %" G_GUINT64_FORMAT " nodes, %.1f%% of %" G_GUINT64_FORMAT " lookups hit\n",
	       "map cache", sample_number(sample, "cache", "nodes"), percent(hits, lookups),
	       lookups);
	printf("  %-18s %s of %s used (%.0f%%)\n", "journal", used_text, size_text,
	       percent(used, size));
	printf("  %-18s %" G_GINT64_FORMAT "\n", "checkpoints",
	       json_get_number(sample->data, "checkpoints"));
	printf("  %-18s %" G_GINT64_FORMAT "\n", "checksum errors",
	       json_get_number(sample->data, "checksum_errors"));
}

void sample_print(const Sample *sample)
{
	const char *state = json_get_text(sample->data, "state");
	const char *frontend = json_get_text(sample->data, "frontend");
	const char *failure = json_get_text(sample->data, "failure");
	gint64 seconds = json_get_number(sample->data, "served_seconds");

	printf("%s: %s%s%s; over %s by process %" G_GINT64_FORMAT " for %" G_GINT64_FORMAT
	       ":%02d:%02d; %" G_GINT64_FORMAT " in flight\n",
	       sample_volume(sample), state ? state : "?", failure ? ": " : "",
	       failure ? failure : "", frontend ? frontend : "?",
	       json_get_number(sample->data, "pid"), seconds / 3600, (int)(seconds / 60 % 60),
	       (int)(seconds % 60), json_get_number(sample->data, "in_flight"));
	printf("  %-18s %12s %10s %8s %8s %8s %8s %8s %8s %8s\n", "", "requests", "bytes", "errors",
	       "mean", "50%", "95%", "99%", "99.9%", "max");
	for (MetricsKind kind = 0; kind < METRICS_KINDS; kind++)
		operation_print(metrics_kind_name(kind), &sample->operations[kind]);
	sample_print_limit(sample, "read");
	sample_print_limit(sample, "write");
	sample_print_space(sample);
	if (is_direct(sample))
		return;
	sample_print_tidied(sample);
	sample_print_rest(sample);
	sample_print_failover(sample);
}

/* ---- what changes, a line each time, after iostat */

void sample_print_heading(void)
{
	printf("%-24s %8s %8s %8s %8s %8s %8s %8s %8s %8s %7s %5s\n", "volume", "r/s", "rMiB/s",
	       "r_50%", "r_99%", "w/s", "wMiB/s", "w_50%", "w_99%", "f/s", "aqu-sz", "jrnl%");
}

static void rate_print(const MetricsOperation *change, double seconds)
{
	char text[16];

	printf(" %8.0f %8.1f", (double)metrics_count(change) / seconds,
	       (double)change->bytes / (double)MIB / seconds);
	printf(" %8s", sample_duration(metrics_percentile(change, .5), text, sizeof text));
	printf(" %8s", sample_duration(metrics_percentile(change, .99), text, sizeof text));
}

/* The mean number of requests in flight is what they took together, by the time (Little's law). */
void sample_print_change(const Sample *sample, const Sample *earlier)
{
	static const MetricsOperation none;
	MetricsOperation change[METRICS_KINDS];
	gint64 served = json_get_number(sample->data, "served_seconds");
	double seconds = earlier ? (double)(sample->taken - earlier->taken) / G_USEC_PER_SEC
				 : (double)served;
	guint64 together = 0;

	seconds = MAX(seconds, 1e-3);
	for (MetricsKind kind = 0; kind < METRICS_KINDS; kind++) {
		change[kind] = metrics_since(&sample->operations[kind],
					     earlier ? &earlier->operations[kind] : &none);
		together += change[kind].nanoseconds;
	}
	printf("%-24s", sample_volume(sample));
	rate_print(&change[METRICS_READ], seconds);
	rate_print(&change[METRICS_WRITE], seconds);
	printf(" %8.0f %7.2f %5.0f\n", (double)metrics_count(&change[METRICS_FLUSH]) / seconds,
	       (double)together / NANOSECONDS / seconds,
	       percent(sample_number(sample, "journal", "used"),
		       sample_number(sample, "journal", "size")));
}
