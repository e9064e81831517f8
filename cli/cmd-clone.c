/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/places.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/service/pool-clone.h"

/* The clone is recovered as after a crash, which need not be said. */
static void warnings_say(LoggingLevel level, const char *line)
{
	if (level != LOGGING_INFO)
		cli_say("%s", line);
}

static gboolean clone_make(const Cli *cli, const VolumeName *from, const VolumeName *to,
			   GError **error)
{
	g_autoptr(Places) places = places_new(cli->config, to);
	gboolean done = places_lock(places, error);

	interrupt_hold();
	logging_set_sink(warnings_say);
	volume_set_cache_size(cli->config->node_cache);
	return done && pool_volume_clone(cli->config, from, from->snapshot, to, error);
}

static int verb_clone_run(int argc, char **argv)
{
	g_autoptr(VolumeName) from = NULL, to = NULL;
	g_autofree char *from_text = NULL, *to_text = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	Json *object;
	int status;

	if (!cli_start(&cli, &verb_clone, NULL, 2, 2, argc, argv, &status))
		return status;
	from = volume_name_parse_any(cli.arguments[0], &error);
	to = from ? volume_name_parse(cli.arguments[1], &error) : NULL;
	if (!to)
		return cli_usage("clone: %s", error->message);
	if (!from->snapshot)
		return cli_usage("clone: '%s' names no snapshot (usage: storageos clone %s)",
				 cli.arguments[0], verb_clone.arguments);
	if (!clone_make(&cli, from, to, &error))
		return cli_failed(error);
	from_text = volume_name_format(from);
	to_text = volume_name_format(to);
	object = json_object_new_object();
	json_add_text(object, "volume", to_text);
	json_add_text(object, "snapshot", from_text);
	cli_report(&cli, object, "%s: cloned from %s", to_text, from_text);
	return CLI_DONE;
}

const Verb verb_clone = {"clone", "VOLUME@NAME NEW", "make a volume of a snapshot", verb_clone_run};
