/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool rename: gives a pool another name (pool-rename.h), and says where its volumes are still
 * named after the old one.
 */
#include <unistd.h>

#include "cli/facts.h"
#include "cli/interrupt.h"
#include "cli/name-uses.h"
#include "cli/pool-verbs.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/service/config-edit.h"
#include "common/service/pool-rename.h"

/* The pool may be called so no longer, if an earlier command was interrupted. */
static gboolean pool_is_free(const Config *config, const char *name, GError **error)
{
	const ConfigPool *pool = config_find_pool(config, name);
	g_autoptr(GPtrArray) volumes = pool ? facts_list(pool, NULL) : NULL;

	return !pool || pool_is_unused(config, pool, volumes, error);
}

/* With the configuration as it is once the lock is held. */
static gboolean rename_locked(const Cli *cli, const char *from, const char *to, GError **error)
{
	autofd lock = config_lock(cli->config, error);
	g_autoptr(Config) config = lock >= 0 ? config_load_again(cli->config, error) : NULL;

	if (!config || !pool_is_free(config, from, error))
		return FALSE;
	interrupt_hold();
	return pool_rename(config, from, to, error);
}

/* Where volumes of the pool are still called by their old names. */
static GPtrArray *uses_find(const Config *now, const char *from, const ConfigPool *pool)
{
	GPtrArray *uses = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(GPtrArray) names = facts_list(pool, NULL);

	for (guint i = 0; names && i < names->len; i++) {
		const VolumeName old = {.pool = (char *)from, .name = g_ptr_array_index(names, i)};
		g_autoptr(Places) places = places_new(now, &old);
		g_autoptr(GPtrArray) of_volume = name_uses(places);

		for (guint j = 0; j < of_volume->len; j++)
			g_ptr_array_add(uses, g_strdup(g_ptr_array_index(of_volume, j)));
	}
	return uses;
}

static void directory_of_links_remove(const Config *config, const char *pool)
{
	g_autofree char *directory = g_build_filename(config->device_directory, pool, NULL);

	rmdir(directory); /* if it is empty */
}

static int rename_report(const Cli *cli, const char *from, const char *to)
{
	Json *object = json_object_new_object(), *named = json_object_new_array();
	g_autoptr(Config) now = config_load_again(cli->config, NULL);
	const ConfigPool *pool = now ? config_find_pool(now, to) : NULL;
	g_autoptr(GPtrArray) uses = pool ? uses_find(now, from, pool) : NULL;

	for (guint i = 0; uses && i < uses->len; i++) {
		cli_say("pool rename %s: the old name is still in: %s", from,
			(char *)g_ptr_array_index(uses, i));
		json_object_array_add(named, json_text_new(g_ptr_array_index(uses, i)));
	}
	json_add_text(object, "pool", to);
	json_add_text(object, "before", from);
	json_object_object_add(object, "named_in", named);
	cli_report(cli, object, "%s: pool renamed from %s", to, from);
	return CLI_DONE;
}

static int rename_run(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	const char *from, *to;
	int status;

	if (!cli_start(&cli, &pool_verb_rename, NULL, 2, 2, argc, argv, &status))
		return status;
	from = cli.arguments[0];
	to = cli.arguments[1];
	if (!rename_locked(&cli, from, to, &error)) {
		g_prefix_error(&error, "pool rename %s: ", from);
		return cli_failed(error);
	}
	directory_of_links_remove(cli.config, from);
	return rename_report(&cli, from, to);
}

const Verb pool_verb_rename = {"pool rename", "NAME NEW",
			       "give a pool of detached volumes another name", rename_run};
