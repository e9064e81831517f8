/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/chosen-volumes.h"

#include "cli/facts.h"

static int pool_add_volumes(const ConfigPool *pool, GPtrArray *names)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) volumes = facts_list(pool, &error);

	for (guint i = 0; volumes && i < volumes->len; i++) {
		const VolumeName name = {.pool = pool->name, .name = g_ptr_array_index(volumes, i)};
		g_autofree char *text = volume_name_format(&name);

		g_ptr_array_add(names, volume_name_parse(text, NULL));
	}
	return volumes ? CLI_DONE : cli_failed(error);
}

/* The pools that the arguments name (const ConfigPool *), or NULL. */
static GPtrArray *pools_named(const Cli *cli, const Verb *verb)
{
	g_autoptr(GPtrArray) pools = g_ptr_array_new();

	for (guint i = 0; i < cli->n_arguments; i++) {
		const ConfigPool *pool = config_find_pool(cli->config, cli->arguments[i]);

		if (!pool) {
			cli_usage("%s: --all takes pools, and there is no pool '%s' in %s (see: "
				  "storageos pool list)",
				  verb->name, cli->arguments[i], cli->config->file);
			return NULL;
		}
		if (!g_ptr_array_find(pools, pool, NULL))
			g_ptr_array_add(pools, (gpointer)pool);
	}
	return g_steal_pointer(&pools);
}

static GPtrArray *pools_thin(const Config *config)
{
	GPtrArray *pools = g_ptr_array_new();

	for (guint i = 0; i < config->pools->len; i++) {
		ConfigPool *pool = g_ptr_array_index(config->pools, i);

		if (!pool->ceph)
			g_ptr_array_add(pools, pool);
	}
	return pools;
}

GPtrArray *chosen_volumes(const Cli *cli, const Verb *verb, gboolean all, int *ret_status)
{
	g_autoptr(GPtrArray) pools = NULL;
	GPtrArray *names;

	*ret_status = CLI_USAGE;
	if (!all && !cli->n_arguments) {
		cli_usage("%s: too few arguments (usage: storageos %s %s)", verb->name, verb->name,
			  verb->arguments);
		return NULL;
	}
	if (!all) {
		names = cli_volume_names(cli, verb->name, volume_name_parse);
		*ret_status = names ? CLI_DONE : CLI_USAGE;
		return names;
	}
	pools = cli->n_arguments ? pools_named(cli, verb) : pools_thin(cli->config);
	if (!pools)
		return NULL;
	*ret_status = CLI_DONE;
	names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);
	for (guint i = 0; i < pools->len; i++)
		if (pool_add_volumes(g_ptr_array_index(pools, i), names) != CLI_DONE)
			*ret_status = CLI_FAILED;
	return names;
}
