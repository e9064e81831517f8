/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub: asks the volume's server to scrub the volume and polls its progress.  A volume that nobody
 * serves is opened and scrubbed in this process.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/chosen-volumes.h"
#include "cli/cli.h"
#include "cli/lines.h"
#include "cli/served.h"
#include "cli/system-log.h"
#include "common/service/control-address.h"
#include "common/service/control-call.h"
#include "common/base/error.h"
#include "common/service/property-command.h"
#include "common/service/property-rules.h"
#include "common/service/scrub-json.h"
#include "common/base/units.h"

#define ANSWER_SECONDS 5
#define LOOK_EVERY 250 /* milliseconds */

typedef struct {
	const Config *config;
	const VolumeName *name;
	char *text;
	char *socket;
	guint64 rate;
	gboolean rate_given, json, all, background;
	const char *action; /* "status" or "stop"; NULL: scrub it */
} Scrubbing;

static void scrubbing_clear(Scrubbing *scrubbing)
{
	g_free(scrubbing->text);
	g_free(scrubbing->socket);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Scrubbing, scrubbing_clear)

/* "12 %, 1.2 GiB, 64 MiB/s, 5 min left", the time by the average speed so far.  Free the result. */
static char *progress_describe(Json *status)
{
	Json *value = json_get_typed(status, "fraction", json_type_double);
	double fraction = value ? json_object_get_double(value) : 0.;
	guint64 bytes = blocks_to_bytes((guint64)json_get_number(status, "blocks"));
	gint64 seconds = g_get_real_time() / G_USEC_PER_SEC - json_get_number(status, "begun");
	g_autofree char *done = size_format(bytes);
	g_autofree char *speed = size_format(bytes / (guint64)MAX(seconds, 1));
	double left = fraction > 0 ? (double)seconds * (1 - fraction) / fraction : 0;

	if (seconds < 1 || fraction <= 0)
		return g_strdup_printf("%.0f %%, %s", fraction * 100, done);
	return g_strdup_printf("%.0f %%, %s, %s/s, %.0f %s left", fraction * 100, done, speed,
			       left < 120 ? left : left / 60, left < 120 ? "s" : "min");
}

static void progress_show(const Scrubbing *scrubbing, Json *status)
{
	g_autofree char *text = progress_describe(status);

	cli_progress("scrub %s: %s, %" G_GINT64_FORMAT " errors", scrubbing->text, text,
		     json_get_number(status, "errors"));
}

/* ---- the result */

static void lost_print(const Scrubbing *scrubbing, Json *status)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	Json *lost = json_get_list(status, "lost");

	for (gsize i = 0; lost && i < json_object_array_length(lost); i++) {
		Json *range = json_object_array_get_idx(lost, i);
		guint64 first = block_of((guint64)json_get_number(range, "offset"));
		guint64 n = block_of((guint64)json_get_number(range, "length"));

		g_ptr_array_add(lines, lines_range("lost: bytes", first, first + n));
	}
	lines_write(scrubbing->text, lines, LINES_MAX - 1, lines_print);
}

/* ", 12 of them of its base", of a linked clone. */
static char *base_describe(Json *status)
{
	gint64 blocks = json_get_number(status, "base_blocks");

	return blocks ? g_strdup_printf(", %" G_GINT64_FORMAT " of them of its base", blocks)
		      : g_strdup("");
}

static void status_print_text(const Scrubbing *scrubbing, Json *status)
{
	gint64 blocks = json_get_number(status, "blocks");
	gint64 ended = json_get_number(status, "ended");
	gboolean running = json_get_flag(status, "running");
	g_autofree char *data = size_format(blocks_to_bytes((guint64)blocks));
	const char *problem = json_get_text(status, "problem");
	g_autofree char *base = base_describe(status);
	g_autofree char *progress = NULL;

	if (!json_get_number(status, "begun")) {
		printf("%s: is not being scrubbed\n", scrubbing->text);
		return;
	}
	lost_print(scrubbing, status);
	if (running)
		progress = progress_describe(status);
	printf("%s: %s%s%s; %" G_GINT64_FORMAT " blocks (%s%s) and %" G_GINT64_FORMAT
	       " copies of metadata verified in %" G_GINT64_FORMAT " s, %" G_GINT64_FORMAT
	       " errors, %" G_GINT64_FORMAT " copies repaired%s%s\n",
	       scrubbing->text,
	       running				   ? "is being scrubbed"
	       : json_get_flag(status, "complete") ? "scrubbed"
						   : "scrub stopped early",
	       problem ? ": " : "", problem ? problem : "", blocks, data, base,
	       json_get_number(status, "copies"),
	       (running ? g_get_real_time() / G_USEC_PER_SEC : ended) -
		       json_get_number(status, "begun"),
	       json_get_number(status, "errors"), json_get_number(status, "repaired"),
	       progress ? "; " : "", progress ? progress : "");
}

