/* SPDX-License-Identifier: Apache-2.0 */
#include "common/config.h"

#include <stdlib.h>
#include <string.h>

#include "common/autofd.h"
#include "common/error.h"
#include "common/files.h"
#include "common/logging.h"
#include "common/names.h"
#include "common/units.h"

#define GROUP_MAIN "storageos"
#define GROUP_POOL "pool "
#define WORKERS_MAX 256
#define LOCK_SECONDS 10

static const char *const frontend_names[] = {
	[FRONTEND_AUTO] = "auto",
	[FRONTEND_TCMU] = "tcmu",
	[FRONTEND_FUSE] = "fuse",
};

gboolean frontend_parse(const char *text, Frontend *ret_frontend)
{
	for (guint i = 0; i < G_N_ELEMENTS(frontend_names); i++)
		if (!strcmp(text, frontend_names[i])) {
			*ret_frontend = (Frontend)i;
			return TRUE;
		}
	return FALSE;
}

const char *frontend_name(Frontend frontend)
{
	return frontend_names[frontend];
}

static void config_pool_free(gpointer data)
{
	ConfigPool *pool = data;

	g_free(pool->name);
	g_free(pool->path);
	g_free(pool);
}

void config_free(Config *config)
{
	if (!config)
		return;
	g_free(config->file);
	g_free(config->run_directory);
	g_free(config->device_directory);
	if (config->pools)
		g_ptr_array_unref(config->pools);
	g_free(config);
}

/* ---- values: each reader gets the text and stores what it means */

static gboolean bad_value(const char *text, const char *wanted, GError **error)
{
	return error_set(error, STORAGEOS_ERROR_INVALID, "'%s' is not %s", text, wanted);
}

static gboolean read_frontend(Config *config, const char *text, GError **error)
{
	return frontend_parse(text, &config->frontend) ||
	       bad_value(text, "one of auto, tcmu, fuse", error);
}

static gboolean read_directory(char **place, const char *text, GError **error)
{
	if (!g_path_is_absolute(text))
		return bad_value(text, "an absolute path", error);
	g_free(*place);
	*place = g_strdup(text);
	return TRUE;
}

static gboolean read_run_directory(Config *config, const char *text, GError **error)
{
	return read_directory(&config->run_directory, text, error);
}

static gboolean read_device_directory(Config *config, const char *text, GError **error)
{
	return read_directory(&config->device_directory, text, error);
}

static gboolean read_node_cache(Config *config, const char *text, GError **error)
{
	guint64 bytes;

	if (!size_parse(text, &bytes) || bytes < MIB)
		return bad_value(text, "a size of 1 MiB at least", error);
	config->node_cache = bytes;
	return TRUE;
}

static gboolean read_workers(Config *config, const char *text, GError **error)
{
	guint64 workers;

	if (!g_ascii_string_to_unsigned(text, 10, 0, WORKERS_MAX, &workers, NULL))
		return bad_value(text, "a number from 0 to 256", error);
	config->workers = (guint)workers;
	return TRUE;
}

static gboolean read_sanitize_rate(Config *config, const char *text, GError **error)
{
	guint64 bytes = 0;

	if (strcmp(text, "0") != 0 && (!size_parse(text, &bytes) || bytes < MIB))
		return bad_value(text, "a size of 1 MiB at least, or 0", error);
	config->sanitize_rate = bytes;
	return TRUE;
}

static const struct {
	const char *name;
	gboolean (*read)(Config *config, const char *text, GError **error);
} keys[] = {
	{"frontend", read_frontend},
	{"run_directory", read_run_directory},
	{"device_directory", read_device_directory},
	{"node_cache", read_node_cache},
	{"workers", read_workers},
	{"sanitize_rate", read_sanitize_rate},
};

/* ---- the file */

/* As GLib reads a string of a key file, but for that the text may be of any bytes: a path is no
 * text. NULL where an escape is none. */
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

/* Without blanks around it. */
static char *get_text(GKeyFile *file, const char *group, const char *key, GError **error)
{
	g_autofree char *value = g_key_file_get_value(file, group, key, error);
	char *text = value ? unescape(value) : NULL;

	if (value && !text)
		error_set(error, STORAGEOS_ERROR_INVALID,
			  "key '%s' of [%s]: '%s' has an escape that is none", key, group, value);
	return text ? g_strstrip(text) : NULL;
}

static gboolean load_key(Config *config, GKeyFile *file, const char *key, GError **error)
{
	g_autofree char *text = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
		if (strcmp(key, keys[i].name))
			continue;
		text = get_text(file, GROUP_MAIN, key, error);
		if (!text)
			return FALSE;
		if (keys[i].read(config, text, error))
			return TRUE;
		g_prefix_error(error, "key '%s' of [" GROUP_MAIN "]: ", key);
		return FALSE;
	}
	log_warning("%s: unknown key '%s' in [" GROUP_MAIN "]", config->file, key);
	return TRUE;
}

static gboolean load_main(Config *config, GKeyFile *file, GError **error)
{
	g_auto(GStrv) found = g_key_file_get_keys(file, GROUP_MAIN, NULL, error);

	for (guint i = 0; found && found[i]; i++)
		if (!load_key(config, file, found[i], error))
			return FALSE;
	return found != NULL;
}

static void warn_of_unknown_pool_keys(Config *config, GKeyFile *file, const char *group)
{
	g_auto(GStrv) found = g_key_file_get_keys(file, group, NULL, NULL);

	for (guint i = 0; found && found[i]; i++)
		if (strcmp(found[i], "path"))
			log_warning("%s: unknown key '%s' in [%s]", config->file, found[i], group);
}

