/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file is changed line by line, so that everything else stays as its owner wrote it.  The new
 * text is parsed before it is written: a value that GKeyFile would not return unchanged is refused.
 */
#include "common/base/autofd.h"
#include "common/service/config-edit.h"
#include "common/service/config-text.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/names.h"

#include <string.h>
#include <unistd.h>

#define LOCK_SECONDS 10

int config_lock(const Config *config, GError **error)
{
	/* Volumes' names do not begin with '_', so no volume's lock is called that. */
	g_autofree char *path = g_build_filename(config->run_directory, "lock", "_pools", NULL);
	g_autofree char *directory = g_path_get_dirname(path);

	return files_make_directory(directory, error) ? files_lock(path, LOCK_SECONDS, error) : -1;
}

/* "KEY=VALUE", escaped. */
static char *key_format(const char *key, const char *value)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *escaped = NULL;

	g_key_file_set_string(file, "x", key, value);
	escaped = g_key_file_get_value(file, "x", key, NULL);
	return g_strdup_printf("%s=%s", key, escaped);
}

static void text_add_line(GString *text, const char *line)
{
	g_string_append(text, line);
	g_string_append_c(text, '\n');
}

/* The keys of a pool's entry, as they stand in the file. */
typedef struct {
	const char *key, *value; /* NULL: it has none */
} Entry;

#define ENTRIES 5

static void pool_entries(const ConfigPool *pool, Entry ret_entries[ENTRIES])
{
	const Entry entries[ENTRIES] = {
		{"path", pool->ceph ? NULL : pool->path},
		{"rbd", pool->ceph ? pool->path + strlen(CONFIG_CEPH) : NULL},
		{"ceph_conf", pool->ceph_conf},
		{"ceph_id", pool->ceph_id},
		{"uuid", pool->uuid},
	};

	memcpy(ret_entries, entries, sizeof entries);
}

static void text_add_entry(GString *text, const ConfigPool *pool)
{
	Entry entries[ENTRIES];

	g_string_append_printf(text, "[" CONFIG_GROUP_POOL "%s]\n", pool->name);
	pool_entries(pool, entries);
	for (guint i = 0; i < ENTRIES; i++) {
		g_autofree char *line =
			entries[i].value ? key_format(entries[i].key, entries[i].value) : NULL;

		if (line)
			text_add_line(text, line);
	}
}

static gboolean is_entry(const char *key)
{
	const ConfigPool any = {0};
	Entry entries[ENTRIES];

	pool_entries(&any, entries);
	for (guint i = 0; i < ENTRIES; i++)
		if (!strcmp(key, entries[i].key))
			return TRUE;
	return FALSE;
}

/* Whether a line of the pool's group is dropped: its header and the keys of its entry; with `whole`
 * every key.  Comments stay, as they may belong to the next group. */
static gboolean line_is_replaced(ConfigLineKind kind, const char *name, gboolean whole)
{
	if (kind == CONFIG_LINE_KEY)
		return whole || is_entry(name);
	return kind == CONFIG_LINE_GROUP;
}

/* The text with the group of pool `name` replaced by `entry`; NULL: without that group. */
static char *text_replace_group(const char *before, const char *name, const ConfigPool *entry)
{
	g_autofree char *group = g_strconcat(CONFIG_GROUP_POOL, name, NULL);
	g_autofree char *trimmed = g_strchomp(g_strdup(before));
	g_auto(GStrv) lines = g_strsplit(trimmed, "\n", -1);
	g_autoptr(GString) text = g_string_new(NULL);
	gboolean inside = FALSE, done = !entry;

	for (char **line = lines; *line && *trimmed; line++) {
		g_autofree char *found = NULL;
		ConfigLineKind kind = config_line(*line, &found);

		if (kind == CONFIG_LINE_GROUP)
			inside = !strcmp(found, group);
		if (!inside || !line_is_replaced(kind, found, !entry))
			text_add_line(text, *line);
		if (inside && !done)
			text_add_entry(text, entry);
		done |= inside;
	}
	if (!done) {
		if (text->len)
			g_string_append_c(text, '\n');
		text_add_entry(text, entry);
	}
	return g_string_free(g_steal_pointer(&text), FALSE);
}

