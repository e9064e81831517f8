/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/relocate.h"
#include "common/base/error.h"
#include "common/service/pool-move.h"

static int volume_move(const Cli *cli, VolumeName *from, gboolean dry)
{
	const ConfigPool *pool = config_find_pool(cli->config, cli->arguments[1]);
	g_autoptr(GError) error = NULL;
	VolumeName to = {.pool = pool ? pool->name : NULL, .name = from->name};

	if (!pool_volume_check_movable(cli->config, from, &error)) {
		g_prefix_error(&error, "move %s: ", cli->arguments[0]);
		return cli_failed(error);
	}
	if (!pool)
		return cli_usage("move: no pool '%s' in %s (see: storageos pool list)",
				 cli->arguments[1], cli->config->file);
	return relocate(cli, &verb_move, from, &to, "moved from", dry);
}

static int verb_move_run(int argc, char **argv)
{
	gboolean dry = FALSE;
	const GOptionEntry options[] = {CLI_DRY_RUN(&dry), {0}};
	g_autoptr(VolumeName) from = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_move, options, 2, 2, argc, argv, &status))
		return status;
	from = volume_name_parse(cli.arguments[0], &error);
	if (!from)
		return cli_usage("move: %s", error->message);
	return volume_move(&cli, from, dry);
}

const Verb verb_move = {"move", "NAME POOL [-n]", "move a detached volume to another pool",
			verb_move_run};
