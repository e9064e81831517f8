/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "cli/pool-verbs.h"
#include "common/base/error.h"
#include "common/base/names.h"
#include "common/service/pool-store.h"

/* Completely or not at all. */
gboolean pool_enter(const Config *config, const ConfigPool *wanted, gboolean adopt, GError **error)
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
	return done;
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

gboolean pool_is_valid(const Verb *verb, const ConfigPool *wanted)
{
	if (!pool_name_valid(wanted->name))
		cli_usage("%s: invalid pool name '%s': must be " NAME_RULE, verb->name,
			  wanted->name);
	else if (!wanted->ceph && (wanted->ceph_conf || wanted->ceph_id))
		cli_usage("%s: --ceph-conf and --ceph-id are for a pool of Ceph (" CONFIG_CEPH
			  "POOL)",
			  verb->name);
	else if (wanted->ceph && !ceph_is_valid(wanted))
		cli_usage("%s: invalid place in Ceph '%s' (" CONFIG_CEPH
			  "POOL[/NAMESPACE], --ceph-conf with an absolute path without '?' and "
			  "'&')",
			  verb->name, wanted->path);
	else
		return TRUE;
	return FALSE;
}

static int pool_create_it(const Cli *cli, const ConfigPool *wanted, gboolean adopt)
{
	const char *name = wanted->name;
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) now = NULL;
	const ConfigPool *pool;
	Json *object;

	if (!pool_is_valid(&pool_verb_create, wanted))
		return CLI_USAGE;
	if (!pool_enter(cli->config, wanted, adopt, &error)) {
		g_prefix_error(&error, "create pool '%s': ", name);
		return cli_failed(error);
	}
	now = config_load_again(cli->config, &error);
	pool = now ? config_find_pool(now, name) : NULL;
	if (!pool)
		return cli_failed(error);
	object = json_object_new_object();
	json_add_text(object, "pool", name);
	pool_add_place(object, pool);
	json_add_text(object, "uuid", pool->uuid);
	cli_report(cli, object, "%s: pool in %s%s", name, pool->ceph ? "Ceph, " : "", pool->path);
	return CLI_DONE;
}

static int create_run(int argc, char **argv)
{
	gboolean adopt = FALSE;
	g_autofree char *conf = NULL, *id = NULL;
	const GOptionEntry options[] = {
		{"adopt", 0, 0, G_OPTION_ARG_NONE, &adopt,
		 "Accept a pool that was made under another name, such as on another host", NULL},
		POOL_CEPH_CONF(&conf),
		POOL_CEPH_ID(&id),
		{0},
	};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &pool_verb_create, options, 2, 2, argc, argv, &status))
		return status;
	return pool_create_it(&cli,
			      &(ConfigPool){.name = cli.arguments[0],
					    .path = cli.arguments[1],
					    .ceph = g_str_has_prefix(cli.arguments[1], CONFIG_CEPH),
					    .ceph_conf = conf,
					    .ceph_id = id},
			      adopt);
}

const Verb pool_verb_create = {"pool create",
			       "NAME DIRECTORY | NAME rbd:POOL[/NAMESPACE] [--adopt] [--ceph-conf "
			       "FILE] [--ceph-id ID]",
			       "make a directory, or a pool of Ceph, a pool", create_run};
