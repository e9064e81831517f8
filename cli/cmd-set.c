/* SPDX-License-Identifier: Apache-2.0 */
/*
 * set: changes properties of a volume.
 */
#include "cli/set-offline.h"
#include "cli/set-stored.h"
#include "common/base/error.h"

/* UUID and write cache are changed alone: each with a report of its own, of a detached volume. */
static gboolean offline_is_alone(char *const *assignments, guint n)
{
	for (guint i = 0; i < n && n > 1; i++)
		if (set_offline_is_key(assignments[i])) {
			cli_usage("set: '%s' must be the only assignment", assignments[i]);
			return FALSE;
		}
	return TRUE;
}

static int properties_set(const Cli *cli, const VolumeName *name, char *const *assignments,
			  gboolean dry)
{
	const OfflineProperty *offline = set_offline_find(assignments[0]);
	g_autoptr(GError) error = NULL;
	g_autoptr(GArray) changes = NULL;

	if (offline)
		return set_offline(cli, name, offline, dry, &error) ? CLI_DONE : cli_failed(error);
	if (set_offline_is_key(assignments[0]))
		return cli_usage("set: invalid assignment '%s' (uuid=new, write_cache=on, or "
				 "write_cache=off)",
				 assignments[0]);
	changes = set_stored_parse(assignments, &error);
	if (!changes)
		return cli_usage("set: %s", error->message);
	return set_stored(cli, name, changes, dry, &error) ? CLI_DONE : cli_failed(error);
}

static int verb_set_run(int argc, char **argv)
{
	gboolean dry = FALSE;
	const GOptionEntry options[] = {CLI_DRY_RUN(&dry), {0}};
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_set, options, 2, G_MAXUINT, argc, argv, &status))
		return status;
	name = volume_name_parse(cli.arguments[0], &error);
	if (!name)
		return cli_usage("set: %s", error->message);
	if (!offline_is_alone(cli.arguments + 1, cli.n_arguments - 1))
		return CLI_USAGE;
	return properties_set(&cli, name, cli.arguments + 1, dry);
}

const Verb verb_set = {"set", "NAME KEY=[VALUE]... [-n]", "change properties of a volume",
		       verb_set_run};
