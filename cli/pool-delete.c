/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/attachment.h"
#include "cli/facts.h"
#include "cli/pool-verbs.h"
#include "cli/target-configfs.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/service/config-edit.h"
#include "common/service/pool-event.h"
#include "common/service/registry.h"

static gboolean volume_is_unused(const Config *config, const VolumeName *name, GError **error)
{
	g_autoptr(Places) places = places_new(config, name);
	g_autoptr(Attachment) attachment = attachment_inspect(places);

	return attachment_is_gone(attachment) ||
	       error_set(error, STORAGEOS_ERROR_BUSY, "volume '%s' is in use (%s)", places->text,
			 attachment->problem ? attachment->problem
					     : attachment_state_name(attachment->state));
}

static gboolean volumes_are_unused(const Config *config, const char *pool, GPtrArray *names,
				   GError **error)
{
	for (guint i = 0; i < names->len; i++) {
		const VolumeName *name = g_ptr_array_index(names, i);

		if (!g_strcmp0(name->pool, pool) && !volume_is_unused(config, name, error))
			return FALSE;
	}
	return TRUE;
}

static GPtrArray *names_parse(GPtrArray *texts)
{
	GPtrArray *names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);

	for (guint i = 0; i < texts->len; i++) {
		VolumeName *name = volume_name_parse_any(g_ptr_array_index(texts, i), NULL);

		if (name)
			g_ptr_array_add(names, name);
	}
	return names;
}

gboolean pool_is_unused(const Config *config, const ConfigPool *pool, GPtrArray *volumes,
			GError **error)
{
	g_autoptr(GPtrArray) registered = registry_list(config);
	g_autoptr(GPtrArray) remembered = places_known(config);
	g_autoptr(GPtrArray) texts = target_volumes();
	g_autoptr(GPtrArray) exported = names_parse(texts);

	for (guint i = 0; volumes && i < volumes->len; i++) {
		const VolumeName name = {.pool = pool->name, .name = g_ptr_array_index(volumes, i)};

		if (!volume_is_unused(config, &name, error))
			return FALSE;
	}
	return volumes_are_unused(config, pool->name, registered, error) &&
	       volumes_are_unused(config, pool->name, remembered, error) &&
	       volumes_are_unused(config, pool->name, exported, error);
}

static gboolean pool_remove_entry(const Config *config, const ConfigPool *pool, GPtrArray *volumes,
				  gboolean dry, GError **error)
{
	autofd lock = config_lock(config, error);

	return lock >= 0 && pool_is_unused(config, pool, volumes, error) &&
	       (dry || config_remove_pool(config, pool->name, error));
}

static int pool_delete_it(const Cli *cli, const char *name, gboolean dry)
{
	const ConfigPool *pool = config_find_pool(cli->config, name);
	g_autoptr(GPtrArray) volumes = pool ? facts_list(pool, NULL) : NULL;
	guint n = volumes ? volumes->len : 0;
	g_autoptr(GError) error = NULL;
	Json *object;

	if (!pool || !pool->listed)
		error_set(&error, STORAGEOS_ERROR_NOT_FOUND, "no such pool in %s",
			  cli->config->file);
	else
		pool_remove_entry(cli->config, pool, volumes, dry, &error);
	if (error) {
		g_prefix_error(&error, "delete pool '%s': ", name);
		return cli_failed(error);
	}
	pool_event_forget(cli->config, name);
	object = json_object_new_object();
	json_add_text(object, "pool", name);
	pool_add_place(object, pool);
	json_add_number(object, "volumes", n);
	if (dry) {
		cli_report_dry(cli, object,
			       "%s: would be removed from %s; %s would keep its %u volume%s", name,
			       cli->config->file, pool->path, n, n == 1 ? "" : "s");
		return CLI_DONE;
	}
	cli_report(
		cli, object,
		"%s: removed from %s; %s keeps its %u volume%s (to add the pool again: storageos "
		"pool create %s %s)",
		name, cli->config->file, pool->path, n, n == 1 ? "" : "s", name, pool->path);
	return CLI_DONE;
}

static int delete_run(int argc, char **argv)
{
	gboolean dry = FALSE;
	const GOptionEntry options[] = {CLI_DRY_RUN(&dry), {0}};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &pool_verb_delete, options, 1, 1, argc, argv, &status))
		return status;
	return pool_delete_it(&cli, cli.arguments[0], dry);
}

const Verb pool_verb_delete = {"pool delete", "NAME [-n]", "unregister a pool; its volumes stay",
			       delete_run};
