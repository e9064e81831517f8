/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/full-pools.h"
#include "cli/overview.h"
#include "cli/prometheus.h"
#include "cli/sample.h"
#include "cli/served.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/output.h"

#define HEADING_EVERY 20 /* lines between two headings */

typedef struct {
	Cli *cli;
	const GPtrArray *names; /* of VolumeName *; NULL: all served volumes */
	gboolean json, prometheus;
	const char *file; /* where the metrics go; NULL: standard output */
	GPtrArray *last;  /* the samples of the interval before, for --watch */
	guint lines;
} Watching;

static int sample_not_taken(const VolumeName *name, GError *error)
{
	g_autofree char *text = volume_name_format(name);
	gboolean attachable = g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND);

	cli_say("stats %s: %s%s%s", text, error->message,
		attachable ? "; see: storageos attach " : "", attachable ? text : "");
	return CLI_FAILED;
}

/* Fails if the server serves another volume than the one that the name means now. */
static Sample *sample_take_one(const Config *config, const VolumeName *name, GError **error)
{
	g_autoptr(Sample) sample = sample_take(config, name, error);

	return sample && served_check_sample(config, name, sample, error) ? g_steal_pointer(&sample)
									  : NULL;
}

/* Adds a line to `problems` for each sample of a volume whose name means another volume by now. */
static void samples_note_replaced(const Config *config, const GPtrArray *samples,
				  GPtrArray *problems)
{
	for (guint i = 0; i < samples->len; i++) {
		const Sample *sample = g_ptr_array_index(samples, i);
		g_autoptr(VolumeName) name = volume_name_parse_any(sample_volume(sample), NULL);
		g_autoptr(GError) error = NULL;

		if (name && !served_is_in_place(config, name, sample) &&
		    !served_check_sample(config, name, sample, &error))
			g_ptr_array_add(problems, g_strdup(error->message));
	}
}

static GPtrArray *samples_take_all(const Config *config, int *ret_status)
{
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	GPtrArray *samples = sample_take_all(config, problems);

	samples_note_replaced(config, samples, problems);
	for (guint i = 0; i < problems->len; i++) {
		cli_say("stats: %s", (char *)g_ptr_array_index(problems, i));
		*ret_status = CLI_FAILED;
	}
	return samples;
}

/* Takes the samples and prints an error for each server that could not be asked.  NULL if `names`
 * is set and none of them has a sample. */
static GPtrArray *samples_take(const Watching *watching, int *ret_status)
{
	g_autoptr(GPtrArray) samples = NULL;

	*ret_status = CLI_DONE;
	if (!watching->names)
		return samples_take_all(watching->cli->config, ret_status);
	samples = g_ptr_array_new_with_free_func((GDestroyNotify)sample_free);
	for (guint i = 0; i < watching->names->len; i++) {
		const VolumeName *name = g_ptr_array_index(watching->names, i);
		g_autoptr(GError) error = NULL;
		Sample *sample = sample_take_one(watching->cli->config, name, &error);

		if (sample)
			g_ptr_array_add(samples, sample);
		else
			*ret_status = sample_not_taken(name, error);
	}
	return samples->len ? g_steal_pointer(&samples) : NULL;
}

static Json *samples_to_json(const GPtrArray *samples)
{
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	g_autofree char *time = g_date_time_format(now, "%FT%TZ");
	Json *list = json_object_new_array();

	for (guint i = 0; i < samples->len; i++) {
		const Sample *sample = g_ptr_array_index(samples, i);

		json_add_text(sample->data, "time", time);
		json_object_array_add(list, json_object_get(sample->data));
	}
	return list;
}

/* Without a NAME, also what is not served: pools, volumes, and whether a server did not answer. */
static void metrics_print(const Watching *watching, const GPtrArray *samples, int status, FILE *out)
{
	g_autoptr(Overview) overview = NULL;

	sample_print_prometheus(samples, out);
	if (watching->names)
		return;
	overview = overview_take(watching->cli->config);
	overview_print_prometheus(overview, out);
	prometheus_print_head(out, "collection_failed", "gauge",
			      "1 if a server did not answer: its volume's metrics are missing.");
	fprintf(out, "storageos_collection_failed %d\n", status != CLI_DONE);
}

/* Replaces the file, so that a reader sees the old metrics or all of the new ones.  Others must be
 * able to read it, whatever the umask. */
static int metrics_write(const Watching *watching, const GPtrArray *samples, int status)
{
	g_autoptr(GError) error = NULL;
	char *text = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&text, &length);
	gboolean written;

	if (!out)
		return CLI_FAILED; /* no memory for a page */
	metrics_print(watching, samples, status, out);
	written = !fclose(out);
	umask(022);
	written = written && files_write(watching->file, text, length, 0644, FILES_REPLACE, &error);
	free(text);
	if (written)
		return status;
	g_prefix_error(&error, "stats: ");
	return error ? cli_failed(error) : CLI_FAILED;
}

