/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/system-log.h"
#include "common/base/error.h"
#include "common/base/output.h"
#include "common/base/text.h"
#include "common/base/units.h"

static gboolean progress_shown;
static char *did;

void cli_progress(const char *format, ...)
{
	va_list args;

	if (!isatty(STDERR_FILENO))
		return;
	va_start(args, format);
	fputs("\r\033[K", stderr);
	vfprintf(stderr, format, args);
	fflush(stderr);
	va_end(args);
	progress_shown = TRUE;
}

void cli_progress_end(void)
{
	if (progress_shown)
		fputs("\r\033[K", stderr);
	progress_shown = FALSE;
}

void cli_log(LoggingLevel level, const char *line)
{
	g_autofree char *printable = text_printable(line);

	cli_progress_end();
	if (!system_log_take(level, printable))
		fprintf(stderr, "storageos: %s\n", printable);
}

G_GNUC_PRINTF(2, 0)
static void line_say(LoggingLevel level, const char *format, va_list args)
{
	g_autofree char *line = g_strdup_vprintf(format, args);

	cli_log(level, g_strdelimit(g_strchomp(line), "\n\r\t", ' '));
}

G_GNUC_PRINTF(1, 2)
static void line_fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_say(LOGGING_ERROR, format, args);
	va_end(args);
}

void cli_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_say(LOGGING_WARNING, format, args);
	va_end(args);
}

int cli_failed(const GError *error)
{
	gboolean denied = strstr(error->message, g_strerror(EACCES)) ||
			  strstr(error->message, g_strerror(EPERM));

	line_fail("%s%s", error->message, denied && geteuid() ? " (run as root)" : "");
	return CLI_FAILED;
}

int cli_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	line_say(LOGGING_ERROR, format, args);
	va_end(args);
	return CLI_USAGE;
}

gboolean cli_volume_size(const char *verb, const char *text, guint64 *ret_size)
{
	guint64 size, next;

	if (!size_parse(text, &size) || size < VOLUME_SIZE_MIN || size > VOLUME_SIZE_MAX) {
		cli_usage("%s: invalid volume size '%s' (1MiB to 64TiB, for example 512M or 10G)",
			  verb, text);
		return FALSE;
	}
	if (size % SECTOR_SIZE) {
		next = size - size % SECTOR_SIZE + SECTOR_SIZE;
		cli_usage("%s: '%s' is %" G_GUINT64_FORMAT
			  " bytes, not a multiple of %u (the next multiple is %" G_GUINT64_FORMAT
			  ")",
			  verb, text, size, SECTOR_SIZE, next);
		return FALSE;
	}
	*ret_size = size;
	return TRUE;
}

gboolean cli_block_size(const char *verb, const char *text, guint64 size, guint32 *ret_bytes)
{
	guint64 bytes = SECTOR_SIZE;

	if (text && (!size_parse(text, &bytes) || (bytes != SECTOR_SIZE && bytes != BLOCK_SIZE))) {
		cli_usage("%s: invalid block size '%s' (512 or 4096)", verb, text);
		return FALSE;
	}
	if (size % bytes) {
		cli_usage("%s: the size is not a multiple of the block size of %" G_GUINT64_FORMAT,
			  verb, bytes);
		return FALSE;
	}
	*ret_bytes = (guint32)bytes;
	return TRUE;
}

static gboolean names_have(const GPtrArray *names, const char *text)
{
	for (guint i = 0; i < names->len; i++) {
		g_autofree char *other = volume_name_format(g_ptr_array_index(names, i));

		if (!strcmp(other, text))
			return TRUE;
	}
	return FALSE;
}

GPtrArray *cli_volume_names(const Cli *cli, const char *verb,
			    VolumeName *(*parse)(const char *text, GError **error))
{
	g_autoptr(GPtrArray) names =
		g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);

	for (guint i = 0; i < cli->n_arguments; i++) {
		g_autoptr(GError) error = NULL;
		g_autoptr(VolumeName) name = parse(cli->arguments[i], &error);
		g_autofree char *text = name ? volume_name_format(name) : NULL;

		if (!name) {
			cli_usage("%s: %s", verb, error->message);
			return NULL;
		}
		if (!names_have(names, text))
			g_ptr_array_add(names, g_steal_pointer(&name));
	}
	return g_steal_pointer(&names);
}

