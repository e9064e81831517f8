/* SPDX-License-Identifier: Apache-2.0 */
/*
 * copy: makes a volume of what another one holds, or of a snapshot, that needs neither.
 */
#include "cli/clone-ways.h"
#include "cli/interrupt.h"
#include "cli/served.h"
#include "cli/temporary-snapshot.h"

#define WAYS (CLONE_REFLINK | CLONE_COPY)

static gboolean volume_copy(const Cli *cli, const VolumeName *from, const VolumeName *to,
			    const char **ret_how, GError **error)
{
	g_auto(TemporarySnapshot) snapshot = {0};

	if (served_only_for_reading(cli->config, from))
		return clone_make(cli, from, to, CLONE_COPY, ret_how, error);
	interrupt_hold();
	return temporary_snapshot_take(cli->config, from, FALSE, POLICY_FREEZE_AUTO, &snapshot,
				       error) &&
	       interrupt_check(error) && clone_make(cli, snapshot.name, to, WAYS, ret_how, error);
}

static int verb_copy_run(int argc, char **argv)
{
	g_autoptr(VolumeName) from = NULL, to = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	gboolean done;
	const char *how;
	int status;

	if (!cli_start(&cli, &verb_copy, NULL, 2, 2, argc, argv, &status))
		return status;
	if (!clone_names_parse(&cli, &verb_copy, &from, &to))
		return CLI_USAGE;
	done = from->snapshot ? clone_make(&cli, from, to, WAYS, &how, &error)
			      : volume_copy(&cli, from, to, &how, &error);
	if (!done) {
		g_prefix_error(&error, "copy %s: ", cli.arguments[0]);
		return cli_failed(error);
	}
	clone_report(&cli, "from", "copied", from, to, how);
	return CLI_DONE;
}

const Verb verb_copy = {"copy", "NAME|VOLUME@SNAPSHOT NEW",
			"make a volume of its own of another, or of a snapshot", verb_copy_run};
