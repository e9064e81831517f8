/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storageos: makes, shows, attaches and checks volumes.  The verbs are in cmd-*.c.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/interrupt.h"
#include "common/base/output.h"
#include "common/base/program.h"

static const Verb *const verbs[] = {
	&verb_create,	&verb_list,	&verb_info,    &verb_resize,  &verb_set,   &verb_get,
	&verb_delete,	&verb_rename,	&verb_move,    &verb_copy,    &verb_pool,  &verb_attach,
	&verb_detach,	&verb_status,	&verb_stats,   &verb_top,     &verb_check, &verb_scrub,
	&verb_snapshot, &verb_rollback, &verb_clone,   &verb_flatten, &verb_diff,  &verb_export,
	&verb_import,	&verb_map,	&verb_compare, &verb_probe,
};

/* Called by systemd units and the udev rule, not by people. */
static const Verb *const hidden_verbs[] = {&verb_serve, &verb_udev};

static int help_print(void)
{
	puts("Usage: storageos [--config FILE] VERB [ARGUMENT]...\n\nVerbs:");
	for (guint i = 0; i < G_N_ELEMENTS(verbs); i++) {
		printf("  %-8s %-46s %s\n", verbs[i]->name, verbs[i]->arguments, verbs[i]->summary);
	}
	puts("\n"
	     "NAME is a volume: NAME (in the pool 'default'), POOL/NAME, or the absolute path of\n"
	     "a block device that is a volume of its own.  Sizes are binary: 512M, 10G, 1.5TiB.\n"
	     "\n"
	     "  --config FILE  configuration (default: $STORAGEOS_CONFIG or " CONFIG_DEFAULT_FILE
	     ")\n"
	     "  --json         print JSON (every verb that prints data)\n"
	     "  --help         show this help; `VERB --help` and `help VERB` show that of a verb\n"
	     "  --version      show the version\n"
	     "\n"
	     "Exit status: 0 done, 1 failed, 2 usage error.  probe: 0 TCMU, 3 FUSE, 4 neither.\n"
	     "check --repair: 3 all damage repaired, 4 some damage remains.");
	return CLI_DONE;
}

static const Verb *verb_find(const char *name)
{
	for (guint i = 0; i < G_N_ELEMENTS(verbs); i++)
		if (!strcmp(name, verbs[i]->name))
			return verbs[i];
	for (guint i = 0; i < G_N_ELEMENTS(hidden_verbs); i++)
		if (!strcmp(name, hidden_verbs[i]->name))
			return hidden_verbs[i];
	cli_usage("unknown verb '%s' (see: storageos --help)", name);
	return NULL;
}

static int verb_run(int argc, char **argv)
{
	const Verb *verb = verb_find(argv[0]);

	return verb ? verb->run(argc, argv) : CLI_USAGE;
}

static int help_show(const char *name)
{
	char option[] = "--help";
	char *argv[] = {(char *)name, option, NULL};

	return name ? verb_run(2, argv) : help_print();
}

static int version_print(void)
{
	puts("storageos " STORAGEOS_VERSION);
	return CLI_DONE;
}

static int command_line_run(int argc, char **argv)
{
	static const char *const helps[] = {"--help", "-h", "help", NULL};
	static const char *const versions[] = {"--version", "-V", "version", NULL};
	int next = 1;

	for (; next < argc && g_str_has_prefix(argv[next], "--config"); next++) {
		const char *file = argv[next] + strlen("--config");

		if (*file == '=')
			file++;
		else if (!*file)
			file = ++next < argc ? argv[next] : "";
		else
			break;
		if (!*file)
			return cli_usage("--config needs a file");
		g_setenv("STORAGEOS_CONFIG", file, TRUE);
	}
	if (next >= argc)
		return cli_usage("no verb given (see: storageos --help)");
	if (g_strv_contains(helps, argv[next]))
		return help_show(argv[next + 1]);
	if (g_strv_contains(versions, argv[next]))
		return version_print();
	if (*argv[next] == '-')
		return cli_usage("unknown option '%s' (see: storageos --help)", argv[next]);
	return verb_run(argc - next, argv + next);
}

int main(int argc, char **argv)
{
	int status;

	program_begin();
	output_begin();
	logging_set_sink(cli_log);
	status = cli_end(command_line_run(argc, argv));
	interrupt_release();
	return status;
}