static int samples_print(const Watching *watching, const GPtrArray *samples, int status)
{
	g_autoptr(Json) list = samples_to_json(samples);

	if (watching->file)
		return metrics_write(watching, samples, status);

	if (watching->json) {
		cli_print_json(list);
	} else if (watching->prometheus) {
		metrics_print(watching, samples, status, stdout);
	} else {
		for (guint i = 0; i < samples->len; i++)
			sample_print(g_ptr_array_index(samples, i));
		if (!samples->len && status == CLI_DONE)
			cli_say("stats: no volume is served");
	}
	return status;
}

static void pools_print(const Watching *watching)
{
	g_autoptr(GPtrArray) pools = full_pools(watching->cli->config, watching->names);

	for (guint i = 0; i < pools->len; i++)
		puts(g_ptr_array_index(pools, i));
}

static void samples_print_changes(Watching *watching, const GPtrArray *samples)
{
	if (watching->json) {
		g_autoptr(Json) list = samples_to_json(samples);

		puts(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN |
								  JSON_C_TO_STRING_NOSLASHESCAPE));
		return;
	}
	for (guint i = 0; i < samples->len; i++) {
		const Sample *sample = g_ptr_array_index(samples, i);

		if (watching->lines++ % HEADING_EVERY == 0)
			sample_print_heading();
		sample_print_change(sample, sample_find_earlier(watching->last, sample));
	}
	pools_print(watching);
}

/* Prints `count` intervals (0: no limit).  Ends early when none of the named volumes is served any
 * more. */
static int stats_watch(Watching *watching, guint interval, guint count)
{
	int status = CLI_DONE;

	for (guint i = 0; !count || i < count; i++) {
		GPtrArray *samples;

		if (i)
			g_usleep((gulong)interval * G_USEC_PER_SEC);
		cli_follow_config(watching->cli);
		samples = samples_take(watching, &status);
		if (!samples)
			break;
		samples_print_changes(watching, samples);
		g_clear_pointer(&watching->last, g_ptr_array_unref);
		watching->last = samples;
		if (!output_flush(NULL))
			break; /* the reader has gone; cli_end() reports it */
	}
	g_clear_pointer(&watching->last, g_ptr_array_unref);
	return status;
}

static int stats_print(const Watching *watching)
{
	g_autoptr(GPtrArray) samples = NULL;
	int status;

	samples = samples_take(watching, &status);
	return samples ? samples_print(watching, samples, status) : status;
}

static int verb_stats_run(int argc, char **argv)
{
	gboolean prometheus = FALSE, watched = FALSE;
	g_autofree char *file = NULL;
	int interval = 1, count = 0, status;
	const GOptionEntry options[] = {
		{"prometheus", 0, 0, G_OPTION_ARG_NONE, &prometheus,
		 "Print metrics in Prometheus's text format", NULL},
		{"output", 'o', 0, G_OPTION_ARG_FILENAME, &file,
		 "With --prometheus: replace this file by the metrics", "FILE"},
		{"watch", 0, 0, G_OPTION_ARG_NONE, &watched,
		 "Print the activity of each interval, like iostat", NULL},
		{"interval", 0, 0, G_OPTION_ARG_INT, &interval, "Interval of --watch (default: 1)",
		 "SECONDS"},
		{"count", 0, 0, G_OPTION_ARG_INT, &count,
		 "Number of intervals of --watch (default: no end)", "TIMES"},
		{0},
	};
	g_autoptr(GPtrArray) names = NULL;
	g_auto(Cli) cli = {0};
	Watching watching = {0};

	if (!cli_start(&cli, &verb_stats, options, 0, G_MAXUINT, argc, argv, &status))
		return status;
	if (prometheus && (cli.json || watched))
		return cli_usage("stats: --prometheus excludes --json and --watch");
	if (file && !prometheus)
		return cli_usage("stats: --output needs --prometheus");
	if (interval < 1 || interval > 86400)
		return cli_usage("stats: invalid --interval %d (1 to 86400 seconds)", interval);
	if (count < 0)
		return cli_usage("stats: invalid --count %d (must not be negative)", count);
	names = cli.n_arguments ? cli_volume_names(&cli, "stats", volume_name_parse_any) : NULL;
	if (cli.n_arguments && !names)
		return CLI_USAGE;
	watching = (Watching){.cli = &cli,
			      .names = names,
			      .json = cli.json,
			      .prometheus = prometheus,
			      .file = file};
	return watched ? stats_watch(&watching, (guint)interval, (guint)count)
		       : stats_print(&watching);
}

const Verb verb_stats = {"stats", "[NAME]... [--watch] [--prometheus [-o FILE]]",
			 "show I/O statistics of served volumes", verb_stats_run};