static gboolean key_reads_as(GKeyFile *file, const char *group, const char *key, const char *wanted)
{
	g_autofree char *found = config_text_get(file, group, key, NULL);

	return !g_strcmp0(found, wanted);
}

static gboolean text_check_reads_back(const char *text, const ConfigPool *pool, GError **error)
{
	g_autofree char *group = g_strconcat(CONFIG_GROUP_POOL, pool->name, NULL);
	g_autoptr(GKeyFile) file = g_key_file_new();
	Entry entries[ENTRIES];
	gboolean good = TRUE;

	if (!config_text_parse(text, file, NULL, error))
		return FALSE;
	pool_entries(pool, entries);
	for (guint i = 0; i < ENTRIES; i++)
		good &= key_reads_as(file, group, entries[i].key, entries[i].value);
	return good ||
	       error_set(error, STORAGEOS_ERROR_INVALID,
			 "'%s' cannot stand in a configuration: blanks at its ends, or control "
			 "characters",
			 pool->path);
}

/* The file's text, empty if there is no file.  Text that is not a configuration is an error. */
static char *file_read_text(const char *path, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) local = NULL;
	g_autofree char *text = files_read(path, FILES_TEXT_MAX, NULL, &local);

	if (text && config_text_parse(text, file, NULL, error))
		return g_steal_pointer(&text);
	if (g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
		return g_strdup("");
	if (local)
		g_propagate_error(error, g_steal_pointer(&local));
	return NULL;
}

static gboolean file_rewrite(const Config *config, const char *name, const ConfigPool *entry,
			     GError **error)
{
	/* Follow links: a rename onto a link would replace the link. */
	g_autofree char *path = files_real_path(config->file);
	g_autofree char *parent = g_path_get_dirname(path);
	g_autofree char *before = file_read_text(path, error);
	g_autofree char *text = before ? text_replace_group(before, name, entry) : NULL;

	if (text && (!entry || text_check_reads_back(text, entry, error)) &&
	    files_make_directory(parent, error) &&
	    files_write(path, text, strlen(text), 0644, FILES_REPLACE, error))
		return TRUE;
	g_prefix_error(error, "configuration %s: ", path);
	return FALSE;
}

gboolean config_add_pool(const Config *config, const ConfigPool *pool, GError **error)
{
	if (!name_valid(pool->name) || (!pool->ceph && !g_path_is_absolute(pool->path)))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "pool '%s' at '%s': a valid name and an absolute path are needed",
				 pool->name, pool->path);
	return file_rewrite(config, pool->name, pool, error);
}

/* ---- keys */

/* The text with `line` as the only line of the key in the group; NULL: without the key.  NULL if
 * there is no such group. */
