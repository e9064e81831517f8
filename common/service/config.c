/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/config.h"

#include <string.h>

#include "common/service/config-text.h"
#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/logging.h"
#include "common/base/names.h"
#include "common/base/units.h"

#define GROUP_MAIN "storageos"
#define WORKERS_MAX 256

static void config_pool_free(gpointer data)
{
	ConfigPool *pool = data;

	g_free(pool->name);
	g_free(pool->path);
	g_free(pool->uuid);
	g_free(pool->ceph_conf);
	g_free(pool->ceph_id);
	g_free(pool);
}

void config_free(Config *config)
{
	if (!config)
		return;
	g_free(config->file);
	g_free(config->run_directory);
	g_free(config->device_directory);
	g_free(config->state_directory);
	g_free(config->problem);
	if (config->pools)
		g_ptr_array_unref(config->pools);
	if (config->warnings)
		g_ptr_array_unref(config->warnings);
	g_free(config);
}

/* ---- values: each function parses the text and stores the value */

static gboolean value_refuse(const char *text, const char *wanted, GError **error)
{
	return error_set(error, STORAGEOS_ERROR_INVALID, "'%s' is not %s", text, wanted);
}

static gboolean read_frontend(Config *config, const char *text, GError **error)
{
	return frontend_parse(text, &config->frontend) ||
	       value_refuse(text, "one of auto, tcmu, fuse", error);
}

static gboolean read_directory(char **place, const char *text, GError **error)
{
	if (!g_path_is_absolute(text))
		return value_refuse(text, "an absolute path", error);
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

static gboolean read_state_directory(Config *config, const char *text, GError **error)
{
	return read_directory(&config->state_directory, text, error);
}

static gboolean read_node_cache(Config *config, const char *text, GError **error)
{
	guint64 bytes;

	if (!size_parse(text, &bytes) || bytes < MIB)
		return value_refuse(text, "a size of at least 1 MiB", error);
	config->node_cache = bytes;
	return TRUE;
}

static gboolean read_workers(Config *config, const char *text, GError **error)
{
	guint64 workers;

	if (!g_ascii_string_to_unsigned(text, 10, 0, WORKERS_MAX, &workers, NULL))
		return value_refuse(text, "a number from 0 to 256", error);
	config->workers = (guint)workers;
	return TRUE;
}

static gboolean read_sanitize_rate(Config *config, const char *text, GError **error)
{
	guint64 bytes = 0;

	if (strcmp(text, "0") != 0 && (!size_parse(text, &bytes) || bytes < MIB))
		return value_refuse(text, "a size of at least 1 MiB, or 0", error);
	config->sanitize_rate = bytes;
	return TRUE;
}

static gboolean marks_add(ConfigMarks *marks, const char *text)
{
	guint64 least = marks->n ? marks->percent[marks->n - 1] + 1u : 1, percent;

	if (marks->n == CONFIG_MARKS_MAX ||
	    !g_ascii_string_to_unsigned(text, 10, least, 100, &percent, NULL))
		return FALSE;
	marks->percent[marks->n++] = (guint8)percent;
	return TRUE;
}

static gboolean read_marks(ConfigMarks *marks, const char *text, GError **error)
{
	g_auto(GStrv) words = g_strsplit(text, ",", CONFIG_MARKS_MAX + 1);
	ConfigMarks read = {0};
	gboolean off = !strcmp(text, "off"), good = off || *words;

	for (char **word = words; *word && good && !off; word++)
		good = marks_add(&read, g_strstrip(*word));
	if (!good)
		return value_refuse(text,
				    "off, or up to 8 rising percentages from 1 to 100, as 80,90,95",
				    error);
	*marks = read;
	return TRUE;
}

static gboolean read_general_marks(Config *config, const char *text, GError **error)
{
	return read_marks(&config->marks, text, error);
}

static const struct {
	const char *name;
	gboolean (*read)(Config *config, const char *text, GError **error);
} keys[] = {
	{"frontend", read_frontend},
	{"run_directory", read_run_directory},
	{"device_directory", read_device_directory},
	{"state_directory", read_state_directory},
	{"node_cache", read_node_cache},
	{"workers", read_workers},
	{"sanitize_rate", read_sanitize_rate},
	{"warn", read_general_marks},
};

/* ---- the file */

G_GNUC_PRINTF(2, 3)
static void config_warn(Config *config, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	g_ptr_array_add(config->warnings, g_strdup_vprintf(format, args));
	va_end(args);
}

static gboolean load_key(Config *config, GKeyFile *file, const char *key, GError **error)
{
	g_autofree char *text = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(keys); i++) {
		if (strcmp(key, keys[i].name))
			continue;
		text = config_text_get(file, GROUP_MAIN, key, error);
		if (!text)
			return FALSE;
		if (keys[i].read(config, text, error))
			return TRUE;
		g_prefix_error(error, "key '%s' of [" GROUP_MAIN "]: ", key);
		return FALSE;
	}
	config_warn(config, "unknown key '%s' in [" GROUP_MAIN "]", key);
	return TRUE;
}

