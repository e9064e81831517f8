/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/config-text.h"

#include <string.h>

#include "common/base/error.h"

ConfigLineKind config_line(const char *line, char **ret_name)
{
	g_autofree char *text = g_strstrip(g_strdup(line));
	char *end = strchr(text, *text == '[' ? ']' : '=');

	*ret_name = NULL;
	if (!*text || *text == '#' || *text == ';' || !end)
		return CONFIG_LINE_OTHER;
	*end = '\0';
	*ret_name = g_strdup(g_strchomp(*text == '[' ? text + 1 : text));
	return *text == '[' ? CONFIG_LINE_GROUP : CONFIG_LINE_KEY;
}

/* GKeyFile silently takes the last of several. */
static void warn_of_doubles(char **lines, GPtrArray *warnings)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
	g_autofree char *group = g_strdup("");

	for (char **line = lines; *line; line++) {
		g_autofree char *name = NULL;
		ConfigLineKind kind = config_line(*line, &name);

		if (kind == CONFIG_LINE_OTHER)
			continue;
		if (kind == CONFIG_LINE_GROUP) {
			g_free(group);
			group = g_steal_pointer(&name);
			if (!g_hash_table_add(seen, g_strconcat(group, "]", NULL)))
				g_ptr_array_add(
					warnings,
					g_strdup_printf("group [%s] is given twice", group));
		} else if (!g_hash_table_add(seen, g_strconcat(group, "]", name, NULL))) {
			g_ptr_array_add(warnings,
					g_strdup_printf("key '%s' is given twice in [%s]: the last "
							"one counts",
							name, group));
		}
	}
}

/* GKeyFile knows only comments that begin with '#'. */
static char *with_plain_comments(char **lines)
{
	for (char **line = lines; *line; line++) {
		char *first = *line + strspn(*line, " \t");

		if (*first == ';')
			*first = '#';
	}
	return g_strjoinv("\n", lines);
}

gboolean config_text_parse(const char *text, GKeyFile *file, GPtrArray *warnings, GError **error)
{
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	g_autofree char *plain = with_plain_comments(lines);

	if (warnings)
		warn_of_doubles(lines, warnings);
	/* GKeyFile takes an empty file for an error. */
	return !*plain || g_key_file_load_from_data(file, plain, strlen(plain),
						    G_KEY_FILE_KEEP_TRANSLATIONS, error);
}

/* Unescapes like g_key_file_get_string(), but accepts any bytes, as a path need not be UTF-8.  NULL
 * for an unknown escape. */
static char *unescape(const char *value)
{
	static const char letters[] = "sntr\\", meanings[] = " \n\t\r\\";
	g_autoptr(GString) text = g_string_new(NULL);

	for (; *value; value++) {
		const char *letter = *value == '\\' ? value + 1 : NULL;

		if (letter && (!*letter || !strchr(letters, *letter)))
			return NULL;
		g_string_append_c(text,
				  letter ? meanings[strchr(letters, *letter) - letters] : *value);
		if (letter)
			value++;
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

char *config_text_get(GKeyFile *file, const char *group, const char *key, GError **error)
{
	g_autofree char *value = g_key_file_get_value(file, group, key, error);
	char *text = value ? unescape(value) : NULL;

	if (value && !text)
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "key '%s' of [%s]: '%s' has an unknown escape", key, group, value);
	return text ? g_strstrip(text) : NULL;
}