void cli_warn(const char *verb, const char *warning, Json *report)
{
	if (warning)
		cli_say("%s: %s", verb, warning);
	json_add_text(report, "warning", warning);
}

void cli_print_json(Json *object)
{
	g_autofree char *text = json_to_text(object);

	fputs(text, stdout);
}

void cli_did(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_free(did);
	did = g_strdup_vprintf(format, args);
	va_end(args);
}

static void line_report(const Cli *cli, Json *object, const char *line)
{
	cli_progress_end();
	if (cli->quiet)
		return;
	if (cli->json)
		cli_print_json(object);
	else
		puts(line);
}

void cli_report(const Cli *cli, Json *object, const char *format, ...)
{
	g_autoptr(Json) owned = object;
	va_list args;

	va_start(args, format);
	g_free(did);
	did = g_strdup_vprintf(format, args);
	va_end(args);
	line_report(cli, owned, did);
}

void cli_report_dry(const Cli *cli, Json *object, const char *format, ...)
{
	g_autoptr(Json) owned = object;
	g_autofree char *line = NULL;
	va_list args;

	json_add_flag(object, "dry_run", TRUE);
	va_start(args, format);
	line = g_strdup_vprintf(format, args);
	va_end(args);
	line_report(cli, owned, line);
}

int cli_end(int status)
{
	g_autofree char *line = g_steal_pointer(&did);
	g_autoptr(GError) error = NULL;

	if (output_end(&error))
		return status;
	if (!line && output_reader_left())
		output_die_of_reader();
	cli_say("%s%s%s", line ? line : "",
		line ? "; this was done, but could not be printed: " : "", error->message);
	return CLI_FAILED;
}

/* Programs that this one starts must read the same configuration. */
static void config_hand_down(const char *config_file)
{
	g_autofree char *path = realpath(config_file, NULL);

	g_setenv("STORAGEOS_CONFIG", path ? path : config_file, TRUE);
}

typedef struct {
	char *config_file;
	gboolean help;
} CommonOptions;

static gboolean options_parse(const Verb *verb, const GOptionEntry *own, Cli *cli,
			      CommonOptions *options, int *argc, char ***argv, GError **error)
{
	const GOptionEntry common[] = {
		{"config", 0, 0, G_OPTION_ARG_FILENAME, &options->config_file,
		 "Configuration (default: $STORAGEOS_CONFIG or " CONFIG_DEFAULT_FILE ")", "FILE"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &cli->json, "Print JSON", NULL},
		{"quiet", 'q', 0, G_OPTION_ARG_NONE, &cli->quiet, "Do not report what was done",
		 NULL},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &options->help, "Show this help", NULL},
		{G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &cli->arguments, NULL,
		 verb->arguments},
		{0},
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);

	g_option_context_set_help_enabled(context, FALSE);
	g_option_context_set_summary(context, verb->summary);
	if (own)
		g_option_context_add_main_entries(context, own, NULL);
	g_option_context_add_main_entries(context, common, NULL);
	if (!g_option_context_parse(context, argc, argv, error))
		return FALSE;
	if (options->help)
		output_help(context);
	return TRUE;
}

static gboolean arguments_count(Cli *cli, const Verb *verb, guint min, guint max)
{
	cli->n_arguments = cli->arguments ? g_strv_length(cli->arguments) : 0;
	if (cli->n_arguments >= min && cli->n_arguments <= max)
		return TRUE;
	cli_usage("%s: too %s arguments (usage: storageos %s %s)", verb->name,
		  cli->n_arguments < min ? "few" : "many", verb->name, verb->arguments);
	return FALSE;
}

