/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/target-configfs.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "common/service/config-edit.h"
#include "common/service/registry.h"

/* ---- create */

/* With signals blocked: a pool is created completely or not at all. */
static gboolean pool_create_uninterrupted(const Config *config, const char *name,
					  const char *directory, gboolean adopt, GError **error)
{
	sigset_t signals, before;
	gboolean done;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	done = pool_create(config, name, directory, adopt, error);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!done)
		g_prefix_error(error, "create pool '%s': ", name);
	return done;
}

static int pool_create_verb(const Cli *cli, const char *name, const char *directory, gboolean adopt)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) now = NULL;
	const ConfigPool *pool;
	Json *object;

	if (!pool_name_valid(name))
		return cli_usage("pool create: invalid pool name '%s': must be " NAME_RULE, name);
	if (!pool_create_uninterrupted(cli->config, name, directory, adopt, &error))
		return cli_failed(error);
	now = config_load_again(cli->config, &error);
	pool = now ? config_find_pool(now, name) : NULL;
	if (!pool)
		return cli_failed(error);
	object = json_object_new_object();
	json_add_text(object, "pool", name);
	json_add_text(object, "directory", pool->path);
	json_add_text(object, "uuid", pool->uuid);
	cli_report(cli, object, "%s: pool in %s", name, pool->path);
	return CLI_DONE;
}

/* ---- delete */

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

/* Covers volumes whose files cannot be listed now because the pool is not mounted. */
static gboolean pool_is_unused(const Config *config, const ConfigPool *pool, GPtrArray *volumes,
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
				  GError **error)
{
	autofd lock = config_lock(config, error);

	return lock >= 0 && pool_is_unused(config, pool, volumes, error) &&
	       config_remove_pool(config, pool->name, error);
}

static int pool_delete_verb(const Cli *cli, const char *name)
{
	const ConfigPool *pool = config_find_pool(cli->config, name);
	g_autoptr(GPtrArray) volumes = pool ? pool_list(pool, NULL) : NULL;
	guint n = volumes ? volumes->len : 0;
	g_autoptr(GError) error = NULL;
	Json *object;

	if (!pool || !pool->listed)
		error_set(&error, STORAGEOS_ERROR_NOT_FOUND, "no such pool in %s",
			  cli->config->file);
	else
		pool_remove_entry(cli->config, pool, volumes, &error);
	if (error) {
		g_prefix_error(&error, "delete pool '%s': ", name);
		return cli_failed(error);
	}
	object = json_object_new_object();
	json_add_text(object, "pool", name);
	json_add_text(object, "directory", pool->path);
	json_add_number(object, "volumes", n);
	cli_report(
		cli, object,
		"%s: removed from %s; %s keeps its %u volume%s (to add the pool again: storageos "
		"pool create %s %s)",
		name, cli->config->file, pool->path, n, n == 1 ? "" : "s", name, pool->path);
	return CLI_DONE;
}

/* ---- list */

/* Why the pool cannot be used, or what its configuration lacks although it can; or NULL. */
static char *pool_find_problem(const ConfigPool *pool, gboolean usable, const GError *error)
{
	if (!usable)
		return g_strdup(error->message);
	return pool->uuid ? NULL
			  : g_strdup_printf("the configuration has no UUID for this pool; to add "
					    "it: storageos pool create %s %s",
					    pool->name, pool->path);
}

static void pool_list_verb(const Config *config, Json *objects)
{
	if (!objects)
		printf("%-20s %-12s %s\n", "POOL", "STATE", "DIRECTORY");
	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);
		g_autoptr(GError) error = NULL;
		g_autofree char *uuid = pool_uuid(pool, &error);
		g_autofree char *problem = pool_find_problem(pool, uuid != NULL, error);
		Json *object;

		if (!objects) {
			printf("%-20s %-12s %s%s%s\n", pool->name, uuid ? "ready" : "missing",
			       pool->path, problem ? ": " : "", problem ? problem : "");
			continue;
		}
		object = json_object_new_object();
		json_add_text(object, "pool", pool->name);
		json_add_text(object, "directory", pool->path);
		json_add_text(object, "uuid", uuid ? uuid : pool->uuid);
		json_add_flag(object, "ready", uuid != NULL);
		json_add_text(object, "problem", problem);
		json_object_array_add(objects, object);
	}
}

/* Reports arguments that match none of the pool verbs. */
static int pool_usage(const Cli *cli)
{
	static const struct {
		const char *name;
		guint arguments;
	} parts[] = {{"create", 3}, {"delete", 2}, {"list", 1}};

	for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
		if (!strcmp(cli->arguments[0], parts[i].name))
			return cli_usage("pool %s: too %s arguments (usage: storageos pool %s)",
					 parts[i].name,
					 cli->n_arguments < parts[i].arguments ? "few" : "many",
					 verb_pool.arguments);
	return cli_usage("pool: unknown verb '%s' (usage: storageos pool %s)", cli->arguments[0],
			 verb_pool.arguments);
}

static int verb_pool_run(int argc, char **argv)
{
	gboolean adopt = FALSE;
	const GOptionEntry options[] = {
		{"adopt", 0, 0, G_OPTION_ARG_NONE, &adopt,
		 "create: accept a pool that was made under another name, such as on another host",
		 NULL},
		{0},
	};
	g_autoptr(Json) objects = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_pool, options, 1, 3, argc, argv, &status))
		return status;
	if (!strcmp(cli.arguments[0], "create") && cli.n_arguments == 3)
		return pool_create_verb(&cli, cli.arguments[1], cli.arguments[2], adopt);
	if (!strcmp(cli.arguments[0], "delete") && cli.n_arguments == 2)
		return pool_delete_verb(&cli, cli.arguments[1]);
	if (!strcmp(cli.arguments[0], "list") && cli.n_arguments == 1) {
		objects = cli.json ? json_object_new_array() : NULL;
		pool_list_verb(cli.config, objects);
		if (objects)
			cli_print_json(objects);
		return CLI_DONE;
	}
	return pool_usage(&cli);
}

const Verb verb_pool = {"pool", "create NAME DIRECTORY [--adopt] | delete NAME | list",
			"create, unregister and list pools", verb_pool_run};