static void status_print(const Scrubbing *scrubbing, Json *status)
{
	cli_progress_end();
	json_add_text(status, "volume", scrubbing->text);
	if (scrubbing->json)
		cli_print_json(status);
	else
		status_print_text(scrubbing, status);
}

static int result_print(const Scrubbing *scrubbing, Json *status)
{
	if (json_get_flag(status, "complete"))
		cli_did("scrub %s: scrubbed, %" G_GINT64_FORMAT " errors, %" G_GINT64_FORMAT
			" copies repaired",
			scrubbing->text, json_get_number(status, "errors"),
			json_get_number(status, "repaired"));
	if (json_get_number(status, "errors"))
		system_log_event(LOGGING_ERROR, "scrub-damage",
				 "scrub %s: %" G_GINT64_FORMAT " errors, %" G_GINT64_FORMAT
				 " copies repaired",
				 scrubbing->text, json_get_number(status, "errors"),
				 json_get_number(status, "repaired"));
	status_print(scrubbing, status);
	return json_get_flag(status, "complete") && !json_get_number(status, "errors") ? CLI_DONE
										       : CLI_FAILED;
}

static int scrub_failed(const Scrubbing *scrubbing, GError *error)
{
	g_prefix_error(&error, "scrub %s: ", scrubbing->text);
	cli_failed(error);
	g_error_free(error);
	return CLI_FAILED;
}

/* ---- a volume that is served */

static Json *server_ask(const Scrubbing *scrubbing, const char *action, GError **error)
{
	g_autoptr(Json) request = json_object_new_object();

	json_add_text(request, "command", "scrub");
	json_add_text(request, "action", action);
	if (scrubbing->rate_given)
		json_add_number(request, "rate", scrubbing->rate);
	return control_call(scrubbing->config, scrubbing->socket, request, ANSWER_SECONDS, error);
}

static volatile sig_atomic_t interrupted;

static void interrupt_note(int signal_number)
{
	interrupted = signal_number;
}

/* While the server scrubs, catches these signals, unless they were ignored when this program was
 * started. */
static void signals_heed(gboolean heed)
{
	static const int numbers[] = {SIGINT, SIGTERM};

	for (guint i = 0; i < G_N_ELEMENTS(numbers); i++)
		if (signal(numbers[i], heed ? interrupt_note : SIG_DFL) == SIG_IGN)
			signal(numbers[i], SIG_IGN);
}

/* Says that the server continues the scrub, then ends this program by the signal it received. */
static void scrub_leave_running(const Scrubbing *scrubbing)
{
	cli_say("scrub %s: continues in the background (to stop it: storageos scrub %s --stop)",
		scrubbing->text, scrubbing->text);
	signal(interrupted, SIG_DFL);
	raise(interrupted);
}

static int scrub_follow(const Scrubbing *scrubbing, Json *begun)
{
	g_autoptr(Json) status = json_object_get(begun);
	GError *error = NULL;

	if (!json_get_flag(status, "started"))
		cli_say("scrub %s: a scrub is already running; showing its progress",
			scrubbing->text);
	signals_heed(TRUE);
	while (json_get_flag(status, "running")) {
		Json *next;

		if (interrupted)
			scrub_leave_running(scrubbing);
		progress_show(scrubbing, status);
		g_usleep(LOOK_EVERY * 1000);
		next = server_ask(scrubbing, "status", &error);
		if (!next) {
			g_prefix_error(&error, "the server ended before the scrub: ");
			return scrub_failed(scrubbing, error);
		}
		json_object_put(status);
		status = next;
	}
	signals_heed(FALSE);
	if (interrupted)
		raise(interrupted);
	return result_print(scrubbing, status);
}

/* ---- a volume that nobody serves */

static Volume *scrub_open_volume(const Scrubbing *scrubbing, GError **error)
{
	volume_set_cache_size(scrubbing->config->node_cache);
	return pool_volume_open(scrubbing->config, scrubbing->name, 0, error);
}

/* Without --rate: the volume's, or no limit. */
static guint64 rate_choose(const Scrubbing *scrubbing, Volume *volume)
{
	guint64 rate = scrubbing->rate;
	Properties properties;

	if (scrubbing->rate_given)
		return rate;
	volume_get_properties(volume, &properties);
	property_get_size(&properties, PROPERTY_SCRUB_RATE, &rate);
	return rate;
}

/* Takes over `volume`. */
static int scrub_here(const Scrubbing *scrubbing, Volume *volume)
{
	GError *error = NULL;
	g_autoptr(Json) status = NULL;
	Scrub *scrub_volume;

	scrub_volume = scrub_start(volume, SCRUB_OPENED, rate_choose(scrubbing, volume), &error);
	if (!scrub_volume) {
		volume_close(volume, NULL);
		return scrub_failed(scrubbing, error);
	}
	while (!scrub_wait(scrub_volume, LOOK_EVERY)) {
		g_autoptr(Json) now = scrub_to_json(scrub_volume);

		progress_show(scrubbing, now);
	}
	status = scrub_to_json(scrub_volume);
	scrub_free(scrub_volume);
	if (!volume_close(volume, &error))
		return scrub_failed(scrubbing, error);
	return result_print(scrubbing, status);
}

