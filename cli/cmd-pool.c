/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "common/error.h"

static char *absolute(const char *path)
{
	g_autofree char *here = g_get_current_dir();

	return g_path_is_absolute(path) ? g_strdup(path) : g_build_filename(here, path, NULL);
}

/* The marker before the entry: a pool that is known but has no marker helps nobody. */
static gboolean create(const Config *config, const char *name, const char *directory,
		       GError **error)
{
	const ConfigPool *known = config_find_pool(config, name);
	g_autofree char *path = absolute(directory);
	gboolean same = known && !strcmp(known->path, path);

	/* The default pool's entry is only there as long as nobody asks for another place. */
	if (known && !same && strcmp(name, CONFIG_DEFAULT_POOL))
		return error_set(error, STORAGEOS_ERROR_EXISTS,
				 "create pool '%s': it is at %s already (%s)", name, known->path,
				 config->file);
	if (!pool_create(name, path, error) ||
	    (!same && !config_add_pool(config->file, name, path, error))) {
		g_prefix_error(error, "create pool '%s': ", name);
		return FALSE;
	}
	return TRUE;
}

static void list(const Config *config, Json *objects)
{
	if (!objects)
		printf("%-20s %-12s %s\n", "POOL", "STATE", "DIRECTORY");
	for (guint i = 0; i < config->pools->len; i++) {
		const ConfigPool *pool = g_ptr_array_index(config->pools, i);
		g_autoptr(GError) error = NULL;
		gboolean usable = pool_check(pool, &error);
		Json *object;

		if (!objects) {
			printf("%-20s %-12s %s\n", pool->name, usable ? "ready" : "not there",
			       pool->path);
			continue;
		}
		object = json_object_new_object();
		json_add_text(object, "pool", pool->name);
		json_add_text(object, "directory", pool->path);
		json_add_flag(object, "ready", usable);
		json_add_text(object, "problem", usable ? NULL : error->message);
		json_object_array_add(objects, object);
	}
}

static int run(int argc, char **argv)
{
	g_autoptr(Json) objects = NULL;
	g_autoptr(GError) error = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_pool, NULL, 1, 3, argc, argv, &status))
		return status;
	if (!strcmp(cli.arguments[0], "create") && cli.n_arguments == 3) {
		if (!pool_name_valid(cli.arguments[1]))
			return cli_usage("pool create: '%s' is no name for a pool (lower-case "
					 "letters, digits, '.', '_' and '-')",
					 cli.arguments[1]);
		return create(cli.config, cli.arguments[1], cli.arguments[2], &error)
			       ? CLI_DONE
			       : cli_failed(error);
	}
	if (!strcmp(cli.arguments[0], "list") && cli.n_arguments == 1) {
		objects = cli.json ? json_object_new_array() : NULL;
		list(cli.config, objects);
		if (objects)
			cli_print_json(objects);
		return CLI_DONE;
	}
	return cli_usage("pool: usage: storageos pool %s", verb_pool.arguments);
}

const Verb verb_pool = {"pool", "create NAME DIRECTORY | list", "make and show pools", run};
