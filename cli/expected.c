/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/expected.h"

#include <string.h>

#include "common/base/files.h"
#include "common/base/json.h"

#define UNIT_PREFIX "storageos-"
#define CONFIG_PREFIX "storageos/" /* of a backstore: the handler's subtype */
#define SAVED_SIZE_MAX ((gsize)16 << 20)

static void use_free(gpointer data)
{
	ExpectedUse *use = data;

	volume_name_free(use->name);
	g_free(use->where);
	g_free(use);
}

/* Takes `where`. */
static void use_add(GPtrArray *uses, const char *volume, gboolean serves, char *where)
{
	VolumeName *name = volume_name_parse_any(volume, NULL);
	ExpectedUse *use = g_new0(ExpectedUse, 1);

	use->name = name;
	use->where = where;
	use->serves = serves;
	if (name)
		g_ptr_array_add(uses, use);
	else
		use_free(use);
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

/* A unit storageos-SOMETHING@INSTANCE.TYPE, whose instance is a volume. */
static void unit_add(GPtrArray *uses, const char *directory, const char *unit)
{
	gboolean serves =
		g_str_has_prefix(unit, UNIT_PREFIX "attach@") && g_str_has_suffix(unit, ".service");
	const char *at = strchr(unit, '@'), *end = strrchr(unit, '.');
	g_autofree char *instance = NULL, *volume = NULL;

	if (!g_str_has_prefix(unit, UNIT_PREFIX) || !at || !end || end < at)
		return;
	instance = g_strndup(at + 1, (gsize)(end - at - 1));
	volume = expected_unescape(instance);
	if (volume)
		use_add(uses, volume, serves, g_strdup_printf("unit %s in %s", unit, directory));
}

/* An enabled unit is a link in a directory UNIT.wants or UNIT.requires. */
static void units_add(GPtrArray *uses, const char *directory)
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
			unit_add(uses, path, unit);
	}
}

/* ---- the target */

/* Adds the volume of a saved backstore, if it is one of ours. */
static void backstore_add(GPtrArray *uses, const char *file, Json *backstore)
{
	const char *plugin = json_get_text(backstore, "plugin");
	const char *config = json_get_text(backstore, "config");
	const char *name = json_get_text(backstore, "name");
	g_autofree char *volume = NULL;

	if (g_strcmp0(plugin, "user") != 0 || !config || !g_str_has_prefix(config, CONFIG_PREFIX))
		return;
	config += strlen(CONFIG_PREFIX);
	volume = g_strndup(config, strcspn(config, ";"));
	use_add(uses, volume, TRUE, g_strdup_printf("backstore %s in %s", name ? name : "?", file));
}

static void backstores_add(GPtrArray *uses, const char *file)
{
	g_autofree char *text = files_read(file, SAVED_SIZE_MAX, NULL, NULL);
	g_autoptr(Json) saved = text ? json_tokener_parse(text) : NULL;
	Json *list = json_get_list(saved, "storage_objects");

	for (gsize i = 0; list && i < json_object_array_length(list); i++)
		backstore_add(uses, file, json_object_array_get_idx(list, i));
}

GPtrArray *expected_uses(void)
{
	static const char *const units[] = {"/etc/systemd/system", "/run/systemd/system"};
	static const char *const saved[] = {"/etc/rtslib-fb-target/saveconfig.json",
					    "/etc/target/saveconfig.json"};
	GPtrArray *uses = g_ptr_array_new_with_free_func(use_free);

	for (guint i = 0; i < G_N_ELEMENTS(units); i++)
		units_add(uses, units[i]);
	for (guint i = 0; i < G_N_ELEMENTS(saved); i++)
		backstores_add(uses, saved[i]);
	return uses;
}

GPtrArray *expected_volumes(void)
{
	GPtrArray *names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autoptr(GPtrArray) uses = expected_uses();

	for (guint i = 0; i < uses->len; i++) {
		ExpectedUse *use = g_ptr_array_index(uses, i);

		if (use->serves && g_hash_table_add(seen, volume_name_format(use->name)))
			g_ptr_array_add(names, g_steal_pointer(&use->name));
	}
	return names;
}