static gboolean load_main(Config *config, GKeyFile *file, GError **error)
{
	g_auto(GStrv) found = g_key_file_get_keys(file, GROUP_MAIN, NULL, error);
	gboolean good = found != NULL;

	for (guint i = 0; found && found[i]; i++)
		good &= load_key(config, file, found[i], good ? error : NULL);
	return good;
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

static gboolean read_pool_path(ConfigPool *pool, const char *text, GError **error)
{
	pool->ceph = FALSE;
	return read_directory(&pool->path, text, error);
}

static gboolean read_pool_rbd(ConfigPool *pool, const char *text, GError **error)
{
	g_auto(GStrv) names = g_strsplit(text, "/", 3);
	guint n = g_strv_length(names);
	gboolean good = n == 1 || n == 2;

	for (guint i = 0; i < n; i++)
		good &= *names[i] && !strpbrk(names[i], "@?& ");
	if (!good)
		return value_refuse(text, "POOL or POOL/NAMESPACE", error);
	g_free(pool->path);
	pool->path = g_strconcat(CONFIG_CEPH, text, NULL);
	pool->ceph = TRUE;
	return TRUE;
}

static gboolean read_pool_uuid(ConfigPool *pool, const char *text, GError **error)
{
	if (!g_uuid_string_is_valid(text))
		return value_refuse(text, "a UUID", error);
	g_free(pool->uuid);
	pool->uuid = g_ascii_strdown(text, -1);
	return TRUE;
}

/* Ceph's options stand in a URI. */
static gboolean read_ceph_conf(ConfigPool *pool, const char *text, GError **error)
{
	if (strpbrk(text, "?&"))
		return value_refuse(text, "a path without '?' and '&'", error);
	return read_directory(&pool->ceph_conf, text, error);
}

static gboolean read_ceph_id(ConfigPool *pool, const char *text, GError **error)
{
	if (!*text || strpbrk(text, "/@?& "))
		return value_refuse(text, "a user of Ceph (without \"client.\")", error);
	g_free(pool->ceph_id);
	pool->ceph_id = g_strdup(text);
	return TRUE;
}

static gboolean read_pool_failover(ConfigPool *pool, const char *text, GError **error)
{
	pool->failover = !strcmp(text, "on");
	return pool->failover || !strcmp(text, "off") || value_refuse(text, "on or off", error);
}

static gboolean read_pool_quota(ConfigPool *pool, const char *text, GError **error)
{
	guint64 bytes;

	if (!size_parse(text, &bytes) || bytes < MIB)
		return value_refuse(text, "a size of at least 1 MiB", error);
	pool->quota = bytes;
	return TRUE;
}

static gboolean read_pool_marks(ConfigPool *pool, const char *text, GError **error)
{
	pool->own_marks = TRUE;
	return read_marks(&pool->marks, text, error);
}

static const struct {
	const char *name;
	gboolean (*read)(ConfigPool *pool, const char *text, GError **error);
} pool_keys[] = {
	{"path", read_pool_path},      {"rbd", read_pool_rbd},	  {"uuid", read_pool_uuid},
	{"ceph_conf", read_ceph_conf}, {"ceph_id", read_ceph_id}, {"failover", read_pool_failover},
	{"quota", read_pool_quota},    {"warn", read_pool_marks},
};

static gboolean load_pool_key(Config *config, ConfigPool *pool, GKeyFile *file, const char *group,
			      const char *key, GError **error)
{
	g_autofree char *text = NULL;

	for (guint i = 0; i < G_N_ELEMENTS(pool_keys); i++) {
		if (strcmp(key, pool_keys[i].name) != 0)
			continue;
		text = config_text_get(file, group, key, error);
		if (!text)
			return FALSE;
		if (pool_keys[i].read(pool, text, error))
			return TRUE;
		g_prefix_error(error, "key '%s' of [%s]: ", key, group);
		return FALSE;
	}
	config_warn(config, "unknown key '%s' in [%s]", key, group);
	return TRUE;
}

static gboolean check_pool_place(GKeyFile *file, const char *group, GError **error)
{
	gboolean path = g_key_file_has_key(file, group, "path", NULL);
	gboolean rbd = g_key_file_has_key(file, group, "rbd", NULL);

	if (path && g_key_file_has_key(file, group, "failover", NULL))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "[%s] has the key failover, which only a pool of Ceph may have",
				 group);
	if (rbd && g_key_file_has_key(file, group, "quota", NULL))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "[%s] has the key quota, which a pool of Ceph cannot have (see: "
				 "ceph osd pool set-quota)",
				 group);
	return path != rbd ||
	       error_set(error, STORAGEOS_ERROR_INVALID, "[%s] has %s of the keys path and rbd",
			 group, path ? "both" : "none");
}

