/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/registry.h"

#include <string.h>
#include <unistd.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/json.h"

#define ENTRY_SIZE_MAX 4096
#define RENAMES_MAX 100

static char *directory_path(const Config *config)
{
	return g_build_filename(config->state_directory, "registry", NULL);
}

static char *entry_path(const Config *config, const VolumeName *name)
{
	return g_strdup_printf("%s/registry/%s:%s", config->state_directory, name->pool,
			       name->name);
}

static void entry_get_name(Json *json, const char *key, char ret_name[REGISTRY_NAME_SIZE])
{
	const char *text = json_get_text(json, key);
	g_autoptr(VolumeName) name = text ? volume_name_parse(text, NULL) : NULL;

	if (name && name->pool)
		g_snprintf(ret_name, REGISTRY_NAME_SIZE, "%s/%s", name->pool, name->name);
}

static gboolean entry_get_uuid(Json *json, const char *key, char ret_uuid[UUID_TEXT])
{
	const char *text = json_get_text(json, key);

	return text && g_uuid_string_is_valid(text) &&
	       g_strlcpy(ret_uuid, text, UUID_TEXT) < UUID_TEXT;
}

gboolean registry_find(const Config *config, const VolumeName *name, RegistryEntry *ret_entry,
		       GError **error)
{
	g_autofree char *path = entry_path(config, name);
	g_autofree char *text = files_read(path, ENTRY_SIZE_MAX, NULL, error);
	g_autoptr(Json) json = text ? json_tokener_parse(text) : NULL;
	RegistryEntry entry = {0};

	if (!text)
		return FALSE;
	entry.since = json_get_number(json, "since");
	entry.deleted = json_get_number(json, "deleted");
	entry.clone = json_get_flag(json, "clone");
	entry_get_name(json, "to", entry.to);
	if (!entry_get_uuid(json, "uuid", entry.uuid) ||
	    !entry_get_uuid(json, "pool_uuid", entry.pool_uuid))
		return error_set(error, STORAGEOS_ERROR_CORRUPT,
				 "%s does not say which volume there was", path);
	*ret_entry = entry;
	return TRUE;
}

static gboolean entry_write(const Config *config, const VolumeName *name,
			    const RegistryEntry *entry, GError **error)
{
	g_autofree char *directory = directory_path(config);
	g_autofree char *path = entry_path(config, name);
	g_autofree char *volume = volume_name_format(name);
	g_autoptr(Json) json = json_object_new_object();
	g_autofree char *text = NULL;

	json_add_text(json, "volume", volume);
	json_add_text(json, "uuid", entry->uuid);
	json_add_text(json, "pool_uuid", entry->pool_uuid);
	json_add_number(json, "since", (guint64)entry->since);
	if (entry->deleted)
		json_add_number(json, "deleted", (guint64)entry->deleted);
	if (entry->clone)
		json_add_flag(json, "clone", TRUE);
	if (*entry->to)
		json_add_text(json, "to", entry->to);
	text = json_to_text(json);
	return files_make_directory(directory, error) &&
	       files_write(path, text, strlen(text), 0644, FILES_REPLACE, error);
}

static gint64 time_now(void)
{
	return g_get_real_time() / G_USEC_PER_SEC;
}

/* The new entry; a volume of the same UUID keeps its `since`, and stays a clone. */
static RegistryEntry entry_new(const char *uuid, const char *pool_uuid, const RegistryEntry *known)
{
	RegistryEntry entry = {.since = time_now()};

	g_strlcpy(entry.uuid, uuid, sizeof entry.uuid);
	g_strlcpy(entry.pool_uuid, pool_uuid, sizeof entry.pool_uuid);
	if (!strcmp(known->uuid, entry.uuid)) {
		entry.since = known->since;
		entry.clone = known->clone;
	}
	return entry;
}

