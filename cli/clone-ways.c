/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/clone-ways.h"

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