static gboolean load_pool(Config *config, GKeyFile *file, const char *group, GError **error)
{
	const char *name = group + strlen(CONFIG_GROUP_POOL);
	g_auto(GStrv) found = NULL;
	ConfigPool *pool;
	gboolean good;

	if (!name_valid(name))
		return error_set(error, STORAGEOS_ERROR_INVALID,
				 "group [%s]: invalid pool name '%s': must be " NAME_RULE, group,
				 name);
	if (!check_pool_place(file, group, error))
		return FALSE;
	pool = find_pool(config, name);
	if (!pool)
		pool = add_pool(config, name, "/");
	pool->listed = TRUE;
	found = g_key_file_get_keys(file, group, NULL, error);
	good = found != NULL;
	for (guint i = 0; found && found[i]; i++)
		good &= load_pool_key(config, pool, file, group, found[i], good ? error : NULL);
	return good;
}

static gboolean load_group(Config *config, GKeyFile *file, const char *group, GError **error)
{
	if (!strcmp(group, GROUP_MAIN))
		return load_main(config, file, error);
	if (g_str_has_prefix(group, CONFIG_GROUP_POOL))
		return load_pool(config, file, group, error);
	if (g_str_has_prefix(group, CONFIG_GROUP_POLICY) ||
	    g_str_has_prefix(group, CONFIG_GROUP_VOLUME))
		return TRUE; /* policy-config.h */
	config_warn(config, "unknown group [%s]", group);
	return TRUE;
}

static void marks_settle(Config *config)
{
	for (guint i = 0; i < config->pools->len; i++) {
		ConfigPool *pool = g_ptr_array_index(config->pools, i);

		if (!pool->own_marks)
			pool->marks = config->marks;
	}
}

/* A transient problem (no memory, no descriptor) is not the configuration's fault, so not INVALID.
 */
static StorageosError load_error_code(const GError *error)
{
	if (g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_IO) ||
	    g_error_matches(error, STORAGEOS_ERROR, STORAGEOS_ERROR_NO_SPACE))
		return (StorageosError)error->code;
	return STORAGEOS_ERROR_INVALID;
}

/* Takes all that can be read, and then fails with the first error. */
static gboolean config_read_file(Config *config, GError **error)
{
	g_autoptr(GKeyFile) file = g_key_file_new();
	g_autoptr(GError) local = NULL;
	g_autofree char *text = NULL;
	g_auto(GStrv) groups = NULL;

	text = files_read(config->file, FILES_TEXT_MAX, NULL, &local);
	if (!text || !config_text_parse(text, file, config->warnings, &local)) {
		if (!config->named &&
		    g_error_matches(local, STORAGEOS_ERROR, STORAGEOS_ERROR_NOT_FOUND))
			return TRUE;
		return error_set(error, load_error_code(local), "configuration %s: %s",
				 config->file, local->message);
	}
	groups = g_key_file_get_groups(file, NULL);
	for (guint i = 0; groups[i]; i++)
		load_group(config, file, groups[i], local ? NULL : &local);
	marks_settle(config);
	return !local || error_set(error, STORAGEOS_ERROR_INVALID, "configuration %s: %s",
				   config->file, local->message);
}

static Config *config_new(const char *file, gboolean named)
{
	Config *config = g_new0(Config, 1);

	config->file = g_strdup(file);
	config->named = named;
	config->frontend = FRONTEND_AUTO;
	config->run_directory = g_strdup("/run/storageos");
	config->device_directory = g_strdup("/dev/storageos");
	config->state_directory = g_strdup("/var/lib/storageos");
	config->warnings = g_ptr_array_new_with_free_func(g_free);
	config->node_cache = 64 * MIB;
	config->pools = g_ptr_array_new_with_free_func(config_pool_free);
	config->marks = (ConfigMarks){3, {80, 90, 95}};
	add_pool(config, CONFIG_DEFAULT_POOL, CONFIG_DEFAULT_POOL_PATH);
	return config;
}

static Config *config_load_file(const char *file, gboolean named, GError **error)
{
	g_autoptr(Config) config = config_new(file, named);

	return config_read_file(config, error) ? g_steal_pointer(&config) : NULL;
}

/* NULL: the default file. */
static const char *file_named(const char *file)
{
	const char *named = file ? file : g_getenv("STORAGEOS_CONFIG");

	return named && *named ? named : NULL;
}

Config *config_load_quietly(const char *file, GError **error)
{
	const char *named = file_named(file);

	return config_load_file(named ? named : CONFIG_DEFAULT_FILE, named != NULL, error);
}

Config *config_load_again(const Config *config, GError **error)
{
	return config_load_file(config->file, config->named, error);
}

static void warnings_log(const Config *config)
{
	for (guint i = 0; i < config->warnings->len; i++)
		log_warning("%s: %s", config->file,
			    (const char *)g_ptr_array_index(config->warnings, i));
}

Config *config_load(const char *file, GError **error)
{
	Config *config = config_load_quietly(file, error);

	if (config)
		warnings_log(config);
	return config;
}

Config *config_load_anyway(const char *file, GError **error)
{
	g_autoptr(GError) local = NULL;
	Config *config;

	if (file_named(file))
		return config_load(file, error);
	config = config_new(CONFIG_DEFAULT_FILE, FALSE);
	if (!config_read_file(config, &local))
		config->problem = g_strdup(local->message);
	warnings_log(config);
	return config;
}

const ConfigPool *config_find_pool(const Config *config, const char *name)
{
	return find_pool(config, name);
}