gboolean registry_note(const Config *config, const VolumeName *name, const char uuid[UUID_TEXT],
		       const char *pool_uuid, GError **error)
{
	RegistryEntry known = {0}, entry;

	registry_find(config, name, &known, NULL);
	if (!known.deleted && !*known.to && !strcmp(known.uuid, uuid) &&
	    !strcmp(known.pool_uuid, pool_uuid))
		return TRUE;
	entry = entry_new(uuid, pool_uuid, &known);
	return entry_write(config, name, &entry, error);
}

gboolean registry_note_clone(const Config *config, const VolumeName *name, GError **error)
{
	RegistryEntry entry;

	if (!registry_find(config, name, &entry, error))
		return FALSE;
	entry.clone = TRUE;
	return entry_write(config, name, &entry, error);
}

gboolean registry_note_deleted(const Config *config, const VolumeName *name,
			       const char uuid[UUID_TEXT], const char *pool_uuid, GError **error)
{
	RegistryEntry known = {0}, entry;

	registry_find(config, name, &known, NULL);
	entry = entry_new(uuid, pool_uuid, &known);
	entry.deleted = time_now();
	return entry_write(config, name, &entry, error);
}

gboolean registry_note_renaming(const Config *config, const VolumeName *from, const VolumeName *to,
				const char uuid[UUID_TEXT], const char *pool_uuid, GError **error)
{
	RegistryEntry known = {0}, entry;

	registry_find(config, from, &known, NULL);
	entry = entry_new(uuid, pool_uuid, &known);
	g_snprintf(entry.to, sizeof entry.to, "%s/%s", to->pool, to->name);
	return entry_write(config, from, &entry, error);
}

gboolean registry_note_renamed(const Config *config, const VolumeName *from, const VolumeName *to,
			       const char *pool_uuid, GError **error)
{
	RegistryEntry old, entry;

	if (!registry_find(config, from, &old, error))
		return FALSE;
	entry = old;
	*entry.to = 0;
	entry.deleted = 0;
	g_strlcpy(entry.pool_uuid, pool_uuid, sizeof entry.pool_uuid);
	old.deleted = time_now();
	return entry_write(config, to, &entry, error) && entry_write(config, from, &old, error);
}

void registry_follow(const Config *config, RegistryEntry *entry)
{
	/* Entries that were left by interrupted renames may be a circle. */
	for (guint i = 0; i < RENAMES_MAX; i++) {
		g_autoptr(VolumeName) next = volume_name_parse(entry->to, NULL);
		RegistryEntry later;

		if (!next || !registry_find(config, next, &later, NULL) ||
		    strcmp(later.uuid, entry->uuid) != 0 || !*later.to)
			return;
		*entry = later;
	}
}

gboolean registry_forget(const Config *config, const VolumeName *name, GError **error)
{
	g_autofree char *path = entry_path(config, name);

	if (unlink(path))
		return error_set_errno(error, errno, "remove %s", path);
	return files_sync_parent(path, error);
}

static char *format_time(gint64 seconds)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);

	return time ? g_date_time_format(time, "%F %H:%M UTC") : g_strdup("?");
}

char *registry_describe(const RegistryEntry *entry)
{
	g_autofree char *since = format_time(entry->since);
	g_autofree char *deleted = entry->deleted ? format_time(entry->deleted) : NULL;

	if (*entry->to)
		return g_strdup_printf("it was made on %s (UUID %s), and renamed to %s", since,
				       entry->uuid, entry->to);
	return g_strdup_printf("it was made on %s (UUID %s)%s%s", since, entry->uuid,
			       deleted ? ", and deleted on " : "", deleted ? deleted : "");
}

typedef gboolean (*EntryVisit)(const VolumeName *name, const RegistryEntry *entry, gpointer data);

/* TRUE from `visit` ends it. */
static void entries_visit(const Config *config, EntryVisit visit, gpointer data)
{
	g_autofree char *directory = directory_path(config);
	g_autoptr(GDir) dir = g_dir_open(directory, 0, NULL);
	const char *file;

	while (dir && (file = g_dir_read_name(dir))) {
		g_autofree char *text = g_strdelimit(g_strdup(file), ":", '/');
		g_autoptr(VolumeName) name = volume_name_parse(text, NULL);
		RegistryEntry entry;

		if (name && name->pool && registry_find(config, name, &entry, NULL) &&
		    visit(name, &entry, data))
			return;
	}
}

