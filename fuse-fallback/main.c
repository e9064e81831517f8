/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storageos-fuse: serves a volume as a file, for kernels without TCMU.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/output.h"
#include "common/base/program.h"
#include "common/base/text.h"
#include "fuse-fallback/background.h"
#include "fuse-fallback/log-sink.h"
#include "fuse-fallback/serve.h"

#define EXIT_USAGE 2

typedef struct {
	char *config, *pid_file, *attach_lock;
	gboolean read_only, foreground, version, help;
	char **arguments;
} Options;

static const char description[] =
	"Shows the volume NAME (or POOL/NAME, or a snapshot, NAME@SNAP) as the file "
	"DIRECTORY/NAME,\n"
	"which has the volume's size and is accessible to root alone, until it gets SIGTERM or\n"
	"DIRECTORY is unmounted.  A snapshot can only be read.  Returns when the file can be "
	"used,\n"
	"and goes on in the background.  Log lines go to the journal or syslog, or to\n"
	"standard error in the foreground.\n\n"
	"  storageos-fuse db /mnt/db && losetup --find --show --direct-io=on /mnt/db/db\n\n"
	"Exit status: 0 done, 1 failed, 2 usage.";

static void options_clear(Options *options)
{
	g_free(options->config);
	g_free(options->pid_file);
	g_free(options->attach_lock);
	g_strfreev(options->arguments);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static gboolean options_parse(Options *options, int *argc, char ***argv, GError **error)
{
	const GOptionEntry entries[] = {
		{"config", 0, 0, G_OPTION_ARG_FILENAME, &options->config,
		 "Configuration (default: $STORAGEOS_CONFIG or " CONFIG_DEFAULT_FILE ")", "FILE"},
		{"foreground", 'f', 0, G_OPTION_ARG_NONE, &options->foreground,
		 "Stay in the foreground, log to standard error", NULL},
		{"pid-file", 0, 0, G_OPTION_ARG_FILENAME, &options->pid_file,
		 "Write the ID of the serving process to FILE", "FILE"},
		{"read-only", 'r', 0, G_OPTION_ARG_NONE, &options->read_only,
		 "Write nothing to the volume: it can only be read", NULL},
		{"attach-lock", 0, G_OPTION_FLAG_HIDDEN, G_OPTION_ARG_FILENAME,
		 &options->attach_lock, NULL, NULL},
		{"version", 'V', 0, G_OPTION_ARG_NONE, &options->version, "Print the version",
		 NULL},
		{"help", 'h', 0, G_OPTION_ARG_NONE, &options->help, "Print this", NULL},
		{G_OPTION_REMAINING, 0, 0, G_OPTION_ARG_FILENAME_ARRAY, &options->arguments, NULL,
		 "NAME DIRECTORY"},
		{0},
	};
	g_autoptr(GOptionContext) context = g_option_context_new("- serve a volume as a file");

	g_option_context_set_help_enabled(context, FALSE); /* it would end the program */
	g_option_context_set_description(context, description);
	g_option_context_add_main_entries(context, entries, NULL);
	if (!g_option_context_parse(context, argc, argv, error))
		return FALSE;
	if (options->help)
		output_help(context);
	if (!options->help && !options->version &&
	    (!options->arguments || g_strv_length(options->arguments) != 2))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "expected a volume and a directory; see --help");
	return TRUE;
}

static gboolean enter_background(GError **error)
{
	if (!background_start(error))
		return FALSE;
	program_leave_terminal();
	return TRUE;
}

static gboolean write_pid_file(const char *path, GError **error)
{
	g_autofree char *text = g_strdup_printf("%d\n", (int)getpid());

	return !path || g_file_set_contents(path, text, -1, error);
}

static gboolean server_run(const Options *options, GError **error)
{
	g_autoptr(Config) config = config_load(options->config, error);
	g_autoptr(VolumeName) volume = NULL;
	g_autofree char *mountpoint = NULL;
	g_autofree char *pid_file = NULL;
	gboolean served;

	if (!config)
		return FALSE;
	volume = volume_name_parse_any(options->arguments[0], error);
	if (!volume)
		return FALSE;
	mountpoint = files_absolute(options->arguments[1], NULL);
	pid_file = options->pid_file ? files_absolute(options->pid_file, NULL) : NULL;
	if (!options->foreground && !enter_background(error))
		return FALSE;
	log_sink_serve(volume, !options->foreground);
	/* Do not keep the directory busy that the server was started in. */
	if (chdir("/"))
		return error_set_errno(error, errno, "chdir /");
	umask(077);
	served = write_pid_file(pid_file, error) &&
		 serve(&(ServeRequest){config, volume, mountpoint, background_ready,
				       options->attach_lock, options->read_only},
		       error);
	if (pid_file)
		unlink(pid_file);
	return served;
}

static int serve_volume(const Options *options)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *printable = NULL, *line = NULL;

	program_begin_serving();
	if (server_run(options, &error))
		return EXIT_SUCCESS;
	printable = text_printable(error->message);
	line = g_strdup_printf("storageos-fuse: %s", printable);
	if (!background_fail(line))
		log_error("%s", error->message);
	return EXIT_FAILURE;
}

static void error_print(const GError *error)
{
	g_autofree char *text = text_printable(error->message);

	fprintf(stderr, "storageos-fuse: %s\n", text);
}

int main(int argc, char **argv)
{
	g_auto(Options) options = {0};
	g_autoptr(GError) error = NULL;

	program_begin();
	output_begin();
	log_sink_begin();
	if (!options_parse(&options, &argc, &argv, &error)) {
		error_print(error);
		return EXIT_USAGE;
	}
	if (!options.help && !options.version)
		return serve_volume(&options);
	if (options.version)
		printf("storageos-fuse %s\n", STORAGEOS_VERSION);
	if (output_end(&error))
		return EXIT_SUCCESS;
	if (output_reader_left())
		output_die_of_reader();
	error_print(error);
	return EXIT_FAILURE;
}
