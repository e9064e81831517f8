/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/clone-ways.h"

#include <string.h>

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
	const VolumeName *from, *to;
} Cloning;

gboolean clone_names_parse(const Cli *cli, const Verb *verb, VolumeName **ret_from,
			   VolumeName **ret_to)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(VolumeName) from = volume_name_parse_any(cli->arguments[0], &error);
	g_autoptr(VolumeName) to = from ? volume_name_parse(cli->arguments[1], &error) : NULL;

	if (!to) {
		cli_usage("%s: %s", verb->name, error->message);
		return FALSE;
	}
	*ret_from = g_steal_pointer(&from);
	*ret_to = g_steal_pointer(&to);
	return TRUE;
}

/* The clone is recovered as after a crash, which need not be said. */
static void warnings_say(LoggingLevel level, const char *line)
{
	if (level != LOGGING_INFO)
		cli_say("%s", line);
}

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
	CloneWays way;
	const char *name;
	gboolean (*make)(const Cloning *cloning, GError **error);
} all_ways[] = {{CLONE_REFLINK, "reflink", by_reflink},
		{CLONE_LINKED, "linked", by_link},
		{CLONE_COPY, "copy", by_copy}};

/* Tries the next way where one is not possible at all. */
static gboolean clone_try(const Cloning *cloning, CloneWays ways, const char **ret_how,
			  GError **error)
{
	for (guint i = 0; i < G_N_ELEMENTS(all_ways); i++) {
		g_autoptr(GError) problem = NULL;

		if (!(ways & all_ways[i].way))
			continue;
		*ret_how = all_ways[i].name;
		if (all_ways[i].make(cloning, &problem))
			return TRUE;
		ways &= ~all_ways[i].way;
		if (!ways ||
		    !g_error_matches(problem, STORAGEOS_ERROR, STORAGEOS_ERROR_UNSUPPORTED)) {
			g_propagate_error(error, g_steal_pointer(&problem));
			return FALSE;
		}
	}
	return FALSE;
}

gboolean clone_make(const Cli *cli, const VolumeName *from, const VolumeName *to, CloneWays ways,
		    const char **ret_how, GError **error)
{
	const Cloning cloning = {cli, from, to};
	g_autoptr(Places) places = places_new(cli->config, to);

	if (!pool_check_thin(cli->config, from, error) || !pool_check_thin(cli->config, to, error))
		return FALSE;
	if (!places_lock(places, error))
		return FALSE;
	interrupt_hold();
	logging_set_sink(warnings_say);
	volume_set_cache_size(cli->config->node_cache);
	return clone_try(&cloning, ways, ret_how, error);
}

void clone_report(const Cli *cli, const char *member, const char *done, const VolumeName *from,
		  const VolumeName *to, const char *how)
{
	g_autofree char *source = volume_name_format(from);
	g_autofree char *volume = volume_name_format(to);
	Json *object = json_object_new_object();

	json_add_text(object, "volume", volume);
	json_add_text(object, member, source);
	json_add_text(object, "how", how);
	if (strcmp(how, "linked") != 0)
		cli_report(cli, object, "%s: %s from %s", volume, done, source);
	else
		cli_report(cli, object,
			   "%s: %s from %s (linked: it needs the snapshot until: storageos flatten "
			   "%s)",
			   volume, done, source, volume);
}
