/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "cli/attachment.h"
#include "cli/cli.h"
#include "cli/facts.h"
#include "common/error.h"
#include "common/units.h"

/* One volume's line, or its object in `list`.  One that cannot be read is listed with the reason,
 * and FALSE. */
static gboolean show(const Config *config, const VolumeName *name, Json *list)
{
	g_autofree char *text = volume_name_format(name);
	g_autoptr(Places) places = places_new(config, name);
	g_autoptr(Attachment) attachment = attachment_inspect(places);
	const Facts *facts = &attachment->facts;
	const GError *error = attachment->facts_error;
	gboolean readable = !error;
	g_autofree char *size = size_format(facts->size);
	g_autofree char *allocated = size_format(facts->allocated);
	Json *object = json_object_new_object();

	json_add_text(object, "volume", text);
	if (readable) {
		json_add_number(object, "size", facts->size);
		json_add_number(object, "allocated", facts->allocated);
	} else {
		json_add_text(object, "error", error->message);
	}
	attachment_to_json(attachment, object);
	if (list) {
		json_object_array_add(list, object);
		return readable;
	}
	json_object_put(object);
	if (readable)
		printf("%-30s %10s %10s  %s\n", text, size, allocated,
		       attachment_health_name(attachment->health));
	else
		printf("%-30s %10s %10s  %s\n", text, "?", "?", error->message);
	return readable;
}

static int show_pool(const Config *config, const ConfigPool *pool, Json *list)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GPtrArray) names = pool_list(pool, &error);
	int status = names ? CLI_DONE : cli_failed(error);

	for (guint i = 0; names && i < names->len; i++) {
		const VolumeName name = {pool->name, g_ptr_array_index(names, i)};

		if (!show(config, &name, list))
			status = CLI_FAILED;
	}
	return status;
}

/* A pool whose file system is not mounted keeps nobody from seeing the others. */
static int show_all(const Config *config, Json *list)
{
	int status = CLI_DONE;

	for (guint i = 0; i < config->pools->len; i++)
		if (show_pool(config, g_ptr_array_index(config->pools, i), list))
			status = CLI_FAILED;
	return status;
}

static int run(int argc, char **argv)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Json) list = NULL;
	const ConfigPool *pool = NULL;
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_list, NULL, 0, 1, argc, argv, &status))
		return status;
	if (cli.n_arguments) {
		pool = config_find_pool(cli.config, cli.arguments[0]);
		if (!pool)
			error_set(&error, STORAGEOS_ERROR_NOT_FOUND, "list: no pool '%s' in %s",
				  cli.arguments[0], cli.config->file);
		if (!pool || !pool_check(pool, &error))
			return cli_failed(error);
	}
	if (cli.json)
		list = json_object_new_array();
	else
		printf("%-30s %10s %10s  %s\n", "VOLUME", "SIZE", "ALLOCATED", "STATE");
	status = pool ? show_pool(cli.config, pool, list) : show_all(cli.config, list);
	if (list)
		cli_print_json(list);
	return status;
}

const Verb verb_list = {"list", "[POOL]", "the volumes of a pool, or of all", run};
