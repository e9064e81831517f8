/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone: makes a volume of a snapshot, in the first way that is possible.
 */
#include "cli/clone-ways.h"

static int verb_clone_run(int argc, char **argv)
{
	gboolean reflink = FALSE, linked = FALSE, copy = FALSE;
	const GOptionEntry options[] = {
		{"reflink", 0, 0, G_OPTION_ARG_NONE, &reflink,
		 "Only by sharing the extents of the file", NULL},
		{"linked", 0, 0, G_OPTION_ARG_NONE, &linked,
		 "A linked clone, which reads what it has not changed from the snapshot", NULL},
		{"copy", 0, 0, G_OPTION_ARG_NONE, &copy, "A copy of everything", NULL},
		{0},
	};
	g_autoptr(VolumeName) from = NULL, to = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	const char *how;
	CloneWays ways;
	int status;

	if (!cli_start(&cli, &verb_clone, options, 2, 2, argc, argv, &status))
		return status;
	if (reflink + linked + copy > 1)
		return cli_usage("clone: --reflink, --linked and --copy exclude each other");
	if (!clone_names_parse(&cli, &verb_clone, &from, &to))
		return CLI_USAGE;
	if (!from->snapshot)
		return cli_usage("clone: '%s' names no snapshot (usage: storageos clone %s; of a "
				 "volume: storageos copy %s %s)",
				 cli.arguments[0], verb_clone.arguments, cli.arguments[0],
				 cli.arguments[1]);
	ways = reflink	? CLONE_REFLINK
	       : linked ? CLONE_LINKED
	       : copy	? CLONE_COPY
			: CLONE_REFLINK | CLONE_LINKED | CLONE_COPY;
	if (!clone_make(&cli, from, to, ways, &how, &error)) {
		g_prefix_error(&error, "clone %s: ", cli.arguments[0]);
		return cli_failed(error);
	}
	clone_report(&cli, "snapshot", "cloned", from, to, how);
	return CLI_DONE;
}

const Verb verb_clone = {"clone", "VOLUME@NAME NEW [--reflink|--linked|--copy]",
			 "make a volume of a snapshot", verb_clone_run};
