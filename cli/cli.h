/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every verb of `storageos` shares: options, the configuration, errors, output.
 *
 * A verb is one file, cmd-VERB.c, with one function.  It prints data on standard output and
 * everything else on standard error; an error is one line.  It returns the exit status, and prints
 * to stdio: whether that was taken is asked once, by cli_end().
 */
#pragma once

#include <glib.h>

#include "common/service/config.h"
#include "common/base/json.h"
#include "common/service/pool.h"

enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

typedef struct {
	const char *name;
	const char *arguments; /* as --help shows them */
	const char *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the verb */
} Verb;

/* A verb's command line, taken apart. */
typedef struct {
	Config *config;
	gboolean json, quiet;
	char **arguments; /* what is no option, NULL at the end */
	guint n_arguments;
} Cli;

/* Reads the options (`own`, may be NULL, and those of every verb: --config, --json, --quiet,
 * --help) and the configuration; `min` to `max` arguments may be left.  On FALSE the error, or the
 * help, is printed and *ret_status is what the verb returns; so where the caller may not see what
 * is served, since to them every volume would look detached.  Arguments are bytes, in every locale:
 * of `own` use G_OPTION_ARG_FILENAME for text, which GLib leaves alone. */
gboolean cli_start(Cli *ret_cli, const Verb *verb, const GOptionEntry *own, guint min, guint max,
		   int argc, char **argv, int *ret_status);
void cli_clear(Cli *cli);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cli, cli_clear)

/* Every verb prints its failure through one of these; they return the exit status. */
int cli_failed(const GError *error);
int cli_usage(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* Reads a size that a volume may have.  FALSE: it is none, and the error is printed. */
gboolean cli_volume_size(const char *verb, const char *text, guint64 *ret_size);

/* Warns where the volume in that file may take more than the file system has, beside what it has
 * `allocated`. */
void cli_warn_of_promise(const char *verb, const char *path, guint64 size, guint64 allocated);

/* A line for the user on standard error, "storageos: ...". */
void cli_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

void cli_print_json(Json *object);

/* What a verb that changes something has done, in one line without the program's name.  It is data:
 * printed on standard output, or `object` where JSON is wanted, or neither with --quiet.  Where
 * that cannot be printed cli_end() says the line on standard error.  Takes the object. */
void cli_report(const Cli *cli, Json *object, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The same line, for what prints its data itself. */
void cli_did(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* The last thing of the program: whether standard output has taken everything.  Returns the exit
 * status, `status` or CLI_FAILED. */
int cli_end(int status);

/* On a terminal: what is being done, in a line that the next one replaces.  Nothing elsewhere. */
void cli_progress(const char *format, ...) G_GNUC_PRINTF(1, 2);
void cli_progress_end(void);

/* The verbs. */
extern const Verb verb_create, verb_list, verb_info, verb_delete, verb_pool, verb_attach,
	verb_detach, verb_stats, verb_status, verb_check, verb_scrub, verb_resize, verb_set,
	verb_probe, verb_serve, verb_udev;
