/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pool set: changes keys of a pool in the configuration, all or none.
 */
#include <string.h>

#include "cli/pool-verbs.h"
#include "common/base/autofd.h"
#include "common/base/error.h"
#include "common/base/units.h"
#include "common/service/config-edit.h"

static const struct {
	const char *key, *none; /* the value that removes the key */
} known[] = {{"quota", "none"}, {"warn", "default"}};

#define KEYS G_N_ELEMENTS(known)

typedef struct {
	ConfigKey keys[KEYS];
	const char *values[KEYS]; /* as given */
	guint n;
} Settings;

/* "quota=SIZE", "quota=none", "warn=80,90", "warn=default".  FALSE: the error has been printed. */
static gboolean settings_add(Settings *settings, const char *text)
{
	guint at = 0;

	while (at < KEYS &&
	       (!g_str_has_prefix(text, known[at].key) || text[strlen(known[at].key)] != '='))
		at++;
	if (at == KEYS) {
		cli_usage("pool set: invalid setting '%s' (usage: storageos pool set %s)", text,
			  pool_verb_set.arguments);
		return FALSE;
	}
	text += strlen(known[at].key) + 1;
	for (guint i = 0; i < settings->n; i++)
		if (settings->keys[i].key == known[at].key) {
			cli_usage("pool set: '%s' is set twice", known[at].key);
			return FALSE;
		}
	settings->keys[settings->n] =
		(ConfigKey){known[at].key, strcmp(text, known[at].none) ? text : NULL};
	settings->values[settings->n++] = text;
	return TRUE;
}

static gboolean keys_set(const Config *config, const char *pool, const Settings *settings,
			 GError **error)
{
	autofd lock = config_lock(config, error);

	return lock >= 0 && config_set_pool_keys(config, pool, settings->keys, settings->n, error);
}

static Json *pool_to_json(const ConfigPool *pool)
{
	Json *object = json_object_new_object();

	json_add_text(object, "pool", pool->name);
	json_add_number(object, "quota", pool->quota);
	pool_add_marks(object, pool);
	return object;
}

/* "quota 100 MiB; warn 50,60" */
static char *settings_describe(const Settings *settings, const ConfigPool *pool)
{
	g_autofree char *quota = pool->quota ? size_format_exactly(pool->quota) : g_strdup("none");
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < settings->n; i++)
		g_string_append_printf(
			text, "%s%s %s", i ? "; " : "", settings->keys[i].key,
			strcmp(settings->keys[i].key, "quota") != 0 ? settings->values[i] : quota);
	return g_string_free(text, FALSE);
}

static int settings_report(const Cli *cli, const char *name, const Settings *settings)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Config) now = config_load_again(cli->config, &error);
	const ConfigPool *pool = now ? config_find_pool(now, name) : NULL;
	g_autofree char *text = pool ? settings_describe(settings, pool) : NULL;

	if (!pool)
		return cli_failed(error);
	cli_report(cli, pool_to_json(pool), "%s: %s", name, text);
	return CLI_DONE;
}

static int set_run(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	Settings settings = {.n = 0};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &pool_verb_set, NULL, 2, G_MAXUINT, argc, argv, &status))
		return status;
	for (guint i = 1; i < cli.n_arguments; i++)
		if (!settings_add(&settings, cli.arguments[i]))
			return CLI_USAGE;
	if (!keys_set(cli.config, cli.arguments[0], &settings, &error)) {
		g_prefix_error(&error, "pool set: ");
		return cli_failed(error);
	}
	return settings_report(&cli, cli.arguments[0], &settings);
}

const Verb pool_verb_set = {"pool set", "NAME [quota=SIZE|none] [warn=PERCENT,...|off|default]",
			    "limit what a pool's volumes may take, or say when to warn", set_run};