/* ---- the verb */

static int server_tell(const Scrubbing *scrubbing, const char *action)
{
	GError *error = NULL;
	g_autoptr(Json) status = server_ask(scrubbing, action, &error);

	if (!status)
		return scrub_failed(scrubbing, error);
	if (!strcmp(action, "stop"))
		cli_did("scrub %s: stopped", scrubbing->text);
	status_print(scrubbing, status);
	return CLI_DONE;
}

/* A scrub that the server has started: `begun` is its answer, which is released. */
static int scrub_served(const Scrubbing *scrubbing, Json *begun)
{
	g_autoptr(Json) status = begun;

	if (!scrubbing->background)
		return scrub_follow(scrubbing, status);
	cli_did("scrub %s: started", scrubbing->text);
	status_print(scrubbing, status);
	return CLI_DONE;
}

static int scrub_volume(const Scrubbing *scrubbing)
{
	gint64 since = g_get_monotonic_time();
	GError *error = NULL;
	Json *status;
	Volume *volume;

	do {
		status = server_ask(scrubbing, "start", &error);
		if (status)
			return scrub_served(scrubbing, status);
		if (scrubbing->background ||
		    !g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			break;
		g_clear_error(&error);
		volume = scrub_open_volume(scrubbing, &error);
		if (volume)
			return scrub_here(scrubbing, volume);
	} while (served_just_begins(since, &error));
	return scrub_failed(scrubbing, error);
}

static gboolean rate_parse(const char *text, Scrubbing *scrubbing)
{
	if (!text)
		return TRUE;
	scrubbing->rate_given = TRUE;
	return size_parse(text, &scrubbing->rate);
}

static gboolean volume_is_served(const Scrubbing *scrubbing)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) status = server_ask(scrubbing, "status", &error);

	return status || !g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND);
}

static int name_scrub(const Scrubbing *common, const VolumeName *name)
{
	g_auto(Scrubbing) scrubbing = *common;
	GError *error = NULL;

	scrubbing.name = name;
	scrubbing.text = volume_name_format(name);
	scrubbing.socket = control_name(name);
	system_log_about(scrubbing.text, NULL);
	if (scrubbing.all && (scrubbing.action || scrubbing.background) &&
	    !volume_is_served(&scrubbing))
		return CLI_DONE;
	if (!pool_check_thin(scrubbing.config, name, &error) ||
	    !served_check(scrubbing.config, name, &error))
		return scrub_failed(&scrubbing, error);
	return scrubbing.action ? server_tell(&scrubbing, scrubbing.action)
				: scrub_volume(&scrubbing);
}

/* One after the other; a volume that cannot be scrubbed does not keep the others from it. */
static int names_scrub(const Scrubbing *common, const GPtrArray *names, int status)
{
	for (guint i = 0; i < names->len; i++)
		if (name_scrub(common, g_ptr_array_index(names, i)) != CLI_DONE)
			status = CLI_FAILED;
	return status;
}

static int verb_scrub_run(int argc, char **argv)
{
	gboolean status_only = FALSE, stop = FALSE;
	g_autofree char *rate = NULL;
	Scrubbing scrubbing = {0};
	const GOptionEntry options[] = {
		{"all", 0, 0, G_OPTION_ARG_NONE, &scrubbing.all,
		 "Every volume of the pools, or of all pools", NULL},
		{"rate", 0, 0, G_OPTION_ARG_FILENAME, &rate,
		 "Bytes per second at most (default: the volume's scrub_rate, or 64M if it is "
		 "served; 0: "
		 "no limit)",
		 "SIZE"},
		{"background", 0, 0, G_OPTION_ARG_NONE, &scrubbing.background,
		 "Start the scrub of a served volume and return", NULL},
		{"status", 0, 0, G_OPTION_ARG_NONE, &status_only,
		 "Show the progress, or the last result", NULL},
		{"stop", 0, 0, G_OPTION_ARG_NONE, &stop, "Stop the scrub", NULL},
		{0},
	};
	g_autoptr(GPtrArray) names = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_scrub, options, 0, G_MAXUINT, argc, argv, &status))
		return status;
	if (status_only + stop + scrubbing.background > 1)
		return cli_usage("scrub: --status, --stop and --background exclude each other");
	if (!rate_parse(rate, &scrubbing))
		return cli_usage("scrub: invalid rate '%s' (bytes per second, for example 50M)",
				 rate);
	scrubbing.config = cli.config;
	scrubbing.json = cli.json;
	scrubbing.action = stop ? "stop" : status_only ? "status" : NULL;
	names = chosen_volumes(&cli, &verb_scrub, scrubbing.all, &status);
	return names ? names_scrub(&scrubbing, names, status) : status;
}

const Verb verb_scrub = {"scrub", "NAME...|--all [--rate SIZE] [--status|--stop]",
			 "verify volumes, even in use; repair copies", verb_scrub_run};
