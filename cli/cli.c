/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"
#include "common/units.h"

static gboolean progress_shown;

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

G_GNUC_PRINTF(1, 0)
static void say(const char *format, va_list args)
{
	g_autofree char *line = g_strdup_vprintf(format, args);

	cli_progress_end();
	fprintf(stderr, "storageos: %s\n", g_strdelimit(g_strchomp(line), "\n\r", ' '));
}

void cli_say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
}

int cli_failed(const GError *error)
{
	cli_say("%s", error->message);
	return CLI_FAILED;
}

int cli_usage(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say(format, args);
	va_end(args);
	return CLI_USAGE;
}

gboolean cli_volume_size(const char *verb, const char *text, guint64 *ret_size)
{
	if (size_parse(text, ret_size) && *ret_size >= VOLUME_SIZE_MIN &&
	    *ret_size <= VOLUME_SIZE_MAX && *ret_size % SECTOR_SIZE == 0)
		return TRUE;
	cli_usage("%s: '%s' is no size for a volume (1MiB to 64TiB, as in 512M, 10G)", verb, text);
	return FALSE;
}

void cli_print_json(Json *object)
{
	g_autofree char *text = json_to_text(object);

	fputs(text, stdout);
}

/* What this program starts reads the same configuration. */
static void hand_down(const char *config_file)
{
	g_autofree char *path = realpath(config_file, NULL);

	g_setenv("STORAGEOS_CONFIG", path ? path : config_file, TRUE);
}

static gboolean parse_options(const Verb *verb, const GOptionEntry *own, Cli *cli,
			      char **ret_config_file, int *argc, char ***argv, GError **error)
{
	const GOptionEntry common[] = {
		{"config", 0, 0, G_OPTION_ARG_FILENAME, ret_config_file,
		 "Configuration (default: $STORAGEOS_CONFIG or " CONFIG_DEFAULT_FILE ")", "FILE"},
		{"json", 0, 0, G_OPTION_ARG_NONE, &cli->json, "Print JSON", NULL},
		{G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_STRING_ARRAY, &cli->arguments, NULL,
		 verb->arguments},
		{0},
	};
	g_autoptr(GOptionContext) context = g_option_context_new(NULL);

	g_option_context_set_summary(context, verb->summary);
	if (own)
		g_option_context_add_main_entries(context, own, NULL);
	g_option_context_add_main_entries(context, common, NULL);
	return g_option_context_parse(context, argc, argv, error);
}

gboolean cli_start(Cli *ret_cli, const Verb *verb, const GOptionEntry *own, guint min, guint max,
		   int argc, char **argv, int *ret_status)
{
	g_autofree char *program = g_strconcat("storageos ", verb->name, NULL);
	g_autofree char *config_file = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};

	g_set_prgname(program);
	*ret_status = CLI_USAGE;
	if (!parse_options(verb, own, &cli, &config_file, &argc, &argv, &error)) {
		cli_usage("%s: %s (see: storageos %s --help)", verb->name, error->message,
			  verb->name);
		return FALSE;
	}
	cli.n_arguments = cli.arguments ? g_strv_length(cli.arguments) : 0;
	if (cli.n_arguments < min || cli.n_arguments > max) {
		cli_usage("%s: too %s arguments (usage: storageos %s %s)", verb->name,
			  cli.n_arguments < min ? "few" : "many", verb->name, verb->arguments);
		return FALSE;
	}
	if (config_file)
		hand_down(config_file);
	cli.config = config_load(config_file, &error);
	if (!cli.config) {
		*ret_status = cli_failed(error);
		return FALSE;
	}
	*ret_cli = cli;
	*ret_status = CLI_DONE;
	memset(&cli, 0, sizeof cli);
	return TRUE;
}

void cli_clear(Cli *cli)
{
	g_clear_pointer(&cli->config, config_free);
	g_clear_pointer(&cli->arguments, g_strfreev);
}
