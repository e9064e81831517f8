/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/facts.h"
#include "cli/target-configfs.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "common/service/config-edit.h"
#include "common/service/pool-store.h"
#include "common/service/registry.h"

#define ASK_SECONDS 10

/* ---- create */

/* With signals blocked: a pool is created completely or not at all. */
static gboolean pool_create_uninterrupted(const Config *config, const ConfigPool *wanted,
					  gboolean adopt, GError **error)
{
	sigset_t signals, before;
	gboolean done;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, &before);
	done = wanted->ceph ? pool_store_make(config, wanted, adopt, error)
			    : pool_create(config, wanted->name, wanted->path, adopt, error);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!done)
		g_prefix_error(error, "create pool '%s': ", wanted->name);
	return done;
}

/* Where the pool is: its directory, or what it is in Ceph. */
static void json_add_place(Json *object, const ConfigPool *pool)
{
	json_add_text(object, pool->ceph ? "rbd" : "directory",
		      pool->path + (pool->ceph ? strlen(CONFIG_CEPH) : 0));
	json_add_text(object, "ceph_conf", pool->ceph_conf);
	json_add_text(object, "ceph_id", pool->ceph_id);
}

static gboolean is_word(const char *text)
{
	return *text && !strpbrk(text, "/@?& ") && g_utf8_validate(text, -1, NULL);
}

/* What a URI and the configuration can hold. */
static gboolean ceph_is_valid(const ConfigPool *wanted)
{
	g_auto(GStrv) names = g_strsplit(wanted->path + strlen(CONFIG_CEPH), "/", 3);
	guint n = g_strv_length(names);
	gboolean good = n == 1 || n == 2;

	for (guint i = 0; i < n; i++)
		good &= is_word(names[i]);
	return good && (!wanted->ceph_id || is_word(wanted->ceph_id)) &&
	       (!wanted->ceph_conf ||
		(g_path_is_absolute(wanted->ceph_conf) && !strpbrk(wanted->ceph_conf, "?&")));
}

static int pool_create_verb(const Cli *cli, const ConfigPool *wanted, gboolean adopt)
{
	const char *name = wanted->name;
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) now = NULL;
	const ConfigPool *pool;
	Json *object;

	if (!pool_name_valid(name))
		return cli_usage("pool create: invalid pool name '%s': must be " NAME_RULE, name);
	if (!wanted->ceph && (wanted->ceph_conf || wanted->ceph_id))
		return cli_usage("pool create: --ceph-conf and --ceph-id are for a pool of Ceph "
				 "(" CONFIG_CEPH "POOL)");
	if (wanted->ceph && !ceph_is_valid(wanted))
		return cli_usage("pool create: invalid place in Ceph '%s' (" CONFIG_CEPH
				 "POOL[/NAMESPACE], --ceph-conf with an absolute path)",
				 wanted->path);
	if (!pool_create_uninterrupted(cli->config, wanted, adopt, &error))
		return cli_failed(error);
	now = config_load_again(cli->config, &error);
	pool = now ? config_find_pool(now, name) : NULL;
	if (!pool)
		return cli_failed(error);
	object = json_object_new_object();
	json_add_text(object, "pool", name);
	json_add_place(object, pool);
	json_add_text(object, "uuid", pool->uuid);
	cli_report(cli, object, "%s: pool in %s%s", name, pool->ceph ? "Ceph, " : "", pool->path);
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
	g_autoptr(GPtrArray) volumes = pool ? facts_list(pool, NULL) : NULL;
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
	json_add_place(object, pool);
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

/* The UUID of the pool that is there, or NULL.  Ceph is asked. */
static char *pool_look(const ConfigPool *pool, GError **error)
{
	guint64 whole, available;

	if (pool->ceph && !facts_ask_pool(pool, ASK_SECONDS, &whole, &available, error))
		return NULL;
	return pool_uuid(pool, error);
}

static void pool_list_verb(const Config *config, Json *objects)
{
	if (!objects)
		printf("%-20s %-12s %s\n", "POOL", "STATE", "DIRECTORY");
	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);
		g_autoptr(GError) error = NULL;
		g_autofree char *uuid = pool_look(pool, &error);
		g_autofree char *problem = pool_find_problem(pool, uuid != NULL, error);
		Json *object;

		if (!objects) {
			printf("%-20s %-12s %s%s%s\n", pool->name, uuid ? "ready" : "missing",
			       pool->path, problem ? ": " : "", problem ? problem : "");
			continue;
		}
		object = json_object_new_object();
		json_add_text(object, "pool", pool->name);
		json_add_place(object, pool);
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
	g_autofree char *conf = NULL, *id = NULL;
	const GOptionEntry options[] = {
		{"adopt", 0, 0, G_OPTION_ARG_NONE, &adopt,
		 "create: accept a pool that was made under another name, such as on another host",
		 NULL},
		{"ceph-conf", 0, 0, G_OPTION_ARG_FILENAME, &conf,
		 "create: Ceph's configuration (default: Ceph's own)", "FILE"},
		{"ceph-id", 0, 0, G_OPTION_ARG_FILENAME, &id,
		 "create: Ceph's user, without \"client.\" (default: admin)", "ID"},
		{0},
	};
	g_autoptr(Json) objects = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_pool, options, 1, 3, argc, argv, &status))
		return status;
	if ((adopt || conf || id) && strcmp(cli.arguments[0], "create") != 0)
		return cli_usage("pool: --adopt, --ceph-conf and --ceph-id are for pool create");
	if (!strcmp(cli.arguments[0], "create") && cli.n_arguments == 3)
		return pool_create_verb(
			&cli,
			&(ConfigPool){.name = cli.arguments[1],
				      .path = cli.arguments[2],
				      .ceph = g_str_has_prefix(cli.arguments[2], CONFIG_CEPH),
				      .ceph_conf = conf,
				      .ceph_id = id},
			adopt);
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

const Verb verb_pool = {"pool",
			"create NAME DIRECTORY [--adopt] | "
			"create NAME rbd:POOL[/NAMESPACE] [--ceph-conf FILE] [--ceph-id ID] | "
			"delete NAME | list",
			"create, unregister and list pools", verb_pool_run};