static char *text_replace_key(const char *before, const char *group, const char *key,
			      const char *line)
{
	g_autofree char *trimmed = g_strchomp(g_strdup(before));
	g_auto(GStrv) lines = g_strsplit(trimmed, "\n", -1);
	g_autoptr(GString) text = g_string_new(NULL);
	gboolean inside = FALSE, done = FALSE;

	for (char **at = lines; *at; at++) {
		g_autofree char *found = NULL;
		ConfigLineKind kind = config_line(*at, &found);

		if (kind == CONFIG_LINE_GROUP)
			inside = !strcmp(found, group);
		if (!inside || kind != CONFIG_LINE_KEY || strcmp(found, key) != 0)
			text_add_line(text, *at);
		if (inside && !done && line)
			text_add_line(text, line);
		done |= inside;
	}
	return done ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

/* Writes the text in place of the file, unless it could not be loaded then: it is loaded from a
 * file beside it. */
static gboolean file_try_text(const char *path, const char *text, GError **error)
{
	g_autofree char *trial = g_strconcat(path, ".new", NULL);
	g_autoptr(Config) config = NULL;

	if (files_write(trial, text, strlen(text), 0600, FILES_REPLACE, error))
		config = config_load_quietly(trial, error);
	unlink(trial);
	return config && files_write(path, text, strlen(text), 0644, FILES_REPLACE, error);
}

/* NULL if there is no such group. */
static char *text_set_keys(const char *before, const char *group, const ConfigKey *keys, guint n)
{
	char *text = g_strdup(before);

	for (guint i = 0; i < n && text; i++) {
		g_autofree char *last = text;
		g_autofree char *line =
			keys[i].value ? key_format(keys[i].key, keys[i].value) : NULL;

		text = text_replace_key(last, group, keys[i].key, line);
	}
	return text;
}

gboolean config_set_pool_keys(const Config *config, const char *name, const ConfigKey *keys,
			      guint n, GError **error)
{
	g_autofree char *path = files_real_path(config->file);
	g_autofree char *group = g_strconcat(CONFIG_GROUP_POOL, name, NULL);
	g_autofree char *before = file_read_text(path, error);
	g_autofree char *text = before ? text_set_keys(before, group, keys, n) : NULL;

	if (before && !text)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "no pool '%s' in %s", name,
				 path);
	return text && file_try_text(path, text, error);
}

/* ---- another name */

/* The group's name once the pool `from` is called `to`; NULL if that is the same. */
static char *group_rename(const char *group, const char *from, const char *to)
{
	g_autofree char *pool = g_strconcat(CONFIG_GROUP_POOL, from, NULL);
	g_autofree char *volumes = g_strconcat(CONFIG_GROUP_VOLUME, from, "/", NULL);

	if (!strcmp(group, pool))
		return g_strconcat(CONFIG_GROUP_POOL, to, NULL);
	if (g_str_has_prefix(group, volumes))
		return g_strconcat(CONFIG_GROUP_VOLUME, to, "/", group + strlen(volumes), NULL);
	if (!strcmp(from, CONFIG_DEFAULT_POOL) && g_str_has_prefix(group, CONFIG_GROUP_VOLUME) &&
	    !strchr(group, '/'))
		return g_strconcat(CONFIG_GROUP_VOLUME, to, "/",
				   group + strlen(CONFIG_GROUP_VOLUME), NULL);
	return NULL;
}

/* NULL if no group is renamed. */
static char *text_rename_pool(const char *before, const char *from, const char *to)
{
	g_autofree char *trimmed = g_strchomp(g_strdup(before));
	g_auto(GStrv) lines = g_strsplit(trimmed, "\n", -1);
	g_autoptr(GString) text = g_string_new(NULL);
	gboolean done = FALSE;

	for (char **at = lines; *at; at++) {
		g_autofree char *found = NULL, *group = NULL, *line = NULL;

		if (config_line(*at, &found) == CONFIG_LINE_GROUP)
			group = group_rename(found, from, to);
		line = group ? g_strdup_printf("[%s]", group) : g_strdup(*at);
		text_add_line(text, line);
		done |= group != NULL;
	}
	return done ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

gboolean config_rename_pool(const Config *config, const char *from, const char *to, GError **error)
{
	g_autofree char *path = files_real_path(config->file);
	g_autofree char *before = file_read_text(path, error);
	g_autofree char *text = before ? text_rename_pool(before, from, to) : NULL;

	if (before && !text)
		return error_set(error, STORAGEOS_ERROR_NOT_FOUND, "no pool '%s' in %s", from,
				 path);
	return text && file_try_text(path, text, error);
}

gboolean config_remove_pool(const Config *config, const char *name, GError **error)
{
	return file_rewrite(config, name, NULL, error);
}
