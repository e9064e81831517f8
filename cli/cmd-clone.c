/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clone: makes a volume of a snapshot, in the first way that is possible: by a reflink of the file,
 * which copies nothing and binds nothing; as a linked clone, which needs the snapshot; by a copy.
 */
#include "cli/clone-copy.h"
#include "cli/clone-hold.h"
#include "cli/interrupt.h"
#include "cli/places.h"
#include "common/base/error.h"
#include "common/base/logging.h"
#include "common/service/pool-clone.h"
#include "common/service/pool-link.h"

typedef struct {
	const Cli *cli;
	VolumeName *from, *to;
	gboolean reflink, linked, copy; /* options */
	const char *how;		/* in which way it was made */
} Cloning;

static void cloning_clear(Cloning *cloning)
{
	volume_name_free(cloning->from);
	volume_name_free(cloning->to);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Cloning, cloning_clear)

/* The clone is recovered as after a crash, which need not be said. */
static void warnings_say(LoggingLevel level, const char *line)
{
	if (level != LOGGING_INFO)
		cli_say("%s", line);
}

/* ---- the ways */

static gboolean by_reflink(const Cloning *cloning, GError **error)
{
	return pool_volume_clone(cloning->cli->config, cloning->from, cloning->from->snapshot,
				 cloning->to, error);
}

static gboolean base_hold(gpointer data, const BaseIdentity *base, const char *uuid, gboolean hold,
			  GError **error)
{
	const Cloning *cloning = data;

	return clone_hold(cloning->cli->config, base, uuid, hold, error);
}

static gboolean by_link(const Cloning *cloning, GError **error)
{
	return pool_volume_link(cloning->cli->config, cloning->from, cloning->to, base_hold,
				(gpointer)cloning, error);
}

static gboolean by_copy(const Cloning *cloning, GError **error)
{
	return clone_copy(cloning->cli, cloning->from, cloning->to, error);
}

static const struct {
	const char *name;
	gboolean (*make)(const Cloning *cloning, GError **error);
} ways[] = {{"reflink", by_reflink}, {"linked", by_link}, {"copy", by_copy}};

/* Tries the next way where one is not possible at all. */
static gboolean clone_try(Cloning *cloning, GError **error)
{
	const gboolean chosen[] = {cloning->reflink, cloning->linked, cloning->copy};
	gboolean any = cloning->reflink || cloning->linked || cloning->copy;

	for (guint i = 0; i < G_N_ELEMENTS(ways); i++) {
		g_autoptr(GError) problem = NULL;
		gboolean last = any || i == G_N_ELEMENTS(ways) - 1;

		if (any && !chosen[i])
			continue;
		cloning->how = ways[i].name;
		if (ways[i].make(cloning, &problem))
			return TRUE;
		if (last ||
		    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_UNSUPPORTED)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return FALSE;
		}
	}
	return FALSE;
}

/* ---- the verb */

static gboolean clone_make(Cloning *cloning, GError **error)
{
	const Config *config = cloning->cli->config;
	g_autoptr(Places) places = places_new(config, cloning->to);

	if (!places_lock(places, error))
		return FALSE;
	interrupt_hold();
	logging_set_sink(warnings_say);
	volume_set_cache_size(config->node_cache);
	return clone_try(cloning, error);
}

static void clone_report(const Cloning *cloning)
{
	g_autofree char *from = volume_name_format(cloning->from);
	g_autofree char *to = volume_name_format(cloning->to);
	Json *object = json_object_new_object();

	json_add_text(object, "volume", to);
	json_add_text(object, "snapshot", from);
	json_add_text(object, "how", cloning->how);
	if (g_strcmp0(cloning->how, "linked") != 0)
		cli_report(cloning->cli, object, "%s: cloned from %s", to, from);
	else
		cli_report(cloning->cli, object,
			   "%s: cloned from %s (linked: it needs the snapshot until: storageos "
			   "flatten %s)",
			   to, from, to);
}

static int verb_clone_run(int argc, char **argv)
{
	g_auto(Cloning) cloning = {0};
	const GOptionEntry options[] = {
		{"reflink", 0, 0, G_OPTION_ARG_NONE, &cloning.reflink,
		 "Only by sharing the extents of the file", NULL},
		{"linked", 0, 0, G_OPTION_ARG_NONE, &cloning.linked,
		 "A linked clone, which reads what it has not changed from the snapshot", NULL},
		{"copy", 0, 0, G_OPTION_ARG_NONE, &cloning.copy, "A copy of everything", NULL},
		{0},
	};
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_clone, options, 2, 2, argc, argv, &status))
		return status;
	if (cloning.reflink + cloning.linked + cloning.copy > 1)
		return cli_usage("clone: --reflink, --linked and --copy exclude each other");
	cloning.cli = &cli;
	cloning.from = volume_name_parse_any(cli.arguments[0], &error);
	cloning.to = cloning.from ? volume_name_parse(cli.arguments[1], &error) : NULL;
	if (!cloning.to)
		return cli_usage("clone: %s", error->message);
	if (!cloning.from->snapshot)
		return cli_usage("clone: '%s' names no snapshot (usage: storageos clone %s)",
				 cli.arguments[0], verb_clone.arguments);
	if (!pool_check_thin(cli.config, cloning.from, &error) ||
	    !pool_check_thin(cli.config, cloning.to, &error) || !clone_make(&cloning, &error))
		return cli_failed(error);
	clone_report(&cloning);
	return CLI_DONE;
}

const Verb verb_clone = {"clone", "VOLUME@NAME NEW [--reflink|--linked|--copy]",
			 "make a volume of a snapshot", verb_clone_run};
