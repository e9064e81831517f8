/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/pool-marker.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/files.h"
#include "common/base/json.h"
#include "common/base/names.h"

#define MARKER_FORMAT 1
#define MARKER_SIZE_MAX 4096

static gboolean check_format(Json *json, const char *path, GError **error)
{
	Json *format;

	if (!json_object_is_type(json, json_type_object) ||
	    !json_object_object_get_ex(json, "format", &format) ||
	    !json_object_is_type(format, json_type_int))
		return error_set(error, STORAGEOS_ERROR_CORRUPT, "%s is not a pool's marker", path);
	return json_object_get_int64(format) == MARKER_FORMAT ||
	       error_set(error, STORAGEOS_ERROR_UNSUPPORTED,
			 "%s has format %" G_GINT64_FORMAT ", this program knows %d", path,
			 json_object_get_int64(format), MARKER_FORMAT);
}

PoolMarker *pool_marker_parse(const char *text, const char *place, GError **error)
{
	g_autoptr(Json) json = json_tokener_parse(text);
	const char *name, *uuid;
	PoolMarker *marker;

	if (!check_format(json, place, error))
		return NULL;
	name = json_get_text(json, "name");
	uuid = json_get_text(json, "uuid");
	if (!name_valid(name) || !uuid || !g_uuid_string_is_valid(uuid)) {
		error_set(error, STORAGEOS_ERROR_CORRUPT, "%s has no valid name and uuid", place);
		return NULL;
	}
	marker = g_new0(PoolMarker, 1);
	marker->uuid = g_ascii_strdown(uuid, -1);
	marker->name = g_strdup(name);
	return marker;
}

PoolMarker *pool_marker_read(const char *directory, GError **error)
{
	g_autofree char *path = g_build_filename(directory, POOL_MARKER, NULL);
	g_autofree char *text = files_read(path, MARKER_SIZE_MAX, NULL, error);

	return text ? pool_marker_parse(text, path, error) : NULL;
}

void pool_marker_free(PoolMarker *marker)
{
	if (!marker)
		return;
	g_free(marker->uuid);
	g_free(marker->name);
	g_free(marker);
}

static char *marker_text(const char *name, const char *uuid)
{
	g_autoptr(Json) marker = json_object_new_object();

	json_add_number(marker, "format", MARKER_FORMAT);
	json_add_text(marker, "uuid", uuid);
	json_add_text(marker, "name", name);
	return json_to_text(marker);
}

char *pool_marker_text(const char *name)
{
	g_autofree char *uuid = g_uuid_string_random();

	return marker_text(name, uuid);
}

gboolean pool_marker_rename(const char *directory, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(directory, POOL_MARKER, NULL);
	g_autoptr(PoolMarker) marker = pool_marker_read(directory, error);
	g_autofree char *text = marker ? marker_text(name, marker->uuid) : NULL;

	return text && files_write(path, text, strlen(text), 0644, FILES_REPLACE, error);
}

gboolean pool_marker_write(const char *directory, const char *name, GError **error)
{
	g_autofree char *path = g_build_filename(directory, POOL_MARKER, NULL);
	g_autofree char *text = pool_marker_text(name);

	return files_write(path, text, strlen(text), 0644, FILES_NEW, error);
}