static ConfigPool *find_pool(const Config *config, const char *name)
{
	for (guint i = 0; i < config->pools->len; i++) {
		ConfigPool *pool = g_ptr_array_index(config->pools, i);

		if (!strcmp(pool->name, name))
			return pool;
	}
	return NULL;
}

static ConfigPool *add_pool(Config *config, const char *name, const char *path)
{
	ConfigPool *pool = g_new0(ConfigPool, 1);

	pool->name = g_strdup(name);
	pool->path = g_strdup(path);
	g_ptr_array_add(config->pools, pool);
	return pool;
}

static gboolean load_pool(Config *config, GKeyFile *file, const char *group, GError **error)
{
	const char *name = group + strlen(GROUP_POOL);
	g_autofree char *path = NULL;
	ConfigPool *pool;

	if (!name_valid(name))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "group [%s]: '%s' is no name for a pool (" NAME_RULE ")", group,
				 name);
	warn_of_unknown_pool_keys(config, file, group);
	path = get_text(file, group, "path", error);
	if (!path)
		return FALSE;
	pool = find_pool(config, name);
	if (!pool)
		pool = add_pool(config, name, "/");
	if (read_directory(&pool->path, path, error))
		return TRUE;
	g_prefix_error(error, "key 'path' of [%s]: ", group);
	return FALSE;
}

static gboolean load_group(Config *config, GKeyFile *file, const char *group, GError **error)
{
	if (!strcmp(group, GROUP_MAIN))
		return load_main(config, file, error);
	if (g_str_has_prefix(group, GROUP_POOL))
		return load_pool(config, file, group, error);
	log_warning("%s: unknown group [%s]", config->file, group);
	return TRUE;
}

static gboolean parse(GKeyFile *file, const char *path, GError **error)
{
	gsize length;
	g_autofree char *text = files_read(path, FILES_TEXT_MAX, &length, error);

	if (!text)
		return FALSE;
	/* An empty file says nothing, but for GKeyFile it is an error. */
	return !length || g_key_file_load_from_data(
				  file, text, length,
				  G_KEY_FILE_KEEP_COMMENTS | G_KEY_FILE_KEEP_TRANSLATIONS, error);
}

/* What may pass by (no memory, no descriptor left) is not the configuration's fault. */
static StorageosError code_of(const GError *error)
{
	if (g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_IO) ||
	    g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NO_SPACE))
		return (StorageosError)error->code;
	return STORAGEOS_ERROR_INVALID;
}

static gboolean load_file(Config *config, gboolean must_exist, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) local = NULL;
	g_auto(GStrv) groups = NULL;

	if (!parse(file, config->file, &local)) {
		if (!must_exist &&
		    g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			return TRUE;
		return error_set(error, code_of(local), "configuration %s: %s", config->file,
				 local->message);
	}
	groups = g_key_file_get_groups(file, NULL);
	for (guint i = 0; groups[i]; i++)
		if (!load_group(config, file, groups[i], &local))
			return error_set(error, STORAGEOS_ERROR_INVALID, "configuration %s: %s",
					 config->file, local->message);
	return TRUE;
}

Config *config_load(const char *file, GError **error)
{
	g_autoptr(Config) config = g_new0(Config, 1);
	const char *named = file ? file : g_getenv("STORAGEOS_CONFIG");

	if (named && !*named)
		named = NULL;
	config->file = g_strdup(named ? named : CONFIG_DEFAULT_FILE);
	config->frontend = FRONTEND_AUTO;
	config->run_directory = g_strdup("/run/storageos");
	config->device_directory = g_strdup("/dev/storageos");
	config->node_cache = 64 * MIB;
	config->pools = g_ptr_array_new_with_free_func(config_pool_free);
	add_pool(config, CONFIG_DEFAULT_POOL, CONFIG_DEFAULT_POOL_PATH);
	if (!load_file(config, named != NULL, error))
		return NULL;
	return g_steal_pointer(&config);
}

const ConfigPool *config_find_pool(const Config *config, const char *name)
{
	return find_pool(config, name);
}

/* ---- changing the file */

/* What the name leads to in the end: a rename onto a link would cut it off from its file. */
static char *real_path(const char *file)
{
	char *path = realpath(file, NULL);
	char *copy = g_strdup(path ? path : file);

	free(path);
	return copy;
}

static gboolean rewrite_with_pool(const char *path, const char *name, const char *directory,
				  GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autofree char *group = g_strconcat(GROUP_POOL, name, NULL);
	g_autoptr(GError) local = NULL;
	g_autofree char *text = NULL;
	gsize length;

	if (!parse(file, path, &local) &&
	    !g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND)) {
		g_propagate_error(error, g_steal_pointer(&local));
		return FALSE;
	}
	g_key_file_set_string(file, group, "path", directory);
	text = g_key_file_to_data(file, &length, NULL);
	return files_write(path, text, length, 0644, FILES_REPLACE, error);
}

gboolean config_add_pool(const char *file, const char *name, const char *path, GError **error)
{
	g_autofree char *target = real_path(file);
	g_autofree char *parent = g_path_get_dirname(target);
	gboolean done;

	if (!name_valid(name) || !g_path_is_absolute(path))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "pool '%s' at '%s': a valid name and an absolute path are needed",
				 name, path);
	if (!files_make_directory(parent, error))
		return FALSE;
	autofd lock = files_lock(parent, LOCK_SECONDS, error);
	if (lock < 0)
		return FALSE;
	done = rewrite_with_pool(target, name, path, error);
	if (!done)
		g_prefix_error(error, "configuration %s: ", target);
	return done;
}
