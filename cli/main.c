/* SPDX-License-Identifier: Apache-2.0 */
/*
 * storageos: makes, shows, attaches and checks volumes.  The verbs are in cmd-*.c.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

static const Verb *const verbs[] = {
	&verb_create, &verb_list,   &verb_info,	  &verb_resize, &verb_delete,
	&verb_pool,   &verb_attach, &verb_detach, &verb_status, &verb_stats,
	&verb_check,  &verb_scrub,  &verb_probe,
};

/* For units and rules, not for people. */
static const Verb *const hidden_verbs[] = {&verb_serve, &verb_udev};

static void print_help(void)
{
	puts("Usage: storageos [--config FILE] VERB [ARGUMENT]...\n\nVerbs:");
	for (guint i = 0; i < G_N_ELEMENTS(verbs); i++) {
		printf("  %-7s %-46s %s\n", verbs[i]->name, verbs[i]->arguments, verbs[i]->summary);
	}
	puts("\n"
	     "NAME is a volume: NAME in the pool 'default', POOL/NAME, or the path of a block\n"
	     "device that is a volume of its own.  Sizes are binary: 512M, 10G, 1.5TiB.\n"
	     "\n"
	     "  --config FILE  configuration (default: $STORAGEOS_CONFIG or " CONFIG_DEFAULT_FILE
	     ")\n"
	     "  --json         data as JSON, with every verb that prints data\n"
	     "  --help         this, or with a verb more about it\n"
	     "  --version      the version\n"
	     "\n"
	     "Exit status: 0 done, 1 failed, 2 usage; of probe 0 TCMU, 3 FUSE, 4 neither;\n"
	     "of check --repair 3 mended, 4 damage is left.");
}

static int run_verb(int argc, char **argv)
{
	for (guint i = 0; i < G_N_ELEMENTS(verbs); i++)
		if (!strcmp(argv[0], verbs[i]->name))
			return verbs[i]->run(argc, argv);
	for (guint i = 0; i < G_N_ELEMENTS(hidden_verbs); i++)
		if (!strcmp(argv[0], hidden_verbs[i]->name))
			return hidden_verbs[i]->run(argc, argv);
	return cli_usage("there is no verb '%s' (see: storageos --help)", argv[0]);
}

int main(int argc, char **argv)
{
	int next = 1;

	if (next + 1 < argc && !strcmp(argv[next], "--config")) {
		g_setenv("STORAGEOS_CONFIG", argv[next + 1], TRUE);
		next += 2;
	} else if (next < argc && g_str_has_prefix(argv[next], "--config=")) {
		g_setenv("STORAGEOS_CONFIG", strchr(argv[next], '=') + 1, TRUE);
		next++;
	}
	if (next >= argc)
		return cli_usage("a verb is wanted (see: storageos --help)");
	if (!strcmp(argv[next], "--help") || !strcmp(argv[next], "-h") ||
	    !strcmp(argv[next], "help")) {
		print_help();
		return CLI_DONE;
	}
	if (!strcmp(argv[next], "--version")) {
		puts("storageos " STORAGEOS_VERSION);
		return CLI_DONE;
	}
	if (*argv[next] == '-')
		return cli_usage("unknown option '%s' (see: storageos --help)", argv[next]);
	return run_verb(argc - next, argv + next);
}
