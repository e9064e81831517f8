/* SPDX-License-Identifier: Apache-2.0 */
#include "common/service/volume-name.h"

#include <string.h>

#include "common/base/error.h"
#include "common/base/names.h"
#include "common/base/text.h"
#include "common/service/config.h"

#define DEVICE_PATH_MAX 200
#define EXCERPT_MAX 150 /* bytes of an invalid name in a message */

static VolumeName *volume_name_new(const char *pool, const char *name)
{
	VolumeName *parsed = g_new0(VolumeName, 1);

	parsed->pool = g_strdup(pool);
	parsed->name = g_strdup(name);
	return parsed;
}

static VolumeName *device_name_parse(const char *text, GError **error)
{
	/* `bad` would end the cfgstring or a part of it, or begin a snapshot's name; with "//",
	 * "/." or a '/' at the end one device would have two names. */
	const char *bad = strpbrk(text, ":,;@ \t\n");
	g_autofree char *shown = NULL, *why = NULL;

	if (strnlen(text, DEVICE_PATH_MAX + 1) <= DEVICE_PATH_MAX && !bad && !strstr(text, "//") &&
	    !strstr(text, "/.") && !g_str_has_suffix(text, "/"))
		return volume_name_new(NULL, text);
	shown = text_excerpt(text, DEVICE_PATH_MAX);
	if (bad)
		why = g_strdup_printf(
			": it must not contain '%c' (another of the device's names may do, "
			"as in /dev/disk/by-id)",
			*bad);
	error_set(error, STORAGEOS_ERROR_INVALID,
		  "invalid volume name '%s': not the plain absolute path of a block device%s",
		  shown, why ? why : "");
	return NULL;
}

static VolumeName *plain_name_parse(const char *text, GError **error)
{
	const char *slash = strchr(text, '/');
	char pool[NAME_LENGTH_MAX + 2] = CONFIG_DEFAULT_POOL;
	g_autofree char *shown = NULL;

	if (slash == text)
		return device_name_parse(text, error);
	/* Keeps one character more than a name may have, so that too long a name stays invalid. */
	if (slash)
		g_strlcpy(pool, text, MIN(sizeof pool, (gsize)(slash - text) + 1));
	if (name_valid(pool) && name_valid(slash ? slash + 1 : text))
		return volume_name_new(pool, slash ? slash + 1 : text);
	shown = text_excerpt(text, EXCERPT_MAX);
	error_set(error, STORAGEOS_ERROR_INVALID,
		  "invalid volume name '%s': must be NAME or POOL/NAME, each " NAME_RULE, shown);
	return NULL;
}

VolumeName *volume_name_parse_any(const char *text, GError **error)
{
	const char *at = strrchr(text, '@');
	g_autofree char *volume = at ? g_strndup(text, (gsize)(at - text)) : NULL;
	g_autoptr(VolumeName) name = NULL;
	g_autofree char *shown = NULL;

	if (!at)
		return plain_name_parse(text, error);
	if (name_valid(at + 1)) {
		name = plain_name_parse(volume, error);
		if (name)
			name->snapshot = g_strdup(at + 1);
		return g_steal_pointer(&name);
	}
	shown = text_excerpt(at + 1, EXCERPT_MAX);
	error_set(error, STORAGEOS_ERROR_INVALID, "invalid snapshot name '%s': must be " NAME_RULE,
		  shown);
	return NULL;
}

VolumeName *volume_name_parse(const char *text, GError **error)
{
	g_autoptr(VolumeName) name = volume_name_parse_any(text, error);
	g_autofree char *shown = NULL;

	if (!name || !name->snapshot)
		return g_steal_pointer(&name);
	shown = volume_name_format(name);
	error_set(error, STORAGEOS_ERROR_INVALID,
		  "'%s' is the name of a snapshot; the name of a volume is needed", shown);
	return NULL;
}

char *volume_name_format(const VolumeName *name)
{
	g_autofree char *volume =
		name->pool ? g_strconcat(name->pool, "/", name->name, NULL) : g_strdup(name->name);

	return name->snapshot ? g_strconcat(volume, "@", name->snapshot, NULL)
			      : g_steal_pointer(&volume);
}

void volume_name_free(VolumeName *name)
{
	if (!name)
		return;
	g_free(name->pool);
	g_free(name->name);
	g_free(name->snapshot);
	g_free(name);
}
