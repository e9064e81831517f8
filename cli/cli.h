/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every verb of `storageos` shares: options, the configuration, errors, output.
 *
 * A verb is one file, cmd-VERB.c, whose function verb_VERB_run() returns the exit status.  It
 * prints data on standard output and everything else on standard error; an error is one line.
 * Verbs print through stdio and do not check whether the writes succeeded: cli_end() does, once.
 */
#pragma once

#include <glib.h>

#include "common/service/config.h"
#include "common/base/json.h"
#include "common/base/logging.h"
#include "common/service/pool.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

typedef struct {
	const char *name;
	const char *arguments; /* as --help shows them */
	const char *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the verb */
} Verb;

/* A verb's parsed command line. */
typedef struct {
	Config *config;
	gboolean json, quiet;
	char **arguments; /* without the options; NULL-terminated */
	guint n_arguments;
} Cli;

/* Parses the options (`own`, which may be NULL, and those of every verb: --config, --json, --quiet,
 * --help), expects `min` to `max` further arguments and reads the configuration.  On FALSE the
 * error or the help has been printed and *ret_status is what the verb must return.  Fails for a
 * user who cannot see what is served: every volume would look detached to that user.  Arguments
 * are bytes in every locale: options in `own` that take text must use G_OPTION_ARG_FILENAME, which
 * GLib does not convert. */
gboolean cli_start(Cli *ret_cli, const Verb *verb, const GOptionEntry *own, guint min, guint max,
		   int argc, char **argv, int *ret_status);

/* Reads the configuration anew, for a verb that goes on until it is told to end.  One that cannot
 * be read changes nothing. */
void cli_follow_config(Cli *cli);

void cli_clear(Cli *cli);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cli, cli_clear)

/* Runs the verb below `verb` that argv[1] names; `below` ends with NULL, and its names begin with
 * verb's name and a blank.  Prints their help, and an error if there is no such verb. */
int cli_run_below(const Verb *verb, const Verb *const *below, int argc, char **argv);

/* Print a verb's failure and return the exit status, CLI_FAILED or CLI_USAGE. */
int cli_failed(const GError *error);
int cli_usage(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Parses a valid volume size, in bytes.  FALSE: the error has been printed. */
gboolean cli_volume_size(const char *verb, const char *text, guint64 *ret_size);

/* Parses a logical block size (NULL: 512), of which `size` must be a multiple.  FALSE: the error
 * has been printed. */
gboolean cli_block_size(const char *verb, const char *text, guint64 size, guint32 *ret_bytes);

/* Parses the arguments by `parse`, volume_name_parse() or volume_name_parse_any() (VolumeName *,
 * each once).  NULL: the error has been printed, and the verb must return CLI_USAGE.  Free with
 * g_ptr_array_unref(). */
GPtrArray *cli_volume_names(const Cli *cli, const char *verb,
			    VolumeName *(*parse)(const char *text, GError **error));

/* A line for the user on standard error, "storageos: ...", or in the journal (system-log.h). */
void cli_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* The same, of what common/ logs: a LoggingSink. */
void cli_log(LoggingLevel level, const char *line);

/* Says the warning, unless it is NULL, and adds it to the report. */
void cli_warn(const char *verb, const char *warning, Json *report);

void cli_print_json(Json *object);

/* Reports what a verb has changed: the line on standard output, `object` instead with --json,
 * nothing with --quiet.  If standard output cannot be written, cli_end() prints the line on
 * standard error.  Takes the object. */
void cli_report(const Cli *cli, Json *object, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The option --dry-run (-n) of a verb that loses or overwrites something: the same checks, errors
 * and exit status, and nothing is changed. */
#define CLI_DRY_RUN(flag)                                                                          \
	{                                                                                          \
		"dry-run", 'n', 0, G_OPTION_ARG_NONE, flag, "Only say what would be done", NULL    \
	}

/* As cli_report(), of what would have been done; `object` gets the flag `dry_run`. */
void cli_report_dry(const Cli *cli, Json *object, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Only remembers the line for cli_end(); for verbs that print their data themselves. */
void cli_did(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Must be called last: flushes standard output.  Returns the exit status: `status`, or CLI_FAILED
 * if some output could not be written. */
int cli_end(int status);

/* Shows on a terminal what is being done, in a line that the next message replaces.  Prints nothing
 * if standard error is not a terminal. */
void cli_progress(const char *format, ...) G_GNUC_PRINTF(1, 2);
void cli_progress_end(void);

/* The verbs. */
extern const Verb verb_create, verb_list, verb_info, verb_delete, verb_pool, verb_attach,
	verb_detach, verb_stats, verb_status, verb_check, verb_scrub, verb_resize, verb_set,
	verb_get, verb_probe, verb_serve, verb_udev, verb_snapshot, verb_rollback, verb_clone,
	verb_diff, verb_export, verb_import, verb_flatten, verb_rename, verb_move, verb_copy,
	verb_map, verb_compare, verb_top;
