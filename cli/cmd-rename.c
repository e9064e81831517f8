/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/relocate.h"
#include "common/service/pool-move.h"

/* Without a pool, the new name is in the volume's pool, whichever is the default.  NULL: the error
 * has been printed. */
static VolumeName *new_name_parse(const VolumeName *from, const char *text)
{
	g_autofree char *whole = from->pool && !strchr(text, '/')
					 ? g_strconcat(from->pool, "/", text, NULL)
					 : g_strdup(text);
	g_autoptr(GError) error = NULL;
	g_autoptr(VolumeName) to = volume_name_parse(whole, &error);

	if (!to)
		cli_usage("rename: %s", error->message);
	else if (g_strcmp0(from->pool, to->pool) != 0)
		cli_usage("rename: '%s' is in another pool (see: storageos move)", text);
	else
		return g_steal_pointer(&to);
	return NULL;
}

static int verb_rename_run(int argc, char **argv)
{
	gboolean dry = FALSE;
	const GOptionEntry options[] = {CLI_DRY_RUN(&dry), {0}};
	g_autoptr(VolumeName) from = NULL, to = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_rename, options, 2, 2, argc, argv, &status))
		return status;
	from = volume_name_parse(cli.arguments[0], &error);
	if (!from)
		return cli_usage("rename: %s", error->message);
	if (!pool_volume_check_movable(cli.config, from, &error)) {
		g_prefix_error(&error, "rename %s: ", cli.arguments[0]);
		return cli_failed(error);
	}
	to = new_name_parse(from, cli.arguments[1]);
	return to ? relocate(&cli, &verb_rename, from, to, "renamed from", dry) : CLI_USAGE;
}

const Verb verb_rename = {"rename", "NAME NEW [-n]", "give a detached volume another name",
			  verb_rename_run};