/* FALSE for users who can neither use the control sockets nor see who holds which lock. */
static gboolean user_may_see(const Config *config)
{
	g_autofree char *sockets = g_build_filename(config->run_directory, "control", NULL);
	g_autofree char *directory = g_strdup(config->run_directory);

	if (!geteuid())
		return TRUE;
	if (eaccess(sockets, R_OK | X_OK) && errno != ENOENT)
		return FALSE;
	while (eaccess(directory, F_OK) && errno == ENOENT && strcmp(directory, "/") != 0) {
		char *parent = g_path_get_dirname(directory);

		g_free(directory);
		directory = parent;
	}
	return !eaccess(directory, W_OK | X_OK);
}

/* Verbs whose output does not depend on what is served. */
static gboolean verb_is_for_anyone(const Verb *verb)
{
	return verb == &verb_probe || verb == &verb_udev || verb == &verb_serve;
}

/* Verbs without which devices could not be taken away, or would lose their links. */
static gboolean verb_goes_on(const Verb *verb)
{
	return verb == &verb_detach || verb == &verb_udev;
}

static gboolean config_load_for_verb(Cli *cli, const Verb *verb, const char *file, GError **error)
{
	if (file)
		config_hand_down(file);
	cli->config = (verb_goes_on(verb) ? config_load_anyway : config_load)(file, error);
	if (cli->config && cli->config->problem)
		cli_say("%s; %s goes on without what could not be read", cli->config->problem,
			verb->name);
	if (!cli->config || verb_is_for_anyone(verb) || user_may_see(cli->config))
		return cli->config != NULL;
	return error_set_errno(error, EACCES, "%s: access %s", verb->name,
			       cli->config->run_directory);
}

gboolean cli_start(Cli *ret_cli, const Verb *verb, const GOptionEntry *own, guint min, guint max,
		   int argc, char **argv, int *ret_status)
{
	g_autofree char *program = g_strconcat("storageos ", verb->name, NULL);
	g_autofree char *config_file = NULL;
	g_autoptr(GError) error = NULL;
	CommonOptions options = {0};
	g_auto(Cli) cli = {0};

	g_set_prgname(program);
	*ret_status = CLI_USAGE;
	if (!options_parse(verb, own, &cli, &options, &argc, &argv, &error)) {
		cli_usage("%s: %s (see: storageos %s --help)", verb->name, error->message,
			  verb->name);
		return FALSE;
	}
	config_file = options.config_file;
	if (options.help)
		*ret_status = CLI_DONE;
	if (options.help || !arguments_count(&cli, verb, min, max))
		return FALSE;
	if (!config_load_for_verb(&cli, verb, config_file, &error)) {
		*ret_status = cli_failed(error);
		return FALSE;
	}
	*ret_cli = cli;
	*ret_status = CLI_DONE;
	memset(&cli, 0, sizeof cli);
	return TRUE;
}

void cli_follow_config(Cli *cli)
{
	Config *now = config_load_again(cli->config, NULL);

	if (!now)
		return;
	config_free(cli->config);
	cli->config = now;
}

void cli_clear(Cli *cli)
{
	g_clear_pointer(&cli->config, config_free);
	g_clear_pointer(&cli->arguments, g_strfreev);
}

/* ---- verbs below a verb */

static int below_print_help(const Verb *verb, const Verb *const *below)
{
	printf("Usage: storageos %s VERB [ARGUMENT]...\n\nVerbs:\n", verb->name);
	for (; *below; below++)
		printf("  %-8s %-44s %s\n", (*below)->name + strlen(verb->name) + 1,
		       (*below)->arguments, (*below)->summary);
	return CLI_DONE;
}

int cli_run_below(const Verb *verb, const Verb *const *below, int argc, char **argv)
{
	static const char *const helps[] = {"--help", "-h", "help", NULL};

	if (argc < 2)
		return cli_usage("%s: no verb given (see: storageos %s --help)", verb->name,
				 verb->name);
	if (g_strv_contains(helps, argv[1]))
		return below_print_help(verb, below);
	for (guint i = 0; below[i]; i++)
		if (!strcmp(argv[1], below[i]->name + strlen(verb->name) + 1))
			return below[i]->run(argc - 1, argv + 1);
	return cli_usage("%s: unknown verb '%s' (see: storageos %s --help)", verb->name, argv[1],
			 verb->name);
}
