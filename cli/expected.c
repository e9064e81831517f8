/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/expected.h"

#include <string.h>

#include "common/base/files.h"
#include "common/base/json.h"
#include "common/service/volume-name.h"

#define UNIT_PREFIX "storageos-attach@"
#define UNIT_SUFFIX ".service"
#define CONFIG_PREFIX "storageos/" /* of a backstore: the handler's subtype */
#define SAVED_SIZE_MAX ((gsize)16 << 20)

static void volume_add(GPtrArray *names, GHashTable *seen, const char *text)
{
	VolumeName *name = volume_name_parse_any(text, NULL);

	if (name && g_hash_table_add(seen, volume_name_format(name)))
		g_ptr_array_add(names, name);
	else
		volume_name_free(name);
}

/* ---- units */

char *expected_unescape(const char *instance)
{
	GString *text = g_string_new(NULL);

	for (; *instance; instance++) {
		if (*instance == '-') {
			g_string_append_c(text, '/');
		} else if (*instance != '\\') {
			g_string_append_c(text, *instance);
		} else if (instance[1] == 'x' && g_ascii_isxdigit(instance[2]) &&
			   g_ascii_isxdigit(instance[3])) {
			g_string_append_c(text, (char)(g_ascii_xdigit_value(instance[2]) * 16 +
						       g_ascii_xdigit_value(instance[3])));
			instance += 3;
		} else {
			g_string_free(text, TRUE);
			return NULL;
		}
	}
	return g_string_free(text, FALSE);
}

static void unit_add(GPtrArray *names, GHashTable *seen, const char *unit)
{
	g_autofree char *instance = NULL, *volume = NULL;

	if (!g_str_has_prefix(unit, UNIT_PREFIX) || !g_str_has_suffix(unit, UNIT_SUFFIX))
		return;
	instance = g_strndup(unit + strlen(UNIT_PREFIX),
			     strlen(unit) - strlen(UNIT_PREFIX) - strlen(UNIT_SUFFIX));
	volume = expected_unescape(instance);
	if (volume)
		volume_add(names, seen, volume);
}

/* An enabled unit is a link in a directory UNIT.wants or UNIT.requires. */
static void units_add(GPtrArray *names, GHashTable *seen, const char *directory)
{
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *entry, *unit;

	while (dir && (entry = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(directory, entry, NULL);
		g_autoptr(GDir) wanted = NULL;

		if (!g_str_has_suffix(entry, ".wants") && !g_str_has_suffix(entry, ".requires"))
			continue;
		wanted = g_dir_open(path, 0, NULL);
		while (wanted && (unit = g_dir_read_name(wanted)))
			unit_add(names, seen, unit);
	}
}

/* ---- the target */

/* Adds the volume of a saved backstore, if it is one of ours. */
static void backstore_add(GPtrArray *names, GHashTable *seen, Json *backstore)
{
	const char *plugin = json_get_text(backstore, "plugin");
	const char *config = json_get_text(backstore, "config");
	g_autofree char *volume = NULL;

	if (g_strcmp0(plugin, "user") != 0 || !config || !g_str_has_prefix(config, CONFIG_PREFIX))
		return;
	config += strlen(CONFIG_PREFIX);
	volume = g_strndup(config, strcspn(config, ";"));
	volume_add(names, seen, volume);
}

static void backstores_add(GPtrArray *names, GHashTable *seen, const char *file)
{
	g_autofree char *text = files_read(file, SAVED_SIZE_MAX, NULL, NULL);
	g_autoptr(Json) saved = text ? json_tokener_parse(text) : NULL;
	Json *list = json_get_list(saved, "storage_objects");

	for (gsize i = 0; list && i < json_object_array_length(list); i++)
		backstore_add(names, seen, json_object_array_get_idx(list, i));
}

GPtrArray *expected_volumes(void)
{
	static const char *const units[] = {"/etc/systemd/system", "/run/systemd/system"};
	static const char *const saved[] = {"/etc/rtslib-fb-target/saveconfig.json",
					    "/etc/target/saveconfig.json"};
	GPtrArray *names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

	for (guint i = 0; i < G_N_ELEMENTS(units); i++)
		units_add(names, seen, units[i]);
	for (guint i = 0; i < G_N_ELEMENTS(saved); i++)
		backstores_add(names, seen, saved[i]);
	return names;
}
