/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool set: changes a key of a pool in the configuration.
 */
#include <string.h>

#include "cli/pool-verbs.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/config-edit.h"

typedef struct {
	char *key;
	const char *value; /* as given */
	gboolean none;	   /* the key is removed */
} Setting;

/* "quota=SIZE", "quota=none", "warn=80,90", "warn=default". */
static gboolean setting_parse(const char *text, Setting *ret_setting)
{
	const char *equals = strchr(text, '=');
	g_autofree char *key = equals ? g_strndup(text, (gsize)(equals - text)) : NULL;
	gboolean quota = !g_strcmp0(key, "quota");

	if (!quota && g_strcmp0(key, "warn") != 0)
		return FALSE;
	*ret_setting = (Setting){g_steal_pointer(&key), equals + 1,
				 !strcmp(equals + 1, quota ? "none" : "default")};
	return TRUE;
}

static gboolean key_set(const Config *config, const char *pool, const Setting *setting,
			GError **error)
{
	autofd lock = config_lock(config, error);

	return lock >= 0 && config_set_pool_key(config, pool, setting->key,
						setting->none ? NULL : setting->value, error);
}

static Json *pool_to_json(const ConfigPool *pool)
{
	Json *object = json_object_new_object();

	json_add_text(object, "pool", pool->name);
	json_add_number(object, "quota", pool->quota);
	pool_add_marks(object, pool);
	return object;
}

static int pool_report(const Cli *cli, const char *name, const Setting *setting)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) now = config_load_again(cli->config, &error);
	const ConfigPool *pool = now ? config_find_pool(now, name) : NULL;
	g_autofree char *size = pool ? size_format_exactly(pool->quota) : NULL;

	if (!pool)
		return cli_failed(error);
	cli_report(cli, pool_to_json(pool), "%s: %s %s", name, setting->key,
		   strcmp(setting->key, "quota") != 0 ? setting->value
		   : pool->quota		      ? size
						      : "none");
	return CLI_DONE;
}

static int set_run(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autofree char *key = NULL;
	Setting setting = {0};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &pool_verb_set, NULL, 2, 2, argc, argv, &status))
		return status;
	if (!setting_parse(cli.arguments[1], &setting))
		return cli_usage("pool set: invalid setting '%s' (usage: storageos pool set %s)",
				 cli.arguments[1], pool_verb_set.arguments);
	key = setting.key;
	if (!key_set(cli.config, cli.arguments[0], &setting, &error)) {
		g_prefix_error(&error, "pool set: ");
		return cli_failed(error);
	}
	return pool_report(&cli, cli.arguments[0], &setting);
}

const Verb pool_verb_set = {"pool set", "NAME quota=SIZE|none | NAME warn=PERCENT,...|off|default",
			    "limit what a pool's volumes may take, or say when to warn", set_run};
