/* SPDX-License-Identifier: Apache-2.0 */
/*
 * get: shows properties of a volume, whoever has it open.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/facts.h"
#include "cli/table.h"
#include "common/base/error.h"
#include "common/service/property-command.h"
#include "common/service/property-rules.h"

/* UUID and write cache can be set, and so are shown, but the superblock has fields for them. */
static const char *field_get(const Facts *facts, const char *key)
{
	if (!strcmp(key, "uuid"))
		return facts->uuid;
	return strcmp(key, "write_cache") ? NULL : facts_write_cache(facts);
}

static void row_add(Table *table, const Facts *facts, const char *key)
{
	const char *field = field_get(facts, key);
	Property property = {.key = ""};

	g_strlcpy(property.key, key, sizeof property.key);
	if (field)
		table_add(table, g_strdup(key), g_strdup(field));
	else if (properties_get(&facts->properties, key, property.value))
		table_add(table, g_strdup(key), property_show(&property));
	else
		table_add(table, g_strdup(key), g_strdup("-"));
}

/* The keys that are asked for, or all that the volume has. */
static GPtrArray *keys_list(const Facts *facts, char *const *asked)
{
	GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
	Property property;
	guint at = 0;

	for (char *const *key = asked; *key; key++)
		g_ptr_array_add(keys, g_strdup(*key));
	if (*asked)
		return keys;
	g_ptr_array_add(keys, g_strdup("uuid"));
	g_ptr_array_add(keys, g_strdup("write_cache"));
	while (properties_next(&facts->properties, &at, &property))
		g_ptr_array_add(keys, g_strdup(property.key));
	return keys;
}

static void keys_print(const Facts *facts, const GPtrArray *keys)
{
	static const char *const headings[] = {"KEY", "VALUE", NULL};
	static const gboolean right[] = {FALSE, FALSE};
	g_autoptr(Table) table = table_new(headings, right);

	for (guint i = 0; i < keys->len; i++)
		row_add(table, facts, g_ptr_array_index(keys, i));
	table_print(table);
}

static void keys_print_json(const Facts *facts, const GPtrArray *keys, const char *volume)
{
	g_autoptr(Json) object = json_object_new_object();
	Json *properties = json_object_new_object();
	char value[PROPERTY_VALUE_MAX + 1];

	json_add_text(object, "volume", volume);
	for (guint i = 0; i < keys->len; i++) {
		const char *key = g_ptr_array_index(keys, i), *field = field_get(facts, key);

		if (field || properties_get(&facts->properties, key, value))
			json_add_text(properties, key, field ? field : value);
	}
	json_object_object_add(object, "properties", properties);
	cli_print_json(object);
}

/* A key that nobody could have set is a mistake; one that a later version has set is none. */
static gboolean key_check(const Facts *facts, const char *key, GError **error)
{
	char value[PROPERTY_VALUE_MAX + 1];
	g_autofree char *keys = NULL;

	if (!property_check_key(key, error))
		return FALSE;
	if (field_get(facts, key) || property_rule_find(key) ||
	    properties_get(&facts->properties, key, value))
		return TRUE;
	keys = property_rule_keys();
	return error_set(error, STORAGEOS_ERROR_INVALID, "no property '%s' (uuid, write_cache, %s)",
			 key, keys);
}

static int verb_get_run(int argc, char **argv)
{
	g_autoptr(VolumeName) name = NULL;
	g_autoptr(GPtrArray) keys = NULL;
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;
	g_auto(Facts) facts = {0};
	g_auto(Cli) cli = {0};
	int status;

	if (!cli_start(&cli, &verb_get, NULL, 1, G_MAXUINT, argc, argv, &status))
		return status;
	name = volume_name_parse(cli.arguments[0], &error);
	if (!name)
		return cli_usage("get: %s", error->message);
	if (!facts_read(cli.config, name, &facts, &error)) {
		g_prefix_error(&error, "get: ");
		return cli_failed(error);
	}
	for (char **key = cli.arguments + 1; *key; key++)
		if (!key_check(&facts, *key, &error))
			return cli_usage("get: %s", error->message);
	keys = keys_list(&facts, cli.arguments + 1);
	text = volume_name_format(name);
	if (cli.json)
		keys_print_json(&facts, keys, text);
	else
		keys_print(&facts, keys);
	return CLI_DONE;
}

const Verb verb_get = {"get", "NAME [KEY]...", "show properties of a volume", verb_get_run};