static VolumeName *name_copy(const VolumeName *name)
{
	g_autofree char *text = volume_name_format(name);

	return volume_name_parse(text, NULL);
}

typedef struct {
	char *to;
	const char *uuid;
	VolumeName *from;
} Renaming;

static gboolean visit_renaming(const VolumeName *name, const RegistryEntry *entry, gpointer data)
{
	Renaming *renaming = data;

	if (entry->deleted || strcmp(entry->to, renaming->to) != 0 ||
	    strcmp(entry->uuid, renaming->uuid) != 0)
		return FALSE;
	renaming->from = name_copy(name);
	return TRUE;
}

VolumeName *registry_find_renaming(const Config *config, const VolumeName *name,
				   const char uuid[UUID_TEXT])
{
	g_autofree char *to = volume_name_format(name);
	Renaming renaming = {.to = to, .uuid = uuid};

	entries_visit(config, visit_renaming, &renaming);
	return renaming.from;
}

static gboolean visit_present(const VolumeName *name, const RegistryEntry *entry, gpointer names)
{
	if (!entry->deleted && !*entry->to)
		g_ptr_array_add(names, name_copy(name));
	return FALSE;
}

GPtrArray *registry_list(const Config *config)
{
	GPtrArray *names = g_ptr_array_new_with_free_func((GDestroyNotify)volume_name_free);

	entries_visit(config, visit_present, names);
	return names;
}

/* ---- whole pools */

typedef struct {
	const Config *config;
	const char *pool, *to, *uuid;
	gboolean found;
	GError **error;
} PoolVisit;

static gboolean visit_copy(const VolumeName *name, const RegistryEntry *entry, gpointer data)
{
	PoolVisit *visit = data;
	const VolumeName to = {.pool = (char *)visit->to, .name = name->name};
	g_autofree char *prefix = g_strconcat(visit->pool, "/", NULL);
	RegistryEntry copy = *entry;

	if (strcmp(name->pool, visit->pool) != 0)
		return FALSE;
	if (g_str_has_prefix(entry->to, prefix))
		g_snprintf(copy.to, sizeof copy.to, "%s/%s", visit->to, entry->to + strlen(prefix));
	return !entry_write(visit->config, &to, &copy, visit->error);
}

gboolean registry_copy_pool(const Config *config, const char *from, const char *to, GError **error)
{
	g_autoptr(GError) local = NULL;
	PoolVisit visit = {.config = config, .pool = from, .to = to, .error = &local};

	entries_visit(config, visit_copy, &visit);
	if (!local)
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&local));
	return FALSE;
}

static gboolean visit_find(const VolumeName *name, const RegistryEntry *entry, gpointer data)
{
	PoolVisit *visit = data;

	visit->found |= !strcmp(name->pool, visit->pool) && !strcmp(entry->pool_uuid, visit->uuid);
	return visit->found;
}

gboolean registry_has_pool(const Config *config, const char *pool, const char *pool_uuid)
{
	PoolVisit visit = {.pool = pool, .uuid = pool_uuid};

	entries_visit(config, visit_find, &visit);
	return visit.found;
}

static gboolean visit_forget(const VolumeName *name, const RegistryEntry *entry, gpointer data)
{
	PoolVisit *visit = data;

	(void)entry;
	return !strcmp(name->pool, visit->pool) &&
	       !registry_forget(visit->config, name, visit->error);
}

gboolean registry_forget_pool(const Config *config, const char *pool, GError **error)
{
	g_autoptr(GError) local = NULL;
	PoolVisit visit = {.config = config, .pool = pool, .error = &local};

	entries_visit(config, visit_forget, &visit);
	if (!local)
		return TRUE;
	g_propagate_error(error, g_steal_pointer(&local));
	return FALSE;
}
